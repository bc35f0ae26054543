"""The parts of an image that JPEG treats nearly apart: the squares of pixels that share a block of every channel."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clever.defenses.jpeg.linearized import Linear

ByPixel = Float[Tensor, "row number"]
ByRegion = Float[Tensor, "row region"]


class Regions:
    """Of images of the shape that a `clever.defenses.jpeg.linearized.Linear` is for; numbers are flattened, channels
    included.

    What changes within one changes the decoded image there, and beyond its border by what chroma's interpolation
    carries over: a sample.
    """

    def __init__(self, linear: Linear) -> None:
        channels, height, width = linear.shape
        high, wide = (8 * by for by in linear.step)
        rows, columns = math.ceil(height / high), math.ceil(width / wide)
        self.count, device = rows * columns, linear.table.device
        down, across = torch.arange(height, device=device) // high, torch.arange(width, device=device) // wide
        self.of_number = (down.unsqueeze(1) * columns + across).flatten().repeat(channels)
        places = []
        for plane, (plane_rows, plane_columns) in enumerate(linear.blocks):
            by = (1, 1) if plane else linear.step
            down, across = (torch.arange(size, device=device) for size in (plane_rows, plane_columns))
            places.append((down // by[0]).unsqueeze(1) * columns + across // by[1])
        self.of_coefficient = torch.cat([place.flatten() for place in places]).repeat_interleave(64)

    def sums(self, values: ByPixel) -> ByRegion:
        """Over the numbers of each region."""
        return values.new_zeros(len(values), self.count).index_add(1, self.of_number, values)

    def spread(self, of_region: Tensor) -> Tensor:
        """What is known of each region, for each of its numbers: (row, number)."""
        return of_region[:, self.of_number]

    def largest(self, of_coefficient: Float[Tensor, "row coefficient"]) -> Int[Tensor, "row region"]:
        """The coefficient with the largest value in each region."""
        inside = self.of_coefficient == torch.arange(self.count, device=of_coefficient.device).unsqueeze(1)
        return of_coefficient.unsqueeze(1).masked_fill(~inside, -math.inf).argmax(2)

    def first(self, keys: ByPixel, weights: ByPixel, needed: ByRegion) -> Bool[Tensor, "row number"]:
        """Of each region as many numbers, largest key first, as it takes for their weights to sum to ``needed``."""
        by_key = keys.argsort(1, descending=True)
        order = by_key.gather(1, self.of_number[by_key].argsort(dim=1, stable=True))
        ordered = weights.double().gather(1, order)
        sums = self.sums(weights.double())
        earlier = (sums.cumsum(1) - sums)[:, self.of_number].gather(1, order)
        before = ordered.cumsum(1) - ordered - earlier  # of the same region
        taken = before < self.spread(needed).gather(1, order) - 1e-9
        return torch.zeros_like(taken).scatter(1, order, taken)
