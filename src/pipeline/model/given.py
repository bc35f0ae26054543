"""Weights from the user: a local file or a URL, with a known sha256."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from clever.classifier.wrappers import Normalize
from clever.errors import InputError
from pipeline.model.download import fetch
from pipeline.shared.models.checkpoint import load_state
from pipeline.shared.models.classifier import sha256_of


class File:
    """A local file: a state_dict, or a checkpoint with one under ``key``; ``prefix`` is removed from names."""

    def __init__(self, path: str, sha256: str, key: str | None = None, prefix: str | None = None) -> None:
        self.path, self.sha256, self.key, self.prefix = Path(path), str(sha256).lower(), key, prefix

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> dict[str, Tensor]:
        """The weights; `InputError` if the file is missing, has another sha256, or contains no such state_dict."""
        check_sha256(self.sha256)
        if not self.path.is_file():
            raise InputError(f"weights.path={self.path}: there is no such file")
        actual = sha256_of(self.path)
        if actual != self.sha256:
            raise InputError(f"weights.sha256={self.sha256}, but the sha256 of {self.path} is {actual}")
        return load_state(self.path, self.key, self.prefix)


class Url:
    """Weights from an http or https URL, downloaded into the folder ``downloads`` of the store."""

    def __init__(self, url: str, sha256: str, key: str | None = None, prefix: str | None = None) -> None:
        self.url, self.sha256, self.key, self.prefix = str(url), str(sha256).lower(), key, prefix

    def state(
        self, network: nn.Module, normalize: Normalize, *, training: Path, store: Path, device: torch.device
    ) -> dict[str, Tensor]:
        """The weights; `InputError` if the download fails, has another sha256, or contains no such state_dict."""
        check_sha256(self.sha256)
        name = re.sub(r"[^\w.-]", "_", Path(urlsplit(self.url).path).name)[-60:]
        path = store / "downloads" / f"{self.sha256[:16]}-{name}"
        return load_state(fetch(self.url, self.sha256, path), self.key, self.prefix)


def check_sha256(text: str) -> None:
    """`InputError` unless the text is a sha256."""
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise InputError(
            f"weights.sha256 is {text!r}: it must be 64 hexadecimal digits, as `sha256sum FILE` prints them"
        )
