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

from pipeline.report.paper_numbers import beside_ours
from pipeline.shared import artifacts, extras, printed
from pipeline.shared.formats import named
from pipeline.shared.recorded import CLASS

FIGURES = {
    "evidence": "Each kind of score over the nearest distance found, behind each defense: above 1 it is refuted",
    "sandwich": "CLEVER below, the smallest adversarial distance found above, image by image",
    "against": "CLEVER against the smallest adversarial distance found",
    "exact": "Every estimate over the exact L2 distance, one dot an image",
    "scores": "CLEVER by defense and target class, and how far attacks had to go",
    "curves_L1": "The share of images whose distance is beyond ε: by scores, and by the nearest attack (L1)",
    "curves_L2": "The same in L2",
    "curves_Linf": "The same in Linf",
    "radius": "The score over the radius of the ball, with the distance of the nearest attack and the self-consistent "
    "radius",
    "bpda": "Scores behind each defense over the undefended score of the same image, with BPDA and without",
    "masking": "Gradient masking: scores with BPDA and without, beside the distance of adversarial images",
    "adversaries": "One image behind each defense, the nearest adversarial images found, and what was changed",
    "orders": "Second order beside first order, on networks with two derivatives",
    "networks": "Networks beside each other: CLEVER, and the smallest adversarial distance found",
    "published": "A published table beside our trainings of the same networks",
    "draws": "Scores of a random network by the number of draws",
    "fits": "The reverse Weibull law fitted to the batch maxima of example images",
    "convergence": "How the score settles as the number of batches grows",
    "images": "Images behind each defense",
}
"""The figures by name, with their captions, in the order of the page."""
OF_ALL_NETWORKS = ("exact", "orders", "networks", "published", "draws")
"""Of them, those of the experiment; the others are of one network."""


@dataclass(frozen=True)
class Part:
    """One experiment: its tables, its figures as (name, caption, picture), and what each cell's runs told."""

    name: str
    scores: pd.DataFrame
    cells: pd.DataFrame
    findings: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    figures: list[tuple[str, str, str]]
    runs: dict[str, dict[str, Any]]
    attacks: dict[str, dict[str, Any]]
    paper: pd.DataFrame | None
    published: pd.DataFrame | None
    radii: pd.DataFrame | None

    @classmethod
    def read(cls, name: str, folder: Path, paper_numbers: str | None, *, alone: bool) -> "Part":
        """From the experiment's folder, reported ``alone`` or not; `InputError` where a stage has not run."""
        text = {"id": str, "target": str, "cell": str}
        tables = artifacts.needed(folder / "tables", "aggregate", f" experiment={name}")
        read = {table: pd.read_csv(tables / f"{table}.csv", dtype=text) for table in TABLES}
        cells = read["cells"]
        paper = beside_ours(Path(paper_numbers), read["summary"], alone=alone) if paper_numbers else None
        return cls(
            name,
            read["scores"],
            cells,
            read["findings"],
            printed.sections(*(read[name] for name in ("summary", "orders", "bounds", "evidence", "calibration")))
            | extras.sections(_extras(tables)),
            list(_figures(folder / "figures", cells)),
            {cell: json.loads((folder / "score" / cell / "run.json").read_text()) for cell in cells.cell},
            {cell: json.loads((folder / "attack" / cell / "run.json").read_text()) for cell in cells.cell},
            None if paper is None or paper.empty else paper,
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
                "weights": weights["weights"][CLASS].rpartition(".")[2].lower(),
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
                "order": self.cells.order.map(named),
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
TABLES = ("scores", "cells", "summary", "orders", "bounds", "evidence", "calibration", "findings")


def table_html(table: pd.DataFrame) -> Markup:
    """A table for the page."""
    return Markup(table.to_html(index=False, border=0, na_rep="", float_format=lambda number: f"{number:.4g}"))


def _figures(folder: Path, cells: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Those in the folder, and of each further network those in the folder of its name: name, caption, picture."""
    first, *others = cells.network.unique()
    places = {first: folder} | {network: folder / network for network in others if (folder / network).is_dir()}
    for network, place in places.items():
        for figure, caption in FIGURES.items():
            path = place / f"{figure}.png"
            if path.is_file():
                of = f" ({named(network)})" if len(places) > 1 and figure not in OF_ALL_NETWORKS else ""
                yield path.relative_to(folder).with_suffix("").as_posix(), caption + of, _embedded(path)


def _extras(tables: Path) -> dict[str, pd.DataFrame]:
    """The tables that this experiment has and others have not."""
    there = {name: tables / f"{name}.csv" for name in extras.EXTRAS}
    return {name: pd.read_csv(path, dtype={"target": str}) for name, path in there.items() if path.is_file()}


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
