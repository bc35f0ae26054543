"""The codec in torch beside libjpeg: not one level of one pixel differs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clever import JPEG
from clever.defenses.jpeg import blocks as jpeg_blocks
from clever.defenses.jpeg import libjpeg
from clever.errors import InputError

SUBSAMPLINGS = sorted(jpeg_blocks.STEPS)


def differing(levels: torch.Tensor, quality: int, subsampling: str) -> int:
    ours, real = (codec.compress(levels, quality, subsampling) for codec in (jpeg_blocks, libjpeg))
    assert ours.shape == real.shape == levels.shape
    assert ours.dtype == real.dtype
    assert not torch.equal(ours, levels) or quality == 100 or levels.shape[2:] == (1, 1)  # something happened
    return int((ours != real).sum())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed)).float()


@pytest.mark.parametrize("quality", [1, 10, 30, 50, 75, 95, 100])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_noise_of_network_sizes(channels: int, subsampling: str, quality: int) -> None:
    for size in (32, 224):
        assert differing(noise(2, channels, size, size), quality, subsampling) == 0


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.sampled_from([1, 3]),
    st.integers(1, 100),
    st.sampled_from(SUBSAMPLINGS),
    st.integers(0, 10**6),
)
def test_any_size_and_quality(
    height: int, width: int, channels: int, quality: int, subsampling: str, seed: int
) -> None:
    levels = noise(1, channels, height, width, seed=seed)
    ours, real = (codec.compress(levels, quality, subsampling) for codec in (jpeg_blocks, libjpeg))
    assert torch.equal(ours, real)


@pytest.mark.parametrize("quality", [5, 30, 75, 90])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
def test_photographs(sample: Path, quality: int, subsampling: str) -> None:
    photographs = sorted((sample / "val").rglob("*.JPEG"))[::10]
    assert len(photographs) >= 10
    pixels = [np.asarray(Image.open(path).convert("RGB").resize((224, 224))) for path in photographs]
    levels = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float()
    assert differing(levels, quality, subsampling) == 0


@pytest.mark.parametrize("size", [32, 64])
def test_whoever_compresses_the_defense_is_the_same(size: int) -> None:
    images = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1)) * 1.2 - 0.1
    real = JPEG(codec="libjpeg")(images)
    assert torch.equal(JPEG(codec="torch")(images), real)
    assert torch.equal(JPEG()(images), real)


def test_the_faster_codec_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    for codec in (libjpeg, jpeg_blocks):
        monkeypatch.setattr(codec, "compress", lambda levels, *_, codec=codec: used.append(codec) or levels)
    for size in (32, 224):
        JPEG()(torch.zeros(1, 3, size, size))
    assert used == [jpeg_blocks, libjpeg]


def test_an_unknown_codec_is_refused() -> None:
    with pytest.raises(InputError, match="unknown codec 'mozjpeg': it must be one of auto, libjpeg, torch"):
        JPEG(codec="mozjpeg")
