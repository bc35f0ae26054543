"""Time of the stages score and attack of one cell against the number of images and N_b: linear, after a fixed part.

Runs the pipeline's own commands, each with an empty store, in the project's folder after `dvc repro model`.
Example: python benchmarks/scaling.py
"""

import subprocess
import sys
import tempfile
import time

import numpy as np
from report import parser, report
from tqdm import tqdm

PLANS = ["score images", "score N_b", "attack images"]
"""The stage that runs, and what is varied."""
CELL = ["experiment=defenses", "defense=identity", "bpda=true"]


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--images", type=int, nargs="+", default=[4, 8, 16, 32])
    described.add_argument("--n-batches", type=int, nargs="+", default=[8, 16, 32, 64])
    described.add_argument("--only", nargs="+", choices=PLANS, default=PLANS)
    described.add_argument("--overrides", nargs="*", default=[], help="Hydra overrides for every run")
    options = described.parse_args()
    few_images, few_batches = options.images[0], options.n_batches[0]
    rows = []
    for stage, varied in map(str.split, options.only):
        if varied == "images":
            sizes = [(images, few_batches) for images in options.images]
        else:
            sizes = [(few_images, batches) for batches in options.n_batches]
        seconds = [_run(stage, *size, options.overrides) for size in tqdm(sizes, desc=f"{stage}, {varied}")]
        of = np.array([size[0] if varied == "images" else size[1] for size in sizes])
        slope, fixed = np.polyfit(of, seconds, 1)
        line = fixed + slope * of
        for (images, batches), taken, expected in zip(sizes, seconds, line, strict=True):
            rows.append(
                {
                    "stage": stage,
                    "varied": varied,
                    "images": images,
                    "N_b": batches,
                    "seconds": round(taken, 1),
                    "line": round(expected, 1),
                    "fixed part, s": round(fixed, 1),
                    "s a unit": round(slope, 3),
                }
            )
    report(rows, options.out)


def _run(stage: str, images: int, batches: int, overrides: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"score.n_images={images}", f"sampling.n_batches={batches}", f"store_dir={folder}/store"]
        command = [sys.executable, "-m", f"pipeline.{stage}", *CELL, f"results_dir={folder}/out", "hydra.run.dir=."]
        started = time.perf_counter()
        subprocess.run([*command, *overrides, *settings], check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
