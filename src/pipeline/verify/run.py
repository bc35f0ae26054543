"""Stage verify: the tables of a run beside those that are committed."""

import io
import subprocess
import sys
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from clever.errors import InputError
from pipeline.shared.app import artifacts
from pipeline.shared.app.experiment import experiment
from pipeline.verify.compare import Difference, compare
from pipeline.verify.limits import EQUAL, TABLES

DIFFERENT = 1
"""The exit code where a number is beyond its limit."""
TEXT = {"id": str, "target": str, "cell": str}


def run(config: DictConfig) -> None:
    """Prints the largest difference of each column of each table; exits with 1 if one is beyond its limit.

    Of the experiments of params.yaml's ``experiments.reported``, or of the one that is chosen; and of the verdicts on
    the claims. What is committed is what git has at HEAD in results/, wherever the run's own ``experiment_dir`` is.
    """
    names = [str(experiment())] if experiment() else [str(name) for name in config.experiments.reported]
    wrong: list[str] = []
    for name in names:
        for table, (key, limits) in TABLES.items():
            place = Path("tables") / f"{table}.csv"
            path = artifacts.experiment_dir(config, name) / place
            wrong += _checked(path, *compare(*_both(path, artifacts.RESULTS / name / place), key, limits))
    if not experiment():
        verdicts = artifacts.RESULTS / "claims.csv"
        wrong += _checked(verdicts, *compare(*_both(verdicts, verdicts), ["experiment", "claim"], {"verdict": EQUAL}))
    if wrong:
        print(f"\nbeyond the limits: {len(wrong)}", *wrong, sep="\n  ")
        sys.exit(DIFFERENT)
    print(f"\n{', '.join(names)}: the committed numbers, within the limits")


def _both(path: Path, place: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The file of this run, and that which git has in its ``place``."""
    if not path.is_file():
        raise InputError(f"{path} is not there: run `make repro` first")
    shown = subprocess.run(["git", "show", f"HEAD:./{place}"], capture_output=True, check=False)
    if shown.returncode:
        raise InputError(f"git has no {place} to compare with: {shown.stderr.decode().strip()}")
    return pd.read_csv(path, dtype=TEXT), pd.read_csv(io.BytesIO(shown.stdout), dtype=TEXT)


def _checked(path: Path, differences: list[Difference], only: list[str]) -> list[str]:
    """Prints the table of differences, and returns what is beyond the limits."""
    shown = [found for found in differences if found.limit or found.largest]
    print(f"\n{path}: {max((found.rows for found in differences), default=0)} rows, relative differences")
    lines = pd.DataFrame(
        {
            "column": [found.column for found in shown],
            **{
                name: [f"{getattr(found, name):.1e}" for found in shown]
                for name in ("median", "quantile_95", "largest")
            },
            "limits": [_told(found) for found in shown],
            "largest at": [found.at for found in shown],
        }
    )
    print(lines.rename(columns={"quantile_95": "95 %"}).to_markdown(index=False, disable_numparse=True))
    beyond = [
        f"{path}, {found.column}: {found.largest:.1e} at {found.at}" for found in differences if found.exceeds_limit
    ]
    return [*(f"{path}: {what}" for what in only), *beyond]


def _told(found: Difference) -> str:
    limit = found.limit
    if limit is None:
        return "not judged"
    return (
        f"{limit.tolerance:g} apart"
        if limit.tolerance
        else f"{limit.median:g}, {limit.quantile_95:g}, {limit.largest:g}"
    )
