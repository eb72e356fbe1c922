"""Which device to train on, and in which precision; knows nothing of models."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmark.errors import BenchError


@dataclass(frozen=True)
class DeviceChoice:
    """A torch device with its name for people and the number type that pays on it."""

    device: torch.device
    name: str
    fast_dtype: torch.dtype
    """bfloat16 where the device multiplies such matrices faster than float32, else float32."""

    def autocast(self, precision: str) -> AbstractContextManager[None]:
        """Context for forward passes in `precision`: auto (the fast type), float32 or bfloat16."""
        dtype = self.fast_dtype if precision == "auto" else getattr(torch, precision)
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=dtype is torch.bfloat16)

    def synchronise(self) -> None:
        """Wait until the device has done what was asked of it; nothing to wait for on a CPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def choose_device(name: str = "auto") -> DeviceChoice:
    """The device `name` ("auto", "cpu", "cuda", "cuda:1", ...); auto is the first GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda":
        return DeviceChoice(device, torch.cuda.get_device_name(device), torch.bfloat16)
    # Without matrix units bfloat16 is emulated at half the speed of float32; with AMX it is several times faster.
    fast = torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32
    return DeviceChoice(device, _cpu_name(), fast)


def check_libraries() -> None:
    """Raises BenchError where torch and torchvision are not of one pair, and says what to install."""
    try:
        import torchvision
    except (RuntimeError, ImportError, OSError) as error:
        raise BenchError(
            f"torchvision does not fit torch {torch.__version__} ({error}); install both from one index, for example: "
            "pip install --force-reinstall torch torchvision"
        ) from error
    del torchvision


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
