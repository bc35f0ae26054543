"""The smallest Hessian eigenvalue against dense Hessians, on spectra of every kind."""

import pytest
import torch
from torch import Tensor, nn

from clever.bounds import curvature, lanczos
from clever.bounds.curvature import box_curvature, cross_curvature, curvature_factor
from clever.bounds.lanczos import Lanczos
from clever.bounds.power_iteration import PowerIteration
from clever.classifier.hessian import Hessian
from clever.errors import InputError
from clever.norms import Norm
from clever.settings import Convention

ACTIVATIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "softplus": nn.Softplus}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vertices(dim: int) -> Tensor:
    return torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * dim)


def concave_parts(dim: int) -> dict[str, Tensor]:
    """Batches of matrices -H: of any signs, positive semidefinite of few ranks, diagonal."""
    square = torch.randn(10, dim, dim, generator=seeded(dim), dtype=torch.float64)
    thin = square[:, :, :3]
    return {
        "any": (square + square.mT) / 2,
        "semidefinite": thin @ thin.mT,
        "rank one": thin[:, :, :1] @ thin[:, :, :1].mT,
        "diagonal": torch.diag_embed(square[:, 0]),
        "one coordinate": torch.diag_embed(torch.eye(dim, dtype=torch.float64)),
        "ones": torch.ones(2, dim, dim, dtype=torch.float64) / dim,
        "zero": torch.zeros(1, dim, dim, dtype=torch.float64),
        "negative": -thin @ thin.mT,
    }


@pytest.mark.parametrize("kind", concave_parts(2))
@pytest.mark.parametrize("dim", [2, 5, 9])
def test_box_and_cross_curvature_with_the_crude_ones_are_never_below_the_true_ones(kind, dim):
    matrices = concave_parts(dim)[kind]
    crude = torch.linalg.eigvalsh(matrices)[:, -1].clamp_min(0)
    box, cross = box_curvature(-matrices).minimum(dim * crude), cross_curvature(-matrices).minimum(crude)
    # Lower estimates of the true ones: corners of either ball and points within.
    inside = 2 * torch.rand(3000, dim, generator=seeded(), dtype=torch.float64) - 1
    of_box = torch.cat([vertices(dim), inside])
    pairs = torch.cartesian_prod(torch.arange(dim), torch.arange(dim))
    of_cross = torch.eye(dim, dtype=torch.float64)
    edges = [(of_cross[i] + sign * of_cross[j]) / 2 for i, j in pairs.tolist() for sign in (1, -1)]
    of_cross = torch.cat([of_cross, torch.stack(edges), inside / Norm.L1.of(inside).unsqueeze(1)])
    along_box, along_cross = (
        torch.einsum("nd,bde,ne->bn", v, matrices, v).amax(1).clamp_min(0) for v in (of_box, of_cross)
    )
    assert (box >= along_box - 1e-9).all()
    assert (cross >= along_cross - 1e-12).all()
    if kind in ("rank one", "ones", "one coordinate", "zero", "negative"):
        torch.testing.assert_close(box, along_box, rtol=1e-6, atol=1e-9)
    if kind in ("semidefinite", "rank one", "ones", "one coordinate", "zero"):
        torch.testing.assert_close(cross, along_cross, rtol=1e-9, atol=1e-12)
    if kind == "any" and dim > 2:
        assert (box / (dim * crude)).mean() < 0.9
    if kind == "semidefinite":
        assert (box <= torch.pi / 2 * along_box).all()


def test_the_examples_of_how_far_the_crude_bounds_can_be_off():
    """-H = 11'/d: M_1 is 1/d and M_2 is 1. -H of one coordinate: M_inf is 1, as M_2, and not d."""
    ones, one = torch.full((1, 16, 16), 1 / 16), torch.zeros(1, 16, 16)
    one[0, 3, 3] = 1.0
    assert float(cross_curvature(-ones)) == pytest.approx(1 / 16)
    assert float(box_curvature(-one)) == pytest.approx(1.0)
    for matrix in (ones, one):
        assert float(torch.linalg.eigvalsh(matrix)[0, -1]) == pytest.approx(1.0)


def test_the_box_bound_needs_no_converged_ascent(monkeypatch):
    matrices = concave_parts(9)["any"]
    corners = vertices(9)
    along = torch.einsum("nd,bde,ne->bn", corners, matrices, corners).amax(1)
    found = []
    for sweeps in (0, 1, 10):
        monkeypatch.setattr(curvature, "SWEEPS", sweeps)
        found.append(box_curvature(-matrices))
        assert (found[-1] >= along - 1e-9).all()
    assert found[0].mean() > found[1].mean() > found[2].mean()


def test_bounds_from_entries_are_nan_where_the_hessian_is():
    hessians = torch.eye(3).repeat(2, 1, 1)
    hessians[1, 0, 0] = torch.nan
    for bound in (box_curvature, cross_curvature):
        assert bound(hessians).isnan().tolist() == [False, True]


def quadratic(matrix: Tensor):
    return lambda points: 0.5 * ((points @ matrix) * points).sum(1) + points.sum(1) + 1


def with_spectrum(eigenvalues: Tensor, seed: int = 0) -> Tensor:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    dim = len(eigenvalues)
    basis = torch.linalg.qr(torch.randn(dim, dim, generator=seeded(seed), dtype=torch.float64)).Q
    matrix = basis @ torch.diag(eigenvalues.double()) @ basis.T
    return (matrix + matrix.T) / 2


def dense(margin, points: Tensor) -> Tensor:
    """The Hessians, column by column, in float64."""
    hessian = Hessian(margin, points)
    batch, dim = len(points), points[0].numel()
    columns = [hessian(unit.expand(batch, dim)) for unit in torch.eye(dim, dtype=points.dtype)]
    return torch.stack(columns, dim=2)


def front(*eigenvalues: float, low: float, high: float, dim: int = 40) -> Tensor:
    return torch.cat([torch.tensor(eigenvalues), torch.linspace(low, high, dim - len(eigenvalues))])


SPECTRA = {
    "indefinite": front(-3.0, -1.0, low=-0.5, high=2.0),
    "dominated by the positive end": front(-0.1, low=0.0, high=5.0),
    "nearly definite": front(-1e-3, low=0.05, high=1.0),
    "positive definite": front(0.3, low=0.5, high=4.0),
    "negative definite": front(-4.0, low=-3.0, high=-0.1),
    "even": torch.linspace(-1.0, 1.0, 40),
    "double smallest": front(-2.0, -2.0, low=-1.0, high=1.0),
    "triple smallest": front(-2.0, -2.0, -2.0, low=-1.0, high=1.0),
    "rank one, negative": front(-2.0, low=0.0, high=0.0),
    "rank one, positive": front(2.0, low=0.0, high=0.0),
    "rank two": front(-0.05, 1.0, low=0.0, high=0.0),
    "two eigenvalues": torch.tensor([-1.0] * 20 + [1.0] * 20),
    "multiple of the identity": torch.full((40,), -0.7),
    "zero": torch.zeros(40),
    "tiny": 1e-15 * front(-3.0, low=-0.5, high=2.0),
    "squares underflow": 1e-28 * front(-3.0, low=-0.5, high=2.0),
    "huge": 1e15 * front(-3.0, low=-0.5, high=2.0),
    "geometric": -(0.8 ** torch.arange(40)),
    "dimension one": torch.tensor([-0.5]),
    "dimension one, zero": torch.tensor([0.0]),
    "dimension two": torch.tensor([-0.5, 3.0]),
    "dimension two, double": torch.tensor([1.5, 1.5]),
    "dimension three": torch.tensor([-1.0, -0.999, 2.0]),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("spectrum", SPECTRA.values(), ids=SPECTRA)
def test_quadratic_margins(spectrum, dtype):
    matrix, points = with_spectrum(spectrum), torch.randn(20, len(spectrum), generator=seeded(), dtype=torch.float64)
    found = Lanczos()(quadratic(matrix.to(dtype)), points.to(dtype), seeded(1))
    rounding = 50 * torch.finfo(dtype).eps * spectrum.abs().max()
    assert found.value.dtype == dtype
    assert found.converged.all()
    error = found.value.double() - spectrum.double().min()
    assert (error.abs() <= 1e-3 * spectrum.min().abs() + rounding).all()
    assert (error.abs() <= 1e-6 * spectrum.abs().max() + rounding).all()
    assert (error >= -rounding).all()  # from above: curvature is never overestimated
    assert (found.residual <= 1e-5 * spectrum.abs().max() + rounding).all()
    assert (found.lower <= spectrum.double().min() + rounding).all()
    assert (found.products <= len(spectrum)).all()


@pytest.mark.parametrize("largest", [10.0, 1e3, 1e5])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_large_eigenvalue_elsewhere_costs_the_smallest_no_digit(dtype, largest):
    """A bulk of +-.005 below one of 1000: a stop relative to the largest one gave curvatures 42 % too small."""
    spectrum = front(largest, low=-0.005, high=0.005, dim=80).to(dtype)
    points = torch.zeros(20, 80, dtype=dtype)
    starts = torch.randn(20, 80, generator=seeded(), dtype=torch.float64)
    found = Lanczos()(lambda x: 0.5 * (x.square() @ spectrum), points, starts)
    rounding = 2 * torch.finfo(dtype).eps * largest
    assert found.converged.all()
    assert (found.value + 0.005).abs().max() <= 1e-3 * 0.005 + rounding
    assert (found.lower <= -0.005 + rounding).all()
    assert (found.lower >= -0.005 * (1 + 1e-3) - 2 * rounding).all()


@pytest.mark.parametrize("products", [6, 10, 16])
def test_where_the_budget_ends_the_lower_side_is_below_the_smallest_eigenvalue_for_most_points(products):
    spectra = torch.stack([SPECTRA[name] for name in ("indefinite", "even", "geometric", "nearly definite")]).double()
    for spectrum in spectra:
        found = Lanczos(max_products=products)(
            quadratic(torch.diag(spectrum)), torch.zeros(50, 40).double(), seeded(products)
        )
        assert (found.lower <= spectrum.min() + 1e-12).double().mean() > 0.6
        assert (found.value >= spectrum.min() - 1e-12).all()


def test_the_basis_stays_orthogonal_in_single_precision():
    """To rounding, however many products: what a second reorthogonalisation is for."""
    spectrum = torch.cat([torch.tensor([1e4]), torch.logspace(-3, 0, 149)]) * torch.tensor([1.0, -1.0]).repeat(75)
    held = []

    def kept(vectors, basis):
        held.append(basis)
        return without(vectors, basis)

    without, lanczos._without = lanczos._without, kept
    try:
        Lanczos(tolerance=1e-12)(lambda x: 0.5 * (x.square() @ spectrum), torch.zeros(4, 150), seeded())
    finally:
        lanczos._without = without
    basis = max(held, key=lambda one: one.shape[1])
    assert basis.shape[1] > 20
    overlap = basis.double() @ basis.double().mT - torch.eye(basis.shape[1], dtype=torch.float64)
    assert overlap.abs().max() < 1e-6


def test_what_is_reported_is_a_ritz_pair_where_the_budget_ends():
    spectrum = torch.linspace(-1.0, 1.0, 200).double()
    found = Lanczos(max_products=5)(quadratic(torch.diag(spectrum)), torch.zeros(8, 200).double(), seeded())
    assert not found.converged.any()
    assert (found.products == 5).all()
    assert (found.residual > 1e-3).all()
    nearest = (found.value.unsqueeze(1) - spectrum).abs().amin(1)
    assert (nearest <= found.residual).all()
    assert (found.value > -1).all()


def network(activation: str, outputs: int = 3, inputs: int = 12, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = [nn.Linear(inputs, 24), ACTIVATIONS[activation](), nn.Linear(24, 16), ACTIVATIONS[activation]()]
        model = nn.Sequential(*layers, nn.Linear(16, outputs)).double()
        for parameter in model.parameters():
            parameter.requires_grad_(False).mul_(2)
    return model


def margin_of(model: nn.Module, bend: float = 0.0):
    """A two-class margin, bent by a parabola that moves the whole spectrum up by ``bend``."""
    return lambda points: (model(points) @ points.new_tensor([1.0, -1.0, 0.0])) + 0.5 * bend * points.square().sum(1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("kind", ["indefinite", "nearly definite", "degenerate"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_smooth_networks_agree_with_the_dense_hessian(activation, kind, dtype):
    points = torch.randn(40, 12, generator=seeded(2), dtype=torch.float64)
    model, bend = network(activation, inputs=2 if kind == "degenerate" else 12), 0.0
    if kind == "degenerate":  # three copies of two inputs: zero is an eigenvalue ten times over
        spread = torch.eye(2, dtype=torch.float64).repeat(1, 6) / 6**0.5
        model = nn.Sequential(fixed(spread), model)
    if kind == "nearly definite":  # the smallest eigenvalues are around zero
        bend = -float(torch.linalg.eigvalsh(dense(margin_of(model), points))[:, 0].median())
    true = torch.linalg.eigvalsh(dense(margin_of(model, bend), points))
    smallest, scale = true[:, 0], true.abs().amax(1)
    found = Lanczos()(margin_of(model.to(dtype), bend), points.to(dtype), seeded(3))
    assert found.converged.all()
    # Relative to the eigenvalue itself, but where it is zero beside the others: there residual^2, or rounding, remains.
    nothing = scale * max(1e-10, 50 * torch.finfo(dtype).eps)
    assert ((found.value - smallest).abs() <= 1e-3 * smallest.abs() + nothing).all()
    assert ((smallest < 0).any() and (smallest > 0).any()) or kind != "nearly definite"


def fixed(weight: Tensor) -> nn.Module:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, dtype=weight.dtype)
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


def test_converged_points_leave_the_batch_and_no_point_depends_on_the_others():
    # Points along the first axis meet an easy Hessian or a hard one.
    easy, hard = torch.eye(60).double(), torch.diag(torch.linspace(-1, 1, 60).double())

    seen = []

    def margin(points: Tensor) -> Tensor:
        seen.append(len(points))
        switch = (points[:, 0] > 0).double().detach()
        return switch * quadratic(easy)(points) + (1 - switch) * quadratic(hard)(points)

    points = torch.zeros(32, 60).double()
    points[::2, 0] = 1.0
    starts = torch.randn(32, 60, generator=seeded(), dtype=torch.float64)
    together = Lanczos()(margin, points, starts)
    assert seen[:2] == [32, 16]
    assert together.converged.all()
    assert (together.products[::2] <= 2).all()
    assert (together.products[1::2] > 20).all()
    for part in (slice(0, 5), slice(7, 8), slice(20, 32)):
        alone = Lanczos()(margin, points[part], starts[part])
        torch.testing.assert_close(alone.value, together.value[part], rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(alone.residual, together.residual[part], rtol=1e-3, atol=1e-12)


def test_one_start_for_all_points_and_a_seed_reproduce():
    margin, points = margin_of(network("tanh")), torch.randn(10, 12, generator=seeded(), dtype=torch.float64)
    one = torch.randn(12, generator=seeded(5), dtype=torch.float64)
    whole = Lanczos()(margin, points, one).value
    halves = [Lanczos()(margin, half, one).value for half in points.split(5)]
    torch.testing.assert_close(torch.cat(halves), whole, rtol=1e-9, atol=0)
    torch.testing.assert_close(Lanczos()(margin, points, seeded(7)).value, whole, rtol=1e-6, atol=0)
    again = [Lanczos()(margin, points, seeded(7)).value for _ in range(2)]
    assert torch.equal(*again)


def test_affine_margins_images_and_trainable_weights():
    affine = nn.Sequential(nn.Flatten(), nn.Linear(48, 1), nn.Flatten(0))
    images = torch.rand(5, 3, 4, 4, generator=seeded())
    with torch.no_grad():
        found = Lanczos()(affine, images, seeded())
    assert torch.equal(found.value, torch.zeros(5))
    assert found.converged.all()
    assert Hessian(affine, images).gradient.shape == images.shape
    cubic = Lanczos()(lambda x: (x**3).sum((1, 2, 3)), images, seeded())
    torch.testing.assert_close(cubic.value, 6 * images.flatten(1).amin(1), rtol=1e-3, atol=1e-4)
    assert all(parameter.grad is None for parameter in affine.parameters())


def test_power_iteration_agrees_and_every_point_pays_for_every_step():
    spectra = {"negative end": front(-3.0, low=-0.5, high=1.0), "positive end": front(-1.0, low=-0.3, high=3.0)}
    for spectrum in spectra.values():
        margin, points = quadratic(with_spectrum(spectrum)), torch.zeros(6, 40).double()
        found = PowerIteration(tolerance=1e-8)(margin, points, seeded())
        torch.testing.assert_close(found.value, spectrum.min().double().expand(6), rtol=1e-5, atol=0)
        assert found.converged.all()
        assert len(found.products.unique()) == 1
        few = PowerIteration(tolerance=1e-8, max_steps=3)(margin, points, seeded())
        assert not few.converged.any()
        assert (few.products <= 6).all()
    zero = PowerIteration()(quadratic(torch.zeros(4, 4)), torch.zeros(2, 4), seeded())
    assert torch.equal(zero.value, torch.zeros(2))


def test_conventions_and_norms():
    smallest = torch.tensor([-2.0, 0.0, 3.0])
    assert Convention.NEGATIVE_PART.curvature(smallest).tolist() == [2.0, 0.0, 0.0]
    assert Convention("absolute").curvature(smallest).tolist() == [2.0, 0.0, 3.0]
    # The factor bounds the curvature along any direction of unit norm.
    matrix = with_spectrum(front(-1.0, low=-0.9, high=0.5, dim=12))
    for norm in Norm:
        directions = torch.randn(2000, 12, generator=seeded(), dtype=torch.float64)
        directions = directions.sign() if norm is Norm.LINF else directions / norm.of(directions).unsqueeze(1)
        along = -((directions @ matrix) * directions).sum(1)
        assert along.max() <= curvature_factor(norm, 12) * 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"points": torch.zeros(3)}, "non-empty floating-point batch"),
        ({"points": torch.zeros(0, 3)}, "non-empty floating-point batch"),
        ({"points": torch.zeros(2, 3, dtype=torch.int64)}, "non-empty floating-point batch"),
        ({"margin": lambda x: x}, "one number per row"),
        ({"margin": lambda x: x.detach().sum(1)}, "is not differentiable"),
        ({"start": torch.zeros(3)}, "not be zero"),
        ({"start": torch.ones(4)}, "start vectors must have shape"),
    ],
)
def test_what_cannot_be_used_is_refused(change, message):
    points = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    arguments = {"margin": quadratic(torch.eye(3)), "points": points, "start": seeded()} | change
    with pytest.raises(InputError, match=message):
        Lanczos()(**arguments)


@pytest.mark.parametrize(
    ("solver", "change", "message"),
    [
        (Lanczos, {"tolerance": 0.0}, "tolerance is 0.0: it must be a positive number"),
        (Lanczos, {"tolerance": "fine"}, "tolerance is 'fine'"),
        (Lanczos, {"max_products": 0}, "max_products is 0: it must be a whole number of at least 1"),
        (PowerIteration, {"tolerance": float("nan")}, "tolerance is nan"),
        (PowerIteration, {"max_steps": 1.5}, "max_steps is 1.5"),
    ],
)
def test_a_solvers_settings_are_checked_when_it_is_made(solver, change, message):
    with pytest.raises(InputError, match=message):
        solver(**change)


def test_a_hessian_that_is_not_finite_gives_nan_there_and_disturbs_no_other_point():
    def margin(points: Tensor) -> Tensor:
        return (points.square().sum(1) - 1e-9).sqrt()

    points = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [2.0, 0.0, 1.0]])
    found = Lanczos()(margin, points, seeded())
    assert found.value.isnan().tolist() == [False, True, False]
    assert found.converged.tolist() == [True, False, True]
    torch.testing.assert_close(found.value[[0, 2]], torch.zeros(2), rtol=0, atol=1e-5)
