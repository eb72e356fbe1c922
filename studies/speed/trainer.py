"""The product's trainer as its own workers use it, for one run outside a search; the one place that knows its names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmark.records import TrialConfig
from benchmark.training import (
    Captures,
    DeviceData,
    Part,
    Stepper,
    TrainingRun,
    keep_freed_memory,
    multiply_accumulates,
    predict,
)

CAPTURED_EPOCHS = 3
"""So long is a run that warms a GPU up: of batches of 2,048 at most, fewer steps are not worth capturing to the
trainer, and it has every size of images."""
_SHARE = 0.9
"""Where in the budget steps stand that are only timed: images have their full size there, and rates are above 0."""


@dataclass(frozen=True)
class TrainedOnce:
    """One run of the product's trainer, scored once at its end.

    `seconds` is wall-clock time from before the model is made until it is scored: initialisation, training steps, the
    report and the final prediction with its views. `train_seconds` is the time inside training steps alone.
    """

    accuracy: float
    train_seconds: float
    seconds: float
    images_seen: int
    macs: int
    """Multiply-accumulates of one forward pass of one image, without extra views."""


class Worker:
    """What a worker process keeps from one run to the next: data on the device, and captured passes on a GPU."""

    def __init__(self, data: DeviceData) -> None:
        keep_freed_memory()
        self.data = data
        self._captures = Captures()

    def steps(self, config: TrialConfig) -> Iterator[int]:
        """Endless optimizer steps of the trainer; yields the images of each step."""
        stepper = Stepper(config, self.data, self._captures)
        while True:
            stepper.step(_SHARE)
            yield stepper.batch_size

    def train(self, config: TrialConfig, part: Part) -> TrainedOnce:
        """Train to the end of the configuration's budget and score the result on `part`."""
        started = time.perf_counter()
        run = TrainingRun(config, self.data, self._captures)
        run.open()
        for _ in run.reports():
            pass
        trained = run.trained()
        log_probs = predict(trained.model, self.data, part, views=config.views, precision=config.precision)
        accuracy = (log_probs.argmax(dim=1) == part.labels).float().mean().item()
        seconds = time.perf_counter() - started
        macs = multiply_accumulates(trained.model, self.data)
        return TrainedOnce(accuracy, trained.train_seconds, seconds, trained.images_seen, macs)
