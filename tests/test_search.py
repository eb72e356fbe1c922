"""The search: exact budgets, failures with reasons, and a clean end, with scripted children and with real ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark import search as search_module
from benchmark.definition import parse_study
from benchmark.errors import BenchError
from benchmark.records import Cost, Predictions, ProgressRecord, Split, TrialRecord, TrialState
from benchmark.search import Search, SearchLimits, best_trials
from benchmark.space import Space
from benchmark.store import StudyLocation, StudyStore, create_study, open_study
from benchmark.workers import Child, Failed, Finished, Job, Planned, Ready, WorkerSetup

SETUP = WorkerSetup(dataset="digits", data_folder=None, val=0.1, split_seed=0, device="cpu", threads=1)
DEFINITION = """\
dataset = "digits"
families = ["cnn"]
augmentations = []
optimizers = ["sgd"]
schedules = ["linear"]
[budget]
epochs = {epochs}
reports = 4
[search]
sampler = "random"
pruner = "{pruner}"
keep_weights = 2
[space]
cnn.variant = ["plain"]
cnn.width = [16]
cnn.depth = [2]
batch_size = [128]
averaging = ["none"]
clip_norm = [0.0]
start_size = [1.0]
views = ["one"]
"""


class Observer:
    """Notes what a search says, and may do something when it does."""

    def __init__(self) -> None:
        self.running: list[int] = []
        self.reports: list[tuple[int, int]] = []
        self.ends: dict[int, tuple[TrialState, str | None]] = {}
        self.on_report: Callable[[int, int], None] = lambda number, step: None

    def started(self, number: int, family: str, is_default: bool) -> None:
        self.running.append(number)

    def reported(self, number: int, reports: int, record: ProgressRecord) -> None:
        self.reports.append((number, record.step))
        self.on_report(number, record.step)

    def ended(self, number: int, state: TrialState, score: float | None, reason: str | None) -> None:
        assert number not in self.ends
        self.ends[number] = (state, reason)

    def tick(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    return create_study(StudyLocation("mine", tmp_path))


def searching(store: StudyStore, observer: Observer, workers: int = 1, pruner: str = "none") -> Search:
    space = Space(parse_study("mine", DEFINITION.format(epochs=0.5, pruner=pruner), "mine.toml"))
    return Search(store, space, [SETUP] * workers, observer)


def states(store: StudyStore) -> Counter[str]:
    return Counter(str(trial.state) for trial in open_study(store.location).trials())


# Scripted children ----------------------------------------------------------------------------------------------------


class ScriptedProcess:
    """A child without a process: a thread that follows a script; its sentinel is a pipe that closes when it dies."""

    def __init__(self, script: Callable[[Connection, Job], None]) -> None:
        self.exitcode: int | None = None
        self.sentinel, self._alive = os.pipe()
        ours, self._theirs = Pipe()
        self.child = Child(self, ours)  # type: ignore[arg-type]
        self._script = script
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            self._theirs.send(Ready("abacus"))
            while True:
                self._script(self._theirs, self._theirs.recv())
        except (EOFError, OSError):
            self.die(0)

    def die(self, code: int) -> None:
        if self.exitcode is None:
            self.exitcode = code
            self._theirs.close()
            os.close(self._alive)

    def kill(self) -> None:
        self._thread.join(timeout=5)
        assert not self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        if self.sentinel >= 0:
            os.close(self.sentinel)
            self.sentinel = -1


def progress(step: int, accuracy: float) -> ProgressRecord:
    return ProgressRecord(step, 100 * step, 1.0, 1.0, accuracy, 0.1, 0.1 * step, 0.01 * step, 1000.0)


def finished(accuracy: float) -> Finished:
    halves = np.log(np.full((3, 2), 0.5, np.float32))
    both = (Predictions(Split.VAL, halves), Predictions(Split.TEST, halves))
    return Finished(accuracy, both, Cost(1, 1, 1.0, 1.0, 2**30), 1, 400, 0.5)


def succeed(connection: Connection, job: Job, accuracy: float = 0.5) -> None:
    connection.send(Planned(400))
    for step in range(1, 5):
        connection.send(progress(step, accuracy))
        if not connection.recv():
            return
    job.weights.write_bytes(b"weights")
    connection.send(finished(accuracy))


def fail(connection: Connection, job: Job) -> None:
    connection.send(Failed("out of memory: 9 GB", "Traceback"))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[Connection, Job], None]]]:
    """Scripts of the next jobs, in order; the last one is for all further jobs."""
    scripts: list[Callable[[Connection, Job], None]] = []
    lock = threading.Lock()

    def next_script(connection: Connection, job: Job) -> None:
        with lock:
            script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        script(connection, job)

    monkeypatch.setattr(search_module, "start_child", lambda setup: ScriptedProcess(next_script).child)
    return scripts  # type: ignore[return-value]


def test_a_budget_is_a_total(store: StudyStore, scripts: list[Any]) -> None:
    scripts.append(succeed)
    assert searching(store, Observer(), workers=2).run(SearchLimits(5)).why == "spent"
    assert states(store) == {"complete": 5}
    observer = Observer()
    assert searching(store, observer).run(SearchLimits(5)).why == "spent"
    assert observer.running == []
    assert searching(store, observer).run(SearchLimits(7)).why == "spent"
    assert observer.running == [5, 6]
    facts = store.study.trials[6].user_attrs
    assert (facts["device"], facts["images"], len(facts["curve"]), facts["images_seen"]) == ("abacus", 400, 4, 400)
    assert facts["evaluation_seconds"] == 0.5
    assert store.trials()[6].cost == Cost(1, 1, 1.0, 1.0, 2**30)


def test_a_failed_trial_gives_its_place_to_another(store: StudyStore, scripts: list[Any]) -> None:
    scripts += [fail, succeed, fail, succeed]
    observer = Observer()
    searching(store, observer).run(SearchLimits(3))
    assert states(store) == {"complete": 3, "failed": 2}
    failed = [trial for trial in store.trials() if trial.state is TrialState.FAILED]
    assert {trial.reason for trial in failed} == {"out of memory: 9 GB"}
    assert all(trial.val_accuracy is None for trial in failed)
    assert len(observer.ends) == 5


def test_ten_failures_in_a_row_end_the_search(store: StudyStore, scripts: list[Any]) -> None:
    scripts += [*[fail] * 9, succeed, fail]
    with pytest.raises(BenchError, match="10 trials failed one after another, the last with: out of memory: 9 GB"):
        searching(store, Observer()).run(SearchLimits(50))
    assert states(store) == {"complete": 1, "failed": 19}


def test_weights_of_the_best_are_kept(store: StudyStore, scripts: list[Any]) -> None:
    scripts += [lambda *given, value=value: succeed(*given, value) for value in (0.5, 0.9, 0.1, 0.7)]
    scripts.append(fail)
    searching(store, Observer()).run(SearchLimits(4))
    kept = sorted(path.name for path in (store.location.folder / "weights").iterdir())
    assert kept == ["trial-00001.safetensors", "trial-00003.safetensors"]


def test_weak_trials_are_pruned_and_defaults_never(store: StudyStore, scripts: list[Any]) -> None:
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
    def die(connection: Connection, job: Job) -> None:
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
            store._give_up_lease(0)
            if noticed == "when it reports":
                store._fail_lost()

    observer.on_report = lose
    scripts.append(succeed)
    searching(store, observer).run(SearchLimits(2))
    assert observer.ends[0] == (TrialState.FAILED, "lost: its lease had ended")
    assert states(store) == {"complete": 2, "failed": 1}
    assert store.trials()[0].state is TrialState.FAILED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_search_and_gives_the_trial_back(
    store: StudyStore, scripts: list[Any], number: signal.Signals
) -> None:
    observer = Observer()
    observer.on_report = lambda trial, step: os.kill(os.getpid(), number) if (trial, step) == (1, 2) else None
    scripts.append(succeed)
    before = signal.getsignal(number)
    assert searching(store, observer).run(SearchLimits(9)).why == "interrupted"
    assert signal.getsignal(number) is before
    assert states(store) == {"complete": 1, "failed": 1}
    assert store.trials()[1].reason == "interrupted: the search was stopped"
    assert store.study.trials[1].user_attrs["interrupted"] is True
    assert list((store.location.folder / "weights").glob("*.partial")) == []
    observer = Observer()
    searching(store, observer).run(SearchLimits(3))
    assert states(store) == {"complete": 3, "failed": 1}


def test_a_timeout_ends_the_search(store: StudyStore, scripts: list[Any]) -> None:
    def slow(connection: Connection, job: Job) -> None:
        connection.recv()

    scripts += [succeed, slow]
    started = time.monotonic()
    assert searching(store, Observer()).run(SearchLimits(9, timeout=1.0)).why == "timeout"
    assert time.monotonic() - started < 8
    assert states(store) == {"complete": 1, "failed": 1}


def test_a_worker_that_cannot_start_is_an_error(store: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def stillborn(setup: WorkerSetup) -> Child:
        process = ScriptedProcess(fail)
        process.child.connection.recv()
        process.child.connection.close()
        ours, theirs = Pipe()
        theirs.close()
        return Child(process, ours)  # type: ignore[arg-type]

    monkeypatch.setattr(search_module, "start_child", stillborn)
    with pytest.raises(BenchError, match="a worker could not start"):
        searching(store, Observer()).run(SearchLimits(1))
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
            (slot,) = [slot for slot in search._slots if slot.trial is not None and slot.trial.number == 2]
            assert slot.child.process.pid is not None
            os.kill(slot.child.process.pid, signal.SIGKILL)

    observer.on_report = kill
    assert search.run(SearchLimits(4)).why == "spent"
    trials = open_study(store.location).trials()
    assert states(store) == {"complete": 4, "failed": 1}
    assert trials[2].reason == "killed: the worker process ended with signal 9"
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            val = store.predictions(trial.number, Split.VAL)
            assert val.log_probs.shape[1] == 10
            assert store.predictions(trial.number, Split.TEST).split is Split.TEST
            assert trial.cost is not None
            assert trial.seconds > 0
            assert trial.device
    assert len(list((store.location.folder / "weights").glob("*.safetensors"))) == 2
    assert not list((store.location.folder / "weights").glob("*.partial"))


@pytest.mark.slow
def test_ctrl_c_ends_the_command_and_the_same_command_goes_on(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "mine.toml").write_text(DEFINITION.format(epochs=4, pruner="none"))
    command = [sys.executable, "-m", "benchmark.cli", "search", "mine", "--trials", "1", "--workers", "1"]
    command += ["--root", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    location = StudyLocation("mine", tmp_path)
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    deadline = time.monotonic() + 60
    while not has_reported(location):
        assert running.poll() is None, running.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=20)
    assert running.returncode == 130, output
    assert "interrupted" in output
    assert "to go on: the same command again" in output
    assert "Traceback" not in output
    assert [str(trial.state) for trial in open_study(location).trials()] == ["failed"]
    assert subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, timeout=120).returncode == 0
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
