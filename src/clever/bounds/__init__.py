"""Lower bounds on the adversarial distance: closed-form formulas, first and second order, gauge."""
