"""The public attack: images in any form in, `clever.Distances` out."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from clever._internal.checks import require_int
from clever.attacks.criterion import randomness
from clever.attacks.search import check_images, smallest_distances
from clever.attacks.strength import Strength, check_method
from clever.attacks.verified import verified
from clever.classifier.image_context import image_sha256
from clever.classifier.wrappers import finite_logits, frozen
from clever.defenses.bpda import Defended, bare_network
from clever.defenses.capabilities import needs_surrogate
from clever.defenses.chain import parts
from clever.defenses.smooth_surrogate import Smooth
from clever.errors import InputError
from clever.inputs.images import Images, image_batch
from clever.norms import Norm
from clever.results.distance import Distance
from clever.results.distances import Distances
from clever.results.record import network_record
from clever.targets import RandomTarget, check_targets, target_classes


def attack(
    network: nn.Module,
    images: Images,
    labels: Sequence[int] | None = None,
    *,
    targets: str | int | Sequence[str | int] = ("top2",),
    norms: str | Sequence[str] = ("L2", "Linf"),
    steps: int = 100,
    starts: int = 1,
    method: str = "nearest",
    seed: int = 1215,
    names: Iterable[str] | None = None,
    batch_size: int = 32,
    progress: bool = True,
) -> Distances:
    """The smallest adversarial distance found for each image, target and norm, and the image at that distance.

    Guarantee: a finite distance is an upper bound of the true adversarial distance. Its image lies in [0,1], and the
    network, its defense included, predicts the target class for it, which was checked on this very image alone. Where
    nothing was found, which proves nothing, the distance is infinite. Beside a score, an estimate of a lower bound, it
    says that the score is too large where it is above it.

    ``network``, ``images``, ``labels`` and ``names`` are those of `clever.score`: the network maps images in [0,1] to
    logits; distances are in [0,1]-pixel units; with labels, which may come with the images, misclassified images are
    left out (`Distances.left_out`). A `Defended` network is attacked through the derivatives that it has, behind JPEG
    through its smooth surrogate in place of BPDA's identity. Behind a random defense more than half of 50 held-out
    draws must predict the target class as well.

    ``targets``: "top2", "random", "least", "untargeted" or class numbers; untargeted tries every class. ``norms``:
    "L1", "L2", "Linf". ``method``: "nearest" for all ways to search, or "carlini_wagner" for their attack alone (L2).
    ``steps``: of each way to search, with a forward and a backward pass each. ``starts``: how often each is started,
    with other step sizes; of Carlini and Wagner's attack, how many weights of the margin are tried. More of both finds
    nearer images. ``batch_size``: images times target classes that are attacked together; the memory grows with it.
    ``progress``: a bar of attacks, on stderr.

    The same arguments give the same distances, and torch's global random generators are left alone. `InputError` for
    what cannot be attacked, before the search starts; `NotFinite` where the network gives NaN or infinity.

        distances = clever.attack(network, images, targets=["top2", "untargeted"], norms=["L2"])
        distances.to_frame()
        distances[0].distance, distances[0].adversarial
    """
    strength = Strength(steps=steps, starts=starts, method=method)  # type: ignore[arg-type]  # takes its name, too
    asked_targets, asked_norms = _several(targets), [Norm.parse(name) for name in _several(norms)]
    for norm in asked_norms:
        check_method(strength, norm)
    require_int("batch_size", batch_size, 1)
    require_int("seed", seed, 0, 2**63 - 1)
    batch, called = image_batch(images, network, labels), tuple(names or ())
    if called and len(called) != len(batch.images):
        raise InputError(f"{len(called)} names for {len(batch.images)} images: there must be one for each, or none")
    check_images(batch.images)
    with frozen(network):
        attacked = list(_attacked_images(network, batch.images, batch.labels, asked_targets, seed))
        total = len(asked_norms) * sum(len(_classes(one)) for one in attacked)
        with tqdm(total=total, unit="attack", disable=not progress) as bar:
            nearest = _nearest(network, batch.images, attacked, asked_norms, strength, seed, batch_size, bar)
    rows = []
    for one in attacked:
        for target, classes in one.targets.items():
            for norm in asked_norms:
                label = min(classes, key=lambda j: nearest[one.index, j, norm].distance)
                rows.append(replace(nearest[one.index, label, norm], target=target))
    known = {one.index for one in attacked}
    left_out = tuple(index for index in range(len(batch.images)) if index not in known)
    if left_out and not rows:
        warnings.warn(
            f"all {len(left_out)} images are left out: the network predicts none of their labels. Labels must be the "
            "numbers of the network's classes",
            stacklevel=2,
        )
    run = network_record(network, batch.images) | {"targets": asked_targets, "norms": list(map(str, asked_norms))}
    return Distances(tuple(rows), run | {"strength": vars(strength), "seed": seed}, called, left_out)


def _nearest(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    attacked: list["_AttackedImage"],
    norms: list[Norm],
    strength: Strength,
    seed: int,
    batch_size: int,
    bar: "tqdm[NoReturn]",
) -> dict[tuple[int, int, Norm], Distance]:
    """What was found by image, target class and norm, so many pairs of image and class at once; verified one by one."""
    searched, random, found = _searched(network), randomness(network) is not None, {}
    pairs = [(one, label) for one in attacked for label in _classes(one)]
    for norm in norms:
        for start in range(0, len(pairs), batch_size):
            part = pairs[start : start + batch_size]
            originals = images[[one.index for one, _ in part]]
            predicted, labels = [one.predicted for one, _ in part], [label for _, label in part]
            best = smallest_distances(searched, originals, predicted, labels, norm, strength, seed=seed)
            for row, (one, label) in enumerate(part):
                image, distance = verified(network, originals[row], best.images[row], label, norm)
                about = one.index, one.name, one.label, one.predicted, str(label), label, str(norm)
                rate, unseen = (
                    (float(best.rate[row]), float(best.unseen[row])) if random and image is not None else (None, None)
                )
                found[one.index, label, norm] = Distance(*about, distance, rate, unseen, image)
            bar.update(len(part))
    return found


@dataclass(frozen=True)
class _AttackedImage:
    """An image that is attacked: ``targets`` are the classes that each target stands for, the most likely one first."""

    index: int
    name: str
    label: int | None
    predicted: int
    targets: dict[str, list[int]]


def _classes(one: _AttackedImage) -> list[int]:
    """Every target class, each once."""
    return sorted({label for classes in one.targets.values() for label in classes})


def _attacked_images(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    labels: Sequence[int] | None,
    targets: list[str | int],
    seed: int,
) -> Iterator[_AttackedImage]:
    """Without the misclassified ones. Each goes through the network alone, as in `clever.score`."""
    for index, image in enumerate(images):
        logits = finite_logits(network, image.unsqueeze(0), index)[0]
        check_targets(targets, len(logits))
        label, predicted, name = (
            None if labels is None else int(labels[index]),
            int(logits.argmax()),
            image_sha256(image),
        )
        if label is None or predicted == label:
            classes = {
                str(target): sorted(
                    target_classes(target, logits, rule=RandomTarget.ANY, seed=seed, image=name),
                    key=lambda j: -float(logits[j]),
                )
                for target in targets
            }
            yield _AttackedImage(index, name, label, predicted, classes)


def _searched(network: nn.Module) -> nn.Module:
    """The same classifier; behind JPEG, of which BPDA's identity knows little, with a smooth surrogate's gradient."""
    bare = bare_network(network)
    if bare and isinstance(network, Defended) and any(map(needs_surrogate, parts(bare.defense))):
        return Defended(bare.network, bare.defense, backward=Smooth(bare.defense, jpeg_only=True)).eval()
    return network


def _several(given: Any) -> list[Any]:
    """One alone, or several."""
    return [given] if isinstance(given, str | int) else list(given)
