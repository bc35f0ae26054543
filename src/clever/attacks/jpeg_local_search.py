"""Local search behind JPEG: replaces changes of pixel levels by cheaper ones that reduce the margin as much.

Only the network is linearised. The codec costs a fortieth of a pass through the network, so every proposal goes through
the real codec, including its roundings.
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
"""The weight of earlier gradients in the running mean: a single gradient is only valid close to its own image."""
ROUNDS = 30
"""Rounds of search per linearisation; they use the codec but not the network."""
SHARE, LEAST, MOST = 0.05, 0.002, 0.3
"""The share by which a step aims to reduce the distance: initial value, also restored below the minimum; maximum."""
GROWTH, DECLINE = 1.5, 1.3
"""The factor that multiplies the share after success, and the one that divides it after failure."""
INSIDE = 1e-6
"""How far inside the edge of its step a moved pixel is placed."""
PRICE_LIMITS, PRICE_STEP = (0.25, 4), (0.85, 1.15)
"""Limits of the ratio of intended to actual cost, and of the factor that changes the price of gain in a round."""
NEAREST_BOUNDARY = 1e-3
"""The smallest distance from a coefficient to its rounding boundary, in quantization steps; keeps the odds finite."""
RETURN_PREFERENCE = 4.0
"""Factor that favours a pixel moving back to the original and penalises one moving further away; a random factor from
1/2 to 3/2 is applied on top."""
EXCESS, BEYOND = 0.5, 0.02
"""A coefficient is moved beyond its boundary by a random share of the way, up to this, plus this fixed amount."""
LOG_SHARES = (-5.5, -0.5)
"""Logarithms of the smallest and largest share of pixels restored at once: 1/250 and 3/5."""


def jpeg_local_search(nearest: BestSoFar, codec: Linearized, steps: int, generator: Generator) -> None:
    """Bring the nearest adversarial images closer, with a forward and a backward pass per step; for L1 and L2.

    Each step looks for the image with the smallest linearised margin among those that are nearer by a given share; the
    share grows after success and falls after failure. The linearisation uses a running mean of the gradients at all
    images so far. ``nearest``: its network must have the gradients at t(x) through BPDA, with t = ``codec``.
    ``generator`` must be on the images' device.
    """
    search = _Search(nearest, codec, generator)
    slope, share = torch.zeros_like(nearest.image), torch.full_like(nearest.distance, SHARE)
    best, images = search.levels, nearest.image
    for step in range(steps):
        before, points = nearest.distance, images.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(nearest.margin(points).sum(), points)
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
    """``levels``: the 8-bit level of each number; the image is the point with these levels nearest to the original."""

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
        """The nearest images with these levels, by default the current ones."""
        levels = self.levels if levels is None else levels
        x = self.nearest.originals.flatten(1)
        moved = torch.where(
            levels == self.originals, x, x.clamp(self.edges[levels] + INSIDE, self.edges[levels + 1] - INSIDE)
        )
        return moved.view_as(self.nearest.originals)

    def descend(self, slope: Tensor, share: Float[Tensor, " row"]) -> None:
        """Set the levels to those with the largest gain along ``slope`` that are nearer by at least ``share`` / 2.

        Proposals for all regions are made at once and accepted region by region if they reduce cost - price * gain. The
        price is adapted until the cost is that of a distance smaller by the share.
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
            cost, gain = self._evaluate(self.levels, slope)  # again, because regions affect their neighbours
            total, gained = cost.sum(1), gain.sum(1)
            improved = (total <= most) & (gained > best_gain)
            best = torch.where(improved.unsqueeze(1), self.levels, best)
            best_gain = torch.where(improved, gained, best_gain)
            self.price = self.price * (goal / total.clamp(min=1e-12)).clamp(*PRICE_LIMITS).sqrt().clamp(*PRICE_STEP)
        self.levels = best

    def _evaluate(self, levels: Levels, slope: Tensor) -> tuple[Tensor, Tensor]:
        """Per region: the cost, which is the p-th power of the distance, and the fall of the linearised margin."""
        images = self.images(levels)
        cost = (images - self.nearest.originals).flatten(1).abs().pow(self.p)
        gain = slope * (self.decoded - self.codec(images))
        return self.regions.sums(cost), self.regions.sums(gain.flatten(1))

    def _across_a_step(self, downhill: Tensor) -> Levels:
        """Move one coefficient per region, drawn in proportion to gain over distance, across its rounding boundary.

        Just enough pixels move by one level, preferably those that affect the coefficient most and those that move
        back to the original.
        """
        in_steps = self.linear.encode(self.levels.to(downhill).view_as(self.decoded)) / self.linear.table
        ahead = (0.5 + downhill.sign() * (in_steps - in_steps.round())).clamp(NEAREST_BOUNDARY, 1)
        odds = (downhill.abs() / (ahead * self.linear.table)).clamp(min=1e-12)
        chosen = self.regions.largest(odds.log() - self._uniform(odds).log().neg().log())  # Gumbel trick
        towards = torch.zeros_like(odds).scatter(1, chosen, -downhill.sign().gather(1, chosen))
        with torch.enable_grad():
            zero = torch.zeros_like(self.decoded).requires_grad_()
            (response,) = torch.autograd.grad((self.linear.encode(zero) * towards).sum(), zero)
        weights, change = response.flatten(1), self.levels - self.originals
        direction = weights.sign().long()
        possible = (self.levels + direction).clamp(0, 255) != self.levels
        weights = weights.abs() * possible
        ease = RETURN_PREFERENCE ** -(change * direction).sign() * (0.5 + self._uniform(weights))
        needed = (ahead * self.linear.table).gather(1, chosen)
        taken = self.regions.select(weights * ease, weights, needed * (1 + self._uniform(needed) * EXCESS) + BEYOND)
        return torch.where(taken & possible, self.levels + direction, self.levels)

    def _without_some(self) -> Levels:
        """Move a random share (`LOG_SHARES`) of each region's pixels back by a level."""
        by_region = self.decoded.new_empty(len(self.levels), self.regions.count)
        smallest, largest = LOG_SHARES
        share = self.regions.spread((largest - smallest) * self._uniform(by_region) + smallest).exp()
        return self.levels - torch.where(self._uniform(share) < share, (self.levels - self.originals).sign(), 0)

    def _uniform(self, like: Tensor) -> Tensor:
        """Random numbers from just above 0 to just below 1."""
        drawn = torch.rand(like.shape, generator=self.generator, device=like.device, dtype=like.dtype)
        return drawn.clamp(1e-9, 1 - 1e-7)
