"""Activation functions by name."""

from collections.abc import Callable
from functools import partial

from torch import nn

from clever.errors import InputError

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "softplus_10": partial(nn.Softplus, beta=10.0),  # softplus(10 x) / 10
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}
"""All but ReLU are twice differentiable."""


def get_activation(name: str) -> Callable[[], nn.Module]:
    """A factory of modules of that activation; `InputError` for an unknown name."""
    if name not in ACTIVATIONS:
        raise InputError(f"activation is {name!r}: it must be one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
