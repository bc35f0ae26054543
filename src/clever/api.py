"""The public call: images in any form in, `clever.Scores` out."""

import warnings
from collections.abc import Iterable, Sequence

from torch import nn

from clever.errors import InputError
from clever.images import Images, batch_of
from clever.orders import FirstOrder, Order
from clever.record import run_of
from clever.score import NORMS, TARGETS, scores_of
from clever.scores_table import Scores
from clever.settings import Settings, paper


def score(
    network: nn.Module,
    images: Images,
    settings: Settings | None = None,
    *,
    targets: Sequence[str | int] = TARGETS,
    norms: Sequence[str] = NORMS,
    order: Order = FirstOrder(),  # noqa: B008 (frozen)
    labels: Sequence[int] | None = None,
    names: Iterable[str] | None = None,
    progress: bool = True,
) -> Scores:
    """CLEVER of each image, target and norm (Weng et al. 2018, algorithm 1; of a `Defended` network, CLEVER-BPDA).

    What is estimated is a lower bound of the distance to an adversarial image, but for a `Defended` network with BPDA
    in first order: there it is one of the distance from t(x0) to what f must see (`Defended`).

    ``network`` maps images in [0,1] to logits and may be any module, on any device. ``images``: a tensor or NumPy array
    (N,C,H,W), or one image (C,H,W), of numbers in [0,1] or of type uint8, which is divided by 255; a `DataLoader`; a
    `Dataset` or other iterable of images (tensors, arrays, PIL images), each alone or with its label. All are held in
    memory at once, on the network's device and in its floating-point type.

    ``settings``: `paper()` where none are given, half a million gradients for each image, target class and norm.
    ``targets``: "top2", "random", "least", "untargeted" or class numbers. The predicted class is the one defended. With
    labels, which come with the images or as ``labels``, misclassified images are left out, as the papers do
    (`Scores.left_out`; a warning where none remains).
    ``order``: `FirstOrder`, `SecondOrder` or `Gauge`. ``names``: what tables call the images. ``progress``: a bar of
    sampled points, on stderr.

    The same arguments give the same numbers, and those of an image do not depend on which others there are.
    `InputError` for what cannot be scored, before anything is sampled; `NotFinite` where NaN or infinity turns up in
    sampling. `GradientMasking` is a warning, once a call.
    """
    settings = paper() if settings is None else settings
    batch = batch_of(images, network, labels)
    called = tuple(names or ())
    if called and len(called) != len(batch.images):
        raise InputError(f"{len(called)} names for {len(batch.images)} images: there must be one for each, or none")
    found = scores_of(
        network,
        batch.images,
        settings,
        targets=targets,
        norms=norms,
        order=order,
        labels=batch.labels,
        progress=progress,
    )
    labels, scored = batch.labels or [], {one.image_index for one in found}
    left_out = tuple(index for index in range(len(labels)) if index not in scored)
    if left_out and not scored:
        warnings.warn(
            f"all {len(left_out)} images are left out: the network takes none for its label ({labels[0]} for the "
            "first). Labels must be the numbers of the network's classes; those of torchvision's ImageFolder count its "
            "folders from 0",
            stacklevel=2,
        )
    return Scores(tuple(found), run_of(network, batch.images, settings, targets, norms, order), called, left_out)
