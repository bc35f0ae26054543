"""What kind each setting must be that all stages share: groups, text, numbers. Their values are checked where used."""

from omegaconf import DictConfig, ListConfig, OmegaConf

from clever.checks import require_int
from clever.errors import InputError

GROUPS = (
    *("data", "model", "model.network", "model.normalize", "weights", "defense", "order"),
    *("sampling", "sampling.radius", "compute", "attack", "score"),
)
TEXTS = (
    *("cell", "prepared_dir", "models_dir", "experiment_dir", "results_dir", "store_dir"),
    *("device", "model.name"),
)
MOST_THREADS = 1024


def check_kinds(config: DictConfig) -> None:
    """`InputError` for a setting of the wrong kind, before anything is done."""
    for name in GROUPS:
        value = OmegaConf.select(config, name)
        if not isinstance(value, DictConfig):
            raise InputError(f"{name} is {value!r}: it must be a group of settings, as conf/config.yaml has it")
    for name in TEXTS:
        value = OmegaConf.select(config, name)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{name} is {value!r}: it must be text")
    for name in ("mean", "std"):
        value = OmegaConf.select(config, f"model.normalize.{name}")
        if not isinstance(value, ListConfig) or not all(type(number) in (int, float) for number in value):
            raise InputError(f"model.normalize.{name} is {value!r}: it must be a list of numbers, one a channel")
    require_int("seed", config.seed, 0, 2**63 - 1)
    require_int("chunk_points", config.chunk_points, 1)
    require_int("attack.images", config.attack.images, 1, 2**31)
    if config.threads is not None:
        require_int("threads", config.threads, 1, MOST_THREADS)
