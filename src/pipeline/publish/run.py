"""Publishing of trained weights in data/weights/."""

import sys

from omegaconf import DictConfig

from clever.errors import InputError
from pipeline.model.run import load_network, network_accuracy, networks, serialize
from pipeline.shared.app import artifacts
from pipeline.shared.models.classifier import device, sha256_of
from pipeline.shared.store.fingerprint import versions
from pipeline.shared.text.recorded import to_record


def run(config: DictConfig) -> None:
    """Write data/weights/NAME.pt and NAME.json for each network; `InputError` unless ``weights=trained``."""
    cells = networks(config)
    if not all(cell.weights._target_.endswith(".Trained") for cell in cells.values()):
        raise InputError("only trained weights can be published: add weights=trained")
    for name, cell in cells.items():
        network, normalize = load_network(cell)
        share, images = network_accuracy(cell, network, normalize)
        path, content = artifacts.WEIGHTS / f"{name}.pt", serialize(network)
        artifacts.write_atomically(path, lambda file, content=content: file.write(content))  # type: ignore[misc]
        about = {
            "sha256": sha256_of(path),
            "command": f"python -m pipeline.publish {' '.join(sys.argv[1:])}",
            "model": to_record(cell.model),
            "training": to_record(cell.weights),
            "data": to_record(cell.data),
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "accuracy": share,
            "images": images,
            "versions": versions(),
            "device": device(cell).type,  # device of the training
        }
        artifacts.write_json(path.with_suffix(".json"), about)
        print(f"{path}: {path.stat().st_size:,} bytes, accuracy {share:.1%} on {images} images")
