"""Which device to train on, and in which precision; knows nothing of models."""

from __future__ import annotations

import hashlib
import platform
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmark.cache import cache_folder
from benchmark.cuda_graphs import multiply_once
from benchmark.errors import BenchError, UnknownNameError


@dataclass(frozen=True)
class DeviceChoice:
    """A torch device with its name for people and what it is fast at."""

    device: torch.device
    name: str
    has_fast_bfloat16: bool
    """Whether the device multiplies bfloat16 matrices faster than float32 ones."""

    def autocast(self, precision: str, model: nn.Module) -> AbstractContextManager[None]:
        """Context for the model's forward passes in `precision`: auto (what pays for it here), float32 or bfloat16.

        Raises BenchError for bfloat16 on a GPU that would emulate it, for which cuDNN has no convolutions.

        On a CPU with such instructions bfloat16 makes dense convolutions 1.7 to 3.2 times faster, and networks of
        depthwise ones half as fast. The choice follows from the model alone, never from a timing, so that it can be
        repeated.
        """
        if precision == "auto":
            convolutions = [part for part in model.modules() if isinstance(part, nn.Conv2d)]
            dense = self.device.type != "cpu" or all(part.groups == 1 for part in convolutions)
            enabled = self.has_fast_bfloat16 and dense
        else:
            enabled = precision == "bfloat16"
            if enabled and self.device.type == "cuda" and not self.has_fast_bfloat16:
                raise BenchError(f'{self.name} has no bfloat16; with precision = "auto" it trains in float32')
        # Weights are used once in a pass: there is nothing to cache, and a cache has no place in a captured graph.
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled, cache_enabled=False)

    def random_state(self) -> dict[str, Tensor]:
        """State of torch's global random numbers, of the host and of a GPU."""
        state = {"host": torch.get_rng_state()}
        if self.device.type == "cuda":
            state["device"] = torch.cuda.get_rng_state(self.device)
        return state

    def set_random_state(self, state: Mapping[str, Tensor]) -> None:
        """Draw the same numbers from now on as after that state was taken."""
        torch.set_rng_state(state["host"].cpu())
        if "device" in state and self.device.type == "cuda":
            torch.cuda.set_rng_state(state["device"].cpu(), self.device)

    def synchronise(self) -> None:
        """Wait until the device has done what was asked of it; nothing to wait for on a CPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def choose_device(name: str = "auto") -> DeviceChoice:
    """The device `name` ("auto", "cpu", "cuda", "cuda:1", ...); auto is the first GPU where there is one.

    Raises UnknownNameError for one that is not here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(known_device(name))
    if device.type == "cuda":
        # Same seed, same result: without this, cuDNN may add up gradients in any order.
        torch.backends.cudnn.deterministic = True
        if device.index is not None:
            # Graphs are captured on the current device.
            torch.cuda.set_device(device)
        _open_for_autograd(device)
        # Cards before Ampere would emulate it.
        is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return DeviceChoice(device, torch.cuda.get_device_name(device), is_fast)
    # Matrix units (AMX), or at least dot products of bfloat16 in vectors.
    is_fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return DeviceChoice(device, _cpu_name(), is_fast)


def known_device(name: str) -> str:
    """The name again, of a device that is here ("cpu", "cuda", "cuda:1", ...). Raises UnknownNameError for another."""
    # Not asked of where it is not wanted: that wakes a driver.
    gpus = [] if name == "cpu" else [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    known = ("cpu", "cuda", *gpus) if gpus else ("cpu",)
    if name not in known:
        raise UnknownNameError("device", name, ("auto", *known))
    return name


def _open_for_autograd(device: torch.device) -> None:
    """Have autograd's thread open the device now: the first matrix product there warns that it had to, once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Attempting to run cuBLAS, but there was no current CUDA context")
        multiply_once(device)


def check_libraries() -> None:
    """Raises BenchError where torch and torchvision are not of one pair, and says what to install.

    Only its import shows that, which takes longer than that of torch: a pair that fits is remembered in the cache
    folder.
    """
    remembered = cache_folder() / "fitting-libraries" / _installed("torch", "torchvision")
    if remembered.exists():
        return
    try:
        import torchvision
    except (RuntimeError, ImportError, OSError) as error:
        raise BenchError(
            f"torchvision does not fit torch {torch.__version__} ({error}); install both from one index, for example: "
            "pip install --force-reinstall torch torchvision"
        ) from error
    del torchvision
    with suppress(OSError):
        remembered.parent.mkdir(parents=True, exist_ok=True)
        remembered.touch()


def _installed(*packages: str) -> str:
    """A name for these packages as they are installed here: another one after any of them was installed again."""
    told = []
    for package in packages:
        found = find_spec(package)
        if found is not None and found.origin is not None:
            # Its version is written when it is built, so that the file tells builds of one version apart.
            files = (Path(found.origin), Path(found.origin).with_name("version.py"))
            told += [f"{file} {file.read_bytes()!r} {file.stat().st_mtime_ns}" for file in files if file.exists()]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
