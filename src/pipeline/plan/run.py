"""Cost estimate of a run: cells, gradients, disk, and time from a short measurement; no score is computed."""

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
from clever.attacks.cost import planned_passes
from clever.bounds.first_order import NORMS, FirstOrder, Order
from clever.classifier.compute import Compute
from clever.classifier.image_context import ImageContext, image_context
from clever.classifier.wrappers import finite_logits, frozen
from clever.defenses.bpda import Defended, segment_network
from clever.sampling.maxima import N_KEPT
from clever.settings import Settings
from pipeline.attack.run import attack_config, attack_strength, success_criterion
from pipeline.shared.app.composed import each_cell
from pipeline.shared.app.listed import parse_list, parse_norms
from pipeline.shared.data.selection import sampling_settings
from pipeline.shared.models.classifier import build_backward, build_defense, build_network, device

SPEED_SETTINGS = ("model", "defense", "order", "compute", "device", "targets", "bpda", "backward")
"""Settings that decide the speed of a cell."""
SECONDS = 2.0
"""Duration of each measurement, half of which is warm-up."""
COLUMNS = len(NORMS)
"""Columns stored per batch: the three norms of the first order; the second order has a few more."""
MAX_TARGETS = 10
"""Target classes measured together; with more, the forward pass is negligible."""
FILE_OVERHEAD = 3000
"""Bytes of a store file in addition to its numbers."""


def run(config: DictConfig) -> None:
    """Print a row per cell and the totals. Speed does not depend on data or weights, so neither is needed."""
    rows, measured = [], {}
    for cell in tqdm(list(each_cell(config)), desc="measuring", unit="cell"):
        speed_key = repr([cell[name] for name in SPEED_SETTINGS] + [cell.attack.backward, cell.sampling.segments])
        if speed_key not in measured:
            measured[speed_key] = _speed(cell)
        rows.append(_row(cell, *measured[speed_key]))
    table = pd.DataFrame(rows)
    printed = table.drop(columns=["attacked", "attack seconds", "attack bytes"])
    print(
        printed.assign(seconds=printed.seconds.map(_duration))
        .rename(columns={"seconds": "time"})
        .to_markdown(index=False, floatfmt=",.4g", intfmt=",")
    )
    # Cells with the same network and defense share their attacks.
    attacks = table.drop_duplicates("attacked")[["attack seconds", "attack bytes"]].sum()
    images = attacks["attack bytes"] / 1e6
    print(f"device: {device(config)}; an upper limit, since misclassified images will be excluded")
    print(f"gradients: {table.gradients.sum():,}")
    print(f"time: {_duration(table.seconds.sum())} for scores, {_duration(attacks['attack seconds'])} for attacks")
    print(f"disk: {table['store MB'].sum() + images:,.0f} MB of store, of which {images:,.0f} MB adversarial images")


def _row(cell: DictConfig, classes: int, per_second: float, passes_per_second: float) -> dict[str, object]:
    settings, norms = sampling_settings(cell), parse_norms(cell.norms, "norms")
    per_image, n_images = _targets(cell, classes), cell.score.n_images
    balls = {settings.ball(norm) for norm in norms}
    batches = n_images * per_image * len(balls) * settings.n_batches
    gradients = batches * settings.n_samples
    strength = attack_strength(cell)
    defense = build_defense(cell)
    attacked = attack_config(cell)
    attacks = n_images * _targets(attacked, classes) if cell.attack.taken_from is None else 0
    attack_norms = parse_norms(attacked.norms, "attack.norms")
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
        "store MB": (batches * COLUMNS * (N_KEPT * 12 + 4) + n_images * len(balls) * FILE_OVERHEAD) / 1e6,
        "attacked": f"{cell.model.name} {defense}",
        "attack seconds": attacks
        * sum(planned_passes(norm, strength, defense, criterion=success_criterion(cell)) for norm in attack_norms)
        / passes_per_second,
        "attack bytes": attacks * len(attack_norms) * math.prod(_shape(cell)) * 4,
    }


def _speed(cell: DictConfig) -> tuple[int, float, float]:
    """Number of classes, measurements per second of the cell's order, and gradients per second for one target."""
    network, normalize = build_network(cell)
    complete = nn.Sequential(normalize, network).to(device(cell))
    defense, compute = build_defense(cell), Compute(**cell.compute)
    order: Order = instantiate(cell.order)
    settings = sampling_settings(cell)
    example = torch.rand(_shape(cell), device=device(cell)).mul_(255).round_().div_(255)  # 8-bit values, as in images
    with frozen(complete), compute.arithmetic():
        backward = build_backward(cell.backward, defense) if cell.bpda else None
        sampled = Defended(compute.applied(complete), defense, bpda=cell.bpda, backward=backward)
        attacked = Defended(complete, defense, backward=build_backward(cell.attack.backward, defense))
        logits = finite_logits(attacked, example.unsqueeze(0))[0]
        others = logits.argsort(descending=True).tolist()[1:]
        targets = others[: min(_targets(cell, len(logits)), MAX_TARGETS)]
        order.check(sampled, example.unsqueeze(0), settings)
        context = image_context(attacked, example, 0, targets, settings)
        assert context is not None  # without a label it cannot be misclassified
        order_rate = _rate(_measure(order, sampled, example, context, targets, settings), example) * len(targets)
        return len(logits), order_rate, _rate(FirstOrder().measure(attacked, example, context, targets[:1]), example)


def _measure(
    order: Order, sampled: Defended, example: Tensor, context: ImageContext, targets: list[int], settings: Settings
) -> Measure:
    """The order's measure for an image; on segments, including the transformation."""
    if not (settings.segments or order.segments):
        return order.measure(sampled, example, context, targets)
    network, transform = segment_network(sampled)
    measure = order.measure(network, example, context, targets)
    return lambda points: measure(transform(points))


def _shape(cell: DictConfig) -> tuple[int, int, int]:
    """Shape of the images that the network takes."""
    return cell.data.get("channels", 3), cell.data.size, cell.data.size


def _targets(cell: DictConfig, classes: int) -> int:
    """Maximal number of target classes of an image."""
    targets = parse_list(cell.targets, "targets")
    return classes - 1 if "untargeted" in targets else min(len(targets), classes - 1)


def _rate(measure: Measure, example: Tensor) -> float:
    """Points per second."""
    capacity = Capacity.estimate(measure, example)
    points = example.expand(capacity.size, -1, -1, -1).contiguous()
    durations: list[float] = []
    while sum(durations) < SECONDS or len(durations) < 4:
        started = time.perf_counter()
        float(capacity.run(measure, points).sum())  # waits for the device
        durations.append(time.perf_counter() - started)
    warm = durations[len(durations) // 2 :]  # the first half is warm-up and compilation
    return len(points) / statistics.median(warm)


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds > 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"
