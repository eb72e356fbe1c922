"""One optimizer step of a run, and all that it moves; counts no steps and makes no report."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmark.architectures import ARCHITECTURES, DataInitialised
from benchmark.averaging import AVERAGINGS, Averaging
from benchmark.optimizers import OPTIMIZERS
from benchmark.records import TrialConfig
from benchmark.schedules import SCHEDULES, Schedule
from benchmark.training.capture import CapturedNetwork, Captures, Scoring
from benchmark.training.data import BatchStream, DeviceData
from benchmark.training.depthwise import start_at_once
from benchmark.training.device import DeviceChoice
from benchmark.training.growth import Growth, Size, resized

_STEPS_WORTH_CAPTURING = 50
_STEPS_WORTH_CHOOSING, _SECONDS_WORTH_CHOOSING = 3000, 30.0
"""Of a run on a GPU in which cuDNN's depthwise kernels make up for the time that it takes to choose them."""
_PREDICTED_PER_TRAINED = 2
"""Images that can be predicted, at the least, in the memory that one takes in training: no gradients are kept."""


class Stepper:
    """The network of a run with its batches, optimizers, schedule and average of weights, all moved step by step.

    With `captures`, of its worker, the passes of a CUDA device's networks are captured as graphs and kept for later
    runs; the network is then valid until the next run with the same ones.
    """

    def __init__(self, config: TrialConfig, data: DeviceData, captures: Captures | None = None) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self._data = data
        self.growth = Growth.of(data.image_shape, config.start_size)
        stream = BatchStream(data, config.augmentations, config.batch_size, config.seed)
        self.batch_size = stream.batch_size
        self._part_size = math.ceil(self.batch_size / config.accumulation)
        self._batches = stream
        self.model = _initialised(config, data)
        self._starts_at_once = self.is_on_gpu and self._is_short() and start_at_once(self.model)
        # A function of its own, not a method: what is captured outlives this run and must not hold it.
        scoring = partial(_scored, where=data.where, precision=config.precision)
        self._captured: CapturedNetwork | None = None
        if captures is not None and self._is_worth_capturing():
            self._captured = captures.network(self._shapes(), self.model, scoring)
            self.model = self._captured.model
        self._scoring: Scoring = partial(scoring, self.model)
        self._optimizers: tuple[Optimizer, ...] = OPTIMIZERS[config.optimizer.name].build(
            self.model, **config.optimizer.params
        )
        self._peak_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self._optimizers]
        self._schedule: Schedule = SCHEDULES[config.schedule.name].build(**config.schedule.params)
        self._averaging: Averaging = AVERAGINGS[config.averaging.name].build(self.model, **config.averaging.params)
        self.size: Size = self.growth.sizes[-1]
        """Of the images of the last step."""
        self.learning_rate = 0.0
        """Of the last step, of the last group."""

    @property
    def answering(self) -> nn.Module:
        """The network that predicts: the averaged one where there is an average."""
        return self._averaging.answering

    @property
    def largest_prediction(self) -> int | None:
        """The most images to predict at a time where memory was too short for a batch; else None."""
        return None if self._config.accumulation == 1 else _PREDICTED_PER_TRAINED * self._part_size

    @property
    def is_on_gpu(self) -> bool:
        """Whether its device is one."""
        return self._data.where.device.type == "cuda"

    def step(self, share: float, size: Size | None = None) -> Tensor:
        """One optimizer step at that share of the budget, on images of `size`, by default the one that belongs to it.

        Returns the batch's mean loss and its share of right answers (2,), left on the device.
        """
        self.size = self.growth.size(share) if size is None else size
        self._set_rates(self._schedule(share))
        images, targets = next(self._batches)
        outcome = self._backward(resized(images, self.size), targets)
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._config.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self._averaging.update(share)
        return outcome

    def state_dict(self) -> dict[str, Any]:
        """Everything that a step leaves behind, to go on exactly from there, but the device's random numbers."""
        return {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "averaging": self._averaging.state_dict(),
            "batches": self._batches.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the one that gave this state was."""
        self.model.load_state_dict(state["model"])
        for optimizer, held in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)
        self._averaging.load_state_dict(state["averaging"])
        self._batches.load_state_dict(state["batches"])

    def _backward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Add up the gradients of the batch's mean loss, in as many parts as are asked for; what `step` returns."""
        if self._config.label_smoothing:
            # Here and not in the loss, so that a captured network serves any amount of it.
            targets = smoothed(targets, self._config.label_smoothing)
        if self._captured is not None:
            return self._captured(images, targets)
        outcomes = []
        for start in range(0, self.batch_size, self._part_size):
            part = slice(start, start + self._part_size)
            loss, outcome = self._scoring(images[part], targets[part])
            if self._part_size < self.batch_size:
                share = len(targets[part]) / self.batch_size
                loss, outcome = loss * share, outcome * share
            loss.backward()  # type: ignore[no-untyped-call]
            outcomes.append(outcome)
        return outcomes[0] if len(outcomes) == 1 else torch.stack(outcomes).sum(dim=0)

    def _set_rates(self, multiplier: float) -> None:
        for optimizer, peaks in zip(self._optimizers, self._peak_rates, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * multiplier
        self.learning_rate = self._peak_rates[-1][0] * multiplier

    def _is_worth_capturing(self) -> bool:
        """Whether graphs pay within this run: on CUDA, unless it is over before they are made, or cannot be."""
        if not ARCHITECTURES[self._config.architecture.name].tags.get("captured", True):
            return False
        steps = self._steps_of_epochs()
        # A graph writes its gradients to the same memory each time: those of a batch's parts would not add up.
        in_one_part = self._config.accumulation == 1
        return self.is_on_gpu and (steps is None or steps >= _STEPS_WORTH_CAPTURING) and in_one_part

    def _is_short(self) -> bool:
        """Whether cuDNN is not to choose depthwise kernels; by the budget, not the clock: a run can be repeated."""
        steps, budget = self._steps_of_epochs(), self._config.budget
        if steps is not None:
            return steps < _STEPS_WORTH_CHOOSING
        # One that adapts has a deadline, in which nobody reckons with such a wait.
        return budget.adapts or (budget.seconds is not None and budget.seconds < _SECONDS_WORTH_CHOOSING)

    def _steps_of_epochs(self) -> float | None:
        """None of a budget in seconds."""
        epochs = self._config.budget.epochs
        return None if epochs is None else epochs * len(self._data.train) / self.batch_size

    def _shapes(self) -> str:
        """What determines every shape, type and kernel inside the passes."""
        return repr((self._config.architecture, self._part_size, self._config.precision, self._starts_at_once))


def _scored(
    model: nn.Module, images: Tensor, targets: Tensor, *, where: DeviceChoice, precision: str
) -> tuple[Tensor, Tensor]:
    """A Scoring, of a model in the given precision."""
    with where.autocast(precision, model):
        logits: Tensor = model(images)
    loss = functional.cross_entropy(logits.float(), targets)
    right = (logits.detach().argmax(dim=1) == targets.argmax(dim=1)).float().mean()
    return loss, torch.stack((loss.detach(), right))


def smoothed(targets: Tensor, amount: float) -> Tensor:
    """Soft targets (B, K) of which that share is spread over all classes alike.

    Source: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """
    return targets * (1 - amount) + amount / targets.shape[1]


def build_network(config: TrialConfig, data: DeviceData) -> nn.Module:
    """The configuration's network for these images, with fresh weights, on their device."""
    model: nn.Module = ARCHITECTURES[config.architecture.name].build(
        data.image_shape, data.num_classes, **config.architecture.params
    )
    return model.to(data.where.device).to(memory_format=torch.channels_last)


def build_to_answer(config: TrialConfig, data: DeviceData) -> nn.Module:
    """A network as build_network makes it, in evaluation mode, to be asked a few times: a GPU answers at once."""
    model = build_network(config, data).eval()
    if data.where.device.type == "cuda":
        start_at_once(model)
    return model


def _initialised(config: TrialConfig, data: DeviceData) -> nn.Module:
    model = build_network(config, data)
    if isinstance(model, DataInitialised):
        model.initialise_from(data.statistics(type(model).statistics_of))
    return model.train()
