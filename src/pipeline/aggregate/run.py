"""Stage aggregate: the scores of all cells of an experiment in one table, summarised."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from clever.errors import InputError
from clever.norms import Norm
from pipeline.aggregate import peers, published
from pipeline.aggregate.calibration import calibrate, values
from pipeline.aggregate.comparison import compare, pairs
from pipeline.aggregate.defenses import gains_and_costs
from pipeline.aggregate.draws import against_draws
from pipeline.aggregate.evidence import evidence, kind
from pipeline.aggregate.networks import agreement, beside_each_other
from pipeline.aggregate.radius import curves, radii
from pipeline.aggregate.spread import spread
from pipeline.aggregate.summary import summarise
from pipeline.aggregate.truth import answered, beside_truth
from pipeline.aggregate.upper_bounds import beside, findings, summarise_bounds
from pipeline.shared import artifacts, extras, printed
from pipeline.shared.described import UNDEFENDED, described
from pipeline.shared.experiment import cells, experiment
from pipeline.shared.listed import norms_of
from pipeline.shared.pairing import baselines, families
from pipeline.shared.recorded import CLASS

OF_RUN = ("network", "order", "defense", "bpda", "accuracy", "scored", "left_out_misclassified", "left_out_not_finite")
"""What a cell's run tells of it."""
DIFFERENT = ("network", "weights", "order", "order_settings", "defense", "bpda", "backward", "sampling", "compute")
"""What makes two cells two, beside their attacks; runs from before orders told their settings lack them."""


def run(config: DictConfig) -> None:
    """Writes the tables that the package's docstring lists, and metrics.json."""
    if config.peers is not None and not config.attack.exact:
        raise InputError(f"peers={config.peers} stands beside exact distances: attack.exact=true, or peers=null")
    runs = {cell.name: _run(config, cell.name) for cell in cells()}
    strengths = {name: _attack(config, name)["strength"] for name in runs}
    about = _about(runs, strengths, norms_of(config.norms, "norms"))
    names = list(about.cell)
    scores = pd.concat([_read(artifacts.scores_of(config, name) / "scores.csv", "score") for name in names])
    distances = pd.concat([_read(artifacts.attacks_of(config, name) / "distances.csv", "attack") for name in names])
    misclassified = {name: set(runs[name]["misclassified"]) for name in names}
    summary = summarise(scores, baselines(about), misclassified, config.seed)
    sampling = {name: runs[name]["sampling"] for name in names}
    both = pairs(scores, about, sampling)
    comparison = compare(both, config.seed)
    rows = beside(scores, distances)
    bounds = summarise_bounds(rows, config.seed)
    worth = evidence(rows, about[about.bpda])
    tables = {
        "defenses": gains_and_costs(summary, bounds, about, {name: _gradient(run) for name, run in runs.items()}),
        "draws": against_draws(rows, about),
        "networks": beside_each_other(rows, about, config.seed),
        "agreement": agreement(rows, about, config.seed),
        "spread": spread(scores, about, config.seed),
    }
    truth = pd.DataFrame()
    if config.attack.exact:
        exact = pd.concat([_read(artifacts.attacks_of(config, name) / "exact.csv", "attack") for name in names])
        truth = beside_truth(scores, exact, about)
        if config.peers is not None:
            weights = {run["network"]: run["weights"]["sha256"] for run in runs.values()}
            theirs = peers.beside_ours(peers.read(str(config.peers)), truth, weights)
            truth = pd.concat([truth, theirs], ignore_index=True)
        tables |= {"exact_answers": answered(exact, about), "exact_summary": calibrate(truth, about, config.seed)}
    calibration = calibrate(values(rows, about), about, config.seed)
    sections = printed.sections(summary, comparison, bounds, worth, calibration) | extras.sections(tables)
    written = {
        "scores.csv": rows.to_csv(index=False),
        "order_pairs.csv": both.to_csv(index=False),
        "cells.csv": about.to_csv(index=False),
        "summary.csv": summary.to_csv(index=False, float_format="%.6g"),
        "orders.csv": comparison.to_csv(index=False, float_format="%.6g"),
        "bounds.csv": bounds.to_csv(index=False, float_format="%.6g"),
        "evidence.csv": worth.to_csv(index=False, float_format="%.6g"),
        "calibration.csv": calibration.to_csv(index=False, float_format="%.6g"),
        "findings.csv": findings(rows).to_csv(index=False, float_format="%.6g"),
        "tables.md": printed.markdown(sections),
        "tables.tex": printed.latex(sections),
    }
    over = curves(rows, about, sampling)
    if len(over):
        written["radius.csv"] = over.to_csv(index=False, float_format="%.6g")
        written["radii.csv"] = radii(over).to_csv(index=False, float_format="%.6g")
    written |= {
        f"{name}.csv": table.to_csv(index=False, float_format="%.6g") for name, table in tables.items() if len(table)
    }
    if len(truth):
        written["exact.csv"] = truth.to_csv(index=False)
    if config.published is not None:
        ours = rows[rows.cell.isin(about.drop_duplicates("network").cell)]  # without a defense, by the first order
        same = [name for name in names if strengths[name]["method"] == published.ATTACK]
        ours = ours.assign(distance=ours.distance.where(ours.cell.isin(same)))
        beside_theirs = published.compare(ours, published.read(str(config.published)))
        written["published.csv"] = beside_theirs.to_csv(index=False, float_format="%.6g")
    for name, text in written.items():
        artifacts.write_text(artifacts.tables(config) / name, text)
    artifacts.write_json(artifacts.metrics(config), _metrics(about, summary))
    print(f"{experiment()}: {len(scores)} scores of {len(names)} cells; {artifacts.tables(config)}/tables.md")


def _about(told: dict[str, dict[str, Any]], strengths: dict[str, dict[str, Any]], norms: list[Norm]) -> pd.DataFrame:
    """A row for each cell: what its run tells, and the cell that it is compared with.

    A cell that repeats an earlier one is left out: without a transformation, BPDA or not is all the same.
    """

    def same(one: str, other: str) -> bool:
        alike = all(told[one].get(of) == told[other].get(of) for of in DIFFERENT)
        return alike and strengths[one] == strengths[other]

    runs: dict[str, dict[str, Any]] = {}
    for name, run in told.items():
        run["bpda"] |= run["defense"][CLASS] == UNDEFENDED
        if not any(same(name, other) for other in runs):
            runs[name] = run
    columns = {column: [run[column] for run in runs.values()] for column in OF_RUN}
    about = pd.DataFrame({"cell": list(runs)} | columns)
    about["transformation"] = about.defense.map(described)
    about["kind"] = [kind(run["order"], run["sampling"], run.get("backward", "identity")) for run in runs.values()]
    about["defense"] = about.defense.map(json.dumps)
    about["sampling"] = [json.dumps(_of_norms(run["sampling"], norms)) for run in runs.values()]
    about.insert(1, "baseline", about.cell.map(baselines(about)))
    of_network = families({run["network"]: run["weights"]["model"] for run in runs.values()})
    about.insert(list(about.columns).index("network") + 1, "family", about.network.map(of_network))
    return about


def _of_norms(sampling: dict[str, Any], norms: list[Norm]) -> dict[str, Any]:
    """Without the radii of norms that nothing was scored in, which may differ where nothing else does."""
    radius = sampling["radius"]
    return sampling | {"radius": {str(norm): float(radius[norm]) for norm in norms if norm in radius}}


def _attack(config: DictConfig, name: str) -> dict[str, Any]:
    return artifacts.told(artifacts.attacks_of(config, name), "attack", _how())


def _gradient(run: dict[str, Any]) -> float:
    """Milliseconds of one, by all runs that sampled for the cell; NaN where none told."""
    taken = run["of_all_runs"]
    return 1000 * taken["sampling"] / taken["work"] if "sampling" in taken else np.nan


def _metrics(about: pd.DataFrame, summary: pd.DataFrame) -> dict[str, Any]:
    """Accuracy, and for the first target the ratio to the baseline and the share of capped scores, norm by norm."""
    target = summary.target.iloc[0]
    of_target = summary[summary.target == target].set_index("cell")
    norms = {str(norm): part for norm, part in of_target.groupby("norm", sort=False)}
    return {
        "accuracy": _finite(about.set_index("cell").accuracy),
        f"ratio_{target}": {norm: _finite(part.ratio) for norm, part in norms.items()},
        f"share_capped_{target}": {norm: _finite(part.share_capped) for norm, part in norms.items()},
    }


def _run(config: DictConfig, name: str) -> dict[str, Any]:
    return artifacts.told(artifacts.scores_of(config, name), "score", _how())


def _finite(column: "pd.Series[float]") -> dict[str, float]:
    return {str(cell): float(f"{value:.4g}") for cell, value in column.items() if np.isfinite(value)}


def _read(path: Path, stage: str) -> pd.DataFrame:
    return pd.read_csv(artifacts.needed(path, stage, _how()), dtype={"id": str, "target": str})


def _how() -> str:
    return f" -m experiment={experiment()}"
