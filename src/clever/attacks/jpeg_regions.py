"""Image regions that JPEG processes almost independently: the squares of pixels that share a block in every channel."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from clever.defenses.jpeg.linearized import Linear

ByPixel = Float[Tensor, "row number"]
ByRegion = Float[Tensor, "row region"]


class Regions:
    """The regions of images of the shape that a `clever.defenses.jpeg.linearized.Linear` was made for.

    ``by_number`` and ``by_coefficient``: the region of each number of a flattened image, channels included, and of each
    coefficient. A change within a region affects the decoded image there and, through chroma interpolation, one sample
    beyond its border.
    """

    def __init__(self, linear: Linear) -> None:
        channels, height, width = linear.shape
        high, wide = (8 * by for by in linear.step)
        rows, columns = math.ceil(height / high), math.ceil(width / wide)
        self.count, device = rows * columns, linear.table.device
        down, across = torch.arange(height, device=device) // high, torch.arange(width, device=device) // wide
        self.by_number = (down.unsqueeze(1) * columns + across).flatten().repeat(channels)
        block_regions = []
        for plane, (plane_rows, plane_columns) in enumerate(linear.blocks):
            by = (1, 1) if plane else linear.step
            down, across = (torch.arange(size, device=device) for size in (plane_rows, plane_columns))
            block_regions.append((down // by[0]).unsqueeze(1) * columns + across // by[1])
        self.by_coefficient = torch.cat([region.flatten() for region in block_regions]).repeat_interleave(64)

    def sums(self, values: ByPixel) -> ByRegion:
        """The sum over the numbers of each region."""
        return values.new_zeros(len(values), self.count).index_add(1, self.by_number, values)

    def spread(self, values: Tensor) -> Tensor:
        """Each region's value (row, region) repeated for all of its numbers, (row, number)."""
        return values[:, self.by_number]

    def largest(self, values: Float[Tensor, "row coefficient"]) -> Int[Tensor, "row region"]:
        """The index of the coefficient with the largest value in each region."""
        inside = self.by_coefficient == torch.arange(self.count, device=values.device).unsqueeze(1)
        return values.unsqueeze(1).masked_fill(~inside, -math.inf).argmax(2)

    def select(self, keys: ByPixel, weights: ByPixel, needed: ByRegion) -> Bool[Tensor, "row number"]:
        """In each region the numbers with the largest keys, just enough for their weights to sum to ``needed``."""
        by_key = keys.argsort(1, descending=True)
        order = by_key.gather(1, self.by_number[by_key].argsort(dim=1, stable=True))
        ordered = weights.double().gather(1, order)
        sums = self.sums(weights.double())
        earlier_regions = (sums.cumsum(1) - sums)[:, self.by_number].gather(1, order)
        before = ordered.cumsum(1) - ordered - earlier_regions
        taken = before < self.spread(needed).gather(1, order) - 1e-9
        return torch.zeros_like(taken).scatter(1, order, taken)
