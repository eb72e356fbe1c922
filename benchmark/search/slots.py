"""One worker's place in a search: its child, and the trial that the child runs; decides nothing about trials."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import optuna

from benchmark.records import PlannedRun, TrialConfig
from benchmark.store import Checkpoint
from benchmark.workers import Child, Job, WorkerSetup, start_child


@dataclass(eq=False)
class Work:
    """A trial that a worker runs."""

    trial: optuna.Trial
    config: TrialConfig
    job: Job
    checkpoint: Checkpoint | None
    """Where it goes on from, at first."""
    facts: dict[str, Any]
    planned: PlannedRun | None
    started: float = field(default_factory=time.monotonic)
    had_fresh_child: bool = False
    """Whether it was tried in a process that had done nothing before."""
    had_fault: bool = False
    """Whether its GPU failed under it."""

    @property
    def number(self) -> int:
        """Of the trial."""
        return self.trial.number

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.started


@dataclass(eq=False)
class Slot:
    """One worker's place: its child, what is known of that child, and the trial that it runs, if any."""

    setup: WorkerSetup
    child: Child
    device: str | None = None
    """What the child has called its device; None until it was ready for the first time."""
    is_ready: bool = False
    """Whether the child waits for a job."""
    families: set[str] = field(default_factory=set)
    """What the child has trained: on a GPU it has loaded their kernels."""
    work: Work | None = None
    failed_starts: int = 0
    """Children in a row that ended before they were ready."""
    has_started: bool = False
    """Whether any child of it ever was ready."""

    @classmethod
    def open(cls, setup: WorkerSetup) -> Slot:
        """A place whose child is just starting."""
        return cls(setup, start_child(setup))

    def replace_child(self) -> None:
        """End the child and start another in its place; the work stays."""
        self.child.end()
        self.child, self.device, self.is_ready, self.families = start_child(self.setup), None, False, set()

    def give(self, job: Job) -> None:
        """Have the child, which waits for one, do this job of the trial."""
        assert self.work is not None
        self.work.had_fresh_child = self.work.had_fresh_child or not self.families
        self.is_ready = False
        self.families.add(self.work.trial.params["family"])
        self.tell(job)

    def tell(self, message: object) -> None:
        """Send to the child. One that died meanwhile is noticed when it is listened to, and replaced there."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.child.connection.send(message)

    def can_go_on_from(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint is of such a device: random numbers of another do not go on, nor does a budget."""
        return bool(checkpoint.record.get("device") == self.setup.kind)
