"""Images per second over a window of time, of anything that yields how many images it has just handled."""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch


def images_per_second(steps: Iterator[int], warm_seconds: float, window_seconds: float) -> float:
    """The rate over a window, after a time that does not count: it empties queues that filled during a pause."""
    _run_for(steps, warm_seconds)
    images, seconds = _run_for(steps, window_seconds)
    return images / seconds


def _run_for(steps: Iterator[int], seconds: float) -> tuple[int, float]:
    images, started = 0, _now()
    while images == 0 or time.perf_counter() - started < seconds:
        images += next(steps)
    return images, _now() - started


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
