"""Learning-rate schedules: what one takes and gives; one file each, found by the registry.

A builder maps its keyword-only parameters to a function from the share of the budget that is used, in [0, 1], to a
multiplier of the peak learning rate, in [0, 1]. Every schedule ends where the budget ends. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmark.registry import Registry

Schedule = Callable[[float], float]

SCHEDULES: Registry[..., Schedule] = Registry("schedule", __name__)


def ramp(share: float, warmup: float, start: float = 0.0) -> float:
    """Linear warm-up from `start` to 1 over the first `warmup` share of the budget; 1 after it."""
    if share >= warmup:
        return 1.0
    return start + (1.0 - start) * share / warmup
