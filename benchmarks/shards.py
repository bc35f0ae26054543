"""How long an experiment takes by one process or several, of one thread or more, alone or beside a busy process.

Runs the pipeline's own commands, each with an empty store, in the project's folder after `dvc repro model`.
Example: python benchmarks/shards.py --ways 2x1 --busy 0 1
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from report import parser, report
from tqdm import tqdm

CORES = os.cpu_count() or 1
BUSY = "import os\nos.sched_setaffinity(0, {0})\nwhile True: pass"


def main() -> None:
    """Prints the table and writes it as CSV."""
    described = parser(__doc__)
    described.add_argument("--experiment", default="defenses", help="a file of conf/experiment")
    described.add_argument("--stages", nargs="+", default=["score", "attack"], choices=["score", "attack"])
    ways = dict.fromkeys(["1x1", f"{CORES}x1", f"1x{CORES}"])
    described.add_argument("--ways", nargs="+", default=list(ways), help="processes x threads of each, as in 2x1")
    described.add_argument("--busy", nargs="+", type=int, default=[0], help="other processes that keep a core busy")
    described.add_argument("--overrides", nargs="*", default=[], help="Hydra overrides for every run")
    options = described.parse_args()
    rows: list[dict[str, object]] = []
    first: float | None = None
    for way, busy in tqdm([(way, busy) for way in options.ways for busy in options.busy], unit="run"):
        processes, threads = map(int, way.split("x"))
        with _beside(busy):
            seconds = _run(options.experiment, options.stages, processes, threads, options.overrides)
        first = first or seconds
        row = {"experiment": options.experiment, "stages": ", ".join(options.stages)}
        row |= {"processes": processes, "threads each": threads, "busy beside": busy, "seconds": round(seconds, 1)}
        rows.append(row | {"times the first": round(seconds / first, 2)})
    report(rows, options.out)


@contextmanager
def _beside(busy: int) -> Iterator[None]:
    """So many processes that do nothing useful, all on the first core."""
    others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _run(experiment: str, stages: list[str], processes: int, threads: int, overrides: list[str]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        sweep = [f"hydra.launcher.n_jobs={processes}", f"hydra.sweep.dir={folder}/out"]
        settings = [f"threads={threads}", f"store_dir={folder}/store"]
        started = time.perf_counter()
        for stage in stages:
            # A folder of results of its own, so that those of the project stay as they are.
            results = f"results_dir={folder}/{stage}/${{hydra:job.num}}"
            command = [sys.executable, "-m", f"pipeline.{stage}", "-m", f"experiment={experiment}"]
            subprocess.run([*command, *sweep, *settings, results, *overrides], check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
