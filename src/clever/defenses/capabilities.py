"""What a defense can say of itself, each by a method or attribute that it may lack.

=======================  ================================================================  ============================
``steps()``              its `clever.Steps`: t is a pixelwise staircase                    `clever.Gauge`, attacks
``coefficient_steps(x)`` its `CoefficientSteps` around an image: t rounds coefficients     `clever.Gauge`
``pixelwise()``          the pixelwise staircase that t begins with                        attacks
``linear(x)``            its `Linear` model, which changes of single coefficients follow   local search of attacks
``surrogate(rounding)``  a differentiable map, ``rounding`` in the place of its rounding   `clever.Smooth`
``useful_gradient``      true: its own derivative leads somewhere and costs little         attacks, in the place of BPDA
``build``                a text: the version of what computes it outside Python            keys of stored maxima
=======================  ================================================================  ============================

A defense without any of them is a map of images of which nothing is known: it is scored and attacked by BPDA with the
identity. A chain and the mean over draws of a random defense ask their parts.
"""

from collections.abc import Callable
from typing import Any

from clever.defenses.staircase import Steps
from clever.errors import InputError


def method_of(defense: object, name: str) -> Callable[..., Any] | None:
    """The defense's method of that name, None where it has none: a setting of the same name is no method."""
    method = getattr(defense, name, None)
    return method if callable(method) else None


def steps_of(defense: object) -> Steps:
    """``defense.steps()``; `InputError` for one without."""
    method = method_of(defense, "steps")
    if method is None:
        raise InputError(
            f"{defense} is no pixelwise staircase that says its steps: it needs a method steps() that returns a "
            "clever.Steps, as clever.Quantize has"
        )
    steps: Steps = method()
    return steps


def needs_surrogate(defense: object) -> bool:
    """Whether attacks go back through its own surrogate: it has one, and no pixelwise steps that show them the way."""
    return bool(method_of(defense, "surrogate")) and not method_of(defense, "steps")


def has_useful_gradient(defense: object) -> bool:
    """Whether the defense's own derivative is known to lead somewhere and to cost little.

    Then it is the better one to attack with, above all where pixels are moved, of which the identity knows nothing.
    """
    return getattr(defense, "useful_gradient", False) is True
