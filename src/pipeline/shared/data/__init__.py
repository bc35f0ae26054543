"""Prepared images, and the selection that a run uses."""
