"""Stage report: one page that says what the papers claim, what each experiment shows of it, and what was run."""

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig, ListConfig, OmegaConf

from clever.errors import InputError
from pipeline.report.claims import Claim, claims
from pipeline.report.part import Part, table_html
from pipeline.shared import artifacts, printed
from pipeline.shared.experiment import experiment


def run(config: DictConfig) -> None:
    """Writes results/report.html, which holds everything it shows and asks nothing of a network; and claims.csv.

    A part for each experiment of params.yaml's ``experiments.reported``, in results/; or for the experiment that is
    chosen alone, in its own folder.
    """
    own = experiment()
    folder = artifacts.of_experiment(config, own) if own else artifacts.RESULTS
    names = [own] if own else _reported(config)
    parts = [Part.read(name, artifacts.of_experiment(config, name)) for name in names]
    judged = {part.name: claims(part.scores, part.cells, part.published, config.seed) for part in parts}
    templates = Environment(loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined)
    page = templates.get_template("report.html").render(
        parts=parts,
        claims=judged,
        texts=next(iter(judged.values())),
        table=table_html,
        marks=marks,
        note=printed.NOTE,
    )
    artifacts.write_text(folder / "report.html", page)
    verdicts = pd.DataFrame([_row(name, claim) for name, of_part in judged.items() for claim in of_part])
    artifacts.write_text(folder / "claims.csv", verdicts.to_csv(index=False))
    figures = sum(len(part.figures) for part in parts)
    print(f"report: {folder}/report.html, {len(page) / 1e6:.1f} MB, {len(parts)} experiments, {figures} figures")


def _reported(config: DictConfig) -> list[str]:
    names = OmegaConf.select(config, "experiments.reported")
    if not isinstance(names, ListConfig) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"experiments.reported is {names!r}: it must be a list of files of conf/experiment")
    return list(names)


def marks(name: str, claim: Claim) -> list[tuple[str, str]]:
    """The verdict on the experiment, or one on each network where these differ: of what, and which."""
    if len(set(claim.networks.values())) > 1:
        return [(f"{name}, {network}", verdict) for network, verdict in claim.networks.items()]
    return [(name, claim.verdict)]


def _row(name: str, claim: Claim) -> dict[str, str]:
    return {
        "experiment": name,
        "claim": claim.text,
        "verdict": str(claim.verdict),
        "evidence": "; ".join(claim.evidence),
        "criterion": claim.criterion,
        "source": claim.source,
    }
