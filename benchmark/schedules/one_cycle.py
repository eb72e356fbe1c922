"""The triangular one-cycle schedule."""

from __future__ import annotations

from optuna.distributions import FloatDistribution

from benchmark.schedules import SCHEDULES, Schedule, ramp

_START = 0.2


@SCHEDULES.register(
    "one_cycle",
    space={"peak": FloatDistribution(0.05, 0.5)},
    reference="Smith and Topin 2018, arXiv:1708.07120; linear sides from 0.2: Jordan 2024, arXiv:2404.00498",
)
def one_cycle(*, peak: float = 0.23) -> Schedule:
    """Linear from 0.2 up to 1 at the share `peak` of the budget, then linear down to 0."""
    return lambda share: ramp(share, peak, _START) if share < peak else (1.0 - share) / (1.0 - peak)
