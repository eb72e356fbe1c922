"""The time of a search: when it ends, and what may still begin before that; on a clock that a test sets."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from benchmark.definition import BudgetSpec
from benchmark.records import Budget, Choice, PlannedRun, RunPlan, TrialConfig, TrialRecord, TrialState
from benchmark.search import SearchLimits, timing
from benchmark.search.timing import Timing
from benchmark.workers import Job

BUDGET = BudgetSpec(seconds=100.0, adapts=True)
PLAN = RunPlan((PlannedRun(0, 0, 7, {}),), {})
LOST = TrialRecord(0, TrialState.FAILED, "cnn", False, {}, None, None, "stopped", 1.0, "abacus")
JOB = Job(
    TrialConfig(
        Choice("cnn"), (), Choice("sgd"), Choice("linear"), Budget(seconds=100.0, adapts=True), batch_size=64, seed=0
    ),
    "weights",
)


@dataclass
class Clock:
    """Seconds that only a test lets pass."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "time", clock)
    return clock


def test_without_a_limit_it_does_not_end(clock: Clock) -> None:
    timed = Timing(SearchLimits(5), BUDGET, None)
    timed.completed(50.0)
    clock.now += 1e6
    assert timed.ends is None
    assert not timed.is_over
    assert timed.may_begin([])
    assert timed.in_time(JOB) is JOB


def test_it_ends_in_time_and_begins_nothing_that_is_usually_longer(clock: Clock) -> None:
    timed = Timing(SearchLimits(timeout=100.0), BUDGET, None)
    assert timed.may_begin([])
    clock.now += 40
    timed.completed(30.0)
    timed.completed(40.0)
    assert timed.ends == 1100
    for passed, may_begin in ((24, True), (25, False)):
        clock.now = 1040 + passed + 0.5
        assert timed.may_begin([]) == may_begin
    clock.now = 1099.9
    assert not timed.is_over
    clock.now = 1100
    assert timed.is_over
    assert not timed.may_begin([])


def test_it_waits_for_the_first_complete_trial_and_half_as_long_for_others(clock: Clock) -> None:
    timed = Timing(SearchLimits(timeout=10.0, first_within=60.0), BUDGET, None)
    assert timed.ends == 1060
    clock.now += 20
    timed.completed(20.0)
    assert timed.ends == 1030
    clock.now += 35
    timed.completed(5.0)
    assert timed.ends == 1030, "only for the first"


@pytest.mark.parametrize(("first", "ends"), [(9.0, 1010), (50.0, 1060)])
def test_it_does_not_wait_where_one_was_complete_in_time_nor_past_the_last_moment(
    clock: Clock, first: float, ends: float
) -> None:
    timed = Timing(SearchLimits(timeout=10.0, first_within=60.0), BUDGET, None)
    clock.now += first
    timed.completed(first)
    assert timed.ends == ends


def test_a_planned_run_that_begins_again_has_the_seconds_that_are_left(clock: Clock) -> None:
    timed = Timing(SearchLimits(timeout=200.0), BUDGET, PLAN)

    def given(left: float, job: Job = JOB) -> float | None:
        clock.now = 1200 - left
        return timed.in_time(job).config.budget.seconds

    assert given(120) == 100
    # Of 120 seconds 20 were for what follows training: so are they of what is left.
    assert given(90) == 70
    assert given(60) == 100, "less than half of its seconds would be another run"
    assert given(90, replace(JOB, config=replace(JOB.config, budget=Budget(seconds=100.0)))) == 100


def test_trials_of_a_search_keep_their_budget(clock: Clock) -> None:
    timed = Timing(SearchLimits(timeout=120.0), BUDGET, None)
    assert timed.in_time(JOB) is JOB
    clock.now += 30
    assert timed.in_time(JOB) is JOB, "they are to be compared"


def test_a_planned_run_that_could_have_no_half_of_its_seconds_is_not_begun(clock: Clock) -> None:
    timed = Timing(SearchLimits(timeout=120.0), BUDGET, PLAN)
    assert timed.in_time(JOB) is JOB

    def may_begin(left: float, *known: TrialRecord) -> bool:
        clock.now = 1120 - left
        return timed.may_begin(known)

    assert may_begin(75)
    assert not may_begin(65)
    assert may_begin(65, replace(LOST, interrupted=True)), "it may go on from a checkpoint"
    complete = replace(LOST, state=TrialState.COMPLETE)
    assert may_begin(65, complete), "there is none left to begin, which is for the queue to say"
    for budget, plan in ((replace(BUDGET, adapts=False), PLAN), (BUDGET, None)):
        clock.now = 1000.0
        other = Timing(SearchLimits(timeout=120.0), budget, plan)
        other.in_time(JOB)
        clock.now = 1055.0
        assert other.may_begin([])
