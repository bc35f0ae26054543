"""The gauge beside published BPDA on a real network: what K costs beyond the gradient's norm, and what the scores are.

Needs the folder of tests/cifar10_sample.py (CIFAR10_SAMPLE): a DenseNet-BC and CIFAR-10 images. For each defense, image
and ball: min(g / L, R) as published, from the largest gradient norm at images t(x), and min(g / K, R), from the largest
gauge on the segments, both of the same x. Example: python benchmarks/gauge.py --images 4
"""

import os
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from report import parser, report
from torch import Tensor, nn
from tqdm import tqdm

import clever
from clever.bpda import Behind
from clever.capacity import Capacity
from clever.maxima import Site, batch_maxima
from clever.models import frozen
from clever.orders import Order
from clever.sampling import Ball
from clever.subjects import Subject, subject_of
from pipeline.shared.networks.densenet_bc import DenseNetBC

SAMPLE = Path(os.environ.get("CIFAR10_SAMPLE", Path(__file__).parents[2] / "shared" / "cifar10-sample"))
DEFENSES = {
    "identity": clever.Identity(),
    "jpeg": clever.JPEG(),
    "png": clever.PNG(),
    "quantize": clever.Quantize(16),
    "bit_depth": clever.BitDepth(3),
    "bit_depth, truncating": clever.BitDepth(3, rounding="truncate"),
}
BALLS = [Ball(clever.Norm.L2, 3.0), Ball(clever.Norm.L2, 0.1), Ball(clever.Norm.LINF, 0.1)]


def sample(count: int) -> tuple[nn.Module, list[Tensor], list[int]]:
    """The network and the first images of its test set, with their classes."""
    state = torch.load(SAMPLE / "checkpoint_100.pth.tar", map_location="cpu", weights_only=True)["state_dict"]
    network = DenseNetBC(depth=100, growth=12)
    network.load_state_dict(state)
    files = sorted((SAMPLE / "test").rglob("*.png"), key=lambda file: file.name)[:count]
    classes = sorted({folder.name for folder in (SAMPLE / "test").iterdir()})
    images = [torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255 for file in files]
    normalize = clever.Normalize([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010])
    return nn.Sequential(normalize, network).eval(), images, [classes.index(file.parent.name) for file in files]


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, default=4)
    described.add_argument("--points", type=int, default=128)
    described.add_argument("--defenses", nargs="+", choices=list(DEFENSES), default=list(DEFENSES))
    options = described.parse_args()
    torch.set_num_threads(1)
    net, images, labels = sample(options.images)
    settings = clever.paper(reference="defended")
    rows = []
    orders: list[Order] = [clever.FirstOrder(), clever.Gauge()]
    with frozen(net), tqdm(total=len(options.defenses) * len(images)) as bar:
        for name in options.defenses:
            defended = clever.Defended(net, DEFENSES[name])
            for image, label in zip(images, labels, strict=True):
                subject = subject_of(defended, image, 0, ["top2"], settings, label)
                for ball in BALLS if subject else []:
                    assert subject
                    rows += [measured(order, defended, image, subject, ball, options.points) for order in orders]
                    rows[-2] |= {"defense": name}
                    rows[-1] |= {"defense": name}
                bar.update()
    pairs = [
        {
            "defense": first["defense"],
            "ball": first["ball"],
            "image": first["image"],
            "published": first["score"],
            "gauge": second["score"],
            "seconds published": first["seconds"],
            "cost of the gauge": round(float(second["seconds"]) / float(first["seconds"]), 3),
        }
        for first, second in zip(rows[::2], rows[1::2], strict=True)
    ]
    for name in options.defenses:
        print(name, statistics.median(float(row["cost of the gauge"]) for row in pairs if row["defense"] == name))
    report(pairs, options.out, "cpu")


def measured(
    order: Order, defended: clever.Defended, image: Tensor, subject: Subject, ball: Ball, n_points: int
) -> dict[str, object]:
    """min(g / largest, R) of one batch of points, and the processor time that took."""
    f = Behind(defended.network, defended.defense)
    network, seen = (f, f.seen) if order.segments else (defended, None)
    site = Site(image, subject.name, ball, n_points, 0, True, seen)
    measure = order.measure(network, image, subject, subject.classes)
    started = time.process_time()
    found = batch_maxima(measure, site, range(1), Capacity(32), lambda _: None)
    seconds = time.process_time() - started
    (target,) = subject.classes
    largest = float(found.value[0, 0, order.column(ball.norm, clever.paper()), 0])
    score = order.bound(subject, target, ball.norm, largest, ball.radius)
    return {
        "ball": f"{ball.norm}, R = {ball.radius:g}",
        "image": subject.name[:8],
        "score": float(f"{score:.4g}"),
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    main()
