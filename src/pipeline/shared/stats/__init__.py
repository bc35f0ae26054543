"""Confidence intervals, paired comparisons and verdicts."""
