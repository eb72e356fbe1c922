"""Frozen values that cross modules; numpy only, and no idea of how they are made or stored.

Shapes: N rows (images), K classes, M members, H x W pixels, C channels.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError, SealedTestError

CHUNK_BYTES = 2**23

ParameterValue = str | int | float | bool | None
Parameters = Mapping[str, ParameterValue]


class Split(enum.StrEnum):
    """The part of a data set that rows belong to."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


SMALLEST_SIDE = 8
"""Pixels of an image that is trained on: augmentations and networks move and halve it."""


@dataclass(frozen=True)
class ImageShape:
    """Size of one image: channels, height and width in pixels, each at least 1."""

    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if min(self.channels, self.height, self.width) < 1:
            raise ValueError(f"an image needs at least one channel and one pixel, not {self}")

    def within(self, longest_side: int) -> ImageShape:
        """The same where no side is longer; else one of the same proportions whose longer side is that."""
        scale = min(1.0, longest_side / max(self.height, self.width))
        return ImageShape(self.channels, *(max(1, round(side * scale)) for side in (self.height, self.width)))


@dataclass(frozen=True, eq=False)
class Images:
    """Labelled images: pixels uint8 (N, H, W, C), labels int64 (N,) in 0..K-1."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4:
            raise ValueError(f"pixels must be uint8 (N, H, W, C), not {self.pixels.dtype} {self.pixels.shape}")
        if self.labels.dtype != np.int64 or self.labels.shape != self.pixels.shape[:1]:
            raise ValueError(f"labels must be int64 ({len(self.pixels)},), not {self.labels.dtype} {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Images:
        """The given rows, in the given order."""
        return Images(self.pixels[rows], self.labels[rows])

    def chunks(self, rows: NDArray[np.int64] | None = None) -> Iterator[Images]:
        """The given rows, or all, in order, some `CHUNK_BYTES` at a time: for pixels that are not all in memory."""
        order = np.arange(len(self)) if rows is None else rows
        size = max(1, CHUNK_BYTES // int(np.prod(self.pixels.shape[1:])))
        return (self.take(order[start : start + size]) for start in range(0, len(order), size))


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set as published: its training part, its test part, and a fingerprint of both.

    `fingerprint` is the SHA-256 over pixels and labels of both parts in order (`fingerprint_of`).
    """

    name: str
    classes: tuple[str, ...]
    train: Images
    test: Images
    fingerprint: str

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if len(part) and not 0 <= part.labels.min() <= part.labels.max() < len(self.classes):
                raise ValueError(f"{self.name}: labels must lie in 0..{len(self.classes) - 1}")

    @property
    def image_shape(self) -> ImageShape:
        """Size of one image of this data set."""
        _, height, width, channels = self.train.pixels.shape
        return ImageShape(channels, height, width)


@dataclass(frozen=True, eq=False)
class SplitRows:
    """Row numbers into a data set's training part: int64, sorted, disjoint, together all rows."""

    train: NDArray[np.int64]
    val: NDArray[np.int64]

    @property
    def digest(self) -> str:
        """SHA-256 (first 16 hex digits) of the validation rows, as little-endian int64."""
        return hashlib.sha256(np.ascontiguousarray(self.val, "<i8").tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one model says about every row of a split: natural log-probabilities, float32 (N, K).

    Raises ValueError where a value is NaN or a row's probabilities do not sum to 1 within 1e-3.
    """

    split: Split
    log_probs: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.log_probs.dtype != np.float32 or self.log_probs.ndim != 2:
            raise ValueError(f"log_probs must be float32 (N, K), not {self.log_probs.dtype} {self.log_probs.shape}")
        sums = np.exp(self.log_probs.astype(np.float64)).sum(axis=1)
        if not np.all(np.abs(sums - 1) <= 1e-3):
            raise ValueError("log_probs must be finite probabilities: every row has to sum to 1")

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the log-probabilities as little-endian float32."""
        return hashlib.sha256(np.ascontiguousarray(self.log_probs, "<f4").tobytes()).hexdigest()


def digest_of_labels(labels: NDArray[np.int64]) -> str:
    """SHA-256 (hex) of class numbers as little-endian int64."""
    return hashlib.sha256(np.ascontiguousarray(labels, "<i8").tobytes()).hexdigest()


def deciding(predictions: Predictions) -> NDArray[np.float32]:
    """The log-probabilities (N, K), for code that chooses or fits: validation only.

    Raises SealedTestError for any other split.
    """
    if predictions.split is not Split.VAL:
        raise SealedTestError(
            f"a decision was asked of {predictions.split} predictions; only validation predictions may decide"
        )
    return predictions.log_probs


@dataclass(frozen=True)
class Choice:
    """A registered name with a value for each of its parameters."""

    name: str
    params: Parameters = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))

    def __reduce__(self) -> tuple[type[Choice], tuple[str, dict[str, ParameterValue]]]:
        return Choice, (self.name, dict(self.params))


@dataclass(frozen=True)
class Budget:
    """How long one trial trains: passes over the training rows, or seconds of training steps; exactly one.

    Seconds are turned into a number of images once, by timing; that number is stored with the trial.
    """

    epochs: float | None = None
    seconds: float | None = None
    adapts: bool = False
    """Whether the number is made to fit again and again while it trains, as its speed changes; of seconds only."""

    def __post_init__(self) -> None:
        given = [value for value in (self.epochs, self.seconds) if value is not None]
        if len(given) != 1 or not 0 < given[0] < math.inf:
            raise BenchError("a budget is either epochs or seconds, and more than 0")
        if self.adapts and self.seconds is None:
            raise BenchError("only a budget in seconds adapts")


VIEWS: Mapping[str, int] = MappingProxyType({"one": 1, "two": 2, "six": 6})
"""Forward passes per image, by name: the image; with its mirror image; both also moved by a pixel either way."""


@dataclass(frozen=True)
class TrialConfig:
    """Everything that determines one training run, given the data and the machine."""

    architecture: Choice
    augmentations: tuple[Choice, ...]
    optimizer: Choice
    schedule: Choice
    budget: Budget
    batch_size: int
    seed: int
    label_smoothing: float = 0.0
    averaging: Choice = Choice("none")
    """How weights are averaged over steps."""
    clip_norm: float = 0.0
    """Largest global gradient norm; 0 is off."""
    start_size: float = 1.0
    """Side of the first images as a share of the full one, grown in three stages over the budget; 1 is off."""
    views: str = "two"
    """Views of an image that are averaged when predicting, a name in VIEWS."""
    reports: int = 8
    """Validation scores per trial, evenly spaced over the budget."""
    report_share: float = 1.0
    """Share of the validation rows, evenly spread, that a report looks at; the trial's final score takes all."""
    patience: int = 0
    """Stop after so many reports without a better validation score; 0 is off."""
    precision: str = "auto"
    """auto, float32 or bfloat16 (autocast)."""
    accumulation: int = 1
    """Parts that a batch passes the network in, one after another, for want of memory; gradients add up."""

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.reports < 1 or self.patience < 0 or self.accumulation < 1:
            raise ValueError("batch_size, reports and accumulation must be at least 1, patience at least 0")
        if not 0 <= self.label_smoothing < 1 or self.clip_norm < 0:
            raise ValueError("label_smoothing must lie in [0, 1), clip_norm at or above 0")
        if not 0 < self.start_size <= 1:
            raise ValueError("start_size must lie in (0, 1]")
        if self.views not in VIEWS:
            raise ValueError(f"views must be one of {', '.join(VIEWS)}, not {self.views!r}")
        if not 0 < self.report_share <= 1:
            raise ValueError("report_share must lie in (0, 1]")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision must be auto, float32 or bfloat16, not {self.precision!r}")


@dataclass(frozen=True)
class ProgressRecord:
    """One report of a running trial, `step` of `reports`; losses in nats, rates in images per second.

    Training figures are means over the images since the report before, as augmented and by the network as it was then;
    of a mixed image the class of the larger share counts. Validation figures are of `TrialConfig.report_share` of the
    rows, in one view: for pruning and curves. Seconds are counted from the start of the trial; `train_seconds` lie
    inside training steps.
    """

    step: int
    images_seen: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    train_seconds: float
    evaluation_seconds: float
    images_per_second: float
    train_accuracy: float | None = None
    """In [0, 1]; None for trials of before it was stored."""
    peak_memory_bytes: int | None = None
    """The most that training took until then, as in Cost; None where the system does not tell, or for older trials."""


@dataclass(frozen=True)
class Cost:
    """What a model costs. For an ensemble each figure but `peak_memory_bytes` is the sum over its members.

    `parameters`: all of them, fixed filters included. `macs`: multiply-accumulates to predict one image, all views
    included. `inference_ms` and `latency_ms`: milliseconds per image when predicting 256 at a time, and one alone,
    all views included, measured after training beside whatever else ran; a latency of None was not measured.
    `peak_memory_bytes`: the most that training took, reserved of a GPU, or resident in the process on a CPU; None
    where it is not known. For an ensemble it is the largest member's.
    """

    parameters: int
    macs: int
    train_seconds: float
    inference_ms: float
    peak_memory_bytes: int | None = None
    latency_ms: float | None = None

    def __add__(self, other: Cost) -> Cost:
        peaks = [item.peak_memory_bytes for item in (self, other) if item.peak_memory_bytes is not None]
        latencies = (self.latency_ms, other.latency_ms)
        return Cost(
            self.parameters + other.parameters,
            self.macs + other.macs,
            self.train_seconds + other.train_seconds,
            self.inference_ms + other.inference_ms,
            max(peaks, default=None),
            None if None in latencies else sum(filter(None, latencies)),
        )


@dataclass(frozen=True)
class PlannedRun:
    """A training run that is known before it is claimed: another seed, perhaps another budget, of a trial."""

    trial: int
    """The trial whose parameters it has."""
    replicate: int
    """Which of several runs of that trial, from 0."""
    seed: int
    parameters: Parameters
    images: int | None = None
    """Training images; None has the budget decide."""

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from the other runs of a plan: the trial, and which of its runs."""
        return self.trial, self.replicate


@dataclass(frozen=True, eq=False)
class RunPlan:
    """The runs to train, in this order, and no others."""

    runs: tuple[PlannedRun, ...]
    val: Mapping[int, Predictions] = field(default_factory=dict)
    """Where runs train on the validation rows too: what each trial predicted for them before, to be stored instead."""

    @property
    def trains_on_val(self) -> bool:
        """Whether validation rows are among those that train."""
        return bool(self.val)


class TrialState(enum.StrEnum):
    """A trial's outcome. Failure is a state with a reason, never a score."""

    RUNNING = "running"
    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


class FileKind(enum.StrEnum):
    """What a trial's file in the artifact store is."""

    WEIGHTS = "weights"
    CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class StoredFile:
    """A whole file in the artifact store: its name there, SHA-256 (hex) and size in bytes."""

    name: str
    digest: str
    bytes: int


@dataclass(frozen=True)
class TrialRecord:
    """One stored trial, as read back from the study's database."""

    number: int
    state: TrialState
    family: str
    is_default: bool
    """Whether it is the expert's recipe of its family rather than a sampled configuration."""
    parameters: Parameters
    val_accuracy: float | None
    """The final validation accuracy in [0, 1]; None unless complete."""
    cost: Cost | None
    reason: str | None
    """Why it failed; None unless failed."""
    seconds: float
    """Wall-clock seconds from start to end, 0 while it runs."""
    device: str
    train_seconds: float = 0.0
    """Seconds inside training steps, as far as it told, those of the trial that it went on with included."""
    evaluation_seconds: float = 0.0
    """Seconds of evaluating reports and of predicting, likewise."""
    peak_memory_bytes: int | None = None
    """The most memory that its training took, as in Cost, as far as it told; None where that is not known."""
    preparing_seconds: float | None = None
    """Seconds of its own until a GPU's kernels were there and a budget in seconds began; where it went on with another
    trial, training has them. None where that was not noted."""
    interrupted: bool = False
    """Whether it failed for no reason of its own, so that it takes no place and may be continued."""
    continues: int | None = None
    """The interrupted trial that it went on with."""
    confirms: int | None = None
    """The trial of the search that it trains again, where it was planned."""
    images: int | None = None
    """Training images that its budget bought; None where it was not known before it ended."""
    started: datetime | None = None
    """When it began, by the clock of the machine that ran it, without a zone; None where it has not yet."""
    reports: tuple[tuple[int, float], ...] = ()
    """Step and validation accuracy in [0, 1] of each of its reports, in order."""


COUNTED = (TrialState.COMPLETE, TrialState.PRUNED)
"""States of trials that have a place in the budget and have ended."""


def count_complete(trials: Iterable[TrialRecord]) -> int:
    """Trials that ended with predictions."""
    return sum(trial.state is TrialState.COMPLETE for trial in trials)


def count_done(trials: Iterable[TrialRecord]) -> int:
    """Trials that count towards the budget and have ended: complete and pruned ones."""
    return sum(trial.state in COUNTED for trial in trials)


def seconds_of_their_own(trials: Sequence[TrialRecord]) -> list[tuple[float, float]]:
    """By trial, in order, seconds of training and of evaluation, without those of the trial that it went on with.

    A trial that was continued is told with the seconds of both; a sum over trials should count them once.
    """
    by_number = {trial.number: trial for trial in trials}
    found = []
    for trial in trials:
        before = None if trial.continues is None else by_number.get(trial.continues)
        training, evaluation = (0.0, 0.0) if before is None else (before.train_seconds, before.evaluation_seconds)
        found.append((max(0.0, trial.train_seconds - training), max(0.0, trial.evaluation_seconds - evaluation)))
    return found


@dataclass(frozen=True)
class TrialDetails:
    """One stored trial with the course of its training."""

    record: TrialRecord
    curve: tuple[ProgressRecord, ...] = ()
    """Its reports in full, in order. Stored when it ends: empty while it runs, and where its worker vanished."""
    best_step: int | None = None
    """The report that its weights are from; None unless complete."""
    seed: int | None = None
    accumulation: int = 1
    """Parts that its batches passed the network in, for want of memory."""
    traceback: str | None = None
    """Python's, where an error ended it."""
    trained_on: str = "train"
    """train, or train+val: its reports are then of validation rows that it trains on, and its final score is that of
    the trial which it trains again."""

    @property
    def images_seen(self) -> int:
        """Training images up to its last report."""
        return self.curve[-1].images_seen if self.curve else 0


@dataclass(frozen=True)
class ParameterImportance:
    """One parameter of a family: what it explains, and the trials that say so."""

    name: str
    """Without the family's prefix (see `parameters.short_names`)."""
    share: float
    """Of the variance of validation accuracy, in [0, 1]."""
    is_log: bool
    """Whether it was searched on a log scale."""
    choices: tuple[ParameterValue, ...]
    """All values that it can have, in order; empty for a number out of a range."""
    values: tuple[ParameterValue, ...]
    """In every complete trial that has it."""
    accuracies: tuple[float, ...]
    """Validation accuracies of these trials, in [0, 1]."""


@dataclass(frozen=True)
class FamilyImportance:
    """One family's parameters, the most important first."""

    family: str
    trials: int
    """Complete ones."""
    parameters: tuple[ParameterImportance, ...] = ()
    chance: float = 0.0
    """The largest share of any parameter where accuracies were shuffled among the trials."""
    unassessed: tuple[str, ...] = ()
    """Parameters that too few of its complete trials have, by name."""
    left_out: str | None = None
    """Why there are no shares; None where there are."""

    @property
    def shares(self) -> Mapping[str, float]:
        """Share by parameter, the largest first."""
        return {one.name: one.share for one in self.parameters}


@dataclass(frozen=True, eq=False)
class Entrant:
    """One thing that competes on a leaderboard: a single model or an ensemble of several.

    `val` holds out-of-fold predictions wherever something was fitted on validation rows; `members` are trial numbers.
    """

    name: str
    kind: str
    """default, tuned, confirmed or ensemble."""
    family: str
    members: tuple[int, ...]
    weights: tuple[float, ...] | None
    """One vote per member, summing to 1; None where the method has no such thing (stacking)."""
    val: Predictions
    test: Predictions
    cost: Cost
    replicates: tuple[Predictions, ...] = ()
    """Test predictions of all runs of its configuration with different seeds, of which it is one; empty without."""
    trained_on: str = "train"
    """train, or train+val: then its validation predictions are those of the trials that it trains again."""
    part: str = ""
    """Where its members were trained: empty is the search, else the study's part that holds confirming runs."""
    state: str = "complete"
    """complete, or how many of its configuration's planned runs are."""
    method: str = ""
    """The registered ensemble method; empty for a single model."""
    contributions: tuple[float, ...] | None = None
    """By member, what validation loses without it (ensemble.contributions); None where that was not computed."""
    recipe: Mapping[str, Any] | None = None
    """What an ensemble was fitted from, to fit it again (ensemble.refitted); None for a single model."""

    @property
    def is_single(self) -> bool:
        """Whether it is one model as it was trained; an ensemble of one member is none, since something was fitted."""
        return len(self.members) == 1 and not self.method

    def __post_init__(self) -> None:
        if self.val.split is not Split.VAL or self.test.split is not Split.TEST:
            raise ValueError("an entrant carries validation and test predictions, in that order")


@dataclass(frozen=True)
class Origin:
    """Where a study's numbers come from; a leaderboard without it is not written."""

    study: str
    commit: str
    """Commits of this program's source that were used, "+changes" where altered; "unknown" outside a checkout."""
    commands: tuple[str, ...]
    seed: int
    split_seed: int
    dataset: str
    dataset_fingerprint: str
    split_digest: str
    train_rows: int
    val_rows: int
    test_rows: int
    device: str
    versions: Mapping[str, str]
    """Program and library versions that trained the trials, by name."""
    page_commit: str = "unknown"
    """The commit that put the numbers together, as `commit`: what is drawn from stored predictions is its work."""


def as_jsonable(value: Any) -> Any:
    """Plain JSON types for a frozen record, mappings and tuples included."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: as_jsonable(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): as_jsonable(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_jsonable(item) for item in value]
    return value
