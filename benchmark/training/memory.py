"""Peak memory of one trial, and an allocator that keeps what training frees; knows no model."""

from __future__ import annotations

import ctypes
import gc
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmark.training.device import DeviceChoice

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = 2**31 - 1
_TOP_PAD_BYTES = 64 << 20
_RESET_PEAK = "5"
"""Written to clear_refs it sets the peak resident set back to the present one (Linux, proc(5))."""


def keep_freed_memory() -> None:
    """Have glibc keep freed blocks for the next step instead of returning them to the system.

    Blocks of many megabytes are otherwise mapped anew in every step, and every page of them is zeroed by the kernel
    when it is first touched. Does nothing with another C library.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
        libc.mallopt(_M_TOP_PAD, _TOP_PAD_BYTES)


def start_peak_memory(where: DeviceChoice) -> None:
    """Forget the peak of what was done before, and free what it left."""
    gc.collect()
    if where.device.type == "cuda":
        let_go_on_gpu()
        return
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)
    # Missing or forbidden in places: the peak is then that of the whole process.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)


def let_go_on_gpu() -> None:
    """Give back what was freed of the GPU, which other workers may need, and forget the peak. It wakes no GPU."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(where: DeviceChoice) -> int | None:
    """The most memory since `start_peak_memory`: what torch held of a GPU, else what was resident in this process.

    Both hold what the worker keeps as well: data set, libraries, and captured networks with their activations. Of a GPU
    it is what was reserved and not what tensors took: replaying a graph allocates nothing. None where the system does
    not tell.
    """
    if where.device.type == "cuda":
        # After an error that left it unusable, a device may not tell.
        with suppress(RuntimeError):
            return torch.cuda.max_memory_reserved(where.device)
        return None
    return _process_bytes("VmHWM")


def resident_bytes() -> int | None:
    """The memory that this process has now, without files, as of libraries; None where the system does not tell.

    Those of CUDA are gigabytes, which are in memory once for all processes.
    """
    own = _process_bytes("RssAnon")
    return _process_bytes("VmRSS") if own is None else own


def _process_bytes(field: str) -> int | None:
    status = Path("/proc/self/status")
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return None if found is None else int(found[1]) * 1024


def _glibc() -> Any:
    """The C library's functions where it is glibc, else None."""
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
