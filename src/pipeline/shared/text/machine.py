"""The hardware of a run, for reports."""

import platform
from pathlib import Path

import psutil
import torch

CPUINFO = Path("/proc/cpuinfo")


def machine(device: torch.device) -> dict[str, object]:
    """``model`` of the GPU or CPU, number of CPU ``cores``, and number of torch ``threads``."""
    model = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu()
    return {"model": model, "cores": psutil.cpu_count(), "threads": torch.get_num_threads()}


def _cpu() -> str:
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())
