"""One process's part in a search: it claims trials, has its children train them, and stores what they say."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from typing import Any

import optuna

from benchmark.artifacts import Place
from benchmark.errors import BenchError
from benchmark.metrics import accuracy
from benchmark.processes import Handler, hearing
from benchmark.records import (
    PlannedRun,
    ProgressRecord,
    RunPlan,
    Split,
    TrialConfig,
    TrialRecord,
    TrialState,
    as_jsonable,
    count_complete,
)
from benchmark.sampling import PerFamilyPruner, PerFamilySampler
from benchmark.search.keeping import FileKeeper
from benchmark.search.observer import Ending, SearchLimits, SearchObserver
from benchmark.search.suggesting import configure
from benchmark.space import Space
from benchmark.store import Checkpoint, Claim, NoTrial, StudyStore, impatiently
from benchmark.workers import (
    Answer,
    Child,
    Failed,
    FailureKind,
    Finished,
    Job,
    Noted,
    Planned,
    Ready,
    Saved,
    WorkerSetup,
    memory_limit,
    start_child,
)

_POLL_SECONDS = 0.5
_RENEW_SECONDS = 10.0
_PAUSE_SECONDS = 30.0
"""So long between two looks at the clock it was stopped, or waited for a database: no trial's time limit runs then."""
_CONTINUED_SECONDS = 0.1
"""Of two signals that are handled together, the one to continue may come first though it was sent last."""
_SLEPT_SECONDS, _WAKING_SECONDS = 10.0, 2.0
"""Where one clock has moved so much more than the other, the machine slept: every search on it is then to renew its
leases before any looks for lost ones."""
_CLAIM_AGAIN_SECONDS = 2.0
"""Pause between two looks for a free place while every one is taken."""
_LEASE_LOST = "lost: its lease had ended"
_STOPPED = "interrupted: the search was stopped"
_FAILURES_IN_A_ROW = 10
"""So many failed trials with no other between them mean that the study itself is wrong, not a configuration. Where many
train at once it takes more: while the others still train, a family that fails at once has one after another."""
_GRACE = 0.5
"""Of what the first complete trial took, that others have to end, where the search had waited for it."""
_STARTS = 5
"""Attempts to start a child that ends each time, as where memory is short."""
_SMALLEST_PART = 8
"""Images that pass the network at a time when memory is short: below that, a batch is not divided further."""


@dataclass(eq=False)
class _Work:
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


@dataclass(eq=False)
class _Slot:
    """One worker's place: its child, what is known of that child, and the trial that it runs, if any."""

    setup: WorkerSetup
    child: Child
    device: str | None = None
    """What the child has called its device; None until it was ready for the first time."""
    is_ready: bool = False
    """Whether the child waits for a job."""
    families: set[str] = field(default_factory=set)
    """What the child has trained: on a GPU it has loaded their kernels."""
    work: _Work | None = None
    failed_starts: int = 0
    """Children in a row that ended before they were ready."""
    has_started: bool = False
    """Whether any child of it ever was ready."""


class Search:
    """One process's search on one study, with its children."""

    def __init__(
        self,
        store: StudyStore,
        space: Space,
        setups: Sequence[WorkerSetup],
        place: Place,
        observer: SearchObserver,
        plan: RunPlan | None = None,
    ) -> None:
        """`plan`: the runs to train, and no others; without one, trials are sampled."""
        spec = space.spec
        self._store = store
        self._queue = store.queue
        self._space = space
        self._observer = observer
        self._plan = plan
        self._sampler = PerFamilySampler(space, spec.search.sampler, spec.seed)
        store.study.sampler = self._sampler
        self._pruner = PerFamilyPruner(spec.search.pruner, spec.budget.reports, spec.search.prune_after)
        store.study.pruner = self._pruner
        self._keeper = FileKeeper(store, place, spec.search)
        fingerprint, division = store.fact("fingerprint"), store.fact("split_digest")
        digests = None if fingerprint is None or division is None else (fingerprint, division)
        self._setups = [replace(setup, place=place, digests=digests) for setup in setups]
        self._time_limit = spec.trial_timeout
        self._memory_limit = memory_limit(spec.search.worker_memory, len(setups))
        self._slots: list[_Slot] = []
        self._stop_requested = False
        self._pause_requested = False
        self._continued = -math.inf
        self._failures_in_a_row = 0
        self._durations: list[float] = []
        """Of the complete trials of this process."""
        self._first_complete = math.inf
        """When the first of them was, by the monotonic clock."""
        self._known: list[TrialRecord] = []
        """The study's trials when one of this process ended last."""
        self._limits = SearchLimits()
        self._began = 0.0
        self._is_spent = False
        self._has_ended = False
        """Whether a trial ended since the standing was told."""
        self._claim_from = 0.0
        self._awake_from = 0.0
        self._renewed = _clocks()
        self._looked = time.monotonic()
        """When it looked last whether trials take too long."""
        self._until: float | None = None
        """When it ends, by the monotonic clock, as far as that is known."""
        self._spare: float | None = None
        """Seconds between the end of a planned run's training and that: known from the first one."""

    def run(self, limits: SearchLimits) -> Ending:
        """Run trials until a limit is reached or a signal to end comes; running trials are then ended at once.

        Such signals are SIGINT (Ctrl-C), SIGTERM and SIGHUP, where they are not ignored.
        Raises BenchError where no worker can start, the disk is full, or trial after trial fails.
        """
        self._limits, self._began = limits, time.monotonic()
        with self._stopping_on_signals():
            self._known = self._keeper.tidy()
            try:
                for setup in self._setups:
                    self._slots.append(_Slot(setup, start_child(setup)))
                end = self._loop()
            except BaseException as error:
                self._end_children()
                # The error counts, not what it makes impossible: a trial that cannot be given back is lost in time.
                with suppress(Exception):
                    self._give_back(at_once=isinstance(error, KeyboardInterrupt))
                raise
            self._end_children()
            self._give_back()
            # A signal may come when the last trial has ended: who sent it wants nothing to follow.
            return "interrupted" if self._stop_requested else end

    @property
    def workers(self) -> int:
        """How many there are: fewer than at first where one did not start."""
        return len(self._slots)

    @property
    def was_stopped(self) -> bool:
        """Whether a signal to end came."""
        return self._stop_requested

    def _loop(self) -> Ending:
        self._renewed, self._looked = _clocks(), time.monotonic()
        self._tell_standing(self._known)
        while True:
            self._until = self._deadline()
            if (why := self._reason_to_end()) is not None:
                break
            if self._pause_requested:
                self._pause()
            self._start_trials()
            for slot in self._heard_from():
                self._hear(slot)
            self._end_hung()
            self._renew_in_time()
            if self._has_ended:
                self._has_ended, self._known = False, self._keeper.tidy()
                self._tell_standing(self._known)
            self._observer.tick()
        self._tell_standing(self._store.trials())
        return why

    def _deadline(self) -> float | None:
        """When it ends; later while no trial of this process is complete, where the limits say so, and then soon."""
        if self._limits.timeout is None:
            return None
        planned, latest = self._began + self._limits.timeout, self._began + self._limits.first_within
        if not self._durations:
            return max(planned, latest)
        if self._first_complete <= planned:
            return planned
        # Others began when it did, and would be lost a moment before their end.
        return max(planned, min(self._first_complete + _GRACE * self._durations[0], latest))

    def _reason_to_end(self) -> Ending | None:
        running = any(slot.work is not None for slot in self._slots)
        if self._stop_requested:
            return "interrupted"
        if self._is_spent and not running:
            return "spent"
        if self._until is not None and time.monotonic() >= self._until:
            return "timeout"
        return None if running or self._may_start() else "timeout"

    def _may_start(self) -> bool:
        """Whether a trial that starts now can be expected to end in time."""
        if self._is_too_late():
            return False
        return self._until is None or self._until - time.monotonic() > self._usual_duration()

    def _is_too_late(self) -> bool:
        """Whether a planned run that begins now would have less than half of its seconds: it would be another run.

        Not so where one may go on from a checkpoint.
        """
        budget = self._space.spec.budget
        if self._plan is None or not budget.adapts or self._until is None or self._spare is None:
            return False
        if count_complete(self._known) >= len(self._plan.runs):
            return False
        assert budget.seconds is not None
        left = self._until - time.monotonic() - self._spare
        return left < budget.seconds / 2 and not any(trial.interrupted for trial in self._known)

    def _pause(self) -> None:
        """Ctrl-Z: stop here, where no lock is held that others wait for, until the shell continues the process.

        The children stop with it. Where no shell is there to continue it, the system lets it go on.
        """
        self._pause_requested = False
        paused = time.monotonic()
        handler = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            for slot in self._slots:
                slot.child.send_signal(signal.SIGSTOP)
            signal.raise_signal(signal.SIGTSTP)
        finally:
            for slot in self._slots:
                slot.child.send_signal(signal.SIGCONT)
            signal.signal(signal.SIGTSTP, handler)
        self._lengthen(time.monotonic() - paused)
        self._looked = time.monotonic()

    def _lengthen(self, seconds: float) -> None:
        """Give running trials so many seconds more until their time limit."""
        for slot in self._slots:
            if slot.work is not None:
                slot.work.started = min(slot.work.started + seconds, time.monotonic())

    def _heard_from(self) -> list[_Slot]:
        """Slots whose child has said something or died, waiting for a moment at most.

        Who dies closes its end of the connection. Its sentinel says no more, and less where the server that it was
        forked from has died: then it looks dead.
        """
        heard = wait([slot.child.connection for slot in self._slots], _POLL_SECONDS)
        return [slot for slot in self._slots if slot.child.connection in heard]

    def _start_trials(self) -> None:
        """Give work to workers that wait for it."""
        for slot in self._slots:
            # A claim may take as long as a server is away.
            self._renew_in_time()
            if slot.is_ready and slot.work is not None:
                self._send_job(slot, slot.work)
            elif slot.is_ready and not self._is_spent and self._may_start():
                if time.monotonic() < max(self._claim_from, self._awake_from):
                    continue
                refused = self._claim(slot)
                if refused is NoTrial.SPENT:
                    self._is_spent = True
                elif refused is NoTrial.TAKEN:
                    self._claim_from = time.monotonic() + _CLAIM_AGAIN_SECONDS
                    if all(other.work is None for other in self._slots):
                        self._observer.waiting()
                        self._tell_standing(self._store.trials())

    def _claim(self, slot: _Slot) -> NoTrial | None:
        """Claim a trial and give it to the slot's child; why there is none."""
        configs: list[TrialConfig] = []

        def prepare(claim: Claim) -> None:
            configs.append(configure(claim, self._space, self._sampler))
            checkpoint = _fitting(claim.checkpoint, slot)
            for step, value in [] if checkpoint is None else checkpoint.values:
                claim.trial.report(value, step)
                # A pruner notes the value of a rung when it is asked; the verdict was there before.
                claim.trial.should_prune()

        self._sampler.preferred = slot.families if slot.setup.kind == "cuda" else ()
        claim = self._queue.claim(self._total(), prepare, None if self._plan is None else self._plan.runs)
        if isinstance(claim, NoTrial):
            return claim
        if self._plan is not None and not self._is_ours(claim):
            # Its process was cut off between planning it and taking it.
            self._queue.interrupt(claim.trial, _STOPPED, {})
            return NoTrial.TAKEN
        config, trial, checkpoint = configs[-1], claim.trial, _fitting(claim.checkpoint, slot)
        weights, plan = self._keeper.announce(trial.number)
        facts: dict[str, Any] = {"device": slot.device or "", "seed": config.seed}
        images = None if claim.planned is None else claim.planned.images
        job = Job(config, weights, keep_from=self._keeper.keep_from(self._known), images=images, checkpoints=plan)
        if checkpoint is not None:
            record = checkpoint.record
            config = replace(config, accumulation=record["accumulation"])
            facts["accumulation"] = config.accumulation
            job = replace(job, config=config, images=record["images"], resume_from=checkpoint.file)
        slot.work = _Work(trial, config, job, checkpoint, facts, claim.planned)
        self._observer.started(
            trial.number,
            trial.params["family"],
            bool(trial.user_attrs["default"]),
            trial.user_attrs.get("continues"),
        )
        self._send_job(slot, slot.work)
        return None

    def _is_ours(self, claim: Claim) -> bool:
        """Whether the run is one of this plan, and not one that another process has planned."""
        assert self._plan is not None
        return claim.planned is not None and claim.planned.key in {run.key for run in self._plan.runs}

    def _send_job(self, slot: _Slot, work: _Work) -> None:
        work.had_fresh_child = work.had_fresh_child or not slot.families
        slot.is_ready = False
        slot.families.add(work.trial.params["family"])
        _tell(slot.child, self._in_time(work.job))

    def _in_time(self, job: Job) -> Job:
        """The job, or where a planned run begins so late that it could not end in time, one with the seconds left.

        So begins again what was killed or ran out of memory. With less than half of its seconds it is left as it is,
        to be cut off.
        """
        budget = job.config.budget
        if self._plan is None or self._until is None or not budget.adapts or job.resume_from is not None:
            return job
        assert budget.seconds is not None
        left = self._until - time.monotonic()
        if self._spare is None:
            self._spare = max(0.0, left - budget.seconds)
        seconds = left - self._spare
        if not budget.seconds / 2 <= seconds < budget.seconds:
            return job
        return replace(job, config=replace(job.config, budget=replace(budget, seconds=seconds)))

    def _hear(self, slot: _Slot) -> None:
        """Handle what a child says."""
        try:
            if not slot.child.connection.poll():
                self._replace_dead(slot)
                return
            answer: Answer = slot.child.connection.recv()
        except (EOFError, OSError):
            # OSError: it died in the middle of a message.
            self._replace_dead(slot)
            return
        if isinstance(answer, Ready):
            self._take_ready(slot, answer)
        elif isinstance(answer, Failed) and answer.kind is FailureKind.NO_START:
            raise BenchError(f"a worker cannot start: {answer.reason}")
        elif slot.work is None:
            # Said before it heard that its trial is over.
            return
        elif isinstance(answer, Planned):
            self._take_plan(slot.work, answer)
        elif isinstance(answer, ProgressRecord):
            self._progress(slot, slot.work, answer)
        elif isinstance(answer, Saved):
            self._note_checkpoint(slot, slot.work, answer)
        elif isinstance(answer, Noted):
            self._observer.noted(slot.work.trial.number, answer.what)
        elif isinstance(answer, Finished):
            self._finish(slot, slot.work, answer)
        elif isinstance(answer, Failed):
            self._take_failure(slot, slot.work, answer)

    def _take_ready(self, slot: _Slot, answer: Ready) -> None:
        has_worked = slot.device is not None
        slot.device, slot.failed_starts, slot.has_started = answer.device, 0, True
        if has_worked and answer.resident_bytes is not None and answer.resident_bytes > self._memory_limit:
            # It holds on to memory from trial to trial.
            self._replace_child(slot)
        else:
            slot.is_ready = True

    def _take_plan(self, work: _Work, answer: Planned) -> None:
        work.facts["images"] = answer.images
        before = work.facts.get("preparing_seconds", 0.0)
        work.facts["preparing_seconds"] = before + answer.preparing_seconds
        work.facts["curve"] = list(work.checkpoint.record["curve"]) if answer.resumed and work.checkpoint else []
        work.job = replace(work.job, images=answer.images)

    def _progress(self, slot: _Slot, work: _Work, record: ProgressRecord) -> None:
        trial, config = work.trial, work.config
        may_end = (
            self._pruner.may_prune(record.step)
            and record.step < config.reports
            # The row that search is compared with.
            and not trial.user_attrs["default"]
        )
        if not may_end:
            # It need not wait for the database.
            _tell(slot.child, True)
        if not self._queue.report(trial, record.step, record.val_accuracy):
            # Another process took this one for dead, after a pause longer than the lease, and gave its place away.
            if may_end:
                _tell(slot.child, False)
                self._end(slot, TrialState.FAILED, None, _LEASE_LOST)
            else:
                self._lose(slot, work)
            return
        work.facts.setdefault("curve", []).append(as_jsonable(record))
        self._observer.reported(trial.number, config.reports, record)
        # Every pruner notes the value of every trial.
        prune = self._queue.should_prune(trial) and may_end
        if may_end:
            _tell(slot.child, not prune)
        if prune and self._queue.prune(trial, work.facts):
            self._end(slot, TrialState.PRUNED, record.val_accuracy)
        elif prune:
            self._end(slot, TrialState.FAILED, None, _LEASE_LOST)

    def _note_checkpoint(self, slot: _Slot, work: _Work, answer: Saved) -> None:
        record = {
            "device": slot.setup.kind,
            "step": answer.step,
            "seed": work.config.seed,
            "accumulation": work.config.accumulation,
            "images": work.facts["images"],
            "curve": work.facts["curve"],
        }
        self._keeper.note(work.trial.number, answer.file, record)

    def _finish(self, slot: _Slot, work: _Work, answer: Finished) -> None:
        facts = work.facts | {
            "cost": answer.cost,
            "best_step": answer.best_step,
            "images_seen": answer.images_seen,
            "images": answer.images_planned,
            "evaluation_seconds": answer.evaluation_seconds,
        }
        if answer.weights is not None:
            self._keeper.note(work.trial.number, answer.weights)
        val_accuracy, predictions = answer.val_accuracy, answer.predictions
        if self._plan is not None and self._plan.trains_on_val:
            # Of rows that it has trained on, what it says means nothing, and nothing may be decided by it.
            assert work.planned is not None
            before = self._plan.val[work.planned.trial]
            val_accuracy = accuracy(before.log_probs, self._store.labels(Split.VAL))
            predictions = (before, predictions[1])
        if self._queue.complete(work.trial, val_accuracy, predictions, facts):
            now = time.monotonic()
            self._first_complete = min(self._first_complete, now)
            self._durations.append(now - work.started)
            self._end(slot, TrialState.COMPLETE, val_accuracy)
        else:
            self._end(slot, TrialState.FAILED, None, _LEASE_LOST)

    def _take_failure(self, slot: _Slot, work: _Work, answer: Failed) -> None:
        if answer.kind is FailureKind.NO_ROOM:
            raise BenchError(f"{answer.reason}; make room, and the same command goes on")
        if answer.spoilt:
            self._replace_child(slot)
        if answer.kind is FailureKind.OUT_OF_MEMORY and not work.had_fresh_child:
            # What earlier trials left in the process may have been in its way, and divided it would be another trial.
            work.had_fresh_child = True
            self._observer.noted(work.trial.number, "out of memory: again in a fresh process")
            return
        if answer.kind is FailureKind.DEVICE and not work.had_fault:
            work.had_fault = True
            self._observer.noted(work.trial.number, f"{answer.reason}: again in a fresh process")
            return
        if answer.kind is FailureKind.OUT_OF_MEMORY and self._divide(work):
            self._observer.noted(work.trial.number, f"out of memory: again with batches in {work.config.accumulation}")
            return
        spent = {
            "train_seconds": answer.train_seconds,
            "evaluation_seconds": answer.evaluation_seconds,
            "peak_memory_bytes": answer.peak_memory_bytes,
        }
        self._fail(slot, work, answer.reason, {"traceback": answer.details, **spent})

    def _divide(self, work: _Work) -> bool:
        """Have the trial begin again with half as many images at a time, and gradients added up; False at the floor."""
        parts = 2 * work.config.accumulation
        if work.config.batch_size // parts < _SMALLEST_PART:
            return False
        work.config = replace(work.config, accumulation=parts)
        work.job = replace(work.job, config=work.config, resume_from=None)
        work.facts["accumulation"] = parts
        return True

    def _fail(self, slot: _Slot, work: _Work, reason: str, facts: Mapping[str, Any]) -> None:
        self._queue.fail(work.trial, reason, {**work.facts, **facts})
        self._end(slot, TrialState.FAILED, None, reason)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= max(_FAILURES_IN_A_ROW, 2 * len(self._slots)):
            raise BenchError(f"{self._failures_in_a_row} trials failed one after another, the last with: {reason}")

    def _end(self, slot: _Slot, state: TrialState, score: float | None, reason: str | None = None) -> None:
        assert slot.work is not None
        if state is not TrialState.FAILED:
            self._failures_in_a_row = 0
        number, slot.work = slot.work.trial.number, None
        self._has_ended = True
        # Where it failed, its place is free at once.
        self._claim_from = 0.0
        self._observer.ended(number, state, score, reason)

    def _end_hung(self) -> None:
        """End the trials that take longer than any may, pauses left out."""
        since_last, self._looked = time.monotonic() - self._looked, time.monotonic()
        if since_last > _PAUSE_SECONDS:
            self._lengthen(since_last)
        for slot in self._slots:
            if slot.work is None or self._time_limit is None:
                continue
            if time.monotonic() - slot.work.started > self._time_limit:
                self._replace_child(slot)
                self._fail(slot, slot.work, f"timed out after {self._time_limit:.0f} s", {})

    def _renew_in_time(self) -> None:
        """Renew the leases where it is time, and give up the trials that were lost to others."""
        now = _clocks()
        passed, by_the_wall = (clock - then for clock, then in zip(now, self._renewed, strict=True))
        if max(passed, abs(by_the_wall)) <= _RENEW_SECONDS:
            return
        self._renewed = now
        if abs(by_the_wall - passed) > _SLEPT_SECONDS:
            self._awake_from = now[0] + _WAKING_SECONDS
        lost = self._queue.renew(slot.work.trial.number for slot in self._slots if slot.work is not None)
        for slot in self._slots:
            if slot.work is not None and slot.work.trial.number in lost:
                self._lose(slot, slot.work)

    def _lose(self, slot: _Slot, work: _Work) -> None:
        """Give up a trial that its child still trains, and that is another process's by now."""
        self._replace_child(slot)
        self._keeper.remove_unknown(work.job.files)
        self._end(slot, TrialState.FAILED, None, _LEASE_LOST)

    def _replace_child(self, slot: _Slot) -> None:
        slot.child.end()
        slot.child, slot.device, slot.is_ready, slot.families = start_child(slot.setup), None, False, set()

    def _replace_dead(self, slot: _Slot) -> None:
        """The child is gone: fail its trial, and start another in its place."""
        # It has closed its connection but may still be ending; killed now, it would seem to have died of a signal.
        slot.child.process.join(timeout=_POLL_SECONDS)
        slot.child.end()
        if self._stop_requested:
            # A signal to the whole process group ended the child as well: its trial is given back with the others.
            return
        code = slot.child.process.exitcode
        is_killed = code is not None and code < 0
        ended = f"signal {-code}" if code is not None and is_killed else f"exit code {code}"
        if slot.device is None:
            slot.failed_starts += 1
            # In the place of one that could start, another can: where memory is short, perhaps only later.
            if not (is_killed or slot.has_started) or slot.failed_starts >= _STARTS:
                self._do_without(slot, f"a worker could not start ({ended}); its messages are above")
                return
        has_begun = slot.device is not None
        self._replace_child(slot)
        if slot.work is None or not has_begun:
            return
        # This is how the system ends what takes more memory than there is.
        perhaps = ", perhaps because memory ran out" if ended == "signal 9" else ""
        self._fail(slot, slot.work, f"killed: the worker process ended with {ended}{perhaps}", {})

    def _do_without(self, slot: _Slot, reason: str) -> None:
        """Go on without a worker that does not start, as on a GPU that is broken or full.

        Raises BenchError where it is the last one.
        """
        if len(self._slots) == 1:
            raise BenchError(reason)
        if slot.work is not None:
            self._queue.interrupt(slot.work.trial, reason, slot.work.facts)
            self._end(slot, TrialState.FAILED, None, reason)
        self._slots.remove(slot)
        slot.child.end()
        self._observer.without(reason, len(self._slots))

    def _end_children(self) -> None:
        for slot in self._slots:
            slot.child.end()

    def _give_back(self, *, at_once: bool = False) -> None:
        """The search ends: running trials are given back, so that their places are free for the next search.

        `at_once`: without waiting for a server that is away, and with files left to the next search.
        """
        with impatiently() if at_once else nullcontext():
            for slot in self._slots:
                if slot.work is not None:
                    self._queue.interrupt(slot.work.trial, _STOPPED, slot.work.facts)
        if not at_once:
            self._keeper.tidy()
        # Last: there may be no terminal any more to say it to.
        for slot in self._slots:
            if slot.work is not None:
                self._end(slot, TrialState.FAILED, None, _STOPPED)

    def _total(self) -> int:
        """How many trials are wanted, told anew each time where the limits do not say it."""
        return int(self._store.fact("trials")) if self._limits.trials is None else self._limits.trials

    def _tell_standing(self, trials: list[TrialRecord]) -> None:
        self._observer.standing(trials, self._total())

    def _usual_duration(self) -> float:
        """Seconds that a complete trial took so far, on average; 0 where none is known."""
        return sum(self._durations) / len(self._durations) if self._durations else 0.0

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            # Signals belong to the main thread, and to whoever runs there.
            yield
            return

        def request(number: int, _: Any) -> None:
            if self._stop_requested and number in (signal.SIGINT, signal.SIGTERM):
                # It did not come to an end, as where it waits for a database: now at once. A terminal that is closed
                # says so more than once.
                raise KeyboardInterrupt(number)
            self._stop_requested = True

        def request_pause(number: int, _: Any) -> None:  # noqa: ARG001 - as it is called
            self._pause_requested = time.monotonic() - self._continued > _CONTINUED_SECONDS

        def go_on(number: int, _: Any) -> None:  # noqa: ARG001 - as it is called
            # One that is continued before it came to stopping does not stop.
            self._pause_requested, self._continued = False, time.monotonic()

        ending: dict[str, Handler] = dict.fromkeys(("SIGINT", "SIGTERM", "SIGHUP"), request)
        with hearing(ending | {"SIGTSTP": request_pause, "SIGCONT": go_on}):
            yield


def _tell(child: Child, message: object) -> None:
    """Send to a child. One that died meanwhile is noticed when it is listened to, and replaced there."""
    with suppress(BrokenPipeError, ConnectionResetError):
        child.connection.send(message)


def _clocks() -> tuple[float, float]:
    """Seconds by the clock of this process and by the one that leases go by on SQLite.

    Of a machine that slept, or whose clock was set, leases may have ended by the one and not by the other.
    """
    return time.monotonic(), time.time()


def _fitting(checkpoint: Checkpoint | None, slot: _Slot) -> Checkpoint | None:
    """The checkpoint, where it is of such a device: random numbers of another kind do not go on, nor does a budget."""
    return checkpoint if checkpoint is not None and checkpoint.record.get("device") == slot.setup.kind else None
