"""Second-order CLEVER by the public call: exact where the answer is known, refused where there is none."""

import math

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import clever
from clever._internal.capacity import Capacity
from clever.bounds.power_iteration import PowerIteration
from clever.norms import Norm

RADII = {"L1": 3.0, "L2": 1.0, "Linf": 0.05}
DUAL = {"L1": math.inf, "L2": 2.0, "Linf": 1.0}
SETTINGS = clever.paper(n_batches=5, n_samples=4, radius=RADII)
DIM = 3 * 4 * 4


class Quadratic(nn.Module):
    """Logits w_k'x + x'A_k x / 2 + c_k of three classes: every margin has a constant Hessian."""

    def __init__(self, bend: float, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        matrices = torch.randn(3, DIM, DIM, generator=generator) * 0.2
        # The first class's share moves the spectra of all margins from it: up with ``bend``, down with -bend.
        matrices[0] += bend * torch.eye(DIM)
        self.matrices = nn.Parameter((matrices + matrices.mT) / 2)
        self.weight = nn.Parameter(torch.randn(3, DIM, generator=generator) * 0.3)
        self.bias = nn.Parameter(torch.tensor([30.0, 0.0, 1.0]))

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        return x @ self.weight.T + torch.einsum("nd,kde,ne->nk", x, self.matrices, x) / 2 + self.bias


@pytest.fixture
def images() -> Tensor:
    return torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def smooth() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(DIM, 24), nn.Softplus(), nn.Linear(24, 5)).double()
    for parameter in network.parameters():
        parameter.data *= 6  # so that scores lie below the radii
    return network


def scored(network: nn.Module, images: Tensor, settings: clever.Settings = SETTINGS, **options: object) -> pd.DataFrame:
    options = {"progress": False, "order": clever.SecondOrder(dense_hessian_max_dim=0)} | options
    return pd.DataFrame(score.row() for score in clever.score(network, images, settings, **options))


def closed_form(network: Quadratic, image: Tensor, target: int, norm: str, convention: str) -> tuple[float, float]:
    """Bound and M in double precision, from the matrices themselves."""
    x, weights = image.flatten().double(), network.weight.detach().double()
    hessian = (network.matrices[0] - network.matrices[target]).detach().double()
    slope = weights[0] - weights[target] + hessian @ x
    margin = (weights[0] - weights[target]) @ x + x @ hessian @ x / 2 + network.bias[0] - network.bias[target]
    smallest = torch.linalg.eigvalsh(hessian)[0]
    m = float(smallest.abs() if convention == "absolute" else (-smallest).clamp_min(0)) * (DIM if norm == "Linf" else 1)
    b, g = float(torch.linalg.vector_norm(slope, DUAL[norm])), float(margin.detach())
    return (-b + math.sqrt(b**2 + 2 * m * g)) / m if m > 0 else g / b, m


@pytest.mark.parametrize("preset", [clever.paper, clever.reference_code])
@pytest.mark.parametrize("bend", [-3.0, 0.0, 12.0], ids=["concave", "indefinite", "convex"])
def test_quadratic_margins_are_scored_exactly(images: Tensor, bend: float, preset) -> None:
    network, settings = Quadratic(bend), preset(n_batches=5, n_samples=4, radius=RADII, cap=True)
    table = scored(network, images, settings, targets=[1, 2])
    assert len(table) == 2 * 2 * 3
    capped = set()
    for place, row in enumerate(table.itertuples()):
        bound, curvature = closed_form(network, images[place // 6], row.target_class, row.norm, settings.curvature)
        assert row.end_point == pytest.approx(curvature, rel=1e-5, abs=1e-5)
        assert row.score == pytest.approx(min(bound, row.radius), rel=1e-5)
        capped.add(row.capped)
    assert (table.end_point == 0).all() == (bend > 0 and preset is clever.paper)
    assert (table.unconverged == 0).all()
    assert (table["products"] <= DIM).all()


def test_a_convex_margin_leaves_the_gradient_alone(images: Tensor) -> None:
    wide = clever.paper(n_batches=5, n_samples=4, radius=dict.fromkeys(RADII, 1e3))
    table = scored(Quadratic(12.0), images, wide, targets=[1])
    assert (table.score - table.margin / table.gradient_norm).abs().max() < 1e-5
    lower = scored(Quadratic(12.0), images, clever.paper(**vars(wide) | {"curvature": "absolute"}), targets=[1])
    assert (lower.score < table.score).all()


def test_no_adversarial_point_of_a_quadratic_lies_below_its_score(images: Tensor) -> None:
    """For every norm: the curvature is the true one or more, so that the theorem must hold along any direction."""
    network, wide = Quadratic(-3.0), clever.paper(n_batches=5, n_samples=4, radius=dict.fromkeys(RADII, 1e3))
    table = scored(network, images[:1], wide, order=clever.SecondOrder())
    crude = scored(network, images[:1], wide)
    gain = (table.score / crude.score).groupby(table.norm).min()
    assert gain["L1"] > 1.01
    assert gain["Linf"] > 1.001
    assert gain["L2"] == 1
    generator = torch.Generator().manual_seed(3)
    for row in table.itertuples():
        directions = torch.randn(4000, 3, 4, 4, generator=generator)
        if row.norm == "Linf":
            directions = directions.sign()
        if row.norm == "L1":  # single pixels are the corners of this ball
            directions = torch.eye(DIM).repeat(2, 1).view(-1, 3, 4, 4) * torch.tensor([1.0, -1.0]).repeat_interleave(
                DIM
            ).view(-1, 1, 1, 1)
        step = row.score * (1 - 1e-5) * directions / Norm(row.norm).of(directions).view(-1, 1, 1, 1)
        logits = network(images[:1] + step)
        assert (logits[:, 0] - logits[:, row.target_class]).min() > 0


def test_the_hardware_batch_and_the_company_change_no_score(smooth, images: Tensor, monkeypatch) -> None:
    images = images.double()
    expected = scored(smooth, images)
    assert (expected.score > 0).all()
    assert expected[["score", "products"]].equals(scored(smooth, images)[["score", "products"]])
    alone = scored(smooth, images[1])
    assert alone.score.to_numpy() == pytest.approx(expected.score[len(alone) :].to_numpy(), rel=1e-6)
    monkeypatch.setattr(Capacity, "estimate", classmethod(lambda cls, measure, point: cls(3)))
    assert scored(smooth, images).score.to_numpy() == pytest.approx(expected.score.to_numpy(), rel=1e-6)


def test_both_orders_see_the_same_images_targets_and_margins(smooth, images: Tensor) -> None:
    first, second = (scored(smooth, images.double(), order=o) for o in (clever.FirstOrder(), clever.SecondOrder()))
    same = ["image", "predicted", "target", "target_class", "norm", "margin", "gradient_norm", "radius"]
    assert first[same].equals(second[same])
    assert set(first.order) | set(second.order) == {"first_order", "second_order"}
    assert (first.score != second.score).any()


def test_the_authors_search_gives_about_the_same(smooth, images: Tensor) -> None:
    ours = scored(smooth, images.double(), norms=["L2"])
    theirs = scored(
        smooth,
        images.double(),
        norms=["L2"],
        order=clever.SecondOrder(PowerIteration(tolerance=1e-6), dense_hessian_max_dim=0),
    )
    assert theirs.score.to_numpy() == pytest.approx(ours.score.to_numpy(), rel=1e-2)
    assert theirs["products"].mean() > 4 * ours["products"].mean()


def test_what_does_not_converge_is_counted(smooth, images: Tensor) -> None:
    table = scored(
        smooth, images.double(), order=clever.SecondOrder(clever.Lanczos(max_products=2), dense_hessian_max_dim=0)
    )
    assert (table.unconverged == 1).all()
    assert (table["products"] == 2).all()
    assert (table.residual > 0).all()


def test_margin_gradient_and_curvature_are_those_of_one_function(smooth, images: Tensor) -> None:
    """A smooth transformation without BPDA: f(t(x)) has a second order, but not with g and b of f."""
    blur = nn.AvgPool2d(3, 1, 1)
    defended, images = clever.Defended(smooth, blur, bpda=False), images.double()
    with pytest.raises(
        clever.InputError, match=r"reference is undefended: .* curvature that of f\(t\(x\)\), t = AvgPool2d"
    ):
        scored(defended, images, clever.Settings(**vars(SETTINGS) | {"reference": "undefended"}))
    of_images = vars(SETTINGS) | {"clip": True}  # behind a defense every point is an image
    of_one = scored(defended, images, clever.Settings(**of_images))
    alone = nn.Sequential(blur, smooth)
    same = scored(alone, images, clever.Settings(**of_images | {"reference": "undefended"}))
    assert of_one.score.equals(same.score)
    without = clever.Defended(smooth, clever.Identity(), bpda=False)
    undefended = scored(without, images, clever.Settings(**of_images | {"reference": "undefended"}))
    assert undefended.score.equals(scored(smooth, images, clever.Settings(**of_images)).score)


class Counting(nn.Module):
    """Counts the images that pass."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return self.network(images)


def refused() -> dict[str, tuple[nn.Module, str]]:
    models = pytest.importorskip("torchvision.models")
    linear = nn.Linear(DIM, 4)
    return {
        "relu": (nn.Sequential(nn.Flatten(), linear, nn.ReLU(), nn.Linear(4, 3)), r"network\.2 \(ReLU\)"),
        "max pool": (nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 3)), r"network\.0 \(MaxPool2d\)"),
        "densenet121": (models.densenet121(weights=None), r"network\.features\.relu0 \(ReLU\)"),
        "jpeg": (clever.Defended(nn.Sequential(nn.Flatten(), linear), clever.JPEG()), "with BPDA"),
        "rounded": (
            clever.Defended(nn.Sequential(nn.Flatten(), linear), clever.PNG(), bpda=False),
            r"\(Defended\) calls aten",
        ),
    }


@pytest.mark.parametrize("kind", ["relu", "max pool", "densenet121", "jpeg", "rounded"])
def test_what_is_not_twice_differentiable_is_refused_before_any_sampling(images: Tensor, kind: str) -> None:
    network, named = refused()[kind]
    counting = Counting(network)
    with pytest.raises(clever.InputError, match=f"second order is not defined.*{named}"):
        scored(counting, images)
    assert counting.seen <= 1  # the one that the check itself sends through


def test_a_hessian_that_is_not_finite_names_image_batch_and_point(images: Tensor) -> None:
    class Cusp(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            distance = (x.flatten(1) - images[0].flatten()).square().sum(1, keepdim=True)
            return torch.cat([10 - distance, (0.5 - distance).sqrt()], dim=1)

    with pytest.raises(clever.InputError, match=r"NaN or infinite at .* point \d+ of batch 0 in the L2 ball"):
        scored(Cusp(), images[:1], norms=["L2"], targets=["top2"])


def test_labels_leave_misclassified_images_out(smooth, images: Tensor) -> None:
    predicted = smooth(images.double()).argmax(1).tolist()
    table = scored(smooth, images.double(), labels=[predicted[0], (predicted[1] + 1) % 5], norms=["L2"])
    assert table.image.nunique() == 1
    with pytest.raises(clever.InputError, match="for 2 images: there must be one class number for each image"):
        scored(smooth, images.double(), labels=[0])
