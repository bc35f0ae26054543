"""Networks with one hidden layer of softplus units, whose curvature has a global closed-form bound."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.classifier.wrappers import Normalize
from clever.errors import InputError


@dataclass(frozen=True)
class TwoLayer:
    """f(x) = ``outer`` s(``inner`` x + ``shift``) + ``constant``, s(t) = log(1 + exp(beta t)) / beta.

    x: a flat image in [0,1]^d.
    """

    inner: Float[Tensor, "hidden d"]
    shift: Float[Tensor, " hidden"]
    outer: Float[Tensor, "class hidden"]
    constant: Float[Tensor, " class"]
    beta: float

    @classmethod
    def of(cls, network: nn.Module) -> "TwoLayer":
        """Extract the parameters of `Normalize`, flatten, linear, softplus, linear; `InputError` for other networks.

        Differentiable in the network's parameters, with their dtype.
        """
        layers = [module for module in network.modules() if not list(module.children())]
        kinds = Normalize, nn.Flatten, nn.Linear, nn.Softplus, nn.Linear
        if [type(layer) for layer in layers] != list(kinds):
            raise InputError(
                f"the network consists of {', '.join(type(layer).__name__ for layer in layers[:9])}: only networks of "
                f"{', '.join(kind.__name__ for kind in kinds)} have a closed curvature bound (model=mlp_curvature)"
            )
        normalize, _, first, softplus, last = layers
        assert isinstance(normalize, Normalize)
        assert isinstance(first, nn.Linear)
        assert isinstance(softplus, nn.Softplus)
        assert isinstance(last, nn.Linear)
        std, mean = normalize.std.flatten(), normalize.mean.flatten()
        pixels = first.in_features // len(std)
        inner = first.weight / std.repeat_interleave(pixels)
        shift = first.bias - inner @ mean.repeat_interleave(pixels)
        return cls(inner, shift, last.weight, last.bias, float(softplus.beta))

    def double(self) -> "TwoLayer":
        """A detached copy in double precision."""
        copies = {name: value.detach().double() for name, value in vars(self).items() if name != "beta"}
        return replace(self, **copies)

    def curvatures(self, weights: Float[Tensor, "row hidden"]) -> Float[Tensor, " row"]:
        """m >= max over all x and ||v||_2 = 1 of (-v'Hv)_+, H the Hessian of sum_i w_i s(a_i'x + c_i), for each w.

        s'' lies between 0 and beta / 4, so that -H <= (beta / 4) A' diag((-w)_+) A, whose largest eigenvalue m is
        (Singla and Feizi 2020, arXiv 2006.00731). Computed from the hidden x hidden matrix of the same eigenvalues.
        """
        roots = (self.beta / 4 * (-weights).clamp(min=0) + SMALL).sqrt()
        gram = roots.unsqueeze(2) * (self.inner @ self.inner.T) * roots.unsqueeze(1)
        largest: Tensor = torch.linalg.eigvalsh(gram)[:, -1]
        return largest

    def largest_curvatures(self) -> Float[Tensor, " pair"]:
        """`curvatures` of the margins between all ordered pairs of classes."""
        classes = len(self.outer)
        pairs = torch.cartesian_prod(torch.arange(classes), torch.arange(classes))
        own, other = pairs[pairs[:, 0] != pairs[:, 1]].T
        return self.curvatures(self.outer[own] - self.outer[other])


SMALL = 1e-12
"""Added under the square root, whose derivative is infinite at 0; it can only raise the bound."""
