"""Every estimator beside the exact Linf distance, on small ReLU networks: what is piecewise linear has a solver.

Networks of two hidden layers of 16 units on scikit-learn's digits, 8 x 8 pixels, held-out images that they are right
on, the second most likely class. The exact distance, to where that is no less likely than the predicted class, is the
optimum of a mixed integer linear programme (relu_distance.py) in the ball of an attack's distance; images without a
proven optimum in time are counted and left out.

``value / exact``: over the images of all networks, and its medians for each network; ``above``: the share of images
whose value is more than the exact distance; ``spread``: the standard deviation of log(value / exact). ``discrete``: the
share of scores whose maxima repeat each other, so that no law was fitted and the sample maximum stands for L (for
``maximum``, which fits none: all maxima equal); such a network has few different gradients in a ball. ``largest /
bound`` and ``L / bound``: the sampled maximum, and the estimate of L, over an upper bound of L in the images of the
ball, in the median. The bound is interval arithmetic of the units' signs (`relu_net.Margin.lipschitz_bound`), plain and
sound and not tight; auto_LiRPA, which has tighter ones, cannot be installed beside this torch: its releases there want
one before 1.13. The rows "interval bound" are the scores that it gives, which are certificates. Times are processor
seconds, one thread.
Rows of ART's clever_t are there where it is installed: pip install adversarial-robustness-toolbox.
Example: python benchmarks/milp.py --out benchmarks/results/milp.csv
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from beside import Values, library, one_gradient
from networks import second_classes
from numpy.typing import NDArray
from peer import installed, toolbox
from relu_distance import nearest
from relu_net import HELD_OUT, Margin, box, digits, trained
from report import parser, report
from torch import Tensor, nn
from tqdm import tqdm

import clever
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength
from clever.extreme_value.estimators import Estimator
from clever.norms import Norm

LINF = Norm.LINF


@dataclass(frozen=True)
class Case:
    """A network with images whose exact distance is known; ``seconds`` of a programme, in the mean."""

    network: nn.Sequential
    images: Tensor
    targets: list[int]
    margins: list[Margin]
    attack: NDArray[np.float64]
    exact: NDArray[np.float64]
    seconds: float

    @classmethod
    def of(cls, seed: int, count: int, epochs: int, limit: float) -> "Case":
        """The first ``count`` held-out images that the network of that seed is right on, without those not solved."""
        network = trained(seed, epochs=epochs)
        images, labels = (part[-HELD_OUT:] for part in digits())
        images, predicted, targets = second_classes(network, images, labels, count)
        attack = smallest_distances(network, images, predicted, targets, LINF, Strength(100), seed=0).distance.numpy()
        margins = [Margin.of(network, own, other) for own, other in zip(predicted, targets, strict=True)]
        flat, started = images.flatten(1).numpy(), time.process_time()
        rows = zip(margins, flat, attack, strict=True)
        solved = [nearest(*row, limit).distance for row in tqdm(rows, desc=f"programmes {seed}", total=len(flat))]
        seconds, exact = (time.process_time() - started) / len(flat), np.array(solved)
        known = np.flatnonzero(np.isfinite(exact))
        return cls(
            network,
            images[known],
            [targets[k] for k in known],
            [margins[k] for k in known],
            attack[known],
            exact[known],
            seconds,
        )

    def bounds(self, radius: float) -> NDArray[np.float64]:
        """Above the Lipschitz constant of each margin in the images of the ball."""
        flat = self.images.flatten(1).numpy()
        return np.array([m.lipschitz_bound(*box(x, radius)) for m, x in zip(self.margins, flat, strict=True)])


Method = Callable[[Case], Values]


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="a network each")
    described.add_argument("--images", type=int, default=20, help="of each network")
    described.add_argument("--epochs", type=int, default=40)
    described.add_argument("--radii", type=float, nargs="+", default=[0.1, 0.3])
    described.add_argument("--budgets", nargs="+", default=["50,128", "100,256"], help="N_b,N_s")
    described.add_argument("--limit", type=float, default=60.0, help="seconds of a programme")
    options = described.parse_args()
    torch.set_num_threads(1)
    cases = [Case.of(seed, options.images, options.epochs, options.limit) for seed in options.seeds]
    left_out = len(cases) * options.images - sum(len(case.exact) for case in cases)
    budgets = [(int(n_b), int(n_s)) for n_b, n_s in (budget.split(",") for budget in options.budgets)]
    rows = [row for row in tqdm(_rows(cases, options.radii, budgets), unit="row")]
    report([row | {"not solved": left_out} for row in rows], options.out)


def _rows(cases: list[Case], radii: list[float], budgets: list[tuple[int, int]]) -> Iterator[dict[str, object]]:
    there = installed()
    for radius in radii:
        for n_b, n_s in budgets:
            drawn = {"n_batches": n_b, "n_samples": n_s}
            of = {"R": radius, "N_b": n_b, "N_s": n_s}
            ours = {"radius": {LINF: radius}, "clip": True} | drawn
            for estimator in Estimator:
                yield _row(cases, str(estimator), of, _library(clever.Settings(estimator=estimator, **ours)), radius)
            if there:
                yield _row(cases, "clever_t of ART", of, _toolbox(n_b, n_s, radius))
        yield _row(cases, "interval bound", {"R": radius}, _certificate(radius))
    settings = clever.Settings(path=True, **ours)
    on_path = _library(settings)
    yield _row(cases, f"{settings.estimator}, path", of, on_path, radius)
    yield _row(cases, "clever.paper", of | {"R": 5.0}, _library(clever.paper(**drawn)))
    yield _row(cases, "clever.reference_code", of | {"R": np.nan}, _library(clever.reference_code(**drawn)))
    yield _row(cases, "one gradient", {}, lambda case: one_gradient(on_path(case).scores))
    yield _row(cases, "attack", {}, lambda case: Values(case.attack, 0.0, 0.0))
    yield _row(cases, "exact", {}, lambda case: Values(case.exact, 0.0, case.seconds))


def _row(
    cases: list[Case], method: str, of: dict[str, object], values: Method, radius: float | None = None
) -> dict[str, object]:
    """``radius``: of the ball in which the scores' L is bounded."""
    each = [values(case) for case in cases]
    pooled, exact = Values.joined(each), np.concatenate([case.exact for case in cases])
    medians = [np.median(part.ratios(case.exact)) for part, case in zip(each, cases, strict=True)]
    row = {"method": method, "R": np.nan, "N_b": np.nan, "N_s": np.nan} | of
    row |= {name.replace("distance", "exact"): value for name, value in pooled.columns(exact).items()}
    row["of each network"] = " ".join(f"{median:.3f}" for median in medians)
    points = [score.end_point for score in pooled.scores]
    if points:
        row["capped"] = f"{np.mean([score.capped for score in pooled.scores]):.0%}"
        row["discrete"] = f"{np.mean([point.discrete or point.degenerate for point in points]):.0%}"
        row["maxima that repeat one, median"] = f"{np.median([point.tied for point in points]):.0f}"
    if points and radius:
        bound = np.concatenate([case.bounds(radius) for case in cases])
        largest = np.array([point.sample_maximum for point in points])
        constant = np.array([score.constant for score in pooled.scores])
        assert (largest <= bound * (1 + 1e-6)).all(), "a sampled gradient is above the interval bound"
        row["largest / bound"] = round(float(np.median(largest / bound)), 3)
        row["L / bound"] = round(float(np.median(constant / bound)), 3)
        row["L above bound"] = f"{np.mean(constant > bound * (1 + 1e-6)):.0%}"
    return row


def _library(settings: clever.Settings) -> Method:
    return lambda case: library(case.network, case.images, settings, LINF)


def _toolbox(n_batches: int, n_samples: int, radius: float) -> Method:
    return lambda case: toolbox(case.network, case.images, case.targets, n_batches, n_samples, radius, LINF)


def _certificate(radius: float) -> Method:
    def scores(case: Case) -> Values:
        flat = case.images.flatten(1).numpy()
        at_image = np.array([margin(x) for margin, x in zip(case.margins, flat, strict=True)])
        return Values(np.minimum(at_image / case.bounds(radius), radius), 0.0, 0.0)

    return scores


if __name__ == "__main__":
    main()
