"""The training loop: a generator over reports that knows no search and no storage."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmark.architectures import ARCHITECTURES, DataInitialised
from benchmark.optimizers import OPTIMIZERS
from benchmark.records import ProgressRecord, TrialConfig
from benchmark.schedules import SCHEDULES, Schedule
from benchmark.training.data import BatchStream, DeviceData
from benchmark.training.prediction import predict

_INITIALISING_IMAGES = 5000
_WARMUP_STEPS = 2
_TIMED_STEPS = 5
_TIMED_SHARE = 0.03
"""At most this share of a budget in seconds goes into measuring how many images it buys (but three steps at least)."""


class DivergedError(Exception):
    """The training or validation loss is no longer a finite number."""

    def __init__(self, step: int) -> None:
        super().__init__(f"diverged: the loss was not finite by step {step}")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained network with the weights of its best report, in evaluation mode."""

    model: nn.Module
    best_step: int
    """The report, from 1, that the weights are from."""
    images_seen: int
    train_seconds: float
    """Seconds inside training steps, batches included; evaluation is not."""


def planned_images(config: TrialConfig, data: DeviceData) -> int:
    """The number of training images that the configuration's budget buys.

    A budget in epochs is a product. One in seconds is divided by the median time of a few steps on this machine, taken
    on a throw-away model, so that the training run that follows is exact and can be repeated with the number.
    """
    if config.budget.epochs is not None:
        return max(1, round(config.budget.epochs * len(data.train)))
    assert config.budget.seconds is not None
    run = _Run(config, data)
    for _ in range(_WARMUP_STEPS):
        run.step(share=0.0)
    data.where.synchronise()
    times: list[float] = []
    while len(times) < _TIMED_STEPS and (len(times) < 3 or sum(times) < config.budget.seconds * _TIMED_SHARE):
        started = time.perf_counter()
        run.step(share=0.0)
        data.where.synchronise()
        times.append(time.perf_counter() - started)
    return max(1, round(config.budget.seconds / statistics.median(times) * run.batch_size))


def train(config: TrialConfig, data: DeviceData, images: int) -> Generator[ProgressRecord, None, TrainedModel]:
    """Train on about `images` training images (rounded to whole batches, at least one), reporting on validation.

    Yields one record per report; returns the model with the weights of the best report (accuracy, then loss). Stops
    early after `config.patience` reports without a better one. Raises DivergedError where the loss is not finite.
    """
    run = _Run(config, data)
    total_steps = max(1, round(images / run.batch_size))
    reports = min(config.reports, total_steps)
    best: tuple[float, float] | None = None
    best_step, best_state = 0, {}
    train_seconds, done = 0.0, 0
    for report in range(1, reports + 1):
        until = round(total_steps * report / reports)
        started = time.perf_counter()
        loss_sum = torch.zeros((), device=data.where.device)
        for step in range(done, until):
            loss_sum += run.step(share=step / total_steps)
        train_loss = loss_sum.item() / (until - done)
        elapsed = time.perf_counter() - started
        val_accuracy, val_loss = run.validate()
        if not (math.isfinite(train_loss) and math.isfinite(val_loss)):
            raise DivergedError(until)
        images_seen = (until - done) * run.batch_size
        train_seconds += elapsed
        done = until
        yield ProgressRecord(
            step=report,
            images_seen=done * run.batch_size,
            train_loss=train_loss,
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=run.learning_rate,
            train_seconds=train_seconds,
            images_per_second=images_seen / elapsed,
        )
        if best is None or (val_accuracy, -val_loss) > best:
            best, best_step = (val_accuracy, -val_loss), report
            best_state = {name: value.clone() for name, value in run.answering.state_dict().items()}
        elif config.patience and report - best_step >= config.patience:
            break
    assert best is not None
    run.answering.load_state_dict(best_state)
    return TrainedModel(run.answering.eval(), best_step, done * run.batch_size, train_seconds)


class _Run:
    """The mutable state of one run: model, optimizers, average of weights, batches."""

    def __init__(self, config: TrialConfig, data: DeviceData) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self._data = data
        self.model = _build(config, data)
        self._optimizers: tuple[Optimizer, ...] = OPTIMIZERS[config.optimizer.name].build(
            self.model, **config.optimizer.params
        )
        self._peak_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers]
        self._schedule: Schedule = SCHEDULES[config.schedule.name].build(**config.schedule.params)
        self._average: AveragedModel | None = None
        if config.ema_decay:
            average = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
            self._average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True)
        self._report_part = data.val.spread(config.report_share)
        stream = BatchStream(data, config.augmentations, config.batch_size, config.seed)
        self.batch_size = stream.batch_size
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(stream)
        self.learning_rate = 0.0

    @property
    def answering(self) -> nn.Module:
        """The network that predicts: the averaged one where there is an average."""
        return self.model if self._average is None else self._average.module

    def step(self, share: float) -> Tensor:
        """One optimizer step at the given share of the budget; the batch's mean loss, left on the device."""
        self._set_rates(self._schedule(share))
        images, targets = next(self._batches)
        with self._data.where.autocast(self._config.precision, self.model):
            logits = self.model(images)
        loss = functional.cross_entropy(logits.float(), targets, label_smoothing=self._config.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._config.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        if self._average is not None:
            self._average.update_parameters(self.model)
        return loss.detach()

    def validate(self) -> tuple[float, float]:
        """Accuracy in [0, 1] and log loss of the answering network on the validation rows that reports look at."""
        part = self._report_part
        log_probs = predict(self.answering, self._data, part, mirror=False, precision=self._config.precision)
        accuracy = (log_probs.argmax(dim=1) == part.labels).float().mean()
        return accuracy.item(), functional.nll_loss(log_probs, part.labels).item()

    def _set_rates(self, multiplier: float) -> None:
        for optimizer, peaks in zip(self._optimizers, self._peak_rates, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * multiplier
        self.learning_rate = self._peak_rates[-1][0] * multiplier


def _build(config: TrialConfig, data: DeviceData) -> nn.Module:
    model: nn.Module = ARCHITECTURES[config.architecture.name].build(
        data.image_shape, data.num_classes, **config.architecture.params
    )
    model = model.to(data.where.device).to(memory_format=torch.channels_last)
    if isinstance(model, DataInitialised):
        model.initialise_from(data.normalise(data.train.pixels[:_INITIALISING_IMAGES]))
    return model.train()
