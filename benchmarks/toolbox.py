"""The same job by this library and by the Adversarial Robustness Toolbox's `clever_t`: 3 targets, 3 norms, one image.

Time per gradient-norm sample: one number ||grad g(x)||_q, at one point, for one target and norm. The toolbox computes
10 * N_s of them for each target and norm, whatever N_b, and resamples its batches from these; we compute N_b * N_s.
``points``: ``own``, a ball for each norm; ``shared``, the points of the L2 ball serve all, as in the authors' code.
Wants the toolbox: pip install adversarial-robustness-toolbox.
Example: python benchmarks/toolbox.py --network densenet121
"""

import time

import numpy as np
import torch
from art.defences.preprocessor import JpegCompression
from art.estimators.classification import PyTorchClassifier
from art.metrics import clever_t
from networks import SIZES, network
from report import parser, report
from tqdm import tqdm

import clever

NORMS = {"L1": 1, "L2": 2, "Linf": np.inf}


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=list(SIZES), default="small")
    described.add_argument("--n-batches", type=int, default=10)
    described.add_argument("--n-samples", type=int, default=16)
    described.add_argument("--toolbox-samples", type=int, default=16, help="N_s of the toolbox, which is slow")
    described.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = described.parse_args()
    net, size = network(options.network, options.device), SIZES[options.network]
    image = torch.rand(3, size, size)
    with torch.no_grad():
        order = net(image.unsqueeze(0).to(options.device))[0].argsort(descending=True).tolist()
    targets, radius = order[1:4], 0.5
    rows = []
    for defense in ("identity", "jpeg"):
        theirs = _toolbox(net, image.numpy(), targets, radius, size, defense, options.toolbox_samples)
        for points in ("own", "shared"):
            ours = _ours(net, image.to(options.device), targets, radius, defense, points == "shared", options)
            rows.append(
                {
                    "network": options.network,
                    "defense": defense,
                    "points": points,
                    "toolbox ms/sample": round(1e3 * theirs, 4),
                    "ours ms/sample": round(1e3 * ours, 4),
                    "ratio": round(theirs / ours, 1),
                }
            )
    report(rows, options.out, options.device)


def _toolbox(
    net: torch.nn.Module, image: np.ndarray, targets: list[int], radius: float, size: int, defense: str, n_samples: int
) -> float:
    jpeg = JpegCompression(clip_values=(0.0, 1.0), quality=75, channels_first=True)
    classifier = PyTorchClassifier(
        net,
        torch.nn.CrossEntropyLoss(),
        input_shape=(3, size, size),
        nb_classes=net.classifier.out_features,
        clip_values=(0.0, 1.0),
        preprocessing_defences=[jpeg] if defense == "jpeg" else None,
        device_type="gpu" if next(net.parameters()).is_cuda else "cpu",
    )
    started = time.perf_counter()
    for target in tqdm(targets, desc=f"toolbox, {defense}", unit="target"):
        for norm in NORMS.values():
            clever_t(classifier, image, target, 10, n_samples, radius, norm, pool_factor=10)
    return (time.perf_counter() - started) / (len(targets) * len(NORMS) * 10 * n_samples)


def _ours(
    net: torch.nn.Module, image: torch.Tensor, targets: list[int], radius: float, defense: str, shared: bool, options
) -> float:
    settings = clever.paper(
        n_batches=options.n_batches,
        n_samples=options.n_samples,
        radius=dict.fromkeys(NORMS, radius),
        shared_points=shared,
        clip=True,
        reference="undefended",
    )
    defended = clever.Defended(net, clever.JPEG() if defense == "jpeg" else clever.Identity())
    started = time.perf_counter()
    clever.score(defended, image, settings, targets=targets, norms=list(NORMS), progress=False)
    return (time.perf_counter() - started) / (len(targets) * len(NORMS) * options.n_batches * options.n_samples)


if __name__ == "__main__":
    main()
