"""The public function `clever.attack`."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from clever._internal.checks import require_int
from clever.api.arguments import as_list, name_tuple, norm_list
from clever.attacks.checks import check_images
from clever.attacks.criterion import random_transformation
from clever.attacks.search import smallest_distances
from clever.attacks.strength import Strength, check_method
from clever.attacks.surrogate import with_surrogate
from clever.attacks.verified import verify
from clever.classifier.image_context import image_sha256
from clever.classifier.wrappers import finite_logits, frozen
from clever.defenses.bpda import Defended
from clever.defenses.capabilities import has_useful_gradient
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
    """The smallest adversarial distance found for each image, target and norm, with the adversarial image.

    Guarantee: a finite distance is an upper bound on the true adversarial distance. Its image lies in [0,1], and the
    network with its defense, evaluated on that image alone, predicts the target class. A failed attack gives an
    infinite distance and proves nothing. A CLEVER score above the distance overestimates robustness.

    ``network``, ``images``, ``labels`` and ``names``: as in `clever.score`. The network maps images in [0,1] to logits;
    distances are in [0,1]-pixel units; if labels are given, with ``images`` or as ``labels``, misclassified images are
    left out (`Distances.left_out`). The attack uses the derivatives of the network itself, which for a `Defended`
    network are usually BPDA's. Instead of BPDA's identity it uses the derivative of a defense that has a useful one
    (such as a blur) and for JPEG a smooth surrogate. For a random defense, more than half of 50 held-out draws must
    also predict the target class.

    ``targets``: "top2" (the runner-up class), "random", "least" (the least likely class), "untargeted" (every class) or
    class numbers. ``norms``: "L1", "L2", "Linf". ``method``: "nearest" for all search methods, or "carlini_wagner" for
    that attack alone (L2). ``steps``: steps of each search method, one forward and one backward pass each. ``starts``:
    runs of each search method, with different step sizes; for Carlini and Wagner's attack, the number of margin weights
    tried. Larger values find nearer images. ``batch_size``: pairs of image and target class attacked together; memory
    grows with it. ``progress``: show a progress bar on stderr.

    The same arguments give the same distances; torch's global random generators are not used. `InputError` for invalid
    input, before the search starts; `NotFinite` if the network returns NaN or infinity.

        distances = clever.attack(network, images, targets=["top2", "untargeted"], norms=["L2"])
        distances.to_frame()
        distances[0].distance, distances[0].adversarial
    """
    strength = Strength(steps=steps, starts=starts, method=method)
    target_list, chosen_norms = as_list(targets), norm_list(norms)
    for norm in chosen_norms:
        check_method(strength, norm)
    require_int("batch_size", batch_size, 1)
    require_int("seed", seed, 0, 2**63 - 1)
    batch = image_batch(images, network, labels)
    image_names = name_tuple(names, len(batch.images))
    check_images(batch.images)
    with frozen(network):
        attacked = list(_attacked_images(network, batch.images, batch.labels, target_list, seed))
        total = len(chosen_norms) * sum(len(image.classes) for image in attacked)
        with tqdm(total=total, unit="attack", disable=not progress) as bar:
            nearest = _nearest(network, batch.images, attacked, chosen_norms, strength, seed, batch_size, bar)
    rows = []
    for image in attacked:
        for target, classes in image.targets.items():
            for norm in chosen_norms:
                label = min(classes, key=lambda j: nearest[image.index, j, norm].distance)
                rows.append(replace(nearest[image.index, label, norm], target=target))
    indices = {image.index for image in attacked}
    left_out = tuple(index for index in range(len(batch.images)) if index not in indices)
    if left_out and not attacked:
        warnings.warn(
            f"all {len(left_out)} images are left out as misclassified. Labels must be the network's class numbers",
            stacklevel=2,
        )
    run = network_record(network, batch.images) | {"targets": target_list, "norms": list(map(str, chosen_norms))}
    return Distances(tuple(rows), run | {"strength": vars(strength), "seed": seed}, image_names, left_out)


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
    """Verified distances by image, target class and norm; searches ``batch_size`` pairs of image and class at once."""
    surrogate, random, found = _with_best_gradient(network), random_transformation(network) is not None, {}
    pairs = [(item, label) for item in attacked for label in item.classes]
    for norm in norms:
        for start in range(0, len(pairs), batch_size):
            part = pairs[start : start + batch_size]
            originals = images[[item.index for item, _ in part]]
            predicted, labels = [item.predicted for item, _ in part], [label for _, label in part]
            best = smallest_distances(surrogate, originals, predicted, labels, norm, strength, seed=seed)
            for row, (item, label) in enumerate(part):
                image, distance = verify(network, originals[row], best.images[row], label, norm)
                identity = item.index, item.name, item.label, item.predicted, str(label), label, str(norm)
                rate, unseen = (
                    (float(best.rate[row]), float(best.unseen[row])) if random and image is not None else (None, None)
                )
                found[item.index, label, norm] = Distance(*identity, distance, rate, unseen, image)
            bar.update(len(part))
    return found


@dataclass(frozen=True)
class _AttackedImage:
    """An image to attack; ``targets``: the classes of each target, most likely first."""

    index: int
    name: str
    label: int | None
    predicted: int
    targets: dict[str, list[int]]

    @property
    def classes(self) -> list[int]:
        """All target classes without duplicates, sorted."""
        return sorted({label for labels in self.targets.values() for label in labels})


def _attacked_images(
    network: nn.Module,
    images: Float[Tensor, "image channel height width"],
    labels: Sequence[int] | None,
    targets: list[str | int],
    seed: int,
) -> Iterator[_AttackedImage]:
    """The correctly classified images. Each passes through the network alone, as in `clever.score`."""
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


def _with_best_gradient(network: nn.Module) -> nn.Module:
    """The same classifier with the gradient that leads an attack furthest.

    The defense's own derivative if it is useful and no backward function was chosen; for JPEG that of a smooth
    surrogate, since BPDA's identity approximates it poorly; else the network's own.
    """
    if isinstance(network, Defended) and network.backward is None and has_useful_gradient(network.defense):
        return Defended(network.network, network.defense, bpda=False).eval()
    return with_surrogate(network)
