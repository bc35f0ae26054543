"""Stage model: the network's weights, and how often it is right, undefended and under each defense."""

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from tqdm.auto import tqdm

from clever.bpda import Defended
from clever.models import frozen, logits_of
from pipeline import artifacts
from pipeline.app import launch
from pipeline.cells import cells, of_cell
from pipeline.networks import bare, device, fill
from pipeline.prepared import Prepared


def run(config: DictConfig) -> None:
    """Writes models/weights.pt, a plain state_dict, and results/model/accuracy.json."""
    prepared = Prepared.read()
    network, normalize = bare(config)
    defenses = {name: instantiate(of_cell(config, name).defense) for name in cells(config)}
    state = instantiate(config.weights).state(network, normalize, artifacts.store(config))
    fill(network, state, config.weights._target_.rpartition(".")[2])
    undefended = nn.Sequential(normalize, network).to(device(config))
    parameters = sum(parameter.numel() for parameter in network.parameters())
    with frozen(undefended), tqdm(defenses.items(), unit="defense", desc="accuracy") as bar:
        accuracy = {name: _accuracy(Defended(undefended, defense), prepared) for name, defense in bar}
    artifacts.write_atomically(artifacts.WEIGHTS, lambda file: torch.save(network.cpu().state_dict(), file))
    report = {"parameters": parameters, "images": len(prepared.labels), "accuracy": accuracy}
    artifacts.write_json(artifacts.ACCURACY, report)
    for name, share in accuracy.items():
        print(f"accuracy, {name}: {share:.1%} of {len(prepared.labels)} images")


def _accuracy(network: nn.Module, prepared: Prepared) -> float:
    where = next(network.parameters()).device
    right = 0
    for rows in np.array_split(np.arange(len(prepared.labels)), max(1, len(prepared.labels) // 64)):
        logits = logits_of(network, prepared.images(rows).to(where))
        right += int((logits.argmax(1).cpu().numpy() == prepared.labels[rows]).sum())
    return right / len(prepared.labels)


def main() -> None:
    """The command line."""
    launch("model")


if __name__ == "__main__":
    main()
