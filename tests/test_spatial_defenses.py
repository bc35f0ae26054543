"""Defenses that work on neighbourhoods, against scipy, brute force and loops by hand."""

import itertools

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize
from torch import nn
from torch.autograd.gradcheck import GradcheckError
from torch.nn import functional

import clever
from clever.defenses.seams import join, seam_mask
from clever.defenses.total_variation import minimise


@pytest.fixture
def images() -> torch.Tensor:
    """Smooth images with some noise."""
    noise = torch.rand(3, 3, 16, 20, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(0.1, 0.8, 20) * torch.linspace(1, 0.4, 16).unsqueeze(1)
    return ramp + 0.2 * noise


def by_scipy(images: torch.Tensor, filtered) -> torch.Tensor:
    planes = [[filtered(plane) for plane in image] for image in images.double().numpy()]
    return torch.from_numpy(np.array(planes))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 6.5])
def test_blur_is_scipys(images: torch.Tensor, sigma: float) -> None:
    expected = by_scipy(images, lambda plane: ndimage.gaussian_filter(plane, sigma, mode="nearest"))
    assert torch.allclose(clever.GaussianBlur(sigma)(images.double()), expected, atol=1e-12)
    assert torch.allclose(clever.GaussianBlur(sigma)(images).double(), expected, atol=1e-6)


def test_blurs_gradient_is_exact() -> None:
    """Of the classifier, without BPDA; with it, the gradient is another."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * 5 * 6, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x = torch.rand(2, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    exact = clever.Defended(network, clever.GaussianBlur(0.8), bpda=False)
    assert torch.autograd.gradcheck(exact, x)
    assert torch.autograd.gradgradcheck(exact, x)
    with pytest.raises(GradcheckError):
        torch.autograd.gradcheck(clever.Defended(network, clever.GaussianBlur(0.8)), x)


def test_second_order_is_defined_behind_a_blur_with_its_true_gradient(images: torch.Tensor) -> None:
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 20, 4), nn.Softplus(), nn.Linear(4, 3))
    inside = clever.paper(radius={"L2": 0.05}, clip=True)  # moving points into [0,1] has a kink
    clever.SecondOrder().check(clever.Defended(smooth, clever.GaussianBlur(), bpda=False), images[:1], inside)


@pytest.mark.parametrize("size", [2, 3, 5, 16])
def test_median_is_scipys(images: torch.Tensor, size: int) -> None:
    expected = by_scipy(images, lambda plane: ndimage.median_filter(plane, size))
    assert torch.equal(clever.Median(size)(images).double(), expected)


@pytest.mark.parametrize("pooling", ["probabilities", "logits"])
def test_a_crop_ensemble_is_a_loop_by_hand(images: torch.Tensor, pooling: str) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 20, 4)).requires_grad_(False)
    defense = clever.Expectation(clever.Crop(fraction=0.8), draws=30, pooling=pooling)
    answers, places = [], set()
    for draw in range(30):
        generator = clever.Crop(fraction=0.8, draw=draw).generator(images)
        top = int(torch.randint(16 - 13 + 1, (), generator=generator))
        left = int(torch.randint(20 - 16 + 1, (), generator=generator))
        places.add((top, left))
        crop = images[:, :, top : top + 13, left : left + 16]
        logits = network(functional.interpolate(crop, (16, 20), mode="bilinear", align_corners=False))
        answers.append(logits.softmax(1) if pooling == "probabilities" else logits)
    mean = torch.stack(answers).mean(0)
    found = clever.Defended(network, defense)(images)
    assert torch.allclose(found.exp() if pooling == "probabilities" else found, mean, atol=1e-6)
    assert len(places) > 10


def test_crops_and_padded_images_reach_every_place() -> None:
    image = torch.ones(1, 1, 10, 10)
    sizes, corners = set(), set()
    for draw in range(300):
        seen = clever.ResizePad(least=0.8, draw=draw)(image)[0, 0]
        rows, columns = (seen.amax(dim).nonzero().flatten().tolist() for dim in (1, 0))
        assert set(seen.unique().tolist()) <= {0.0, 1.0}
        sizes.add((len(rows), len(columns)))
        corners.add((len(rows), rows[0], columns[0]))
    assert sizes == {(8, 8), (9, 9), (10, 10)}
    assert len(corners) == 9 + 4 + 1


def test_a_padded_image_is_the_image_resized(images: torch.Tensor) -> None:
    for draw in range(10):
        seen = clever.ResizePad(least=0.5, draw=draw)(images)
        rows, columns = (seen.amax((0, 1, dim)).nonzero().flatten() for dim in (3, 2))
        inside = seen[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert torch.equal(inside, functional.interpolate(images, (len(rows), len(columns)), mode="nearest"))


def test_noise_is_gaussian_and_not_clipped() -> None:
    noise = clever.Noise(std=0.3)(torch.zeros(1, 3, 64, 64)).flatten().numpy()
    assert abs(noise.mean()) < 0.015
    assert noise.std() == pytest.approx(0.3, rel=0.03)
    assert (np.abs(noise) < 0.3).mean() == pytest.approx(0.683, abs=0.02)


def lbfgs(image: np.ndarray, mask: np.ndarray, weight: float) -> float:
    """The least objective that scipy finds for one channel, with the true derivative (made finite where it is not)."""

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(flat).view(1, 1, *image.shape).requires_grad_()
        total = objective(z, torch.from_numpy(image)[None, None], torch.from_numpy(mask)[None], weight).sum()
        (slope,) = torch.autograd.grad(total, z)
        return float(total.detach()), slope.nan_to_num().numpy().ravel()

    start = np.where(mask > 0, image, 0.5).ravel()
    found = optimize.minimize(value, start, jac=True, method="L-BFGS-B", bounds=[(0, 1)] * len(start))
    return float(found.fun)


def objective(z: torch.Tensor, images: torch.Tensor, kept: torch.Tensor, weight: float) -> torch.Tensor:
    """What `clever.TVMinimization` minimises."""
    variation = z.diff(dim=2).norm(dim=3).sum((1, 2)) + z.diff(dim=3).norm(dim=2).sum((1, 2))
    return (kept * (z - images) ** 2).sum((1, 2, 3)) / 2 + weight * variation


def lower_bound(down: torch.Tensor, across: torch.Tensor, images: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Of the objective over [0,1], by duality, for images in [0,1]."""
    z = torch.zeros_like(images, requires_grad=True)
    (slope,) = torch.autograd.grad((down * z.diff(dim=2)).sum() + (across * z.diff(dim=3)).sum(), z)
    least = torch.where(kept > 0, images - slope, (slope < 0).to(images)).clamp(0, 1)
    return (kept * (least - images) ** 2 / 2 + slope * least).sum((1, 2, 3))


@pytest.mark.parametrize(("dropout", "weight"), [(0.5, 0.03), (0.2, 0.2), (0.9, 0.005)])
def test_total_variation_is_minimised_no_worse_than_by_scipy(
    images: torch.Tensor, dropout: float, weight: float
) -> None:
    defense = clever.TVMinimization(dropout=dropout, weight=weight)
    x = images.double()
    mask = defense.mask(x)
    z = defense(x)
    assert 0 <= float(z.min()) <= float(z.max()) <= 1
    ours = objective(z, x, mask, weight)
    theirs = [sum(lbfgs(*planes, weight) for planes in zip(image.numpy(), mask.numpy(), strict=True)) for image in x]
    assert bool((ours <= 1.001 * torch.tensor(theirs)).all()), (ours, theirs)
    found, *dual = minimise(x, mask, weight, defense.steps)
    gap = objective(found, x, mask, weight) - lower_bound(*dual, x, mask)
    assert float(gap.min()) >= -1e-9
    assert float((gap / ours).max()) < 1e-2


def test_it_is_an_image_also_where_the_iteration_would_overshoot() -> None:
    edge = torch.linspace(0, 1, 20).gt(0.5).float().expand(1, 3, 16, 20)
    for steps in (1, 3, 10, 20, 40):
        z = clever.TVMinimization(steps=steps)(edge)
        assert 0 <= float(z.min()) <= float(z.max()) <= 1


def test_the_objective_is_guos(images: torch.Tensor) -> None:
    """As their program (tvl2) computes it, channel by channel."""
    mask = clever.TVMinimization().mask(images)
    z = images.flip(3)
    expected = 0.0
    for plane, target, plane_mask in zip(z[0].numpy(), images[0].numpy(), mask.numpy(), strict=True):
        variation = np.linalg.norm(plane[1:] - plane[:-1], 2, axis=1).sum()
        variation += np.linalg.norm(plane[:, 1:] - plane[:, :-1], 2, axis=0).sum()
        expected += 0.5 * ((plane - target) ** 2 * plane_mask).sum() + 0.03 * variation
    assert float(objective(z, images, mask, 0.03)[0]) == pytest.approx(expected, rel=1e-5)


def test_the_dropped_numbers_are_the_share_asked_for_and_play_no_part(images: torch.Tensor) -> None:
    defense = clever.TVMinimization(dropout=0.3, steps=20)
    mask = defense.mask(images)
    assert float(clever.TVMinimization(dropout=0.3).mask(torch.zeros(1, 3, 64, 64)).mean()) == pytest.approx(
        0.7, abs=0.02
    )
    other = torch.where(mask > 0, images, torch.rand_like(images))
    assert torch.equal(defense(images), defense(other))


def test_the_cheapest_boundary_is_found() -> None:
    error = torch.rand(20, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    cut = seam_mask(error)
    paths = [path for path in itertools.product(range(4), repeat=5) if max(map(abs, np.diff(path))) <= 1]
    for one, mask in zip(error, cut, strict=True):
        costs = {path: float(sum(one[row, place] for row, place in enumerate(path))) for path in paths}
        place = torch.tensor(min(costs, key=lambda path: costs[path])).unsqueeze(1)
        assert torch.equal(mask, torch.arange(4) >= place)


@pytest.mark.parametrize(("agree", "row"), [(0, [0.0, 0.0, 0.5, 1.0, 1.0, 1.0]), (1, [0.0, 0.0, 0.0, 0.5, 1.0, 1.0])])
def test_pieces_are_cut_where_they_agree(agree: int, row: list[float]) -> None:
    left, right = torch.zeros(1, 1, 3, 4), torch.ones(1, 1, 3, 4)
    left[..., 2 + agree] = right[..., agree] = 0.5  # of an overlap of two
    assert join([left, right], [0, 2])[0, 0, 0].tolist() == row


@pytest.mark.parametrize(("size", "overlap"), [(5, 2), (3, 1), (6, 5), (16, 1)])
def test_quilting_gives_an_image_back_whose_patches_it_has(images: torch.Tensor, size: int, overlap: int) -> None:
    everything = clever.PatchBank.of(images, size, 10**9, seed=0)
    assert len(everything.patches) == 3 * (17 - size) * (21 - size)
    assert torch.equal(clever.Quilting(everything, overlap=overlap)(images), images)


def test_quilting_takes_the_nearest_patches(images: torch.Tensor) -> None:
    bank = clever.PatchBank.of(torch.rand(9, 3, 8, 8, generator=torch.Generator().manual_seed(2)), 4, 200, seed=0)
    patches = images[:, :, 3:7, 5:9].flatten(1)
    distances = torch.cdist(patches.double(), bank.patches.flatten(1).double())
    expected = bank.patches.flatten(1)[distances.topk(6, largest=False).indices]
    assert torch.equal(bank.nearest(patches, 6), expected)
    with_choice = [clever.Quilting(bank, neighbours=6, draw=draw)(images[:, :, :4, :4]) for draw in range(40)]
    near = bank.nearest(images[:, :, :4, :4].flatten(1), 6)
    seen = {int((near[0] == quilt[0].flatten()).all(1).nonzero()) for quilt in with_choice}
    assert seen == set(range(6))


def test_a_quilt_is_made_of_the_bank_alone(images: torch.Tensor) -> None:
    bank = clever.PatchBank(torch.tensor([0.25, 0.75]).view(2, 1, 1, 1).expand(2, 3, 5, 5).contiguous())
    quilt = clever.Quilting(bank)(images)
    assert set(quilt.unique().tolist()) == {0.25, 0.75}
    assert torch.equal(quilt[:, :, 1, 1] > 0.5, images[:, :, :5, :5].mean((1, 2, 3)).gt(0.5).unsqueeze(1).expand(3, 3))


def test_without_bpda_quilting_has_no_gradient(images: torch.Tensor) -> None:
    bank = clever.PatchBank.of(images, 4, 50, seed=0)
    x = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(clever.Quilting(bank)(x).square().sum(), x)
    assert float(gradient.abs().max()) == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: clever.TVMinimization(dropout=0), "dropout of total variation minimisation is 0: it must be greater"),
        (lambda: clever.TVMinimization(dropout=1), "dropout of total variation minimisation is 1"),
        (lambda: clever.TVMinimization(weight=-1), "weight of the total variation is -1"),
        (lambda: clever.TVMinimization(steps=0), "steps of total variation minimisation is 0"),
        (lambda: clever.GaussianBlur(0), "sigma of the blur is 0"),
        (lambda: clever.Median(1), "size of the median filter is 1"),
        (lambda: clever.Median(9)(torch.rand(1, 3, 8, 12)), "9 x 9 pixels is larger than images of 8 x 12"),
        (lambda: clever.Crop(fraction=1), "fraction of a crop is 1: it must be greater than 0 and less"),
        (lambda: clever.ResizePad(least=0), "least share of resizing is 0"),
        (lambda: clever.Quilting(None), "quilting needs a clever.PatchBank"),
        (lambda: clever.PatchBank(torch.rand(3, 3, 4, 5)), r"a patch bank of \(3, 3, 4, 5\)"),
        (lambda: clever.PatchBank(torch.rand(0, 3, 4, 4)), "at least one patch"),
        (lambda: clever.PatchBank.of(torch.rand(0, 3, 8, 8), 4, 10, seed=0), "a patch bank of no images"),
        (lambda: clever.PatchBank.of(torch.rand(1, 3, 8, 8), 9, 10, seed=0), "9 x 9 pixels are larger than images of"),
        (lambda: clever.Quilting(clever.PatchBank(torch.rand(2, 3, 4, 4)), overlap=4), "overlap of patches is 4"),
        (lambda: clever.Quilting(clever.PatchBank(torch.rand(2, 3, 4, 4)), neighbours=3), "nearest patches is 3"),
        (lambda: clever.Quilting(clever.PatchBank(torch.rand(2, 3, 4, 4)))(torch.rand(1, 3, 3, 9)), "4 x 4 .* 3 x 9"),
        (lambda: clever.Quilting(clever.PatchBank(torch.rand(2, 1, 4, 4)))(torch.rand(1, 3, 8, 8)), "of 1 channels"),
    ],
)
def test_wrong_parameters_are_named(make: object, message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        make()  # type: ignore[operator]
