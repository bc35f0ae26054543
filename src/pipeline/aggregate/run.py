"""Stage aggregate: builds the tables of an experiment from the scores and distances of all its cells."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from clever.errors import InputError
from pipeline.aggregate.describe import describe_cells
from pipeline.aggregate.experiment_data import ExperimentData
from pipeline.aggregate.tables import TABLES
from pipeline.shared.app import artifacts
from pipeline.shared.app.experiment import cells, require_experiment
from pipeline.shared.app.listed import parse_norms
from pipeline.shared.text import printed


def run(config: DictConfig) -> None:
    """Writes the tables of the registry (`pipeline.aggregate.tables`) as CSV, the printed tables, and metrics.json."""
    data, folder = _read(config), artifacts.tables_dir(config)
    sections: dict[str, pd.DataFrame] = {}
    for table in TABLES:
        if not table.applies(data):
            continue
        built = data.tables[table.name] = table.build(data)
        if len(built) or not table.optional:
            artifacts.write_text(folder / f"{table.name}.csv", built.to_csv(index=False, float_format=table.digits))
        if len(built) and table.printed:
            sections |= table.printed.sections(built)
    for name, text in printed.documents(sections).items():
        artifacts.write_text(folder / name, text)
    artifacts.write_json(artifacts.metrics(config), _metrics(data.cells, data.tables["summary"]))
    print(f"{require_experiment()}: {len(data.scores)} scores of {len(data.cells)} cells; {folder}/tables.md")


def _read(config: DictConfig) -> ExperimentData:
    """Reads the folders of the experiment's cells; `InputError` if a stage has not run."""
    if config.peers is not None and not config.attack.exact:
        raise InputError(f"peers={config.peers} requires exact distances: set attack.exact=true, or peers=null")
    options, sweep = f" -m experiment={require_experiment()}", cells()
    names = [cell.name for cell in sweep]
    runs = {name: artifacts.read_run_record(artifacts.scores_dir(config, name), "score", options) for name in names}
    attacks = {
        name: artifacts.read_run_record(artifacts.attacks_dir(config, name), "attack", options) for name in names
    }
    strengths = {name: attack["strength"] for name, attack in attacks.items()}
    swept = {cell.name: cell.swept for cell in sweep}
    described = describe_cells(runs, strengths, swept, parse_norms(config.norms, "norms"))

    def rows(folder: Callable[[DictConfig, str], Path], file: str, stage: str) -> pd.DataFrame:
        paths = [artifacts.require_output(folder(config, name) / file, stage, options) for name in described.cell]
        return pd.concat([pd.read_csv(path, dtype={"id": str, "target": str}) for path in paths])

    return ExperimentData(
        config.seed,
        runs,
        attacks,
        described,
        rows(artifacts.scores_dir, "scores.csv", "score"),
        rows(artifacts.attacks_dir, "distances.csv", "attack"),
        rows(artifacts.attacks_dir, "exact.csv", "attack") if config.attack.exact else None,
        None if config.published is None else str(config.published),
        None if config.peers is None else str(config.peers),
    )


def _metrics(cells: pd.DataFrame, summary: pd.DataFrame) -> dict[str, Any]:
    """Accuracy, and for the first target the ratio to the baseline and the share of capped scores, norm by norm."""
    target = summary.target.iloc[0]
    of_target = summary[summary.target == target].set_index("cell")
    norms = {str(norm): part for norm, part in of_target.groupby("norm", sort=False)}
    return {
        "accuracy": _finite(cells.set_index("cell").accuracy),
        f"ratio_{target}": {norm: _finite(part.ratio) for norm, part in norms.items()},
        f"share_capped_{target}": {norm: _finite(part.share_capped) for norm, part in norms.items()},
    }


def _finite(column: "pd.Series[float]") -> dict[str, float]:
    return {str(cell): float(f"{value:.4g}") for cell, value in column.items() if np.isfinite(value)}
