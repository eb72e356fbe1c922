"""Greedy ensemble selection with replacement: weighted soft voting; knows predictions, not what made them.

Caruana et al. 2004, "Ensemble selection from libraries of models", doi:10.1145/1015330.1015432, section 2. The log loss
is measured *after temperature scaling*: raw log loss is misled by members trained with label smoothing or mixup, whose
confidence is low by design, and picks members that correct the confidence rather than the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._voting import Voting, weighted_mean
from benchmark.errors import BenchError
from benchmark.temperature import expand, fit_temperature

STEPS = 25
TIE_NATS = 1e-7
"""Losses closer than this are equal: above the rounding of the fit, far below anything a validation set resolves."""
PROBABILITY_FLOOR = np.float32(1e-30)

Metric = Literal["log_loss", "accuracy"]
MayJoin = Callable[[frozenset[int], int], bool]
"""Whether a new member may join the distinct members chosen so far: limits on members, latency or parameters."""


@dataclass(frozen=True)
class Path:
    """Members in the order of selection, and what their mean vote reaches after each of them."""

    metric: Metric
    """What was selected by; of equally accurate votes the one of lower loss was taken."""
    chosen: tuple[int, ...]
    losses: tuple[float, ...]
    """Log loss after temperature scaling, in nats."""
    accuracies: tuple[float, ...]
    """Shares of right rows in [0, 1]."""

    def best_prefix(self, members: int | None = None) -> tuple[int, ...]:
        """The shortest beginning that no longer one beats, of those of at most so many distinct members.

        Raises ValueError where there is none.
        """
        lengths = [
            length
            for length in range(1, len(self.chosen) + 1)
            if members is None or len(set(self.chosen[:length])) <= members
        ]
        if not lengths:
            raise ValueError(f"a path of {len(self.chosen)} steps has no beginning of at most {members} members")
        if self.metric == "accuracy":
            most = max(self.accuracies[length - 1] for length in lengths)
            lengths = [length for length in lengths if self.accuracies[length - 1] == most]
        least = min(self.losses[length - 1] for length in lengths)
        best = next(length for length in lengths if self.losses[length - 1] <= least + TIE_NATS)
        return self.chosen[:best]


def select(
    log_probs: NDArray[np.float32],
    labels: NDArray[np.int64],
    steps: int = STEPS,
    *,
    metric: Metric = "log_loss",
    may_join: MayJoin | None = None,
) -> Path:
    """Add to an empty ensemble, `steps` times, the member of (M, N, K) whose vote helps most on labels (N,).

    `metric` is the log loss after temperature scaling, or the accuracy with that log loss among equals. A member that
    is in may be added again, whatever `may_join` says of it; the path is empty where nothing may join at first.

    Ties go to a member already in, then to the earlier one: order members from cheap to dear, and of equals the cheaper
    is taken. Takes time in proportion to steps x M x N x K.
    """
    ensemble = _GrowingVote(log_probs, labels)
    chosen: list[int] = []
    losses: list[float] = []
    accuracies: list[float] = []
    for _ in range(steps):
        inside = frozenset(chosen)
        candidates = [
            member
            for member in range(len(log_probs))
            if may_join is None or member in inside or may_join(inside, member)
        ]
        if not candidates:
            break
        if metric == "accuracy":
            candidates = ensemble.most_accurate_with(candidates)
        loss_with = ensemble.least_losses_with(candidates)
        winner = _first_of_equals(loss_with, inside)
        ensemble.add(winner)
        chosen.append(winner)
        losses.append(loss_with[winner])
        accuracies.append(ensemble.accuracy())
    return Path(metric, tuple(chosen), tuple(losses), tuple(accuracies))


def _first_of_equals(losses: dict[int, float], inside: frozenset[int]) -> int:
    least = min(losses.values())
    tied = sorted(member for member, loss in losses.items() if loss <= least + TIE_NATS)
    return next((member for member in tied if member in inside), tied[0])


class _GrowingVote:
    """The sum of the votes so far, and what one more would make of it."""

    def __init__(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        # (M, K, N): classes first, as the temperature fit wants them.
        self._probs = np.exp(np.ascontiguousarray(log_probs.transpose(0, 2, 1)))
        self._total = np.zeros(self._probs.shape[1:], np.float32)
        self._labels = labels
        self._temperatures = [1.0] * len(log_probs)

    def add(self, member: int) -> None:
        """Count the member's vote, once more if it has one."""
        self._total += self._probs[member]

    def accuracy(self) -> float:
        """Share of rows that the votes so far get right."""
        return float(np.mean(self._total.argmax(axis=0) == self._labels))

    def most_accurate_with(self, candidates: Iterable[int]) -> list[int]:
        """Those candidates with which the most rows are right."""
        hits = {
            member: np.count_nonzero((self._total + self._probs[member]).argmax(axis=0) == self._labels)
            for member in candidates
        }
        most = max(hits.values())
        return [member for member, count in hits.items() if count == most]

    def least_losses_with(self, candidates: Iterable[int]) -> dict[int, float]:
        """Log loss after temperature scaling with each candidate that may be the best; the others are no ties of it.

        A member's temperature moves little from step to step. One evaluation at its last one bounds the loss from
        below, and only what could be the best by that bound is worth a fit.
        """
        bounds: dict[int, float] = {}
        for member in candidates:
            near = expand(self._logits_with(member), self._labels, self._temperatures[member])
            bounds[member] = near.lower_bound
            if near.is_near:
                self._temperatures[member] = near.temperature
        losses: dict[int, float] = {}
        for member in sorted(bounds, key=bounds.__getitem__):
            if losses and bounds[member] > min(losses.values()) + TIE_NATS:
                break
            fitted = fit_temperature(self._logits_with(member), self._labels, start=self._temperatures[member])
            self._temperatures[member] = fitted.temperature
            losses[member] = fitted.log_loss
        return losses

    def _logits_with(self, member: int) -> NDArray[np.float32]:
        """(K, N) of the mean vote, up to a constant, which temperature scaling does not see."""
        total: NDArray[np.float32] = self._total + self._probs[member]
        np.log(np.maximum(total, PROBABILITY_FLOOR, out=total), out=total)
        return total


class GreedySelection:
    """Votes by the best beginning of a selection's path; see `select` for what decides."""

    weights: NDArray[np.float64] | None = None

    def __init__(self, metric: Metric = "log_loss", may_join: MayJoin | None = None) -> None:
        self.path: Path | None = None
        """The whole selection, once fitted."""
        self._metric = metric
        self._may_join = may_join

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Select on all rows given. Raises BenchError where no member may join."""
        path = select(log_probs, labels, metric=self._metric, may_join=self._may_join)
        if not path.chosen:
            raise BenchError("no member fits the limits of the ensemble by itself; loosen them")
        self.path = path
        self._members = len(log_probs)
        self.weights = self._votes()
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Log of the weighted mean probability, (N, K) of (M, N, K); no temperature is applied."""
        if self.weights is None:
            raise ValueError("predict needs fit first")
        return weighted_mean(log_probs, self.weights)

    def up_to(self, members: int) -> Ensembler:
        """A fitted voting of at most so many members, by the best such beginning of the same path.

        Raises ValueError before fit and for less than one member.
        """
        return Voting.by(self._votes(members))

    def _votes(self, members: int | None = None) -> NDArray[np.float64]:
        """(M,) each member's share of the kept steps."""
        if self.path is None:
            raise ValueError("up_to needs fit first")
        kept = self.path.best_prefix(members)
        return np.bincount(kept, minlength=self._members) / len(kept)


@ENSEMBLERS.register(
    "greedy_selection",
    space={},
    reference="Caruana et al. 2004, doi:10.1145/1015330.1015432, section 2; Guo et al. 2017, arXiv:1706.04599",
    selects=True,
)
def greedy_selection() -> Ensembler:
    """An unfitted greedy selection."""
    return GreedySelection()
