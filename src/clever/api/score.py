"""The public function `clever.score`."""

import warnings
from collections.abc import Callable, Iterable, Sequence

from torch import nn
from tqdm.auto import tqdm

from clever.api.arguments import as_list, name_tuple, norm_list
from clever.bounds.first_order import FirstOrder, Order
from clever.bounds.gauge.order import Gauge
from clever.bounds.second_order import SecondOrder
from clever.classifier.image_context import image_contexts
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
ORDERS: dict[str, Callable[[], Order]] = {"first_order": FirstOrder, "second_order": SecondOrder, "gauge": Gauge}


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
    """CLEVER scores of each image, target and norm (Weng et al. 2018, algorithm 1; `Defended` networks: CLEVER-BPDA).

    A score estimates a lower bound on the distance to the nearest adversarial image: min(g(x0) / L, R) in first order,
    where g is the margin of the predicted over the target class and L the largest dual norm of its gradient in a ball
    of radius R (`clever.FirstOrder`, `clever.SecondOrder`, `clever.Gauge`). Exception: in first order, for a `Defended`
    network with BPDA, it estimates a lower bound on the distance after the transformation.

    ``network``: any module, on any device, that maps images in [0,1] to logits. ``images``: a tensor or NumPy array
    (N,C,H,W), or one image (C,H,W), of floats in [0,1] or uint8, which is divided by 255; a `DataLoader`; a `Dataset`
    or other iterable of images (tensors, arrays, PIL images), each alone or with its label. All images are held in
    memory, on the network's device and in its floating-point dtype.

    ``settings``: default `paper()`, half a million gradients per image, target class and norm. ``targets``: "top2" (the
    runner-up class), "random", "least" (the least likely class), "untargeted" (the smallest score over all classes) or
    class numbers. ``norms``: "L1", "L2", "Linf". A single target or norm need not be in a list. The margin is that of
    the predicted class. If labels are given, with ``images`` or as ``labels``, misclassified images are left out, as in
    the papers (`Scores.left_out`; a warning if none remains). ``order``: "first_order", "second_order" or "gauge", or
    an object with its own parameters, such as ``clever.SecondOrder(seed=7)``. ``names``: image names for tables.
    ``progress``: show a progress bar on stderr.

    The same arguments give the same numbers, and the scores of an image do not depend on the other images. `InputError`
    for invalid input, before sampling starts; `NotFinite` for NaN or infinity during sampling. One `GradientMasking`
    warning per call if gradients vanish.

        scores = clever.score(network, images, clever.paper(n_batches=50), targets="top2", norms="L2")
        scores[0].score, scores.to_frame()
    """
    settings = paper() if settings is None else settings
    order = _parse_order(order)
    targets, norms = as_list(targets), norm_list(norms)
    batch = image_batch(images, network, labels)
    image_names = name_tuple(names, len(batch.images))
    scored: list[Score] = []
    with frozen(network):
        check_order(network, batch.images[:1], settings, order)
        contexts = list(image_contexts(network, batch.images, targets, settings, batch.labels))
        points = points_per_class(settings, norms) * sum(len(context.classes) for context in contexts)
        with tqdm(total=points, unit="point", unit_scale=True, disable=not progress or not points, smoothing=0) as bar:
            for _, scores in score_images(
                network,
                contexts,
                batch.images.__getitem__,
                settings,
                norms=norms,
                order=order,
                sampler=direct_sampler(bar.update),
            ):
                scored += scores
    if message := vanishing_message(scored):
        warnings.warn(
            f"{message}. Wrap a non-differentiable transformation in clever.Defended or clever.BPDA, whose backward "
            "pass is not zero; remove a saturated softmax or sigmoid, so that the network returns logits",
            GradientMasking,
            stacklevel=2,
        )
    labels, indices = batch.labels or [], {item.image_index for item in scored}
    left_out = tuple(index for index in range(len(labels)) if index not in indices)
    if left_out and not scored:
        warnings.warn(
            f"all {len(left_out)} images are left out as misclassified (the first label is {labels[0]}). Labels must "
            "be the network's class numbers; torchvision's ImageFolder numbers its folders from 0",
            stacklevel=2,
        )
    run = run_record(network, batch.images, settings, targets, norms, order)
    return Scores(tuple(scored), run, image_names, left_out)


def _parse_order(order: Order | str) -> Order:
    """The order with this name and default parameters, or the order itself; `InputError` for anything else."""
    if isinstance(order, str) and order.lower() in ORDERS:
        return ORDERS[order.lower()]()
    if isinstance(order, str | type) or not all(hasattr(order, name) for name in ("check", "measure", "bound")):
        raise InputError(
            f"unknown order {order!r}: it must be one of {', '.join(ORDERS)}, or an object such as "
            "clever.SecondOrder(seed=7)"
        )
    return order
