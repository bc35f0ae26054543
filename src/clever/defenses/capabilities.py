"""Optional methods and attributes of a defense, and what uses them.

=======================  ================================================================  ============================
``steps()``              `clever.Steps` of t, a pixelwise staircase                        `clever.Gauge`, attacks
``coefficient_steps(x)`` `CoefficientSteps` around an image, if t quantizes coefficients   `clever.Gauge`
``pixelwise()``          the pixelwise staircase that t begins with                        attacks
``linear(x)``            the `Linear` model of t without roundings                         local search in attacks
``surrogate(rounding)``  t with ``rounding`` in place of its rounding; differentiable      `clever.Smooth`
``useful_gradient``      true if t's own derivative is useful and cheap                    attacks, instead of BPDA
``build``                a string: the version of code outside Python that computes t      cache keys of maxima
=======================  ================================================================  ============================

A defense without any of them is scored and attacked by BPDA with the identity. A chain and an `Expectation` combine
those of their parts.
"""

from collections.abc import Callable
from typing import Any

from clever.defenses.staircase import Steps
from clever.errors import InputError


def method_of(defense: object, name: str) -> Callable[..., Any] | None:
    """The defense's method of this name, or None; an attribute that cannot be called does not count."""
    method = getattr(defense, name, None)
    return method if callable(method) else None


def steps_of(defense: object) -> Steps:
    """``defense.steps()``; `InputError` for a defense without steps."""
    method = method_of(defense, "steps")
    if method is None:
        raise InputError(
            f"{defense} is not a pixelwise staircase with known steps: it needs a method steps() that returns a "
            "clever.Steps, such as that of clever.Quantize"
        )
    steps: Steps = method()
    return steps


def needs_surrogate(defense: object) -> bool:
    """Whether attacks should use the defense's surrogate gradient: it has a surrogate, and no pixelwise steps."""
    return bool(method_of(defense, "surrogate")) and not method_of(defense, "steps")


def has_useful_gradient(defense: object) -> bool:
    """Whether the defense declares its own derivative useful and cheap.

    Attacks then use it instead of BPDA's identity, which ignores, for instance, that a crop moves pixels.
    """
    return getattr(defense, "useful_gradient", False) is True
