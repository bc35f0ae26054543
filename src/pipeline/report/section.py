"""What the report shows of one experiment, read from the files that its stages left."""

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

    ``tables``: those that are printed, as HTML; ``claims``: the rows of the table of that name.
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
        """From the experiment's folder; `InputError` where a stage has not run."""
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
        """Scores that have a distance, and findings, with gradients and without."""
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
        """What the networks are, and how often they are right."""
        about = {run["network"]: run["weights"] for run in self.runs.values()}
        return pd.DataFrame(
            {
                "network": name,
                "parameters": weights["parameters"],
                "right on": f"{weights['accuracy']:.1%} of {weights['images']} images",
                "weights": defense_name(weights["weights"]).lower(),
                "sha256 of the weights": weights["sha256"][:16],
            }
            for name, weights in about.items()
        )

    @property
    def cost(self) -> pd.DataFrame:
        """What each cell is and what it cost, interrupted runs and shards included."""
        runs, attacks = [self.runs[cell] for cell in self.cells.cell], [self.attacks[cell] for cell in self.cells.cell]
        return pd.DataFrame(
            {
                "cell": self.cells.cell,
                "network": self.cells.network,
                "order": self.cells.order.map(cell_title),
                "defense": self.cells.transformation,
                "BPDA": ["yes" if run["bpda"] else "no" for run in runs],
                "right on": self.cells.accuracy.map("{:.1%}".format),
                "images scored": self.cells.scored,
                "gradients, scores": [run["points_computed"] + run["points_from_store"] for run in runs],
                "seconds, scores": [run["of_all_runs"]["seconds"] for run in runs],
                "passes, attacks": [attack["passes"] for attack in attacks],
                "seconds, attacks": [attack["of_all_runs"]["seconds"] for attack in attacks],
                "arithmetic of the gradients": [_arithmetic(run["compute"]) for run in runs],
                "machine": [_models(*both) for both in zip(runs, attacks, strict=True)],
            }
        )

    @property
    def settings(self) -> str:
        """Of sampling and attacks, where all cells have the same ones, else those of each."""
        told = {
            cell: {"sampling": run["sampling"], "attack": self.attacks[cell]["strength"]}
            for cell, run in self.runs.items()
        }
        texts = {cell: yaml.safe_dump(of_cell, sort_keys=False) for cell, of_cell in told.items()}
        if len(set(texts.values())) == 1:
            return next(iter(texts.values()))
        return "\n".join(f"# {cell}\n{text}" for cell, text in texts.items())

    @property
    def versions(self) -> str:
        """Of what computed the numbers, and on which devices."""
        runs = [*self.runs.values(), *self.attacks.values()]
        devices = sorted({_machine(run) for run in runs})
        told: dict[str, set[str]] = {}
        for run in runs:
            for name, version in run["versions"].items():
                told.setdefault(name, set()).add(version)
        versions = ", ".join(f"{name} {' and '.join(sorted(told[name]))}" for name in told)
        return f"{versions}; on {'; '.join(devices)}"


EXTRA = ("published", "radii")
"""Tables that only some experiments have."""
TABLES = ("scores", "cells", "summary", "findings")


def table_html(table: pd.DataFrame) -> Markup:
    """A table for the page."""
    return Markup(printed.table_html(table))


def _figures(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Name, caption and picture of each that the stage figures listed."""
    captions = artifacts.require_output(folder / "captions.json", "figures", f" experiment={folder.parent.name}")
    for name, caption in json.loads(captions.read_text()).items():
        yield name, caption, _embedded(folder / f"{name}.png")


def _machine(run: dict[str, Any]) -> str:
    """What computed a cell, in words."""
    machine = run["machine"]
    return f"{machine['model']}, {machine['cores']} cores, {machine['threads']} threads a process ({run['device']})"


def _models(*runs: dict[str, Any]) -> str:
    """The processor or GPU of scores and attack, once where it is the same."""
    return ", attack: ".join(dict.fromkeys(run["machine"]["model"] for run in runs))


def _arithmetic(compute: dict[str, Any]) -> str:
    """The precision, and by how much it changes the gradients' norms where it is not the network's own."""
    changed = compute.get("gradient_norms_changed_by")
    if not changed:
        return str(compute["precision"])
    shares = f"{changed['median']:.2%} in the median, {changed['largest']:.2%} at most"
    return f"{compute['precision']}: norms change by {shares}"


def _embedded(path: Path) -> str:
    """As a data URL, of 256 colours: a third of the bytes, and all that curves and grey pictures need."""
    with Image.open(path) as file:
        few = file.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    content = io.BytesIO()
    few.save(content, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
