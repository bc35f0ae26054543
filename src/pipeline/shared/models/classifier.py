"""Building the classifier of a configuration."""

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
"""Settings of the origin of weights, ignored if their sha256 is known."""


def device(config: DictConfig) -> torch.device:
    """The device of the configuration; ``auto`` uses a GPU if there is one."""
    name = config.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(f"device={name} is not available here: {error}; auto and cpu always work") from error


def build_network(config: DictConfig) -> tuple[nn.Module, Normalize]:
    """The network, initialised from the seed of its training (else of the project), and its normalisation."""
    seed = config.weights.get("seed", config.seed)
    require_int("weights.seed", seed, 0, 2**63 - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # constructors draw initial weights from the global generator
        network = instantiate(config.model.network)
    if not isinstance(network, nn.Module):
        raise InputError(f"model.network creates a {type(network).__name__}: it must create a torch.nn.Module")
    return network, Normalize(config.model.normalize.mean, config.model.normalize.std)


def sha256_of(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_weights(network: nn.Module, state: dict[str, Tensor], origin: str) -> None:
    """Load the weights into the network; `InputError`, with nothing loaded, if they do not fit."""
    # torchvision's DenseNet files use older module names
    state = {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", name): value for name, value in state.items()}
    check_architecture(network, state, origin)
    network.load_state_dict(state)


def read_network_record(config: DictConfig) -> dict[str, Any]:
    """The record that the stage model wrote: origin and sha256 of the weights, accuracy."""
    about: dict[str, Any] = json.loads((artifacts.model_dir(config, config.model.name) / "about.json").read_text())
    return about


def build_defense(config: DictConfig) -> Transformation:
    """The defense of the configuration, with nested defenses instantiated."""
    defense: Transformation = instantiate(config.defense, _convert_="all")
    return defense


def build_backward(chosen: str | DictConfig, defense: Transformation) -> Transformation | None:
    """The backward function of BPDA for a defense: ``identity``, ``smooth``, ``smooth_jpeg`` or a ``_target_``.

    None for the identity, and if no part of the defense has a smooth surrogate. For a mean over draws it is that of the
    random transformation, so a surrogate after it ignores how the draw moved its input.
    """
    if isinstance(defense, Expectation):
        return build_backward(chosen, defense.transformation)
    if isinstance(chosen, DictConfig) and callable(backward := instantiate(chosen, _convert_="all")):
        return backward  # type: ignore[no-any-return]
    smooth = {"identity": False, "smooth": bool(parts(defense))}
    smooth["smooth_jpeg"] = any(map(needs_surrogate, parts(defense)))
    if not isinstance(chosen, str) or chosen not in smooth:
        raise InputError(
            f"backward is {chosen!r}: it must be one of {', '.join(smooth)}, or create a differentiable function, "
            "backward={_target_: ...}"
        )
    return Smooth(defense, jpeg_only=chosen == "smooth_jpeg") if smooth[chosen] else None


def load_classifier(config: DictConfig) -> Defended:
    """The classifier of a cell: defense, normalisation, and the network with the weights of the stage model."""
    network, normalize = build_network(config)
    folder = artifacts.model_dir(config, config.model.name)
    path = artifacts.require_output(folder / "weights.pt", "model", how=" with the experiment or model of this run")
    about = read_network_record(config)
    _check_made_for(config, path, about)
    if sha256_of(path) != about["sha256"]:
        raise InputError(
            f"{path} does not match its sha256 in {folder / 'about.json'}: it was changed; run `dvc repro model` or "
            "`python -m pipeline.model` again"
        )
    load_weights(network, load_state(path), str(path))
    defense = build_defense(config)
    require_bool("bpda", config.bpda)
    # a sweep may set backward for all cells; without BPDA it has no effect
    backward = build_backward(config.backward, defense) if config.bpda else None
    complete = nn.Sequential(normalize, network)
    return Defended(complete, defense, bpda=config.bpda, backward=backward).eval().to(device(config))


def _check_made_for(config: DictConfig, path: Path, about: dict[str, Any]) -> None:
    """`InputError` if the saved network or the origin of its weights differs from the settings of this run."""
    differing = differences("model", group_to_record(config.model), about["model"])
    saved = about["weights"]
    # the same file may be stored elsewhere
    without = ORIGIN_SETTINGS if "sha256" in config.weights and "sha256" in saved else ()
    saved = {name: value for name, value in saved.items() if name not in without}
    differing += differences("weights", group_to_record(config.weights, without), saved)
    if differing:
        raise InputError(
            f"{path} was made with other settings ({summarize_differences(differing)}): run model with the settings of "
            "this run, or this stage with those of model, or give one of the two another model.name"
        )
