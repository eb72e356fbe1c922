"""The training loop: one run from its first step to the weights of its best report; knows no search and no storage."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmark.architectures import ARCHITECTURES, DataInitialised
from benchmark.averaging import AVERAGINGS, Averaging
from benchmark.errors import BenchError
from benchmark.optimizers import OPTIMIZERS
from benchmark.records import ProgressRecord, TrialConfig
from benchmark.schedules import SCHEDULES, Schedule
from benchmark.training.capture import CapturedNetwork, Captures, Scoring
from benchmark.training.data import BATCHES_AT_ONCE, BatchStream, DeviceData
from benchmark.training.depthwise import start_at_once
from benchmark.training.device import DeviceChoice
from benchmark.training.growth import Growth, Size, resized
from benchmark.training.prediction import predict

_WARMUP_STEPS = 2
_TIMED_BLOCKS = 3
_SECONDS_PER_BLOCK = 100.0
"""Of a budget, for each timed block more: what three steps tell of half an hour was wrong by a sixth."""
_CLOCK_TICK = 1e-9
"""Seconds that pass at least, on a clock too coarse to notice."""
_OPENING_SHARE = 0.02
"""Share of the budget at which those steps count as done: about where they are, and past a warm-up's rate of 0."""
_SLOWEST_OPENING = 20
"""Times as long as usual that those steps may take on average."""
_STEPS_WORTH_CAPTURING = 50
_STEPS_WORTH_CHOOSING, _SECONDS_WORTH_CHOOSING = 3000, 30.0
"""Of a run on a GPU in which cuDNN's depthwise kernels make up for the time that it takes to choose them."""
_LOOKS = 32
"""Times that a run whose budget adapts looks at the clock: each time a GPU is waited for."""
_PREDICTED_PER_TRAINED = 2
"""Images that can be predicted, at the least, in the memory that one takes in training: no gradients are kept."""
_PROGRESS = (
    "images",
    "total_steps",
    "done",
    "reports_made",
    "train_seconds",
    "evaluation_seconds",
    "step_seconds",
    "looked",
    "looked_seconds",
)
"""Attributes of a run, without their underscore, that say how far it is."""


class DivergedError(Exception):
    """The training or validation loss is no longer a finite number."""

    def __init__(self, step: int, what: str = "training") -> None:
        super().__init__(f"diverged at step {step}: the {what} loss was not finite")


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained network with the weights of its best report, in evaluation mode."""

    model: nn.Module
    best_step: int
    """The report, from 1, that the weights are from."""
    images_seen: int
    images_planned: int
    """Those of the whole budget: more than were seen where it stopped early."""
    train_seconds: float
    """Seconds inside training steps, batches included; not evaluation. With a budget in seconds on a GPU, the first
    steps of every image size are not in them either: they choose, load and capture its kernels."""
    evaluation_seconds: float
    """Seconds inside the reports' evaluation."""


@dataclass(frozen=True, eq=False)
class _Best:
    """The best report so far, and a copy of its weights."""

    step: int
    accuracy: float
    loss: float
    weights: dict[str, Tensor]


class TrainingRun:
    """One run: model, optimizers, average of weights and batches, and where in the budget it is.

    With `captures`, of its worker, the passes of a CUDA device's networks are captured as graphs and kept for later
    runs; the network is then valid until the next run with the same ones.
    """

    def __init__(self, config: TrialConfig, data: DeviceData, captures: Captures | None = None) -> None:
        torch.manual_seed(config.seed)
        self._config = config
        self._data = data
        self._growth = Growth.of(data.image_shape, config.start_size)
        stream = BatchStream(data, config.augmentations, config.batch_size, config.seed)
        self.batch_size = stream.batch_size
        self._part_size = math.ceil(self.batch_size / config.accumulation)
        self._batches = stream
        self.model = _initialised(config, data)
        self._starts_at_once = self._is_on_gpu and self._is_short() and start_at_once(self.model)
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
        self._report_part = data.val.spread(config.report_share)
        self._size: Size = self._growth.sizes[-1]
        self._images = 0
        self._total_steps = 0
        self._done = 0
        self._outcomes: list[Tensor] = []
        self._reports_made = 0
        self._best: _Best | None = None
        self._train_seconds = 0.0
        self._prepared = 0
        self.preparing_seconds = 0.0
        """Seconds that a GPU's kernels took to be chosen, loaded and captured before the budget began."""
        self._evaluation_seconds = 0.0
        self._step_seconds = (0.0, 0.0)
        """Of one with the smallest and one with the largest images, in the opening."""
        self._timed: set[Size] = set()
        """Image sizes whose kernels are there, so that what a step of one takes is its speed."""
        self._looked = 0
        """The step after which the clock was looked at last, and what it said."""
        self._looked_seconds = 0.0
        self.learning_rate = 0.0

    @property
    def largest_prediction(self) -> int | None:
        """The most images to predict at a time where memory was too short for a batch; else None."""
        return None if self._config.accumulation == 1 else _PREDICTED_PER_TRAINED * self._part_size

    @property
    def answering(self) -> nn.Module:
        """The network that predicts: the averaged one where there is an average."""
        return self._averaging.answering

    @property
    def seconds(self) -> tuple[float, float]:
        """Seconds inside training steps, and inside the reports' evaluation, so far."""
        return self._train_seconds, self._evaluation_seconds

    @property
    def sees_full_size(self) -> bool:
        """Whether the last step saw images as large as they are: growing ones begin smaller."""
        return self._size == self._growth.sizes[-1]

    def open(self, images: int | None = None) -> int:
        """Fix the number of training images, from the budget where it is None, and return it.

        A budget in epochs is a product. One in seconds begins with a fixed number of steps early in the schedule, more
        of them in a longer one, and is divided by what they took; given the number that came out, the same run can be
        repeated exactly. On a GPU it begins when the kernels are there.
        """
        budget = self._config.budget
        if budget.seconds is not None and self._is_on_gpu:
            self._prepare()
        started = time.perf_counter()
        seconds_per_step = self._opening_steps() if budget.seconds is not None else 0.0
        # What is beyond that was a pause, as of Ctrl-Z, and would leave too little of the budget.
        longest = _SLOWEST_OPENING * self._done * max(self._step_seconds)
        self._train_seconds = min(time.perf_counter() - started, longest)
        self._looked, self._looked_seconds = self._done, self._train_seconds
        self._timed.update(self._growth.sizes)
        if images is None and budget.epochs is not None:
            images = max(1, round(budget.epochs * len(self._data.train)))
        elif images is None:
            assert budget.seconds is not None
            left = max(0.0, budget.seconds - self._train_seconds)
            images = (self._done + max(1, round(left / seconds_per_step))) * self.batch_size
        self._images = images
        self._total_steps = max(self._done + 1, round(images / self.batch_size))
        return images

    def reports(self) -> Iterator[ProgressRecord]:
        """Train to the end of the opened budget, yielding one record per report.

        Stops early after `config.patience` reports without a better one. Raises DivergedError where the loss is not
        finite.
        """
        reports = min(self._config.reports, self._total_steps)
        for report in range(self._reports_made + 1, reports + 1):
            if self._mark(report / reports) <= self._done:
                # A budget of a few steps, which the opening ones passed; or one that has become smaller.
                continue
            record = self._report(report, report / reports)
            if self.sees_full_size or report == reports:
                # Scores of smaller images compare with each other only, and these weights know no others.
                self._keep_if_best(report, record)
            yield record
            if self._best is not None and 0 < self._config.patience <= report - self._best.step:
                break

    def trained(self) -> TrainedModel:
        """What the reports came to, after the last of them: the network with the weights of the best in full size.

        The best has the highest accuracy, and of equal ones the lowest loss; where validation rows train as well, it is
        the last.
        """
        assert self._best is not None
        self.answering.load_state_dict(self._best.weights)
        return TrainedModel(
            self.answering.eval(),
            self._best.step,
            self._done * self.batch_size,
            self._images,
            self._train_seconds,
            self._evaluation_seconds,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that a report leaves behind, to go on exactly from there: tensors, numbers, words and dicts."""
        best = self._best
        return {
            "device": self._data.where.device.type,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self._optimizers],
            "averaging": self._averaging.state_dict(),
            "batches": self._batches.state_dict(),
            "random": self._data.where.random_state(),
            "best": None
            if best is None
            else {"step": best.step, "accuracy": best.accuracy, "loss": best.loss, "weights": best.weights},
            **{name: getattr(self, f"_{name}") for name in _PROGRESS},
        }

    def resume(self, state: Mapping[str, Any]) -> int:
        """Go on where the run that gave this state was, instead of opening; returns the number of training images.

        Raises BenchError, and changes nothing, where the state is that of another release, or of another kind of
        device: there the random numbers do not go on.
        """
        if missing := [name for name in ("device", *_PROGRESS) if name not in state]:
            raise BenchError(f"a checkpoint of another release, without {', '.join(missing)}")
        if state["device"] != self._data.where.device.type:
            raise BenchError(f"a checkpoint of a run on {state['device']}")
        self.model.load_state_dict(state["model"])
        for optimizer, held in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(held)
        self._averaging.load_state_dict(state["averaging"])
        self._batches.load_state_dict(state["batches"])
        self._data.where.set_random_state(state["random"])
        self._best = None if state["best"] is None else _Best(**state["best"])
        for name in _PROGRESS:
            setattr(self, f"_{name}", state[name])
        return self._images

    def step(self, share: float) -> Tensor:
        """One optimizer step at the given share of the budget; the batch's mean loss, left on the device."""
        return self._scheduled_step(share)[0]

    def validate(self) -> tuple[float, float]:
        """Accuracy in [0, 1] and log loss of the answering network on the validation rows that reports look at.

        They are seen as large as the training images of the moment: a network knows no other size yet.
        """
        part = self._report_part
        log_probs = predict(
            self.answering,
            self._data,
            part,
            views="one",
            precision=self._config.precision,
            size=self._size,
            largest_batch=self.largest_prediction,
        )
        accuracy = (log_probs.argmax(dim=1) == part.labels).float().mean()
        return accuracy.item(), functional.nll_loss(log_probs, part.labels).item()

    def _share_before(self, step: int) -> float:
        """The share of the budget spent before that step, from 0; where it is the only one, its middle.

        At the start of a schedule the rate may be 0.
        """
        return step / self._total_steps if self._total_steps > 1 else 0.5

    def _mark(self, share: float) -> int:
        """The step at which that share of the budget is spent, as it is planned now."""
        return round(self._total_steps * share)

    def _report(self, number: int, share: float) -> ProgressRecord:
        """Train up to that share of the budget and evaluate."""
        started = time.perf_counter()
        seconds_before = self._train_seconds if self._reports_made else 0.0
        until = self._done
        while until < self._mark(share):
            self._outcomes.append(self._scheduled_step(self._share_before(until)))
            until += 1
            if self._config.budget.adapts and until - self._looked >= self._total_steps / _LOOKS:
                self._plan_anew(until, started)
        # The only place where the host waits for the device.
        losses, right = torch.stack(self._outcomes, dim=1).tolist()
        self._train_seconds += time.perf_counter() - started
        self._outcomes.clear()
        # Those of the opening are among them.
        reported = until - len(losses)
        for step, loss in enumerate(losses, reported + 1):
            if not math.isfinite(loss):
                raise DivergedError(step)
        self._done = until
        started = time.perf_counter()
        val_accuracy, val_loss = self.validate()
        self._evaluation_seconds += time.perf_counter() - started
        if not math.isfinite(val_loss):
            raise DivergedError(until, "validation")
        record = ProgressRecord(
            step=number,
            images_seen=until * self.batch_size,
            train_loss=statistics.fmean(losses),
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=self.learning_rate,
            train_seconds=self._train_seconds,
            evaluation_seconds=self._evaluation_seconds,
            images_per_second=(until - max(reported, self._prepared))
            * self.batch_size
            / max(self._train_seconds - seconds_before, _CLOCK_TICK),
            train_accuracy=statistics.fmean(right),
        )
        self._reports_made = number
        return record

    def _plan_anew(self, step: int, started: float) -> None:
        """Fix the number of steps again, before that one: from what is left of the seconds, and the last steps' speed.

        `started` is when the report's training began.
        """
        assert self._config.budget.seconds is not None
        self._data.where.synchronise()
        seconds = self._train_seconds + time.perf_counter() - started
        # Images grow, so that speed is told from what such steps took in the opening.
        since, now = self._looked / self._total_steps, step / self._total_steps
        expected = (step - self._looked) * self._growth.mean_seconds(*self._step_seconds, since, now)
        slowness = (seconds - self._looked_seconds) / max(expected, _CLOCK_TICK)
        self._looked, self._looked_seconds = step, seconds
        # A run that goes on after a break loads its kernels again: that is no slowness.
        is_telling = self._size in self._timed
        self._timed.add(self._size)
        if step < self._total_steps and is_telling:
            to_come = slowness * self._growth.mean_seconds(*self._step_seconds, now)
            self._total_steps = step + max(1, round((self._config.budget.seconds - seconds) / to_come))
            self._images = self._total_steps * self.batch_size

    def _keep_if_best(self, report: int, record: ProgressRecord) -> None:
        score = (record.val_accuracy, -record.val_loss)
        is_best = self._best is None or score > (self._best.accuracy, -self._best.loss)
        if is_best or self._data.val_trains:
            weights = {name: value.clone() for name, value in self.answering.state_dict().items()}
            self._best = _Best(report, record.val_accuracy, record.val_loss, weights)

    def _opening_steps(self) -> float:
        """Train a few steps, at the smallest and the largest image size; seconds per step over the budget."""
        sizes = list(dict.fromkeys((self._growth.sizes[0], self._growth.sizes[-1])))
        seconds = [self._seconds_per_step(size) for size in sizes]
        self._step_seconds = (seconds[0], seconds[-1])
        return self._growth.mean_seconds(*self._step_seconds)

    def _prepare(self) -> None:
        """Have a GPU's kernels chosen, loaded and captured for every image size, which can take it ten seconds.

        It does so once per worker and shape. These steps are in every run, so that it can be repeated; they train like
        any others, and their time does not count. Of the first size there are two: what Muon replays is captured in the
        second step of a run.
        """
        for number, size in enumerate(dict.fromkeys(self._growth.sizes)):
            self.preparing_seconds += self._open_with(1 if number else _WARMUP_STEPS, size)
        self._prepared = self._done

    def _seconds_per_step(self, size: Size) -> float:
        if not self._prepared:
            self._open_with(_WARMUP_STEPS, size)
        # A GPU is not to be waited for after every step; on a crowded one more would be most of a short budget.
        block = BATCHES_AT_ONCE[self._data.where.device.type]
        # By the budget and not by the clock: a repeated run has as many. One that adapts will look at the clock again.
        budget = self._config.budget
        more = 0.0 if budget.adapts else (budget.seconds or 0.0) / _SECONDS_PER_BLOCK
        blocks = _TIMED_BLOCKS + int(more)
        return statistics.median(self._open_with(block, size) / block for _ in range(blocks))

    def _open_with(self, steps: int, size: Size) -> float:
        """Train `steps` opening steps; seconds."""
        self._data.where.synchronise()
        started = time.perf_counter()
        for _ in range(steps):
            self._outcomes.append(self._step(_OPENING_SHARE, size))
        self._data.where.synchronise()
        self._done += steps
        return time.perf_counter() - started

    def _scheduled_step(self, share: float) -> Tensor:
        return self._step(share, self._growth.size(share))

    def _step(self, share: float, size: Size) -> Tensor:
        """One optimizer step; the batch's mean loss and its share of right answers (2,), left on the device."""
        self._size = size
        self._set_rates(self._schedule(share))
        images, targets = next(self._batches)
        outcome = self._backward(resized(images, size), targets)
        if self._config.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self._config.clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self._averaging.update(share)
        return outcome

    def _backward(self, images: Tensor, targets: Tensor) -> Tensor:
        """Add up the gradients of the batch's mean loss, in as many parts as are asked for; what `_step` returns."""
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

    @property
    def _is_on_gpu(self) -> bool:
        return self._data.where.device.type == "cuda"

    def _is_worth_capturing(self) -> bool:
        """Whether graphs pay within this run: on CUDA, unless it is over before they are made, or cannot be."""
        if not ARCHITECTURES[self._config.architecture.name].tags.get("captured", True):
            return False
        steps = self._steps_of_epochs()
        # A graph writes its gradients to the same memory each time: those of a batch's parts would not add up.
        in_one_part = self._config.accumulation == 1
        return self._is_on_gpu and (steps is None or steps >= _STEPS_WORTH_CAPTURING) and in_one_part

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
