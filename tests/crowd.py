"""Real `bench` processes on one small study, and what is done to them; and what must hold when they are done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import sqlalchemy

from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.store.tables import LEASES
from benchmark.study import place_of_files
from benchmark.verify import verify

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
trials = {trials}
sampler = "random"
pruner = "halving"
keep_weights = 3
{search}
[space]
cnn.variant = ["plain"]
cnn.width = [16]
cnn.depth = [2]
batch_size = [128]
averaging = ["none"]
clip_norm = [0.0]
start_size = [1.0]
views = ["one"]
sgd.lr = {{ low = 0.05, high = 0.2 }}
"""
PATIENCE = 600.0


class Crowd:
    """Processes of `bench` in one folder, on one study `mine`."""

    def __init__(
        self,
        root: Path,
        trials: int,
        storage: str | None = None,
        epochs: float = 2.0,
        search: str = "",
        patch: str = "",
    ) -> None:
        """`patch`: Python that every process of the study runs before anything else, its children too."""
        self.location = StudyLocation("mine", root, storage)
        self.trials = trials
        self.processes: list[subprocess.Popen[str]] = []
        self._store: StudyStore | None = None
        (root / "studies").mkdir(parents=True)
        text = DEFINITION.format(epochs=epochs, trials=trials, search=search)
        (root / "studies" / "mine.toml").write_text(text)
        self._environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        if storage is not None:
            self._environment["BENCH_STORAGE"] = storage
        if patch:
            (root / "patch").mkdir()
            (root / "patch" / "sitecustomize.py").write_text(textwrap.dedent(patch))
            self._environment["PYTHONPATH"] = str(root / "patch")

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`bench WORDS... --root ...`; in a process group of its own, as another terminal's."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.cli", *words, "--root", str(self.location.root)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            process_group=0,
        )
        self.processes.append(process)
        return process

    def worker(self, workers: int = 1) -> subprocess.Popen[str]:
        """`bench worker` with so many workers."""
        return self.start("worker", "mine", "--workers", str(workers))

    def children(self) -> list[psutil.Process]:
        """The processes that train, of all that run."""
        found = []
        for process in self.processes:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    with suppress(psutil.NoSuchProcess):
                        # What they are forked from has the same name, and the command itself for a parent.
                        if "forkserver" in " ".join(child.cmdline()) and child.ppid() != process.pid:
                            found.append(child)
        return found

    def running(self) -> list[subprocess.Popen[str]]:
        """The supervising processes that still run."""
        return [process for process in self.processes if process.poll() is None]

    def store(self) -> StudyStore:
        """The study, opened once: every opening holds connections of its own."""
        if self._store is None:
            self._store = open_study(self.location)
        return self._store

    def states(self) -> Counter[str]:
        """Trials by state; none while there is no study yet."""
        with suppress(Exception):
            return Counter(str(trial.state) for trial in self.store().trials())
        return Counter()

    def wait_until(self, condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
        """Wait for something, and fail with what the processes said where it does not come."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def wait_until_running(self, trials: int = 1) -> None:
        """Wait until so many trials run."""
        self.wait_until(lambda: self.states()["running"] >= trials)

    def finish(self, seconds: float = PATIENCE) -> list[str]:
        """Wait for all processes to end; what those said that were not killed. Each ended well."""
        said = []
        for process in self.processes:
            output, _ = process.communicate(timeout=seconds)
            if process.returncode != -signal.SIGKILL:
                assert process.returncode == 0, output
                assert "Traceback" not in output, output
                assert "locked" not in output, output
                assert "leaked" not in output, output
                said.append(output)
        return said

    def said(self) -> str:
        """Everything that the processes said; ends them."""
        self.end()
        return "\n".join(process.communicate()[0] or "" for process in self.processes)

    def end(self) -> None:
        """Kill whatever is left."""
        for process in self.processes:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGCONT)
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def crowd(*given: object, **options: object) -> Iterator[Crowd]:
    """A Crowd of which nothing is left at the end."""
    found = Crowd(*given, **options)  # type: ignore[arg-type]
    try:
        yield found
    finally:
        found.end()
        for process in found.processes:
            if process.stdout is not None:
                process.stdout.close()


def assert_whole(found: Crowd) -> StudyStore:
    """What must hold of a study whose budget is spent, whatever was done to its workers."""
    store = found.store()
    records = store.trials()
    states = Counter(str(trial.state) for trial in records)
    assert states["complete"] + states["pruned"] == found.trials, states
    assert states["running"] == 0, states
    assert [trial.number for trial in records] == list(range(len(records)))
    assert all(trial.reason for trial in records if trial.state == "failed")
    with store._db.begin() as connection:
        assert connection.execute(sqlalchemy.select(LEASES)).all() == []
    verified = verify(store, place_of_files(store), keep_weights=3)
    assert verified.damage == ()
    assert verified.complete == states["complete"]
    assert verified.stray == ()
    return store


def kill(process: psutil.Process | subprocess.Popen[str]) -> None:
    """kill -9, where it still runs."""
    with suppress(psutil.NoSuchProcess, ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
