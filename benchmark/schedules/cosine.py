"""Cosine annealing with linear warm-up."""

from __future__ import annotations

import math

from optuna.distributions import FloatDistribution

from benchmark.schedules import SCHEDULES, Schedule, ramp


@SCHEDULES.register(
    "cosine",
    space={"warmup": FloatDistribution(0.0, 0.3)},
    reference="Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5, one period",
)
def cosine(*, warmup: float = 0.1) -> Schedule:
    """Linear from 0 up to 1 over the first `warmup` share, then half a cosine down to 0."""

    def multiplier(share: float) -> float:
        if share < warmup:
            return ramp(share, warmup)
        return 0.5 * (1.0 + math.cos(math.pi * (share - warmup) / (1.0 - warmup)))

    return multiplier
