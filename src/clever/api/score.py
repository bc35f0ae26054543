"""The public call: images in any form in, `clever.Scores` out."""

import warnings
from collections.abc import Iterable, Sequence

from torch import nn
from tqdm.auto import tqdm

from clever.bounds.first_order import Order
from clever.bounds.order_names import parse_order
from clever.classifier.image_context import ImageContext, image_contexts
from clever.classifier.wrappers import frozen
from clever.errors import GradientMasking, InputError
from clever.inputs.images import Images, image_batch
from clever.norms import Norm
from clever.results.record import run_record
from clever.results.score import Score
from clever.results.scores import Scores
from clever.sampling.samplers import direct_sampler
from clever.scoring.engine import check_order, points_per_class, score_images, vanishing_message
from clever.settings import Settings, paper

TARGETS: tuple[str | int, ...] = ("top2", "random", "least")
NORMS: tuple[str, ...] = tuple(map(str, Norm))


def score(
    network: nn.Module,
    images: Images,
    settings: Settings | None = None,
    *,
    targets: str | int | Sequence[str | int] = TARGETS,
    norms: str | Sequence[str] = NORMS,
    order: str | Order = "first_order",
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
    ``targets``: "top2", "random", "least", "untargeted" or class numbers. ``norms``: "L1", "L2", "Linf". One target or
    norm may be given alone. The predicted class is the one defended. With labels, which come with the images or as
    ``labels``, misclassified images are left out, as the papers do (`Scores.left_out`; a warning where none remains).
    ``order``: "first_order", "second_order" or "gauge", or an object with other settings, such as
    ``clever.SecondOrder(seed=7)``. ``names``: what tables call the images. ``progress``: a bar of sampled points, on
    stderr.

    The same arguments give the same numbers, and those of an image do not depend on which others there are.
    `InputError` for what cannot be scored, before anything is sampled; `NotFinite` where NaN or infinity turns up in
    sampling. `GradientMasking` is a warning, once a call.
    """
    settings = paper() if settings is None else settings
    order = parse_order(order)
    targets = [targets] if isinstance(targets, str | int) else list(targets)
    norms = [Norm.parse(norm) for norm in ([norms] if isinstance(norms, str) else norms)]
    if not norms:
        raise InputError(f"no norm: choose from {', '.join(NORMS)}")
    batch = image_batch(images, network, labels)
    called = tuple(names or ())
    if called and len(called) != len(batch.images):
        raise InputError(f"{len(called)} names for {len(batch.images)} images: there must be one for each, or none")
    found: list[Score] = []
    with frozen(network):
        check_order(network, batch.images[:1], settings, order)
        contexts = list(image_contexts(network, batch.images, targets, settings, batch.labels))
        left = points_per_class(settings, norms) * sum(len(context.classes) for context in contexts)
        with tqdm(total=left, unit="point", unit_scale=True, disable=not progress or not left, smoothing=0) as bar:

            def correct(_: ImageContext, left: int) -> None:
                bar.total = bar.n + left  # a tolerance may have saved some

            for _, scores in score_images(
                network,
                contexts,
                batch.images.__getitem__,
                settings,
                norms=norms,
                order=order,
                sampler=direct_sampler(bar.update),
                finished=correct,
            ):
                found += scores
    if message := vanishing_message(found):
        warnings.warn(
            f"{message}. A transformation that cannot be differentiated belongs into clever.Defended or clever.BPDA, "
            "whose backward pass is not zero; a network that ends in a saturated softmax or sigmoid should give its "
            "logits",
            GradientMasking,
            stacklevel=2,
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
    return Scores(tuple(found), run_record(network, batch.images, settings, targets, norms, order), called, left_out)
