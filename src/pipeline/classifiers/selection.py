"""What a cell is about: its classifier, and the images and target classes that scores and attacks share."""

from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from clever.bpda import Defended
from clever.compute import Compute
from clever.errors import InputError
from clever.models import frozen
from clever.norms import Norm
from clever.settings import Settings
from clever.subjects import Subject, subjects
from pipeline.classifiers.networks import defended, device
from pipeline.classifiers.prepared import Prepared


@dataclass(frozen=True)
class Selection:
    """The correctly classified among the first ``n_images`` prepared, with their targets, and the norms."""

    network: Defended
    settings: Settings
    norms: list[Norm]
    prepared: Prepared
    n_images: int
    subjects: list[Subject]

    @classmethod
    def of(cls, config: DictConfig) -> "Selection":
        """Everything checked that can be checked before long work; `InputError` says what would be valid."""
        settings = settings_of(config)
        norms = [Norm.named(str(name)) for name in listed(config.norms, "norms")]
        for norm in norms:
            settings.ball(norm)  # refuses a norm without radius
        network, prepared, n_images = defended(config), Prepared.read(), config.score.n_images
        if isinstance(n_images, bool) or not isinstance(n_images, int) or not 1 <= n_images <= len(prepared.labels):
            raise InputError(f"score.n_images is {n_images!r}: {len(prepared.labels)} images are prepared")
        images = prepared.images(slice(0, n_images)).to(device(config))
        labels, targets = prepared.labels[:n_images].tolist(), listed(config.targets, "targets")
        with frozen(network), Compute().arithmetic():
            found = list(subjects(network, images, targets, settings, labels))
        if not found:
            raise InputError(f"the network is wrong on all {n_images} images: there is nothing to score")
        return cls(network, settings, norms, prepared, n_images, found)

    def known(self, config: DictConfig, subject: Subject) -> dict[str, object]:
        """The columns by which a row of any table says what it is about."""
        manifest = self.prepared.manifest
        return {
            "cell": config.cell,
            "network": config.model.name,
            "id": manifest.id[subject.index],
            "label": int(self.prepared.labels[subject.index]),
        }


def settings_of(config: DictConfig) -> Settings:
    """The library's settings, checked."""
    try:
        return Settings(**OmegaConf.to_container(config.sampling, resolve=True))  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"sampling: {error}") from error


def described(config: DictConfig) -> dict[str, object]:
    """The configuration of the classifier, as plain containers."""
    return {name: OmegaConf.to_container(config[name], resolve=True) for name in ("model", "defense")}


def listed(values: object, name: str) -> list[str | int]:
    """A list from the configuration, or the one value given in its place."""
    listed: list[Any] = list(values) if isinstance(values, ListConfig) else [values]
    if not listed or any(isinstance(value, bool) or not isinstance(value, str | int) for value in listed):
        raise InputError(f"{name} is {values!r}: it must be a list of names, as in {name}=[...]")
    return listed
