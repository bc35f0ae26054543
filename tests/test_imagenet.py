"""Both layouts of ImageNet give the same labelled images, and what cannot be one says so."""

import io
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import imagenet as theirs

from clever.errors import InputError
from pipeline.prepare.choice import choose
from pipeline.prepare.imagenet import DEVKIT, WNIDS, entries


def jpeg(level: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(stream, "JPEG")
    return stream.getvalue()


# Both ends of the classes, and an order of the labels that is not that of the images.
LABELS = {f"ILSVRC2012_val_{number:08d}": label for number, label in enumerate((65, 970, 0, 999, 65), start=1)}
BYTES = {name: jpeg(40 * number) for number, name in enumerate(LABELS)}
#: The devkit's own class numbers: any order but the sorted one.
NUMBER_OF = dict(zip(WNIDS, (np.random.default_rng(0).permutation(1000) + 1).tolist(), strict=True))


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def synsets() -> bytes:
    fields = (
        "ILSVRC2012_ID",
        "WNID",
        "words",
        "gloss",
        "num_children",
        "children",
        "wordnet_height",
        "num_train_images",
    )
    rows = [(NUMBER_OF[wnid], wnid, f"{wnid}, alias", "", 0, [], 0, 1300) for wnid in WNIDS]
    rows += [(1000 + k, f"n0000174{k}", "inner node", "", 2, [1, 2], 3, 0) for k in range(1, 4)]
    table = np.array(rows, dtype=[(field, object) for field in fields]).reshape(-1, 1)
    stream = io.BytesIO()
    savemat(stream, {"synsets": table})
    return stream.getvalue()


SYNSETS = synsets()
LINES = "".join(f"{NUMBER_OF[WNIDS[label]]}\n" for label in LABELS.values())


def class_folders(folder: Path) -> None:
    for name, label in LABELS.items():
        write(folder / WNIDS[label] / f"{name}.JPEG", BYTES[name])
    write(folder / "thumbs" / "extra.JPEG", jpeg(0))
    write(folder / "n99999999" / "extra.JPEG", jpeg(0))
    write(folder / WNIDS[0] / "readme.txt", "no image")
    write(folder / WNIDS[0] / "folder.JPEG" / "readme.txt", "no image")
    write(folder / WNIDS[0] / "._ILSVRC2012_val_00000003.JPEG", "what macOS leaves")


def flat(folder: Path) -> None:
    for name, content in BYTES.items():
        write(folder / f"{name}.JPEG", content)


def devkit(folder: Path) -> None:
    with tarfile.open(folder / DEVKIT, "w:gz") as out:
        add(out, "ILSVRC2012_devkit_t12/data/meta.mat", SYNSETS)
        add(out, "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt", LINES.encode())


@pytest.fixture
def any_md5(monkeypatch: pytest.MonkeyPatch) -> None:
    """The devkit of these tests is not the published file."""
    monkeypatch.setattr(theirs, "_verify_archive", lambda *_: None)


Build = Callable[[Path], object]


def together(*steps: Build) -> Build:
    return lambda root: [step(root) for step in steps]


def inside(where: str, build: Build) -> Build:
    def built(root: Path) -> None:
        (root / where).mkdir(parents=True, exist_ok=True)
        build(root / where)

    return built


def text(name: str, content: bytes | str) -> Build:
    return lambda root: write(root / name, content)


#: What lies in the folder, and which folder in it the user names.
LAYOUTS: dict[str, tuple[Build, str]] = {
    "class folders": (class_folders, ""),
    "class folders in val": (inside("val", class_folders), ""),
    "class folders named": (inside("val", class_folders), "val"),
    "torchvision, extracted": (together(devkit, inside("val", class_folders)), ""),
    "flat": (together(flat, devkit), ""),
    "flat in val, devkit too": (inside("val", together(flat, devkit)), ""),
    "flat in val, devkit above": (together(inside("val", flat), devkit), ""),
    "flat named, devkit above": (together(inside("val", flat), devkit), "val"),
}


@pytest.mark.usefixtures("any_md5")
@pytest.mark.parametrize(("build", "named"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_images(build: Build, named: str, tmp_path: Path) -> None:
    root = tmp_path / "imagenet"
    root.mkdir()
    build(root)
    before = sorted(tmp_path.rglob("*"))
    found = entries(root / named)
    assert [(entry.id, entry.label) for entry in found] == sorted(LABELS.items())
    assert {entry.id: entry.file.read_bytes() for entry in found} == BYTES
    assert all(entry.source.endswith(f"{entry.id}.JPEG") and str(tmp_path) not in entry.source for entry in found)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is extracted"


def test_other_names_get_their_class_as_part_of_the_id(tmp_path: Path) -> None:
    for suffix, wnid in zip((".jpg", ".JPG", ".png", ".webp"), WNIDS, strict=False):
        write(tmp_path / wnid / f"a.b{suffix}", jpeg(0))
    assert [entry.id for entry in entries(tmp_path)] == [f"{wnid}/a.b" for wnid in WNIDS[:4]]


def test_images_are_listed_not_opened(tmp_path: Path) -> None:
    (tmp_path / WNIDS[7]).mkdir()
    (tmp_path / WNIDS[7] / "lost.jpg").symlink_to(tmp_path / "nowhere")
    (entry,) = entries(tmp_path)
    with pytest.raises(FileNotFoundError):
        entry.file.read_bytes()


LOOKED = r"one folder per wnid, such as n01440764/, and for ILSVRC2012_val_00000001.JPEG .* with .*devkit_t12.tar.gz"
BAD: dict[str, tuple[Build, str]] = {
    "missing": (lambda root: root.rmdir(), r"data.root=.*imagenet: there is no such folder"),
    "a file": (lambda root: (root.rmdir(), root.touch()), "no such folder"),
    "empty": (lambda root: None, LOOKED),
    "no known class": (together(text("cats/x.jpg", jpeg(0)), text("n99999999/x.jpg", jpeg(0))), LOOKED),
    "twice": (
        together(text(f"{WNIDS[0]}/a.jpg", jpeg(0)), text(f"{WNIDS[0]}/a.png", jpeg(0))),
        r"n01440764/a\.jpg and n01440764/a\.png have the same id n01440764/a",
    ),
    "no devkit": (flat, r"no labels for .*: ILSVRC2012_devkit_t12.tar.gz is not in .*imagenet or its parent"),
    "one unlabelled": (
        together(flat, devkit, text("ILSVRC2012_val_00000006.JPEG", jpeg(0))),
        "00000006.JPEG: .* has labels only for images 1 to 5",
    ),
}


@pytest.mark.usefixtures("any_md5")
@pytest.mark.parametrize(("build", "message"), BAD.values(), ids=BAD)
def test_bad_folders_say_what_is_wrong_and_what_would_do(build: Build, message: str, tmp_path: Path) -> None:
    root = tmp_path / "imagenet"
    root.mkdir()
    build(root)
    with pytest.raises(InputError, match=re.compile(message, re.DOTALL)):
        entries(root)


def test_only_the_published_devkit_is_read(tmp_path: Path) -> None:
    together(flat, devkit)(tmp_path)
    with pytest.raises(InputError, match=r"tar\.gz is damaged: its MD5"):
        entries(tmp_path)


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path)

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=rf"{WNIDS[0]} cannot be read: Permission denied"):
        entries(tmp_path)


def test_the_shuffle_depends_on_ids_and_seed_only(tmp_path: Path) -> None:
    class_folders(tmp_path)
    found = entries(tmp_path)
    chosen = choose(found, None, seed=1)
    assert chosen != found == sorted(chosen, key=lambda entry: entry.id)
    assert choose(found[::-1], None, seed=1) == chosen != choose(found, None, seed=2)
    wanted = [found[3].id, found[0].id]
    assert choose(found, wanted, seed=1) == [found[3], found[0]]


@pytest.mark.parametrize(
    ("ids", "seed", "message"),
    [
        (["ILSVRC2012_val_00000004.JPEG"], 0, "'ILSVRC2012_val_00000004.JPEG'; similar ids: ILSVRC2012_val_00000004,"),
        (["ILSVRC2012_val_00000004"] * 2, 0, "00004' is listed 2 times"),
        ([1.12], 0, "YAML reads the id 1.12 as a number: put it in quotes"),
        ([], 0, "list of ids is empty"),
        (None, -1, "seed is -1: it must be 0, 1, 2"),
    ],
)
def test_bad_choices(ids: list[str] | None, seed: int, message: str, tmp_path: Path) -> None:
    class_folders(tmp_path)
    with pytest.raises(InputError, match=message):
        choose(entries(tmp_path), ids, seed)


def test_wnids_are_the_thousand_classes_in_torchvision_order() -> None:
    assert len(set(WNIDS)) == 1000
    assert list(WNIDS) == sorted(WNIDS)


def test_photographs_carry_their_class_name(sample: Path) -> None:
    found = entries(sample)
    assert len(found) == 100
    for entry in found:
        words = entry.id.split("_", 1)[1]  # these files are called wnid_name
        assert re.sub(r"\W", "_", entry.class_name).lower() == re.sub(r"\W", "_", words).lower()
