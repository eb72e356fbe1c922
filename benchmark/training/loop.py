"""The training loop: one run from its first step to the weights of its best report; knows no search and no storage."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import BenchError
from benchmark.records import ProgressRecord, TrialConfig
from benchmark.training.capture import Captures
from benchmark.training.data import BATCHES_AT_ONCE, DeviceData
from benchmark.training.growth import Size
from benchmark.training.prediction import predict
from benchmark.training.stepper import Stepper

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
_LOOKS = 32
"""Times that a run whose budget adapts looks at the clock: each time a GPU is waited for."""
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
    """One run: its network and all that steps move (see Stepper), and where in the budget it is."""

    def __init__(self, config: TrialConfig, data: DeviceData, captures: Captures | None = None) -> None:
        self.stepper = Stepper(config, data, captures)
        self._config = config
        self._data = data
        self._report_part = data.val.spread(config.report_share)
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
        self._planned_steps: int | None = None
        """Of a run that is repeated; None of one that is opened by its budget."""
        self._opened: list[float] = []
        """Seconds per step of every opening block so far."""
        self._step_seconds = (0.0, 0.0)
        """Of one with the smallest and one with the largest images, in the opening."""
        self._timed: set[Size] = set()
        """Image sizes whose kernels are there, so that what a step of one takes is its speed."""
        self._looked = 0
        """The step after which the clock was looked at last, and what it said."""
        self._looked_seconds = 0.0

    @property
    def seconds(self) -> tuple[float, float]:
        """Seconds inside training steps, and inside the reports' evaluation, so far."""
        return self._train_seconds, self._evaluation_seconds

    @property
    def sees_full_size(self) -> bool:
        """Whether the last step saw images as large as they are: growing ones begin smaller."""
        return self.stepper.size == self.stepper.growth.sizes[-1]

    def open(self, images: int | None = None) -> int:
        """Fix the number of training images, from the budget where it is None, and return it.

        A budget in epochs is a product. One in seconds begins with a number of steps early in the schedule, more of
        them in a longer one and fewer where they are all of it, and is divided by what they took; given the number that
        came out, the same run can be repeated exactly. On a GPU it begins when the kernels are there.
        """
        budget = self._config.budget
        self._planned_steps = None if images is None else round(images / self.stepper.batch_size)
        if budget.seconds is not None and self.stepper.is_on_gpu:
            self._prepare()
        started = time.perf_counter()
        seconds_per_step = self._opening_steps() if budget.seconds is not None else 0.0
        # What is beyond that was a pause, as of Ctrl-Z, and would leave too little of the budget.
        longest = _SLOWEST_OPENING * self._done * max(self._step_seconds)
        self._train_seconds = min(time.perf_counter() - started, longest)
        self._looked, self._looked_seconds = self._done, self._train_seconds
        self._timed.update(self.stepper.growth.sizes)
        if images is None and budget.epochs is not None:
            images = max(1, round(budget.epochs * len(self._data.train)))
        elif images is None:
            assert budget.seconds is not None
            left = max(0.0, budget.seconds - self._train_seconds)
            images = (self._done + max(1, round(left / seconds_per_step))) * self.stepper.batch_size
        self._images = images
        self._total_steps = max(self._done + 1, round(images / self.stepper.batch_size))
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
        self.stepper.answering.load_state_dict(self._best.weights)
        return TrainedModel(
            self.stepper.answering.eval(),
            self._best.step,
            self._done * self.stepper.batch_size,
            self._images,
            self._train_seconds,
            self._evaluation_seconds,
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that a report leaves behind, to go on exactly from there: tensors, numbers, words and dicts."""
        best = self._best
        return {
            "device": self._data.where.device.type,
            **self.stepper.state_dict(),
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
        self.stepper.load_state_dict(state)
        self._data.where.set_random_state(state["random"])
        self._best = None if state["best"] is None else _Best(**state["best"])
        for name in _PROGRESS:
            setattr(self, f"_{name}", state[name])
        return self._images

    def validate(self) -> tuple[float, float]:
        """Accuracy in [0, 1] and log loss of the answering network on the validation rows that reports look at.

        They are seen as large as the training images of the moment: a network knows no other size yet.
        """
        part = self._report_part
        log_probs = predict(
            self.stepper.answering,
            self._data,
            part,
            views="one",
            precision=self._config.precision,
            size=self.stepper.size,
            largest_batch=self.stepper.largest_prediction,
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
            self._outcomes.append(self.stepper.step(self._share_before(until)))
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
            images_seen=until * self.stepper.batch_size,
            train_loss=statistics.fmean(losses),
            val_loss=val_loss,
            val_accuracy=val_accuracy,
            learning_rate=self.stepper.learning_rate,
            train_seconds=self._train_seconds,
            evaluation_seconds=self._evaluation_seconds,
            images_per_second=(until - max(reported, self._prepared))
            * self.stepper.batch_size
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
        expected = (step - self._looked) * self.stepper.growth.mean_seconds(*self._step_seconds, since, now)
        slowness = (seconds - self._looked_seconds) / max(expected, _CLOCK_TICK)
        self._looked, self._looked_seconds = step, seconds
        # A run that goes on after a break loads its kernels again: that is no slowness.
        is_telling = self.stepper.size in self._timed
        self._timed.add(self.stepper.size)
        if step < self._total_steps and is_telling:
            to_come = slowness * self.stepper.growth.mean_seconds(*self._step_seconds, now)
            self._total_steps = step + max(1, round((self._config.budget.seconds - seconds) / to_come))
            self._images = self._total_steps * self.stepper.batch_size

    def _keep_if_best(self, report: int, record: ProgressRecord) -> None:
        score = (record.val_accuracy, -record.val_loss)
        is_best = self._best is None or score > (self._best.accuracy, -self._best.loss)
        if is_best or self._data.val_trains:
            weights = {name: value.clone() for name, value in self.stepper.answering.state_dict().items()}
            self._best = _Best(report, record.val_accuracy, record.val_loss, weights)

    def _opening_steps(self) -> float:
        """Train a few steps, at the smallest and the largest image size; seconds per step over the budget."""
        sizes = list(dict.fromkeys((self.stepper.growth.sizes[0], self.stepper.growth.sizes[-1])))
        seconds = [self._seconds_per_step(size) for size in sizes]
        self._step_seconds = (seconds[0], seconds[-1])
        return self.stepper.growth.mean_seconds(*self._step_seconds)

    def _prepare(self) -> None:
        """Have a GPU's kernels chosen, loaded and captured for every image size, which can take it ten seconds.

        It does so once per worker and shape. These steps are in every run, so that it can be repeated; they train like
        any others, and their time does not count. Of the first size there are two: what Muon replays is captured in the
        second step of a run.
        """
        for number, size in enumerate(dict.fromkeys(self.stepper.growth.sizes)):
            self.preparing_seconds += self._open_with(1 if number else _WARMUP_STEPS, size)
        self._prepared = self._done

    def _seconds_per_step(self, size: Size) -> float:
        """What a step takes, from opening blocks of that size; from earlier ones where the budget is spent by them."""
        # A GPU is not to be waited for after every step; on a crowded one more would be most of a short budget.
        block = BATCHES_AT_ONCE[self._data.where.device.type]
        # By the budget and not by the clock: a repeated run has as many. One that adapts will look at the clock again.
        budget = self._config.budget
        more = 0.0 if budget.adapts else (budget.seconds or 0.0) / _SECONDS_PER_BLOCK
        warmup = [] if self._prepared else [1] * _WARMUP_STEPS
        timed = []
        for steps in (*warmup, *[block] * (_TIMED_BLOCKS + int(more))):
            if self._is_spent_by_opening():
                break
            timed.append(self._open_with(steps, size) / steps)
            self._opened.append(timed[-1])
        return statistics.median(timed[len(warmup) :] or self._opened or [0.0])

    def _is_spent_by_opening(self) -> bool:
        """Whether opening steps alone are all of the budget: as of large images, where a step takes ten seconds.

        By the fastest of two blocks at the least: a pause, as of Ctrl-Z, makes one slow. A repeated run has as many.
        """
        if self._planned_steps is not None:
            return self._done >= self._planned_steps - 1
        seconds = self._config.budget.seconds
        return (
            seconds is not None
            and len(self._opened) > 1
            and min(self._opened) * (self._done - self._prepared) >= seconds
        )

    def _open_with(self, steps: int, size: Size) -> float:
        """Train `steps` opening steps; seconds."""
        self._data.where.synchronise()
        started = time.perf_counter()
        for _ in range(steps):
            self._outcomes.append(self.stepper.step(_OPENING_SHARE, size))
        self._data.where.synchronise()
        self._done += steps
        return time.perf_counter() - started
