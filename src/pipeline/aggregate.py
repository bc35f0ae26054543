"""Stage aggregate: the scores of all cells in one table, summarised."""

import json
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from pipeline import artifacts, tables
from pipeline.app import launch
from pipeline.cells import cells
from pipeline.summary import summarise


def run(config: DictConfig) -> None:
    """Writes scores.csv, cells.csv, table.csv, table.md, table.tex and metrics.json to results/aggregate."""
    names = cells(config)
    folders = [artifacts.scores_of(name) for name in names]
    scores = pd.concat([_read(folder / "scores.csv", name) for folder, name in zip(folders, names, strict=True)])
    summary = summarise(scores, config.baseline, config.seed)
    accuracy = json.loads(artifacts.needed(artifacts.ACCURACY, "model").read_text())
    runs = [json.loads((folder / "run.json").read_text()) for folder in folders]
    about = pd.DataFrame(
        {
            "cell": names,
            "bpda": [run["bpda"] for run in runs],
            "accuracy": [accuracy["accuracy"][name] for name in names],
            "scored": [run["scored"] for run in runs],
            "left_out_misclassified": [run["left_out_misclassified"] for run in runs],
        }
    )
    written = {
        "scores.csv": scores.to_csv(index=False),
        "cells.csv": about.to_csv(index=False),
        "table.csv": summary.to_csv(index=False, float_format="%.6g"),
        "table.md": tables.markdown(summary),
        "table.tex": tables.latex(summary),
    }
    for name, text in written.items():
        artifacts.write_text(artifacts.AGGREGATE / name, text)
    by_cell = summary.groupby("cell", sort=False)
    first = by_cell[["mean", "ratio", "share_capped"]].mean()
    artifacts.write_json(
        artifacts.AGGREGATE / "metrics.json",
        {
            "mean_ratio": {name: float(f"{first.ratio[name]:.4g}") for name in names},
            "share_capped": {name: float(f"{first.share_capped[name]:.4g}") for name in names},
        },
    )
    print((artifacts.AGGREGATE / "table.md").read_text())


def _read(path: Path, cell: str) -> pd.DataFrame:
    return pd.read_csv(artifacts.needed(path, f"score@{cell}"), dtype={"id": str, "target": str})


def main() -> None:
    """The command line."""
    launch("aggregate")


if __name__ == "__main__":
    main()
