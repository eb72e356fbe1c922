"""Greedy ensemble selection with replacement: weighted soft voting; knows predictions, not what made them.

Caruana et al. 2004, "Ensemble selection from libraries of models", doi:10.1145/1015330.1015432, section 2. The
objective is log loss *after temperature scaling*: raw log loss is misled by members trained with label smoothing or
mixup, whose confidence is low by design, and picks members that correct the confidence rather than the errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._voting import Voting
from benchmark.temperature import fit_temperature

STEPS = 25
TIE_NATS = 1e-7
"""Losses closer than this are equal: above the rounding of the fit, far below anything a validation set resolves."""
PROBABILITY_FLOOR = np.float32(1e-30)


@dataclass(frozen=True)
class Path:
    """Members in the order of selection, and the objective, in nats, after each."""

    chosen: tuple[int, ...]
    losses: tuple[float, ...]

    @property
    def best_prefix(self) -> tuple[int, ...]:
        """The shortest beginning that nothing longer beats."""
        least = min(self.losses)
        length = next(step for step, loss in enumerate(self.losses, start=1) if loss <= least + TIE_NATS)
        return self.chosen[:length]


def select(log_probs: NDArray[np.float32], labels: NDArray[np.int64], steps: int = STEPS) -> Path:
    """Add to an empty ensemble, `steps` times, the member of (M, N, K) whose vote helps most on labels (N,).

    Members may be added again. Ties go to a member already in, then to the earlier one. Takes time in proportion to
    steps x M x N x K.
    """
    # (M, K, N): classes first, as the temperature fit wants them.
    probs = np.exp(np.ascontiguousarray(log_probs.transpose(0, 2, 1)))
    total = np.zeros(probs.shape[1:], np.float32)
    temperatures = [1.0] * len(probs)
    chosen: list[int] = []
    losses: list[float] = []
    for _ in range(steps):
        trials = []
        for member, vote in enumerate(probs):
            logits = np.log(np.maximum((total + vote) / np.float32(len(chosen) + 1), PROBABILITY_FLOOR))
            # A member's temperature moves little from step to step: the last one saves most of the iterations.
            fitted = fit_temperature(logits, labels, start=temperatures[member])
            temperatures[member] = fitted.temperature
            trials.append(fitted.log_loss)
        tied = [member for member, loss in enumerate(trials) if loss <= min(trials) + TIE_NATS]
        winner = next((member for member in tied if member in chosen), tied[0])
        total += probs[winner]
        chosen.append(winner)
        losses.append(trials[winner])
    return Path(tuple(chosen), tuple(losses))


def selected_votes(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) each member's share of the kept steps of a selection on all rows given."""
    kept = select(log_probs, labels).best_prefix
    return np.bincount(kept, minlength=len(log_probs)) / len(kept)


@ENSEMBLERS.register(
    "greedy_selection",
    space={},
    reference="Caruana et al. 2004, doi:10.1145/1015330.1015432, section 2; Guo et al. 2017, arXiv:1706.04599",
)
def greedy_selection() -> Ensembler:
    """An unfitted greedy selection."""
    return Voting(selected_votes)
