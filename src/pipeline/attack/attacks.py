"""Upper bounds for CLEVER: the smallest adversarial distances that targeted minimum-distance attacks find."""

import math
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from clever.bpda import BPDA, Defended, Transformation
from clever.chain import Chain, Identity, parts
from clever.checks import whole
from clever.compute import Compute
from clever.descent import descend, pixelwise
from clever.ensemble import Expectation
from clever.errors import InputError
from clever.jpeg_linear import Linearized
from clever.models import frozen, logits_of
from clever.norms import Norm
from clever.quantization import PNG
from pipeline.attack.chance import UNSEEN, Chance, Eot, Fresh, Jury, randomness
from pipeline.attack.codec import trade
from pipeline.attack.library import carlini_wagner, minimum_norm
from pipeline.attack.refine import HALVINGS, OUTWARD, Nearest, settle, shrink, thin, walk
from pipeline.attack.strength import Method, Strength, check_method

MEMORIES = (0.9, 0.8, 0.95, 0.7)
"""Of `clever.descend`, start by start: which one comes nearest differs from image to image."""


@dataclass(frozen=True)
class Found:
    """The nearest adversarial image that was found for each row.

    ``distance``: to the original, in [0,1]-pixel units and the norm asked for; infinite where nothing was found.
    ``images``: the adversarial ones, the original where nothing was found. ``rate``: behind a random defense, the share
    of the fresh draws that success is counted by (`Chance`) which take the image for the target class; ``unseen``, of
    as many others, which nothing of the search depends on. NaN where nothing is random or found. ``forwards`` and
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
    eight_bits: bool = False,
    chance: Chance = Chance(),  # noqa: B008 (frozen)
) -> Found:
    """How near to each image the attacks found one that ``network`` takes for the target class.

    Guarantee: a finite distance is that of an image in [0,1], with ``eight_bits`` rounded to 8 bits, which the network,
    its transformation included, took for the target class: no less than the true smallest distance, however much more.
    It is 0 where the network takes the original for the target class. The same arguments give the same result. Behind a
    random defense the network is the mean over its own draws, and the image has convinced fresh ones, too (`Chance`).

    The network maps images in [0,1] to logits and is left as it was; what goes back through it are its own gradients,
    so a `Defended` one is attacked by BPDA. All rows are attacked at once. Behind a staircase whose steps are known
    (`clever.pixelwise`) the way is `clever.descend`, by the minimiser of the gauge, and behind JPEG then
    `pipeline.attack.codec.trade` from where that ended. Elsewhere it is an attack of the library, DDN (Rony et al.
    2019) for L2, FMN (Pintor et al. 2021) for L1 and Linf, then `walk` from where that ended. What was found is then
    refined (`pipeline.attack.refine`). `InputError` for what cannot be attacked.
    """
    _check(images, predicted, targets, seed)
    check_method(strength, norm)
    with frozen(network), Compute().arithmetic():
        _check_network(network, images, targets)
        counted, labels = Counted(network).eval(), torch.tensor(targets, device=images.device)
        staircase = _staircase(network, eight_bits)
        codec, straight = _behind_codec(network) or (None, network)
        straight = Counted(straight).eval()
        gradients, jury, unseen = _random(network, counted, chance)

        def ledger(kept: Norm) -> Nearest:
            return Nearest(counted, images, labels, kept, eight_bits=eight_bits, searched=gradients, jury=jury)

        nearest = ledger(norm)
        nearest.offer(images)
        if strength.method is Method.CARLINI_WAGNER:
            carlini_wagner(nearest, strength.steps, strength.starts)
        else:
            _every_way(nearest, ledger, staircase, codec, straight, strength, seed)
        elsewhere = nearest.rate  # NaN
        if unseen:
            elsewhere = unseen.rate(nearest.image, labels).where(nearest.distance.isfinite(), math.nan)
    asked = {counted, gradients, straight}
    forwards, backwards = (sum(getattr(part, of) for part in asked) for of in ("forwards", "backwards"))
    forwards += jury.forwards if jury else 0
    return Found(nearest.distance, nearest.image, nearest.rate, elsewhere, forwards, backwards)


def _every_way(
    nearest: Nearest,
    ledger: Callable[[Norm], Nearest],
    staircase: Transformation | None,
    codec: Linearized | None,
    straight: nn.Module,
    strength: Strength,
    seed: int,
) -> None:
    """Offers ``nearest`` what each way finds from each start, every run of a way with a ledger of its own."""
    images, norm, eight_bits = nearest.originals, nearest.norm, nearest.eight_bits
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        torch.manual_seed(seed)  # the library draws from the global generators
        for start in range(strength.starts):
            if staircase and _known(staircase):
                memory, run = MEMORIES[start % len(MEMORIES)], ledger(norm)
                descend(run.margin, images, norm, steps=strength.steps, defense=staircase, memory=memory)
                if codec and norm is not Norm.LINF:  # whose least is half a level of every pixel, often enough
                    settle(run, staircase)
                    run.network = run.searched = straight
                    generator = torch.Generator(images.device).manual_seed(seed + start)
                    trade(run, codec, strength.steps, generator)
                nearest.offer(run.image)
                if not eight_bits:  # where a jump costs a whole level, its minimiser is not quite the nearest
                    continue
            # Many small changes of pixels on steps cost L1 little once they are settled: L2's ways are tried too.
            for searched in [Norm.L1, Norm.L2] if norm is Norm.L1 and staircase else [norm]:
                run, scale = ledger(searched), 2.0 ** ((start + 1) // 2 * (-1 if start % 2 else 1))
                minimum_norm(run, strength.steps, scale)
                # Of two images the nearer one need not be the nearer one when both are settled.
                nearest.offer(_settled(run, staircase).image)
                walk(run, strength.steps, 2 * scale)
                shrink(run)
                nearest.offer(_settled(run, staircase).image)
    if staircase:
        settle(nearest, staircase)
        if norm is not Norm.LINF:  # the largest change is what it is, whatever becomes of others
            thin(nearest, staircase, strength.rounds, torch.Generator(images.device).manual_seed(seed))


def _random(network: nn.Module, counted: "Counted", chance: Chance) -> tuple["Counted", Jury | None, Jury | None]:
    """What the search differentiates, whom it must convince, and who is asked in the end."""
    transformation = randomness(network)
    if transformation is None or not isinstance(network, Defended):
        return counted, None, None
    fresh = Eot.named(chance.eot) is Eot.FRESH
    searched = Counted(Fresh(network, transformation), counted.draws).eval() if fresh else counted
    return searched, Jury(network, transformation, chance), Jury(network, transformation, chance, UNSEEN)


class Counted(nn.Module):
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
    eight_bits: bool,
    chance: Chance = Chance(),  # noqa: B008 (frozen)
) -> int:
    """About how many forward and backward passes the search takes for each row, forward passes alone counted half.

    A pass is one over all draws of a mean; that fresh draws judge every image on the way is counted, which is the most.
    """
    if strength.method is Method.CARLINI_WAGNER:
        return strength.starts * strength.steps
    staircase = _stairs(defense, eight_bits)
    thinned = (staircase is not None and norm is not Norm.LINF) * strength.rounds // 2
    descents = strength.steps * (staircase is not None and _known(staircase))
    descents *= 1 + (norm is not Norm.LINF and any(isinstance(part, Linearized) for part in parts(defense)))
    # The library's attack and a walk, for L1 on a staircase those of L2 as well.
    ways = 0 if descents and not eight_bits else 4 if norm is Norm.L1 and staircase else 2
    alone = (descents + ways * (strength.steps + HALVINGS)) * strength.starts + thinned
    if randomness(Defended(nn.Identity(), defense)) is None:
        return alone
    judged = (ways // 2 * (strength.steps + len(OUTWARD)) + ways * 2 * HALVINGS) * strength.starts + 2 * thinned
    again = strength.steps * (ways // 2) * strength.starts if Eot.named(chance.eot) is Eot.FRESH else 0
    return alone + (judged * chance.draws // _draws(defense) + again) // 2


def _settled(run: Nearest, staircase: Transformation | None) -> Nearest:
    settled = copy(run)
    if staircase:
        settle(settled, staircase)
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


def _staircase(network: nn.Module, eight_bits: bool) -> Transformation | None:
    return _stairs(network.defense if isinstance(network, Defended) else Identity(), eight_bits)


def _stairs(defense: Transformation, eight_bits: bool) -> Transformation | None:
    # the mean over several draws is no map of images, so that it has no steps either
    stairs = [PNG()] * eight_bits + [defense] * (not isinstance(defense, Identity | Expectation))
    return Chain(stairs) if stairs else None


def _check(images: Tensor, predicted: Sequence[int], targets: Sequence[int], seed: int) -> None:
    whole("seed", seed, 0)
    if images.ndim != 4 or not images.numel():
        raise InputError(f"images of shape {tuple(images.shape)}: it must be (row, channel, height, width), not empty")
    if not images.is_floating_point() or not (float(images.amin()) >= 0 and float(images.amax()) <= 1):
        raise InputError(
            f"images of {images.dtype} from {images.amin():g} to {images.amax():g}: they must be floating point "
            "numbers in [0,1], with normalisation inside the network (clever.Normalize)"
        )
    for name, classes in (("predicted", predicted), ("target", targets)):
        if len(classes) != len(images):
            raise InputError(f"{len(classes)} {name} classes for {len(images)} images: it must be one an image")
    same = [row for row, (own, target) in enumerate(zip(predicted, targets, strict=True)) if own == target]
    if same:
        raise InputError(f"the target class of row(s) {same[:10]} is the predicted class: choose another class")


def _check_network(network: nn.Module, images: Tensor, targets: Sequence[int]) -> None:
    classes = logits_of(network, images).shape[1]
    for target in targets:
        if not 0 <= target < classes:
            raise InputError(f"target class {target}: the network has classes 0 to {classes - 1}")
    with torch.enable_grad():
        if not network(images[:1].detach().requires_grad_()).requires_grad:
            raise InputError(
                "the logits do not depend on the input in a way that can be differentiated: put the part that "
                "cannot be differentiated into clever.BPDA"
            )
