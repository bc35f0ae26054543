"""Shared style of the figures: colours for colour-blind readers and for print, axes, legends, and saving."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray

from pipeline.shared.app.artifacts import write_atomically

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every table of each font that it reduces

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C00", "#7F3C8D", "#8A8A8A")
"""Okabe and Ito's palette and further colours, distinguishable for the colour-blind and, with the markers, in grey."""
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "<", ">")


def colour(index: int) -> str:
    """The colour of the index-th cell, the same in every figure."""
    return COLOURS[index % len(COLOURS)]


def marker(index: int) -> str:
    """The marker of the index-th cell, the same in every figure."""
    return MARKERS[index % len(MARKERS)]


class _EvenSteps(LogLocator):
    """Ticks of a logarithmic axis: decades, or even steps if the axis spans less than half a decade."""

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        if narrow(vmin, vmax):
            return MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(vmin, vmax)
        return super().tick_values(vmin, vmax)


def narrow(low: float, high: float) -> bool:
    """Whether a logarithmic axis spans less than half a decade."""
    return bool(high < low * 10**0.5)


def plain_numbers(*axes: Axis) -> None:
    """Formats tick labels of logarithmic axes as plain numbers, with fewer labels for more decades."""
    for axis in axes:

        def major(value: float, position: float) -> str:
            return f"{value:g}"

        def minor(value: float, position: float, axis: Axis = axis) -> str:
            low, high = axis.get_view_interval()
            decades = np.log10(high / low)
            shown = "" if narrow(low, high) else "236" if decades < 1.5 else "3" if decades < 2.5 else ""
            return f"{value:g}" if f"{value:e}"[0] in shown else ""

        axis.set_major_locator(_EvenSteps())
        axis.set_major_formatter(major)
        axis.set_minor_formatter(minor)


def logarithmic(axes: Axes, values: NDArray[np.float64]) -> None:
    """Makes the y axis logarithmic with plain numbers, if any value is positive and finite."""
    if (np.isfinite(values) & (values > 0)).any():
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)


def unbounded(axes: Axes, x: NDArray[np.float64], shade: str) -> None:
    """Draws an arrow at the top edge for every infinite value."""
    for place in x:
        axes.annotate(
            "∞", (place, 1.0), (place, 0.9), ("data", "axes fraction"), ("data", "axes fraction"),
            {"arrowstyle": "->", "color": shade}, color=shade, ha="center", fontsize=8,
        )  # fmt: skip


def legend_above(drawn: Figure, axes: Axes) -> None:
    """Draws the legend of ``axes`` above all panels, in as many columns as fit."""
    handles, labels = axes.get_legend_handles_labels()
    widest = 0.65 + 0.065 * max(map(len, labels))  # width of an entry in inches: its marker, and 8-point letters
    columns = min(max(int(drawn.get_figwidth() / widest), 1), len(labels))
    drawn.legend(handles, labels, loc="outside upper center", ncols=columns, frameon=False, fontsize=8)


def note_below(drawn: Figure, text: str) -> None:
    """Draws an explanation of the markers below all panels, wrapped to the figure's width."""
    letters = int(drawn.get_figwidth() / 0.065)  # 8-point letters per line
    drawn.supxlabel("\n".join(wrap(text, letters)), fontsize=8)


def picture(axes: Axes, image: NDArray[np.floating]) -> None:
    """Draws an image (channel, height, width), RGB or grey, clipped to [0,1], without interpolation or ticks."""
    axes.imshow(np.clip(np.moveaxis(image, 0, -1), 0, 1), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
}
"""Matplotlib settings of every figure."""


@contextmanager
def figure(folder: Path, name: str, *, width: float, height: float) -> Iterator[Figure]:
    """A figure of the given size in inches, saved as PDF and PNG, reproducible byte by byte, when the block ends."""
    with mpl.rc_context(STYLE):
        drawn = plt.figure(figsize=(width, height), layout="constrained")
        try:
            yield drawn
            for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
                draw = partial(drawn.savefig, format=kind, dpi=160, metadata=metadata)
                write_atomically(folder / f"{name}.{kind}", draw)
        finally:
            plt.close(drawn)
