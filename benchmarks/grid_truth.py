"""Both orders against the true smallest adversarial distance, on networks of two and three inputs.

A dense grid around each point finds every place where the network decides otherwise; the distance of the nearest ones
is then refined along the line to the point. Scores are untargeted, so that truth is the distance to any other class,
and nothing is clipped. A score "exceeds" when it is more than 0.1 % above the truth. Beside the estimates stand the
bounds with the true constants on the grid (theorem): those must not exceed. Example: python benchmarks/grid_truth.py
"""

from collections.abc import Iterator

import numpy as np
import torch
from report import parser, report
from torch import Tensor, nn
from tqdm.auto import tqdm

import clever
from clever.bounds import formulas as bounds
from clever.bounds.curvature import curvature_factor
from clever.classifier.hessian import Hessian
from clever.classifier.margin import gradient_norms, margins
from clever.classifier.wrappers import frozen
from clever.norms import Norm

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus}
CLASSES = 3
RADIUS = 0.5
TOLERANCE = 1e-3
ORDERS = {"first_order": clever.FirstOrder(), "second_order": clever.SecondOrder()}


def trained(activation: str, dim: int, seed: int) -> nn.Module:
    """An MLP that separates clusters of three classes, images of shape (1, 1, dim)."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(4 * CLASSES, dim, generator=generator)
    which = torch.randint(len(centres), (3000,), generator=generator)
    points = centres[which] + 0.06 * torch.randn(3000, dim, generator=generator)
    torch.manual_seed(seed)
    act = ACTIVATIONS[activation]
    network = nn.Sequential(nn.Flatten(), nn.Linear(dim, 16), act(), nn.Linear(16, 16), act(), nn.Linear(16, CLASSES))
    for layer in network:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 3
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(400):
        loss = nn.functional.cross_entropy(network(points), which % CLASSES)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def cube(dim: int) -> Tensor:
    """The grid of [-1, 1]^dim, odd so that the middle is on it."""
    axis = torch.linspace(-1, 1, 401 if dim == 2 else 81)
    return torch.cartesian_prod(*[axis] * dim)


def true_distance(network: nn.Module, x0: Tensor, offsets: Tensor, norm: Norm, predicted: int) -> float:
    """The distance to the nearest other class within the radius, infinite if there is none."""
    other = offsets[network(x0 + offsets).argmax(1) != predicted]
    if not len(other):
        return float("inf")
    nearest = other[norm.of(other).argsort()[:200]]
    low, high = torch.zeros(len(nearest), 1, 1, 1), torch.ones(len(nearest), 1, 1, 1)
    for _ in range(20):  # the class changes between low and high
        middle = (low + high) / 2
        changed = (network(x0 + middle * nearest).argmax(1) != predicted).view(-1, 1, 1, 1)
        low, high = torch.where(changed, low, middle), torch.where(changed, middle, high)
    return float(norm.of(high * nearest).min())


def true_bound(network: nn.Module, x0: Tensor, offsets: Tensor, norm: Norm, predicted: int, order: str) -> float:
    """The closed formula with the largest gradient norm, or curvature, on the grid in the ball; over all targets."""
    offsets = offsets[norm.of(offsets) <= RADIUS]
    inside = x0 + offsets[:: 1 + len(offsets) // 50_000]  # the largest of a smooth function needs no finer grid
    found = []
    for target in set(range(CLASSES)) - {predicted}:
        margin = float(margins(network(x0), predicted, [target])[0, 0])
        if order == "first_order":
            lipschitz = gradient_norms(network, inside, predicted, [target], [norm.dual]).max()
            found.append(bounds.first_order(margin, float(lipschitz), RADIUS))
            continue
        slope = float(gradient_norms(network, x0, predicted, [target], [norm.dual]))
        hessian = Hessian(lambda x, j=target: margins(network(x), predicted, [j])[:, 0], inside)
        dim = x0.numel()
        columns = [hessian(unit.expand(len(inside), dim)) for unit in torch.eye(dim)]
        smallest = torch.linalg.eigvalsh(torch.stack(columns, dim=2))[:, 0].min()
        curvature = float(-smallest.clamp_max(0)) * curvature_factor(norm, dim)
        found.append(float(bounds.second_order(margin, slope, curvature, RADIUS)))
    return min(found)


def measured(images: int, n_batches: int, n_samples: int) -> Iterator[dict[str, object]]:
    """A row for each number of inputs, activation, norm and order."""
    settings = clever.paper(n_batches=n_batches, n_samples=n_samples, radius=dict.fromkeys(Norm, RADIUS))
    for dim in (2, 3):
        offsets = RADIUS * cube(dim).view(-1, 1, 1, dim)
        for seed, activation in enumerate(ACTIVATIONS):
            network = trained(activation, dim, seed)
            points = torch.rand(images, 1, 1, dim, generator=torch.Generator().manual_seed(seed))
            with frozen(network):
                predicted = network(points).argmax(1).tolist()
                estimates = {
                    name: clever.score(network, points, settings, targets=["untargeted"], order=order, progress=False)
                    for name, order in ORDERS.items()
                }
                places = list(zip(points, predicted, strict=True))
                for index, norm in enumerate(Norm):
                    bar = tqdm(places, desc=f"{dim} inputs, {activation}, {norm}", unit="point", leave=False)
                    truth = np.array([true_distance(network, x[None], offsets, norm, c) for x, c in bar])
                    for name in ORDERS:
                        scores = np.array([score.score for score in estimates[name][index :: len(Norm)]])
                        theorem = [true_bound(network, x[None], offsets, norm, c, name) for x, c in places]
                        yield row(dim, activation, norm, name, scores, np.array(theorem), truth)


def row(
    dim: int, activation: str, norm: str, order: str, scores: np.ndarray, theorem: np.ndarray, truth: np.ndarray
) -> dict[str, object]:
    """How often the score exceeds the truth, by how much, and how near below it comes."""
    ratio, exact = scores / truth, theorem / truth
    above, known = ratio[ratio > 1 + TOLERANCE], np.isfinite(truth)
    return {
        "inputs": dim,
        "activation": activation,
        "norm": norm,
        "order": order,
        "images": len(truth),
        "exceed": f"{len(above) / len(truth):.0%}",
        "excess, median": f"{np.median(above) - 1:.1%}" if len(above) else "",
        "excess, worst": f"{above.max() - 1:.1%}" if len(above) else "",
        "score / truth, median": f"{np.median(ratio[known]):.2f}",
        "theorem exceeds": f"{(exact > 1 + TOLERANCE).mean():.0%}",
        "theorem / truth, median": f"{np.median(exact[known]):.2f}",
    }


def main() -> None:
    """Prints the table."""
    options = parser(__doc__)
    options.add_argument("--images", type=int, default=40, help="points scored on each network (default %(default)s)")
    options.add_argument("--n-batches", type=int, default=50, help="N_b (default %(default)s)")
    options.add_argument("--n-samples", type=int, default=64, help="N_s (default %(default)s)")
    chosen = options.parse_args()
    report(measured(chosen.images, chosen.n_batches, chosen.n_samples), chosen.out)


if __name__ == "__main__":
    main()
