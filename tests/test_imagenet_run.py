"""The ImageNet path on real photographs and a real 1000-class network, from the folder to the table."""

import hashlib
from pathlib import Path

import pandas as pd

from conftest import Project

IMAGENET = (
    "data=imagenet model=squeezenet1_1 weights=file sampling.n_batches=5 sampling.n_samples=4 "
    "data.n_images=40 score.n_images=4 targets=[top2,least] attack.steps=5 attack.rounds=1 attack.images=2"
)


def test_photographs_to_table(sample: Path, tmp_path: Path) -> None:
    project = Project.copy(tmp_path)
    (weights,) = sample.glob("squeezenet1_1*.pth")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    cells = "  identity: defense=identity\n  jpeg: defense=jpeg\n  bit_depth: defense=bit_depth\n"
    params = project.folder / "params.yaml"
    params.write_text(params.read_text().split("cells:")[0] + f"cells:\n{cells}")
    about = f"{IMAGENET} data.root={sample} weights.path={weights} weights.sha256={digest}"

    project.stage("prepare", tiny=about)
    manifest = pd.read_csv(project.folder / "data" / "prepared" / "manifest.csv")
    assert len(manifest) == 40
    assert manifest.class_name.nunique() > 30
    shown = project.stage("model", tiny=about).stdout
    assert float(shown.split("squeezenet1_1: right on ")[1].split("%")[0]) > 30
    for cell in ("identity", "jpeg", "bit_depth"):
        for stage in ("score", "attack"):
            project.stage(stage, f"cell={cell}", f"results_dir=results/{stage}/{cell}", f"defense={cell}", tiny=about)
    shown = project.stage("aggregate", tiny=about).stdout
    assert "bit depth" in shown
    table = pd.read_csv(project.folder / "results" / "aggregate" / "table.csv")
    assert len(table) == 3 * 3 * 2
    assert (table["mean"] > 0).all()
    by_target = table[table.cell == "identity"].pivot(index="norm", columns="target", values="mean")
    assert (by_target["top2"] < by_target["least"]).all()  # the order that the papers find everywhere
    bounds = pd.read_csv(project.folder / "results" / "aggregate" / "bounds.csv")
    assert (bounds.found > 0).any()
    project.stage("figures", tiny=about)
    project.stage("report", tiny=about)
    assert "squeezenet1_1" in (project.folder / "results" / "report.html").read_text()
