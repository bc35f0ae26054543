"""Peak memory of `clever.score` against N_b, N_s and the number of images: each a process of its own. It stays flat.

Example: python benchmarks/memory.py
"""

import argparse
import json
import resource
import subprocess
import sys

import torch
from networks import SIZES, network
from report import parser, report
from tqdm import tqdm

import clever

BASE = {"n_batches": 50, "n_samples": 16, "images": 10}
VARIED = (None, *BASE)


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--network", choices=list(SIZES), default="small")
    described.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    for name, value in BASE.items():
        described.add_argument(f"--{name.replace('_', '-')}", type=int, default=value, help="where it is not varied")
    described.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = described.parse_args()
    if options.measure:
        print(json.dumps(_peak(options)))
        return
    base = {name: getattr(options, name) for name in BASE}
    rows = []
    for varied in tqdm(VARIED, unit="process"):
        # Ten times the number that is varied, whatever it is.
        this = base | ({varied: 10 * base[varied]} if varied else {})
        arguments = [f"--{name.replace('_', '-')}={value}" for name, value in this.items()]
        command = [sys.executable, __file__, "--measure", f"--network={options.network}", f"--device={options.device}"]
        peak = json.loads(subprocess.run([*command, *arguments], check=True, capture_output=True, text=True).stdout)
        rows.append({"network": options.network, **this, "peak MiB": peak})
    for row in rows:
        row["change"] = f"{row['peak MiB'] / rows[0]['peak MiB'] - 1:+.1%}"
    report(rows, options.out, options.device)


def _peak(options: argparse.Namespace) -> int:
    size = SIZES[options.network]
    settings = clever.paper(n_batches=options.n_batches, n_samples=options.n_samples, clip=True)
    images = torch.rand(options.images, 3, size, size, device=options.device)
    net = network(options.network, options.device)
    clever.score(net, images, settings, targets=["top2"], norms=["L2"], progress=False)
    if options.device != "cpu":
        return torch.cuda.max_memory_allocated() // 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
