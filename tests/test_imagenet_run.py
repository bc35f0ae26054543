"""The ImageNet path on real photographs and a real 1000-class network, from the folder to the table."""

import hashlib
from pathlib import Path

import pandas as pd

from conftest import Project

IMAGENET = (
    "data=imagenet model=squeezenet1_1 weights=file sampling.n_batches=5 sampling.n_samples=4 chunk_points=4096 "
    "data.n_images=30 score.n_images=3 norms=[L2] targets=[top2,least] attack.steps=3 attack.rounds=0"
)


def test_photographs_to_table(sample: Path, tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    (weights,) = sample.glob("squeezenet1_1*.pth")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    project.experiment("photographs", defense="identity,jpeg")
    about = f"{IMAGENET} data.root={sample} weights.path={weights} weights.sha256={digest} experiment=photographs"

    project.stage("prepare", tiny=about)
    manifest = pd.read_csv(project.folder / "data" / "prepared" / "imagenet" / "manifest.csv")
    assert len(manifest) == 30
    assert manifest.class_name.nunique() > 20
    shown = project.stage("model", tiny=about).stdout
    assert float(shown.split("squeezenet1_1: accuracy ")[1].split("%")[0]) > 30
    for stage in ("score", "attack"):
        project.stage(stage, "-m", tiny=about)
    project.stage("aggregate", tiny=about)
    tables = project.folder / "results" / "photographs" / "tables"
    assert "jpeg" in (tables / "tables.md").read_text()
    table = pd.read_csv(tables / "summary.csv")
    assert len(table) == 2 * 2
    assert (table["mean"] > 0).all()
    by_target = table[table.cell == "identity"].pivot(index="norm", columns="target", values="mean")
    assert (by_target["top2"] < by_target["least"]).all()  # the order that the papers find everywhere
    bounds = pd.read_csv(tables / "bounds.csv")
    assert (bounds.found > 0).any()
    project.stage("figures", tiny=about)
    results = project.folder / "results" / "photographs"
    assert {path.name for path in (results / "sheets").glob("*.png")} == {"images.png", "adversaries.png"}
    assert not {"images.png", "adversaries.png"} & {path.name for path in (results / "figures").iterdir()}
    project.stage("report", tiny=about)
    assert "squeezenet1_1" in (project.folder / "results" / "photographs" / "report.html").read_text()
