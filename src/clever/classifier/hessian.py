"""Products of the Hessians of a function at many points with one vector each; the Hessians themselves where small."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clever.errors import InputError

Margin = Callable[[Float[Tensor, "batch ..."]], Float[Tensor, " batch"]]
"""A scalar function of each row of a batch."""
Start = torch.Generator | Float[Tensor, "*batch dim"]
"""Where a Krylov space starts: random directions from a generator, or given ones, one a point or one for all."""


class Hessian:
    """v_i -> H(x_i) v_i for the rows x_i of ``points``, H the Hessian of ``margin``; ``gradient`` comes with it.

    ``margin`` maps ``(batch, ...)`` to ``(batch,)``, is twice differentiable (`clever.classifier.smoothness` refuses a
    network that is not), and gives a row a value that depends on the row alone, not on its place (a network in
    ``eval()``). The gradient's graph is built once: a product is one backward pass through it, for all rows together,
    because the gradient of the sum over the rows is the gradient of each. Memory: the graph, and nothing of size
    dimension squared.

    Under BPDA (backward pass through a transformation t taken as the identity) these are products with the Hessian of f
    at t(x), not of f(t(x)), which has none where t is a staircase: the second-order theorem does not cover f(t(x)).

    Raises `InputError` when ``points`` is not a batch of floating-point numbers, or ``margin`` does not return one
    number a row that autograd can trace back to the points.
    """

    def __init__(self, margin: Margin, points: Float[Tensor, "batch ..."]) -> None:
        if points.ndim < 2 or points.shape[0] == 0 or not points.is_floating_point():
            got = f"{points.dtype} {tuple(points.shape)}"
            raise InputError(f"points must be a non-empty floating-point batch (batch, ...), not {got}")
        self._margin = margin
        self._points = points.detach().clone().requires_grad_(True)
        with torch.enable_grad():
            values = margin(self._points)
            if values.shape != points.shape[:1]:
                expected, shape = tuple(points.shape[:1]), tuple(values.shape)
                raise InputError(f"the margin must return one number a row, shape {expected}, not {shape}")
            if not values.requires_grad:
                raise InputError("the margin cannot be differentiated: its values are cut off from the points")
            self._values = values.detach()
            self._nothing = 0 * values.detach().unsqueeze(1)  # but NaN where the margin is not finite
            (self._gradient,) = torch.autograd.grad(
                values.sum(), self._points, create_graph=True, allow_unused=True, materialize_grads=True
            )

    @property
    def values(self) -> Float[Tensor, " batch"]:
        """The margin at each point."""
        return self._values

    @property
    def gradient(self) -> Float[Tensor, "batch ..."]:
        """The margin's gradient at each point, shape of the points."""
        return self._gradient.detach()

    def __call__(self, vectors: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """The product of each row's Hessian with that row's vector, the point's dimensions flattened into one.

        NaN for a row whose margin is NaN or infinite.
        """
        if not self._gradient.requires_grad:  # an affine margin: its gradient is a constant
            return torch.zeros_like(vectors) + self._nothing
        (product,) = torch.autograd.grad(
            self._gradient,
            self._points,
            vectors.reshape(self._points.shape),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return product.flatten(1) + self._nothing

    def matrices(self) -> Float[Tensor, "batch dim dim"]:
        """The Hessians themselves, symmetric to the last bit: one product a dimension, dim squared numbers a point."""
        batch, dim = self._points.shape[0], self._points[0].numel()
        units = torch.eye(dim, dtype=self._points.dtype, device=self._points.device)
        columns = torch.stack([self(unit.expand(batch, dim)) for unit in units], dim=2)
        return (columns + columns.mT) / 2

    def keep(self, rows: Bool[Tensor, " batch"]) -> "Hessian":
        """The same for the marked rows only. It costs one forward pass and one gradient of those rows."""
        return Hessian(self._margin, self._points.detach()[rows])


def start_vectors(points: Float[Tensor, "batch ..."], start: Start) -> Float[Tensor, "batch dim"]:
    """One unit vector a point, with its dtype and on its device.

    A generator draws them, uniform on the sphere, on its own device. A tensor (dim,) or (batch, dim) is scaled to
    length 1: one random direction for all points gives results that do not depend on how they are split into batches.
    `InputError` for any other shape and for a zero vector.
    """
    batch, dim = points.shape[0], points[0].numel()
    if isinstance(start, torch.Generator):
        start = torch.randn(batch, dim, generator=start, device=start.device, dtype=points.dtype)
    elif start.shape not in ((dim,), (batch, dim)):
        raise InputError(f"start vectors must have shape {(dim,)} or {(batch, dim)}, not {tuple(start.shape)}")
    vectors = start.to(points).expand(batch, dim)
    lengths: Float[Tensor, "batch 1"] = torch.linalg.vector_norm(vectors, dim=1, keepdim=True)
    if not bool((lengths > 0).all()):
        raise InputError("a start vector must not be zero")
    return vectors / lengths
