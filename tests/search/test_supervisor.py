"""The search: exact budgets, failures with reasons, and a clean end, with scripted children and with real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
import sqlalchemy
from scripted_search import (
    DEFINITION,
    Observer,
    Script,
    ScriptedProcess,
    fail,
    finished,
    progress,
    searching,
    states,
    succeed,
    weights_of,
)

from benchmark import sampling
from benchmark.artifacts import Artifacts
from benchmark.errors import BenchError
from benchmark.records import Cost, Split, TrialRecord, TrialState
from benchmark.search import SearchLimits, best_trials, slots
from benchmark.search.timing import Timing
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.store.tables import LEASES
from benchmark.workers import Child, Failed, FailureKind, Job, Planned, WorkerSetup


def test_a_budget_is_a_total(store: StudyStore, scripts: list[Script]) -> None:
    scripts.append(succeed)
    assert searching(store, Observer(), workers=2).run(SearchLimits(5)) == "spent"
    assert states(store) == {"complete": 5}
    observer = Observer()
    assert searching(store, observer).run(SearchLimits(5)) == "spent"
    assert observer.running == []
    assert searching(store, observer).run(SearchLimits(7)) == "spent"
    assert observer.running == [5, 6]
    facts = store.study.trials[6].user_attrs
    assert (facts["device"], facts["images"], len(facts["curve"]), facts["images_seen"]) == ("abacus", 400, 4, 400)
    assert facts["evaluation_seconds"] == 0.5
    assert store.trials()[6].preparing_seconds == 2.5
    assert store.trials()[6].cost == Cost(1, 1, 1.0, 1.0, 2**30)


def test_a_failed_trial_gives_its_place_to_another(store: StudyStore, scripts: list[Script]) -> None:
    scripts += [fail, succeed, fail, succeed]
    observer = Observer()
    searching(store, observer).run(SearchLimits(3))
    assert states(store) == {"complete": 3, "failed": 2}
    failed = [trial for trial in store.trials() if trial.state is TrialState.FAILED]
    assert {trial.reason for trial in failed} == {"no such file"}
    assert {(trial.train_seconds, trial.evaluation_seconds) for trial in failed} == {(1.5, 0.25)}
    assert {trial.peak_memory_bytes for trial in failed} == {2**20}
    assert all(trial.val_accuracy is None for trial in failed)
    assert len(observer.ends) == 5


def test_ten_failures_in_a_row_end_the_search(store: StudyStore, scripts: list[Script]) -> None:
    scripts += [*[fail] * 9, succeed, fail]
    with pytest.raises(BenchError, match="10 trials failed one after another, the last with: no such file"):
        searching(store, Observer()).run(SearchLimits(50))
    assert states(store) == {"complete": 1, "failed": 19}


def test_many_workers_may_see_a_family_fail_at_once_while_others_train(
    store: StudyStore, scripts: list[Script]
) -> None:
    over = threading.Event()

    def train(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        over.wait(60)
        succeed(connection, job, artifacts)

    def last_failure(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        over.set()
        fail(connection, job, artifacts)

    # One worker trains all the while, and the places of the others are taken again and again.
    scripts += [train, *[fail] * 14, last_failure, succeed]
    assert searching(store, Observer(), workers=8).run(SearchLimits(9)) == "spent"
    assert states(store) == {"complete": 9, "failed": 15}


def test_weights_of_the_best_are_kept(store: StudyStore, scripts: list[Script]) -> None:
    scripts += [lambda *given, value=value: succeed(*given, value) for value in (0.5, 0.9, 0.1, 0.7)]
    scripts.append(fail)
    searching(store, Observer()).run(SearchLimits(4))
    kept = sorted(path.name for path in weights_of(store).iterdir())
    assert kept == ["trial-00001.safetensors", "trial-00003.safetensors"]


def test_weak_trials_are_pruned_and_defaults_never(store: StudyStore, scripts: list[Script]) -> None:
    values = [0.1, 0.9, 0.08, 0.05]
    scripts += [lambda *given, value=value: succeed(*given, value) for value in values]
    observer = Observer()
    searching(store, observer, pruner="halving").run(SearchLimits(4))
    found = [trial.state for trial in store.trials()]
    assert found == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    assert store.trials()[0].is_default
    # Half of the budget is the first point at which a trial may end.
    assert [step for number, step in observer.reports if number == 2] == [1, 2]


@pytest.mark.parametrize("when", ["at once", "after a report"])
def test_a_child_that_dies_is_replaced(store: StudyStore, scripts: list[Any], when: str) -> None:
    def die(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        if when == "after a report":
            connection.send(progress(1, 0.5))
            connection.recv()
        raise EOFError

    scripts += [succeed, die, succeed]
    searching(store, Observer()).run(SearchLimits(3))
    assert states(store) == {"complete": 3, "failed": 1}
    assert store.trials()[1].reason == "killed: the worker process ended with exit code 0"


@pytest.mark.parametrize("noticed", ["when it reports", "when it ends"])
def test_a_result_that_comes_too_late_counts_for_nothing(store: StudyStore, scripts: list[Any], noticed: str) -> None:
    observer = Observer()

    def lose(number: int, step: int) -> None:
        if (number, step) == (0, 2):
            with store._db.begin() as connection:
                connection.execute(sqlalchemy.delete(LEASES))
            if noticed == "when it reports":
                store.queue.fail_lost()

    observer.on_report = lose
    scripts.append(succeed)
    searching(store, observer).run(SearchLimits(2))
    assert observer.ends[0] == (TrialState.FAILED, "lost: its lease had ended")
    assert states(store) == {"complete": 2, "failed": 1}
    assert store.trials()[0].state is TrialState.FAILED


@pytest.mark.parametrize(
    ("device", "expected"), [("cuda:0", [set(), {"cnn"}, {"cnn"}, set()]), ("cpu", [set(), set(), set(), set()])]
)
def test_a_worker_on_a_gpu_prefers_what_its_child_has_trained(
    store: StudyStore, scripts: list[Any], monkeypatch: pytest.MonkeyPatch, device: str, expected: list[set[str]]
) -> None:
    def die(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        raise EOFError

    choose, seen = sampling.next_family, []

    def choose_and_note(*given: Any) -> Any:
        seen.append(set(given[3]))
        return choose(*given)

    monkeypatch.setattr(sampling, "next_family", choose_and_note)
    scripts += [succeed, succeed, die, succeed]
    search = searching(store, Observer())
    search._setups = [replace(setup, device=device) for setup in search._setups]
    assert search.run(SearchLimits(3)) == "spent"
    assert seen == expected


def test_a_closed_terminal_may_say_so_twice(store: StudyStore, scripts: list[Any]) -> None:
    """As bash does, and then the system."""
    observer = Observer()
    observer.on_report = lambda trial, step: os.kill(os.getpid(), signal.SIGHUP)
    scripts.append(succeed)
    search = searching(store, observer)
    end_children = search._end_children

    def again() -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        end_children()

    search._end_children = again  # type: ignore[method-assign]
    assert search.run(SearchLimits(1)) == "interrupted"
    assert store.trials()[0].reason == "interrupted: the search was stopped"


def test_a_trial_that_is_lost_when_it_is_pruned_is_told_as_lost(
    store: StudyStore, scripts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts += [lambda *given, value=value: succeed(*given, value) for value in (0.1, 0.9, 0.08)]
    observer = Observer()
    prune = store.queue.prune

    def lose_and_prune(trial: optuna.Trial, facts: Any) -> bool:
        if trial.number == 2:
            with store._db.begin() as connection:
                connection.execute(sqlalchemy.delete(LEASES))
        return prune(trial, facts)

    monkeypatch.setattr(store.queue, "prune", lose_and_prune)
    observer.on_tick = lambda: store.queue.give_up_lost() if 2 in observer.ends else None
    searching(store, observer, pruner="halving").run(SearchLimits(3))
    assert observer.ends[2] == (TrialState.FAILED, "lost: its lease had ended")
    assert sum(states(store)[state] for state in ("complete", "pruned")) == 3


def test_a_child_that_may_not_end_does_not_wait_for_the_database(
    store: StudyStore, scripts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = threading.Event()

    def listening(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        connection.send(Planned(400))
        connection.send(progress(1, 0.5))
        if connection.recv():
            told.set()
        connection.send(finished(0.5))

    report = store.queue.report

    def report_late(*given: Any) -> bool:
        assert told.wait(60)
        return report(*given)

    monkeypatch.setattr(store.queue, "report", report_late)
    scripts.append(listening)
    assert searching(store, Observer()).run(SearchLimits(1)) == "spent"
    assert states(store) == {"complete": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_search_and_gives_the_trial_back(
    store: StudyStore, scripts: list[Any], number: signal.Signals
) -> None:
    observer = Observer()
    observer.on_report = lambda trial, step: os.kill(os.getpid(), number) if (trial, step) == (1, 2) else None
    scripts.append(succeed)
    before = signal.getsignal(number)
    assert searching(store, observer).run(SearchLimits(9)) == "interrupted"
    assert signal.getsignal(number) is before
    assert states(store) == {"complete": 1, "failed": 1}
    assert store.trials()[1].reason == "interrupted: the search was stopped"
    assert store.study.trials[1].user_attrs["interrupted"] is True
    assert len(list(weights_of(store).iterdir())) == 1
    observer = Observer()
    searching(store, observer).run(SearchLimits(3))
    assert states(store) == {"complete": 3, "failed": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_was_ignored_stays_so(store: StudyStore, scripts: list[Any], number: signal.Signals) -> None:
    """As Ctrl-C by what a script has put in the background, and the end of the terminal after nohup."""
    observer = Observer()
    observer.on_report = lambda trial, step: os.kill(os.getpid(), number)
    scripts.append(succeed)
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert searching(store, observer).run(SearchLimits(2)) == "spent"
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("sent", ["one after the other", "at once"])
def test_one_that_is_continued_before_it_stopped_does_not_stop(
    store: StudyStore, scripts: list[Any], sent: str
) -> None:
    observer = Observer()

    def stop_and_go_on(trial: int, step: int) -> None:
        os.kill(os.getpid(), signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGCONT)

    def handled_together(trial: int, step: int) -> None:
        # Python goes by the signals' numbers and not by their order, and on Linux that to continue has the lower one.
        for number in (signal.SIGCONT, signal.SIGTSTP):
            handler = signal.getsignal(number)
            assert callable(handler)
            handler(number, None)

    observer.on_report = stop_and_go_on if sent == "one after the other" else handled_together
    scripts.append(succeed)
    search = searching(store, observer)
    search._signals.pause = lambda _: pytest.fail("it stopped")  # type: ignore[method-assign]
    assert search.run(SearchLimits(1)) == "spent"


def test_what_is_said_of_trials_that_are_given_back_comes_last(store: StudyStore, scripts: list[Any]) -> None:
    """There may be no terminal any more to say it to."""
    observer = Observer()

    def no_terminal(*given: Any) -> None:
        raise OSError("Input/output error")

    def close_terminal(trial: int, step: int) -> None:
        if len(observer.running) == 2 and observer.ended != no_terminal:
            observer.ended = no_terminal  # type: ignore[method-assign]
            os.kill(os.getpid(), signal.SIGHUP)

    observer.on_report = close_terminal
    scripts.append(succeed)
    with pytest.raises(OSError, match="Input/output"):
        searching(store, observer, workers=2).run(SearchLimits(4))
    assert states(store)["running"] == 0


def test_a_signal_that_comes_when_the_last_trial_has_ended_is_not_lost(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts.append(succeed)
    search = searching(store, Observer())
    give_back = search._give_back

    def signalled() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        give_back()

    monkeypatch.setattr(search, "_give_back", signalled)
    assert search.run(SearchLimits(1)) == "interrupted"
    assert states(store) == {"complete": 1}


def test_a_timeout_ends_the_search(store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch) -> None:
    late = threading.Event()

    def slow(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        # However slow the machine is, the deadline comes in this trial.
        late.set()
        connection.recv()

    scripts += [succeed, slow]
    search = searching(store, Observer())
    monkeypatch.setattr(Timing, "ends", property(lambda timing: timing._began + 600 - 3600 * late.is_set()))
    assert search.run(SearchLimits(9, timeout=600.0)) == "timeout"
    assert states(store) == {"complete": 1, "failed": 1}


def test_a_timeout_waits_for_the_first_complete_trial_where_asked(store: StudyStore, scripts: list[Script]) -> None:
    def late(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        time.sleep(1.5)
        succeed(connection, job, artifacts)

    scripts += [fail, late, late]
    limits = SearchLimits(9, timeout=0.5, first_within=60)
    assert searching(store, Observer()).run(limits) == "timeout"
    assert states(store) == {"complete": 1, "failed": 1}


def test_others_may_end_soon_after_the_first_complete_trial_that_was_waited_for(
    store: StudyStore, scripts: list[Script]
) -> None:
    def late(seconds: float) -> Script:
        def script(connection: Connection, job: Job, artifacts: Artifacts) -> None:
            time.sleep(seconds)
            succeed(connection, job, artifacts)

        return script

    # Of the three that begin at once, the last one would take far longer than the first did.
    scripts += [late(2.0), late(2.1), late(6.0)]
    limits = SearchLimits(9, timeout=0.5, first_within=60)
    assert searching(store, Observer(), workers=3).run(limits) == "timeout"
    assert states(store) == {"complete": 2, "failed": 1}


def never_ready(setup: WorkerSetup, *said: Failed) -> Child:
    """A child that ends before it is ready, after it has said that."""
    process = ScriptedProcess(fail, setup)
    process.child.connection.recv()
    process.exitcode = 1
    process.child.connection.close()
    ours, theirs = Pipe()
    for answer in said:
        theirs.send(answer)
    theirs.close()
    return Child(process, ours)  # type: ignore[arg-type]


def test_a_worker_that_cannot_start_is_an_error(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "start_child", never_ready)
    with pytest.raises(BenchError, match="a worker could not start"):
        searching(store, Observer()).run(SearchLimits(1))
    assert store.trials() == []


def test_the_search_goes_on_without_a_worker_that_does_not_start(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[WorkerSetup] = []

    def start(setup: WorkerSetup) -> Child:
        started.append(setup)
        return never_ready(setup) if len(started) == 1 else ScriptedProcess(succeed, setup).child

    monkeypatch.setattr(slots, "start_child", start)
    observer = Observer()
    search = searching(store, observer, workers=2)
    assert search.run(SearchLimits(3)) == "spent"
    assert states(store) == {"complete": 3}
    assert len(started) == 2
    assert search.workers == 1
    ((told, left),) = observer.missing
    assert told.startswith("a worker could not start (exit code 1)")
    assert left == 1


def test_a_trial_whose_worker_does_not_start_again_is_given_back(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[WorkerSetup] = []
    given_up = threading.Event()

    def patient(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        # There is no other worker any more by the time that it ends.
        assert given_up.wait(60)
        succeed(connection, job, artifacts)

    def out_of_memory(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        connection.send(Planned(400))
        connection.send(Failed("out of memory", "Traceback", FailureKind.OUT_OF_MEMORY, spoilt=True))

    def start(setup: WorkerSetup) -> Child:
        started.append(setup)
        if len(started) == 1:
            return ScriptedProcess(out_of_memory, setup).child
        # From now on the first one's place has none that starts.
        return ScriptedProcess(patient, setup).child if len(started) == 2 else never_ready(setup)

    monkeypatch.setattr(slots, "start_child", start)
    observer = Observer()
    observer.on_without = given_up.set
    assert searching(store, observer, workers=2).run(SearchLimits(2)) == "spent"
    assert states(store)["complete"] == 2
    given_back = [trial for trial in store.trials() if trial.state is TrialState.FAILED]
    assert [trial.interrupted for trial in given_back] == [True]
    assert [left for _, left in observer.missing] == [1]


def test_workers_that_started_end_where_another_cannot(
    store: StudyStore, scripts: list[Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, started = slots.start_child, []

    def start_once(setup: WorkerSetup) -> Child:
        if started:
            raise OSError("Resource temporarily unavailable")
        started.append(start(setup))
        return started[0]

    monkeypatch.setattr(slots, "start_child", start_once)
    scripts.append(succeed)
    with pytest.raises(OSError, match="temporarily"):
        searching(store, Observer(), workers=2).run(SearchLimits(1))
    assert started[0].connection.closed


def test_a_worker_in_the_place_of_one_that_could_start_is_tried_again(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def die(connection: Connection, job: Job, artifacts: Artifacts) -> None:
        raise EOFError

    def start(setup: WorkerSetup) -> Child:
        started.append(setup)
        if len(started) not in (2, 3):
            return ScriptedProcess(die if len(started) == 1 else succeed, setup).child
        return never_ready(setup)

    monkeypatch.setattr(slots, "start_child", start)
    assert searching(store, Observer()).run(SearchLimits(1)) == "spent"
    assert len(started) == 4
    assert states(store) == {"complete": 1, "failed": 1}


def test_a_worker_that_finds_other_images_ends_the_search_with_its_sentence(
    store: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[WorkerSetup] = []

    def refusing(setup: WorkerSetup) -> Child:
        asked.append(setup)
        return never_ready(
            setup, Failed("the images of mine are others", "Traceback", FailureKind.NO_START, spoilt=True)
        )

    store.set_fact("fingerprint", "a" * 64)
    store.set_fact("split_digest", "b" * 16)
    monkeypatch.setattr(slots, "start_child", refusing)
    with pytest.raises(BenchError, match="a worker cannot start: the images of mine are others"):
        searching(store, Observer()).run(SearchLimits(1))
    assert asked[0].digests == ("a" * 64, "b" * 16)
    assert store.trials() == []


def test_best_trials() -> None:
    def record(number: int, accuracy: float | None) -> TrialRecord:
        state = TrialState.FAILED if accuracy is None else TrialState.COMPLETE
        return TrialRecord(number, state, "cnn", False, {}, accuracy, None, None, 1.0, "abacus")

    trials = [record(0, 0.0), record(1, None), record(2, 0.9), record(3, 0.5), record(4, 0.9)]
    assert best_trials(trials, 3) == [2, 4, 3]
    assert best_trials(trials, 9) == [2, 4, 3, 0]
    assert best_trials(trials, 0) == []


# Real children --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_children_train_store_die_and_are_replaced(store: StudyStore) -> None:
    observer = Observer()
    search = searching(store, observer, workers=2)

    def kill(number: int, step: int) -> None:
        if (number, step) == (2, 2):
            (slot,) = [slot for slot in search._slots if slot.work is not None and slot.work.trial.number == 2]
            assert slot.child.process.pid is not None
            os.kill(slot.child.process.pid, signal.SIGKILL)

    observer.on_report = kill
    assert search.run(SearchLimits(4)) == "spent"
    trials = open_study(store.location).trials()
    assert states(store) == {"complete": 4, "failed": 1}
    assert trials[2].reason == "killed: the worker process ended with signal 9, perhaps because memory ran out"
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            val = store.predictions(trial.number, Split.VAL)
            assert val.log_probs.shape[1] == 10
            assert store.predictions(trial.number, Split.TEST).split is Split.TEST
            assert trial.cost is not None
            assert trial.seconds > 0
            assert trial.device
    assert len(list(weights_of(store).glob("*.safetensors"))) == 2
    assert not list(weights_of(store).glob("*.checkpoint"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_no_trial_fails_where_the_server_dies_that_workers_were_forked_from(store: StudyStore) -> None:
    observer = Observer()
    search = searching(store, observer, workers=2)

    def kill(number: int, step: int) -> None:
        if (number, step) == (1, 1):
            psutil.Process(psutil.Process(search._slots[0].child.process.pid).ppid()).kill()

    observer.on_report = kill
    assert search.run(SearchLimits(4)) == "spent"
    assert states(store) == {"complete": 4}


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.toml").write_text(DEFINITION.format(epochs=100, pruner="none"))
    command = [sys.executable, "-m", "benchmark.cli", "search", "mine", "--trials", "1", "--workers", "1"]
    command += ["--root", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    location = StudyLocation("mine", tmp_path)
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    deadline = time.monotonic() + 180
    while not has_reported(location):
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert "interrupted" in output
    assert "to go on: the same command again" in output
    assert "Traceback" not in output
    assert [str(trial.state) for trial in open_study(location).trials()] == ["failed"]
    assert subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=300).returncode == 0
    assert [str(trial.state) for trial in open_study(location).trials()] == ["failed", "complete"]
    # The default that was interrupted has been run again.
    assert [trial.is_default for trial in open_study(location).trials()] == [True, True]


def has_reported(location: StudyLocation) -> bool:
    database = location.database
    if database is None or not database.exists() or database.stat().st_size == 0:
        return False
    try:
        trials = open_study(location).study.trials
    except BenchError:
        return False
    return any(trial.intermediate_values for trial in trials)
