"""What a network and a defense are, as short texts that differ when a number would: the parts of the store's keys.

The code of this project, torch and NumPy counts by its version, all other code (a user's own class) by its source.
"""

import ast
import hashlib
import inspect
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib.metadata import version
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from clever.bounds.first_order import Order
from clever.defenses.bpda import BPDA, Defended
from clever.defenses.chain import Identity
from clever.errors import InputError
from pipeline.shared.store.number_versions import SAMPLING_VERSION

PROJECT = {"clever", "pipeline"}
"""Whose version is one of `pipeline.shared.store.number_versions`."""
VERSIONED = {*sys.stdlib_module_names, "torch", "torchvision", "numpy"}
FUNCTIONS = FunctionType, BuiltinFunctionType


def fingerprint(given: object) -> str:
    """The sha256 of all that makes the object: its repr, tensors and arrays it holds, the source of a user's code."""
    return hashlib.sha256(f"{given!r} {_state(given)} {_source(given)}".encode()).hexdigest()


def _state(given: object) -> str:
    """The sha256 of every tensor and array that the object holds, however deep."""
    digest = hashlib.sha256()
    for one in _held(given):
        if isinstance(one, Tensor):
            digest.update(_bytes(one))
        elif isinstance(one, np.ndarray):
            digest.update(f" {one.dtype} {one.shape}".encode() + one.tobytes())
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    array = tensor.detach().cpu().contiguous()
    return f" {array.dtype} {tuple(array.shape)}".encode() + array.reshape(-1).view(torch.uint8).numpy().tobytes()


def _source(given: object) -> str:
    """The sha256 of the user's code that the object, and all that it holds, consists of: the names of functions, and
    of classes with their bases, and the source of the modules that define them.

    Of code with a version (Python's, torch's, NumPy's) the names of functions alone, of the project's nothing, and
    nothing of what these modules import in their turn.
    """
    names, modules = set(), set()
    for one in _held(given):
        for kind in (one,) if isinstance(one, FUNCTIONS) else type(one).__mro__:
            module = kind.__module__ or ""
            if _root(module) not in (PROJECT if isinstance(one, FUNCTIONS) else PROJECT | VERSIONED):
                names.add(kind.__qualname__)
            if _root(module) not in PROJECT | VERSIONED and module in sys.modules:
                modules.add(module)
    texts = sorted(names) + [source_of(sys.modules[module]) for module in sorted(modules)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _root(module: str) -> str:
    return module.partition(".")[0]


@cache
def source_of(module: ModuleType) -> str:
    """The module's source without comments, layout and docstrings; its name where there is none."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # compiled, or typed into an interpreter
        return module.__name__
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _held(given: object) -> Iterator[object]:
    """The object, and what its attributes, lists, tuples, mappings and closures hold; each thing once."""
    seen, left = set[int](), [given]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        yield one
        left += _parts(one)


def _builds(defense: object) -> Iterator[str]:
    """The ``build`` of the defense and of all that it holds, where they have one (`clever.defenses.capabilities`)."""
    for one in _held(defense):
        if isinstance(build := getattr(one, "build", None), str):
            yield build


def _parts(one: object) -> list[object]:
    if isinstance(one, Mapping):
        return list(one.values())
    if isinstance(one, list | tuple):
        return list(one)
    if isinstance(one, partial):
        return [one.func, *one.args, *one.keywords.values()]
    if isinstance(one, MethodType):
        return [one.__func__, one.__self__]
    if isinstance(one, FunctionType):
        return [cell.cell_contents for cell in one.__closure__ or ()] + [*(one.__defaults__ or ()), *vars(one).values()]
    if isinstance(one, nn.Module) or _root(type(one).__module__) not in VERSIONED:
        slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
        return [*getattr(one, "__dict__", {}).values(), *(getattr(one, name) for name in slots if hasattr(one, name))]
    return []


def order_key(order: Order) -> dict[str, object]:
    """The order, which decides what is measured at each point, and the version of the numbers."""
    return {"order": repr(order), "order_fingerprint": fingerprint(order), "sampling_version": SAMPLING_VERSION}


def versions() -> dict[str, str]:
    """Of this project, torch and Python."""
    ours, python = version("clever-robustness"), platform.python_version()
    return {"clever-robustness": ours, "torch": torch.__version__, "python": python}


def classifier_key(network: Defended, settings: object) -> dict[str, object]:
    """What decides the numbers of a classifier: network, transformation, BPDA and what it goes back through, torch, and
    the ``settings`` that it was made from.

    The settings are there for what a module keeps outside its parameters and its repr.
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
        "settings": settings,
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
    }
