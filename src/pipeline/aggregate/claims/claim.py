"""A claim with its verdict and evidence."""

from dataclasses import dataclass, field, replace

from pipeline.shared.stats.verdicts import Verdict


@dataclass(frozen=True)
class Claim:
    """A claim, its source, the criterion for its verdict, the verdict, the evidence, and the files that show it.

    ``networks``: the verdict for each network tested, if there are several.
    """

    text: str
    source: str
    criterion: str
    verdict: Verdict
    evidence: list[str]
    shown_in: str
    networks: dict[str, Verdict] = field(default_factory=dict)

    def row(self) -> dict[str, str]:
        """The row of the table; ``evidence`` and ``networks`` (``network: verdict``) are joined as lines of text."""
        return {
            "claim": self.text,
            "verdict": str(self.verdict),
            "networks": "\n".join(f"{network}: {verdict}" for network, verdict in self.networks.items()),
            "evidence": "\n".join(self.evidence),
            "criterion": self.criterion,
            "source": self.source,
            "shown_in": self.shown_in,
        }


def network_by_network(claims: dict[str, Claim]) -> Claim:
    """Combines one claim's verdicts for several networks: it holds if it holds for every network tested."""
    tested = {network: claim for network, claim in claims.items() if claim.verdict is not Verdict.UNTESTED}
    first = next(iter((tested or claims).values()))
    if len(claims) == 1 or not tested:
        return first
    verdicts = {network: claim.verdict for network, claim in tested.items()}
    return replace(
        first,
        criterion=f"{first.criterion}; for each network",
        verdict=Verdict.of_all(list(verdicts.values())),
        evidence=[line for claim in tested.values() for line in claim.evidence],
        networks=verdicts,
    )
