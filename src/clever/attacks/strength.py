"""How hard an attack tries, and by which method."""

from dataclasses import dataclass

from clever._internal.checks import require_int
from clever._internal.choice import Choice
from clever.errors import InputError
from clever.norms import Norm


class Method(Choice):
    """``nearest``: every way to search, for the smallest distance. ``carlini_wagner``: theirs alone, as papers have."""

    NEAREST = "nearest"
    CARLINI_WAGNER = "carlini_wagner"


@dataclass(frozen=True)
class Strength:
    """How hard to try. Checked when made: `InputError`.

    ``steps``: of each way to search, a forward and a backward pass each. ``starts``: how often, with step sizes of 1,
    1/2, 2, 1/4 and so on times the usual ones, or with more and less memory (`clever.attacks.search.MEMORIES`).
    ``rounds``: of random local search at the end, a forward pass each, for L1 and L2 where there is a defense. With
    ``method=carlini_wagner`` (Carlini and Wagner 2017, L2 alone), ``starts`` is how many weights of the margin its
    bisection tries, ``steps`` those of Adam for each, and there is no search at the end.
    """

    steps: int = 100
    starts: int = 1
    rounds: int = 200
    method: Method = Method.NEAREST

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", Method.parse(self.method))  # settings have its name alone
        for name, least in (("steps", 1), ("starts", 1), ("rounds", 0)):
            require_int(f"attack.{name}", getattr(self, name), least)


def check_method(strength: Strength, norm: Norm) -> None:
    """`InputError` where the method is made for another norm."""
    if strength.method is Method.CARLINI_WAGNER and norm is not Norm.L2:
        raise InputError(f"attack.method={strength.method} with attack.norms={norm}: it is an attack for L2 alone")
