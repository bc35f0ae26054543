"""Networks of other libraries, each one file of conf/model, with random weights; skipped where they are missing."""

import importlib.util

import pandas as pd
import pytest

from conftest import Project

ZOO = {
    "timm": "model.network.model_name=resnet10t model.network.num_classes=10",
    "robustbench": "model.network.depth=10 model.network.widen_factor=1",
}


@pytest.mark.filterwarnings("ignore")  # that of theirs
@pytest.mark.parametrize("library", ZOO)
def test_a_network_of_another_library_is_scored(library: str, project: Project) -> None:
    pytest.importorskip(library, exc_type=ImportError)
    tiny = (
        f"model={library} {ZOO[library]} weights=random targets=[top2] norms=[L2] score.n_images=40 "
        "sampling.n_batches=5 sampling.n_samples=2 results_dir=results/x"
    )
    project.stage("model", tiny=tiny)
    project.stage("score", tiny=tiny)
    scores = pd.read_csv(project.folder / "results" / "x" / "scores.csv")
    assert len(scores) >= 1
    assert (scores.score > 0).all()


@pytest.mark.parametrize("library", ZOO)
def test_a_library_that_is_missing_is_named(library: str, project: Project) -> None:
    if importlib.util.find_spec(library):
        pytest.skip(f"{library} is installed")
    told = project.stage("model", f"model={library}", *ZOO[library].split(), "weights=random", code=2).stderr
    assert f"No module named '{library}'" in told
