"""The search behind JPEG: its regions are the codec's, and it finds nearer images than a descent alone."""

import pytest
import torch
from torch import nn

import clever
from clever.attacks.descent import descend
from clever.attacks.jpeg_local_search import jpeg_local_search
from clever.attacks.jpeg_regions import Regions
from clever.attacks.refine import BestSoFar, snap_back
from clever.classifier.wrappers import frozen
from clever.defenses.jpeg.linearized import Linear
from clever.norms import Norm


@pytest.mark.parametrize(
    ("shape", "subsampling"), [((3, 32, 32), "4:2:0"), ((3, 20, 36), "4:4:4"), ((1, 16, 24), "4:2:2")]
)
def test_a_coefficient_answers_to_the_pixels_of_its_own_region(shape: tuple[int, int, int], subsampling: str) -> None:
    linear = Linear(torch.zeros(shape), 75, subsampling)
    regions = Regions(linear)
    zero = linear.encode(torch.zeros(1, *shape))
    for region in range(regions.count):
        inside = (regions.by_number == region).view(1, *shape).float()
        moved = (linear.encode(inside * torch.rand(1, *shape)) - zero).abs() > 1e-3
        assert moved.any()
        assert set(regions.by_coefficient[moved[0]].tolist()) == {region}


def test_the_first_numbers_of_a_region_are_those_that_suffice() -> None:
    regions = Regions(Linear(torch.zeros(3, 16, 32), 75, "4:2:0"))
    keys, weights = torch.rand(2, 4, 3 * 16 * 32, generator=torch.Generator().manual_seed(0))
    needed = torch.tensor([[0.0, 5.0], [0.3, 1e9], [1.0, 1.0], [20.0, 0.01]])
    taken = regions.select(keys, weights, needed)
    for row in range(4):
        for region in range(2):
            inside = regions.by_number == region
            chosen, wanted = taken[row] & inside, float(needed[row, region])
            if wanted > float(weights[row, inside].sum()):
                assert torch.equal(chosen, inside)
                continue
            total = float(weights[row, chosen].sum())
            last = float(weights[row, chosen][keys[row, chosen].argmin()]) if wanted else 0.0
            assert total - last <= wanted <= total + 1e-4
            assert not wanted or float(keys[row, chosen].min()) > float(keys[row, inside & ~taken[row]].max())


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 8, 3, padding=1)
    return nn.Sequential(convolution, nn.Tanh(), nn.Flatten(), nn.Linear(8 * 16 * 16, 4)).requires_grad_(False)


@pytest.mark.parametrize(("norm", "to_uint8"), [(Norm.L2, "round"), (Norm.L1, "round"), (Norm.L2, "truncate")])
def test_it_comes_nearer_and_what_it_keeps_is_adversarial(network, norm: Norm, to_uint8: str) -> None:
    codec = clever.JPEG(to_uint8=to_uint8)
    images = clever.PNG()(torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    defended = clever.Defended(network, codec, backward=clever.Smooth(codec))
    straight = clever.Defended(network, codec)
    with frozen(network):
        targets = straight(images).argsort(1, descending=True)[:, 1]

        def found() -> BestSoFar:
            nearest = BestSoFar(defended, images, targets, norm)
            descend(nearest.margin, images, norm, steps=15, defense=codec)
            snap_back(nearest, codec)
            nearest.network = straight
            return nearest

        before, after, again = found(), found(), found()
        for nearest in (after, again):
            jpeg_local_search(nearest, codec, 8, torch.Generator().manual_seed(0))
        assert torch.equal(after.image, again.image)
        assert torch.equal(straight(after.image).argmax(1), targets)
    torch.testing.assert_close(after.distance, norm.of(after.image - images))
    assert bool((after.distance <= before.distance).all())
    if to_uint8 == "round":
        assert float((after.distance / before.distance).median()) < 0.95


def test_where_nothing_was_found_the_original_stays(network) -> None:
    codec, images = clever.JPEG(), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    straight = clever.Defended(network, codec)
    with frozen(network):
        nearest = BestSoFar(straight, images, straight(images).argmin(1), Norm.L2)
        jpeg_local_search(nearest, codec, 3, torch.Generator().manual_seed(0))
    assert nearest.distance.isinf().all()
    assert torch.equal(nearest.image, images)
