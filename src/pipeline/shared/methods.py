"""What stands beside the distance to an adversarial image, by the names that tables and figures have for it."""

CLEVER = "CLEVER"
ONE_GRADIENT = "one gradient"
"""g(x0) / ||grad g(x0)||_q."""
CERTIFICATE = "certificate"
"""The closed bound of second order, a true lower one."""
ATTACK = "attack"
"""The nearest adversarial image found, an upper bound."""
