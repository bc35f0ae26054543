"""Stage report: writes one page with the papers' claims, the evidence from each experiment, and what was run."""

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import DictConfig, ListConfig, OmegaConf

from clever.errors import InputError
from pipeline.report.section import ExperimentSection, table_html
from pipeline.shared.app import artifacts
from pipeline.shared.app.experiment import experiment
from pipeline.shared.text import printed


def run(config: DictConfig) -> None:
    """Writes report.html, which is self-contained, and claims.csv.

    The page has a section for each experiment in params.yaml's ``experiments.reported`` and is written to results/; if
    an experiment is chosen, the page covers only that experiment and is written to its folder.
    """
    own = experiment()
    folder = artifacts.experiment_dir(config, own) if own else artifacts.RESULTS
    names = [own] if own else _reported(config)
    sections = [ExperimentSection.read(name, artifacts.experiment_dir(config, name)) for name in names]
    templates = Environment(loader=PackageLoader("pipeline.report"), autoescape=True, undefined=StrictUndefined)
    page = templates.get_template("report.html").render(
        sections=sections,
        table=table_html,
        note=printed.NOTE,
    )
    artifacts.write_text(folder / "report.html", page)
    verdicts = pd.DataFrame([claim.row(section.name) for section in sections for claim in section.claims])
    artifacts.write_text(folder / "claims.csv", verdicts.to_csv(index=False))
    figures = sum(len(section.figures) for section in sections)
    print(f"report: {folder}/report.html, {len(page) / 1e6:.1f} MB, {len(sections)} experiments, {figures} figures")


def _reported(config: DictConfig) -> list[str]:
    names = OmegaConf.select(config, "experiments.reported")
    if not isinstance(names, ListConfig) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"experiments.reported is {names!r}: it must be a list of files in conf/experiment")
    return list(names)
