"""Part `hundred`: a hundred trials of the shipped study, with pruning and without, read from the study's database.

Both searches are `bench search` as a user runs it, one after the other. With pruning it is the shipped study itself,
in the working folder, whose leaderboard is published; without, a copy of it in the scratch folder. A database that
holds its hundred trials already is only read, so that a search can be continued after a break.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.definition import shipped_studies
from benchmark.errors import BenchError
from benchmark.records import TrialRecord, TrialState, count_done, seconds_of_their_own
from benchmark.store import StudyLocation, open_study
from benchmark.workers import runs_mps
from studies.speed.plan import Plan
from studies.speed.recipes import study_of

TRIALS = 100
PRUNERS = {"on": "halving", "off": "none"}
_BREAK_SECONDS = 20.0
"""Nothing running for so long is a pause between two searches: it is left out of the time, and counted."""
_MARKS = (60, 120, 300, 600, 1200, 1800, 2400, 3600, 5400, 7200)
"""Seconds at which the best validation accuracy so far is told."""


@dataclass(frozen=True)
class Interval:
    """One trial as the clock saw it; seconds since the first trial began, pauses between searches left out."""

    start: float
    end: float
    train_seconds: float
    evaluation_seconds: float
    val_accuracy: float | None
    """Of a complete trial, in [0, 1]."""
    counts: bool = True
    """Whether it takes a place in the budget: complete or pruned, not failed."""
    preparing_seconds: float | None = None
    """Until a GPU's kernels were there; None where that was not noted."""

    @property
    def untold_seconds(self) -> float:
        """What lies in neither training steps nor evaluation."""
        return self.end - self.start - self.train_seconds - self.evaluation_seconds


def measure(plan: Plan) -> dict[str, object]:
    """The studies that are asked for searched to their hundred trials, and what their databases say."""
    study = study_of(plan)
    trials = 6 if plan.quick else TRIALS
    searches = {}
    for pruning, pruner in PRUNERS.items():
        if pruning not in plan.pruning:
            continue
        is_shipped = pruning == "on" and not plan.quick
        name, root = (study, Path()) if is_shipped else (f"{study}-{pruner}", plan.scratch)
        command = ["search", name, "--trials", str(trials), *([] if is_shipped else ["--root", str(root)])]
        # Not told on the page: where the data lie is the reader's own affair.
        data = [] if plan.data_folder is None else ["--data", str(plan.data_folder)]
        # A database that is only read does not tell.
        under_mps, is_there = None, _is_searched(root, name, trials)
        if not is_there:
            _define(root, study, name, pruner)
            under_mps = plan.device == "cuda" and runs_mps()
            subprocess.run([sys.executable, "-m", "benchmark.cli", *command, *data], check=True, env=plan.environment)
        told = {"pruner": pruner, "command": f"bench {' '.join(command)}", "mps": under_mps, "read": is_there}
        searches[pruning] = told | facts_of(root, name)
    return {"study": study, "trials": trials, "searches": searches}


def facts_of(root: Path, name: str) -> dict[str, object]:
    """What a study's database says about its time."""
    store = open_study(StudyLocation(name, root))
    trials = store.trials_to_show()
    if store.fact("definition") is None:
        raise BenchError(f"study {name!r} was not made by bench search")
    intervals, pauses = intervals_of(trials)
    states = [trial.state.value for trial in trials]
    return {
        "commits": store.fact("commits"),
        "versions": store.fact("versions"),
        "devices": sorted({trial.device for trial in trials if trial.device}),
        "seed": store.fact("definition")["seed"],
        "begun": min(trial.started for trial in trials if trial.started is not None).isoformat(" ", "minutes"),
        "budget_seconds": store.fact("definition").get("budget.seconds"),
        "states": {state: states.count(state) for state in sorted(set(states))},
        "pauses": pauses,
        **time_of(intervals),
        # A search that was continued began with workers that were cold again.
        **({"warm_overhead_seconds_per_trial": None} if pauses else {}),
    }


def intervals_of(trials: Sequence[TrialRecord]) -> tuple[list[Interval], int]:
    """Every ended trial in order of its start, and the number of pauses that were left out."""
    ended = [trial for trial in trials if trial.state is not TrialState.RUNNING and trial.started is not None]
    ended.sort(key=_start)
    if not ended:
        raise BenchError("the study has no ended trial")
    own = {trial.number: seconds for trial, seconds in zip(trials, seconds_of_their_own(trials), strict=True)}
    found, pauses, shift, latest = [], 0, _start(ended[0]), 0.0
    for trial in ended:
        start = _start(trial) - shift
        if start - latest > _BREAK_SECONDS:
            pauses += 1
            shift += start - latest
            start = latest
        training, evaluation = own[trial.number]
        interval = Interval(
            start=start,
            end=start + trial.seconds,
            train_seconds=training,
            evaluation_seconds=evaluation,
            preparing_seconds=trial.preparing_seconds,
            val_accuracy=trial.val_accuracy,
            counts=trial.state is not TrialState.FAILED,
        )
        latest = max(latest, interval.end)
        found.append(interval)
    return found, pauses


def time_of(intervals: Sequence[Interval]) -> dict[str, object]:
    """Trials per hour, where the workers' time went, and the best accuracy by then.

    A worker's time runs from the start of its first trial to the end of its last; overhead is what of it lies in
    neither training steps nor evaluation, over the trials that count; a warm worker's begins at the end of its first
    (one that replaced another is not told apart).
    Of a failed trial, as one that was killed, it may be unknown which part was training: what it did not tell is no
    overhead, and told by itself.
    """
    lanes = lanes_of(intervals)
    worker_seconds = sum(lane[-1].end - lane[0].start for lane in lanes)
    seconds = max(interval.end for interval in intervals)
    training = sum(interval.train_seconds for interval in intervals)
    evaluation = sum(interval.evaluation_seconds for interval in intervals)
    warm_seconds = sum(lane[-1].end - lane[0].end for lane in lanes)
    warm = [interval for lane in lanes for interval in lane[1:]]
    marks = [mark for mark in _MARKS if mark < seconds]
    return {
        "workers": len(lanes),
        "seconds": seconds,
        "trials_per_hour": 3600 * _counted(intervals) / seconds,
        "worker_seconds": worker_seconds,
        "training_seconds": training,
        "evaluation_seconds": evaluation,
        "preparing_seconds_per_trial": _mean_of_known([one.preparing_seconds for one in intervals if one.counts]),
        "training_share": training / worker_seconds,
        "failed_seconds": sum(one.untold_seconds for one in intervals if not one.counts),
        "overhead_seconds_per_trial": _overhead_per_trial(worker_seconds, intervals),
        "warm_overhead_seconds_per_trial": _overhead_per_trial(warm_seconds, warm),
        "best_after": [[mark, _best_by(intervals, mark)] for mark in [*marks, seconds]],
    }


def _overhead_per_trial(worker_seconds: float, intervals: Sequence[Interval]) -> float | None:
    """Seconds of that time that are overhead, for each of these trials that counts; None where there is none."""
    # All of a failed one is told: by its reports, and by itself.
    told = sum(one.train_seconds + one.evaluation_seconds if one.counts else one.end - one.start for one in intervals)
    counted = _counted(intervals)
    return (worker_seconds - told) / counted if counted else None


def _counted(intervals: Sequence[Interval]) -> int:
    return sum(interval.counts for interval in intervals)


def _mean_of_known(values: Sequence[float | None]) -> float | None:
    """None where there are none, or one is not known."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def lanes_of(intervals: Sequence[Interval]) -> list[list[Interval]]:
    """Trials by worker, as far as the clock tells: a trial goes on where another has ended last before it."""
    lanes: list[list[Interval]] = []
    for interval in sorted(intervals, key=lambda one: one.start):
        free = [lane for lane in lanes if lane[-1].end <= interval.start]
        if free:
            max(free, key=lambda lane: lane[-1].end).append(interval)
        else:
            lanes.append([interval])
    return lanes


def _start(trial: TrialRecord) -> float:
    assert trial.started is not None
    return trial.started.timestamp()


def _best_by(intervals: Sequence[Interval], seconds: float) -> float | None:
    scores = [one.val_accuracy for one in intervals if one.val_accuracy is not None and one.end <= seconds]
    return max(scores, default=None)


def _is_searched(root: Path, name: str, trials: int) -> bool:
    location = StudyLocation(name, root)
    if location.database is None or not location.database.exists():
        return False
    return count_done(open_study(location).trials()) >= trials


def _define(root: Path, study: str, name: str, pruner: str) -> None:
    """The shipped study under another name with the given pruner, unless it is there."""
    path = root / "studies" / f"{name}.toml"
    if path.exists():
        return
    lines = shipped_studies()[study].read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith("pruner =")]
    lines.insert(lines.index("[search]") + 1, f'pruner = "{pruner}"')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
