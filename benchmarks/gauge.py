"""The gauge beside published BPDA on a real network: what K costs beyond the gradient's norm, and what the scores are.

Needs a DenseNet-BC and CIFAR-10 images (benchmarks/cifar10.py). For each defense, image and ball: min(g / L, R) as
published, from the largest gradient norm at images t(x), and min(g / K, R), from the largest gauge on the segments,
both of the same x. Example: python benchmarks/gauge.py --images 4
"""

import statistics
import time

import torch
from cifar10 import DEFENSES, sample
from report import parser, report
from torch import Tensor
from tqdm import tqdm

import clever
from clever._internal.capacity import Capacity
from clever.bounds.first_order import Order
from clever.classifier.image_context import ImageContext, image_context
from clever.classifier.wrappers import frozen
from clever.defenses.bpda import BareNetwork
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler, batch_maxima

ALL_DEFENSES = DEFENSES | {"bit_depth, truncating": clever.BitDepth(3, rounding="truncate")}
BALLS = [Ball(Norm.L2, 3.0), Ball(Norm.L2, 0.1), Ball(Norm.LINF, 0.1)]


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, default=4)
    described.add_argument("--points", type=int, default=128)
    described.add_argument("--defenses", nargs="+", choices=list(ALL_DEFENSES), default=list(ALL_DEFENSES))
    options = described.parse_args()
    torch.set_num_threads(1)
    net, images, labels = sample(options.images)
    settings = clever.paper(reference="defended")
    rows = []
    orders: list[Order] = [clever.FirstOrder(), clever.Gauge()]
    with frozen(net), tqdm(total=len(options.defenses) * len(images)) as bar:
        for name in options.defenses:
            defended = clever.Defended(net, ALL_DEFENSES[name])
            for image, label in zip(images, labels, strict=True):
                context = image_context(defended, image, 0, ["top2"], settings, int(label))
                for ball in BALLS if context else []:
                    assert context
                    rows += [measured(order, defended, image, context, ball, options.points) for order in orders]
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
    order: Order, defended: clever.Defended, image: Tensor, context: ImageContext, ball: Ball, n_points: int
) -> dict[str, object]:
    """min(g / largest, R) of one batch of points, and the processor time that took."""
    f = BareNetwork(defended.network, defended.defense)
    network, transform = (f, f.transform) if order.segments else (defended, None)
    ball_sampler = BallSampler(image, context.name, ball, n_points, 0, True, transform)
    measure = order.measure(network, image, context, context.classes)
    started = time.process_time()
    found = batch_maxima(measure, ball_sampler, range(1), Capacity(32), lambda _: None)
    seconds = time.process_time() - started
    (target,) = context.classes
    largest = float(found.value[0, 0, order.column(ball.norm, clever.paper()), 0])
    score = order.bound(context, target, ball.norm, largest, ball.radius)
    return {
        "ball": f"{ball.norm}, R = {ball.radius:g}",
        "image": context.name[:8],
        "score": float(f"{score:.4g}"),
        "seconds": round(seconds, 2),
    }


if __name__ == "__main__":
    main()
