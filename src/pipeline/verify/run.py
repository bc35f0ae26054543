"""Comparison of the tables of a run with the committed ones."""

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
"""Exit code if a number exceeds its limit."""
TEXT = {"id": str, "target": str, "cell": str}


def run(config: DictConfig) -> None:
    """Print the largest difference of each column of each table; exit with 1 if one exceeds its limit.

    Compares the chosen experiment, or by default all of ``experiments.reported`` in params.yaml and the verdicts on the
    claims, with results/ at git's HEAD, even if ``experiment_dir`` is another folder.
    """
    names = [str(experiment())] if experiment() else [str(name) for name in config.experiments.reported]
    wrong: list[str] = []
    for name in names:
        for table, (key, limits) in TABLES.items():
            file = Path("tables") / f"{table}.csv"
            path = artifacts.experiment_dir(config, name) / file
            wrong += _checked(path, *compare(*_both(path, artifacts.RESULTS / name / file), key, limits))
    if not experiment():
        verdicts = artifacts.RESULTS / "claims.csv"
        wrong += _checked(verdicts, *compare(*_both(verdicts, verdicts), ["experiment", "claim"], {"verdict": EQUAL}))
    if wrong:
        print(f"\nexceeding the limits: {len(wrong)}", *wrong, sep="\n  ")
        sys.exit(DIFFERENT)
    print(f"\n{', '.join(names)}: equal to the committed numbers within the limits")


def _both(path: Path, committed: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of this run, and the ``committed`` version in git."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: run `make repro` first")
    result = subprocess.run(["git", "show", f"HEAD:./{committed}"], capture_output=True, check=False)
    if result.returncode:
        raise InputError(f"git has no {committed} to compare with: {result.stderr.decode().strip()}")
    return pd.read_csv(path, dtype=TEXT), pd.read_csv(io.BytesIO(result.stdout), dtype=TEXT)


def _checked(path: Path, differences: list[Difference], unmatched: list[str]) -> list[str]:
    """Print the table of differences; return messages on unmatched rows and columns and exceeded limits."""
    shown = [found for found in differences if found.limit or found.largest]
    print(f"\n{path}: {max((found.rows for found in differences), default=0)} rows, relative differences")
    lines = pd.DataFrame(
        {
            "column": [found.column for found in shown],
            **{
                name: [f"{getattr(found, name):.1e}" for found in shown]
                for name in ("median", "quantile_95", "largest")
            },
            "limits": [_limit_text(found) for found in shown],
            "largest at": [found.at for found in shown],
        }
    )
    print(lines.rename(columns={"quantile_95": "95 %"}).to_markdown(index=False, disable_numparse=True))
    exceeded = [
        f"{path}, {found.column}: {found.largest:.1e} at {found.at}" for found in differences if found.exceeds_limit
    ]
    return [*(f"{path}: {what}" for what in unmatched), *exceeded]


def _limit_text(found: Difference) -> str:
    limit = found.limit
    if limit is None:
        return "not checked"
    return (
        f"± {limit.tolerance:g}" if limit.tolerance else f"{limit.median:g}, {limit.quantile_95:g}, {limit.largest:g}"
    )
