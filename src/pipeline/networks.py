"""The classifier that a configuration describes."""

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from clever.bpda import Defended
from clever.errors import InputError
from clever.models import Normalize
from pipeline import artifacts


def device(config: DictConfig) -> torch.device:
    """The device of the configuration; ``auto`` is a GPU where there is one."""
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={name} is not to be had here: {error}; auto and cpu always are") from error


def bare(config: DictConfig) -> tuple[nn.Module, Normalize]:
    """The network with the initial weights of the seed, and its normalisation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)  # constructors draw their initial weights from the global generator alone
        network = instantiate(config.model.network)
    if not isinstance(network, nn.Module):
        raise InputError(f"model.network makes a {type(network).__name__}: it must make a torch.nn.Module")
    return network, Normalize(config.model.normalize.mean, config.model.normalize.std)


def fill(network: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Loads the weights; `InputError` where they are those of another architecture."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        shown = " ".join(line.strip()[:200] for line in lines[1:3])
        raise InputError(
            f"the weights of {origin} are not those of {type(network).__name__}: {shown} ({len(lines) - 1} mismatches)"
        ) from error


def defended(config: DictConfig) -> Defended:
    """The classifier of a cell: the stage model's weights, normalisation first, behind the cell's defense."""
    network, normalize = bare(config)
    path = artifacts.needed(artifacts.WEIGHTS, "model")
    fill(network, torch.load(path, map_location="cpu", weights_only=True), str(path))
    defense = instantiate(config.defense)
    return Defended(nn.Sequential(normalize, network), defense, bpda=config.bpda).eval().to(device(config))
