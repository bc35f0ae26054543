"""clever-score: what it shows and writes, what it refuses, and how it ends."""

import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clever.cli import main

NETWORKS = """
import torch
from torch import nn

NUMBER = 3

def load():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5))

def grey():
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 5))

def words():
    return "no network"
"""
SMALL = ["--n-batches", "5", "--n-samples", "8", "--size", "8", "--quiet"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Iterator[Path]:
    (tmp_path / "networks.py").write_text(NETWORKS)
    (tmp_path / "pictures" / "more").mkdir(parents=True)
    draw = np.random.default_rng(0)
    for name, shape in (("b.png", (10, 9, 3)), ("more/a.jpg", (8, 12, 3)), ("c.png", (9, 9))):
        Image.fromarray(draw.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / "pictures" / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "networks", raising=False)
    yield tmp_path
    sys.modules.pop("networks", None)  # the benchmarks have a module of that name, too


def run(capsys, *words: str, model: str = "networks:load", images: str = "pictures") -> tuple[int, str, str]:
    code = main(["--model", model, "--images", images, *SMALL, *words])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_table_of_all_pictures_by_name(folder: Path, capsys) -> None:
    code, out, err = run(capsys, "--norms", "L2", "--targets", "top2,4")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert out.startswith("6 CLEVER scores of 3 images")
    assert [row[0] for row in rows[2:]] == ["b.png", "b.png", "c.png", "c.png", "more/a.jpg", "more/a.jpg"]


def test_csv_and_json_say_the_same(folder: Path, capsys) -> None:
    code, out, _ = run(capsys, "--norms", "L2", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0
    assert len(rows) == 9
    assert run(capsys, "--norms", "L2", "--format", "json", "--output", "scores.json") == (0, "", "")
    found = json.loads((folder / "scores.json").read_text())
    assert [(one["name"], one["score"]) for one in found["scores"]] == [(r["name"], float(r["score"])) for r in rows]
    assert found["run"]["settings"]["n_samples"] == 8


def test_a_radius_for_all_norms_and_one_for_each(folder: Path, capsys) -> None:
    def radii(*words: str) -> dict[str, float]:
        out = run(capsys, "--targets", "top2", "--format", "json", *words)[1]
        return json.loads(out)["run"]["settings"]["radius"]

    assert radii("--radius", "2") == {"L1": 2.0, "L2": 2.0, "Linf": 2.0}
    assert radii("--radius", "L2=1.5,Linf=0.2", "--norms", "L2,Linf") == {"L2": 1.5, "Linf": 0.2}
    assert radii() == {"L1": 30.0, "L2": 3.0, "Linf": 0.1}


def test_pictures_of_several_sizes_are_named_with_what_helps(folder: Path, capsys) -> None:
    code = main(["--model", "networks:load", "--images", "pictures"])
    assert code == 2
    assert (
        "c.png has 9 x 9 pixels but pictures/b.png has 9 x 10: all must have the same size; --size N"
        in capsys.readouterr().err
    )


def test_grey_pictures_and_the_second_order(folder: Path, capsys) -> None:
    code, out, _ = run(capsys, "--grey", "--norms", "L2", "--order", "second", model="networks:grey")
    assert code == 0
    assert out.count("second order") == 9


@pytest.mark.parametrize(
    ("words", "given", "message"),
    [
        ([], {"model": "networks"}, "--model is 'networks': it must be MODULE:NAME"),
        ([], {"model": "networks:loader"}, "networks has no loader; it has grey, load"),
        ([], {"model": "nothing_here:load"}, "No module named 'nothing_here'"),
        ([], {"model": "networks:words"}, "is of type str: it must be a torch.nn.Module"),
        ([], {"model": "networks:NUMBER"}, "is of type int: it must be a torch.nn.Module"),
        ([], {"images": "none"}, "none is not a folder: name one with images (.bmp,"),
        ([], {"images": "empty"}, "empty contains no images"),
        ([], {"images": "broken"}, "broken/x.png cannot be read as an image"),
        (["--size", "9"], {}, "the network fails on an image of 9 x 9 pixels and 3 channel(s)"),
        (["--size", "0"], {}, "--size is 0: it must be a whole number of at least 1"),
        (["--size", "big"], {}, "argument --size: invalid int value: 'big'"),
        (["--norms", "L2,L3"], {}, "unknown norm 'L3': it must be one of L1, L2, Linf"),
        (["--targets", "top3"], {}, "unknown target 'top3'"),
        (["--targets", "5"], {}, "the network has classes 0 to 4"),
        (["--order", "third"], {}, "invalid choice: 'third' (choose from"),
        (["--n-batches", "3"], {}, "n_batches is 3: the estimator mle needs at least 5"),
        (["--radius", "-1"], {}, "radius of the L1 ball is -1"),
        (["--radius", "L2=far"], {}, "--radius is 'L2=far': it must be a number, or one for each norm, such as L1=30,"),
        (["--radius", "L2=1", "--norms", "L1"], {}, "no radius for the L1 ball: settings.radius has L2"),
        (["--device", "warp"], {}, "--device warp cannot be used"),
        (["--output", "none/scores.csv"], {}, "none is not a folder; name one that exists"),
        (["--colour"], {}, "unrecognized arguments: --colour; see clever-score --help for all options"),
    ],
)
def test_bad_input_ends_with_2_and_one_line(folder: Path, capsys, words, given, message: str) -> None:
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "x.png").write_text("no picture")
    code, out, err = run(capsys, *words, **given)
    assert (code, out) == (2, "")
    assert err.startswith("clever-score: error: ")
    assert message in err
    assert err.count("\n") == 1


def test_help_names_every_option_and_version_the_library(capsys) -> None:
    for word, expected in (("--help", "--n-samples"), ("--version", "clever-robustness")):
        with pytest.raises(SystemExit) as ended:
            main([word])
        assert ended.value.code == 0
        assert expected in capsys.readouterr().out


def test_an_interruption_is_told(folder: Path, capsys, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("clever.cli.score", interrupted)
    assert run(capsys)[0] == 130


def test_it_is_installed_as_a_program(folder: Path) -> None:
    """As it starts: its current folder is not on the path of an installed program."""
    program = "import sys; sys.path = [p for p in sys.path if p]; from clever.cli import main; sys.exit(main())"
    given = ["--model", "networks:load", "--images", "pictures", *SMALL, "--norms", "L2"]
    command = [shutil.which("clever-score") or sys.executable, *given]
    command = command if shutil.which("clever-score") else [sys.executable, "-c", program, *given]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("9 CLEVER scores of 3 images")
