"""The networks of the benchmarks, two with random weights, since speed does not depend on them, and published ones; and
images that these are asked about."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torchvision
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import Tensor, nn

from clever import Normalize, paper
from clever.classifier.image_context import ImageContext, image_context
from clever.classifier.wrappers import finite_logits, frozen
from pipeline.prepare.digits import Digits
from pipeline.prepare.source import Candidate

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS, CONF = ROOT / "data" / "weights", ROOT / "conf"
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


def published(name: str) -> nn.Module:
    """The network of that name in data/weights, in evaluation mode."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        model = compose(overrides=[f"+model={name}"]).model
    made = instantiate(model.network)
    made.load_state_dict(torch.load(WEIGHTS / f"{name}.pt", weights_only=True))
    return nn.Sequential(Normalize(model.normalize.mean, model.normalize.std), made).eval()


def held_out(count: int) -> tuple[Tensor, Tensor]:
    """The first of the digits that training does not see, (count, 3, 32, 32) in [0,1], and their classes."""
    first = list(islice(_candidates(), count))
    return _pixels(first), torch.tensor([candidate.label for candidate in first])


def held_out_by_id(ids: Iterable[str]) -> Tensor:
    """Those of these ids, (image, 3, 32, 32) in [0,1]."""
    known = {candidate.id: candidate for candidate in _candidates()}
    return _pixels([known[of] for of in ids])


def _candidates() -> Iterator[Candidate]:
    return Digits(n_images=360, size=32).candidates(1215)  # as conf/data/digits.yaml has it


def _pixels(candidates: list[Candidate]) -> Tensor:
    return torch.from_numpy(np.stack([candidate.load() for candidate in candidates])).float() / 255


def second_classes(net: nn.Module, images: Tensor, labels: Tensor, count: int) -> tuple[Tensor, list[int], list[int]]:
    """The first ``count`` images that the network is right on, their classes, and the second most likely ones."""
    with frozen(net), torch.no_grad():
        order = net(images).argsort(1, descending=True)
    right = (order[:, 0] == labels).nonzero().flatten()[:count]
    return images[right], order[right, 0].tolist(), order[right, 1].tolist()


def subject_with_targets(net: nn.Module, image: Tensor, count: int) -> tuple[ImageContext, list[int]]:
    """The image ready for scoring, with the ``count`` most likely classes beside the predicted one as targets."""
    targets = finite_logits(net, image.unsqueeze(0))[0].argsort(descending=True).tolist()[1 : count + 1]
    context = image_context(net, image, 0, targets, paper())
    assert context is not None  # it has no label to differ from
    return context, targets
