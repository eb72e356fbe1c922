"""Search: claim trials, have children train them, prune, and store what they found. The database's only writer.

Trains nothing itself and prints nothing: an observer is told what happens.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any, Protocol

import optuna

from benchmark.errors import BenchError
from benchmark.records import ProgressRecord, TrialConfig, TrialRecord, TrialState
from benchmark.sampling import PerFamilyPruner, PerFamilySampler
from benchmark.seeds import derived_seed
from benchmark.space import Space
from benchmark.store import StudyStore
from benchmark.weights import WeightsFolder
from benchmark.workers import (
    Answer,
    Child,
    Failed,
    Finished,
    Job,
    Planned,
    Ready,
    WorkerSetup,
    start_child,
)

_POLL_SECONDS = 0.5
_RENEW_SECONDS = 10.0
_LEASE_LOST = "lost: its lease had ended"
_FAILURES_IN_A_ROW = 10
"""So many failed trials with no other between them mean that the study itself is wrong, not a configuration."""


class SearchObserver(Protocol):
    """Is told what a search does, in order."""

    def started(self, number: int, family: str, is_default: bool) -> None:
        """A trial was claimed and given to a worker."""

    def reported(self, number: int, reports: int, record: ProgressRecord) -> None:
        """A running trial reported."""

    def ended(self, number: int, state: TrialState, score: float | None, reason: str | None) -> None:
        """A trial ended; score is its last validation accuracy in [0, 1], if any."""

    def tick(self) -> None:
        """Called at least twice a second."""


@dataclass(frozen=True)
class SearchLimits:
    """When to stop: `trials` in total in the study, `timeout` seconds from now (None is no limit)."""

    trials: int
    timeout: float | None = None


@dataclass(frozen=True)
class SearchEnd:
    """Why a search ended: spent, timeout or interrupted."""

    why: str


@dataclass(eq=False)
class _Slot:
    """One worker's place: its child, and the trial that it runs, if any."""

    setup: WorkerSetup
    child: Child
    device: str = ""
    trial: optuna.Trial | None = None
    config: TrialConfig | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def idle(self) -> bool:
        return bool(self.device) and self.trial is None


class Search:
    """One process's search on one study, with its children."""

    def __init__(
        self,
        store: StudyStore,
        space: Space,
        setups: Sequence[WorkerSetup],
        observer: SearchObserver,
    ) -> None:
        spec = space.spec
        self._store = store
        self._space = space
        self._observer = observer
        self._sampler = PerFamilySampler(space, spec.search.sampler, spec.seed)
        store.study.sampler = self._sampler
        store.study.pruner = PerFamilyPruner(spec.search.pruner, spec.budget.reports, spec.search.prune_after)
        self._weights = WeightsFolder(store.location.folder / "weights")
        self._setups = setups
        self._slots: list[_Slot] = []
        self._stop_requested = False
        self._failures_in_a_row = 0
        self._durations: list[float] = []

    def run(self, limits: SearchLimits) -> SearchEnd:
        """Run trials until a limit is reached or Ctrl-C or SIGTERM comes; running trials are then ended at once.

        Raises BenchError where a worker cannot start, or trial after trial fails.
        """
        deadline = None if limits.timeout is None else time.monotonic() + limits.timeout
        with self._stopping_on_signals():
            self._slots = [_Slot(setup, start_child(setup)) for setup in self._setups]
            try:
                return self._loop(limits.trials, deadline)
            finally:
                for slot in self._slots:
                    self._abandon(slot)
                    slot.child.end()

    def _loop(self, total: int, deadline: float | None) -> SearchEnd:
        renewed, spent = time.monotonic(), False
        while (why := self._reason_to_end(spent, deadline)) is None:
            for slot in self._slots:
                if slot.idle and not spent and self._may_start(deadline):
                    spent = not self._start_trial(slot, total)
            for slot in self._heard_from():
                # A trial that fails gives its place to another one.
                spent = self._hear(slot) and spent
            if time.monotonic() - renewed > _RENEW_SECONDS:
                self._store.renew(slot.trial.number for slot in self._slots if slot.trial is not None)
                renewed = time.monotonic()
            self._observer.tick()
        return SearchEnd(why)

    def _reason_to_end(self, spent: bool, deadline: float | None) -> str | None:
        running = any(slot.trial is not None for slot in self._slots)
        if self._stop_requested:
            return "interrupted"
        if spent and not running:
            return "spent"
        if deadline is not None and time.monotonic() >= deadline:
            return "timeout"
        return None if running or self._may_start(deadline) else "timeout"

    def _may_start(self, deadline: float | None) -> bool:
        """Whether a trial that starts now can be expected to end in time."""
        return deadline is None or deadline - time.monotonic() > self._usual_duration()

    def _heard_from(self) -> list[_Slot]:
        """Slots whose child has said something or died, waiting for a moment at most."""
        by_source: dict[Any, _Slot] = {}
        for slot in self._slots:
            if slot.trial is not None or not slot.device:
                by_source |= {slot.child.connection: slot, slot.child.process.sentinel: slot}
        heard = wait(by_source, _POLL_SECONDS)
        return [slot for slot in self._slots if any(by_source[source] is slot for source in heard)]

    def _start_trial(self, slot: _Slot, total: int) -> bool:
        """Claim a trial and give it to the slot's child; False where the budget is spent."""

        def prepare(trial: optuna.Trial) -> None:
            slot.config = self._configure(trial)

        trial = self._store.claim(total, prepare)
        if trial is None:
            return False
        assert slot.config is not None
        slot.trial = trial
        slot.facts = {"device": slot.device, "seed": slot.config.seed}
        _tell(slot.child, Job(slot.config, self._weights.partial(trial.number)))
        self._observer.started(trial.number, trial.params["family"], bool(trial.user_attrs["default"]))
        return True

    def _configure(self, trial: optuna.Trial) -> TrialConfig:
        # Has the sampler decide about the trial: for a study of a single family, Optuna would not ask it before.
        _ = trial.relative_params
        family = trial.suggest_categorical("family", self._space.spec.families)
        trial.set_user_attr("default", self._sampler.is_default)
        seed = derived_seed(self._space.spec.seed, "training", trial.number)
        return self._space.configure(family, suggest_from(trial), seed)

    def _hear(self, slot: _Slot) -> bool:
        """Handle what a child says; False where a trial failed."""
        try:
            if not slot.child.connection.poll():
                return self._replace(slot)
            answer: Answer = slot.child.connection.recv()
        except (EOFError, OSError):
            # OSError: it died in the middle of a message.
            return self._replace(slot)
        if isinstance(answer, Ready):
            slot.device = answer.device
        elif isinstance(answer, Planned):
            slot.facts["images"] = answer.images
        elif isinstance(answer, ProgressRecord):
            self._progress(slot, answer)
        elif isinstance(answer, Finished):
            self._finish(slot, answer)
        elif isinstance(answer, Failed):
            self._fail(slot, answer.reason, {"traceback": answer.details})
            if answer.spoilt:
                slot.child.end()
                slot.child, slot.device = start_child(slot.setup), ""
            return False
        return True

    def _progress(self, slot: _Slot, record: ProgressRecord) -> None:
        trial, config = slot.trial, slot.config
        assert trial is not None
        assert config is not None
        try:
            trial.report(record.val_accuracy, record.step)
        except optuna.exceptions.UpdateFinishedTrialError:
            # Another process took this one for dead, after a pause longer than the lease, and gave its place away.
            _tell(slot.child, False)
            self._end(slot, TrialState.FAILED, None, _LEASE_LOST)
            return
        slot.facts.setdefault("curve", []).append(record)
        self._observer.reported(trial.number, config.reports, record)
        # Every pruner notes the value of every trial; a default trial is the row that search is compared with.
        prune = trial.should_prune() and record.step < config.reports and not trial.user_attrs["default"]
        _tell(slot.child, not prune)
        if prune:
            self._store.prune(trial, slot.facts)
            self._end(slot, TrialState.PRUNED, record.val_accuracy)

    def _finish(self, slot: _Slot, answer: Finished) -> None:
        trial = slot.trial
        assert trial is not None
        facts = slot.facts | {
            "cost": answer.cost,
            "best_step": answer.best_step,
            "images_seen": answer.images_seen,
            "evaluation_seconds": answer.evaluation_seconds,
        }
        self._weights.publish(trial.number)
        if self._store.complete(trial, answer.val_accuracy, answer.predictions, facts):
            self._end(slot, TrialState.COMPLETE, answer.val_accuracy)
        else:
            self._end(slot, TrialState.FAILED, None, _LEASE_LOST)
        trials = self._store.trials()
        # Weights of a running trial are another process's, on their way to being complete.
        running = [other.number for other in trials if other.state is TrialState.RUNNING]
        self._weights.keep_only([*best_trials(trials, self._space.spec.search.keep_weights), *running])

    def _fail(self, slot: _Slot, reason: str, facts: Mapping[str, Any]) -> None:
        assert slot.trial is not None
        self._store.fail(slot.trial, reason, {**slot.facts, **facts})
        self._weights.discard(slot.trial.number)
        self._end(slot, TrialState.FAILED, None, reason)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
            raise BenchError(f"{_FAILURES_IN_A_ROW} trials failed one after another, the last with: {reason}")

    def _end(self, slot: _Slot, state: TrialState, score: float | None, reason: str | None = None) -> None:
        assert slot.trial is not None
        if state is not TrialState.FAILED:
            self._failures_in_a_row = 0
        if state is TrialState.COMPLETE:
            self._durations.append(time.time() - _started_at(slot.trial))
        self._observer.ended(slot.trial.number, state, score, reason)
        slot.trial = None

    def _replace(self, slot: _Slot) -> bool:
        """The child is gone: fail its trial, and start another in its place."""
        # It has closed its connection but may still be ending; killed now, it would seem to have died of a signal.
        slot.child.process.join(timeout=_POLL_SECONDS)
        slot.child.end()
        if self._stop_requested:
            # A signal to the whole process group ended the child as well.
            self._abandon(slot)
            return False
        code = slot.child.process.exitcode
        ended = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        if not slot.device:
            raise BenchError(f"a worker could not start ({ended}); its messages are above")
        slot.child, slot.device = start_child(slot.setup), ""
        if slot.trial is None:
            return True
        self._fail(slot, f"killed: the worker process ended with {ended}", {})
        return False

    def _abandon(self, slot: _Slot) -> None:
        """The search ends: a running trial is given back, so that its place is free for the next search."""
        if slot.trial is None:
            return
        number = slot.trial.number
        slot.child.end()
        self._store.fail(slot.trial, "interrupted: the search was stopped", slot.facts | {"interrupted": True})
        self._weights.discard(number)
        self._end(slot, TrialState.FAILED, None, "interrupted: the search was stopped")

    def _usual_duration(self) -> float:
        """Seconds that a complete trial took so far, on average; 0 where none is known."""
        return sum(self._durations) / len(self._durations) if self._durations else 0.0

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        def request(*_: Any) -> None:
            self._stop_requested = True

        previous = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _tell(child: Child, message: object) -> None:
    """Send to a child. One that died meanwhile is noticed when it is listened to, and replaced there."""
    with suppress(BrokenPipeError, ConnectionResetError):
        child.connection.send(message)


def suggest_from(trial: optuna.Trial) -> Callable[[str, optuna.distributions.BaseDistribution], Any]:
    """The trial's suggest methods as one function of name and distribution."""

    def suggest(name: str, distribution: optuna.distributions.BaseDistribution) -> Any:
        if isinstance(distribution, optuna.distributions.CategoricalDistribution):
            return trial.suggest_categorical(name, distribution.choices)
        if isinstance(distribution, optuna.distributions.IntDistribution):
            return trial.suggest_int(
                name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
            )
        assert isinstance(distribution, optuna.distributions.FloatDistribution)
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )

    return suggest


def best_trials(trials: Sequence[TrialRecord], count: int) -> list[int]:
    """Numbers of the best complete trials by validation accuracy, best first; ties to the earlier."""
    complete = [trial for trial in trials if trial.val_accuracy is not None]
    complete.sort(key=lambda trial: (-(trial.val_accuracy or 0.0), trial.number))
    return [trial.number for trial in complete[:count]]


def _started_at(trial: optuna.Trial) -> float:
    started = trial.datetime_start
    return time.time() if started is None else started.timestamp()
