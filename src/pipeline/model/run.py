"""Stage model: weights and accuracy of networks."""

import io

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from clever.classifier.wrappers import Normalize, frozen
from clever.errors import InputError
from pipeline.model.weights import Published, State
from pipeline.shared.app import artifacts
from pipeline.shared.app.composed import each_cell
from pipeline.shared.data.accuracy import accuracy
from pipeline.shared.data.fits import check_fits
from pipeline.shared.data.prepared import Prepared
from pipeline.shared.models.classifier import build_network, device, load_weights, sha256_of
from pipeline.shared.text.recorded import group_to_record, to_record


def run(config: DictConfig) -> None:
    """Write weights.pt and about.json of each network of the experiment; without one, of the chosen network."""
    for cell in networks(config).values():
        _make(cell)


def networks(config: DictConfig) -> dict[str, DictConfig]:
    """One cell configuration per network name; `InputError` if two different networks share a name."""
    by_name: dict[str, DictConfig] = {}
    for cell in each_cell(config):
        first = by_name.setdefault(cell.model.name, cell)
        if _origin(first) != _origin(cell):
            raise InputError(
                f"two networks of the experiment are called {cell.model.name}: give one of them another model.name"
            )
    return by_name


def load_network(config: DictConfig) -> tuple[nn.Module, Normalize]:
    """The network on the CPU with the configured weights, and its normalisation."""
    network, normalize = build_network(config)
    # before a download or training; it does not depend on the weights
    check_fits(nn.Sequential(normalize, network), Prepared.read(config))
    weights = instantiate(config.weights)
    if isinstance(weights, Published):
        weights.check(group_to_record(config.model))
    state: State = weights.state(
        network,
        normalize,
        training=artifacts.training_set(config),
        store=artifacts.store_dir(config),
        device=device(config),
    )
    load_weights(network, state, config.weights._target_.rpartition(".")[2])
    return network, normalize


def network_accuracy(config: DictConfig, network: nn.Module, normalize: Normalize) -> tuple[float, int]:
    """Accuracy on all prepared images, and their number."""
    prepared = Prepared.read(config)
    complete = nn.Sequential(normalize, network).to(device(config))
    with frozen(complete):
        return accuracy(complete, prepared, range(len(prepared.labels))), len(prepared.labels)


def serialize(network: nn.Module) -> bytes:
    """The state_dict as bytes, so that a full disk raises `OSError` and not an error of torch."""
    content = io.BytesIO()
    torch.save({name: tensor.cpu() for name, tensor in network.state_dict().items()}, content)
    return content.getvalue()


def _make(config: DictConfig) -> None:
    network, normalize = load_network(config)
    share, images = network_accuracy(config, network, normalize)
    folder, content = artifacts.model_dir(config, config.model.name), serialize(network)
    artifacts.write_atomically(folder / "weights.pt", lambda file: file.write(content))
    about = _origin(config) | {
        "sha256": sha256_of(folder / "weights.pt"),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "images": images,
        "accuracy": share,
    }
    artifacts.write_json(folder / "about.json", about)
    print(f"{config.model.name}: accuracy {share:.1%} on {images} images")
    if not share:
        print(
            "accuracy 0: check that the labels are the network's class numbers, and check data.size and model.normalize"
        )


def _origin(config: DictConfig) -> dict[str, object]:
    return {name: to_record(config[name]) for name in ("model", "weights")}
