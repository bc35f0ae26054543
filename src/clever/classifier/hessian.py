"""Hessian-vector products of a function at many points, and dense Hessians of small inputs."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from clever.errors import InputError

Margin = Callable[[Float[Tensor, "batch ..."]], Float[Tensor, " batch"]]
"""Maps each row of a batch to a scalar."""
Start = torch.Generator | Float[Tensor, "*batch dim"]
"""Start of a Krylov space: a generator for random directions, or given directions, one per point or one for all."""


class Hessian:
    """The map v_i -> H(x_i) v_i for the rows x_i of ``points``, H the Hessian of ``margin``, with its ``gradient``.

    ``margin`` maps ``(batch, ...)`` to ``(batch,)``, is twice differentiable (see `clever.classifier.smoothness`), and
    its value for a row depends on that row alone (a network in ``eval()``). The gradient's graph is built once. Each
    product is one backward pass through it for all rows together, since the gradient of the sum over rows contains the
    gradient of each. Memory: the graph, nothing of size dimension squared.

    With BPDA (the backward pass treats a transformation t as the identity) these are products with the Hessian of f at
    t(x), not with that of f(t(x)), which does not exist where t is a staircase: the second-order theorem does not cover
    f(t(x)).

    `InputError` if ``points`` is not a floating-point batch, or if ``margin`` does not return one differentiable value
    per row.
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
                raise InputError(f"the margin must return one number per row, shape {expected}, not {shape}")
            if not values.requires_grad:
                raise InputError("the margin is not differentiable: its values are detached from the points")
            self._values = values.detach()
            self._nan_mask = 0 * values.detach().unsqueeze(1)  # 0, but NaN where the margin is not finite
            (self._gradient,) = torch.autograd.grad(
                values.sum(), self._points, create_graph=True, allow_unused=True, materialize_grads=True
            )

    @property
    def values(self) -> Float[Tensor, " batch"]:
        """The margin at each point."""
        return self._values

    @property
    def gradient(self) -> Float[Tensor, "batch ..."]:
        """The margin's gradient at each point, with the shape of the points."""
        return self._gradient.detach()

    def __call__(self, vectors: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch dim"]:
        """The product of each row's Hessian with that row's vector, over flattened points.

        NaN for rows whose margin is NaN or infinite.
        """
        if not self._gradient.requires_grad:  # an affine margin: constant gradient
            return torch.zeros_like(vectors) + self._nan_mask
        (product,) = torch.autograd.grad(
            self._gradient,
            self._points,
            vectors.reshape(self._points.shape),
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return product.flatten(1) + self._nan_mask

    def matrices(self) -> Float[Tensor, "batch dim dim"]:
        """The dense Hessians, exactly symmetric; costs one product per dimension and dim**2 numbers per point."""
        batch, dim = self._points.shape[0], self._points[0].numel()
        units = torch.eye(dim, dtype=self._points.dtype, device=self._points.device)
        columns = torch.stack([self(unit.expand(batch, dim)) for unit in units], dim=2)
        return (columns + columns.mT) / 2

    def keep(self, rows: Bool[Tensor, " batch"]) -> "Hessian":
        """The same map for the selected rows only; costs one forward pass and one gradient of those rows."""
        return Hessian(self._margin, self._points.detach()[rows])


def start_vectors(points: Float[Tensor, "batch ..."], start: Start) -> Float[Tensor, "batch dim"]:
    """One unit vector per point, in the points' dtype and on their device.

    A generator draws directions uniform on the sphere, on its own device. A tensor (dim,) or (batch, dim) is
    normalised; with one direction for all points, results do not depend on the split into batches. `InputError` for any
    other shape and for a zero vector.
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
