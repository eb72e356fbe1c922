"""Linear decay with linear warm-up."""

from __future__ import annotations

from optuna.distributions import FloatDistribution

from benchmark.schedules import SCHEDULES, Schedule, ramp


@SCHEDULES.register(
    "linear",
    space={"warmup": FloatDistribution(0.0, 0.3)},
    reference="Defazio et al. 2023, arXiv:2310.07831, section 4 (linear decay, with warm-up)",
)
def linear(*, warmup: float = 0.05) -> Schedule:
    """Linear from 0 up to 1 over the first `warmup` share, then linear down to 0."""
    return lambda share: ramp(share, warmup) if share < warmup else (1.0 - share) / (1.0 - warmup)
