"""Damaged images and odd settings: pixels or a reason, a result or one message, and never anything else."""

import io
import re
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from conftest import Project, composed
from pipeline.prepare.imagenet import WNIDS
from pipeline.prepare.preprocess import FORMATS, MAX_PIXELS, PREPROCESSINGS, BrokenImage, decode, preprocessing


def examples(count: int) -> Callable:
    return settings(
        deadline=None,
        phases=(Phase.explicit, Phase.generate),  # what fails is small already
        derandomize=True,
        max_examples=count,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# Images

WIDTH, HEIGHT = 13, 9
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB")
RNG = np.random.default_rng(0)
SIXTEEN = RNG.integers(0, 2**16, (HEIGHT, WIDTH), dtype=np.uint16)
NUMBERS = {"I;16": SIXTEEN, "I": SIXTEEN.astype(np.int32), "F": SIXTEEN.astype(np.float32) / 2**16}
COLOURS = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def of_mode(mode: str) -> Image.Image:
    if mode in NUMBERS:
        return Image.fromarray(NUMBERS[mode])
    image = Image.fromarray(COLOURS)
    return Image.frombytes("LAB", image.size, image.tobytes()) if mode == "LAB" else image.convert(mode)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def encodings() -> Iterator[tuple[str, bytes]]:
    for form in FORMATS:
        for mode in MODES:
            try:
                yield f"{form} {mode}", saved(of_mode(mode), form)
            except (OSError, ValueError):  # the format has no such mode
                continue
    yield "JPEG progressive", saved(of_mode("RGB"), "JPEG", progressive=True)
    yield "PNG interlaced 16 bits", saved(of_mode("I;16"), "PNG", bits=16)
    yield "GIF animated", saved(of_mode("P"), "GIF", save_all=True, append_images=[of_mode("L")])
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"TIFF {compression}", saved(of_mode("RGB"), "TIFF", compression=compression)
    yield "WEBP lossless", saved(of_mode("RGBA"), "WEBP", lossless=True)


ENCODED = dict(encodings())
#: What has no defined white and is broken therefore, though it is whole.
UNDEFINED = {"TIFF I", "TIFF F", "PPM F"}  # 32 bits; a PPM of mode I is written with 16
FILES = st.sampled_from(sorted(ENCODED))


def outcome(data: bytes) -> np.ndarray | str:
    """The pixels, all preprocessings having given the right kind of square, or the reason why there are none."""
    try:
        image = decode(data)
    except BrokenImage as broken:
        reason = str(broken)
    else:
        reason = ""
    if reason:
        assert "0x" not in reason, "an address, which changes from run to run"
        return reason
    assert image.mode == "RGB"
    for name in PREPROCESSINGS:
        for size in (1, 32):
            square = preprocessing(name, size)(image)
            assert (square.shape, square.dtype) == ((3, size, size), np.uint8)
            assert square.flags.c_contiguous
    return np.asarray(image)


def the_same(one: np.ndarray | str, other: np.ndarray | str) -> bool:
    return type(one) is type(other) and np.array_equal(one, other)


@pytest.mark.parametrize("name", ENCODED)
def test_whole_files_are_read(name: str) -> None:
    pixels = outcome(ENCODED[name])
    if name in UNDEFINED:
        assert isinstance(pixels, str)
        assert "no defined white" in pixels
    else:
        assert isinstance(pixels, np.ndarray), pixels
        assert pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM"])
def test_of_sixteen_bits_the_upper_eight_remain(form: str) -> None:
    pixels = outcome(ENCODED[f"{form} I;16"])
    assert the_same(pixels, np.stack([(SIXTEEN >> 8).astype(np.uint8)] * 3, axis=2)), pixels


@examples(400)
@given(name=FILES, share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_broken_or_has_lost_nothing(name: str, share: float) -> None:
    whole = ENCODED[name]
    found = outcome(whole[: int(share * len(whole))])
    assert isinstance(found, str) or the_same(found, outcome(whole))


@examples(500)
@given(
    name=FILES,
    flips=st.lists(st.tuples(st.integers(0, 400), st.integers(1, 255)), min_size=1, max_size=12),
    tail=st.one_of(st.just(b""), st.binary(max_size=60), FILES.map(ENCODED.get)),
)
def test_a_damaged_file_gives_pixels_or_a_reason_the_same_each_time(
    name: str, flips: list[tuple[int, int]], tail: bytes
) -> None:
    damaged = bytearray(ENCODED[name])
    for place, change in flips:
        damaged[place % len(damaged)] ^= change
    data = bytes(damaged) + tail
    try:
        size = Image.open(io.BytesIO(data), formats=FORMATS).size
    except Exception:  # the header is damaged, and nothing large is decoded
        size = (0, 0)
    if size[0] * size[1] < 10**6:  # larger ones take time, and memory that the bombs below are measured by
        assert the_same(outcome(data), outcome(data))


@examples(80)
@given(name=FILES, tail=st.one_of(st.binary(min_size=1, max_size=99), FILES.map(ENCODED.get)))
def test_what_follows_an_image_changes_nothing(name: str, tail: bytes) -> None:
    assert the_same(outcome(ENCODED[name] + tail), outcome(ENCODED[name]))


@examples(200)
@given(
    data=st.binary(max_size=200),
    head=st.sampled_from([b"", *sorted({data[:12] for data in ENCODED.values()}), b"%!PS-Adobe", b"\x00\x00\x01\x00"]),
)
def test_noise_is_broken(data: bytes, head: bytes) -> None:
    outcome(head + data)
    assert isinstance(outcome(data), str) or data[:1] in b"P"


def test_an_image_of_which_a_part_was_never_written_is_broken() -> None:
    """A TIFF of one strip of 9 rows that claims to have 18."""
    rows = struct.pack("<HHII", 257, 4, 1, HEIGHT)
    assert rows in ENCODED["TIFF RGB"]
    longer = ENCODED["TIFF RGB"].replace(rows, struct.pack("<HHII", 257, 4, 1, 2 * HEIGHT))
    assert isinstance(outcome(longer), str)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 700), (700, 1), (20_000, 1), (1, 10_000), (3, 9000)])
def test_any_size_becomes_a_square(form: str, size: tuple[int, int]) -> None:
    if form == "WEBP":
        size = tuple(min(side, 16_383) for side in size)  # type: ignore[assignment]
    image = Image.fromarray(np.random.default_rng(1).integers(100, 150, (*size[::-1], 3), dtype=np.uint8))
    data = saved(image, form)
    assert isinstance(outcome(data), np.ndarray)
    for name in PREPROCESSINGS:
        square = preprocessing(name, 224)(decode(data))
        assert square.shape == (3, 224, 224)
        assert 60 <= square.min() <= square.max() <= 190


# Bombs

BYTES_A_PIXEL = 16
"""Measured: 7 for RGB or RGBA, 15 for WEBP."""
MEASURED = """
import os, resource, sys
from pipeline.prepare.preprocess import PREPROCESSINGS, BrokenImage, decode, preprocessing
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
for path in sys.argv[1:]:
    if child := os.fork():
        os.waitpid(child, 0)
        continue
    data, before = open(path, "rb").read(), peak()
    try:
        image = decode(data)
        said = f"read {image.size} {[preprocessing(name, 224)(image).shape for name in PREPROCESSINGS]}"
    except BrokenImage as broken:
        said = f"broken: {broken}"
    print(peak() - before, said, flush=True)
    os._exit(0)
"""


def claiming(form: str, width: int, height: int) -> bytes:
    """A small file whose header claims that size."""
    data = bytearray(saved(Image.new("RGB" if form in ("JPEG", "WEBP", "BMP") else "L", (16, 16)), form))
    if form == "PNG":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif form == "GIF":
        data[6:10] = struct.pack("<HH", width, height)
    elif form == "BMP":
        data[18:26] = struct.pack("<ii", width, height)
    elif form == "JPEG":
        start = data.index(b"\xff\xc0")
        data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    elif form == "WEBP":
        data = bytearray(saved(Image.new("RGB", (16, 16)), form, lossless=True))
        rest = int.from_bytes(data[21:25], "little") >> 28 << 28
        data[21:25] = (rest | height - 1 << 14 | width - 1).to_bytes(4, "little")
    elif form == "TIFF":
        for tag, side in ((256, width), (257, height), (278, height)):
            start = re.search(
                re.escape(struct.pack("<H", tag)) + rb"[\x03\x04]\x00\x01\x00\x00\x00", data, re.DOTALL
            ).start()
            data[start + 2 : start + 12] = struct.pack("<HII", 4, 1, side)
    else:
        data = bytearray(f"P6 {width} {height} 255\n".encode())
    return bytes(data)


def unpacking(kind: bytes) -> bytes:
    """A PNG with 128 MB of zeros, compressed, in a chunk beside its pixels."""
    data, packer = ENCODED["PNG L"], zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(128)) + packer.flush()
    body = kind + {b"zTXt": b"k\0\0", b"iTXt": b"k\0\1\0\0\0", b"iCCP": b"k\0\0"}[kind] + packed
    return data[:33] + struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) + data[33:]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    """By how much memory a process grew that read a bomb, and what became of it."""
    folder = tmp_path_factory.mktemp("bombs")
    files = {form: claiming(form, 4000, 2500) for form in FORMATS}
    files |= {kind.decode(): unpacking(kind) for kind in (b"zTXt", b"iTXt", b"iCCP")}
    files |= {"13,000": saved(Image.new("L", (13_000, 13_000)), "PNG")}
    for name, data in files.items():
        assert len(data) < 2**19
        (folder / name).write_bytes(data)
    command = [sys.executable, "-W", "error", "-c", MEASURED, *(str(folder / name) for name in files)]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
    return {
        name: (int(grown), said)
        for name, (grown, said) in zip(files, (line.split(" ", 1) for line in shown), strict=True)
    }


@pytest.mark.parametrize("form", FORMATS)
def test_more_pixels_than_allowed_are_refused_unread(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    side = 16_383 if form == "WEBP" else 60_000
    claims = {size: claiming(form, *size) for size in ((side, side), (13_400, 13_300))}
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was read"))
    for (width, height), data in claims.items():
        assert width * height > MAX_PIXELS
        reason = outcome(data)
        assert isinstance(reason, str)
        assert str(width * height) in reason or f"{width} x {height}" in reason


@pytest.mark.parametrize("form", FORMATS)
def test_a_small_file_that_claims_much_takes_bounded_memory(form: str, measured: dict[str, tuple[int, str]]) -> None:
    grown, said = measured[form]
    assert re.match(r"broken: |read \(4000, 2500\) \[\(3, 224, 224\), \(3, 224, 224\)\]", said)
    assert grown < BYTES_A_PIXEL * 4000 * 2500 + 2**26


def test_a_highly_compressed_image_takes_bounded_memory(measured: dict[str, tuple[int, str]]) -> None:
    grown, said = measured["13,000"]
    assert said.startswith("read (13000, 13000)")
    assert grown < BYTES_A_PIXEL * 13_000 * 13_000


@pytest.mark.parametrize("kind", ["zTXt", "iTXt", "iCCP"])
def test_a_compressed_text_or_profile_is_not_unpacked_without_bound(
    kind: str, measured: dict[str, tuple[int, str]]
) -> None:
    grown, said = measured[kind]
    assert re.match(r"broken: |read ", said)
    assert grown < 2**26


# The stage prepare


def test_the_stage_prepares_every_good_image_and_names_every_broken_one(tmp_path: Path) -> None:
    project, root, good, broken = Project.copy(tmp_path / "project"), tmp_path / "imagenet", {}, set()
    damaged = {f"{name} cut": data[: len(data) // 2] for name, data in ENCODED.items()}
    damaged |= {"empty": b"", "text": b"<html>", "bomb": claiming("PNG", 60_000, 60_000)}
    for at, (name, data) in enumerate((ENCODED | damaged).items()):
        folder = root / WNIDS[7 * at % 50]
        folder.mkdir(parents=True, exist_ok=True)
        suffix = (".JPEG", ".png", ".bmp", ".webp", ".jpg")[at % 5]  # which the content contradicts
        path = folder / f"{name.replace(' ', '_').replace(';', '')}{suffix}"
        path.write_bytes(data)
        found = outcome(data)
        if isinstance(found, str):
            broken.add((f"{folder.name}/{path.stem}", found))
        else:
            good[f"{folder.name}/{path.stem}"] = preprocessing("standard", 8)(decode(data))
    overrides = ("data=imagenet", f"data.root={root}", "data.size=8")

    project.stage("prepare", *overrides, f"data.n_images={len(good)}", tiny="")
    prepared = project.folder / "data" / "prepared" / "imagenet"
    manifest = pd.read_csv(prepared / "manifest.csv", keep_default_na=False)
    images = np.load(prepared / "images.npy")
    kept = manifest[manifest.skipped == ""]
    assert set(kept.id) == set(good)
    for name, pixels in zip(kept.id, images, strict=True):
        assert np.array_equal(pixels, good[name])
    skipped = set(manifest[manifest.skipped != ""][["id", "skipped"]].itertuples(index=False, name=None))
    assert skipped <= broken
    assert len(skipped) > 0.8 * len(broken), "what comes after the last good one is not looked at"
    shown = project.stage("prepare", *overrides, f"data.n_images={len(good) + 1}", tiny="", code=2)
    assert f"data.n_images is {len(good) + 1}, but there are only {len(good)} readable images: " in shown.stderr
    assert f"{len(broken)} of {len(good) + len(broken)} are broken" in shown.stderr
    for name, reason in broken:
        assert re.search(rf"skipped {re.escape(name)}\.\w+: {re.escape(reason)}\n", shown.stdout)


# Settings

ODD = (
    *("null", "-1", "0", "1.5", "true", "1e400", "nan", "-inf", '""', "abc", "[]", "[null]", "[[1],[2]]", "{}"),
    *("{a:1}", "999999999999999999999", "${nope}", "${score.n_images}", "${oc.env:NOWHERE}", "${", "../x y", "???"),
)
LONG = ("n_batches", "n_samples", "steps", "starts", "rounds", "epochs", "growth_rate", "threads")
"""A huge number is a valid request for these, which nobody waits for."""


def leaves(node: DictConfig, above: str = "") -> Iterator[str]:
    for key in node:
        name = f"{above}{key}"
        plain = not OmegaConf.is_interpolation(node, key) and not OmegaConf.is_missing(node, key)
        if plain and isinstance(node[key], DictConfig):
            yield from leaves(node[key], f"{name}.")
        yield name


SETTINGS = sorted(set(leaves(composed("weights=trained"))))


def of(*tops: str) -> list[str]:
    return [name for name in SETTINGS if name.split(".")[0] in tops]


OF_STAGE = {
    "score": sorted(set(SETTINGS) - set(of("data", "weights", "attack", "experiments"))),
    "attack": of("attack", "seed", "bpda", "norms", "targets"),
    "state": of("experiments", "score", "attack", "seed", "bpda", "norms", "targets", "sampling"),
    "aggregate": of("experiments", "seed", "norms", "cell", "experiment_dir"),
    "report": of("experiments", "experiment_dir"),
    "prepare": of("data", "seed"),
    "model": of("weights", "device", "model"),
}
GIVEN = {
    "state": ["experiment=few"],
    "aggregate": ["experiment=few"],
    "model": ["weights=trained", "weights.epochs=1"],
}
"""What is said beside the odd setting, and before it."""


class Hang(BaseException):
    """A stage that does not end."""


def ended(project: Project, stage: str, *overrides: str) -> str:
    """The error message of the stage, "" where it succeeded; any exception is what exit code 1 comes from."""

    def hang(signum: int, frame: FrameType | None) -> None:
        raise Hang

    handler, threads = signal.signal(signal.SIGALRM, hang), torch.get_num_threads()
    signal.alarm(60)
    try:
        shown = project.stage(stage, *GIVEN.get(stage, ()), *overrides, code=2)
    except AssertionError as other:
        if ": exit code 0\n" not in str(other):
            raise
        return ""
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        torch.set_num_threads(threads)
    assert "Traceback" not in shown.stderr
    messages = [line for line in shown.stderr.splitlines() if line.startswith("error: ")]
    assert len(messages) == 1, shown.stderr
    assert len(messages[0]) > len("error: ")
    return shown.stderr[shown.stderr.index("error: ") :]


@pytest.fixture(scope="module")
def scored(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Project]:
    """For each stage a project in which an experiment is scored and attacked, or one whose results it may spoil."""
    folder = tmp_path_factory.mktemp("scored")
    whole, *spoiled = (Project(folder / name) for name in ("whole", "prepare", "model"))
    for project in (whole, *spoiled):
        shutil.copytree(trained.folder, project.folder)
    whole.experiment("few", defense="identity,quantize")
    whole.set(experiments__reported=["few"])
    for stage in ("score", "attack"):
        whole.stage(stage, "-m", "experiment=few", "models_dir=models/ad_hoc")
    whole.stage("aggregate", "experiment=few")
    return dict.fromkeys(OF_STAGE, whole) | {project.folder.name: project for project in spoiled}


def odd_settings(stage: str) -> st.SearchStrategy[str]:
    pairs = st.tuples(st.sampled_from(OF_STAGE[stage]), st.sampled_from(ODD))
    return pairs.filter(lambda pair: pair[0].split(".")[-1] not in LONG or not pair[1].startswith("999")).map("=".join)


@examples(45)
@given(setting=odd_settings("score"))
def test_odd_settings_of_score_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["score"], "score", setting)


@examples(10)
@given(setting=odd_settings("attack"))
def test_odd_settings_of_attack_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["attack"], "attack", setting)


@examples(10)
@given(setting=odd_settings("state"))
def test_odd_settings_of_state_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["state"], "state", setting)


@examples(8)
@given(setting=odd_settings("aggregate"))
def test_odd_settings_of_aggregate_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["aggregate"], "aggregate", setting)


@examples(8)
@given(setting=odd_settings("report"))
def test_odd_settings_of_report_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["report"], "report", setting)


@examples(10)
@given(setting=odd_settings("prepare"))
def test_odd_settings_of_prepare_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["prepare"], "prepare", setting)


@examples(8)
@given(setting=odd_settings("model"))
def test_odd_settings_of_model_give_a_result_or_one_message(scored: dict[str, Project], setting: str) -> None:
    ended(scored["model"], "model", setting)


KNOWN = {
    "score": (
        *("targets=0", "data=null", "defense=[null]", "order=[[1],[2]]", "model.normalize=null", "model.name=null"),
        *("model.normalize.mean=0", "model.normalize.std=abc", "device=true", "device=999999999999999999999"),
        *(
            "seed=999999999999999999999",
            "threads=999999999999999999999",
            "cell=[]",
            "sampling=null",
            "compute=0",
            "score=null",
        ),
        *("results_dir=[]", "results_dir=params.yaml", "store_dir=null", "store_dir=params.yaml"),
    ),
    "attack": ("attack=null", "attack.images=999999999999999999999"),
    "model": (
        "weights.learning_rate=null",
        "weights.learning_rate=-1",
        "weights.learning_rate=abc",
        "weights.seed=null",
    ),
    "prepare": ("data.size=null", "data.size=0", "data.size=999999999999999999999"),
    "report": ("experiments=null", "experiments.reported=null"),
}
"""Each of its own kind among those that once ended in a traceback."""


@pytest.mark.parametrize(("stage", "setting"), [(stage, setting) for stage in KNOWN for setting in KNOWN[stage]])
def test_settings_that_were_once_a_traceback(scored: dict[str, Project], stage: str, setting: str) -> None:
    ended(scored[stage], stage, setting)


NONSENSE = {
    "score": ("cell=[1]", "cell={a:1}", "cell=''"),
    "model": ("weights.epochs=true", "weights.epochs=-1", "weights.batch=true", "weights.learning_rate=true"),
    "prepare": ("data.n_images=true", "data.size=true"),
    "attack": ("attack.images=true",),
}


@pytest.mark.parametrize(("stage", "setting"), [(stage, setting) for stage in NONSENSE for setting in NONSENSE[stage]])
def test_settings_that_make_no_sense_are_refused(scored: dict[str, Project], stage: str, setting: str) -> None:
    assert ended(scored[stage], stage, setting)
