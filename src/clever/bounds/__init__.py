"""Lower bounds of the adversarial distance: closed formulas, first and second order, gauge."""
