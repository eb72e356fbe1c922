"""One deadline for everything: short trials first, then long runs of the best; trains nothing itself.

Short trials tell configurations apart at a small part of the cost of a long run (Li et al. 2018, arXiv:1603.06560), and
what is trained last is trained longest, as in successive halving with a single cut. The long runs are of the best
configuration and of those that validation cannot tell from it, which is safety from a wrong choice; where there are
fewer than places, of further seeds, whose average is better than any of them (Lakshminarayanan et al. 2017,
arXiv:1612.01474). A long run has a wider network and more augmentation where its passes over the rows ask for them
(benchmark/fidelity.py).
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.comparisons import compare
from benchmark.confirmation import ConfirmSpec, plan_of, runs_planned
from benchmark.datasets import Say
from benchmark.definition import StudySpec, check_study_name
from benchmark.ensemble import cheapest_first, ranked
from benchmark.ensemblers.greedy_selection import select
from benchmark.errors import BenchError
from benchmark.fidelity import cost_ratio, for_long_run
from benchmark.parameters import differences
from benchmark.records import (
    Parameters,
    ParameterValue,
    RunPlan,
    Split,
    TrialRecord,
    as_jsonable,
    count_complete,
    deciding,
)
from benchmark.search import Ending, Search, SearchLimits, SearchObserver
from benchmark.space import Space
from benchmark.store import StudyLocation, StudyStore
from benchmark.study import note_command, open_for_search, open_to_confirm, place_of_files, set_total
from benchmark.workers import WorkerSetup

_SEARCH_SHARE = 0.3
"""Share of the time for short trials."""
_TRIAL_SHARE = 0.05
"""Share of the time that one short trial trains for: with less, networks that need longer are told for bad ones."""
_USUAL_TRIAL_SECONDS = 15.0
"""A trial that is shorter tells networks that need longer for bad ones, so that no trial is where the time for several
allows."""
_TRIALS_IN_TURN, _BESIDE_SECONDS = 2, 10.0
"""So many trials one after the other are several, and what each takes beside its training: start and evaluation."""
_MOST_REPORTS = 2
"""Reports of a short trial: in such a trial they cost as much as its steps."""
_LEAST_TRIAL_SECONDS, _LEAST_FINAL_SECONDS = 2.0, 5.0
_READING_SHARE, _MOST_READING_SECONDS = 0.05, 15.0
"""Time that is left at the end for ensembles and leaderboard, at least."""
_READING_SECONDS_PER_NUMBER = 8e-6
"""The same, where there is much to read: for each that a complete trial predicts. All methods over a hundred trials of
5,000 rows and 10 classes take 38 s on two cores (docs/decisions.md)."""
_LATE_SECONDS = 15.0
"""So long after the deadline the leaderboard may be there."""
_CARE = 0.97
"""A long run plans for this share of the time there is: its seconds of training are kept to, the others are a guess."""
_TOLD_APART = 0.05
"""Level of the test that tells a configuration from the best."""
_STARTING_SECONDS = {"cpu": 5.0, "cuda": 15.0}
"""From the last short trial to the first step of a long run: processes, the part, the data and the network. Those of a
GPU are not forked, and import all that they need."""
_MOST_OVERHEAD_SECONDS = 30.0
"""Of a trial, beside training and evaluation: a GPU's kernels were seen to take 27. What is more is not believed:
trials go by the machine's clock, which may have been set meanwhile, and goes on while the machine sleeps."""
_LONG_RUNS = "long_runs"
"""The fact of a study that says what its long runs were asked to be, part by part, the latest last."""

Observed = Callable[[StudyStore, int, float], AbstractContextManager[SearchObserver]]
"""Follows one phase: a study or a part of it, the trials wanted in total, and the seconds there are."""


@dataclass(frozen=True)
class Timetable:
    """What happens when, in seconds from the start."""

    trial_seconds: float
    """Training steps of one short trial."""
    search_until: float
    """No short trial runs on after this."""
    train_until: float
    """The time that long runs are planned for."""


def timetable(seconds: float, most_trial_seconds: float | None) -> Timetable:
    """Divide a deadline; `most_trial_seconds` is the study's own budget of a trial, where it has one in seconds."""
    usual = min(_USUAL_TRIAL_SECONDS, _SEARCH_SHARE * seconds / _TRIALS_IN_TURN - _BESIDE_SECONDS)
    trial = max(_LEAST_TRIAL_SECONDS, _TRIAL_SHARE * seconds, usual)
    return Timetable(
        trial_seconds=trial if most_trial_seconds is None else min(trial, most_trial_seconds),
        search_until=_SEARCH_SHARE * seconds,
        train_until=seconds - min(_MOST_READING_SECONDS, _READING_SHARE * seconds),
    )


def within_deadline(spec: StudySpec, seconds: float) -> StudySpec:
    """The study that such a run searches: under a name of its own, since its trials are shorter.

    Raises BenchError where that would be too long.
    """
    budget = replace(
        spec.budget,
        epochs=None,
        seconds=timetable(seconds, spec.budget.seconds).trial_seconds,
        reports=min(_MOST_REPORTS, spec.budget.reports),
    )
    return replace(spec, name=check_study_name(f"{spec.name}-in-{seconds:.15g}-s"), budget=budget)


def run_until(
    spec: StudySpec,
    location: StudyLocation,
    setups: Sequence[WorkerSetup],
    seconds: float,
    data: Path | None,
    observed: Observed,
    say: Say,
    command: str,
    began: float | None = None,
) -> tuple[StudyStore, Ending]:
    """Search, then train the best longer, until `seconds` from now; the study, and why it ended.

    `spec` is what `within_deadline` gave, `command` the one that the study notes, and `began` when its time began, by
    the monotonic clock, where that is not now. Long runs that an earlier call was interrupted in are finished first,
    and are then all that is done. The end is "timeout" where all went its way, "spent" where the study's number of
    trials was reached before or the search ended with an error, or "interrupted". Raises BenchError where the search
    does and no trial is complete; what ends search or long runs early is said only where there is something to show.
    """
    began = time.monotonic() if began is None else began
    plan = timetable(seconds, spec.budget.seconds)
    store = open_for_search(spec, location, data, say)
    note_command(store, command)
    set_total(store, spec.search.trials)
    space = Space(spec)
    if (asked := _unfinished(store)) is not None:
        say("going on with long runs that were interrupted")
        return store, _train_longer(store, asked, setups, _latest_end(store, began + seconds), data, observed, say)
    # Of what is left: data may have been fetched first, and decoded.
    spent = time.monotonic() - began
    left = plan.search_until * max(0.0, 1 - spent / seconds)
    with observed(store, spec.search.trials, left) as observer:
        search = Search(store, space, setups, place_of_files(store), observer)
        # A slow machine has no complete trial by then, and without one there is nothing to show.
        first_within = 0.0 if count_complete(store.trials()) else plan.train_until - spent
        try:
            why = search.run(SearchLimits(spec.search.trials, left, first_within))
        except BenchError as error:
            if not count_complete(store.trials()):
                raise
            # What there is may be trained longer, and is shown.
            say(f"the search ended early: {error}")
            why = "interrupted" if search.was_stopped else "spent"
    workers = search.workers
    finalists = finalists_of(store, workers)
    left = min(plan.train_until, seconds - _seconds_to_read(store)) - (time.monotonic() - began)
    searched = {trial.number: trial for trial in store.trials()}
    changes = fitted_for_long_runs(store, space, finalists, left)
    final_seconds = _CARE * (left - _STARTING_SECONDS[setups[0].kind] - _seconds_beside_training(searched, changes))
    if why == "interrupted" or not finalists or final_seconds < _LEAST_FINAL_SECONDS:
        return store, why
    asked = ConfirmSpec(
        seeds=math.ceil(workers / len(finalists)),
        seconds=round(final_seconds),
        trials=tuple(finalists),
        changes=changes,
        most_runs=workers,
    )
    asked = _noted_with_other_seeds(store, asked)
    return store, _train_longer(store, asked, setups, _latest_end(store, began + seconds), data, observed, say)


def _seconds_to_read(store: StudyStore) -> float:
    """What ensembles and leaderboard of so many models will take."""
    numbers: int = store.fact("rows")["val"] * len(store.fact("classes"))
    return count_complete(store.trials()) * numbers * _READING_SECONDS_PER_NUMBER


def _latest_end(store: StudyStore, deadline: float) -> float:
    """When long runs end at the latest: at the deadline, or before it where reading would be late otherwise."""
    return min(deadline, deadline + _LATE_SECONDS - _seconds_to_read(store))


def _train_longer(
    store: StudyStore,
    asked: ConfirmSpec,
    setups: Sequence[WorkerSetup],
    deadline: float,
    data: Path | None,
    observed: Observed,
    say: Say,
) -> Ending:
    """Train what was planned until the deadline, by the monotonic clock; why it ended."""
    try:
        longer, part, runs = open_to_confirm(store, asked, data, say)
        searched = {trial.number: trial for trial in store.trials()}
        say(f"now the best again, {asked.seconds:.0f} s each: {_told(runs, searched)}")
        # One that is slower than it promised has until the deadline itself.
        with observed(part, len(runs.runs), deadline - time.monotonic()) as observer:
            search = Search(part, Space(longer), setups, place_of_files(part), observer, runs)
            return search.run(SearchLimits(None, deadline - time.monotonic()))
    except BenchError as error:
        say(f"long runs ended early: {error}")
        return "timeout"


def _noted_with_other_seeds(store: StudyStore, asked: ConfirmSpec) -> ConfirmSpec:
    """Note what is asked, with other seeds than was asked before, even if another process asks at this moment."""
    planned = runs_planned(store, asked.trials)
    with store.exclusive():
        before = _long_runs(store)
        begun = [one.first + one.seeds for one in before if set(one.trials) & set(asked.trials)]
        asked = replace(asked, first=max([planned, *begun]))
        store.set_fact(_LONG_RUNS, as_jsonable([*(one for one in before if one.part != asked.part), asked]))
    return asked


def _long_runs(store: StudyStore) -> list[ConfirmSpec]:
    """What was asked for so far, part by part."""
    stored = store.fact(_LONG_RUNS) or []
    # A study that was begun by an earlier version has one of them.
    noted: list[dict[str, Any]] = [stored] if isinstance(stored, dict) else stored
    found = []
    for one in noted:
        changes = {int(number): changed for number, changed in one["changes"].items()}
        found.append(ConfirmSpec(**one | {"trials": tuple(one["trials"]), "changes": changes}))
    return found


def _unfinished(store: StudyStore) -> ConfirmSpec | None:
    """The latest long runs of which one was interrupted and any is still to be trained."""
    parts = store.parts()
    for asked in reversed(_long_runs(store)):
        part = parts.get(asked.part)
        if part is None:
            continue
        # Of a process that was killed, nobody has said so yet.
        part.queue.give_up_lost()
        if any(trial.interrupted for trial in part.trials()) and part.queue.has_open(plan_of(part)):
            return asked
    return None


def finalists_of(store: StudyStore, places: int) -> list[int]:
    """Numbers of at most so many trials: the best by validation accuracy, and those that the rows cannot tell from it.

    They are not told apart by an exact McNemar test at 5 %. After the best they come in the order in which greedy
    selection adds them, then by accuracy.
    """
    labels = store.labels(Split.VAL)
    singles = ranked(store.single_models(), labels)
    if not singles:
        return []
    best = deciding(singles[0].val)
    as_good = [one for one in singles if compare(deciding(one.val), best, labels).p_value >= _TOLD_APART]
    pool = cheapest_first(as_good)
    path = select(np.stack([deciding(one.val) for one in pool]), labels)
    added = [pool[index].members[0] for index in path.chosen]
    found = dict.fromkeys([singles[0].members[0], *added, *(one.members[0] for one in as_good)])
    return list(found)[:places]


def fitted_for_long_runs(
    store: StudyStore, space: Space, trials: Sequence[int], seconds: float
) -> dict[int, dict[str, ParameterValue]]:
    """By trial, in what its long run of about so many seconds differs from it."""
    rows = store.fact("rows")["train"]
    found = {}
    for number in trials:
        details = store.trial(number)
        trial, last = details.record, details.curve[-1]
        short = last.images_seen / rows
        long = short * max(0.0, seconds) / last.train_seconds
        found[number] = for_long_run(space, trial.family, trial.parameters, short, long)
    return found


def _told(plan: RunPlan, searched: Mapping[int, TrialRecord]) -> str:
    """Which trials, what is changed in them, and with how many seeds each."""
    planned = {run.trial: run.parameters for run in plan.runs}
    told = []
    for number, count in Counter(run.trial for run in plan.runs).items():
        trial = searched[number]
        changes = differences(trial.parameters, planned[number], trial.family)
        told.append(", ".join([f"trial {number}", *changes, *([f"{count} seeds"] if count > 1 else [])]))
    return "; ".join(told)


def _seconds_beside_training(searched: Mapping[int, TrialRecord], changes: Mapping[int, Parameters]) -> float:
    """The most that one of these trials, changed so, takes for all but training steps: evaluation, views, saving.

    A GPU's kernels are loaded anew, for which it takes as long as any trial of the family waited.
    """
    waited: dict[str, float] = {}
    for trial in searched.values():
        waited[trial.family] = max(waited.get(trial.family, 0.0), trial.preparing_seconds or 0.0)
    found = []
    for number, changed in changes.items():
        trial = searched[number]
        # What a continued trial took by the clock is its own part only.
        is_whole = trial.continues is None
        overhead = trial.seconds - trial.train_seconds - trial.evaluation_seconds if is_whole else 0.0
        overhead = max(0.0, overhead - (trial.preparing_seconds or 0.0)) + waited[trial.family]
        overhead = min(overhead, _MOST_OVERHEAD_SECONDS)
        found.append(cost_ratio(trial.family, trial.parameters, changed) * (trial.evaluation_seconds + overhead))
    return max(found, default=0.0)
