"""A claim with its verdict and evidence."""

from dataclasses import dataclass, field, replace

from pipeline.shared.stats.verdicts import Verdict


@dataclass(frozen=True)
class Claim:
    """A claim, its source, the criterion it was judged by, the evidence, the verdict, and the files that show it.

    ``networks``: the verdict on each network that it was tested on, where there are several.
    """

    text: str
    source: str
    criterion: str
    verdict: Verdict
    evidence: list[str]
    shown_in: str
    networks: dict[str, Verdict] = field(default_factory=dict)

    def row(self) -> dict[str, str]:
        """Of the table: lines of evidence, and of verdicts as ``network: verdict``, are lines of one text."""
        return {
            "claim": self.text,
            "verdict": str(self.verdict),
            "networks": "\n".join(f"{network}: {verdict}" for network, verdict in self.networks.items()),
            "evidence": "\n".join(self.evidence),
            "criterion": self.criterion,
            "source": self.source,
            "shown_in": self.shown_in,
        }


def network_by_network(found: dict[str, Claim]) -> Claim:
    """One claim of several networks: it holds where it holds for all that it was tested on."""
    tested = {network: claim for network, claim in found.items() if claim.verdict is not Verdict.UNTESTED}
    first = next(iter((tested or found).values()))
    if len(found) == 1 or not tested:
        return first
    verdicts = {network: claim.verdict for network, claim in tested.items()}
    return replace(
        first,
        criterion=f"{first.criterion}; for each network",
        verdict=Verdict.of_all(list(verdicts.values())),
        evidence=[line for claim in tested.values() for line in claim.evidence],
        networks=verdicts,
    )
