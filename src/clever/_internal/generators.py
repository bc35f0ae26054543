"""Random generators seeded by a name that describes their purpose, and by nothing else."""

import hashlib

import numpy as np
import torch
from torch import Generator


def torch_generator(name: str, device: torch.device | str = "cpu") -> Generator:
    """A generator seeded by the first 64 bits of the sha256 of ``name``: the same in every process, in any order.

    CPU and GPU generators give different numbers for the same name. The CPU's uses only 32 bits of the seed.
    """
    return Generator(device).manual_seed(int.from_bytes(_digest(name), "little", signed=True))


def numpy_generator(name: str) -> np.random.Generator:
    """A NumPy generator with the same seed, and different numbers."""
    return np.random.default_rng(int.from_bytes(_digest(name), "little"))


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()[:8]
