"""What a score costs, in gradients."""

import pandas as pd

PRODUCT = 2
"""Gradients that a Hessian-vector product costs: it goes through the graph of one, forward and back."""


def gradients(rows: pd.DataFrame) -> "pd.Series[float]":
    """Of each score: those at the sampled points, at the image and on the path, and each product as `PRODUCT` of them.

    One is of the whole defended network, whatever it averages over. ``products``: of a point, in the mean.
    """
    points = rows.n_batches * rows.n_samples
    products = rows["products"].fillna(0) if "products" in rows else 0
    found: pd.Series[float] = rows.gradients + points * PRODUCT * products
    return found
