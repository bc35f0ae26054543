"""What a network, a defense and the code that samples them are, as short texts that differ when a number would."""

import ast
import hashlib
import inspect
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import version
from types import FunctionType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from clever import (
    backward,
    bisection,
    box,
    bpda,
    capabilities,
    chain,
    compute,
    curvature,
    draws,
    eigenvalues,
    ensemble,
    gauge,
    generators,
    hessian,
    jpeg,
    jpeg_blocks,
    jpeg_gauge,
    jpeg_linear,
    jumps,
    knapsack,
    lanczos,
    libjpeg,
    margin,
    maxima,
    median,
    models,
    noise,
    norms,
    orders,
    power_iteration,
    quantization,
    quilting,
    sampling,
    seams,
    second_order,
    separable,
    staircase,
    total_variation,
    unit_ball,
)
from clever.bpda import BPDA, Defended
from clever.chain import Identity
from clever.errors import InputError
from clever.gauge import Gauge
from clever.orders import FirstOrder, Order
from clever.second_order import SecondOrder

SHARED: tuple[ModuleType, ...] = (
    backward,
    box,
    bpda,
    capabilities,
    chain,
    compute,
    draws,
    ensemble,
    generators,
    jpeg,
    jpeg_blocks,
    jpeg_linear,
    libjpeg,
    margin,
    maxima,
    median,
    models,
    noise,
    norms,
    quantization,
    quilting,
    sampling,
    seams,
    separable,
    staircase,
    total_variation,
    unit_ball,
)
"""The library's modules that decide a batch's maxima, given the network and the site, whatever the order."""
OF_ORDER: dict[type, tuple[ModuleType, ...]] = {
    FirstOrder: (orders,),
    Gauge: (gauge, bisection, jpeg_gauge, jumps, knapsack),
    SecondOrder: (second_order, curvature, eigenvalues, hessian, lanczos, power_iteration),
}
"""Those of one order alone: work on the one does not make what was sampled for the other useless."""


def fingerprint(given: object) -> str:
    """The sha256 of all that makes the object: its repr, the tensors and arrays it holds, the code of its modules."""
    return hashlib.sha256(f"{given!r} {_state(given)} {_source(given)}".encode()).hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    array = tensor.detach().cpu().contiguous()
    return f" {array.dtype} {tuple(array.shape)}".encode() + array.reshape(-1).view(torch.uint8).numpy().tobytes()


def code(*modules: ModuleType) -> str:
    """The sha256 of the modules' code, comments and layout apart."""
    return hashlib.sha256("".join(map(_text, modules)).encode()).hexdigest()


@cache
def _text(module: ModuleType) -> str:
    try:
        return ast.unparse(ast.parse(inspect.getsource(module)))
    except (OSError, TypeError):  # compiled, or typed into an interpreter
        return module.__name__


def _state(given: object) -> str:
    """The sha256 of every tensor and array that the object holds, however deep."""
    digest = hashlib.sha256()
    for one in _held(given):
        if isinstance(one, Tensor):
            digest.update(_bytes(one))
        elif isinstance(one, np.ndarray):
            digest.update(f" {one.dtype} {one.shape}".encode() + one.tobytes())
    return digest.hexdigest()


def _source(given: object) -> str:
    """The sha256 of the code of the modules that the object, and all that it holds, is defined in.

    Not of Python's, torch's and NumPy's own, which have a version, nor of what these modules import in their turn.
    """
    names = {_home(one) for one in _held(given)}
    return code(*(sys.modules[name] for name in sorted(names) if not _versioned(name) and name in sys.modules))


def _home(one: object) -> str:
    return one.__module__ if isinstance(one, FunctionType) else type(one).__module__


def _versioned(module: str) -> bool:
    return module.partition(".")[0] in {*sys.stdlib_module_names, "torch", "numpy"}


def _held(given: object) -> Iterator[object]:
    """The object, and what its attributes, lists, tuples and mappings hold; each thing once."""
    seen, left = set[int](), [given]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, Mapping):
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one
        elif isinstance(one, nn.Module) or not (isinstance(one, FunctionType) or _versioned(_home(one))):
            left += getattr(one, "__dict__", {}).values()


def _builds(defense: object) -> Iterator[str]:
    """The ``build`` of the defense and of all that it holds, where they have one (`clever.capabilities`)."""
    for one in _held(defense):
        if isinstance(build := getattr(one, "build", None), str):
            yield build


def of_order(order: Order) -> dict[str, object]:
    """The order and the code that decides its maxima."""
    own = OF_ORDER.get(type(order)) or (sys.modules[type(order).__module__],)
    return {"order": repr(order), "code": code(*SHARED, *own)}


def versions() -> dict[str, str]:
    """Of this project, torch and Python."""
    ours, python = version("clever-robustness"), platform.python_version()
    return {"clever-robustness": ours, "torch": torch.__version__, "python": python}


def identity_of(network: Defended, configuration: object) -> dict[str, object]:
    """What decides the numbers of a classifier: network, transformation, BPDA and what it goes back through, torch, and
    the configuration.

    The configuration is there for what a module keeps outside its parameters and its repr.
    """
    transformation, substitute = network.defense, network.backward
    for what, given in (("defense", transformation), ("backward function", substitute)):
        if " at 0x" in repr(given):
            raise InputError(
                f"the {what} {type(given).__name__} needs a repr that says its parameters (a dataclass has one): "
                f"the store tells one {what} from another by it"
            )
    return {
        "network": fingerprint(network.network),
        "transformation": fingerprint(transformation),
        "codec": ", ".join(sorted(set(_builds(transformation)))),
        # without a transformation there is nothing to approximate
        "bpda": isinstance(network.transformation, BPDA) or isinstance(transformation, Identity),
        "backward": fingerprint(substitute),
        "configuration": configuration,
        "torch": torch.__version__,
    }
