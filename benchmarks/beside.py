"""Values beside distances of the same images: the columns that the tables of truth and of peers have in common."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

import clever
from clever.norms import Norm
from pipeline.aggregate.calibration import ABOVE
from pipeline.aggregate.cost import PRODUCT
from pipeline.shared.stats.statistics import binomial_interval, rank_correlation
from pipeline.shared.text.formats import share

ROUNDING = 1e-4
"""Relative: a value is above a distance when it is so by more."""


@dataclass(frozen=True)
class Values:
    """One number an image, NaN where there is none. ``gradients`` and ``seconds``: of an image, in the mean."""

    values: NDArray[np.float64]
    gradients: float
    seconds: float
    scores: tuple[clever.Score, ...] = ()

    @classmethod
    def joined(cls, parts: Sequence["Values"]) -> "Values":
        """Those of several networks, of as many images each."""
        values = np.concatenate([part.values for part in parts])
        gradients, seconds = (float(np.mean([getattr(part, of) for part in parts])) for of in ("gradients", "seconds"))
        return cls(values, gradients, seconds, tuple(score for part in parts for score in part.scores))

    def columns(self, distances: ArrayLike) -> dict[str, object]:
        """Of the positive, finite values: ratio to the distance, how many are above it, what no factor changes, cost.

        ``above`` with its exact binomial 95 % interval. ``spread``: the standard deviation of log(value / distance);
        ``median at 5 % above``: of the ratio, once all values are scaled so that so many are above; ``rank
        correlation``: Spearman's.
        """
        usable = self._usable(distances)
        ratios = self.ratios(distances)
        above = int((ratios > 1 + ROUNDING).sum())
        low, high = binomial_interval(above, len(ratios))
        quantiles = np.quantile(ratios, [0.5, 0, 0.25, 0.75, 1]) if len(ratios) else [np.nan] * 5
        names = "value / distance, median", "least", "first quartile", "third quartile", "largest"
        return {
            "images": len(ratios),
            **{name: round(float(value), 3) for name, value in zip(names, quantiles, strict=True)},
            "above": share(above / len(ratios), low, high) if len(ratios) else "",
            "spread": round(float(np.log(ratios).std(ddof=1)), 3) if len(ratios) > 1 else np.nan,
            "median at 5 % above": round(float(quantiles[0] / np.quantile(ratios, 1 - ABOVE)), 3)
            if len(ratios)
            else np.nan,
            "rank correlation": round(rank_correlation(self.values[usable], np.asarray(distances)[usable]), 2),
            "gradients": f"{self.gradients:.0f}" if self.gradients else "",
            "ms an image": f"{1e3 * self.seconds:.0f}" if self.seconds else "",
            "us a gradient": f"{1e6 * self.seconds / self.gradients:.1f}" if self.gradients and self.seconds else "",
        }

    def ratios(self, distances: ArrayLike) -> NDArray[np.float64]:
        """Of the positive, finite values and known distances."""
        usable = self._usable(distances)
        ratios: NDArray[np.float64] = self.values[usable] / np.asarray(distances)[usable]
        return ratios

    def _usable(self, distances: ArrayLike) -> NDArray[np.bool_]:
        distances = np.asarray(distances)
        usable: NDArray[np.bool_] = (
            np.isfinite(self.values) & (self.values > 0) & np.isfinite(distances) & (distances > 0)
        )
        return usable


def library(
    network: nn.Module,
    images: Tensor,
    settings: clever.Settings,
    norm: Norm,
    order: clever.FirstOrder | clever.SecondOrder = clever.FirstOrder(),  # noqa: B008 (frozen)
) -> Values:
    """`clever.score` of each image for its second class; a Hessian-vector product as `PRODUCT` gradients."""
    started = time.process_time()
    found = clever.score(network, images, settings, targets=["top2"], norms=[norm], order=order, progress=False)
    seconds = time.process_time() - started
    scores = tuple(found)
    cost = [score.gradients * (1 + PRODUCT * score.diagnostics.get("products", 0.0)) for score in scores]
    return Values(np.array([score.score for score in scores]), float(np.mean(cost)), seconds / len(scores), scores)


def one_gradient(scores: Sequence[clever.Score]) -> Values:
    """g / ||grad g||_q at the image itself, which costs one gradient."""
    return Values(np.array([score.margin / score.gradient_norm for score in scores]), 1.0, 0.0)
