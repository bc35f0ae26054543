"""Stage model: a network's weights, and how often it is right."""

import io

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from clever.models import frozen
from pipeline import artifacts
from pipeline.app import launch
from pipeline.classifiers.accuracy import accuracy
from pipeline.classifiers.networks import bare, device, fill, sha256_of
from pipeline.classifiers.prepared import Prepared


def run(config: DictConfig) -> None:
    """Writes weights.pt, a plain state_dict, and about.json to models/NAME, NAME the network's."""
    prepared = Prepared.read()
    network, normalize = bare(config)
    state = instantiate(config.weights).state(network, normalize, artifacts.store(config))
    fill(network, state, config.weights._target_.rpartition(".")[2])
    complete = nn.Sequential(normalize, network).to(device(config))
    with frozen(complete):
        share = accuracy(complete, prepared, range(len(prepared.labels)))
    folder = artifacts.model_of(config.model.name)
    saved = io.BytesIO()  # torch makes an error of its own of a full disk
    torch.save(network.cpu().state_dict(), saved)
    artifacts.write_atomically(folder / "weights.pt", lambda file: file.write(saved.getvalue()))
    about = {
        "model": OmegaConf.to_container(config.model, resolve=True),
        "weights": OmegaConf.to_container(config.weights, resolve=True),
        "sha256": sha256_of(folder / "weights.pt"),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "images": len(prepared.labels),
        "accuracy": share,
    }
    artifacts.write_json(folder / "about.json", about)
    print(f"{config.model.name}: right on {share:.1%} of {len(prepared.labels)} images")


def main() -> None:
    """The command line."""
    launch("model")


if __name__ == "__main__":
    main()
