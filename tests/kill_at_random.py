"""Starts the stage score again and again, each time killed by SIGKILL at a random moment, until it was killed N times.

    python kill_at_random.py N OVERRIDE ...

Each start is a process of its own, forked from this one, which has imported everything already. A run that ends before
its kill is kept as complete/<number>, and the store is emptied. Prints a line of JSON.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import hydra.core.plugins
import scipy.stats  # noqa: F401

import pipeline.score.run
import pipeline.shared.models.networks.densenet  # noqa: F401
from conftest import stored_points
from pipeline.shared.app.launch import launch

N_SAMPLES = 8
"""Of the overrides' sampling.n_samples."""
hydra.core.plugins.Plugins.instance()  # looks for plugins once


def started(overrides: list[str]) -> int:
    """A process that runs the stage, its output appended to a file."""
    child = os.fork()
    if child:
        return child
    with open("output.txt", "a") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        sys.argv = ["pipeline.score", *overrides]
        code = 1
        try:
            launch("score")
            code = 0
        finally:
            os._exit(code)


def ended(child: int) -> int:
    """Its exit code; the signal's number, negative, if one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    wanted, overrides = int(sys.argv[1]), sys.argv[2:]
    moment = random.Random(0)
    for _ in range(2):  # the first one finds cold caches
        shutil.rmtree("store/maxima", ignore_errors=True)
        began = time.perf_counter()
        assert ended(started([*overrides, "results_dir=undisturbed"])) == 0
    whole = time.perf_counter() - began
    points = stored_points(Path("store"), N_SAMPLES)
    shutil.rmtree("store/maxima")
    kills, complete = 0, 0
    while kills < wanted:
        child = started([*overrides, "results_dir=killed"])
        time.sleep(moment.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        code = ended(child)
        if code == -signal.SIGKILL:
            kills += 1
            continue
        assert code == 0, f"exit code {code}"
        Path("killed").rename(f"complete-{complete}")
        shutil.rmtree("store/maxima")
        complete += 1
    left = 0
    while not left or left == points:  # what is there to be found by the last run, and something to be computed
        child = started([*overrides, "results_dir=killed"])
        time.sleep(moment.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        ended(child)
        left = stored_points(Path("store"), N_SAMPLES)
        if left == points:
            shutil.rmtree("store/maxima")
    assert ended(started([*overrides, "results_dir=killed"])) == 0
    Path("killed").rename(f"complete-{complete}")
    assert ended(started([*overrides, "results_dir=after"])) == 0
    print(json.dumps({"kills": kills, "complete": complete + 1, "left_by_killed": left, "seconds": whole}))


if __name__ == "__main__":
    main()
