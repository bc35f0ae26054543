"""Fingerprints of networks and defenses: the parts of the store's cache keys, which differ whenever a number would.

The code of this project, torch and torchvision is identified by its version, a user's own code by its source; Python
and NumPy count as fixed.
"""

import ast
import hashlib
import inspect
import platform
import sys
from collections.abc import Iterator, Mapping
from functools import cache, partial
from importlib.metadata import version
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from clever.bounds.first_order import Order
from clever.defenses.bpda import BPDA, Defended
from clever.defenses.chain import Identity
from clever.errors import InputError
from pipeline.shared.store.number_versions import SAMPLING_VERSION

PROJECT = {"clever", "pipeline"}
"""Packages identified by `pipeline.shared.store.number_versions`."""
VERSIONED = {*sys.stdlib_module_names, "torch", "torchvision", "numpy"}
FUNCTIONS = FunctionType, BuiltinFunctionType


def fingerprint(given: object) -> str:
    """sha256 of an object: its repr, all tensors and arrays in it, and the source of user code."""
    return hashlib.sha256(f"{given!r} {_state(given)} {_source(given)}".encode()).hexdigest()


def _state(given: object) -> str:
    """sha256 of all tensors and arrays reachable from the object."""
    digest = hashlib.sha256()
    for one in _reachable(given):
        if isinstance(one, Tensor):
            digest.update(_bytes(one))
        elif isinstance(one, np.ndarray):
            digest.update(f" {one.dtype} {one.shape}".encode() + one.tobytes())
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> bytes:
    array = tensor.detach().cpu().contiguous()
    return f" {array.dtype} {tuple(array.shape)}".encode() + array.reshape(-1).view(torch.uint8).numpy().tobytes()


def _source(given: object) -> str:
    """sha256 of the user code in the object and everything reachable from it.

    Includes the names of functions and of classes with their bases, and the source of the modules that define them, but
    not of the modules that these import. Versioned code (Python, torch, NumPy) contributes only the names of functions,
    this project's code nothing.
    """
    names, modules = set(), set()
    for one in _reachable(given):
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
    """The module's source without comments, layout and docstrings; its name if there is no source."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # compiled, or defined interactively
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


def _reachable(given: object) -> Iterator[object]:
    """The object and everything reachable via attributes, lists, tuples, mappings and closures, each once."""
    seen, left = set[int](), [given]
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        yield one
        left += _parts(one)


def _builds(defense: object) -> Iterator[str]:
    """The ``build`` of the defense and of its parts that have one (`clever.defenses.capabilities`)."""
    for one in _reachable(defense):
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
        filled = [cell for cell in one.__closure__ or () if cell != CellType()]  # an empty one has no contents
        defaults = [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        return [*(cell.cell_contents for cell in filled), *defaults, *vars(one).values()]
    if isinstance(one, nn.Module) or _root(type(one).__module__) not in VERSIONED:
        slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
        return [*getattr(one, "__dict__", {}).values(), *(getattr(one, name) for name in slots if hasattr(one, name))]
    return []


def order_key(order: Order) -> dict[str, object]:
    """Cache key of the order, which defines what is measured at each point, and of the sampling version."""
    return {"order": repr(order), "order_fingerprint": fingerprint(order), "sampling_version": SAMPLING_VERSION}


def versions() -> dict[str, str]:
    """Versions of this project, torch and Python."""
    ours, python = version("clever-robustness"), platform.python_version()
    return {"clever-robustness": ours, "torch": torch.__version__, "python": python}


def classifier_key(network: Defended, settings: object) -> dict[str, object]:
    """Cache key of a classifier: network, defense, BPDA and its backward function, torch, and the ``settings``.

    The ``settings`` it was built from cover state that a module keeps outside its parameters and its repr.
    """
    defense, backward = network.defense, network.backward
    for what, given in (("defense", defense), ("backward function", backward)):
        if " at 0x" in repr(given):
            raise InputError(
                f"the {what} {type(given).__name__} needs a repr with its parameters, as of a dataclass: it is "
                "part of the cache key"
            )
    return {
        "network": fingerprint(network.network),
        "transformation": fingerprint(defense),
        "codec": ", ".join(sorted(set(_builds(defense)))),
        # without a transformation there is nothing to approximate
        "bpda": isinstance(network.transformation, BPDA) or isinstance(defense, Identity),
        "backward": fingerprint(backward),
        "settings": settings,
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
    }
