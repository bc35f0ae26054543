"""What the benchmarks share: a table on the terminal and, if asked for, as CSV, with the machine described."""

import argparse
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import torch


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the option that every benchmark has."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, help="a CSV file to write")
    return made


def machine(device: str = "cpu") -> str:
    """Processor, cores, threads, device and the version of torch, in one line."""
    name = torch.cuda.get_device_name() if device.startswith("cuda") else device
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return (
        f"{platform.machine()} ({torch.backends.cpu.get_cpu_capability()}), {cores}, {name}, torch {torch.__version__}"
    )


def report(rows: Iterable[dict[str, object]], out: Path | None, device: str = "cpu") -> None:
    """Prints the rows as a Markdown table, or one row as a column, and writes them as CSV with the machine."""
    table = pd.DataFrame(rows)
    print(machine(device))
    print(table.T.to_markdown(headers=[]) if len(table) == 1 else table.to_markdown(index=False))
    if out:
        table.assign(machine=machine(device)).to_csv(out, index=False)
