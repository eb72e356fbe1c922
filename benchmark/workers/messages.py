"""What a worker process and its parent say to each other: plain values, sent through a pipe."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from pathlib import Path

from benchmark.artifacts import Place
from benchmark.records import Cost, Predictions, ProgressRecord, StoredFile, TrialConfig


@dataclass(frozen=True)
class WorkerSetup:
    """What a child needs to know once: the data, its division, its device, and where it leaves files."""

    dataset: str
    data_folder: Path | None
    val: int | float
    split_seed: int
    device: str
    threads: int
    families: tuple[str, ...] = ()
    """Of networks that it will train, those whose packages it is to import before its first trial."""
    place: Place | None = None
    """None where nothing is kept."""
    trains_on_val: bool = False
    """Whether validation rows are among those that train."""
    digests: tuple[str, str] | None = None
    """What the data set and its division must have (Dataset.fingerprint, SplitRows.digest); None where any will do."""
    image_size: int | None = None
    """Pixels a side that images have at most."""
    memory_share: float = 1.0
    """Of a GPU's memory, that torch may have at most."""

    @property
    def kind(self) -> str:
        """Of its device: cpu or cuda."""
        return self.device.partition(":")[0]


@dataclass(frozen=True)
class CheckpointPlan:
    """Where a trial leaves checkpoints: under two names in turn, so that one is whole while the other is written."""

    names: tuple[str, str]
    every_seconds: float
    """A report is followed by a checkpoint where the last one is so long ago; 0 is after every report."""


@dataclass(frozen=True)
class Job:
    """One trial to train."""

    config: TrialConfig
    weights: str
    """The name of its weights in the artifact store."""
    keep_from: float = -math.inf
    """The validation accuracy from which the weights are kept."""
    images: int | None = None
    """Training images that were planned for it before; None has the budget decide."""
    resume_from: StoredFile | None = None
    """A checkpoint to go on from."""
    checkpoints: CheckpointPlan | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all that it may write."""
        return (self.weights, *(() if self.checkpoints is None else self.checkpoints.names))


@dataclass(frozen=True)
class Ready:
    """The child waits for a job."""

    device: str
    resident_bytes: int | None = None
    """The memory that its process has; None where the system does not tell."""


@dataclass(frozen=True)
class Planned:
    """The number of training images that the job's budget buys on this machine."""

    images: int
    resumed: bool = False
    """Whether it goes on from the job's checkpoint; else it begins, though there may have been one, damaged."""
    preparing_seconds: float = 0.0
    """See TrainingRun."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint is whole: training can go on after report `step` from it."""

    step: int
    file: StoredFile


@dataclass(frozen=True)
class Noted:
    """Something about the trial that its user should hear of, and that does not end it."""

    what: str


@dataclass(frozen=True, eq=False)
class Finished:
    """A trial that used its whole budget (or stopped early by its own patience)."""

    val_accuracy: float
    predictions: tuple[Predictions, ...]
    cost: Cost
    best_step: int
    images_seen: int
    images_planned: int
    """Those of its whole budget, which may have adapted: more than were seen where it stopped early."""
    evaluation_seconds: float
    weights: StoredFile | None = None
    """Where they are kept; None where they were not worth it, or could not be."""


class FailureKind(enum.Enum):
    """What follows from a failure."""

    ERROR = "the trial failed"
    OUT_OF_MEMORY = "the trial may do with less memory"
    DEVICE = "the trial may be innocent: a fault of a GPU comes to all that share it"
    NO_ROOM = "the disk is full: no trial can be stored"
    NO_START = "no worker can start: the data are missing, or others"


@dataclass(frozen=True)
class Failed:
    """A trial that ended with an error, in words for the user, with the traceback for us."""

    reason: str
    details: str
    kind: FailureKind = FailureKind.ERROR
    spoilt: bool = False
    """Whether the child may be left in a bad state (out of memory, a device error), and is better replaced."""
    train_seconds: float = 0.0
    """Seconds that it spent inside training steps, those after its last report included."""
    evaluation_seconds: float = 0.0
    peak_memory_bytes: int | None = None
    """The most memory that its training took until then, as in Cost."""


Answer = Ready | Planned | ProgressRecord | Saved | Noted | Finished | Failed
