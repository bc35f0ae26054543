"""Stage aggregate: the scores of all cells in one table, summarised."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from pipeline import artifacts, tables
from pipeline.app import launch
from pipeline.cells import cells
from pipeline.comparison import compare, pairs
from pipeline.summary import baselines, summarise
from pipeline.upper_bounds import beside, findings, summarise_bounds

OF_RUN = ("network", "order", "defense", "bpda", "accuracy", "scored", "left_out_misclassified", "left_out_not_finite")
"""What a cell's run tells of it."""


def run(config: DictConfig) -> None:
    """Writes to results/aggregate: scores.csv with the distance of each, cells.csv, table (CSV, Markdown, LaTeX),
    orders.csv (second beside first), bounds.csv (CLEVER beside the distances), findings.csv and metrics.json.
    """
    names = cells(config)
    scores = pd.concat([_read(artifacts.scores_of(name) / "scores.csv", "score", name) for name in names])
    runs = [json.loads((artifacts.scores_of(name) / "run.json").read_text()) for name in names]
    about = pd.DataFrame({"cell": names} | {column: [run[column] for run in runs] for column in OF_RUN})
    about["defense"] = about.defense.map(json.dumps)
    about.insert(1, "baseline", about.cell.map(baselines(about)))
    summary = summarise(scores, baselines(about), config.seed)
    comparison = compare(pairs(scores, about), config.seed)
    distances = pd.concat([_read(artifacts.attacks_of(name) / "distances.csv", "attack", name) for name in names])
    rows = beside(scores, distances)
    bounds = summarise_bounds(rows, config.seed)
    means = summary.groupby("cell", sort=False)[["ratio", "share_capped"]].mean()
    about["mean_ratio"] = [float(f"{means.ratio[name]:.6g}") for name in names]
    printed = tables.sections(summary, comparison, bounds)
    written = {
        "scores.csv": rows.to_csv(index=False),
        "cells.csv": about.to_csv(index=False),
        "table.csv": summary.to_csv(index=False, float_format="%.6g"),
        "orders.csv": comparison.to_csv(index=False, float_format="%.6g"),
        "bounds.csv": bounds.to_csv(index=False, float_format="%.6g"),
        "findings.csv": findings(rows).to_csv(index=False, float_format="%.6g"),
        "table.md": tables.markdown(printed),
        "table.tex": tables.latex(printed),
    }
    for name, text in written.items():
        artifacts.write_text(artifacts.AGGREGATE / name, text)
    artifacts.write_json(
        artifacts.AGGREGATE / "metrics.json",
        {
            name: {cell: float(f"{value:.4g}") for cell, value in of_cell.items() if np.isfinite(value)}
            for name, of_cell in (
                ("accuracy", about.set_index("cell").accuracy),
                ("mean_ratio", means.ratio),
                ("share_capped", means.share_capped),
            )
        },
    )
    print(written["table.md"])


def _read(path: Path, stage: str, cell: str) -> pd.DataFrame:
    return pd.read_csv(artifacts.needed(path, f"{stage}@{cell}"), dtype={"id": str, "target": str})


def main() -> None:
    """The command line."""
    launch("aggregate")


if __name__ == "__main__":
    main()
