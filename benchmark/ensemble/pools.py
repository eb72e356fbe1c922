"""Which single models an ensemble may be made of: the best, all, and what a budget allows; fits nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics import standing
from benchmark.records import Entrant


@dataclass(frozen=True)
class Limits:
    """What an ensemble may have at most; None is no limit."""

    members: int | None = None
    latency_ms: float | None = None
    """Milliseconds to predict one image alone, members one after another."""
    parameters: int | None = None
    per_family: int | None = None
    """Members of one architecture's family."""

    def __post_init__(self) -> None:
        for value in (self.members, self.latency_ms, self.parameters, self.per_family):
            if value is not None and not value > 0:
                raise BenchError("limits of an ensemble are more than 0")

    def __bool__(self) -> bool:
        return self != Limits()

    def allow(self, members: Collection[Entrant]) -> bool:
        """Whether these single models may be one ensemble. A model without a measured latency fits no limit of it."""
        if self.members is not None and len(members) > self.members:
            return False
        if self.parameters is not None and sum(one.cost.parameters for one in members) > self.parameters:
            return False
        largest = max(Counter(one.family for one in members).values(), default=0)
        if self.per_family is not None and largest > self.per_family:
            return False
        if self.latency_ms is None:
            return True
        latencies = [one.cost.latency_ms for one in members]
        return None not in latencies and sum(latency or 0.0 for latency in latencies) <= self.latency_ms

    def __str__(self) -> str:
        parts = (
            None if self.members is None else f"at most {self.members} members",
            None if self.latency_ms is None else f"at most {self.latency_ms:g} ms",
            None if self.parameters is None else f"at most {self.parameters:,} parameters",
            None if self.per_family is None else f"at most {self.per_family} of a family",
        )
        return ", ".join(filter(None, parts))


def ranked(candidates: Sequence[Entrant], labels: NDArray[np.int64]) -> list[Entrant]:
    """Single models by validation accuracy, best first; ties to lower log loss, then to the earlier trial."""
    if any(len(entrant.members) != 1 for entrant in candidates):
        raise ValueError("candidates are single models, each the one member of itself")
    return sorted(candidates, key=lambda entrant: (*standing(entrant.val, labels), entrant.members))


def top_candidates(
    candidates: Sequence[Entrant], labels: NDArray[np.int64], top: int, limits: Limits = Limits()
) -> list[Entrant]:
    """The `top` best, in the order of `ranked`, without those that would break a limit together with better ones.

    Raises BenchError where `top` is below 2 or above the number of candidates, or nothing is within the limits.
    """
    if top < 2:
        raise BenchError(f"an ensemble needs at least 2 models, not {top}")
    if len(candidates) < 2:
        raise BenchError(f"an ensemble needs at least 2 completed trials, not {len(candidates)}; search first")
    if top > len(candidates):
        raise BenchError(f"top {top} asks for more than the {len(candidates)} completed trials; lower it or search on")
    chosen = fitting(ranked(candidates, labels), limits)[:top]
    if not chosen and limits.latency_ms is not None and all(one.cost.latency_ms is None for one in candidates):
        raise BenchError("the latency of this study's trials was not measured: an earlier version searched it")
    if not chosen:
        raise BenchError(f"no single model is within the limits: {limits}")
    return chosen


def fitting(best: Sequence[Entrant], limits: Limits) -> list[Entrant]:
    """Those of the given order that are within the limits together with all that were taken before them."""
    chosen: list[Entrant] = []
    for entrant in best:
        if limits.allow([*chosen, entrant]):
            chosen.append(entrant)
    return chosen


def members_of(ensemble: Entrant, singles: Sequence[Entrant]) -> list[Entrant] | None:
    """The single models that an ensemble consists of, in its order; None where not all of them are among `singles`."""
    by_number = {single.members[0]: single for single in singles if single.part == ensemble.part}
    found = [by_number[number] for number in ensemble.members if number in by_number]
    return found if len(found) == len(ensemble.members) else None


def within(limits: Limits, entrant: Entrant, singles: Sequence[Entrant]) -> bool:
    """Whether an entrant, single or an ensemble of `singles`, is within the limits; one of unknown members is not."""
    members = [entrant] if entrant.is_single else members_of(entrant, singles)
    return not limits or (members is not None and limits.allow(members))


def may_join_within(pool: Sequence[Entrant], limits: Limits, chosen: frozenset[int], candidate: int) -> bool:
    """Whether one more member of the pool, by its place in it, keeps to the limits together with those chosen."""
    return limits.allow([pool[index] for index in (*chosen, candidate)])


def cheapest_first(pool: Sequence[Entrant]) -> list[Entrant]:
    """By multiply-accumulates, parameters and trial: methods give ties to the earlier member, so to the cheaper."""
    return sorted(pool, key=lambda entrant: (entrant.cost.macs, entrant.cost.parameters, entrant.members))
