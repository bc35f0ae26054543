"""Which scores are of the same thing in two cells."""

PAIR = ["id", "predicted", "target_class", "norm", "target"]
"""Two scores are compared only where both are of the same image, predicted class and target class."""
