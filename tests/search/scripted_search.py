"""A small study, searched by children that follow a script."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from benchmark.artifacts import Artifacts, beside_database
from benchmark.definition import parse_study
from benchmark.records import Cost, Predictions, ProgressRecord, Split, TrialRecord, TrialState
from benchmark.search import Search
from benchmark.space import Space
from benchmark.store import StudyStore, open_study
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
        self.continued: dict[int, int] = {}
        self.notes: list[tuple[int, str]] = []
        self.last: Counter[str] = Counter()
        self.on_report: Callable[[int, int], None] = lambda number, step: None
        self.missing: list[tuple[str, int]] = []
        """Why the search went on without a worker, and how many were left."""
        self.on_without: Callable[[], object] = lambda: None
        self.on_waiting: Callable[[], None] = lambda: None
        self.on_tick: Callable[[], None] = lambda: None

    def started(self, number: int, family: str, is_default: bool, continues: int | None) -> None:
        self.running.append(number)
        if continues is not None:
            self.continued[number] = continues

    def reported(self, number: int, reports: int, record: ProgressRecord) -> None:
        self.reports.append((number, record.step))
        self.on_report(number, record.step)

    def ended(self, number: int, state: TrialState, score: float | None, reason: str | None) -> None:
        assert number not in self.ends
        self.ends[number] = (state, reason)

    def noted(self, number: int, what: str) -> None:
        self.notes.append((number, what))

    def standing(self, trials: Sequence[TrialRecord], total: int) -> None:
        self.last = Counter(str(trial.state) for trial in trials)

    def without(self, reason: str, left: int) -> None:
        self.missing.append((reason, left))
        self.on_without()

    def waiting(self) -> None:
        self.on_waiting()

    def tick(self) -> None:
        self.on_tick()


def searching(
    store: StudyStore,
    observer: Observer,
    workers: int = 1,
    pruner: str = "none",
    more: str = "",
    device: str = "cpu",
) -> Search:
    text = DEFINITION.format(epochs=0.5, pruner=pruner).replace("[search]", f"[search]\n{more}")
    space = Space(parse_study("mine", text, "mine.toml"))
    return Search(store, space, [replace(SETUP, device=device)] * workers, beside_database(weights_of(store)), observer)


def weights_of(store: StudyStore) -> Path:
    return store.location.folder / "weights"


def states(store: StudyStore) -> Counter[str]:
    return Counter(str(trial.state) for trial in open_study(store.location).trials())


Script = Callable[[Connection, Job, Artifacts], None]


class ScriptedProcess:
    """A child without a process: a thread that follows a script."""

    resident_bytes: int | None = None

    def __init__(self, script: Script, setup: WorkerSetup) -> None:
        assert setup.place is not None
        self._artifacts = Artifacts(setup.place)
        self.exitcode: int | None = None
        ours, self._theirs = Pipe()
        self.child = Child(self, ours)  # type: ignore[arg-type]
        self._script = script
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while True:
                self._theirs.send(Ready("abacus", self.resident_bytes))
                self._script(self._theirs, self._theirs.recv(), self._artifacts)
        except (EOFError, OSError):
            self.die(0)

    def die(self, code: int) -> None:
        if self.exitcode is None:
            self.exitcode = code
            self._theirs.close()

    def kill(self) -> None:
        self._thread.join(timeout=120)
        assert not self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        pass


def progress(step: int, accuracy: float) -> ProgressRecord:
    return ProgressRecord(step, 100 * step, 1.0, 1.0, accuracy, 0.1, 0.1 * step, 0.01 * step, 1000.0)


def finished(accuracy: float) -> Finished:
    halves = np.log(np.full((3, 2), 0.5, np.float32))
    both = (Predictions(Split.VAL, halves), Predictions(Split.TEST, halves))
    return Finished(accuracy, both, Cost(1, 1, 1.0, 1.0, 2**30), 1, 400, 400, 0.5)


def succeed(connection: Connection, job: Job, artifacts: Artifacts, accuracy: float = 0.5) -> None:
    connection.send(Planned(400, preparing_seconds=2.5))
    for step in range(1, 5):
        connection.send(progress(step, accuracy))
        if not connection.recv():
            return
    weights = artifacts.write(job.weights, b"weights") if accuracy >= job.keep_from else None
    connection.send(replace(finished(accuracy), weights=weights))


def fail(connection: Connection, job: Job, artifacts: Artifacts) -> None:
    connection.send(
        Failed("no such file", "Traceback", train_seconds=1.5, evaluation_seconds=0.25, peak_memory_bytes=2**20)
    )
