"""What a run will cost, before it: cells, gradients, time from a short measurement, disk. Computes no score."""

import math
import statistics
import time

import pandas as pd
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from tqdm.auto import tqdm

from clever._internal.capacity import Capacity, Measure
from clever.attacks.search import passes
from clever.bounds.first_order import NORMS, FirstOrder, Order
from clever.classifier.compute import Compute
from clever.classifier.subjects import ImageContext, image_context
from clever.classifier.wrappers import frozen, logits_of
from clever.defenses.bpda import Defended, on_segments
from clever.sampling.maxima import KEPT
from clever.settings import Settings
from pipeline.attack.run import attack_config, attack_strength, success_criterion
from pipeline.shared.app.composed import each_cell
from pipeline.shared.app.listed import listed, norms_of
from pipeline.shared.data.selection import settings_of
from pipeline.shared.models.classifier import backward_of, bare, defense_of, device
from pipeline.shared.text.durations import told

SECONDS = 2.0
"""Of each measurement, half of which only warms up."""
COLUMNS = len(NORMS)
"""Of what is kept of a batch: the three norms of the first order; the second has a few more."""
MOST_TARGETS = 10
"""Target classes that are measured together; of more, the forward pass is a small part."""
FILE = 3000
"""Bytes of a file of the store beside its numbers."""


def run(config: DictConfig) -> None:
    """Prints a line a cell and the totals. Neither data nor weights are needed: speed does not depend on them."""
    rows, measured = [], {}
    for cell in tqdm(list(each_cell(config)), desc="measuring", unit="cell"):
        same_speed = repr([cell[group] for group in ("model", "defense", "order", "compute", "device", "targets")])
        if same_speed not in measured:
            measured[same_speed] = _speed(cell)
        rows.append(_row(cell, *measured[same_speed]))
    table = pd.DataFrame(rows)
    shown = table.drop(columns=["attacked", "attack seconds", "attack bytes"])
    print(
        shown.assign(seconds=shown.seconds.map(told))
        .rename(columns={"seconds": "time"})
        .to_markdown(index=False, floatfmt=",.4g", intfmt=",")
    )
    # Two cells with the same network and defense share their attacks.
    attacks = table.drop_duplicates("attacked")[["attack seconds", "attack bytes"]].sum()
    images = attacks["attack bytes"] / 1e6
    print(f"device: {device(config)}; as much as there can be: misclassified images will be left out")
    print(f"gradients: {table.gradients.sum():,}")
    print(f"time: {told(table.seconds.sum())} for scores, {told(attacks['attack seconds'])} for attacks")
    print(f"disk: {table['store MB'].sum() + images:,.0f} MB of store, {images:,.0f} MB of them adversarial images")


def _row(cell: DictConfig, classes: int, per_second: float, passes_per_second: float) -> dict[str, object]:
    settings, norms = settings_of(cell), norms_of(cell.norms, "norms")
    per_image, n_images = _targets(cell, classes), cell.score.n_images
    balls = {settings.ball(norm) for norm in norms}
    batches = n_images * per_image * len(balls) * settings.n_batches
    gradients = batches * settings.n_samples
    strength = attack_strength(cell)
    defense = defense_of(cell)
    attacked = attack_config(cell)
    attacks = n_images * _targets(attacked, classes) if cell.attack.taken_from is None else 0
    of_norms = norms_of(attacked.norms, "attack.norms")
    return {
        "cell": cell.cell,
        "network": cell.model.name,
        "images": n_images,
        "targets": per_image,
        "balls": len(balls),
        "N_b": settings.n_batches,
        "N_s": settings.n_samples,
        "gradients": gradients,
        "gradients/s": per_second,
        "seconds": gradients / per_second,
        "store MB": (batches * COLUMNS * (KEPT * 12 + 4) + n_images * len(balls) * FILE) / 1e6,
        "attacked": f"{cell.model.name} {defense}",
        "attack seconds": attacks
        * sum(passes(norm, strength, defense, criterion=success_criterion(cell)) for norm in of_norms)
        / passes_per_second,
        "attack bytes": attacks * len(of_norms) * math.prod(_shape(cell)) * 4,
    }


def _speed(cell: DictConfig) -> tuple[int, float, float]:
    """The number of classes, what is measured a second by the cell's order, and gradients a second for one target."""
    network, normalize = bare(cell)
    complete = nn.Sequential(normalize, network).to(device(cell))
    defense, compute = defense_of(cell), Compute(**cell.compute)
    order: Order = instantiate(cell.order)
    settings = settings_of(cell)
    example = torch.rand(_shape(cell), device=device(cell)).mul_(255).round_().div_(255)  # of 8 bits, as images are
    with frozen(complete), compute.arithmetic():
        backward = backward_of(cell.backward, defense) if cell.bpda else None
        sampled = Defended(compute.applied(complete), defense, bpda=cell.bpda, backward=backward)
        attacked = Defended(complete, defense, backward=backward_of(cell.attack.backward, defense))
        logits = logits_of(attacked, example.unsqueeze(0))[0]
        others = logits.argsort(descending=True).tolist()[1:]
        targets = others[: min(_targets(cell, len(logits)), MOST_TARGETS)]
        order.check(sampled, example.unsqueeze(0), settings)
        context = image_context(attacked, example, 0, targets, settings)
        assert context is not None  # it has no label to differ from
        of_order = _rate(_measure(order, sampled, example, context, targets, settings), example) * len(targets)
        return len(logits), of_order, _rate(FirstOrder().measure(attacked, example, context, targets[:1]), example)


def _measure(
    order: Order, sampled: Defended, example: Tensor, context: ImageContext, targets: list[int], settings: Settings
) -> Measure:
    """Of an image; on segments, its transformation included."""
    if not (settings.segments or order.segments):
        return order.measure(sampled, example, context, targets)
    network, transform = on_segments(sampled)
    measure = order.measure(network, example, context, targets)
    return lambda points: measure(transform(points))


def _shape(cell: DictConfig) -> tuple[int, int, int]:
    """Of an image, as the network sees it."""
    return cell.data.get("channels", 3), cell.data.size, cell.data.size


def _targets(cell: DictConfig, classes: int) -> int:
    """How many target classes an image has, at most."""
    targets = listed(cell.targets, "targets")
    return classes - 1 if "untargeted" in targets else min(len(targets), classes - 1)


def _rate(measure: Measure, example: Tensor) -> float:
    """Points a second."""
    capacity = Capacity.of(measure, example)
    points = example.expand(capacity.size, -1, -1, -1).contiguous()
    turns: list[float] = []
    while sum(turns) < SECONDS or len(turns) < 4:
        started = time.perf_counter()
        float(capacity.run(measure, points).sum())  # waits for the device
        turns.append(time.perf_counter() - started)
    return len(points) / statistics.median(turns[len(turns) // 2 :])  # the first half warms up, and compiles
