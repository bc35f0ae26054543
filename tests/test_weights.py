"""Weights that the user gives: files and addresses, checked before a byte of them is believed."""

import errno
import hashlib
import io
import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import Weights, WeightsEnum

import clever
from a_server import Served, serving
from conftest import Project, composed
from pipeline.model import download, weights
from pipeline.model.download import fetch
from pipeline.shared.models.checkpoint import load_state
from pipeline.shared.models.classifier import build_network, load_weights, sha256_of

State = dict[str, Tensor]
MODEL = "model=mlp_tanh"


def network() -> nn.Module:
    return build_network(composed(MODEL))[0]


def state() -> State:
    torch.manual_seed(0)
    return {name: torch.randn_like(value) for name, value in network().state_dict().items()}


def saved(content: object, path: Path) -> Path:
    torch.save(content, path)
    return path


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def from_file(path: Path, *overrides: str) -> State:
    """What weights=file gives."""
    settings = ["weights=file", f"weights.path={path}", f"weights.sha256={sha256_of(path)}", *overrides]
    kind = instantiate(composed(MODEL, *settings).weights)
    return kind.state(network(), None, training=path, store=path.parent / "store", device=torch.device("cpu"))


def test_a_state_dict_and_a_checkpoint_that_holds_one(tmp_path: Path) -> None:
    assert same(from_file(saved(state(), tmp_path / "a.pth")), state())
    checkpoint = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state().items()}}
    path = saved(checkpoint, tmp_path / "b.tar")
    assert same(from_file(path, "weights.key=state_dict", "weights.prefix=module."), state())


def test_numbers_of_numpy_beside_the_weights(tmp_path: Path) -> None:
    beside = {"a": np.float64(0.9), "b": np.float32(0.5), "c": np.int64(3), "d": np.bool_(True)}
    path = saved({**beside, "model": state()}, tmp_path / "a.pth")
    assert same(load_state(path, "model"), state())


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({f"module.{name}": value for name, value in state().items()}, path)
    assert same(from_file(path, "weights.prefix=module."), state())
    renamed = tmp_path / "download"  # as from an address without a suffix
    renamed.write_bytes(path.read_bytes())
    assert same(from_file(renamed, "weights.prefix=module."), state())
    with pytest.raises(clever.InputError, match=r"weights.key=model, but .* has no keys: leave weights.key out"):
        from_file(path, "weights.key=model")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(clever.InputError, match="is not a valid safetensors file"):
        from_file(path)


class Runs:
    """Whose pickle creates a file where it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_no_code_of_a_file_is_run(tmp_path: Path) -> None:
    path = saved({"state_dict": state(), "x": Runs(tmp_path / "ran")}, tmp_path / "a.pth")
    with pytest.raises(clever.InputError, match=r"contains no state_dict that can be loaded safely: .*mkdir") as raised:
        from_file(path, "weights.key=state_dict")
    assert "safe_globals" not in str(raised.value)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)  # as it would without
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "overrides", "message"),
    [
        ({"epoch": 1, "model": {"w": torch.ones(1)}}, [], "but a dictionary of epoch, model .try weights.key=model"),
        (
            {"epoch": 1, "model": {}},
            ["weights.key=state_dict"],
            "no such key: it contains a dictionary of epoch, model",
        ),
        ({"epoch": 1, "model": {}}, ["weights.key=epoch"], "no state_dict of tensors under epoch, but a int"),
        ({"epoch": 1, "model": {}}, ["weights.key=model"], "under model, but a dictionary of nothing"),
        ([1, 2], [], "but a list"),
        ({"m.a": torch.ones(1), "b": torch.ones(1)}, ["weights.prefix=m."], "prefix=m., but 1 of the 2 names .*: b"),
    ],
)
def test_files_that_hold_something_else(tmp_path: Path, content: object, overrides: list[str], message: str) -> None:
    with pytest.raises(clever.InputError, match=message):
        from_file(saved(content, tmp_path / "a.pth"), *overrides)


def test_files_that_are_not_the_one_meant(tmp_path: Path) -> None:
    path = saved(state(), tmp_path / "a.pth")
    for settings, message in (
        (f"weights.sha256={'0' * 64}", f"weights.sha256=0+, but the sha256 of .* is {sha256_of(path)}"),
        ("weights.sha256=abc", "weights.sha256 is 'abc': it must be 64 hexadecimal digits"),
        (f"weights.path={tmp_path / 'b'}", "weights.path=.*: there is no such file"),
    ):
        with pytest.raises(clever.InputError, match=message):
            from_file(path, settings)
    (tmp_path / "text").write_text("no file of torch's")
    with pytest.raises(clever.InputError, match="contains no state_dict that can be loaded safely"):
        from_file(tmp_path / "text")


def test_of_another_architecture_nothing_is_loaded() -> None:
    target = network()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    wrong = state()
    wrong["1.weight"] = wrong["1.weight"][:, :-1]
    with pytest.raises(
        clever.InputError, match=r"of x do not fit Sequential: 1.weight is \(64, 3071\) in the file and \(64, 3072\) in"
    ):
        load_weights(target, wrong, "x")
    assert same(before, target.state_dict())  # torch alone would have loaded all others by now
    less = state()
    less["more"] = less.pop("3.bias")
    with pytest.raises(clever.InputError, match=r"3.bias missing in the file; more not in the network \(2 differ"):
        load_weights(target, less, "x")
    with pytest.raises(clever.InputError, match=r"nothing was loaded\); they fit with weights.prefix=module."):
        load_weights(target, {f"module.{name}": value for name, value in state().items()}, "x")
    assert same(before, target.state_dict())
    load_weights(target, state(), "x")
    assert same(state(), target.state_dict())


CONTENT = np.random.default_rng(0).bytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Served(CONTENT)) as running:
        yield running


def whole(path: Path, folder: Path) -> bool:
    """The right file, and nothing half beside it."""
    return path.read_bytes() == CONTENT and list(folder.iterdir()) == [path]


def test_the_right_file_is_downloaded_once(served: Served, tmp_path: Path) -> None:
    path = fetch(served.url, SHA256, tmp_path / "a.pth")
    assert whole(path, tmp_path)
    assert fetch(served.url, SHA256, tmp_path / "a.pth") == path
    assert len(served.asked) == 1
    path.write_bytes(CONTENT[:-1] + b"x")  # damaged since
    assert whole(fetch(served.url, SHA256, tmp_path / "a.pth"), tmp_path)
    assert len(served.asked) == 2


def test_another_file_is_refused_and_gone(served: Served, tmp_path: Path) -> None:
    with pytest.raises(
        clever.InputError, match=f"weights.sha256=0+, but the sha256 of .* is {SHA256}; the download was"
    ):
        fetch(served.url, "0" * 64, tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


def of_torchvision(served: Served, content: bytes, monkeypatch: pytest.MonkeyPatch, sha256: str | None = None) -> State:
    """What weights=torchvision gives where its file has that content and lies on ``served``."""
    served.content = content
    name = f"mlp-{(sha256 or hashlib.sha256(content).hexdigest())[:8]}.pth"

    class Versions(WeightsEnum):
        V1 = Weights(f"{served.url}/{name}", transforms=nn.Identity, meta={})

    monkeypatch.setattr(weights.torchvision.models, "get_model_weights", lambda _: Versions)
    where = {"training": Path(), "store": Path(), "device": torch.device("cpu")}
    return weights.Torchvision("squeezenet1_1", "V1").state(network(), None, **where)


@pytest.mark.parametrize("zipped", [True, False])  # the older files of torchvision are not
def test_torchvisions_weights_are_downloaded_once_and_believed_for_their_hash(
    zipped: bool, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = io.BytesIO()
    torch.save(state(), file, _use_new_zipfile_serialization=zipped)
    content = file.getvalue()
    for _ in range(2):
        assert same(of_torchvision(served, content, monkeypatch), state())
    assert len(served.asked) == 1
    (cached,) = (tmp_path / "hub" / "checkpoints").iterdir()
    cached.write_bytes(content[:-1])
    assert same(of_torchvision(served, content, monkeypatch), state())  # damaged, and downloaded again
    assert len(served.asked) == 2
    with pytest.raises(
        clever.InputError, match=r"weights.sha256=00000000, but the sha256 of .* the download was deleted"
    ):
        of_torchvision(served, content, monkeypatch, sha256="0" * 64)
    assert list(cached.parent.iterdir()) == [cached]


def test_torchvisions_file_runs_no_code(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(clever.InputError, match="contains no state_dict that can be loaded safely"):
        of_torchvision(served, saved(Runs(tmp_path / "ran"), tmp_path / "evil").read_bytes(), monkeypatch)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("length", [True, False])
def test_a_cut_connection_leaves_no_file(served: Served, tmp_path: Path, length: bool) -> None:
    """Told by the length that the server announced, or by the sha256."""
    served.length, served.cut = length, [500_000]
    with pytest.raises(clever.InputError, match=rf"{served.url}.*weights=file weights.path"):
        fetch(served.url, SHA256, tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())
    assert whole(fetch(served.url, SHA256, tmp_path / "a.pth"), tmp_path)


def test_what_servers_answer(served: Served, tmp_path: Path) -> None:
    for status in (503, 404):
        served.status = [status]
        with pytest.raises(clever.InputError, match=f"{served.url} cannot be downloaded: {status} .*to try again"):
            fetch(served.url, SHA256, tmp_path / "a.pth")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_bad_input(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download.pooch, "retrieve", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(served.url, SHA256, tmp_path / "a.pth")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "weights.pth", "http://"])
def test_addresses_that_are_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(clever.InputError, match="must be a URL with http:// or https://"):
        fetch(url, SHA256, tmp_path / "a.pth")


def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(clever.InputError, match=r"http://127.0.0.1:1/x cannot be downloaded"):
        fetch("http://127.0.0.1:1/x", SHA256, tmp_path / "a.pth")


def test_the_stage_model_takes_a_checkpoint_from_an_address(served: Served, tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    project.stage("prepare")
    content = io.BytesIO()
    torch.save({"epoch": 1, "state_dict": {f"module.{name}": value for name, value in state().items()}}, content)
    served.content = content.getvalue()
    digest = hashlib.sha256(served.content).hexdigest()
    url = [MODEL, "weights=url", f"weights.url={served.url}", "weights.key=state_dict", "weights.prefix=module."]
    project.stage("model", *url, f"weights.sha256={digest}")
    assert same(load_state(project.folder / "models" / "ad_hoc" / "mlp_tanh" / "weights.pt"), state())
    assert [path.suffix for path in (project.folder / "store" / "downloads").iterdir()] == [".pth"]
    assert "weights.sha256" in project.stage("model", *url, code=2).stderr
    served.content = pickle.dumps(Runs(tmp_path / "ran"))
    told = project.stage("model", *url, f"weights.sha256={'1' * 64}", code=2).stderr
    assert "the download was deleted" in told
    assert not (tmp_path / "ran").exists()


def test_scores_are_of_the_weights_that_the_run_asks_for(project: Project) -> None:
    few = ("score.n_images=1", "norms=[L2]", "targets=[top2]", "results_dir=run")
    told = project.stage("score", "weights=random", *few, code=2).stderr
    assert "weights.class is Random here and Published there" in told
    assert not (project.folder / "store" / "maxima").exists()
    project.stage("model", "weights=random")
    assert (
        "weights.seed is 3 here and 1215 there"
        in project.stage("score", "weights=random", "weights.seed=3", *few, code=2).stderr
    )


def test_a_file_of_weights_is_the_same_wherever_it_lies(project: Project) -> None:
    few = ("score.n_images=1", "norms=[L2]", "targets=[top2]", "results_dir=run")
    path = shutil.copy(project.folder / "data" / "weights" / "small_densenet.pt", project.folder / "given.pt")
    known = f"weights.sha256={sha256_of(path)}"
    project.stage("model", "weights=file", f"weights.path={path}", known)
    for whence in (
        ["weights=file", "weights.path=elsewhere.pt"],
        ["weights=file"],
        ["weights=url", "weights.url=http://a/b"],
    ):
        project.stage("score", *whence, known, *few)
    told = project.stage("score", "weights=file", "weights.path=given.pt", f"weights.sha256={'1' * 64}", *few, code=2)
    assert f"weights.sha256 is {'1' * 64} here and {sha256_of(path)} there" in told.stderr
    told = project.stage("score", "weights=file", known, "weights.key=model", *few, code=2)
    assert "weights.key is model here and None there" in told.stderr


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.network.activation=tanh"], "model.network.activation is tanh here and relu there"),
        (["model=small_densenet_adversarial", "model.hardening.radius=9"], "hardening.radius is 9 here and 1.5 there"),
        (["+model.recipe.seed=3"], "model.recipe is {'seed': 3} here and not set there"),
    ],
)
def test_published_weights_are_of_the_network_that_they_were_published_for(
    project: Project, overrides: list[str], message: str
) -> None:
    told = project.stage("model", *overrides, code=2).stderr
    assert "data/weights/small_densenet" in told
    assert message in told


def test_published_weights_may_have_another_name(project: Project) -> None:
    project.stage("model", "model.name=mine", "weights.path=data/weights/small_densenet.pt")
    assert (project.folder / "models" / "ad_hoc" / "mine" / "weights.pt").is_file()
