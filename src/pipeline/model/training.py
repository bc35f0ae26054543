"""Training of a small network on a small data set."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm.auto import tqdm

LARGEST_SHIFT = 2
"""Pixels by which a training image is moved at random, so that the network does not learn positions."""


def train(
    network: nn.Module, images: Tensor, labels: Tensor, *, epochs: int, batch: int, learning_rate: float, seed: int
) -> None:
    """AdamW under a one-cycle schedule; ``images`` in [0,1]. Leaves the network in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    steps = epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=learning_rate, total_steps=steps)
    network.train()
    with tqdm(total=steps, unit="step", desc="train") as bar:
        for _ in range(epochs):
            order = torch.randperm(len(images), generator=generator)
            for rows in order[: len(order) // batch * batch].split(batch):
                loss = cross_entropy(network(_shifted(images[rows], generator)), labels[rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    network.eval()


def _shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    down, right = torch.randint(-LARGEST_SHIFT, LARGEST_SHIFT + 1, (2,), generator=generator).tolist()
    return images.roll((down, right), dims=(2, 3))
