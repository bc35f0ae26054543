"""Prepared images, and which of them a run uses."""
