"""The division of a deadline, by hand, and one whole run on the digits of scikit-learn."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy
from filled_study import choose_family, complete_trial, curve, fill, guess, spec
from rich.console import Console
from typer.testing import CliRunner

from benchmark import deadline
from benchmark.cli import app
from benchmark.confirmation import ConfirmSpec, add_to_plan
from benchmark.deadline import (
    Timetable,
    finalists_of,
    fitted_for_long_runs,
    run_until,
    timetable,
    within_deadline,
)
from benchmark.definition import load_study
from benchmark.display import SearchDisplay
from benchmark.ensemble import ranked
from benchmark.errors import BenchError
from benchmark.records import Budget, Cost, Split, TrialRecord, TrialState, as_jsonable
from benchmark.search import Ending, SearchLimits
from benchmark.space import Space
from benchmark.store import Claim, StudyLocation, StudyStore
from benchmark.store.tables import LEASES
from benchmark.study import open_for_search, open_to_confirm
from benchmark.workers import worker_setups


def test_ten_minutes_are_divided() -> None:
    plan = timetable(600, None)
    assert plan.trial_seconds == pytest.approx(30)
    assert plan.search_until == pytest.approx(180)
    assert plan.train_until == pytest.approx(585)


def test_little_time_is_left_to_read_what_took_little() -> None:
    plan = timetable(60, None)
    assert plan.train_until == pytest.approx(57)


@pytest.mark.parametrize(("seconds", "expected"), [(10, 2), (60, 3), (120, 8), (180, 15), (300, 15), (400, 20)])
def test_a_trial_is_no_shorter_than_networks_need_where_there_is_time_for_several(
    seconds: float, expected: float
) -> None:
    plan = timetable(seconds, None)
    assert plan.trial_seconds == pytest.approx(expected)
    assert timetable(seconds, 6).trial_seconds == min(6, plan.trial_seconds)


def test_a_short_trial_is_never_longer_than_the_study_has_it() -> None:
    assert timetable(6000, 60).trial_seconds == 60
    assert timetable(600, 60).trial_seconds == pytest.approx(30)


@pytest.mark.parametrize("seconds", [20, 60, 600, 7200])
def test_phases_follow_each_other(seconds: float) -> None:
    plan = timetable(seconds, None)
    assert plan.trial_seconds < plan.search_until < plan.train_until < seconds


def test_the_study_of_a_deadline_is_one_of_its_own() -> None:
    given = spec()
    short = within_deadline(given, 600)
    assert short.name == f"{given.name}-in-600-s"
    assert short.budget.per_trial == Budget(None, timetable(600, given.budget.seconds).trial_seconds)
    assert short.budget.reports <= given.budget.reports
    assert within_deadline(short, 600).families == given.families


def test_finalists_are_the_best_and_those_that_validation_cannot_tell_from_it(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=0)
    # Trials 1 to 6, after the failed one: of the least noise are 3 and 5, and 4 is 8 points behind them.
    for noise in (30, 30, 0, 1, 0, 9):
        complete_trial(store, noise)
    assert finalists_of(store, 1) == [3]
    assert finalists_of(store, 9) == finalists_of(store, 2) == [3, 5]


def test_with_no_other_as_good_the_best_is_the_only_finalist(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=0)
    for noise in (30, 0, 9):
        complete_trial(store, noise)
    assert finalists_of(store, 4) == [2]


def test_a_study_without_complete_trials_has_no_finalists(tmp_path: Path) -> None:
    assert finalists_of(fill(tmp_path, complete=0), 2) == []


def test_a_finalist_is_wider_where_its_long_run_passes_over_the_rows_many_times(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=0)
    wide = Space(replace(spec(), space={}))

    def prepare(claim: Claim) -> None:
        claim.trial.suggest_categorical("family", ("cnn", "vgg"))
        claim.trial.suggest_categorical("cnn.width", (16,))
        claim.trial.suggest_categorical("crop", (True,))

    store.study.enqueue_trial({"family": "cnn"})
    claim = store.queue.claim(100, prepare)
    assert isinstance(claim, Claim)
    # 640 images a second.
    facts = {"cost": Cost(1000, 2000, 1.5, 0.1), "default": True, "curve": curve(3)}
    assert store.queue.complete(claim.trial, 0.5, (guess(store, Split.VAL, 0), guess(store, Split.TEST, 0)), facts)
    number, rows = claim.trial.number, store.fact("rows")["train"]
    assert fitted_for_long_runs(store, wide, [number], 7 * rows / 640) == {number: {}}
    assert fitted_for_long_runs(store, wide, [number], 7.1 * 2**4 * rows / 640) == {number: {"cnn.width": 32}}
    assert fitted_for_long_runs(store, wide, [number], -1.0) == {number: {}}
    assert fitted_for_long_runs(store, Space(spec()), [number], 1e9) == {number: {}}


@pytest.mark.slow
@pytest.mark.usefixtures("_whole_machine")
def test_one_command_ends_before_its_deadline_with_a_leaderboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seconds = 60
    began = time.monotonic()
    ended = CliRunner().invoke(app, ["run", "digits", "--timeout", f"{seconds}s", "--workers", "1"])
    took = time.monotonic() - began
    assert ended.exit_code == 0, ended.output
    # That it keeps to 20 seconds is for an idle machine to show.
    assert took < seconds + 240
    found = json.loads((tmp_path / "results" / f"digits-in-{seconds}-s.json").read_text())
    assert found["recommendation"]["name"] in {row["name"] for row in found["rows"]}


def quietly(part: StudyStore, total: int, left: float) -> SearchDisplay:
    return SearchDisplay(Console(quiet=True), part.location.key, part.trials(), total, left)


@pytest.mark.slow
def test_the_best_is_trained_longer_however_slow_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The search may end as soon as it has one trial; that, and the long run planned for five seconds, may take minutes.
    monkeypatch.setattr(deadline, "timetable", lambda *_: Timetable(2.0, search_until=0.0, train_until=400.0))
    monkeypatch.setattr(deadline, "_CARE", 0.0125)
    monkeypatch.setattr(deadline, "_LEAST_FINAL_SECONDS", 1.0)
    given = within_deadline(load_study("digits", tmp_path), 600)

    setups = worker_setups(["cpu"], 1, given, None)
    where = StudyLocation(given.name, tmp_path)
    store, why = run_until(given, where, setups, 600, None, quietly, lambda _: None, "bench run")
    assert why == "spent"
    (part,) = store.parts().values()
    (long_run,) = part.trials()
    assert long_run.state is TrialState.COMPLETE
    assert long_run.family == ranked(store.single_models(), store.labels(Split.VAL))[0].family


@pytest.mark.slow
def test_long_runs_that_were_interrupted_are_finished_and_no_others_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Impatient(SearchDisplay):
        def started(self, number: int, family: str, is_default: bool, continues: int | None) -> None:
            super().started(number, family, is_default, continues)
            os.kill(os.getpid(), signal.SIGINT)

    def impatient(part: StudyStore, total: int, left: float) -> SearchDisplay:
        kind = Impatient if part.location.part else SearchDisplay
        return kind(Console(quiet=True), part.location.key, part.trials(), total, left)

    monkeypatch.setattr(deadline, "timetable", lambda *_: Timetable(2.0, search_until=0.0, train_until=400.0))
    monkeypatch.setattr(deadline, "_CARE", 0.0125)
    monkeypatch.setattr(deadline, "_LEAST_FINAL_SECONDS", 1.0)
    given = within_deadline(load_study("digits", tmp_path), 600)
    setups, where = worker_setups(["cpu"], 1, given, None), StudyLocation(given.name, tmp_path)
    store, why = run_until(given, where, setups, 600, None, impatient, lambda _: None, "bench run")
    assert why == "interrupted"
    searched, said = store.trials(), []
    store, why = run_until(given, where, setups, 600, None, quietly, said.append, "bench run")
    assert why == "spent"
    assert "going on with long runs that were interrupted" in said
    assert store.trials() == searched
    (part,) = store.parts().values()
    assert [trial.state for trial in part.trials()] == [TrialState.FAILED, TrialState.COMPLETE]
    assert deadline._unfinished(store) is None
    assert store.fact("commands") == ["bench run"]


def test_a_search_that_ends_with_an_error_leaves_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes: list[int] = []

    class Failing(deadline.Search):
        def run(self, limits: SearchLimits) -> Ending:
            for noise in outcomes:
                complete_trial(self._store, noise)
            raise BenchError("10 trials failed one after another")

    monkeypatch.setattr(deadline, "Search", Failing)
    monkeypatch.setattr(deadline, "finalists_of", lambda *_: [])
    given = within_deadline(spec(), 600)
    setups, where, said = worker_setups(["cpu"], 1, given, None), StudyLocation(given.name, tmp_path), []
    with pytest.raises(BenchError, match="10 trials failed"):
        run_until(given, where, setups, 600, None, quietly, said.append, "bench run")
    outcomes.append(0)
    store, why = run_until(given, where, setups, 600, None, quietly, said.append, "bench run")
    assert why == "spent"
    assert said[-1] == "the search ended early: 10 trials failed one after another"
    assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE]


def test_what_went_before_the_search_shortens_it_in_proportion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[SearchLimits] = []

    class Noting(deadline.Search):
        def run(self, given: SearchLimits) -> Ending:
            limits.append(given)
            return "interrupted"

    monkeypatch.setattr(deadline, "Search", Noting)
    monkeypatch.setattr(deadline, "finalists_of", lambda *_: [])
    given = within_deadline(load_study("digits", tmp_path), 600)
    setups, where = worker_setups(["cpu"], 1, given, None), StudyLocation(given.name, tmp_path)
    # The data were fetched for five of the ten minutes, of which the search was to have three.
    run_until(given, where, setups, 600, None, quietly, lambda _: None, "bench run", time.monotonic() - 300)
    assert limits[0].timeout == pytest.approx(90, abs=5)


def test_a_name_too_long_for_a_study_of_a_deadline_is_refused_at_once() -> None:
    assert within_deadline(replace(spec(), name="x" * 91), 600).name == "x" * 91 + "-in-600-s"
    with pytest.raises(BenchError, match="100 at most"):
        within_deadline(replace(spec(), name="x" * 92), 600)


def test_what_a_continued_trial_took_beside_training_is_not_less_than_nothing() -> None:
    def trial(continues: int | None) -> TrialRecord:
        return TrialRecord(
            3, TrialState.COMPLETE, "vgg", False, {}, 0.5, None, None, 100.0, "cpu",
            train_seconds=180.0 if continues is not None else 80.0, evaluation_seconds=12.0, continues=continues,
        )  # fmt: skip

    assert deadline._seconds_beside_training({3: trial(None)}, {3: {}}) == 20.0
    assert deadline._seconds_beside_training({3: trial(1)}, {3: {}}) == 12.0


def test_a_long_run_waits_for_kernels_as_long_as_any_trial_of_its_family_did() -> None:
    trials = {
        number: TrialRecord(
            number, TrialState.COMPLETE, family, False, {}, 0.5, None, None, 100.0, "a GPU", train_seconds=80.0,
            evaluation_seconds=12.0, preparing_seconds=waited,
        )
        for number, (family, waited) in enumerate([("vgg", 6.0), ("vgg", 1.0), ("cnn", 7.0)])
    }  # fmt: skip
    # Besides, the second has 100 - 80 - 12 - 1 seconds of its own.
    assert deadline._seconds_beside_training(trials, {1: {}}) == 12.0 + 7.0 + 6.0
    assert deadline._seconds_beside_training(trials, {2: {}}) == 20.0


@pytest.mark.parametrize(("seconds", "expected"), [(1300.0, 42.0), (-3500.0, 12.0)], ids=["slept", "set back"])
def test_a_machine_that_slept_through_a_trial_plans_no_long_run_by_that(seconds: float, expected: float) -> None:
    trial = TrialRecord(
        3, TrialState.COMPLETE, "vgg", False, {}, 0.5, None, None, seconds, "cpu", train_seconds=80.0,
        evaluation_seconds=12.0,
    )  # fmt: skip
    assert deadline._seconds_beside_training({3: trial}, {3: {}}) == expected


@pytest.mark.parametrize(
    ("has_failed", "told"),
    [(False, "; give it longer: --timeout"), (True, "; 1 failed, the last with: out of memory: ")],
)
def test_a_deadline_without_a_complete_trial_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_failed: bool, told: str
) -> None:
    where = StudyLocation("tiny", tmp_path)
    store = fill(tmp_path, complete=0) if has_failed else open_for_search(spec(), where, None, lambda _: None)
    monkeypatch.setattr(deadline, "run_until", lambda *_: (store, "timeout"))
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(app, ["run", "digits", "--timeout", "20s", "--workers", "1"])
    assert isinstance(ended.exception, BenchError)
    assert f"no trial was complete within 20 s{told}" in str(ended.exception)


def test_long_runs_of_a_process_that_was_killed_are_open(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=2)
    asked = ConfirmSpec(seeds=1, seconds=30, trials=(0,))
    part = open_to_confirm(store, asked, None, lambda _: None)[1]
    store.set_fact("long_runs", as_jsonable(asked))
    claim = part.queue.claim(9, lambda claim: choose_family(claim), add_to_plan(part, []))
    assert isinstance(claim, Claim)
    assert deadline._unfinished(store) is None, "it runs"
    with part._db.begin() as connection:
        connection.execute(sqlalchemy.update(LEASES).values(expires_at=0))
    assert deadline._unfinished(store) == asked
    # One that fails by itself each time is given up, and does not keep the study from being searched on.
    for _ in range(3):
        claim = part.queue.claim(9, lambda claim: choose_family(claim), add_to_plan(part, []))
        assert isinstance(claim, Claim)
        assert part.queue.fail(claim.trial, "out of memory", {})
    assert deadline._unfinished(store) is None


def test_calls_that_plan_at_the_same_moment_have_seeds_of_their_own(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=2)
    asked = ConfirmSpec(seeds=2, seconds=30, trials=(0, 1))
    others = (asked, replace(asked, seconds=31), replace(asked, trials=(1,)))
    # No part is there yet that would tell of the runs before.
    assert [deadline._noted_with_other_seeds(store, one).first for one in others] == [0, 2, 4]
    assert [(one.seconds, one.first) for one in deadline._long_runs(store)] == [(31, 2), (30, 4)]


def test_long_runs_of_a_call_before_the_last_are_finished_as_well(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=2)
    first, second = (
        deadline._noted_with_other_seeds(store, ConfirmSpec(seeds=1, seconds=seconds, trials=(0,)))
        for seconds in (30, 31)
    )
    parts = [open_to_confirm(store, asked, None, lambda _: None)[1] for asked in (first, second)]
    assert deadline._unfinished(store) is None, "none was interrupted"
    for part in parts:
        assert isinstance(part.queue.claim(9, lambda claim: choose_family(claim), add_to_plan(part, [])), Claim)
    with parts[0]._db.begin() as connection:
        connection.execute(sqlalchemy.update(LEASES).where(LEASES.c.study == parts[0]._db.name).values(expires_at=0))
    assert deadline._unfinished(store) == first


def test_much_to_read_is_given_the_time_it_takes(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=2)
    # Two trials, 297 rows, 10 classes.
    assert deadline._seconds_to_read(store) == pytest.approx(2 * 2970 * 8e-6)


@pytest.mark.parametrize(("reading", "planned", "until"), [(1, 585, 600), (20, 580, 595), (200, 400, 415)])
def test_long_runs_leave_the_time_that_reading_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reading: float, planned: float, until: float
) -> None:
    store, given, firsts = fill(tmp_path, complete=2), [], []

    class Searched:
        workers = 1

        def __init__(self, *_: object) -> None: ...

        def run(self, limits: object) -> str:
            return "timeout"

    def train_longer(_: StudyStore, asked: ConfirmSpec, setups: object, deadline: float, *rest: object) -> str:
        given.append((asked.seconds, deadline))
        firsts.append(asked.first)
        open_to_confirm(store, asked, None, lambda _: None)
        return "spent"

    monkeypatch.setattr(deadline, "open_for_search", lambda *_: store)
    monkeypatch.setattr(deadline, "Search", Searched)
    monkeypatch.setattr(deadline, "_train_longer", train_longer)
    monkeypatch.setattr(deadline, "_seconds_to_read", lambda _: reading)
    monkeypatch.setattr(deadline, "fitted_for_long_runs", lambda *_: {0: {}})
    monkeypatch.setattr(deadline, "_seconds_beside_training", lambda *_: 10.0)
    setups = worker_setups(["cpu"], 1, spec(), None)
    # As if the command had begun a minute ago.
    began = time.monotonic() - 60
    where = StudyLocation("tiny", tmp_path)
    run_until(spec(), where, setups, 600, None, quietly, lambda _: None, "bench run", began)
    ((seconds, last),) = given
    assert last == began + until
    # Another deadline trains other seeds, however long its runs are.
    run_until(spec(), where, setups, 600, None, quietly, lambda _: None, "bench run", began)
    assert firsts == [0, 1]
    assert seconds == pytest.approx(0.97 * (planned - 60 - 5 - 10), abs=15)


def test_what_ends_long_runs_early_does_not_take_the_leaderboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, said = fill(tmp_path, complete=2), list[str]()

    def refuse(*_: object) -> None:
        raise BenchError("10 trials failed one after another")

    monkeypatch.setattr(deadline, "open_to_confirm", refuse)
    asked = ConfirmSpec(seeds=1, seconds=30, trials=(0,))
    ended = deadline._train_longer(store, asked, [], time.monotonic() + 60, None, quietly, said.append)
    assert (ended, said) == ("timeout", ["long runs ended early: 10 trials failed one after another"])


def test_a_long_deadline_has_a_plain_name() -> None:
    assert within_deadline(spec(), 1_080_000).name == "tiny-in-1080000-s"
    assert within_deadline(spec(), 90.5).name == "tiny-in-90.5-s"
