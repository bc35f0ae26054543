"""Whether a function's derivatives explain how it changes, found numerically, whatever the function is made of."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from clever.capacity import Capacity
from clever.hessian import Hessian, Margin

SEGMENTS = 16
"""Of each line, at first."""
FURTHER = 6
"""Halvings after which a rest of slopes that has ceased to matter must have fallen as it does where g is smooth."""
DISAGREEMENT = 0.01
"""Of slopes from values with slopes from gradients, relative to the steepest slope met."""
VALUE, SLOPE, BEND = range(3)
"""At a point of a line: g, its directional derivative <grad g, v> and its second one v'Hv."""


def unexplained(
    function: Margin, centre: Float[Tensor, "..."], offsets: Float[Tensor, "line ..."], precision: float
) -> str | None:
    """Where g or its gradient changes along the lines centre + s * offset, s in [-1, 1], as its derivatives do not say.

    Over a segment of length h the slope of a twice differentiable g changes by h / 2 (v'Hv at one end + at the other),
    but for a term of order h^3. On each line the segment with the largest rest is halved, and the half with the larger
    rest again. At a kink, a point where the slope jumps, that rest stays, and the other halves' rests, next to it,
    vanish; where g is smooth, however sharply bent, both halves' rests fall together, eightfold a time; rounding
    leaves rests of one size in both halves. A line without a rest that matters is left, so that a smooth function
    takes few points. Where the second derivatives are not those of the slope (a backward pass that autograd takes for a
    constant), or jump, the rest falls by half a time, which double precision can tell from an eighth. Where the rest
    has gone, values must agree with slopes: a function whose backward pass is not its derivative (a straight-through
    estimator) is found by that.

    ``precision``: the relative rounding (machine epsilon) of the function. Rests below its power 0.4 of the steepest
    slope are not looked at. What is found is a sentence, otherwise None, which proves nothing: a kink that no line
    meets, or one beside which a larger one draws the search away and vanishes, is not found. At most ``SEGMENTS`` + 1 +
    30 points a line in double precision, with a gradient and a product of the Hessian at each.
    """

    def measure(pairs: Tensor) -> Tensor:
        points, directions = pairs.unbind(1)
        hessian, flat = Hessian(function, points), directions.flatten(1)
        slope = (hessian.gradient.flatten(1) * flat).sum(1)
        bend = (hessian(flat) * flat).sum(1)
        return torch.stack([hessian.values, slope, bend], dim=1).unsqueeze(1)

    def at(places: Float[Tensor, "line place"]) -> Float[Tensor, "line place what"]:
        expanded = offsets.unsqueeze(1).expand(-1, places.shape[1], *centre.shape)
        points = centre + places.view(*places.shape, *[1] * centre.ndim) * expanded
        pairs = torch.stack([points, expanded], dim=2).flatten(0, 1)
        return capacity.run(measure, pairs).view(*places.shape, 3)

    capacity = Capacity.of(measure, torch.stack([centre, offsets[0]]))
    ends = torch.linspace(-1, 1, SEGMENTS + 1, dtype=centre.dtype, device=centre.device).expand(len(offsets), -1)
    found = at(ends)
    steepest, largest = (found[..., what].nan_to_num(0, 0, 0).abs().max() for what in (SLOPE, VALUE))
    matters = precision**0.4 * steepest

    def disagree(left: Tensor, right: Tensor, width: Tensor) -> Tensor:
        rounding = precision**0.5 * largest / width
        beyond: Tensor = _value_rest(left, right, width) > DISAGREEMENT * steepest + rounding
        return beyond

    width = ends[:, 1:] - ends[:, :-1]
    rests = _rest(found[:, :-1], found[:, 1:], width)
    trusted = rests <= matters
    if bool((disagree(found[:, :-1], found[:, 1:], width) & trusted).any()):
        return "its values change otherwise than its gradient says"

    rest, worst = rests.max(dim=1)
    lines = torch.arange(len(offsets), device=centre.device)
    low, left, right, width = ends[lines, worst], found[lines, worst], found[lines, worst + 1], width[lines, worst]
    halvings, further = round(-0.6 * math.log2(precision)), FURTHER if precision < 1e-10 else 0
    larger, smaller = [rest], [torch.zeros_like(rest)]
    while len(larger) <= halvings and (len(larger) <= further or bool((larger[-1 - further] > matters).any())):
        width = width / 2
        middle = at((low + width).unsqueeze(1)).squeeze(1)
        halves = torch.stack([_rest(left, middle, width), _rest(middle, right, width)])
        upper = halves[1] > halves[0]
        left, right = torch.where(upper[:, None], middle, left), torch.where(upper[:, None], right, middle)
        low = torch.where(upper, low + width, low)
        larger.append(halves.amax(0))
        smaller.append(halves.amin(0))
    course, rest = torch.stack(larger), larger[-1]
    kinks = (rest > matters) & (torch.stack(smaller[-(halvings // 3) :]).sum(0) < rest / 2)
    if bool(kinks.any()):
        line = int(kinks.nonzero()[0])
        away = float(low[line].abs() * torch.linalg.vector_norm(offsets[line]))
        before, after = float(left[line, SLOPE]), float(right[line, SLOPE])
        return f"its slope along a line through the image jumps from {before:.4g} to {after:.4g} at distance {away:.3g}"
    if bool((disagree(left, right, width) & (rest <= matters)).any()):
        return "its values change otherwise than its gradient says"
    for of_line in course.unbind(1) if further else ():
        below = of_line[of_line <= matters]
        seen = len(below) > further and bool(below[0] > precision**0.7 * steepest)
        if seen and bool(below[further] > below[0] / 2 ** (1.5 * further)):
            return "its gradient changes otherwise than its second derivatives say"
    return None


def _rest(
    left: Float[Tensor, "*segment what"], right: Float[Tensor, "*segment what"], width: Float[Tensor, "*segment"]
) -> Float[Tensor, "*segment"]:
    """What the second derivatives leave of the change of the slope; 0 where a number is not finite."""
    change = right[..., SLOPE] - left[..., SLOPE] - width / 2 * (left[..., BEND] + right[..., BEND])
    return change.abs().nan_to_num(0, 0, 0)


def _value_rest(
    left: Float[Tensor, "*segment what"], right: Float[Tensor, "*segment what"], width: Float[Tensor, "*segment"]
) -> Float[Tensor, "*segment"]:
    """What slopes and second derivatives leave of the mean slope over a segment, of order width^4."""
    explained = (left[..., SLOPE] + right[..., SLOPE]) / 2 + width / 12 * (left[..., BEND] - right[..., BEND])
    rest = (right[..., VALUE] - left[..., VALUE]) / width - explained
    return rest.abs().nan_to_num(0, 0, 0)
