"""The cost of a score, in gradients."""

import pandas as pd

PRODUCT = 2
"""Cost of a Hessian-vector product in gradients, as it runs forward and backward through the graph of a gradient."""


def gradients(rows: pd.DataFrame) -> "pd.Series[float]":
    """The cost of each score: gradients at sampled points, at the image and on the path, and `PRODUCT` per product.

    A gradient of a defense that averages over draws counts once. ``rows.products``: mean number of products per point.
    """
    points = rows.n_batches * rows.n_samples
    products = rows["products"].fillna(0) if "products" in rows else 0
    cost: pd.Series[float] = rows.gradients + points * PRODUCT * products
    return cost
