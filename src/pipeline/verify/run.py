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
HEAD = "HEAD"
TEXT = {"id": str, "target": str, "cell": str}


def run(config: DictConfig) -> None:
    """Print the largest difference of each column of each table; exit with 1 if one exceeds its limit.

    Compares the chosen experiment, or by default all of ``experiments.reported`` in params.yaml and the verdicts on the
    claims, with results/ at git's HEAD, even if ``experiment_dir`` is another folder. With an earlier revision in
    ``verify.since``, rows that only one side has are printed and do not fail, and ``verify.renamed``, a CSV with the
    columns old and new, names the columns that have been renamed since.
    """
    names = [str(experiment())] if experiment() else [str(name) for name in config.experiments.reported]
    since, renamed = str(config.verify.since), _renamed(config.verify.renamed)
    wrong: list[str] = []
    for name in names:
        for table, (key, limits) in TABLES.items():
            file = Path("tables") / f"{table}.csv"
            path = artifacts.experiment_dir(config, name) / file
            tables = _both(path, artifacts.RESULTS / name / file, since, renamed)
            wrong += _checked(path, *compare(*tables, key, limits), same_rows=since == HEAD)
    if not experiment():
        verdicts = artifacts.RESULTS / "claims.csv"
        tables = _both(verdicts, verdicts, since, renamed)
        differences = compare(*tables, ["experiment", "claim"], {"verdict": EQUAL})
        wrong += _checked(verdicts, *differences, same_rows=since == HEAD)
    if wrong:
        print(f"\nexceeding the limits: {len(wrong)}", *wrong, sep="\n  ")
        sys.exit(DIFFERENT)
    print(f"\n{', '.join(names)}: equal to the committed numbers within the limits")


def _renamed(path: str | None) -> dict[str, str]:
    """New column names by the old ones, from a CSV."""
    if path is None:
        return {}
    if not Path(path).is_file():
        raise InputError(f"verify.renamed={path}: there is no such file; it must be a CSV with the columns old, new")
    table = pd.read_csv(path, dtype=str)
    if not {"old", "new"} <= set(table):
        raise InputError(
            f"verify.renamed={path} has the columns {', '.join(map(str, table.columns))}: it must have old, new"
        )
    return dict(zip(table.old.tolist(), table.new.tolist(), strict=True))


def _both(path: Path, committed: Path, since: str, renamed: dict[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table of this run, and the ``committed`` version in git at the revision ``since``."""
    if not path.is_file():
        raise InputError(f"{path} does not exist: run `make repro` first")
    result = subprocess.run(["git", "show", f"{since}:./{committed}"], capture_output=True, check=False)
    if result.returncode:
        raise InputError(f"git has no {committed} to compare with: {result.stderr.decode().strip()}")
    earlier = pd.read_csv(io.BytesIO(result.stdout), dtype=TEXT)
    return pd.read_csv(path, dtype=TEXT), earlier.rename(columns=renamed)


def _checked(path: Path, differences: list[Difference], unmatched: list[str], *, same_rows: bool) -> list[str]:
    """Print the table of differences; return messages on exceeded limits and, for ``same_rows``, unmatched rows."""
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
    rows = [f"{path}: {what}" for what in unmatched if what.startswith("row ")]
    columns = [f"{path}: {what}" for what in unmatched if not what.startswith("row ")]
    if not same_rows:
        print(*rows, sep="\n")
    return [*(rows if same_rows else []), *columns, *exceeded]


def _limit_text(found: Difference) -> str:
    limit = found.limit
    if limit is None:
        return "not checked"
    return (
        f"± {limit.tolerance:g}" if limit.tolerance else f"{limit.median:g}, {limit.quantile_95:g}, {limit.largest:g}"
    )
