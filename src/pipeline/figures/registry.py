"""The registry of figures. To add a figure, write a module with a `Figure` in this folder and list it here."""

from pipeline.figures import (
    adversaries,
    against,
    bpda,
    convergence,
    curves,
    draws,
    evidence,
    exact,
    fits,
    images,
    masking,
    networks,
    orders,
    published,
    radius,
    sandwich,
    scores,
)
from pipeline.figures.figure import Figure

FIGURES: tuple[Figure, ...] = (
    evidence.FIGURE,
    sandwich.FIGURE,
    against.FIGURE,
    exact.FIGURE,
    scores.FIGURE,
    curves.FIGURE,
    radius.FIGURE,
    bpda.FIGURE,
    masking.FIGURE,
    adversaries.FIGURE,
    orders.FIGURE,
    networks.FIGURE,
    published.FIGURE,
    draws.FIGURE,
    fits.FIGURE,
    convergence.FIGURE,
    images.FIGURE,
)
"""All figures, in the order of the report."""
