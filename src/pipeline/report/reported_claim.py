"""A claim with its verdict from the stage aggregate, in the form shown on the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class ReportedClaim:
    """A row of an experiment's table claims.csv, with ``evidence`` and ``networks`` split into lines.

    ``networks``: the verdict for each network tested, if there are several.
    """

    text: str
    source: str
    criterion: str
    verdict: str
    evidence: list[str]
    shown_in: str
    networks: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> "list[ReportedClaim]":
        """Reads all rows of the table."""
        rows = pd.read_csv(path, keep_default_na=False, dtype=str).to_dict("records")
        return [cls.of({str(name): str(value) for name, value in row.items()}) for row in rows]

    @classmethod
    def of(cls, row: Mapping[str, str]) -> "ReportedClaim":
        """Parses a row of text values."""
        networks = [line.rpartition(": ") for line in row["networks"].splitlines()]
        return cls(
            row["claim"],
            row["source"],
            row["criterion"],
            row["verdict"],
            row["evidence"].splitlines(),
            row["shown_in"],
            {network: verdict for network, _, verdict in networks},
        )

    def marks(self, experiment: str) -> list[tuple[str, str]]:
        """Pairs of name and verdict: one for the experiment, or one for each network if their verdicts differ."""
        if len(set(self.networks.values())) > 1:
            return [(f"{experiment}, {network}", verdict) for network, verdict in self.networks.items()]
        return [(experiment, self.verdict)]

    def row(self, experiment: str) -> dict[str, str]:
        """The claim's row in the table of all experiments."""
        return {
            "experiment": experiment,
            "claim": self.text,
            "verdict": self.verdict,
            "evidence": "; ".join(self.evidence),
            "criterion": self.criterion,
            "source": self.source,
        }
