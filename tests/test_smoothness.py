"""Which networks are refused for second order, and by which name."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clever.classifier.smoothness import require_twice_differentiable
from clever.defenses.bpda import Defended
from clever.defenses.chain import Identity
from clever.defenses.expectation import Expectation
from clever.defenses.jpeg.defense import JPEG
from clever.defenses.noise import Noise
from clever.defenses.quantization import PNG, BitDepth, Quantize
from clever.errors import InputError

IMAGE = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Calls(nn.Module):
    """A module whose forward pass is the given function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, images):
        return self.function(images)


class PositiveWeights(nn.Module):
    """Weights through abs and clamp: kinks in the parameters, none in the input."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 3))

    def forward(self, images):
        return torch.einsum("nchw,cd->ndhw", images, self.weight.abs().clamp(0.1, 2.0)).tanh()


def within(module: nn.Module) -> nn.Module:
    """The module inside of others, so that its dotted name is body.1.act."""
    inner = nn.Sequential()
    inner.add_module("conv", nn.Conv2d(3, 4, 3))
    inner.add_module("act", module)
    network = nn.Module()
    network.body = nn.Sequential(nn.Conv2d(3, 3, 1), inner)
    network.forward = lambda images: network.body(images)
    return network.eval()


class Tanh(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images):
        ctx.save_for_backward(images)
        return images.tanh()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 - ctx.saved_tensors[0].tanh() ** 2)


class OutsideTorch(torch.autograd.Function):
    """A ReLU that no dispatcher sees: forward by numpy, backward by a mask."""

    @staticmethod
    def forward(ctx, images):
        mask = torch.from_numpy(np.asarray(images.detach().numpy() > 0, dtype=images.detach().numpy().dtype))
        ctx.save_for_backward(mask)
        return torch.from_numpy(np.maximum(images.detach().numpy(), 0))

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


class OutsideTorchOnce(OutsideTorch):
    """The same, whose backward pass says that it has no derivative."""

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


PLACES = torch.nn.functional.affine_grid(torch.tensor([[[0.9, 0.1, 0.0], [0.0, 0.8, 0.1]]]), [1, 4, 8, 8], False)


def moved(x: Tensor) -> Tensor:
    """An image whose pixels are looked up at places that depend on it."""
    grid = x[:, :2, :8, :8].permute(0, 2, 3, 1)
    return F.grid_sample(x, grid.tanh(), align_corners=False)


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images, function):
        return function(images)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


KINKED = [
    nn.ReLU(),
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.LeakyReLU(),
    nn.PReLU(),
    nn.RReLU(),
    nn.Hardtanh(),
    nn.Hardswish(),
    nn.Hardsigmoid(),
    nn.Hardshrink(),
    nn.Softshrink(),
    nn.Threshold(0.0, 0.0),
    nn.ELU(),
    nn.CELU(),
    nn.SELU(),
    nn.Softsign(),
    nn.MaxPool2d(2),
    nn.AdaptiveMaxPool2d(2),
    nn.FractionalMaxPool2d(2, output_size=4),
]


@pytest.mark.parametrize("module", KINKED, ids=lambda module: repr(module))
def test_kinked_modules_are_refused_by_name(module):
    with pytest.raises(InputError, match=rf"body\.1\.act \({type(module).__name__}\) calls aten\.\w+, which is not"):
        require_twice_differentiable(within(module), IMAGE)


CALLS = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "max_pool": lambda x: F.max_pool1d(x.flatten(2), 2),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
    "abs": torch.abs,
    "clamp": lambda x: x.clamp(0.0, 1.0),
    "clamp ": lambda x: x.clamp(min=0.0),
    "hardtanh": F.relu6,
    "elu": F.elu,
    "amax": lambda x: x.amax((2, 3)),
    "max": lambda x: x.flatten(1).max(1).values,
    "maximum": lambda x: torch.maximum(x, -x),
    "sort": lambda x: x.flatten(1).sort(1).values,
    "round": torch.round,
    "floor": lambda x: (x * 255).floor(),
    "sign": torch.sign,
    "remainder": lambda x: x % 1.0,
    "gt": lambda x: torch.where(x > 0, x, 0.1 * x),
    "_to_copy": lambda x: (x * 255).to(torch.uint8).to(x.dtype) + x,
    "softplus": lambda x: F.softplus(x, threshold=1.0),
    "linalg_vector_norm": lambda x: torch.linalg.vector_norm(x, ord=1, dim=1),
    "linalg_vector_norm ": lambda x: torch.linalg.vector_norm(x, ord=math.inf, dim=1),
    "norm": lambda x: F.pairwise_distance(x.flatten(1), x.new_ones(1), p=1),
    "_cdist_forward": lambda x: torch.cdist(x.flatten(1), x.new_ones(3, x[0].numel()), p=1),
    "grid_sampler": moved,
    "relu ": lambda x: Scaled.apply(x, F.relu),
}


@pytest.mark.parametrize(("operation", "function"), CALLS.items(), ids=CALLS)
def test_calls_inside_a_forward_pass_are_refused_by_module_and_operation(operation, function):
    expected = rf"body\.1\.act \(Calls\) calls aten\.{operation.strip()}\w*, which is not twice"
    with pytest.raises(InputError, match=expected):
        require_twice_differentiable(within(Calls(function)), IMAGE)


def test_the_innermost_module_is_named_and_the_networks_own_forward_too():
    network = Calls(lambda images: F.relu(images))
    with pytest.raises(InputError, match=r"the network itself \(Calls\) calls aten\.relu"):
        require_twice_differentiable(network, IMAGE)
    after = nn.Sequential(nn.Tanh(), Calls(F.silu), network)
    with pytest.raises(InputError, match=r"2 \(Calls\) calls aten\.relu"):
        require_twice_differentiable(after, IMAGE)


OWN = {
    "smooth": (Tanh, Tanh.apply),
    "a ReLU outside torch": (OutsideTorch, OutsideTorch.apply),
    "differentiable once": (OutsideTorchOnce, lambda x: OutsideTorchOnce.apply(x + 9) ** 2),
    "straight through a smooth function": (Scaled, lambda x: Scaled.apply(x, torch.tanh)),
    "straight through, scaled": (Scaled, lambda x: Scaled.apply(x, lambda y: 1.1 * y)),
}
"""Functions with a backward pass of their own, of which only the first is the derivative."""


@pytest.mark.parametrize(("function", "applied"), OWN.values(), ids=OWN)
def test_a_function_with_a_backward_pass_of_its_own_is_refused(function: type, applied):
    with pytest.raises(InputError, match=rf"a custom autograd\.Function \({function.__name__}\)"):
        require_twice_differentiable(within(Calls(lambda x: applied(x).tanh())), IMAGE)


def test_a_network_without_products_is_refused():
    attention = Calls(lambda x: F.scaled_dot_product_attention(x, x, x))
    with pytest.raises(InputError, match="needs Hessian-vector products, but autograd fails"):
        require_twice_differentiable(within(attention), IMAGE)


def test_the_check_is_one_forward_pass():
    seen = []

    def counted(x):
        seen.append(len(x))
        return x.tanh()

    require_twice_differentiable(within(Calls(counted)), IMAGE)
    assert seen == [1]


SMOOTH = {
    "tanh": nn.Tanh(),
    "sigmoid": nn.Sigmoid(),
    "softplus": nn.Softplus(beta=5.0),
    "gelu": nn.GELU(),
    "silu": nn.SiLU(),
    "mish": nn.Mish(),
    "tanhshrink": nn.Tanhshrink(),
    "logsigmoid": nn.LogSigmoid(),
    "glu": nn.GLU(1),
    "softmax": nn.Softmax(1),
    "average pooling": nn.AvgPool2d(2),
    "adaptive average": nn.AdaptiveAvgPool2d(3),
    "batch norm": nn.BatchNorm2d(4),
    "group norm": nn.GroupNorm(2, 4),
    "dropout": nn.Dropout(),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "standard deviation": Calls(lambda x: x / x.std((1, 2, 3), keepdim=True)),
    "log-sum-exp": Calls(lambda x: x.logsumexp(1)),
    "sharp softplus": Calls(lambda x: F.softplus(50 * x) / 50),
    "sharp sigmoid": Calls(lambda x: (50 * x).sigmoid()),
    "smoothed absolute value": Calls(lambda x: (x * x + 1e-6).sqrt()),
    "smoothed hypot": Calls(lambda x: torch.hypot(x, x.new_tensor(1e-2))),
    "L2 norm": Calls(lambda x: torch.linalg.vector_norm(x, dim=1)),
    "L3 norm": Calls(lambda x: torch.linalg.vector_norm(x, ord=3, dim=1)),
    "L2 distance": Calls(lambda x: F.pairwise_distance(x.flatten(1), x.new_ones(1))),
    "resampling at fixed places": Calls(
        lambda x: F.grid_sample(x, PLACES.to(x).expand(len(x), -1, -1, -1), align_corners=False)
    ),
    "oscillation": Calls(lambda x: (30 * x).sin()),
    "constant": Calls(lambda x: x * torch.ones(1).relu() + (torch.arange(x.shape[-1]) > 3)),
}


@pytest.mark.parametrize("module", SMOOTH.values(), ids=SMOOTH)
def test_smooth_networks_pass(module):
    require_twice_differentiable(within(module), IMAGE)
    require_twice_differentiable(within(module).double(), IMAGE.double())


def test_kinks_in_the_weights_pass_and_the_network_is_left_alone():
    network = nn.Sequential(PositiveWeights(), nn.BatchNorm2d(3)).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    require_twice_differentiable(network, IMAGE)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    with torch.no_grad(), pytest.raises(InputError, match="act"):  # the caller's grad mode does not matter
        require_twice_differentiable(within(Calls(F.relu)), IMAGE)


def test_a_staircase_defense_is_refused_with_and_without_bpda():
    def stairs(images: Tensor) -> Tensor:
        return (images * 7).round() / 7

    linear = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    with pytest.raises(InputError, match=r"the network itself \(Defended\) calls aten\.round"):
        require_twice_differentiable(Defended(linear, stairs, bpda=False), IMAGE)
    with pytest.raises(InputError, match=r"not defined for a transformation with BPDA: transformation \("):
        require_twice_differentiable(Defended(linear, stairs), IMAGE)


@pytest.mark.parametrize("defense", [JPEG(), JPEG(to_uint8="truncate"), BitDepth(), Quantize(), PNG()])
def test_no_defense_of_ours_but_the_identity_has_a_second_order(defense):
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))
    for bpda in (True, False):
        with pytest.raises(InputError, match="second order is not defined"):
            require_twice_differentiable(Defended(linear, defense, bpda=bpda), IMAGE)
        require_twice_differentiable(Defended(linear, Identity(), bpda=bpda), IMAGE)


def test_a_smooth_defense_is_covered_without_bpda_and_refused_with_it():
    linear, blur = nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)), nn.AvgPool2d(3, 1, 1)
    require_twice_differentiable(Defended(linear, blur, bpda=False), IMAGE)
    with pytest.raises(InputError, match="has the derivatives of a substitute"):
        require_twice_differentiable(Defended(linear, blur), IMAGE)


def test_draws_beyond_one_pass_are_no_custom_function():
    noisy = Defended(
        nn.Sequential(nn.Flatten(), nn.Linear(48, 4), nn.Tanh()), Expectation(Noise(0.1), draws=10), bpda=False
    )
    example = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double()
    require_twice_differentiable(noisy.double().requires_grad_(False).eval(), example)
    assert noisy.transformation.draws == 10


def test_densenet_is_refused_as_published_and_with_smooth_modules_but_its_own_relu_call():
    models = pytest.importorskip("torchvision.models")
    network = models.densenet121(weights=None).eval()
    with pytest.raises(InputError, match=r"features\.relu0 \(ReLU\)"):
        require_twice_differentiable(network, IMAGE)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Softplus())
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(3, 2, 1))
    with pytest.raises(InputError, match=r"the network itself \(DenseNet\) calls aten\.relu"):
        require_twice_differentiable(network, IMAGE)
