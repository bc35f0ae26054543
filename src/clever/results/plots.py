"""Plots of scores, distances, and the law fitted to the maxima of a score. They need matplotlib."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clever._internal.optional import import_extra
from clever.norms import Norm
from clever.results.distance import Distance
from clever.results.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00")
"""Okabe and Ito's colour-blind safe palette; in grey, the markers differ."""
MARKERS = ("o", "s", "^", "D", "v", "P")
DUAL = {Norm.L1: "L∞", Norm.L2: "L2", Norm.LINF: "L1"}


def scores(items: Sequence[Score], names: Sequence[str] = ()) -> "Figure":
    """Score by image, one panel per norm, one marker per target; hollow if capped.

    Bars show the nominal 95 % interval if it is known.
    """
    figure, panels, targets, places = _panels(items, names, "score")
    for norm, panel in panels.items():
        for k, target in enumerate(targets):
            shift = 0.12 * (k - (len(targets) - 1) / 2)
            for score in (s for s in items if (s.norm, s.target) == (norm, target) and np.isfinite(s.score)):
                known = np.isfinite(score.low) and np.isfinite(score.high)
                low, high = (max(0, score.score - score.low), max(0, score.high - score.score)) if known else (0, 0)
                panel.errorbar(
                    places[score.image_index] + shift, score.score, [[low], [high]], capsize=2, lw=1, ls="",
                    marker=MARKERS[k % 6], color=COLOURS[k % 6], mfc="none" if score.capped else None, ms=5,
                )  # fmt: skip
            panel.plot([], [], ls="", marker=MARKERS[k % 6], color=COLOURS[k % 6], label=target)
    return _with_legend(figure)


def distances(items: Sequence[Distance], names: Sequence[str] = ()) -> "Figure":
    """Adversarial distance by image, one panel per norm, one marker per target; hollow at the upper edge if the attack
    failed."""
    figure, panels, targets, places = _panels(items, names, "distance")
    for norm, panel in panels.items():
        top = 1.1 * max([d.distance for d in items if d.norm == norm and np.isfinite(d.distance)], default=1.0)
        for k, target in enumerate(targets):
            style: dict[str, Any] = {"ls": "", "marker": MARKERS[k % 6], "color": COLOURS[k % 6], "ms": 5}
            shift = 0.12 * (k - (len(targets) - 1) / 2)
            selected = [d for d in items if (d.norm, d.target) == (norm, target)]
            for is_finite in (True, False):
                shown = [d for d in selected if np.isfinite(d.distance) == is_finite]
                x = [places[d.image_index] + shift for d in shown]
                fill = None if is_finite else "none"
                panel.plot(x, [min(d.distance, top) for d in shown], mfc=fill, **style)
            panel.plot([], [], **style, label=target)
    return _with_legend(figure)


def _panels(
    items: Sequence[Score] | Sequence[Distance], names: Sequence[str], quantity: str
) -> "tuple[Figure, dict[str, Axes], list[str], dict[int, int]]":
    """A figure, its panel for each norm, the targets, and the x position of each image index."""
    pyplot = import_extra("matplotlib", "a plot", "matplotlib.pyplot")
    norms, targets = (list(dict.fromkeys(values)) for values in zip(*((s.norm, s.target) for s in items), strict=True))
    places = {index: place for place, index in enumerate(dict.fromkeys(item.image_index for item in items))}
    size = (3.4 * len(norms), 2.8)
    figure, axes = pyplot.subplots(1, len(norms), figsize=size, squeeze=False, layout="constrained")
    for panel, norm in zip(axes[0], norms, strict=True):
        panel.set_xticks(list(places.values()), [names[index] if names else str(index) for index in places])
        panel.tick_params(axis="x", rotation=45 if names else 0)
        panel.set(xlabel="image", ylabel=f"{norm} {quantity} (pixel units)")
    return figure, dict(zip(norms, axes[0], strict=True)), targets, places


def _with_legend(figure: "Figure") -> "Figure":
    for panel in figure.axes:
        panel.set_ylim(bottom=0)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
    return figure


def fit(score: Score, axes: "Axes | None" = None) -> "Axes":
    """Histogram of the batch maxima, the fitted reverse Weibull density, and the estimated end point."""
    from scipy.stats import weibull_max  # slow to import (0.5 s), not needed by scores

    pyplot = import_extra("matplotlib", "a plot", "matplotlib.pyplot")
    axes = pyplot.subplots(figsize=(4.2, 2.8), layout="constrained")[1] if axes is None else axes
    assert axes is not None
    point, maxima = score.end_point, score.maxima.astype(np.float64)
    axes.hist(
        maxima,
        bins=1 if point.degenerate else "auto",
        density=True,
        color="#C8C8C8",
        edgecolor="#707070",
        label="maxima",
    )
    if np.isfinite(point.shape):
        x = np.linspace(maxima.min(), point.value, 400, endpoint=False)
        axes.plot(x, weibull_max(point.shape, point.value, point.scale).pdf(x), color=COLOURS[0], label="fit")
    axes.axvline(point.value, color=COLOURS[1], ls="--", label="end point")
    axes.set_xlabel(f"{DUAL[Norm.parse(score.norm)]} norm of ∇g" if score.order == "first_order" else "batch maxima")
    axes.set_ylabel("density")
    # The legend is above the axes, where it covers no data.
    axes.set_title(f"image {score.image_index}, {score.norm} score {score.score:.3g}", fontsize="medium", pad=26)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, frameon=False, fontsize="small")
    return axes
