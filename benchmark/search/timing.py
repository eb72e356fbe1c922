"""When a search ends, and what can still be begun before that; begins and ends nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from benchmark.definition import BudgetSpec
from benchmark.records import RunPlan, TrialRecord, count_complete
from benchmark.search.observer import SearchLimits
from benchmark.workers import Job

_GRACE = 0.5
"""Of what the first complete trial took, that others have to end, where the search had waited for it."""


class Timing:
    """The time of one process's search, by the monotonic clock."""

    def __init__(self, limits: SearchLimits, budget: BudgetSpec, plan: RunPlan | None) -> None:
        """It begins now."""
        self._limits = limits
        self._budget = budget
        self._plan = plan
        self._began = time.monotonic()
        self._durations: list[float] = []
        """Of the complete trials of this process."""
        self._first_complete = math.inf
        """When the first of them was."""
        self._spare: float | None = None
        """Seconds between the end of a planned run's training and the search's: known from the first one."""

    def completed(self, seconds: float) -> None:
        """A trial of this process is complete, and took so long."""
        self._first_complete = min(self._first_complete, time.monotonic())
        self._durations.append(seconds)

    @property
    def ends(self) -> float | None:
        """When the search ends, None where that is not known.

        Later while no trial of this process is complete, where the limits say so, and then soon.
        """
        if self._limits.timeout is None:
            return None
        planned, latest = self._began + self._limits.timeout, self._began + self._limits.first_within
        if not self._durations:
            return max(planned, latest)
        if self._first_complete <= planned:
            return planned
        # Others began when it did, and would be lost a moment before their end.
        return max(planned, min(self._first_complete + _GRACE * self._durations[0], latest))

    @property
    def is_over(self) -> bool:
        """Whether that is now."""
        return self._seconds_left() <= 0

    def may_begin(self, known: Sequence[TrialRecord]) -> bool:
        """Whether a trial that begins now can be expected to end in time; `known` are the study's."""
        return not self._is_too_late(known) and self._seconds_left() > self._usual_duration()

    def in_time(self, job: Job) -> Job:
        """The job, or where a planned run begins so late that it could not end in time, one with the seconds left.

        So begins again what was killed or ran out of memory. With less than half of its seconds it is left as it is,
        to be cut off. The first one asked about tells how long it is from the end of a run's training to the search's.
        """
        budget, left = job.config.budget, self._seconds_left()
        if self._plan is None or left == math.inf or not budget.adapts or job.resume_from is not None:
            return job
        assert budget.seconds is not None
        if self._spare is None:
            self._spare = max(0.0, left - budget.seconds)
        seconds = left - self._spare
        if not budget.seconds / 2 <= seconds < budget.seconds:
            return job
        return replace(job, config=replace(job.config, budget=replace(budget, seconds=seconds)))

    def _is_too_late(self, known: Sequence[TrialRecord]) -> bool:
        """Whether a planned run that begins now would have less than half of its seconds: it would be another run.

        Not so where one may go on from a checkpoint.
        """
        if self._plan is None or not self._budget.adapts or self._spare is None:
            return False
        if count_complete(known) >= len(self._plan.runs):
            return False
        assert self._budget.seconds is not None
        is_short = self._seconds_left() - self._spare < self._budget.seconds / 2
        return is_short and not any(trial.interrupted for trial in known)

    def _seconds_left(self) -> float:
        """Infinite where it is not known when the search ends."""
        ends = self.ends
        return math.inf if ends is None else ends - time.monotonic()

    def _usual_duration(self) -> float:
        """Seconds that a complete trial took so far, on average; 0 where none is known."""
        return sum(self._durations) / len(self._durations) if self._durations else 0.0
