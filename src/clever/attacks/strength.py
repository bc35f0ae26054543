"""The method and budget of an attack."""

from dataclasses import dataclass

from clever._internal.checks import require_int
from clever._internal.choice import Choice
from clever.errors import InputError
from clever.norms import Norm


class Method(Choice):
    """``nearest``: all searches, for the smallest distance. ``carlini_wagner``: that attack alone, for comparison."""

    NEAREST = "nearest"
    CARLINI_WAGNER = "carlini_wagner"


@dataclass(frozen=True)
class Strength:
    """The budget and method of an attack; `InputError` for invalid values.

    ``steps``: steps of each search, a forward and a backward pass each. ``starts``: runs of each search, with step
    sizes of 1, 1/2, 2, 1/4 and so on times the default, or with another memory (`clever.attacks.search.MEMORIES`).
    ``rounds``: rounds of the final random local search, a forward pass each, for L1 and L2 behind a defense. With
    ``method=carlini_wagner`` (Carlini and Wagner 2017, L2 only), ``starts`` is the number of margin weights tried and
    ``steps`` the steps of Adam for each; there is no final search.
    """

    steps: int = 100
    starts: int = 1
    rounds: int = 200
    method: Method | str = Method.NEAREST

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", Method.parse(self.method))
        for name, least in (("steps", 1), ("starts", 1), ("rounds", 0)):
            require_int(f"attack.{name}", getattr(self, name), least)


def check_method(strength: Strength, norm: Norm) -> None:
    """`InputError` where the method does not support the norm."""
    if strength.method is Method.CARLINI_WAGNER and norm is not Norm.L2:
        raise InputError(f"attack.method={strength.method} with attack.norms={norm}: it supports L2 only")
