"""Which entrant to take, which smaller one is not told from it, and what each member is worth; validation decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.comparisons import paired_bootstrap
from benchmark.ensemble.building import METRICS, EnsembleSpec, refit
from benchmark.ensemble.crossfit import folds_of
from benchmark.ensemble.pools import members_of
from benchmark.ensemblers.greedy_selection import TIE_NATS
from benchmark.errors import BenchError, UnknownNameError
from benchmark.metrics import LOG_FLOOR, Estimate, predicted
from benchmark.records import Entrant, deciding
from benchmark.temperature import cross_fitted

MOST_LEFT_OUT = 12
"""Members up to which each is left out in turn: every one costs a fit for every fold."""


@dataclass(frozen=True)
class Recommendation:
    """What to take, by name, and how the smallest that validation does not tell from it differs."""

    name: str
    metric: str
    """log_loss (after temperature, cross-fitted) or accuracy: what was compared."""
    loss: float
    """Its mean over validation rows: nats, or the share of errors."""
    smallest: str
    """The entrant of fewest members, then parameters, that is not told from it; often itself."""
    difference: Estimate
    """Mean loss of the smallest minus that of the recommended, with its paired 95 % interval; 0 for itself."""
    limits: str = ""
    """What ensembles were asked to be within, in words; empty without limits."""
    are_limits_kept: bool = True
    """Whether all that was compared is within them; otherwise nothing is, and all was compared."""
    are_ensembles_gone: bool = False
    """Whether ensembles were built, and are none any more since other models were completed."""

    @property
    def among(self) -> str:
        """Of what it is the best, to follow a word: ` of what has at most 3 members`; empty where it is of all."""
        return f" of what has {self.limits}" if self.limits and self.are_limits_kept else ""

    @property
    def caution(self) -> str:
        """A sentence where ensembles have to be built again for what they were asked for; else empty."""
        gone = "No ensemble is here, since models were completed after they were built; again: bench ensemble."
        beyond = f"Nothing here has {self.limits}, as ensembles were asked for last; build them again: bench ensemble."
        told = (gone if self.are_ensembles_gone else "", "" if self.are_limits_kept else beyond)
        return " ".join(filter(None, told))


def recommend(
    entrants: Sequence[Entrant], labels: NDArray[np.int64], *, metric: str = "log_loss", folds: int = 5, seed: int = 0
) -> Recommendation:
    """The entrant of least mean loss on validation rows, cross-fitted, and the smallest within noise of it.

    `labels` (N,) are those of validation. Log loss is taken after temperature, fitted on the other folds, since
    confidence is no reason to prefer one: a temperature mends it. Of equals the one of fewer members is taken. Within
    noise is what the 95 % interval of the paired difference, by bootstrap over validation rows, does not tell apart.

    Raises BenchError without entrants, SealedTestError where anything but validation would decide.
    """
    judged = _judged(entrants, labels, metric, folds, seed)
    best = _of_least_loss(judged)
    for one in judged:
        difference = paired_bootstrap(one.losses - best.losses, seed=seed)
        if one is best or difference.low <= 0:
            return Recommendation(best.entrant.name, metric, best.loss, one.entrant.name, difference)
    raise AssertionError("the best is among those looked at")


def of_least_loss(
    entrants: Sequence[Entrant], labels: NDArray[np.int64], *, metric: str = "log_loss", folds: int = 5, seed: int = 0
) -> Entrant:
    """The entrant that `recommend` names, without looking for a smaller one. Raises what `recommend` raises."""
    return _of_least_loss(_judged(entrants, labels, metric, folds, seed)).entrant


@dataclass(frozen=True, eq=False)
class _Judged:
    """An entrant and its loss of every validation row, (N,)."""

    entrant: Entrant
    losses: NDArray[np.float64]

    @property
    def loss(self) -> float:
        return float(self.losses.mean())


def _judged(
    entrants: Sequence[Entrant], labels: NDArray[np.int64], metric: str, folds: int, seed: int
) -> list[_Judged]:
    """All entrants, the smallest first; of equals, the one that was trained on more rows."""
    if metric not in METRICS:
        raise UnknownNameError("metric", metric, METRICS)
    if not entrants:
        raise BenchError("there is nothing to recommend: no trial of this study is complete")
    assignment = folds_of(labels, folds, seed)
    by_size = sorted(entrants, key=_size)
    return [_Judged(one, row_losses(deciding(one.val), labels, assignment, metric)) for one in by_size]


def _size(one: Entrant) -> tuple[int, int, bool, str]:
    return len(one.members), one.cost.parameters, one.trained_on == "train", one.name


def _of_least_loss(judged: Sequence[_Judged]) -> _Judged:
    """The first of equals, but for rounding, hence the smallest."""
    least = min(one.loss for one in judged)
    return next(one for one in judged if one.loss <= least + TIE_NATS)


def row_losses(
    log_probs: NDArray[np.float32], labels: NDArray[np.int64], assignment: NDArray[np.int64], metric: str
) -> NDArray[np.float64]:
    """(N,) loss of every row: nats after a temperature fitted on the other folds, or 1 for an error."""
    if metric == "accuracy":
        errors: NDArray[np.float64] = (predicted(log_probs) != labels).astype(np.float64)
        return errors
    scaled = cross_fitted(log_probs, labels, assignment)
    of_label: NDArray[np.float64] = scaled[np.arange(len(labels)), labels].astype(np.float64)
    return -np.maximum(of_label, LOG_FLOOR)


def contributions(
    entrant: Entrant, candidates: Sequence[Entrant], labels: NDArray[np.int64], spec: EnsembleSpec
) -> tuple[float, ...] | None:
    """What each member is worth, in the order of the entrant's members; None for a single model or a large ensemble.

    The cross-fitted loss of the entrant's method over its other members, minus the one over all of them: nats, or a
    share of errors. Below 0 the ensemble would do better without. `candidates` are the single models.
    """
    members = members_of(entrant, candidates)
    if members is None or not 1 < len(members) <= MOST_LEFT_OUT:
        return None
    assignment = folds_of(labels, spec.folds, spec.seed)

    def loss(chosen: Sequence[Entrant]) -> float:
        fitted = refit(entrant.method, chosen, labels, assignment, spec)
        return float(row_losses(fitted.val.log_probs, labels, assignment, spec.metric).mean())

    whole = loss(members)
    return tuple(loss([one for one in members if one is not left_out]) - whole for left_out in members)
