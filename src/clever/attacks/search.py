"""The smallest adversarial distances that targeted minimum-norm attacks find, all ways of searching together."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever._internal.checks import require_int
from clever._internal.types import Transformation
from clever.attacks.carlini_wagner import carlini_wagner
from clever.attacks.criterion import HELD_OUT, UNSEEN, HeldOutDraws, SuccessCriterion, randomness
from clever.attacks.ddn import ddn
from clever.attacks.descent import descend, pixelwise
from clever.attacks.fast_minimum_norm import fast_minimum_norm, fast_minimum_norm_from
from clever.attacks.jpeg_local_search import jpeg_local_search
from clever.attacks.refine import HALVINGS, OUTWARD, BestSoFar, overshoot, shrink, snap_back, sparsify
from clever.attacks.strength import Method, Strength, check_method
from clever.classifier.compute import Compute
from clever.classifier.wrappers import finite_logits, frozen
from clever.defenses.bpda import BPDA, Defended
from clever.defenses.chain import Chain, Identity, parts
from clever.defenses.expectation import Expectation
from clever.defenses.jpeg.linearized import Linearized
from clever.errors import InputError
from clever.norms import Norm

MEMORIES = (0.9, 0.8, 0.95, 0.7)
"""Of `clever.descend`, start by start: which one comes nearest differs from image to image."""


@dataclass(frozen=True)
class Found:
    """The nearest adversarial image that was found for each row.

    ``distance``: to the original, in [0,1]-pixel units and the norm asked for; infinite where nothing was found.
    ``images``: the adversarial ones, the original where nothing was found. ``rate``: behind a random defense, the share
    of the held-out draws (`SuccessCriterion`) that predict the target class for the image; ``unseen``, of as many
    others, which nothing of the search depends on. NaN where nothing is random or found. ``forwards`` and
    ``backwards``: the passes through the network that the search has cost each row, each draw's one, at most.
    """

    distance: Float[Tensor, " row"]
    images: Float[Tensor, "row channel height width"]
    rate: Float[Tensor, " row"]
    unseen: Float[Tensor, " row"]
    forwards: int
    backwards: int

    @property
    def success(self) -> Bool[Tensor, " row"]:
        """Where something was found."""
        return self.distance.isfinite()


def smallest_distances(
    network: nn.Module,
    images: Float[Tensor, "row channel height width"],
    predicted: Sequence[int],
    targets: Sequence[int],
    norm: Norm,
    strength: Strength,
    *,
    seed: int,
    criterion: SuccessCriterion = SuccessCriterion(),  # noqa: B008 (frozen)
) -> Found:
    """How near to each image the attacks found one that ``network`` predicts the target class for.

    Guarantee: a finite distance is that of an image in [0,1] which the network, its transformation included, took for
    the target class: no less than the true smallest distance, however much more.
    It is 0 where the network takes the original for the target class. The same arguments give the same result. Behind a
    random defense the network is the mean over its own draws, and held-out draws accepted the image, too
    (`SuccessCriterion`).

    The network maps images in [0,1] to logits and is left as it was; what goes back through it are its own gradients,
    so a `Defended` one is attacked by BPDA. All rows are attacked at once. Behind a staircase whose steps are known
    (`clever.attacks.descent.pixelwise`) the way is `clever.descend`, by the minimiser of the gauge, and behind JPEG then
    `clever.attacks.jpeg_local_search` from where that ended. Elsewhere it is DDN (Rony et al. 2019) for L2 and FMN
    (Pintor et al. 2021) for L1 and Linf from the original, then `fast_minimum_norm_from` where that ended. What was
    found is then refined (`clever.attacks.refine`). `InputError` for what cannot be attacked.
    """
    _check(images, predicted, targets, seed)
    check_method(strength, norm)
    with frozen(network), Compute().arithmetic():
        _check_network(network, images, targets)
        counted, labels = PassCounter(network).eval(), torch.tensor(targets, device=images.device)
        staircase = _staircase(network)
        codec, straight = _behind_codec(network) or (None, network)
        straight = PassCounter(straight).eval()
        held_out, unseen = _held_out(network, criterion)

        def new_run(kept: Norm) -> BestSoFar:
            return BestSoFar(counted, images, labels, kept, held_out=held_out)

        nearest = new_run(norm)
        nearest.keep_if_closer(images)
        if strength.method is Method.CARLINI_WAGNER:
            steps, weights = strength.steps, strength.starts
            _keep(nearest, carlini_wagner(nearest.network, images, labels, weights=weights, steps=steps))
        else:
            _every_way(nearest, new_run, staircase, codec, straight, strength, seed)
        elsewhere = nearest.rate  # NaN
        if unseen:
            elsewhere = unseen.rate(nearest.image, labels).where(nearest.distance.isfinite(), math.nan)
    forwards, backwards = (sum(getattr(part, of) for part in (counted, straight)) for of in ("forwards", "backwards"))
    forwards += held_out.forwards if held_out else 0
    return Found(nearest.distance, nearest.image, nearest.rate, elsewhere, forwards, backwards)


def _every_way(
    nearest: BestSoFar,
    new_run: Callable[[Norm], BestSoFar],
    staircase: Transformation | None,
    codec: Linearized | None,
    straight: nn.Module,
    strength: Strength,
    seed: int,
) -> None:
    """Keeps in ``nearest`` what each way finds from each start; every run of a way has a `BestSoFar` of its own."""
    images, norm = nearest.originals, nearest.norm
    generator = torch.Generator(images.device).manual_seed(seed)
    for start in range(strength.starts):
        if staircase and _known(staircase):
            memory, run = MEMORIES[start % len(MEMORIES)], new_run(norm)
            descend(run.margin, images, norm, steps=strength.steps, defense=staircase, memory=memory)
            if codec and norm is not Norm.LINF:  # whose least is half a level of every pixel, often enough
                snap_back(run, staircase)
                run.network = straight
                jpeg_local_search(run, codec, strength.steps, torch.Generator(images.device).manual_seed(seed + start))
            nearest.keep_if_closer(run.image)
            continue
        # Many small changes of pixels on steps cost L1 little once they are snapped back: L2's ways are tried too.
        for searched in [Norm.L1, Norm.L2] if norm is Norm.L1 and staircase else [norm]:
            run, scale = new_run(searched), 2.0 ** ((start + 1) // 2 * (-1 if start % 2 else 1))
            _minimum_norm(run, strength.steps, scale, generator)
            # Of two images the nearer one need not be the nearer one when both are snapped back.
            nearest.keep_if_closer(_snapped(run, staircase).image)
            fast_minimum_norm_from(run, strength.steps, 2 * scale)
            shrink(run)
            nearest.keep_if_closer(_snapped(run, staircase).image)
    if staircase:
        snap_back(nearest, staircase)
        if norm is not Norm.LINF:  # the largest change is what it is, whatever becomes of others
            sparsify(nearest, staircase, strength.rounds, torch.Generator(images.device).manual_seed(seed))


def _minimum_norm(run: BestSoFar, steps: int, scale: float, generator: torch.Generator) -> None:
    """The attack from the original for the norm of this run, and its projections."""
    if run.norm is Norm.L2:
        found = ddn(run.network, run.originals, run.targets, steps=steps, generator=generator, radius=scale)
    else:
        found = fast_minimum_norm(run.network, run.originals, run.targets, run.norm, steps=steps, step_size=scale)
    _keep(run, found)
    shrink(run)


def _keep(run: BestSoFar, found: Float[Tensor, "row channel height width"]) -> None:
    run.keep_if_closer(found)
    if run.held_out:
        overshoot(run, found)


def _held_out(network: nn.Module, criterion: SuccessCriterion) -> tuple[HeldOutDraws | None, HeldOutDraws | None]:
    """The draws that decide, and those that are asked in the end alone; none where nothing is random."""
    transformation = randomness(network)
    if transformation is None or not isinstance(network, Defended):
        return None, None
    decide, confirm = (HeldOutDraws(network, transformation, criterion, first) for first in (HELD_OUT, UNSEEN))
    return decide, confirm


class PassCounter(nn.Module):
    """A network with its passes counted, as many as its mean has draws: backward ones where the input asks for it."""

    def __init__(self, network: nn.Module, draws: int | None = None) -> None:
        super().__init__()
        self.network, self.forwards, self.backwards = network, 0, 0
        self.draws = draws or _draws(network.defense if isinstance(network, Defended) else Identity())

    def forward(self, images: Float[Tensor, "row channel height width"]) -> Float[Tensor, "row class"]:
        """The network's logits."""
        self.forwards += self.draws
        self.backwards += self.draws * images.requires_grad
        return self.network(images)  # type: ignore[no-any-return]


def passes(
    norm: Norm,
    strength: Strength,
    defense: Transformation,
    *,
    criterion: SuccessCriterion = SuccessCriterion(),  # noqa: B008 (frozen)
) -> int:
    """About how many forward and backward passes the search takes for each row, forward passes alone counted half.

    A pass is one over all draws of a mean; that fresh draws judge every image on the way is counted, which is the most.
    """
    if strength.method is Method.CARLINI_WAGNER:
        return strength.starts * strength.steps
    staircase = _stairs(defense)
    thinned = (staircase is not None and norm is not Norm.LINF) * strength.rounds // 2
    descents = strength.steps * (staircase is not None and _known(staircase))
    descents *= 1 + (norm is not Norm.LINF and any(isinstance(part, Linearized) for part in parts(defense)))
    # The attack from the original and the one from there, for L1 on a staircase those of L2 as well.
    ways = 0 if descents else 4 if norm is Norm.L1 and staircase else 2
    alone = (descents + ways * (strength.steps + HALVINGS)) * strength.starts + thinned
    if randomness(Defended(nn.Identity(), defense)) is None:
        return alone
    judged = (ways // 2 * (strength.steps + len(OUTWARD)) + ways * 2 * HALVINGS) * strength.starts + 2 * thinned
    return alone + judged * criterion.draws // _draws(defense) // 2


def _snapped(run: BestSoFar, staircase: Transformation | None) -> BestSoFar:
    settled = copy(run)
    if staircase:
        snap_back(settled, staircase)
        shrink(settled)
    return settled


def _draws(defense: Transformation) -> int:
    return defense.draws if isinstance(defense, Expectation) else 1


def _known(staircase: Transformation) -> bool:
    return not isinstance(pixelwise(staircase), Identity)


def _behind_codec(network: nn.Module) -> tuple[Linearized, Defended] | None:
    """JPEG and the classifier with the gradients of f at t(x), where it is behind JPEG alone and attacked by BPDA."""
    if not isinstance(network, Defended) or not isinstance(network.transformation, BPDA):
        return None
    match parts(network.defense):
        case [Linearized() as codec]:
            return codec, Defended(network.network, codec)
    return None


def _staircase(network: nn.Module) -> Transformation | None:
    return _stairs(network.defense if isinstance(network, Defended) else Identity())


def _stairs(defense: Transformation) -> Transformation | None:
    # the mean over several draws is no map of images, so that it has no steps either
    return None if isinstance(defense, Identity | Expectation) else Chain([defense])


def check_images(images: Tensor) -> None:
    """`InputError` for what is no batch of images in [0,1]."""
    if images.ndim != 4 or not images.numel():
        raise InputError(f"images of shape {tuple(images.shape)}: it must be (row, channel, height, width), not empty")
    if not images.is_floating_point() or not (float(images.amin()) >= 0 and float(images.amax()) <= 1):
        raise InputError(
            f"images of {images.dtype} from {images.amin():g} to {images.amax():g}: they must be floating point "
            "numbers in [0,1], with normalisation inside the network (clever.Normalize)"
        )


def _check(images: Tensor, predicted: Sequence[int], targets: Sequence[int], seed: int) -> None:
    require_int("seed", seed, 0)
    check_images(images)
    for name, classes in (("predicted", predicted), ("target", targets)):
        if len(classes) != len(images):
            raise InputError(f"{len(classes)} {name} classes for {len(images)} images: it must be one an image")
    same = [row for row, (own, target) in enumerate(zip(predicted, targets, strict=True)) if own == target]
    if same:
        raise InputError(f"the target class of row(s) {same[:10]} is the predicted class: choose another class")


def _check_network(network: nn.Module, images: Tensor, targets: Sequence[int]) -> None:
    classes = finite_logits(network, images).shape[1]
    for target in targets:
        if not 0 <= target < classes:
            raise InputError(f"target class {target}: the network has classes 0 to {classes - 1}")
    with torch.enable_grad():
        if not network(images[:1].detach().requires_grad_()).requires_grad:
            raise InputError(
                "the logits do not depend on the input in a way that can be differentiated: put the part that "
                "cannot be differentiated into clever.BPDA"
            )
