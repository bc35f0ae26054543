"""What a run was computed on, in words that a report can print."""

import platform
from pathlib import Path

import psutil
import torch

CPUINFO = Path("/proc/cpuinfo")


def machine(device: torch.device) -> dict[str, object]:
    """The ``model`` of the GPU or CPU, the ``cores`` of the machine, and the ``threads`` that torch uses."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()
    return {"model": model, "cores": psutil.cpu_count(), "threads": torch.get_num_threads()}


def _cpu() -> str:
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(named), platform.processor() or platform.machine())
