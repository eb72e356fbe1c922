"""One process's part in a search: it claims trials, has its children train them, and stores what they say."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import wait
from typing import Any

from benchmark.artifacts import Place
from benchmark.errors import BenchError
from benchmark.metrics import accuracy
from benchmark.records import (
    ProgressRecord,
    RunPlan,
    Split,
    TrialConfig,
    TrialRecord,
    TrialState,
    as_jsonable,
)
from benchmark.sampling import PerFamilyPruner, PerFamilySampler
from benchmark.search.keeping import FileKeeper
from benchmark.search.observer import Ending, SearchLimits, SearchObserver
from benchmark.search.signals import Signals
from benchmark.search.slots import Slot, Work
from benchmark.search.suggesting import configure
from benchmark.search.timing import Timing
from benchmark.space import Space
from benchmark.store import Checkpoint, Claim, NoTrial, StudyStore, impatiently
from benchmark.workers import (
    Answer,
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
)

_POLL_SECONDS = 0.5
_RENEW_SECONDS = 10.0
_PAUSE_SECONDS = 30.0
"""So long between two looks at the clock it was stopped, or waited for a database: no trial's time limit runs then."""
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
_STARTS = 5
"""Attempts to start a child that ends each time, as where memory is short."""
_SMALLEST_PART = 8
"""Images that pass the network at a time when memory is short: below that, a batch is not divided further."""


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
        self._slots: list[Slot] = []
        self._signals = Signals()
        self._failures_in_a_row = 0
        self._known: list[TrialRecord] = []
        """The study's trials when one of this process ended last."""
        self._limits = SearchLimits()
        self._timing: Timing
        """Of the run: it begins with it."""
        self._is_spent = False
        self._has_ended = False
        """Whether a trial ended since the standing was told."""
        self._claim_from = 0.0
        self._awake_from = 0.0
        self._renewed = _clocks()
        self._looked = time.monotonic()
        """When it looked last whether trials take too long."""

    def run(self, limits: SearchLimits) -> Ending:
        """Run trials until a limit is reached or a signal to end comes; running trials are then ended at once.

        Such signals are SIGINT (Ctrl-C), SIGTERM and SIGHUP, where they are not ignored.
        Raises BenchError where no worker can start, the disk is full, or trial after trial fails.
        """
        self._limits, self._timing = limits, Timing(limits, self._space.spec.budget, self._plan)
        with self._signals.heard():
            self._known = self._keeper.tidy()
            try:
                for setup in self._setups:
                    self._slots.append(Slot.open(setup))
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
            return "interrupted" if self._signals.end_requested else end

    @property
    def workers(self) -> int:
        """How many there are: fewer than at first where one did not start."""
        return len(self._slots)

    @property
    def was_stopped(self) -> bool:
        """Whether a signal to end came."""
        return self._signals.end_requested

    def _loop(self) -> Ending:
        self._renewed, self._looked = _clocks(), time.monotonic()
        self._tell_standing(self._known)
        while True:
            if (why := self._reason_to_end()) is not None:
                break
            if self._signals.pause_requested:
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

    def _reason_to_end(self) -> Ending | None:
        running = any(slot.work is not None for slot in self._slots)
        if self._signals.end_requested:
            return "interrupted"
        if self._is_spent and not running:
            return "spent"
        if self._timing.is_over:
            return "timeout"
        return None if running or self._timing.may_begin(self._known) else "timeout"

    def _pause(self) -> None:
        """Ctrl-Z: stop here, where no lock is held that others wait for, until the shell continues the process."""
        self._lengthen(self._signals.pause([slot.child for slot in self._slots]))
        self._looked = time.monotonic()

    def _lengthen(self, seconds: float) -> None:
        """Give running trials so many seconds more until their time limit."""
        for slot in self._slots:
            if slot.work is not None:
                slot.work.started = min(slot.work.started + seconds, time.monotonic())

    def _heard_from(self) -> list[Slot]:
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
                slot.give(self._timing.in_time(slot.work.job))
            elif slot.is_ready and not self._is_spent and self._timing.may_begin(self._known):
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

    def _claim(self, slot: Slot) -> NoTrial | None:
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
        slot.work = Work(trial, config, job, checkpoint, facts, claim.planned)
        self._observer.started(
            trial.number,
            trial.params["family"],
            bool(trial.user_attrs["default"]),
            trial.user_attrs.get("continues"),
        )
        slot.give(self._timing.in_time(job))
        return None

    def _is_ours(self, claim: Claim) -> bool:
        """Whether the run is one of this plan, and not one that another process has planned."""
        assert self._plan is not None
        return claim.planned is not None and claim.planned.key in {run.key for run in self._plan.runs}

    def _hear(self, slot: Slot) -> None:
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
            self._observer.noted(slot.work.number, answer.what)
        elif isinstance(answer, Finished):
            self._finish(slot, slot.work, answer)
        elif isinstance(answer, Failed):
            self._take_failure(slot, slot.work, answer)

    def _take_ready(self, slot: Slot, answer: Ready) -> None:
        has_worked = slot.device is not None
        slot.device, slot.failed_starts, slot.has_started = answer.device, 0, True
        if has_worked and answer.resident_bytes is not None and answer.resident_bytes > self._memory_limit:
            # It holds on to memory from trial to trial.
            slot.replace_child()
        else:
            slot.is_ready = True

    def _take_plan(self, work: Work, answer: Planned) -> None:
        work.facts["images"] = answer.images
        before = work.facts.get("preparing_seconds", 0.0)
        work.facts["preparing_seconds"] = before + answer.preparing_seconds
        work.facts["curve"] = list(work.checkpoint.record["curve"]) if answer.resumed and work.checkpoint else []
        work.job = replace(work.job, images=answer.images)

    def _progress(self, slot: Slot, work: Work, record: ProgressRecord) -> None:
        trial, config = work.trial, work.config
        may_end = (
            self._pruner.may_prune(record.step)
            and record.step < config.reports
            # The row that search is compared with.
            and not trial.user_attrs["default"]
        )
        if not may_end:
            # It need not wait for the database.
            slot.tell(True)
        if not self._queue.report(trial, record.step, record.val_accuracy):
            # Another process took this one for dead, after a pause longer than the lease, and gave its place away.
            if may_end:
                slot.tell(False)
                self._end(slot, TrialState.FAILED, None, _LEASE_LOST)
            else:
                self._lose(slot, work)
            return
        work.facts.setdefault("curve", []).append(as_jsonable(record))
        self._observer.reported(trial.number, config.reports, record)
        # Every pruner notes the value of every trial.
        prune = self._queue.should_prune(trial) and may_end
        if may_end:
            slot.tell(not prune)
        if prune and self._queue.prune(trial, work.facts):
            self._end(slot, TrialState.PRUNED, record.val_accuracy)
        elif prune:
            self._end(slot, TrialState.FAILED, None, _LEASE_LOST)

    def _note_checkpoint(self, slot: Slot, work: Work, answer: Saved) -> None:
        record = {
            "device": slot.setup.kind,
            "step": answer.step,
            "seed": work.config.seed,
            "accumulation": work.config.accumulation,
            "images": work.facts["images"],
            "curve": work.facts["curve"],
        }
        self._keeper.note(work.number, answer.file, record)

    def _finish(self, slot: Slot, work: Work, answer: Finished) -> None:
        facts = work.facts | {
            "cost": answer.cost,
            "best_step": answer.best_step,
            "images_seen": answer.images_seen,
            "images": answer.images_planned,
            "evaluation_seconds": answer.evaluation_seconds,
        }
        if answer.weights is not None:
            self._keeper.note(work.number, answer.weights)
        val_accuracy, predictions = answer.val_accuracy, answer.predictions
        if self._plan is not None and self._plan.trains_on_val:
            # Of rows that it has trained on, what it says means nothing, and nothing may be decided by it.
            assert work.planned is not None
            before = self._plan.val[work.planned.trial]
            val_accuracy = accuracy(before.log_probs, self._store.labels(Split.VAL))
            predictions = (before, predictions[1])
        if self._queue.complete(work.trial, val_accuracy, predictions, facts):
            self._timing.completed(work.seconds)
            self._end(slot, TrialState.COMPLETE, val_accuracy)
        else:
            self._end(slot, TrialState.FAILED, None, _LEASE_LOST)

    def _take_failure(self, slot: Slot, work: Work, answer: Failed) -> None:
        if answer.kind is FailureKind.NO_ROOM:
            raise BenchError(f"{answer.reason}; make room, and the same command goes on")
        if answer.spoilt:
            slot.replace_child()
        if answer.kind is FailureKind.OUT_OF_MEMORY and not work.had_fresh_child:
            # What earlier trials left in the process may have been in its way, and divided it would be another trial.
            work.had_fresh_child = True
            self._observer.noted(work.number, "out of memory: again in a fresh process")
            return
        if answer.kind is FailureKind.DEVICE and not work.had_fault:
            work.had_fault = True
            self._observer.noted(work.number, f"{answer.reason}: again in a fresh process")
            return
        if answer.kind is FailureKind.OUT_OF_MEMORY and self._divide(work):
            self._observer.noted(work.number, f"out of memory: again with batches in {work.config.accumulation}")
            return
        spent = {
            "train_seconds": answer.train_seconds,
            "evaluation_seconds": answer.evaluation_seconds,
            "peak_memory_bytes": answer.peak_memory_bytes,
        }
        self._fail(slot, work, answer.reason, {"traceback": answer.details, **spent})

    def _divide(self, work: Work) -> bool:
        """Have the trial begin again with half as many images at a time, and gradients added up; False at the floor."""
        parts = 2 * work.config.accumulation
        if work.config.batch_size // parts < _SMALLEST_PART:
            return False
        work.config = replace(work.config, accumulation=parts)
        work.job = replace(work.job, config=work.config, resume_from=None)
        work.facts["accumulation"] = parts
        return True

    def _fail(self, slot: Slot, work: Work, reason: str, facts: Mapping[str, Any]) -> None:
        self._queue.fail(work.trial, reason, {**work.facts, **facts})
        self._end(slot, TrialState.FAILED, None, reason)
        self._failures_in_a_row += 1
        if self._failures_in_a_row >= max(_FAILURES_IN_A_ROW, 2 * len(self._slots)):
            raise BenchError(f"{self._failures_in_a_row} trials failed one after another, the last with: {reason}")

    def _end(self, slot: Slot, state: TrialState, score: float | None, reason: str | None = None) -> None:
        assert slot.work is not None
        if state is not TrialState.FAILED:
            self._failures_in_a_row = 0
        number, slot.work = slot.work.number, None
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
            if slot.work.seconds > self._time_limit:
                slot.replace_child()
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
        lost = self._queue.renew(slot.work.number for slot in self._slots if slot.work is not None)
        for slot in self._slots:
            if slot.work is not None and slot.work.number in lost:
                self._lose(slot, slot.work)

    def _lose(self, slot: Slot, work: Work) -> None:
        """Give up a trial that its child still trains, and that is another process's by now."""
        slot.replace_child()
        self._keeper.remove_unknown(work.job.files)
        self._end(slot, TrialState.FAILED, None, _LEASE_LOST)

    def _replace_dead(self, slot: Slot) -> None:
        """The child is gone: fail its trial, and start another in its place."""
        # It has closed its connection but may still be ending; killed now, it would seem to have died of a signal.
        slot.child.process.join(timeout=_POLL_SECONDS)
        slot.child.end()
        if self._signals.end_requested:
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
        slot.replace_child()
        if slot.work is None or not has_begun:
            return
        # This is how the system ends what takes more memory than there is.
        perhaps = ", perhaps because memory ran out" if ended == "signal 9" else ""
        self._fail(slot, slot.work, f"killed: the worker process ended with {ended}{perhaps}", {})

    def _do_without(self, slot: Slot, reason: str) -> None:
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


def _clocks() -> tuple[float, float]:
    """Seconds by the clock of this process and by the one that leases go by on SQLite.

    Of a machine that slept, or whose clock was set, leases may have ended by the one and not by the other.
    """
    return time.monotonic(), time.time()


def _fitting(checkpoint: Checkpoint | None, slot: Slot) -> Checkpoint | None:
    """The checkpoint, where it is one that the slot's child can go on from."""
    return checkpoint if checkpoint is not None and slot.can_go_on_from(checkpoint) else None
