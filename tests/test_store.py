"""The store: nothing computed twice, nothing damaged used, the same numbers as without it."""

import importlib.util
import linecache
import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from clever._internal.capacity import Measure
from clever.bounds.first_order import FirstOrder
from clever.classifier.image_context import ImageContext
from clever.defenses.bpda import Defended
from clever.defenses.chain import Chain, Identity
from clever.defenses.expectation import Expectation
from clever.defenses.jpeg.defense import JPEG
from clever.defenses.noise import Noise
from clever.defenses.quantization import Quantize
from clever.errors import InputError
from clever.norms import Norm
from clever.sampling.balls import Ball
from clever.sampling.maxima import BallSampler, BatchMaxima
from clever.sampling.samplers import direct_sampler
from pipeline.score.batch_files import STALE_AFTER
from pipeline.score.store import Store
from pipeline.shared.store import kept
from pipeline.shared.store.fingerprint import classifier_key, fingerprint, order_key, source_of

N_SAMPLES = 10


@pytest.fixture
def network() -> Defended:
    torch.manual_seed(0)
    bent = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.Tanh(), nn.Linear(16, 6))
    for parameter in bent.parameters():
        parameter.requires_grad_(False)
    return Defended(bent, Identity())


def measure(network: Defended, targets: Sequence[int]) -> Measure:
    """First order's, predicted class 0; it asks neither for the image nor for the margins."""
    context = ImageContext(0, "image", 48, 0, {}, {}, {})
    return FirstOrder().measure(network, torch.empty(0), context, targets)


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
        key = classifier_key(network, {}) | order_key(FirstOrder())
        self.store = Store(path, key, chunk_points, compute=self.add_computed, find=self.add_found)

    def add_computed(self, gradients: int) -> None:
        self.computed += gradients

    def add_found(self, gradients: int) -> None:
        self.found += gradients

    def maxima(self, n_batches: int, targets: list[int], *, seed: int = 0, radius: float = 1.0) -> BatchMaxima:
        image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
        ball_sampler = BallSampler(image, "image", Ball(Norm.L2, radius), N_SAMPLES, seed, True)
        return self.store(lambda some: measure(self.network, some), ball_sampler, 0, targets, range(n_batches))


def same(one: BatchMaxima, other: BatchMaxima) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in vars(one))


def test_the_store_gives_what_sampling_gives(tmp_path: Path, network: Defended) -> None:
    stored = Counted(tmp_path, network)
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(1))
    ball_sampler = BallSampler(image, "image", Ball(Norm.L2, 1.0), N_SAMPLES, 0, True)
    direct = direct_sampler(lambda _: None)(lambda some: measure(network, some), ball_sampler, 0, [1, 3], range(9))
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
    points, distance = next(
        BallSampler(image, "image", Ball(Norm.L2, 1.0), N_SAMPLES, 0, True).points(range(1), N_SAMPLES)
    )
    at = int(maxima.index[0, 0, 1, 0])
    again = measure(network, [2])(points[at : at + 1])
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


class Killed(BaseException):
    """What ends a process in the middle."""


def interrupted(path: Path, network: Defended, n_batches: int, targets: list[int], chunks: int) -> int:
    """Runs until so many chunks are under way and the last of them is lost; the gradients of the others."""
    stored = Counted(path, network)

    def count(gradients: int) -> None:
        stored.computed += gradients
        if stored.computed == chunks * 4 * N_SAMPLES * len(targets):
            raise Killed

    stored.store.compute = count
    with pytest.raises(Killed):
        stored.maxima(n_batches, targets)
    return (chunks - 1) * 4 * N_SAMPLES * len(targets)


def test_a_chunk_is_kept_as_soon_as_it_is_there_and_chunks_are_joined_at_the_end(tmp_path: Path, network) -> None:
    whole = Counted(tmp_path.with_name("other"), network).maxima(13, [1, 3])
    finished = interrupted(tmp_path, network, 13, [1, 3], 3)
    assert len(list(tmp_path.rglob("*.npz"))) == 2
    again = Counted(tmp_path, network)
    assert same(again.maxima(13, [1, 3]), whole)
    assert (again.found, again.found + again.computed) == (finished, 13 * 2 * N_SAMPLES)
    assert len(list(tmp_path.rglob("*.npz"))) == 1
    last = Counted(tmp_path, network)
    assert same(last.maxima(13, [1, 3]), whole)
    assert last.computed == 0


def test_what_another_process_finishes_meanwhile_is_not_computed(tmp_path: Path, network: Defended) -> None:
    """Two stores on one folder, the second one at work while the first is in its first chunk."""
    one, other = Counted(tmp_path, network), Counted(tmp_path, network)

    def count(gradients: int) -> None:
        if not one.computed:
            other.maxima(13, [1])
        one.computed += gradients

    one.store.compute = count
    assert same(one.maxima(13, [1]), Counted(tmp_path.with_name("other"), network).maxima(13, [1]))
    assert other.computed == 13 * N_SAMPLES
    assert one.computed == 4 * N_SAMPLES  # the chunk that was under way in both


def test_a_file_that_is_joined_to_others_while_it_is_read_is_found_there(tmp_path, network, monkeypatch) -> None:
    interrupted(tmp_path, network, 13, [1], 3)
    read, joined = kept.load_verified, []

    def late(path: Path, belongs_to: str) -> dict | None:
        if not joined:
            joined.append(True)
            Counted(tmp_path, network).maxima(13, [1])
        return read(path, belongs_to)

    monkeypatch.setattr(kept, "load_verified", late)
    stored = Counted(tmp_path, network)
    stored.maxima(13, [1])
    assert (stored.computed, stored.found) == (0, 13 * N_SAMPLES)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_kill_while_files_are_joined_loses_none(tmp_path: Path, network: Defended, monkeypatch, after: int) -> None:
    unlink, unlinked = Path.unlink, []

    def killed(path: Path, missing_ok: bool = False) -> None:
        if len(unlinked) == after:
            raise Killed
        unlinked.append(path)
        unlink(path, missing_ok)

    first = Counted(tmp_path, network)
    with monkeypatch.context() as dying:
        dying.setattr(Path, "unlink", killed)
        with pytest.raises(Killed):
            first.maxima(13, [1])
    for _ in range(2):
        again = Counted(tmp_path, network)
        again.maxima(13, [1])
        assert again.computed == 0
        assert len(list(tmp_path.rglob("*.npz"))) == 1


def test_a_joined_file_that_is_damaged_is_made_anew_for_good(tmp_path: Path, network: Defended) -> None:
    first = Counted(tmp_path, network).maxima(13, [1])
    (joined,) = tmp_path.rglob("*.npz")
    joined.write_bytes(joined.read_bytes()[:-40])
    assert same(Counted(tmp_path, network).maxima(13, [1]), first)
    last = Counted(tmp_path, network)
    assert same(last.maxima(13, [1]), first)
    assert last.computed == 0


@pytest.mark.parametrize("damage", [b"", b"no archive", None], ids=["empty", "garbage", "cut"])
def test_a_damaged_file_is_named_and_computed_anew(tmp_path: Path, network: Defended, damage, capsys) -> None:
    first = Counted(tmp_path.with_name("other"), network).maxima(13, [1])
    interrupted(tmp_path, network, 13, [1], 3)
    victim = sorted(tmp_path.rglob("*.npz"))[1]
    victim.write_bytes(victim.read_bytes()[:-40] if damage is None else damage)
    stored = Counted(tmp_path, network)
    assert same(stored.maxima(13, [1]), first)
    assert stored.found == 4 * N_SAMPLES
    assert f"{victim} cannot be used and will be computed again" in capsys.readouterr().err


def test_a_flipped_bit_anywhere_is_found_out_or_harmless(tmp_path: Path, network: Defended, capsys) -> None:
    first = Counted(tmp_path, network).maxima(4, [1])
    (victim,) = tmp_path.rglob("*.npz")
    content = victim.read_bytes()
    told = 0
    for at in np.random.default_rng(0).choice(len(content), 100, replace=False):
        flipped = bytearray(content)
        flipped[at] ^= 1 << int(at) % 8
        victim.write_bytes(flipped)
        assert same(Counted(tmp_path, network).maxima(4, [1]), first)
        told += "computed again" in capsys.readouterr().err
    assert told > 50
    inside = bytearray(content)
    inside[content.index(first.value.tobytes()[:8])] ^= 1
    victim.write_bytes(inside)
    assert same(Counted(tmp_path, network).maxima(4, [1]), first)
    assert "computed again" in capsys.readouterr().err


def test_a_file_of_another_version_is_named_and_computed_anew(tmp_path, network, monkeypatch, capsys) -> None:
    with monkeypatch.context() as later:
        later.setattr(kept, "FORMAT", kept.FORMAT + 1)
        Counted(tmp_path, network).maxima(4, [1])
    stored = Counted(tmp_path, network)
    stored.maxima(4, [1])
    assert (stored.computed, stored.found) == (4 * N_SAMPLES, 0)
    assert f"its format is {kept.FORMAT + 1}, not {kept.FORMAT}" in capsys.readouterr().err


def test_what_a_killed_process_was_writing_is_swept_away_when_it_is_old(tmp_path: Path, network: Defended) -> None:
    Counted(tmp_path, network).maxima(4, [1])
    (file,) = tmp_path.rglob("*.npz")
    young, old = file.with_name(f".{file.name}.a"), file.with_name(f".{file.name}.b")
    for path in (young, old):
        path.write_bytes(file.read_bytes()[:50])
    os.utime(old, (time.time() - 2 * STALE_AFTER,) * 2)
    Counted(tmp_path, network).maxima(8, [1])
    assert young.exists()
    assert not old.exists()


def test_a_file_of_another_folder_is_not_used(tmp_path: Path, network: Defended, capsys) -> None:
    stored = Counted(tmp_path, network)
    first = stored.maxima(4, [1])
    mine = next(tmp_path.rglob("*.npz"))
    stored.maxima(4, [1], seed=9)
    foreign = next(path for path in tmp_path.rglob("*.npz") if path.parent != mine.parent)
    mine.write_bytes(foreign.read_bytes())
    assert same(Counted(tmp_path, network).maxima(4, [1]), first)
    assert "another key" in capsys.readouterr().err


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


CODE = """
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Darker:
    share: float = 1.0

    def __call__(self, images):
        return images * {factor}


class Net(nn.Module):
    def forward(self, images):
        return images.flatten(1) * {factor}
"""


def of_code(folder: Path, factor: float, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (folder / "own.py").write_text(f"# {factor}" + CODE.format(factor=factor))
    described = importlib.util.spec_from_file_location("own", folder / "own.py")
    assert described is not None
    assert described.loader is not None
    own = importlib.util.module_from_spec(described)
    monkeypatch.setitem(sys.modules, "own", own)
    linecache.clearcache()
    described.loader.exec_module(own)
    return own


def test_changed_code_of_a_network_or_a_defense_is_told_apart(
    tmp_path: Path, network: Defended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its repr, its parameters and its settings are what they were."""
    found = []
    for name, factor in (("a", 0.9), ("b", 0.9), ("c", 0.7)):
        (tmp_path / name).mkdir()
        own = of_code(tmp_path / name, factor, monkeypatch)
        chained = Chain([own.Darker(), Identity()])
        given = [
            Defended(network.network, own.Darker()),
            Defended(network.network, chained),
            Defended(network.network, Expectation(Chain([own.Darker(), Noise()]))),
            Defended(network.network, Quantize(), backward=own.Darker()),
            Defended(nn.Sequential(own.Net(), nn.Linear(48, 2)).requires_grad_(requires_grad=False), Identity()),
        ]
        for one in given[-1].network.parameters():
            one.zero_()
        found.append([classifier_key(one, {}) for one in given])
    assert found[0] == found[1]
    assert not [at for at, (one, other) in enumerate(zip(found[0], found[2], strict=True)) if one == other]


def test_weights_within_a_chain_are_told_apart(network: Defended) -> None:
    keys = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        chained = Chain([nn.Conv2d(3, 3, 1), Quantize()])
        keys.add(str(classifier_key(Defended(network.network, chained), {})))
        keys.add(str(classifier_key(Defended(network.network, Quantize(), backward=chained), {})))
    assert len(keys) == 4


class Activated(nn.Module):
    """Holds a function in a way that its repr does not say."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function


class Slotted:
    __slots__ = ("values",)

    def __init__(self, factor: float) -> None:
        self.values = torch.tensor(factor)


def scaling(factor: float) -> Callable[[torch.Tensor], torch.Tensor]:
    values = torch.tensor(factor)
    return lambda images: images * values


def test_what_a_network_holds_is_told_apart_however_it_holds_it() -> None:
    pairs = [
        (torch.tanh, torch.relu),
        (nn.functional.relu, nn.functional.gelu),
        (scaling(1.0), scaling(2.0)),
        (partial(torch.mul, other=torch.tensor(1.0)), partial(torch.mul, other=torch.tensor(2.0))),
        ([{"deep": Slotted(1.0)}], [{"deep": Slotted(2.0)}]),
        (Slotted(1.0).__init__, Slotted(2.0).__init__),
    ]
    for one, other in pairs:
        assert fingerprint(Activated(one)) == fingerprint(Activated(one))
        assert fingerprint(Activated(one)) != fingerprint(Activated(other)), one


def test_a_base_class_of_a_users_own_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, factor in (("a", 0.9), ("b", 0.7)):
        (tmp_path / name).mkdir()
        base = of_code(tmp_path / name, factor, monkeypatch).Net
        found.append(fingerprint(type("Derived", (base,), {"__module__": __name__})()))
    assert found[0] != found[1]


def test_docstrings_and_comments_of_a_users_own_code_do_not_count(tmp_path: Path) -> None:
    texts = []
    for name, text in (
        ("a", '"""One."""\nx = "kept"'),
        ("b", '# Two.\n"""Two."""\n\nx  =  "kept"'),
        ("c", "x = 'else'"),
    ):
        (tmp_path / f"{name}.py").write_text(f'{text}\ndef f():\n    """{name}"""\n')
        module = ModuleType("own")
        module.__file__ = str(tmp_path / f"{name}.py")
        texts.append(source_of(module))
    assert texts[0] == texts[1] != texts[2]


def test_a_defense_without_a_name_of_its_own_is_refused(network: Defended) -> None:
    class Nameless:
        def __call__(self, images: torch.Tensor) -> torch.Tensor:
            return images

    with pytest.raises(InputError, match="Nameless needs a repr"):
        classifier_key(Defended(network.network, Nameless()), {})
