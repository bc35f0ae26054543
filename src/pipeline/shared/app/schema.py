"""Types of the settings: OmegaConf rejects a wrong type or an unknown name when it composes the configuration.

Values and comments are in conf/config.yaml and params.yaml, in the same order. Settings of type `Any` are checked where
they are used.
"""

from dataclasses import dataclass, field, is_dataclass
from typing import Any, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, BooleanNode, DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ValidationError

from clever._internal.checks import require_int
from clever.errors import InputError

TEXTS = ("cell", "prepared_dir", "models_dir", "experiment_dir", "results_dir", "store_dir", "device", "model.name")
MAX_THREADS = 1024


@dataclass
class Score:
    """Settings of the images that are scored."""

    n_images: int = MISSING
    nan: str = MISSING


@dataclass
class Sampling:
    """Fields of `clever.Settings`."""

    law: str = MISSING
    shared_points: bool = MISSING
    clip: bool = MISSING
    cap: bool = MISSING
    segments: bool = MISSING
    floor: bool = MISSING
    path: bool = MISSING
    ascent: int = MISSING
    reference: str = MISSING
    random_target: str = MISSING
    estimator: str = MISSING
    curvature: str = MISSING
    seed: int = MISSING
    n_batches: int = MISSING
    n_samples: int = MISSING
    radius: dict[str, Any] = MISSING


@dataclass
class Compute:
    """Fields of `clever.classifier.compute.Compute`."""

    precision: str = MISSING
    layout: str = MISSING
    compilation: str = MISSING


@dataclass
class Attack:
    """Settings of the search for adversarial images: targets, norms, methods and effort."""

    targets: Any = MISSING
    norms: Any = MISSING
    method: str = MISSING
    exact: bool = MISSING
    bpda: Any = MISSING
    backward: Any = MISSING
    draws: int = MISSING
    threshold: float = MISSING
    images: int = MISSING
    taken_from: str | None = None
    steps: int = MISSING
    starts: int = MISSING
    rounds: int = MISSING


@dataclass
class Verify:
    """What `pipeline.verify` compares with."""

    since: str = MISSING
    renamed: str | None = None


@dataclass
class Config:
    """All settings. Groups are checked by the classes that their ``_target_`` names."""

    rounding: str = MISSING
    bpda: bool = MISSING
    backward: Any = MISSING
    sampling: Sampling = field(default_factory=Sampling)
    compute: Compute = field(default_factory=Compute)
    verify: Verify = field(default_factory=Verify)
    attack: Attack = field(default_factory=Attack)
    published: str | None = None
    peers: str | None = None
    device: str = MISSING
    store_dir: str = MISSING
    chunk_points: int = MISSING
    shards: int = MISSING
    shard: int = MISSING
    threads: int | None = None
    cell: str | None = None
    prepared_dir: str | None = None
    models_dir: str | None = None
    experiment_dir: str | None = None
    results_dir: str | None = None
    lookup: dict[str, Any] = MISSING
    seed: int = MISSING
    experiments: dict[str, Any] = MISSING
    targets: Any = MISSING
    norms: Any = MISSING
    score: Score = field(default_factory=Score)
    data: dict[str, Any] = MISSING
    model: dict[str, Any] = MISSING
    weights: dict[str, Any] = MISSING
    defense: dict[str, Any] = MISSING
    order: dict[str, Any] = MISSING


ConfigStore.instance().store(name="schema", node=Config)


def parse_boolean(key: str, value: str) -> bool | None:
    """The value of a boolean setting in any spelling that OmegaConf accepts (on, yes, 1); None for other settings.

    Untyped settings (groups, `Any`) are boolean only where the value is true or false.
    """
    kind: Any = Config
    for name in key.split("."):
        kind = get_type_hints(kind).get(name) if is_dataclass(kind) else None
    if kind is not bool:
        return {"true": True, "false": False}.get(value.lower())
    try:
        return BooleanNode(value)._value()  # type: ignore[no-any-return]
    except ValidationError:
        return None


def check_values(config: DictConfig) -> None:
    """`InputError` for invalid values that the types do not exclude."""
    for name in TEXTS:
        value = OmegaConf.select(config, name)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{name} is {value!r}: it must be text")
    for name in ("score", "sampling", "compute", "attack", "model.network", "model.normalize"):
        value = OmegaConf.select(config, name)
        if not isinstance(value, DictConfig):  # an interpolation may name a single value
            raise InputError(f"{name} is {value!r}: it must be a group of settings, see conf")
    for name in ("mean", "std"):
        value = config.model.normalize.get(name)
        if not isinstance(value, ListConfig) or not all(type(number) in (int, float) for number in value):
            raise InputError(f"model.normalize.{name} is {value!r}: it must be a list of numbers, one per channel")
    require_int("seed", config.seed, 0, 2**63 - 1)
    require_int("chunk_points", config.chunk_points, 1)
    require_int("attack.images", config.attack.images, 1, 2**31)
    if config.threads is not None:
        require_int("threads", config.threads, 1, MAX_THREADS)
