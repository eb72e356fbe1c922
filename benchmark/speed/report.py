"""What a measurement of speed says: frozen values and their JSON; measures nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from benchmark.records import ImageShape, as_jsonable

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Rate:
    """Something per second: the median of `repeats` measurements, and the lowest and highest of them."""

    median: float
    low: float
    high: float
    repeats: int

    def __post_init__(self) -> None:
        if not 0 < self.low <= self.median <= self.high < math.inf or self.repeats < 1:
            raise ValueError(f"a rate is 0 < low <= median <= high, measured at least once, not {self}")


@dataclass(frozen=True)
class MatrixPeak:
    """What the worker reaches in products of two square matrices of `size` rows, in 10^12 operations per second.

    `peak_tflops` is the best of `repeats` products and `median_tflops` their median: far apart, the machine was busy.
    """

    precision: str
    """float32 (TF32 on a GPU where convolutions may use it) or bfloat16."""
    size: int
    peak_tflops: float
    median_tflops: float
    repeats: int

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {self.precision!r}")
        if self.size < 1 or not 0 < self.median_tflops <= self.peak_tflops < math.inf or self.repeats < 1:
            raise ValueError(f"a peak is finite, above 0 and at least the median, not {self}")


@dataclass(frozen=True)
class FamilySpeed:
    """One family's default: what it costs, and the images per second that it reaches on one worker.

    Shares are of `MatrixPeak.peak_tflops` in the precision used, counting two operations per multiply-accumulate and
    three forward passes per training image; below 1 but for noise. Optimizer and batches count as time, not as work.
    """

    family: str
    parameters: int
    """All of them, fixed filters included."""
    macs: int
    """Multiply-accumulates of one forward pass of one image, one view."""
    batch_size: int
    precision: str
    """The precision that the study's choice comes to for this model on this device: float32 or bfloat16."""
    augmentations: tuple[str, ...]
    data_images_per_second: Rate
    """Training batches alone: gathered, augmented and normalised on the device."""
    training_images_per_second: Rate
    """Whole training steps on images of full size: batch, forward, backward, optimizer, average."""
    inference_images_per_second: Rate
    """One view of each image."""
    training_share_of_peak: float
    inference_share_of_peak: float

    def __post_init__(self) -> None:
        if min(self.parameters, self.macs, self.batch_size) < 1:
            raise ValueError(f"parameters, macs and batch_size are at least 1, not {self}")
        if not (0 < self.training_share_of_peak < math.inf and 0 < self.inference_share_of_peak < math.inf):
            raise ValueError(f"shares of the peak are finite and above 0, not {self}")


@dataclass(frozen=True)
class SpeedReport:
    """The speed of one worker of a study on one machine, with what is needed to compare it with another's."""

    study: str
    dataset: str
    image_shape: ImageShape
    device: str
    """The device's name for people."""
    threads: int
    """CPU threads of the worker."""
    workers: int
    """How many workers a search starts here by default; one of them was measured, alone."""
    seconds: float
    """Time given to each measurement."""
    commit: str
    versions: Mapping[str, str]
    peaks: tuple[MatrixPeak, ...]
    families: tuple[FamilySpeed, ...]

    def __post_init__(self) -> None:
        if not self.peaks or not self.families or min(self.threads, self.workers) < 1:
            raise ValueError("a report has at least one peak, one family, one thread and one worker")


def to_json(report: SpeedReport) -> str:
    """The whole report as strict JSON (RFC 8259, no NaN), numbers unrounded."""
    return json.dumps(as_jsonable(report), indent=2, ensure_ascii=False, allow_nan=False)
