"""A small project in a folder of its own, run by the real programs: Hydra apps and DVC as a user starts them."""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from pipeline.shared.app.launch import launch

ROOT = Path(__file__).parents[1]
SAMPLE = Path(os.environ.get("IMAGENET_SAMPLE", ROOT.parent / "shared" / "imagenet-sample"))
TINY = (
    "score.n_images=2 sampling.n_batches=6 sampling.n_samples=8 chunk_points=8 data.n_images=60 targets=[top2,least] "
    "attack.steps=5 attack.rounds=0"
)
"""Settings for seconds instead of minutes; the networks are those published with the project."""
COMPUTED = ["defenses", "orders"]
"""Of the experiments of params.yaml: exact, whose images and points TINY does not change, takes minutes."""
STARTED: list[subprocess.Popen[str]] = []
"""Processes of the test under way."""


@dataclass(frozen=True)
class Project:
    """A copy of what a clone holds, without its results, those computed elsewhere included; TINY in its params.yaml."""

    folder: Path

    @classmethod
    def copy(cls, folder: Path) -> "Project":
        for name in ("conf", "src", "data/peers", "data/published", "data/weights"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        shutil.copy(ROOT / ".dvcignore", folder / ".dvcignore")
        params = OmegaConf.merge(OmegaConf.load(ROOT / "params.yaml"), OmegaConf.from_dotlist(TINY.split()))
        params.experiments.computed = COMPUTED
        elsewhere = set(params.experiments.reported) - set(COMPUTED)
        params.experiments.reported = COMPUTED
        OmegaConf.save(params, folder / "params.yaml")
        lines = (ROOT / "dvc.yaml").read_text().splitlines(keepends=True)
        lines = [line for line in lines if not any(f"results/{name}/" in f"{line.rstrip()}/" for name in elsewhere)]
        (folder / "dvc.yaml").write_text("".join(lines))
        return cls(folder)

    def set(self, **settings: object) -> None:
        """Changes settings of params.yaml, ``__`` for a dot."""
        params = OmegaConf.load(self.folder / "params.yaml")
        for name, value in settings.items():
            OmegaConf.update(params, name.replace("__", "."), value, force_add=True)
        OmegaConf.save(params, self.folder / "params.yaml")

    def experiment(self, name: str, launcher: str = "basic", settings: str = "", **swept: str) -> None:
        """Writes the file of an experiment, ``swept`` its sweep with ``__`` for a dot; ``basic`` is in one process."""
        sweep = "".join(f"      {key.replace('__', '.')}: {values!r}\n" for key, values in swept.items())
        text = f"# @package _global_\ndefaults:\n  - override /hydra/launcher: {launcher}\nthreads: 1\n{settings}\n"
        text += f"hydra:\n  sweeper:\n    params:\n{sweep}"
        (self.folder / "conf" / "experiment" / f"{name}.yaml").write_text(text)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return os.environ | {"PATH": path, "PYTHONWARNINGS": "ignore"}

    def start(self, *command: str) -> subprocess.Popen[str]:
        """As from a terminal: what a shell runs in the background ignores SIGINT, and so would all that it starts."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        STARTED.append(process)
        return process

    def run(self, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*command)
        out, err = process.communicate(timeout=600)
        assert process.returncode == code, f"{' '.join(command)}: exit code {process.returncode}\n{out}\n{err}"
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def stage(self, name: str, *overrides: str, code: int = 0, tiny: str = TINY) -> subprocess.CompletedProcess[str]:
        """What ``python -m pipeline.NAME`` does, in this process: starting another one each time takes seconds."""
        out, err, ended = io.StringIO(), io.StringIO(), 0
        argv, handler = sys.argv, signal.getsignal(signal.SIGTERM)
        words = sorted([*tiny.split(), *overrides], key=lambda word: not word.startswith("-"))
        sys.argv = [f"pipeline.{name}", *words]
        try:
            with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                launch(name)
        except SystemExit as stop:
            ended = int(stop.code or 0)
        finally:
            sys.argv = argv
            signal.signal(signal.SIGTERM, handler)
        shown = f"{name} {' '.join(overrides)}: exit code {ended}\n{out.getvalue()}\n{err.getvalue()}"
        assert ended == code, shown
        return subprocess.CompletedProcess(overrides, ended, out.getvalue(), err.getvalue())

    def whole(self, name: str, tiny: str = TINY) -> None:
        """All stages of an experiment but the report, one after the other."""
        self.stage("model", f"experiment={name}")
        for stage in ("score", "attack"):
            self.stage(stage, "-m", f"experiment={name}", tiny=tiny)
        for stage in ("aggregate", "figures"):
            self.stage(stage, f"experiment={name}", tiny=tiny)


def stored_points(store: Path, n_samples: int) -> int:
    """The points, counted once a target, whose batches a store holds, in whatever number of files."""
    cells = set()
    for path in (store / "maxima").rglob("*.npz"):
        with np.load(path) as file:
            batches = range(int(file["start"]), int(file["start"]) + len(file["value"]))
            cells |= {(path.parent, target, batch) for target in file["targets"].tolist() for batch in batches}
    return len(cells) * n_samples


PLACES = [
    *("cell=x", "prepared_dir=data/prepared/digits", "models_dir=models/ad_hoc", "experiment_dir=results/ad_hoc"),
    "results_dir=.",
]
"""What a stage fills in by itself (`pipeline.shared.app.artifacts.fill_in_paths`)."""


def composed(*overrides: str) -> DictConfig:
    """The configuration that these overrides make of the project's own files."""
    with contextlib.chdir(ROOT), initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", overrides=[*PLACES, *overrides])


@contextlib.contextmanager
def started(*overrides: str, swept: dict[str, str] | None = None) -> Iterator[DictConfig]:
    """As a stage sees it that is started with these overrides; ``swept``: another sweep of its experiment."""
    with contextlib.chdir(ROOT), initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", overrides=list(overrides), return_hydra_config=True)
        if swept is not None:
            config.hydra.sweeper.params = swept
        with open_dict(config):
            config.hydra.runtime.output_dir = "outputs"
        before = HydraConfig.instance().cfg
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        try:
            yield config
        finally:
            HydraConfig.instance().cfg = before


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """Where a test fails, too."""
    yield
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose stages prepare and model have run, the latter for the default network."""
    project = Project.copy(tmp_path_factory.mktemp("project"))
    project.stage("prepare")
    project.stage("model")
    return project


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """A copy of it, to be changed."""
    shutil.copytree(trained.folder, tmp_path / "project")
    return Project(tmp_path / "project")


@pytest.fixture(scope="session")
def sample() -> Path:
    """Real photographs in folders by wnid, and a real network's weights."""
    if not (SAMPLE / "val").is_dir():
        pytest.skip(f"no photographs in {SAMPLE}: set IMAGENET_SAMPLE to a folder with val/<wnid>/ and weights")
    return SAMPLE


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A real Chromium without a window."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (binary and driver):
        pytest.skip("no browser: install Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for name in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-sync"):
        options.add_argument(f"--{name}")
    options.add_argument("--disable-background-networking")
    options.add_argument("--disable-component-update")
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('browser')}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()
