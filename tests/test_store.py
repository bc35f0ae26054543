"""The store: nothing computed twice, nothing damaged used, the same numbers as without it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from clever.bpda import Defended
from clever.errors import InputError
from clever.maxima import BatchMaxima, Site
from clever.norms import Norm
from clever.orders import FirstOrder
from clever.samplers import sample_with
from clever.sampling import Ball
from clever.transforms import JPEG, Identity, Quantize
from pipeline.classifiers.fingerprint import identity_of, of_order
from pipeline.store import Store

N_SAMPLES = 10


@pytest.fixture
def network() -> Defended:
    torch.manual_seed(0)
    bent = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 6))
    for parameter in bent.parameters():
        parameter.requires_grad_(False)
    return Defended(bent, Identity())


class Scaled(nn.Module):
    """A defense whose repr does not say its parameter."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.register_buffer("factor", torch.tensor(factor))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images * self.factor


class Counted:
    """A store, how many gradients it computed and found, and which batches reached the network."""

    def __init__(self, path: Path, network: Defended, chunk_points: int = 4 * N_SAMPLES) -> None:
        self.network, self.computed, self.found = network, 0, 0
        identity = identity_of(network, {}) | of_order(FirstOrder())
        self.store = Store(path, identity, chunk_points, computed=self.add_computed, found=self.add_found)

    def add_computed(self, gradients: int) -> None:
        self.computed += gradients

    def add_found(self, gradients: int) -> None:
        self.found += gradients

    def maxima(self, n_batches: int, targets: list[int], *, seed: int = 0, radius: float = 1.0) -> BatchMaxima:
        image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
        site = Site(image, "image", Ball(Norm.L2, radius), N_SAMPLES, seed, True)
        return self.store(lambda some: FirstOrder().measure(self.network, 0, some), site, 0, targets, range(n_batches))


def same(one: BatchMaxima, other: BatchMaxima) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_the_store_gives_what_sampling_gives(tmp_path: Path, network: Defended) -> None:
    stored = Counted(tmp_path, network)
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
    site = Site(image, "image", Ball(Norm.L2, 1.0), N_SAMPLES, 0, True)
    direct = sample_with(lambda _: None)(lambda some: FirstOrder().measure(network, 0, some), site, 0, [1, 3], range(9))
    first = stored.maxima(9, [1, 3])
    assert np.allclose(first.value, direct.value, rtol=1e-6)
    assert np.array_equal(first.index, direct.index)
    assert first.value.shape == (9, 2, 3, 8)
    assert (np.diff(first.value, axis=-1) <= 0).all()
    assert same(stored.maxima(9, [1, 3]), first)
    assert (stored.computed, stored.found) == (9 * 2 * N_SAMPLES, 9 * 2 * N_SAMPLES)


def test_what_lies_where_the_maximum_was(tmp_path: Path, network: Defended) -> None:
    maxima = Counted(tmp_path, network).maxima(1, [2])
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
    points, distance = next(Site(image, "image", Ball(Norm.L2, 1.0), N_SAMPLES, 0, True).points(range(1), N_SAMPLES))
    at = int(maxima.index[0, 0, 1, 0])
    again = FirstOrder().measure(network, 0, [2])(points[at : at + 1])
    assert float(again[0, 0, 1]) == pytest.approx(float(maxima.value[0, 0, 1, 0]), rel=1e-6)
    assert float(distance[at]) == pytest.approx(float(maxima.distance[0, 0, 1, 0]), rel=1e-6)


def test_more_batches_extend_fewer(tmp_path: Path, network: Defended) -> None:
    stored = Counted(tmp_path, network)
    few = stored.maxima(6, [1])
    stored.computed = 0
    many = stored.maxima(15, [1])
    assert stored.computed == 9 * N_SAMPLES
    assert np.array_equal(many.value[:6], few.value)
    assert np.allclose(many.value, Counted(tmp_path / "fresh", network).maxima(15, [1]).value, rtol=1e-6)


def test_a_new_target_costs_only_itself(tmp_path: Path, network: Defended) -> None:
    stored = Counted(tmp_path, network)
    stored.maxima(6, [1, 2])
    stored.computed = 0
    three = stored.maxima(6, [2, 4, 1])
    assert stored.computed == 6 * N_SAMPLES
    assert np.allclose(three.value, Counted(tmp_path / "fresh", network).maxima(6, [2, 4, 1]).value, rtol=1e-6)


def test_whatever_decides_the_numbers_has_a_place_of_its_own(tmp_path: Path, network: Defended) -> None:
    def computed(network: Defended, **change: float) -> int:
        stored = Counted(tmp_path, network)
        stored.maxima(6, [1], **change)
        return stored.computed

    assert computed(network) > 0
    assert computed(network) == 0
    assert computed(network, seed=1) > 0
    assert computed(network, radius=2.0) > 0
    assert computed(Defended(network.network, Quantize(levels=8))) > 0
    assert computed(Defended(network.network, Quantize(levels=9))) > 0
    assert computed(Defended(network.network, JPEG(), bpda=True)) > 0
    assert computed(Defended(network.network, JPEG(), bpda=False)) > 0
    assert computed(Defended(network.network, Scaled(0.5))) > 0
    assert computed(Defended(network.network, Scaled(0.25))) > 0
    network.network[1].weight[0, 0] += 1
    assert computed(network) > 0


@pytest.mark.parametrize("damage", [b"", b"no archive", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_file_is_named_and_computed_anew(tmp_path: Path, network: Defended, damage, capsys) -> None:
    stored = Counted(tmp_path, network)
    first = stored.maxima(8, [1])
    victim = sorted(tmp_path.rglob("*.npz"))[1]
    victim.write_bytes(victim.read_bytes()[:-40] if damage is None else damage)
    stored.computed = 0
    assert same(stored.maxima(8, [1]), first)
    assert stored.computed == 4 * N_SAMPLES
    assert str(victim) in capsys.readouterr().err


def test_a_flipped_bit_is_found_out(tmp_path: Path, network: Defended, capsys) -> None:
    stored = Counted(tmp_path, network)
    first = stored.maxima(4, [1])
    victim = next(tmp_path.rglob("*.npz"))
    content = bytearray(victim.read_bytes())
    at = content.index(first.value.tobytes()[:8])
    content[at] ^= 1
    victim.write_bytes(content)
    assert same(stored.maxima(4, [1]), first)
    assert "computed anew" in capsys.readouterr().err


def test_a_file_of_another_folder_is_not_used(tmp_path: Path, network: Defended, capsys) -> None:
    stored = Counted(tmp_path, network)
    first = stored.maxima(4, [1])
    mine = next(tmp_path.rglob("*.npz"))
    stored.maxima(4, [1], seed=9)
    foreign = next(path for path in tmp_path.rglob("*.npz") if path.parent != mine.parent)
    mine.write_bytes(foreign.read_bytes())
    assert same(stored.maxima(4, [1]), first)
    assert "another folder" in capsys.readouterr().err


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, network: Defended, monkeypatch) -> None:
    stored = Counted(tmp_path, network)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(np, "savez", full)
        with pytest.raises(OSError, match="No space"):
            stored.maxima(4, [1])
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"key.json"}
    stored.maxima(4, [1])
    assert stored.found == 0


def test_a_defense_without_a_name_of_its_own_is_refused(network: Defended) -> None:
    class Nameless:
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images

    with pytest.raises(InputError, match="Nameless needs a repr"):
        identity_of(Defended(network.network, Nameless()), {})
