"""Stage aggregate: the scores of all cells in one table, summarised."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from clever.errors import InputError
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
    accuracy = json.loads(artifacts.needed(artifacts.ACCURACY, "model").read_text())["accuracy"]
    if missing := [name for name in names if name not in accuracy]:
        raise InputError(f"the accuracy under {', '.join(missing)} is not known: run `dvc repro model` first")
    runs = [json.loads((folder / "run.json").read_text()) for folder in folders]
    first = summary.groupby("cell", sort=False)[["ratio", "share_capped"]].mean()
    about = pd.DataFrame(
        {
            "cell": names,
            "bpda": [run["bpda"] for run in runs],
            "accuracy": [accuracy[name] for name in names],
            "scored": [run["scored"] for run in runs],
            "mean_ratio": [float(f"{first.ratio[name]:.6g}") for name in names],
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
    artifacts.write_json(
        artifacts.AGGREGATE / "metrics.json",
        {
            name: {cell: float(f"{value:.4g}") for cell, value in first[column].items() if np.isfinite(value)}
            for name, column in (("mean_ratio", "ratio"), ("share_capped", "share_capped"))
        },
    )
    print(written["table.md"])


def _read(path: Path, cell: str) -> pd.DataFrame:
    return pd.read_csv(artifacts.needed(path, f"score@{cell}"), dtype={"id": str, "target": str})


def main() -> None:
    """The command line."""
    launch("aggregate")


if __name__ == "__main__":
    main()
