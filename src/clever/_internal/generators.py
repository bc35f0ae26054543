"""Random numbers that depend on what they are for, and on nothing else."""

import hashlib

import numpy as np
import torch
from torch import Generator


def generator_of(name: str, device: torch.device | str = "cpu") -> Generator:
    """A generator whose seed is the first 64 bits of the sha256 of ``name``: the same in every process, in any order.

    Generators of the CPU and of a GPU give different numbers for one name. The CPU's takes 32 bits of its seed.
    """
    return Generator(device).manual_seed(int.from_bytes(_digest(name), "little", signed=True))


def numpy_generator_of(name: str) -> np.random.Generator:
    """The same of NumPy's, which gives other numbers for the same name."""
    return np.random.default_rng(int.from_bytes(_digest(name), "little"))


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:8]
