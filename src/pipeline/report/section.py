"""The report's section on one experiment, read from the results of its stages."""

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from markupsafe import Markup
from PIL import Image

from pipeline.report.reported_claim import ReportedClaim
from pipeline.shared.app import artifacts
from pipeline.shared.text import printed
from pipeline.shared.text.described import defense_name
from pipeline.shared.text.formats import cell_title


@dataclass(frozen=True)
class ExperimentSection:
    """One experiment: its tables, its figures as (name, caption, picture), and the run records of its cells.

    ``tables``: the printed tables as HTML; ``claims``: the rows of claims.csv.
    """

    name: str
    scores: pd.DataFrame
    cells: pd.DataFrame
    findings: pd.DataFrame
    tables: Markup
    claims: list[ReportedClaim]
    figures: list[tuple[str, str, str]]
    runs: dict[str, dict[str, Any]]
    attacks: dict[str, dict[str, Any]]
    published: pd.DataFrame | None
    radii: pd.DataFrame | None

    @classmethod
    def read(cls, name: str, folder: Path) -> "ExperimentSection":
        """Reads the experiment's folder; `InputError` if a stage has not run."""
        text = {"id": str, "target": str, "cell": str}
        tables = artifacts.require_output(folder / "tables", "aggregate", f" experiment={name}")
        read = {table: pd.read_csv(tables / f"{table}.csv", dtype=text) for table in TABLES}
        cells = read["cells"]
        return cls(
            name,
            read["scores"],
            cells,
            read["findings"],
            Markup((tables / "tables.html").read_text()),
            ReportedClaim.read(tables / "claims.csv"),
            list(_figures(folder / "figures")),
            {cell: artifacts.read_run_record(folder / "score" / cell, "score") for cell in cells.cell},
            {cell: artifacts.read_run_record(folder / "attack" / cell, "attack") for cell in cells.cell},
            *(pd.read_csv(path) if (path := tables / f"{extra}.csv").is_file() else None for extra in EXTRA),
        )

    @property
    def with_gradients(self) -> pd.DataFrame:
        """The findings of the cells with true gradients or BPDA."""
        return self.findings[self.findings.cell.isin(self.cells[self.cells.bpda].cell)]

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of scores with a distance and of findings, with gradients and without (masked)."""
        attacked = self.scores[self.scores.distance.notna()]
        with_gradients = attacked.cell.isin(self.cells[self.cells.bpda].cell)
        return {
            "scores": int(with_gradients.sum()),
            "masked": int((~with_gradients).sum()),
            "findings": len(self.with_gradients),
            "masked_findings": len(self.findings) - len(self.with_gradients),
        }

    @property
    def networks(self) -> pd.DataFrame:
        """The networks with their accuracy and weights."""
        records = {run["network"]: run["weights"] for run in self.runs.values()}
        return pd.DataFrame(
            {
                "network": name,
                "parameters": weights["parameters"],
                "accuracy": f"{weights['accuracy']:.1%} of {weights['images']} images",
                "weights": defense_name(weights["weights"]).lower(),
                "sha256 of the weights": weights["sha256"][:16],
            }
            for name, weights in records.items()
        )

    @property
    def cost(self) -> pd.DataFrame:
        """The settings and cost of each cell, including interrupted runs and shards."""
        runs, attacks = [self.runs[cell] for cell in self.cells.cell], [self.attacks[cell] for cell in self.cells.cell]
        return pd.DataFrame(
            {
                "cell": self.cells.cell,
                "network": self.cells.network,
                "order": self.cells.order.map(cell_title),
                "defense": self.cells.transformation,
                "BPDA": ["yes" if run["bpda"] else "no" for run in runs],
                "accuracy": self.cells.accuracy.map("{:.1%}".format),
                "images scored": self.cells.scored,
                "gradients (scores)": [run["points_computed"] + run["points_from_store"] for run in runs],
                "seconds (scores)": [run["of_all_runs"]["seconds"] for run in runs],
                "passes (attacks)": [attack["passes"] for attack in attacks],
                "seconds (attacks)": [attack["of_all_runs"]["seconds"] for attack in attacks],
                "arithmetic of the gradients": [_arithmetic(run["compute"]) for run in runs],
                "machine": [_models(*both) for both in zip(runs, attacks, strict=True)],
            }
        )

    @property
    def settings(self) -> str:
        """The settings of sampling and attacks: once if all cells share them, otherwise for each cell."""
        settings = {
            cell: {"sampling": run["sampling"], "attack": self.attacks[cell]["strength"]}
            for cell, run in self.runs.items()
        }
        texts = {cell: yaml.safe_dump(values, sort_keys=False) for cell, values in settings.items()}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return "\n".join(f"# {cell}\n{text}" for cell, text in texts.items())

    @property
    def versions(self) -> str:
        """The package versions and devices of all runs."""
        runs = [*self.runs.values(), *self.attacks.values()]
        devices = sorted({_machine(run) for run in runs})
        packages: dict[str, set[str]] = {}
        for run in runs:
            for name, version in run["versions"].items():
                packages.setdefault(name, set()).add(version)
        versions = ", ".join(f"{name} {' and '.join(sorted(packages[name]))}" for name in packages)
        return f"{versions}; on {'; '.join(devices)}"


EXTRA = ("published", "radii")
"""Tables that only some experiments have."""
TABLES = ("scores", "cells", "summary", "findings")


def table_html(table: pd.DataFrame) -> Markup:
    """The table as HTML for the template."""
    return Markup(printed.table_html(table))


def _figures(folder: Path) -> Iterator[tuple[str, str, str]]:
    """The name, caption and picture of each figure in captions.json."""
    captions = artifacts.require_output(folder / "captions.json", "figures", f" experiment={folder.parent.name}")
    for name, caption in json.loads(captions.read_text()).items():
        yield name, caption, _embedded(folder / f"{name}.png")


def _machine(run: dict[str, Any]) -> str:
    """The machine and device of a run, as text."""
    machine = run["machine"]
    return f"{machine['model']}, {machine['cores']} cores, {machine['threads']} threads per process ({run['device']})"


def _models(*runs: dict[str, Any]) -> str:
    """The processor or GPU of scores and attack, named once if it is the same."""
    return ", attack: ".join(dict.fromkeys(run["machine"]["model"] for run in runs))


def _arithmetic(compute: dict[str, Any]) -> str:
    """The precision and, if it is lower than the network's own, its effect on gradient norms."""
    changed = compute.get("gradient_norms_changed_by")
    if not changed:
        return str(compute["precision"])
    change = f"{changed['median']:.2%} (median), {changed['largest']:.2%} at most"
    return f"{compute['precision']}: norms change by {change}"


def _embedded(path: Path) -> str:
    """The picture as a data URL, reduced to 256 colours, which is enough for plots and a third of the size."""
    with Image.open(path) as file:
        reduced = file.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    reduced.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
