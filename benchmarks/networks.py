"""The two networks of the benchmarks, with random weights: speed does not depend on them."""

import torch
import torchvision
from torch import Tensor, nn

from clever import paper
from clever.models import logits_of
from clever.subjects import Subject, subject_of

SIZES = {"densenet121": 224, "small": 32}
"""The image size of each, in pixels."""


def network(name: str, device: str = "cpu") -> nn.Module:
    """``densenet121`` of torchvision, or the ``small`` DenseNet of the default experiment, in evaluation mode."""
    torch.manual_seed(0)
    if name == "densenet121":
        made = torchvision.models.densenet121(weights=None)
    else:
        made = torchvision.models.DenseNet(8, (3, 3, 3), 16, bn_size=2, num_classes=10)
    return made.eval().to(device)


def subject_with_targets(net: nn.Module, image: Tensor, count: int) -> tuple[Subject, list[int]]:
    """The image ready for scoring, with the ``count`` most likely classes beside the predicted one as targets."""
    targets = logits_of(net, image.unsqueeze(0))[0].argsort(descending=True).tolist()[1 : count + 1]
    subject = subject_of(net, image, 0, targets, paper())
    assert subject is not None  # it has no label to differ from
    return subject, targets
