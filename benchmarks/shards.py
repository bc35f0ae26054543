"""How much faster several processes of one thread each are than one, on this machine.

Runs the pipeline's own commands, each with an empty store, in the project's folder after `dvc repro model`.
Example: python benchmarks/shards.py
"""

import os
import subprocess
import sys
import tempfile
import time

from report import parser, report
from tqdm import tqdm

WORK = {
    "score, five defenses": ["pipeline.score", "-m", "defense=identity,jpeg,bit_depth,quantize,png"],
    "whole experiment": ["pipeline.shard", "-m"],
}


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--work", nargs="+", default=list(WORK), choices=list(WORK))
    described.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    described.add_argument("--overrides", nargs="*", default=[], help="Hydra overrides for every run")
    options = described.parse_args()
    runs = [(work, processes, 1) for work in options.work for processes in options.processes]
    runs += [(work, 1, os.cpu_count() or 1) for work in options.work]
    rows: list[dict[str, object]] = []
    first: dict[str, float] = {}
    for work, processes, threads in tqdm(runs):
        seconds = _run(WORK[work], processes, threads, options.overrides)
        first.setdefault(work, seconds)
        row = {"work": work, "processes": processes, "threads each": threads, "seconds": round(seconds, 1)}
        rows.append(row | {"times as fast": round(first[work] / seconds, 2)})
    report(rows, options.out)


def _run(work: list[str], processes: int, threads: int, overrides: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        shards = [f"shards={processes}", f"shard=range({processes})", f"threads={threads}", f"store_dir={folder}/store"]
        sweep = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={processes}", f"hydra.sweep.dir={folder}/out"]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", *work, *sweep, *shards, *overrides], check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
