"""Every layout of ImageNet gives the same labelled images, and what cannot be one says so."""

import io
import os
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from scipy.io import savemat
from torchvision.datasets import imagenet as theirs

from clever.errors import InputError
from pipeline.prepare.devkit import WNIDS, ground_truth
from pipeline.prepare.imagenet import choose, entries
from pipeline.prepare.preprocess import decode, standard

SAMPLE = Path(os.environ.get("IMAGENET_SAMPLE", Path(__file__).parents[1] / ".." / "shared" / "imagenet-sample"))
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason="no ImageNet photographs: set IMAGENET_SAMPLE")

DEVKIT = "ILSVRC2012_devkit_t12"
NUMBERS = "ILSVRC2012_validation_ground_truth.txt"


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


def add_irregular(archive: tarfile.TarFile, name: str, kind: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, "elsewhere"
    archive.addfile(member)


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
CAFFE = "".join(f"{name}.JPEG {label}\n" for name, label in LABELS.items())
KAGGLE = "ImageId,PredictionString\n" + "".join(f"{k},{WNIDS[v]} 1 2 3 4 \n" for k, v in reversed(LABELS.items()))


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


def archive(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "ILSVRC2012_img_val.tar", "w") as out:
        add(out, "../escaped.JPEG", jpeg(0))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE):
            add_irregular(out, "ILSVRC2012_val_00000001.JPEG", kind)
        for name in reversed(BYTES):
            add(out, f"{name}.JPEG", BYTES[name])


def devkit_archive(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{DEVKIT}.tar.gz", "w:gz") as out:
        add(out, f"{DEVKIT}/readme.txt", b"hello")
        add(out, f"{DEVKIT}/data/meta.mat", SYNSETS)
        add(out, f"{DEVKIT}/data/{NUMBERS}", LINES.encode())
        add_irregular(out, f"{DEVKIT}/old/meta.mat", tarfile.SYMTYPE)


def devkit_folder(folder: Path) -> None:
    write(folder / DEVKIT / "data" / "meta.mat", SYNSETS)
    write(folder / DEVKIT / "data" / NUMBERS, LINES)


def meta_bin(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    torch.save(({wnid: (wnid,) for wnid in WNIDS}, [WNIDS[label] for label in LABELS.values()]), folder / "meta.bin")


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


KAGGLES = "ILSVRC/Data/CLS-LOC/val"
#: What lies in the folder, and which folder in it the user names.
LAYOUTS: dict[str, tuple[Build, str]] = {
    "class folders": (class_folders, ""),
    "class folders in val": (inside("val", class_folders), ""),
    "torchvision, extracted": (together(devkit_archive, archive, inside("val", class_folders)), ""),
    "torchvision, archives": (together(devkit_archive, archive), ""),
    "torchvision, parsed": (together(meta_bin, archive), ""),
    "archive and Caffe's list": (together(archive, text("val.txt", CAFFE)), ""),
    "flat, Caffe": (together(flat, text("val.txt", CAFFE)), ""),
    "flat, Caffe, in val": (inside("val", together(flat, text("val.txt", CAFFE))), ""),
    "flat, Caffe above": (together(inside("images", flat), text("val.txt", CAFFE)), "images"),
    "flat, Kaggle": (together(flat, text("LOC_val_solution.csv", KAGGLE)), ""),
    "Kaggle's tree": (together(inside(KAGGLES, flat), text("LOC_val_solution.csv", KAGGLE)), ""),
    "flat, devkit archive above": (together(inside("val", flat), devkit_archive), "val"),
    "flat, devkit folder": (together(inside("val", flat), devkit_folder), ""),
    "flat, numbers beside, devkit's table": (
        together(flat, text(NUMBERS, LINES), text("data/meta.mat", SYNSETS)),
        "",
    ),
}


@pytest.mark.parametrize(("build", "named"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_the_same_images(build: Build, named: str, tmp_path: Path) -> None:
    root = tmp_path / "imagenet"
    root.mkdir()
    build(root)
    before = sorted(tmp_path.rglob("*"))
    found = entries(root / named)
    assert [(entry.id, entry.label) for entry in found] == sorted(LABELS.items())
    assert {entry.id: entry.read() for entry in found} == BYTES
    assert all(entry.source.endswith(f"{entry.id}.JPEG") and str(tmp_path) not in entry.source for entry in found)
    assert sorted(tmp_path.rglob("*")) == before, "nothing is extracted"


def test_the_devkit_is_read_as_torchvision_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devkit_archive(tmp_path)
    monkeypatch.setattr(theirs, "_verify_archive", lambda *_: None)  # ours is not the published file
    ours = ground_truth([tmp_path]).labels
    theirs.parse_devkit_archive(tmp_path)
    (tmp_path / f"{DEVKIT}.tar.gz").unlink()
    _, wnids = theirs.load_meta_file(tmp_path)
    assert [WNIDS[label] for label in ours.values()] == wnids
    assert ground_truth([tmp_path]).labels == ours == LABELS


def test_authors_archive_counts_from_one(tmp_path: Path) -> None:
    for name in ("1.12.jpg", "1000.3.jpg", "207.1.PNG", "readme.jpg", "2.5.txt"):
        write(tmp_path / "imgs" / name, jpeg(0))
    for root in (tmp_path, tmp_path / "imgs"):
        found = {entry.id: (entry.label, entry.class_name) for entry in entries(root)}
        assert found == {
            "1.12": (0, "tench"),
            "1000.3": (999, "toilet tissue"),
            "207.1": (206, "curly-coated retriever"),
        }


def test_other_names_get_their_class_as_part_of_the_id(tmp_path: Path) -> None:
    for suffix, wnid in zip((".jpg", ".JPG", ".png", ".webp"), WNIDS, strict=False):
        write(tmp_path / wnid / f"a.b{suffix}", jpeg(0))
    assert [entry.id for entry in entries(tmp_path)] == [f"{wnid}/a.b" for wnid in WNIDS[:4]]


def test_images_are_listed_not_opened(tmp_path: Path) -> None:
    (tmp_path / WNIDS[7]).mkdir()
    (tmp_path / WNIDS[7] / "lost.jpg").symlink_to(tmp_path / "nowhere")
    (entry,) = entries(tmp_path)
    with pytest.raises(FileNotFoundError):
        entry.read()


def cut_short(root: Path) -> None:
    text("val.txt", CAFFE)(root)
    archive(root)
    whole = (root / "ILSVRC2012_img_val.tar").read_bytes()
    write(root / "ILSVRC2012_img_val.tar", whole[: whole.index(BYTES["ILSVRC2012_val_00000003"]) + 9])


BAD: dict[str, tuple[Build, str]] = {
    "missing": (lambda root: root.rmdir(), r"folder .*imagenet does not exist.*one folder per wnid"),
    "a file": (lambda root: (root.rmdir(), root.touch()), "is no folder"),
    "empty": (lambda root: None, "holds nothing; valid is one folder per wnid.*class.id.jpg.*ILSVRC2012_img_val.tar"),
    "no known class": (
        together(*(text(f"{name}/x.jpg", jpeg(0)) for name in ("cats", "dogs", "e", "f", "g", "n99999999"))),
        "holds cats/, dogs/, e/, f/, g/ and 1 more; valid is one folder per wnid",
    ),
    "class 0": (text("0.1.jpg", jpeg(0)), r"names the class 0; valid .* 1\.\.1000"),
    "class 1001": (text("1001.1.jpg", jpeg(0)), "names the class 1001"),
    "twice": (
        together(text(f"{WNIDS[0]}/a.jpg", jpeg(0)), text(f"{WNIDS[0]}/a.png", jpeg(0))),
        r"n01440764/a\.jpg and n01440764/a\.png are both the image n01440764/a",
    ),
    "no ground truth": (flat, "no ground truth.*LOC_val_solution.csv, val.txt, meta.bin.*devkit_t12.tar.gz.*meta.mat"),
    "no ground truth for the archive": (archive, "no ground truth"),
    "numbers alone": (together(flat, text(NUMBERS, LINES)), "devkit's own order, which only .*meta.mat.* turns into"),
    "one unlabelled": (
        together(flat, text("val.txt", CAFFE.split("\n", 1)[1])),
        r"val\.txt has no label for ILSVRC2012_val_00000001, only for 4 other",
    ),
    "labels from 1": (
        together(flat, text("val.txt", CAFFE.replace(" 999", " 1000"))),
        r"label 1000; valid are 0\.\.999",
    ),
    "words for labels": (together(flat, text("val.txt", CAFFE.replace(" 970", " cat"))), r"val\.txt is damaged.*'cat'"),
    "unknown wnid": (
        together(flat, text("LOC_val_solution.csv", KAGGLE.replace(WNIDS[970], "n99999999"))),
        "csv is damaged.*'n99999999' is none of the 1000 wnids",
    ),
    "unknown number": (
        together(flat, devkit_folder, text(f"{DEVKIT}/data/{NUMBERS}", "1002\n")),
        r"ground_truth\.txt is damaged.*1002",
    ),
    "broken table": (together(flat, devkit_folder, text(f"{DEVKIT}/data/meta.mat", "?")), r"meta\.mat is damaged"),
    "broken meta.bin": (together(flat, text("meta.bin", "?")), r"meta\.bin is damaged"),
    "broken devkit": (together(flat, text(f"{DEVKIT}.tar.gz", "?")), r"tar\.gz is damaged"),
    "archive cut short": (cut_short, r"ILSVRC2012_img_val\.tar is not a whole, uncompressed tar"),
}


@pytest.mark.parametrize(("build", "message"), BAD.values(), ids=BAD)
def test_bad_folders_say_what_is_wrong_and_what_would_do(build: Build, message: str, tmp_path: Path) -> None:
    root = tmp_path / "imagenet"
    root.mkdir()
    build(root)
    with pytest.raises(InputError, match=re.compile(message, re.DOTALL)):
        entries(root)


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
        (["ILSVRC2012_val_00000004.JPEG"], 0, "'ILSVRC2012_val_00000004.JPEG'; near ones are ILSVRC2012_val_00000004,"),
        (["ILSVRC2012_val_00000004"] * 2, 0, "00004' is listed 2 times"),
        ([1.12], 0, "1.12 is a number to YAML; write it in quotes"),
        ([], 0, "list of ids is empty"),
        (None, -1, "seed -1 is negative"),
    ],
)
def test_bad_choices(ids: list[str] | None, seed: int, message: str, tmp_path: Path) -> None:
    class_folders(tmp_path)
    with pytest.raises(InputError, match=message):
        choose(entries(tmp_path), ids, seed)


def test_wnids_are_the_thousand_classes_in_torchvision_order() -> None:
    assert len(set(WNIDS)) == 1000
    assert list(WNIDS) == sorted(WNIDS)


@needs_sample
def test_photographs_carry_their_class_name() -> None:
    found = entries(SAMPLE)
    assert len(found) == 100
    for entry in found:
        words = entry.id.split("_", 1)[1]  # these files are called wnid_name
        assert re.sub(r"\W", "_", entry.class_name).lower() == re.sub(r"\W", "_", words).lower()


@needs_sample
def test_a_trained_network_recognises_the_photographs() -> None:
    network = torchvision.models.squeezenet1_1()
    network.load_state_dict(torch.load(SAMPLE / "squeezenet1_1-imagenet.pth", weights_only=True))
    found = entries(SAMPLE)[::5]
    pixels = torch.from_numpy(np.stack([standard(decode(entry.read()), 224) for entry in found])) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        predicted = network.eval()((pixels - mean[:, None, None]) / std[:, None, None]).argmax(1)
    right = int((predicted == torch.tensor([entry.label for entry in found])).sum())
    assert right > 0.3 * len(found), "one in a thousand, were the labels of another order"
