"""How far the batch maxima depend on what must not decide them: points that go through the network at once, threads.

For each network and order, the maxima of a few batches in passes of several sizes and with several numbers of threads,
beside those of the usual size with one thread. Example: python benchmarks/determinism.py
"""

import numpy as np
import torch
from networks import SIZES, network, subject_with_targets
from report import parser, report
from tqdm import tqdm

from clever import FirstOrder, SecondOrder, paper
from clever._internal.capacity import Capacity
from clever.bounds.first_order import Order
from clever.classifier.wrappers import frozen
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler, batch_maxima
from pipeline.shared.models.networks.densenet import DenseNet
from pipeline.shared.models.networks.small import mlp

USUAL = 64


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--passes", type=int, nargs="+", default=[1, 7, 32, USUAL])
    described.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    described.add_argument("--batches", type=int, default=4)
    described.add_argument("--densenet121", action="store_true", help="minutes more")
    options = described.parse_args()
    torch.manual_seed(0)
    smooth = DenseNet(
        "softplus", growth_rate=8, block_config=(3, 3, 3), num_init_features=16, bn_size=2, num_classes=10
    )
    plans: list[tuple[str, torch.nn.Module, int, Order, int]] = [
        ("small DenseNet", network("small"), SIZES["small"], FirstOrder(), 64),
        ("small DenseNet, softplus", smooth.eval(), SIZES["small"], SecondOrder(), 8),
        ("MLP, tanh", mlp(activation="tanh", size=32, channels=3, hidden=64, classes=10), 32, SecondOrder(), 64),
    ]
    if options.densenet121:
        plans.append(("DenseNet-121", network("densenet121"), SIZES["densenet121"], FirstOrder(), 16))
    rows = []
    for name, classifier, size, order, n_samples in plans:
        image = torch.rand(3, size, size, generator=torch.Generator().manual_seed(1))
        ball_sampler = BallSampler(image, "an image", Ball(Norm.L2, 3.0), n_samples, 0, True)
        reference = None
        cases = [(USUAL, options.threads[0])]
        cases += [(passes, threads) for threads in options.threads for passes in options.passes]
        for passes, threads in tqdm(list(dict.fromkeys(cases)), desc=name):
            torch.set_num_threads(threads)
            with frozen(classifier):
                context, targets = subject_with_targets(classifier, image, 2)
                measure = order.measure(classifier, image, context, targets)
                found = batch_maxima(measure, ball_sampler, range(options.batches), Capacity(passes), lambda _: None)
            column = order.column(Norm.L2, paper())
            maxima = found.value[:, :, column, 0].astype(float)
            reference = maxima if reference is None else reference
            change = np.abs(maxima - reference) / np.maximum(reference, np.finfo(np.float32).tiny)
            rows.append(
                {
                    "network": name,
                    "order": order.name,
                    "points at once": passes,
                    "threads": threads,
                    "maxima": maxima.size,
                    "equal": int((change == 0).sum()),
                    "largest change": float(f"{change.max():.2g}"),
                }
            )
    torch.set_num_threads(options.threads[0])
    report(rows, options.out)


if __name__ == "__main__":
    main()
