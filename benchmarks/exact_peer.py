"""ART's `clever_t` on the images of experiment=exact, for its table and figure: data/peers/clever_t_digits.csv.

Of the results of the experiment come the images with an exact distance, their target classes, the network, and N_b, N_s
and R of the scores of first order. Values are as they come out, which may be NaN, or negative.
Wants it: pip install adversarial-robustness-toolbox. Run it after experiment=exact.
Example: python benchmarks/exact_peer.py --out data/peers/clever_t_digits.csv
"""

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch
from networks import WEIGHTS, held_out_by_id, published
from peer import installed, toolbox

from clever.norms import Norm
from pipeline.shared.app.artifacts import write_text
from pipeline.shared.models.classifier import sha256_of
from pipeline.shared.text.methods import TOOLBOX

RESULTS = Path(__file__).parents[1] / "results" / "exact"
CELL = "paper-first_order-estimator_mle_reg"


def main() -> None:
    """Writes the table."""
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    described.add_argument("--out", type=Path, required=True)
    options = described.parse_args()
    if not installed():
        sys.exit(1)
    torch.set_num_threads(1)
    run = json.loads((RESULTS / "score" / CELL / "run.json").read_text())
    name, sampling = run["network"], run["sampling"]
    weights = sha256_of(WEIGHTS / f"{name}.pt")
    if weights != run["weights"]["sha256"]:
        sys.exit(f"results/exact has other weights of {name} than data/weights: repeat it (make repro)")
    exact = pd.read_csv(RESULTS / "attack" / CELL / "exact.csv", dtype={"target": str})
    scores = pd.read_csv(RESULTS / "score" / CELL / "scores.csv", dtype={"target": str})
    known = scores.merge(exact[exact.exact.notna()][["id", "target", "norm"]], on=["id", "target", "norm"])
    norm, radius = Norm.L2, sampling["radius"]["L2"]
    images, targets = held_out_by_id(known.id), known.target_class.tolist()
    found = toolbox(published(name), images, targets, sampling["n_batches"], sampling["n_samples"], radius, norm)
    table = known[["norm", "target", "id"]].assign(
        weights=weights, method=TOOLBOX, value=found.values, gradients=found.gradients
    )
    source = (
        f"# clever_t of the Adversarial Robustness Toolbox {version('adversarial-robustness-toolbox')}: "
        f"N_b {sampling['n_batches']}, N_s {sampling['n_samples']}, R {radius}; benchmarks/exact_peer.py\n"
    )
    columns = ["weights", "norm", "target", "id", "method", "value", "gradients"]
    write_text(options.out, source + table[columns].to_csv(index=False))
    print(table[["id", "value"]].to_string(index=False))


if __name__ == "__main__":
    main()
