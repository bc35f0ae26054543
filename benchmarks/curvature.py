"""Lanczos against the authors' power iteration: Hessian-vector products per point, and errors of both.

Every network is trained briefly on scikit-learn's digits (8x8, or enlarged to 3x32x32). A batch is points of an L2 ball
around one test image, the margin that of its two best classes. Both methods run in float32; the truth is the dense
Hessian in float64 (or, for 3072 inputs, ARPACK at tolerance 0 on products in float64). Errors are relative to the
spectral radius. "power" stops as the authors' code stops: 500 steps, or a change below 1e-3 over the batch.
"""

import argparse
import copy
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from report import parser, report
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.datasets import load_digits
from torch import Tensor, nn
from tqdm.auto import tqdm

from clever import Lanczos
from clever.bounds.eigenvalues import Eigenvalues, Solver
from clever.bounds.power_iteration import PowerIteration
from clever.classifier.hessian import Hessian, Margin

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus}
SOLVERS: dict[str, Solver] = {"power": PowerIteration(), "lanczos": Lanczos()}


def digits(large: bool) -> tuple[Tensor, Tensor]:
    """Images in [0,1] and labels."""
    raw = load_digits()
    images = torch.tensor(raw.images, dtype=torch.float32).unsqueeze(1) / 16
    if large:
        images = nn.functional.interpolate(images, size=(32, 32), mode="bilinear").expand(-1, 3, -1, -1)
    return images.contiguous(), torch.tensor(raw.target)


def network(kind: str, activation: str, large: bool) -> nn.Module:
    """A two-layer MLP, or a network with three convolutions."""
    act, channels, side = ACTIVATIONS[activation], 3 if large else 1, 32 if large else 8
    if kind == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * side**2, 64), act(), nn.Linear(64, 10))
    layers: list[nn.Module] = [nn.Conv2d(channels, 16, 3, padding=1), act()]
    layers += [nn.Conv2d(16, 16, 3, stride=2, padding=1), act(), nn.Conv2d(16, 32, 3, stride=2, padding=1), act()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 32), act(), nn.Linear(32, 10))


def train(model: nn.Module, images: Tensor, labels: Tensor, epochs: int) -> None:
    """Adam on all but the last 200 images."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(images) - 200).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
    model.eval().requires_grad_(False)


def margin_of(model: nn.Module, image: Tensor) -> Margin:
    """The margin of the two classes that lead at the image."""
    first, second = model(image.unsqueeze(0))[0].topk(2).indices.tolist()
    return lambda points: model(points)[:, first] - model(points)[:, second]


def truth(margin: Margin, points: Tensor) -> tuple[Tensor, Tensor]:
    """Smallest eigenvalue and spectral radius of each Hessian, in float64."""
    if points[0].numel() <= 256:
        hessian, dim = Hessian(margin, points), points[0].numel()
        columns = [hessian(unit.expand(len(points), dim)) for unit in torch.eye(dim, dtype=points.dtype)]
        spectra = torch.linalg.eigvalsh(torch.stack(columns, dim=2))
        return spectra[:, 0], spectra.abs().amax(1)
    ends = torch.tensor([_arpack(Hessian(margin, point.unsqueeze(0)), point.numel()) for point in points])
    return ends[:, 0], ends.abs().amax(1)


def _arpack(hessian: Hessian, dim: int) -> tuple[float, float]:
    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(hessian(torch.from_numpy(np.ravel(vector)).unsqueeze(0))[0].numpy())

    operator = LinearOperator((dim, dim), matvec=product, dtype=np.float64)
    low, high = eigsh(operator, k=2, which="BE", tol=0, ncv=60, return_eigenvectors=False)
    return float(low), float(high)


def measured(arguments: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Two rows a network: the batches' points taken together."""
    images, labels = digits(arguments.large)
    for kind in ("mlp", "cnn"):
        for activation in ACTIVATIONS:
            torch.manual_seed(arguments.seed)
            model = network(kind, activation, arguments.large)
            train(model, images, labels, arguments.epochs)
            reference = copy.deepcopy(model).double()
            results: dict[str, list[tuple[Eigenvalues, Tensor, float]]] = {name: [] for name in SOLVERS}
            for index in tqdm(range(arguments.batches), desc=f"{kind}, {activation}", unit="batch", leave=False):
                image = images[-1 - index]
                generator = torch.Generator().manual_seed(arguments.seed + index)
                away = torch.randn(arguments.batch, *image.shape, generator=generator).flatten(1)
                # Uniform in the ball.
                length = torch.rand(arguments.batch, 1, generator=generator) ** (1 / away.shape[1]) * arguments.radius
                points = image + (away / away.norm(dim=1, keepdim=True) * length).view(-1, *image.shape)
                smallest, scale = truth(margin_of(reference, image.double()), points.double())
                for method, solver in SOLVERS.items():
                    began = time.perf_counter()
                    found = solver(margin_of(model, image), points, generator)
                    seconds = time.perf_counter() - began
                    results[method].append((found, (found.value - smallest).abs() / scale, seconds))
            powers, lanczos = (torch.stack([f.products.double().mean() for f, _, _ in r]) for r in results.values())
            for method, runs in results.items():
                error = torch.cat([e for _, e, _ in runs])
                products = torch.cat([found.products for found, _, _ in runs]).double()
                yield {
                    "network": kind,
                    "activation": activation,
                    "inputs": images[0].numel(),
                    "batches": f"{arguments.batches} of {arguments.batch}",
                    "method": method,
                    "products, mean": round(float(products.mean()), 1),
                    "median": int(products.median()),
                    "90 %": int(products.quantile(0.9)),
                    "worst": int(products.max()),
                    "error, median": float(f"{error.median():.1e}"),
                    "error, 90 %": float(f"{error.quantile(0.9):.1e}"),
                    "error, worst": float(f"{error.max():.1e}"),
                    "power / lanczos": ""
                    if method == "power"
                    else _ratio(powers / lanczos, powers.mean() / lanczos.mean()),
                    "seconds": round(sum(s for _, _, s in runs), 2),
                }


def _ratio(each: Tensor, overall: Tensor) -> str:
    return f"{overall:.1f} ({each.min():.1f}-{each.max():.1f}; {int((each >= 8).sum())}/{len(each)} batches >= 8)"


def main() -> None:
    """Prints the table, and writes it where ``--out`` says."""
    options = parser(__doc__)
    options.add_argument("--large", action="store_true", help="3x32x32 inputs in place of 8x8")
    options.add_argument("--batch", type=int, default=40, help="points a batch (default %(default)s)")
    options.add_argument("--batches", type=int, default=10, help="batches, one image each (default %(default)s)")
    options.add_argument("--radius", type=float, default=1.0, help="of the L2 ball (default %(default)s)")
    options.add_argument("--epochs", type=int, default=40, help="of training (default %(default)s)")
    options.add_argument("--threads", type=int, default=1, help="torch threads (default %(default)s)")
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    report(measured(arguments), arguments.out)


if __name__ == "__main__":
    main()
