"""Networks, their weights, and the classifier of a cell."""
