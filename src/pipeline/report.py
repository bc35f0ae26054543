"""Stage report: one page that says what was run, what the papers claim, and what came out."""

import base64
import hashlib
import json
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from omegaconf import DictConfig, OmegaConf

from pipeline import artifacts, tables
from pipeline.app import launch
from pipeline.cells import cells
from pipeline.claims import claims
from pipeline.paper_numbers import beside_ours

FIGURES = {
    "sandwich": "CLEVER below, the smallest adversarial distance found above, image by image",
    "against": "CLEVER against the smallest adversarial distance found",
    "scores": "CLEVER by defense and target class",
    "bpda": "Scores behind each defense over the undefended score of the same image, with BPDA and without",
    "masking": "Gradient masking: scores with BPDA and without, beside the distance of adversarial images",
    "adversaries": "The nearest adversarial images found of one example, and what was changed",
    "orders": "Second order beside first order, on networks with two derivatives",
    "fits": "The reverse Weibull law fitted to the batch maxima of example images",
    "convergence": "How the score settles as the number of batches grows",
    "images": "Images behind each defense",
}
"""The figures by name, with their captions, in the order of the page."""
SETTINGS = ["seed", "overrides", "data", "targets", "norms", "score", "sampling", "attack"]
"""The settings that the page shows."""


def run(config: DictConfig) -> None:
    """Writes results/report.html, which holds everything it shows and asks nothing of a network."""
    names = cells(config)
    folder = artifacts.needed(artifacts.AGGREGATE, "aggregate")
    scores = pd.read_csv(folder / "scores.csv", dtype={"id": str, "target": str})
    summary = pd.read_csv(folder / "table.csv", dtype={"target": str})
    orders = pd.read_csv(folder / "orders.csv", dtype={"target": str})
    bounds = pd.read_csv(folder / "bounds.csv", dtype={"target": str})
    about = pd.read_csv(folder / "cells.csv")
    found = pd.read_csv(folder / "findings.csv", dtype={"id": str, "target": str})
    with_bpda = set(about[about.bpda].cell)
    straight = found[found.cell.isin(with_bpda)]
    runs = {name: _json(artifacts.scores_of(name) / "run.json") for name in names}
    attacks = {name: _json(artifacts.attacks_of(name) / "run.json") for name in names}
    paper = beside_ours(Path(config.paper_numbers), summary) if config.paper_numbers else None
    figures = {
        name: (caption, _embedded(path))
        for name, caption in FIGURES.items()
        if (path := artifacts.FIGURES / f"{name}.png").is_file()
    }
    templates = Environment(loader=PackageLoader("pipeline"), autoescape=True, undefined=StrictUndefined)
    page = templates.get_template("report.html").render(
        settings=OmegaConf.to_yaml(OmegaConf.masked_copy(config, SETTINGS), resolve=True),
        networks=_networks(sorted(set(about.network))),
        cells=_html(_cells(config, about, runs, attacks)),
        claims=claims(scores, about, config.seed),
        figures=figures,
        tables={title: _html(table) for title, table in tables.sections(summary, orders, bounds).items()},
        findings=_html(straight) if len(straight) else None,
        n_findings=len(straight),
        n_scores=int(scores.cell.isin(with_bpda).sum()),
        n_masked=len(found) - len(straight),
        n_without=int((~scores.cell.isin(with_bpda)).sum()),
        paper=_html(paper.round(4)) if paper is not None else None,
        versions=attacks[names[0]]["versions"],
        devices=sorted({str(run["device"]) for run in runs.values()}),
        note=tables.NOTE,
    )
    artifacts.write_text(artifacts.REPORT, page)
    print(f"report: {artifacts.REPORT}, {len(page) / 1e6:.1f} MB, {len(figures)} figures, {len(found)} findings")


def _json(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_text())
    return content


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _html(table: pd.DataFrame) -> Markup:
    return Markup(table.to_html(index=False, border=0, na_rep="", float_format=lambda number: f"{number:.4g}"))


def _networks(names: list[str]) -> Markup:
    rows = []
    for name in names:
        folder = artifacts.model_of(name)
        about = json.loads((folder / "about.json").read_text())
        digest = hashlib.sha256((folder / "weights.pt").read_bytes()).hexdigest()
        rows.append(
            {
                "network": name,
                "parameters": about["parameters"],
                "right on": f"{about['accuracy']:.1%} of {about['images']} images",
                "weights": about["weights"]["_target_"].rpartition(".")[2].lower(),
                "sha256 of the weights": digest[:16],
            }
        )
    return _html(pd.DataFrame(rows))


def _cells(
    config: DictConfig, about: pd.DataFrame, runs: dict[str, dict[str, object]], attacks: dict[str, dict[str, object]]
) -> pd.DataFrame:
    """What each cell is and what it cost."""
    evaluated = [int(run["points_computed"]) + int(run["points_from_store"]) for run in runs.values()]  # type: ignore[call-overload]
    return pd.DataFrame(
        {
            "cell": about.cell,
            "overrides": [config.cells[name] for name in about.cell],
            "network": about.network,
            "order": about.order.map(tables.named),
            "right on": about.accuracy.map("{:.1%}".format),
            "images scored": about.scored,
            "points x targets": evaluated,
            "attack passes": [attack["passes"] for attack in attacks.values()],
            "seconds, scores": [run["seconds"] for run in runs.values()],
            "seconds, attacks": [attack["seconds"] for attack in attacks.values()],
        }
    )


def main() -> None:
    """The command line."""
    launch("report")


if __name__ == "__main__":
    main()
