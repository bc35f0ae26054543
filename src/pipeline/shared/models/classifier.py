"""The classifier that a configuration describes."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn

from clever._internal.checks import require_bool, require_int
from clever._internal.types import Transformation
from clever.classifier.wrappers import Normalize
from clever.defenses.bpda import Defended
from clever.defenses.capabilities import needs_surrogate
from clever.defenses.chain import parts
from clever.defenses.expectation import Expectation
from clever.defenses.smooth_surrogate import Smooth
from clever.errors import InputError
from pipeline.shared.app import artifacts
from pipeline.shared.models.checkpoint import check_architecture, load_state
from pipeline.shared.text.differing import differences, summarize_differences
from pipeline.shared.text.recorded import CLASS, group_to_record

ORIGIN_SETTINGS = (CLASS, "path", "url")
"""What weights whose sha256 is known are taken from, which does not decide them."""


def device(config: DictConfig) -> torch.device:
    """The device of the configuration; ``auto`` is a GPU where there is one."""
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(f"device={name} is not to be had here: {error}; auto and cpu always are") from error


def build_network(config: DictConfig) -> tuple[nn.Module, Normalize]:
    """The network with the initial weights of its training's seed, or the project's, and its normalisation."""
    seed = config.weights.get("seed", config.seed)
    require_int("weights.seed", seed, 0, 2**63 - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # constructors draw their initial weights from the global generator alone
        network = instantiate(config.model.network)
    if not isinstance(network, nn.Module):
        raise InputError(f"model.network makes a {type(network).__name__}: it must make a torch.nn.Module")
    return network, Normalize(config.model.normalize.mean, config.model.normalize.std)


def sha256_of(path: Path) -> str:
    """Of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(network: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Loads the weights, or nothing: `InputError` where they are those of another architecture."""
    # torchvision's DenseNet files are older than its module names; what the pattern misses is left as it is
    state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name): value for name, value in state.items()}
    check_architecture(network, state, origin)
    network.load_state_dict(state)


def read_network_record(config: DictConfig) -> dict[str, Any]:
    """What the stage model wrote of this network: origin and sha256 of its weights, accuracy."""
    about: dict[str, Any] = json.loads((artifacts.model_dir(config, config.model.name) / "about.json").read_text())
    return about


def build_defense(config: DictConfig) -> Transformation:
    """The transformation of the configuration; a list of others arrives as what they are, not as configurations."""
    defense: Transformation = instantiate(config.defense, _convert_="all")
    return defense


def build_backward(chosen: str | DictConfig, defense: Transformation) -> Transformation | None:
    """What BPDA goes back through behind this defense: ``identity``, ``smooth``, ``smooth_jpeg``, or a ``_target_``.

    None for the identity, and where there is nothing for which a smooth substitute could stand. That of a mean over
    draws is the one of the random transformation, which behind JPEG does not know how far a draw has moved its input.
    """
    if isinstance(defense, Expectation):
        return build_backward(chosen, defense.transformation)
    if isinstance(chosen, DictConfig) and callable(substitute := instantiate(chosen, _convert_="all")):
        return substitute  # type: ignore[no-any-return]
    smooth = {"identity": False, "smooth": bool(parts(defense))}
    smooth["smooth_jpeg"] = any(map(needs_surrogate, parts(defense)))
    if not isinstance(chosen, str) or chosen not in smooth:
        raise InputError(
            f"backward is {chosen!r}: it must be one of {', '.join(smooth)}, or what makes a differentiable function, "
            "backward={_target_: ...}"
        )
    return Smooth(defense, jpeg_only=chosen == "smooth_jpeg") if smooth[chosen] else None


def load_classifier(config: DictConfig) -> Defended:
    """The classifier of a cell: the stage model's weights, normalisation first, behind the cell's defense."""
    network, normalize = build_network(config)
    folder = artifacts.model_dir(config, config.model.name)
    path = artifacts.require_output(folder / "weights.pt", "model", how=" with the experiment or model of this run")
    about = read_network_record(config)
    _check_made_for(config, path, about)
    if sha256_of(path) != about["sha256"]:
        raise InputError(
            f"{path} is not the file that {folder / 'about.json'} describes by its sha256: it was changed, run `dvc "
            "repro model` or `python -m pipeline.model` again"
        )
    load_weights(network, load_state(path), str(path))
    defense = build_defense(config)
    require_bool("bpda", config.bpda)
    # without BPDA there is nothing to go back through, though a sweep may name it for all its cells
    backward = build_backward(config.backward, defense) if config.bpda else None
    complete = nn.Sequential(normalize, network)
    return Defended(complete, defense, bpda=config.bpda, backward=backward).eval().to(device(config))


def _check_made_for(config: DictConfig, path: Path, about: dict[str, Any]) -> None:
    """`InputError` for another network, or weights of another origin, than this run asks for."""
    differing = differences("model", group_to_record(config.model), about["model"])
    there = about["weights"]
    # a file is the same file wherever it lies
    without = ORIGIN_SETTINGS if "sha256" in config.weights and "sha256" in there else ()
    there = {name: value for name, value in there.items() if name not in without}
    differing += differences("weights", group_to_record(config.weights, without), there)
    if differing:
        raise InputError(
            f"{path} was made with other settings ({summarize_differences(differing)}): run the stage model with the settings of this "
            "run, or this stage with those of the stage model, or give one of the two another model.name"
        )
