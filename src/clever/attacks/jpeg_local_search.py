"""Local search behind JPEG: changes of levels are exchanged for others that gain as much of the margin and cost less.

A gradient says what the network makes of the decoded image, and the codec itself, which costs a fortieth of a pass
through the network, what the decoded image is: so only the network is linearised, and no rounding of the codec.
"""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from clever.attacks.jpeg_regions import Regions
from clever.attacks.refine import BestSoFar
from clever.defenses.capabilities import steps_of
from clever.defenses.jpeg.linearized import Linearized

Levels = Int[Tensor, "row number"]
MEMORY = 0.9
"""What the mean of the gradients keeps of its past with each step: of its surroundings a single one knows little."""
ROUNDS = 30
"""Of search with the codec alone, a linearisation."""
SHARE, LEAST, MOST = 0.05, 0.002, 0.3
"""By which share the distance is to shrink in a step: at first and whenever it has fallen below the least; the most."""
GROWTH, DECLINE = 1.5, 1.3
"""What the share is multiplied by after success, and divided by after failure."""
INSIDE = 1e-6
"""How far beyond the edge of its step a pixel ends."""
PRICE_LIMITS, PRICE_STEP = (0.25, 4), (0.85, 1.15)
"""Of the ratio of intended to actual cost, and of the factor by which the price of gain changes in a round."""
NEAREST_BOUNDARY = 1e-3
"""The least distance from a coefficient to its rounding boundary, in quantization steps: odds stay finite."""
RETURN_PREFERENCE = 4.0
"""How many times the weight a pixel has that comes back to the original, and how many times less one that leaves it
further; and then by a random factor from 1/2 to 3/2."""
EXCESS, BEYOND = 0.5, 0.02
"""A coefficient is moved beyond its boundary by up to that share of the way, and by that much in any case."""
LOG_SHARES = (-5.5, -0.5)
"""Logarithms of the smallest and the largest share of pixels that come back at once: 1/250 and 3/5."""


def jpeg_local_search(nearest: BestSoFar, codec: Linearized, steps: int, generator: Generator) -> None:
    """From the nearest adversarial image known to nearer ones, a forward and a backward pass a step; L1 and L2.

    Each step looks for the image with the least linearised margin among those that are nearer by a share; the share
    grows with success and falls with failure. The linearisation is the mean of the gradients at all images so far.
    ``nearest``: of a network whose gradients are those at t(x), by BPDA, ``codec`` being t. ``generator`` on the
    images' device.
    """
    search = _Search(nearest, codec, generator)
    slope, share = torch.zeros_like(nearest.image), torch.full_like(nearest.distance, SHARE)
    best, images = search.levels, nearest.image
    for step in range(steps):
        before, at = nearest.distance, images.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(nearest.margin(at).sum(), at)
        slope = slope.lerp(gradient, max(1 - MEMORY, 1 / (step + 1)))
        nearer = nearest.distance < before
        best = torch.where(nearer.unsqueeze(1), search.levels, best)
        share = torch.where(nearer, share * GROWTH, share / DECLINE).clamp(max=MOST)
        share = share.where(share > LEAST, SHARE)
        search.levels = best
        search.descend(slope, share)
        images = search.images()
    nearest.keep_if_closer(images)


class _Search:
    """``levels``: of each number, 0..255, what the codec starts from; each number lies at the nearest edge of its."""

    def __init__(self, nearest: BestSoFar, codec: Linearized, generator: Generator) -> None:
        self.nearest, self.codec, self.generator = nearest, codec, generator
        self.linear = codec.linear(nearest.originals[0])
        self.regions, self.p = Regions(self.linear), nearest.norm.p
        edges, like = steps_of(codec.pixelwise()).boundaries.to(nearest.originals), nearest.originals
        self.edges = torch.cat([like.new_tensor([-INSIDE]), edges, like.new_tensor([1 + INSIDE])])
        self.originals = torch.bucketize(nearest.originals.flatten(1), edges)
        self.levels = torch.bucketize(nearest.image.flatten(1), edges)
        self.decoded = codec(nearest.originals)
        self.price: Tensor | None = None

    def images(self, levels: Levels | None = None) -> Tensor:
        """The nearest ones with these levels, by default the present ones."""
        levels = self.levels if levels is None else levels
        x = self.nearest.originals.flatten(1)
        moved = torch.where(
            levels == self.originals, x, x.clamp(self.edges[levels] + INSIDE, self.edges[levels + 1] - INSIDE)
        )
        return moved.view_as(self.nearest.originals)

    def descend(self, slope: Tensor, share: Float[Tensor, " row"]) -> None:
        """The levels with the largest gain down ``slope`` among those that are nearer by half a ``share`` at least.

        Proposals are made in all regions at once and judged apart, by cost less price times gain; the price changes
        until the cost is that of a distance smaller by the share.
        """
        cost, gain = self._evaluate(self.levels, slope)
        start = cost.sum(1)
        self.price = start / gain.sum(1).clamp(min=1e-6) if self.price is None else self.price
        goal, most = (start * (1 - part).pow(self.p) for part in (share, share / 2))
        best, best_gain = self.levels, torch.full_like(start, -torch.inf)
        downhill = self.linear.to_coefficients(slope) * self.linear.table / 255
        for turn in range(ROUNDS):
            levels = self._without_some() if turn % 2 else self._across_a_step(downhill)
            new_cost, new_gain = self._evaluate(levels, slope)
            price = self.price.unsqueeze(1)
            better = new_cost - price * new_gain < cost - price * gain
            self.levels = torch.where(self.regions.spread(better), levels, self.levels)
            cost, gain = self._evaluate(self.levels, slope)  # what crosses the borders of regions counts, too
            total, gained = cost.sum(1), gain.sum(1)
            kept = (total <= most) & (gained > best_gain)
            best, best_gain = torch.where(kept.unsqueeze(1), self.levels, best), torch.where(kept, gained, best_gain)
            self.price = self.price * (goal / total.clamp(min=1e-12)).clamp(*PRICE_LIMITS).sqrt().clamp(*PRICE_STEP)
        self.levels = best

    def _evaluate(self, levels: Levels, slope: Tensor) -> tuple[Tensor, Tensor]:
        """By region: cost, the p-th power of the distance, and gain, by how much the linearised margin falls."""
        images = self.images(levels)
        cost = (images - self.nearest.originals).flatten(1).abs().pow(self.p)
        gain = slope * (self.decoded - self.codec(images))
        return self.regions.sums(cost), self.regions.sums(gain.flatten(1))

    def _across_a_step(self, downhill: Tensor) -> Levels:
        """In each region one coefficient, drawn by gain over distance, is moved over its rounding boundary.

        By one level of each of as many pixels as it takes, those first that count most for it, and before them those
        that come back to the original.
        """
        in_steps = self.linear.encode(self.levels.to(downhill).view_as(self.decoded)) / self.linear.table
        ahead = (0.5 + downhill.sign() * (in_steps - in_steps.round())).clamp(NEAREST_BOUNDARY, 1)
        odds = (downhill.abs() / (ahead * self.linear.table)).clamp(min=1e-12)
        chosen = self.regions.largest(odds.log() - self._uniform(odds).log().neg().log())  # Gumbel: in proportion
        towards = torch.zeros_like(odds).scatter(1, chosen, -downhill.sign().gather(1, chosen))
        with torch.enable_grad():
            at = torch.zeros_like(self.decoded).requires_grad_()
            (response,) = torch.autograd.grad((self.linear.encode(at) * towards).sum(), at)
        weights, change = response.flatten(1), self.levels - self.originals
        direction = weights.sign().long()
        possible = (self.levels + direction).clamp(0, 255) != self.levels
        weights = weights.abs() * possible
        ease = RETURN_PREFERENCE ** -(change * direction).sign() * (0.5 + self._uniform(weights))
        needed = (ahead * self.linear.table).gather(1, chosen)
        taken = self.regions.first(weights * ease, weights, needed * (1 + self._uniform(needed) * EXCESS) + BEYOND)
        return torch.where(taken & possible, self.levels + direction, self.levels)

    def _without_some(self) -> Levels:
        """In each region a random share of the pixels (`LOG_SHARES`) comes back by a level."""
        few = torch.empty(len(self.levels), self.regions.count, device=self.levels.device, dtype=self.decoded.dtype)
        smallest, largest = LOG_SHARES
        share = self.regions.spread((largest - smallest) * self._uniform(few) + smallest).exp()
        return self.levels - torch.where(self._uniform(share) < share, (self.levels - self.originals).sign(), 0)

    def _uniform(self, like: Tensor) -> Tensor:
        """From just above 0 to just below 1."""
        drawn = torch.rand(like.shape, generator=self.generator, device=like.device, dtype=like.dtype)
        return drawn.clamp(1e-9, 1 - 1e-7)
