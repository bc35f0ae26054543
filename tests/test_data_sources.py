"""data=folder and data=torchvision: any labelled images, pixel for pixel, and what is told where that cannot be."""

import gzip
import hashlib
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra.utils import instantiate
from PIL import Image
from torchvision.datasets import CIFAR10

import clever
from cifar10_sample import CHECKPOINT, CLASSES, IMAGES, needs_cifar10
from conftest import ROOT, Project, composed
from pipeline.prepare.source import Candidate, Source

MNIST = ROOT.parent / "shared" / "mnist"


def source(*overrides: str) -> Source:
    made = instantiate(composed(*overrides).data)
    assert isinstance(made.n_images, int)
    return made


def everything(*overrides: str) -> list[Candidate]:
    return list(source(*overrides).candidates(0))


def first(*overrides: str) -> None:
    made = source(*overrides)
    next(iter(made.candidates(0))).load()
    made.training(0)


def refused(message: str, *overrides: str) -> None:
    """By an `InputError`, whichever of Hydra's wrappings it comes in, before or at the first image."""
    with pytest.raises(Exception, match=message) as raised:
        first(*overrides)
    assert isinstance(raised.value, clever.InputError) or isinstance(raised.value.__cause__, clever.InputError)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes of two images each, of 8 x 8 random pixels; the class a is in grey."""
    draw = np.random.default_rng(0)
    for name in ("b", "a", "c"):
        (tmp_path / "root" / name).mkdir(parents=True)
        for number in range(2):
            shape = (8, 8) if name == "a" else (8, 8, 3)
            image = Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8))
            image.save(tmp_path / "root" / name / f"{name}{number}.png")
    (tmp_path / "root" / ".hidden").mkdir()
    (tmp_path / "root" / "b" / "notes.txt").write_text("no image")
    return tmp_path / "root"


def folder(root: Path, *overrides: str) -> list[str]:
    return ["data=folder", f"data.root={root}", "data.size=8", "data.n_images=6", *overrides]


def table(root: Path, text: str) -> str:
    (root.parent / "labels.csv").write_text(text)
    return f"data.labels={root.parent / 'labels.csv'}"


def test_folders_are_classes_and_pixels_are_the_files(root: Path) -> None:
    found = {one.id: one for one in everything(*folder(root))}
    assert {name: one.label for name, one in found.items()} == {
        f"{name}/{name}{number}": label for label, name in enumerate("abc") for number in range(2)
    }
    assert (found["c/c1"].class_name, found["c/c1"].source) == ("c", "c/c1.png")
    expected = np.asarray(Image.open(root / "c" / "c1.png")).transpose(2, 0, 1)
    assert np.array_equal(found["c/c1"].load(), expected)
    grey = np.asarray(Image.open(root / "a" / "a0.png"))
    assert np.array_equal(found["a/a0"].load(), np.stack([grey] * 3))


def test_classes_below_others_and_at_any_depth(root: Path, tmp_path: Path) -> None:
    (root / "b" / "deeper").mkdir()
    (root / "b" / "b0.png").rename(root / "b" / "deeper" / "b0.PNG")
    (tmp_path / "classes.txt").write_text("\n".join(["c", "more", "b", "a", ""]))
    found = {one.id: one.label for one in everything(*folder(root, f"data.classes={tmp_path / 'classes.txt'}"))}
    assert found == {"c/c0": 0, "c/c1": 0, "b/deeper/b0": 2, "b/b1": 2, "a/a0": 3, "a/a1": 3}
    assert found == {one.id: one.label for one in everything(*folder(root, "data.classes=[c,more,b,a]"))}


def test_the_seed_chooses_and_a_list_says_which(root: Path) -> None:
    by_seed = [[one.id for one in source(*folder(root)).candidates(seed)] for seed in (1, 1, 2)]
    assert by_seed[0] == by_seed[1] != by_seed[2]
    listed = everything(*folder(root, "data.ids=[c/c1,a0]"))  # a file's name is enough where it is the only one
    assert [one.id for one in listed] == ["c/c1", "a/a0"]
    assert source(*folder(root, "data.ids=[c/c1,a0]")).n_images == 2


def test_a_table_says_the_classes(root: Path) -> None:
    rows = "label,file,note\n2,b/b0.png,x\n0,a/a1.png,\n"
    few = "data.n_images=2"
    found = {one.id: (one.label, one.class_name) for one in everything(*folder(root, table(root, rows), few))}
    assert found == {"b/b0": (2, "2"), "a/a1": (0, "0")}
    rows = "file,label\nb/b0.png,dog\na/a1.png,NA\n"
    found = {one.id: (one.label, one.class_name) for one in everything(*folder(root, table(root, rows), few))}
    assert found == {"b/b0": (1, "dog"), "a/a1": (0, "NA")}
    given = everything(*folder(root, table(root, rows), "data.classes=[dog,NA,cat]", few))
    assert {one.id: one.label for one in given} == {"b/b0": 0, "a/a1": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\nb/b0.png,dog\nb/b1.png,bird\n", "line 3: 'bird' is not a class: it must be one of cat, dog"),
        ("file,label\nb/b0.png,2\n", "line 2: '2' is not a class: it must be one of cat, dog, or 0 to 1"),
        ("file,label\nb/b0.png,-1\n", "line 2: '-1' is not a class"),
        ("file,label\nb/b7.png,dog\n", "line 2: .*b7.png does not exist"),
        ("file,label\n../x.png,dog\n", "line 2: '../x.png' must be a path relative"),
        ("file,label\n/etc/x.png,dog\n", "must be a path relative"),
        ("file,label\nb/b0.png,dog\nb/b0.png,cat\n", "have the same id b/b0"),
        ("name,class\nb/b0.png,dog\n", "lacks file, label: it has the columns name, class"),
        ("file,label\n", "lists no image"),
        ("", "is not a valid CSV"),
    ],
)
def test_tables_that_say_no_class(root: Path, text: str, message: str) -> None:
    refused(message, *folder(root, table(root, text), "data.classes=[cat,dog]"))


def test_classes_that_are_numbers_are_meant_by_name_alone(root: Path) -> None:
    labels = "file,label\nb/b0.png,20\nb/b1.png,10\n"
    found = everything(*folder(root, table(root, labels), "data.classes=['10','20']", "data.n_images=2"))
    assert {one.id: one.label for one in found} == {"b/b0": 1, "b/b1": 0}
    wrong = table(root, "file,label\nb/b0.png,0\n")
    refused("line 2: '0' is not a class: it must be one of 10, 20$", *folder(root, wrong, "data.classes=['10','20']"))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.classes=[a,b]"], "contains c, not in data.classes, which lists a, b"),
        (["data.classes=[a,b,c,a]"], "lists a more than once"),
        (["data.classes=[]"], "data.classes is empty"),
        (["data.classes=nowhere.txt"], "data.classes=nowhere.txt: there is no such file"),
        (["data.labels=nowhere.csv"], "data.labels=nowhere.csv: there is no such file"),
        (["data.root=nowhere"], "data.root=.*nowhere: there is no such folder"),
        (["data.n_images=7"], "data.n_images is 7, but .* holds 6 images"),
        (["data.ids=[b0,b7]"], "no image has the id 'b7'; similar ids: b/b"),
        (["data.ids=[]"], "the list of ids is empty"),
        (
            ["data.size=9"],
            r"\d.png has 8 x 8 pixels, but data.size is 9: data.size=8 keeps it unchanged, or data.resize=true",
        ),
        (["data.size=0"], "data.size is 0"),
        (["data.resize=bicubic"], "data.resize is 'bicubic': it must be true, false, standard or reference_code"),
        (["data.channels=2"], "data.channels is 2: it must be 3 .RGB. or 1 .grey."),
        (["data.channels=1", "data.ids=[b0]"], r"[bc]\d.png is in colour, but data.channels is 1"),
    ],
)
def test_folders_that_cannot_be_taken(root: Path, overrides: list[str], message: str) -> None:
    refused(message, *folder(root, *overrides))


def test_names_that_several_files_have(root: Path) -> None:
    shutil.copy(root / "b" / "b0.png", root / "c" / "b0.png")
    refused("several images have the name 'b0': b/b0, c/b0: give the full id", *folder(root, "data.ids=[b0]"))
    Image.open(root / "b" / "b0.png").save(root / "b" / "b0.bmp")
    refused("b/b0.bmp and b/b0.png have the same id b/b0", *folder(root))


def test_a_folder_without_classes(tmp_path: Path) -> None:
    refused(
        "no labelled image in .*, which contains nothing: it must contain one folder per class, or set data.labels",
        *folder(tmp_path),
    )
    (tmp_path / "x.png").write_bytes(b"")
    refused("which contains x.png", *folder(tmp_path))


def test_grey_images_are_one_channel(root: Path) -> None:
    (one,) = everything(*folder(root, "data.channels=1", "data.ids=[a0]"))
    assert np.array_equal(one.load()[0], np.asarray(Image.open(root / "a" / "a0.png")))


def test_only_other_sizes_are_resized(root: Path) -> None:
    wide = Image.new("RGB", (16, 8), "red")
    wide.paste("blue", (4, 0, 12, 8))
    wide.save(root / "b" / "wide.png")
    for resize in ("true", "standard", "reference_code"):
        found = {one.id: one for one in everything(*folder(root, f"data.resize={resize}"))}
        assert np.array_equal(found["c/c1"].load(), np.asarray(Image.open(root / "c" / "c1.png")).transpose(2, 0, 1))
        assert (found["b/wide"].load()[2] > 200).mean() > 0.7
    whole = {one.id: one for one in everything(*folder(root, "data.resize=true"))}["b/wide"].load()
    assert (whole == np.array([0, 0, 255])[:, None, None]).all()


def test_broken_files_are_named_in_the_manifest_and_skipped(root: Path, tmp_path: Path) -> None:
    (root / "a" / "a1.png").write_bytes(b"no image")
    (root / "b" / "gone.png").symlink_to("nowhere")
    project = Project.copy(tmp_path / "project")
    project.stage("prepare", *folder(root, "data.n_images=5"), tiny="")
    manifest = pd.read_csv(project.folder / "data" / "prepared" / "folder" / "manifest.csv", index_col="id")
    assert manifest.sha256.notna().sum() == 5
    assert set(manifest.index[manifest.skipped.notna()]) <= {"a/a1", "b/gone"}
    project.stage("prepare", *folder(root, "data.ids=[a1,b0]"), tiny="", code=2)
    told = project.stage("model", *folder(root, "data.n_images=5"), tiny="", code=2).stderr  # it did not end
    assert "about.json does not exist: run `dvc repro prepare` or `python -m pipeline.prepare`" in told


def cifar10_as_torchvision_has_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The 100 images as the test batch, and ten of them as each training batch; torchvision is told their md5 sums."""
    files = sorted(IMAGES.rglob("*.png"), key=lambda file: file.stem)
    rows = np.stack([np.asarray(Image.open(file)).transpose(2, 0, 1).reshape(-1) for file in files])
    labels = [CLASSES.index(file.parent.name) for file in files]
    contents = {f"data_batch_{number}": {"data": rows[:10], "labels": labels[:10]} for number in range(1, 6)}
    contents |= {"test_batch": {"data": rows, "labels": labels}, "batches.meta": {"label_names": CLASSES}}
    (root / CIFAR10.base_folder).mkdir(parents=True)
    sums = {}
    for name, content in contents.items():
        data = pickle.dumps(content, protocol=2)
        (root / CIFAR10.base_folder / name).write_bytes(data)
        sums[name] = hashlib.md5(data).hexdigest()
    monkeypatch.setattr(CIFAR10, "train_list", [[name, sums[name]] for name in contents if name.startswith("data")])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(CIFAR10, "meta", CIFAR10.meta | {"md5": sums["batches.meta"]})


def real_network() -> str:
    digest = hashlib.sha256(CHECKPOINT.read_bytes()).hexdigest()
    return f"model=densenet_bc weights=file weights.path={CHECKPOINT} weights.sha256={digest} weights.key=state_dict"


@needs_cifar10
def test_the_real_network_is_right_on_93_of_100(tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    settings = f"{real_network()} data=folder data.root={IMAGES} data.n_images=100"
    project.stage("prepare", tiny=settings)
    assert "accuracy 93.0% on 100 images" in project.stage("model", tiny=settings).stdout


@needs_cifar10
def test_cifar10_is_the_same_from_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar10_as_torchvision_has_it(tmp_path / "sets", monkeypatch)
    assert len(everything(*torchvision("CIFAR10", tmp_path / "sets"))) == 100
    tables = []
    for data in (f"folder data.root={IMAGES}", f"torchvision data.name=CIFAR10 data.root={tmp_path / 'sets'}"):
        project = Project.copy(tmp_path / data.partition(" ")[0])
        settings = (
            f"{real_network()} data={data} data.ids=['00000','00003','00099'] score.n_images=2 sampling.n_batches=5 "
            "sampling.n_samples=2 norms=[L2] targets=[top2] results_dir=results/x"
        )
        for stage in ("prepare", "model", "score"):
            project.stage(stage, tiny=settings)
        prepared = project.folder / "data" / "prepared" / data.partition(" ")[0]
        manifest = pd.read_csv(prepared / "manifest.csv", dtype={"id": str})
        scores = pd.read_csv(project.folder / "results" / "x" / "scores.csv")
        tables.append((np.load(prepared / "images.npy"), manifest, scores))
    (images, manifest, scores), (others, theirs, their_scores) = tables
    assert np.array_equal(images, others)
    for column in ("label", "class_name", "sha256"):
        assert manifest[column].equals(theirs[column])
    assert manifest.id.tolist() == ["cat/00000", "airplane/00003", "horse/00099"]
    assert theirs.id.tolist() == ["00000", "00003", "00099"]
    assert len(scores) == 2
    pd.testing.assert_frame_equal(scores.drop(columns="id"), their_scores.drop(columns="id"), check_exact=True)
    with np.load(prepared / "training.npz") as training:
        assert training["images"].shape == (50, 3, 32, 32)
        assert np.array_equal(training["images"][3], images[1])
        assert training["labels"].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1] * 5


@needs_cifar10
def test_a_damaged_set_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar10_as_torchvision_has_it(tmp_path, monkeypatch)
    (tmp_path / CIFAR10.base_folder / "test_batch").write_bytes(b"other")
    refused("in data.root=.*corrupted; expected there: cifar-10-batches-py/", *torchvision("CIFAR10", tmp_path))


def torchvision(name: str, root: Path, *overrides: str) -> list[str]:
    return ["data=torchvision", f"data.name={name}", f"data.root={root}", "data.download=false", *overrides]


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        ("CocoCaptions", [], "data.name is 'CocoCaptions' .not one class per image.: it must be one of CIFAR10, "),
        ("Cifar", [], "data.name is 'Cifar': it must be one of CIFAR10, .*MNIST.*SVHN"),
        ("STL10", ["data.split=unlabeled"], "data.split is 'unlabeled': for STL10 it must be one of train, test"),
        ("SVHN", ["data.split=val"], "for SVHN it must be one of train, test, extra"),
        ("SVHN", ["data.train_on=val"], "data.train_on is 'val'"),
        ("SVHN", ["data.train_on=test"], "data.train_on and data.split are both test"),
        ("SVHN", ["data.download=maybe"], "data.download is 'maybe': it must be auto or false"),
        ("SVHN", [], "cannot read SVHN .test. in data.root=.*expected there: train_32x32.mat.*data.download=auto"),
        ("EMNIST", [], "cannot open EMNIST.*'split'; data.options"),
    ],
)
def test_sets_that_cannot_be_had(tmp_path: Path, name: str, overrides: list[str], message: str) -> None:
    refused(message, *torchvision(name, tmp_path, *overrides))


@pytest.mark.parametrize("label", [None, -1, (1, 2), "cat"])
def test_a_set_without_labels_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, label: object) -> None:
    def unlabelled(*args: object, **kwargs: object) -> list[tuple[Image.Image, object]]:
        return [(Image.new("RGB", (32, 32)), label)]

    monkeypatch.setattr("torchvision.datasets.SVHN", unlabelled)
    message = rf"SVHN test\[0\] has the label {re.escape(repr(label))}, not a class number: change data.split"
    refused(message, *torchvision("SVHN", tmp_path, "data.n_images=1"))


def test_without_a_network_the_root_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    message = "in data.root=.*cifar-10-batches-py/, and it cannot be downloaded: no route to host.*data.root=FOLDER"
    refused(message, *torchvision("CIFAR10", tmp_path, "data.download=auto"))


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST's files."""
    return bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape) + array.tobytes()


def write_mnist(folder: Path, labels: np.ndarray, suffix: str = "") -> np.ndarray:
    """Random digits, the first four to train on; gives all of them."""
    digits = np.random.default_rng(0).integers(0, 256, (len(labels), 28, 28), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for part, some in (("train", slice(0, 4)), ("t10k", slice(4, None))):
        for kind, array in (("images-idx3-ubyte", digits[some]), ("labels-idx1-ubyte", labels[some].astype(np.uint8))):
            content = idx(array)
            (folder / f"{part}-{kind}{suffix}").write_bytes(gzip.compress(content) if suffix else content)
    return digits


@pytest.mark.parametrize("place", ["", "MNIST/raw"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist_is_read_as_people_keep_it(tmp_path: Path, place: str, suffix: str) -> None:
    digits = write_mnist(tmp_path / place, np.arange(7), suffix)
    mnist = torchvision("MNIST", tmp_path, "data.size=28", "data.channels=1", "data.n_images=3")
    found = sorted(everything(*mnist), key=lambda one: one.id)
    assert [(one.id, one.label) for one in found] == [("00000", 4), ("00001", 5), ("00002", 6)]
    assert np.array_equal(np.stack([one.load() for one in found]), digits[4:, None])
    training = source(*mnist).training(0)
    assert training is not None
    assert np.array_equal(training[0], digits[:4, None])
    assert training[1].tolist() == [0, 1, 2, 3]
    assert source(*mnist, "data.train_on=null").training(0) is None
    assert source(*mnist, "data.split=train").training(0) is None
    refused("no image has the id '00003'", *mnist, "data.ids=[0,3]")
    refused("28 x 28 pixels, but data.size is 32: data.size=28", *torchvision("MNIST", tmp_path, "data.n_images=3"))
    if suffix:
        path = tmp_path / place / "t10k-labels-idx1-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-9])
        refused("t10k-labels-idx1-ubyte.gz is damaged", *mnist)


@pytest.mark.skipif(not (MNIST / "t10k-images-idx3-ubyte.gz").is_file(), reason=f"no MNIST in {MNIST}")
def test_mnist_itself() -> None:
    mnist = torchvision("MNIST", MNIST, "data.size=28", "data.channels=1", "data.train_on=null", "data.ids=[0,1,2,3,4]")
    assert [one.label for one in everything(*mnist)] == [7, 2, 1, 0, 4]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.network.classes=2"], "image c/c. has the label 2, but the network has 2 outputs, for 0 to 1 .2 of 6"),
        (["model.network.classes=1"], "the network has a single output"),
        (["model.network.size=9"], "the network rejects the images in .*, 3 x 8 x 8: "),
        (["model.normalize.mean=[0.5]", "model.normalize.std=[1.0]"], "3 x 8 x 8, but model.normalize is for 1 chan"),
    ],
)
def test_images_that_a_network_is_not_for(root: Path, tmp_path: Path, overrides: list[str], message: str) -> None:
    project = Project.copy(tmp_path / "project")
    tiny = " ".join(["model=mlp_tanh", *folder(root)])
    project.stage("prepare", tiny=tiny)
    absent = ["weights=file", "weights.path=nowhere", "weights.sha256=x"]  # these are not asked for before
    told = project.stage("model", *overrides, *absent, tiny=tiny, code=2).stderr
    assert re.search(message, told), told
    project.stage("model", "weights=random", tiny=tiny)


def test_a_label_beyond_the_outputs_stops_the_stage_score_first(root: Path, tmp_path: Path) -> None:
    project = Project.copy(tmp_path / "project")
    tiny = " ".join(["model=mlp_tanh", "weights=random", *folder(root), "model.network.classes=3", "score.n_images=1"])
    project.stage("prepare", tiny=tiny)
    project.stage("model", tiny=tiny)
    others = "data.classes=[d,a,b,c]"
    project.stage("prepare", others, tiny=tiny)
    assert "has the label 3, but the network has 3 outputs" in project.stage("score", others, tiny=tiny, code=2).stderr
    assert not (project.folder / "store" / "maxima").exists()


def test_training_labels_beyond_the_outputs_stop_it_first(tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    mnist = [f"data.root={tmp_path / 'set'}", "data.size=28", "data.channels=1", "data.n_images=2"]
    grey = ["model.network.channels=1", "model.normalize.mean=[0.5]", "model.normalize.std=[0.5]"]
    write_mnist(tmp_path / "set", np.array([0, 1, 2, 9, 0, 1, 2]))
    tiny = " ".join(["data=torchvision", "data.name=MNIST", *mnist, *grey, "model=mlp_tanh", "weights=trained"])
    project.stage("prepare", tiny=tiny)
    told = project.stage("model", "weights.batch=2", "model.network.classes=9", tiny=tiny, code=2).stderr
    assert "training images have labels up to 9, but the network has 9 outputs" in told
    assert "accuracy" in project.stage("model", "weights.batch=2", tiny=tiny).stdout


@pytest.mark.parametrize("stage", ["model", "score"])
def test_images_prepared_with_other_settings_are_refused(project: Project, stage: str) -> None:
    told = project.stage(stage, "data.n_images=50", code=2).stderr
    assert "data.n_images is 50 here and 60 there" in told
    told = project.stage(stage, "seed=3", code=2).stderr
    assert "(seed is 3 here and 1215 there)" in told
    assert "sampling.seed changes only the points" in told
    assert not (project.folder / "store" / "maxima").exists()
    project.stage("prepare", "data.n_images=50", "seed=3")
    project.stage(stage, "data.n_images=50", "seed=3", "score.n_images=1", "norms=[L2]", "targets=[top2]")


def test_a_set_that_moved_is_the_same(root: Path, tmp_path: Path) -> None:
    """Its images in an order that leaves nothing to the seed."""
    project = Project.copy(tmp_path / "project")
    (root / "labels.csv").write_text("file,label\na/a0.png,0\nb/b0.png,1\n")
    network = ["model=mlp_tanh", "weights=random", "model.network.size=8", "data=folder", "data.size=8"]
    tiny = " ".join([*network, "data.n_images=2", "data.ids=[a0,b0]"])
    project.stage("prepare", f"data.root={root}", f"data.labels={root}/labels.csv", tiny=tiny)
    moved = root.rename(tmp_path / "moved")
    for where in ([f"data.root={moved}"], [], ["seed=3"]):
        project.stage("model", *where, f"data.labels={moved}/labels.csv", tiny=tiny)
    told = project.stage("model", f"data.labels={moved}/others.csv", tiny=tiny, code=2).stderr
    assert "data.labels is others.csv here and labels.csv there" in told
