"""Trials in work: claimed, leased, reported and ended by many processes, so that their number is exact.

A process may be cut off between any two statements. What it leaves is either whole or is taken back by the next claim,
whoever makes it: a running trial without a living lease fails, and its place is free again.
"""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import Table, delete, insert, select, update

from benchmark.records import PlannedRun, Predictions, as_jsonable
from benchmark.store.database import Database
from benchmark.store.files import Checkpoint, FileTable
from benchmark.store.owner import is_gone, this_process
from benchmark.store.retrying import PATIENCE_SECONDS, retried
from benchmark.store.tables import ENTRANTS, LEASES, PREDICTIONS

LEASE_SECONDS = 2 * PATIENCE_SECONDS
"""A worker that waits for a server is no lost one: its lease outlives the wait, whenever it was last renewed."""
CONTINUES = "continues"
"""Attribute of a trial that goes on where the trial of that number was interrupted."""
VANISHED = "lost: worker vanished"
"""Reason of a trial whose process has gone."""
INTERRUPTED = "interrupted"
"""Attribute of a failed trial that ended for no reason of its own, and may be continued."""
LIVED = "lived_seconds"
"""Attribute of a trial that was lost: seconds from its start to the last sign of life, by clocks that may differ."""
PLANNED = "planned"
"""Attribute of a trial that is a planned run: everything of it but the parameters (records.PlannedRun)."""
_ATTEMPTS = 3
"""A planned run that failed so often by itself is given up."""
_STALLS = 5
"""A trial that was interrupted so often without another checkpoint is not continued: it may be what breaks machines."""
_QUEUES = itertools.count()
"""Tells the queues of one process apart."""
_ENDED_WELL = (OptunaState.COMPLETE, OptunaState.PRUNED)


class NoTrial(enum.Enum):
    """Why there is no trial to claim."""

    SPENT = "as many trials as wanted are complete or pruned"
    TAKEN = "every place is taken; one is free again where a running trial fails"


@dataclass(frozen=True, eq=False)
class Claim:
    """A trial to run, leased to this process."""

    trial: optuna.Trial
    checkpoint: Checkpoint | None = None
    """Where the trial goes on, and what was known of it by then; None for a new one."""

    @property
    def planned(self) -> PlannedRun | None:
        """The run that it was planned as; None for a trial of a search."""
        facts = self.trial.user_attrs.get(PLANNED)
        return None if facts is None else PlannedRun(**facts, parameters=self.trial.params)


class TrialQueue:
    """The trials of one study, as a process that runs some of them sees them."""

    def __init__(self, database: Database, files: FileTable) -> None:
        self._db = database
        self._files = files
        self.owner = f"{this_process()}:{next(_QUEUES)}"
        self._claimed: set[int] = set()
        """Trials that were claimed here and have not ended here: of a claim that was cut off nobody knows."""

    @retried
    def claim(
        self, total: int, prepare: Callable[[Claim], None], plan: Sequence[PlannedRun] | None = None
    ) -> Claim | NoTrial:
        """Take a trial, lease it and `prepare` it, unless `total` trials are complete, pruned or running.

        With a `plan` the trial is the first of its runs that is neither done nor running, and that did not fail three
        times by itself.

        Trials whose lease has ended are failed first, so that their places are free; an interrupted trial that left a
        checkpoint is continued, as a new trial with its parameters, before any other begins. Preparing (suggesting
        parameters) is part of the claim, so that no other process chooses without seeing this trial's parameters.
        """
        with self._db.exclusive():
            trials = self.fail_lost()
            states = [trial.state for trial in trials]
            ended = sum(state in _ENDED_WELL for state in states)
            if ended >= total:
                return NoTrial.SPENT
            if ended + states.count(OptunaState.RUNNING) >= total:
                return NoTrial.TAKEN
            if (
                not self._enqueue_interrupted(trials, plan)
                and plan is not None
                and not self._enqueue_planned(plan, trials)
            ):
                return NoTrial.TAKEN if OptunaState.RUNNING in states else NoTrial.SPENT
            trial = self._db.study.ask()
            expires_at = self._db.now() + LEASE_SECONDS
            lease = {"study": self._db.name, "trial": trial.number, "owner": self.owner, "expires_at": expires_at}
            with self._db.begin() as connection:
                connection.execute(insert(LEASES).values(lease))
            continued = trial.user_attrs.get(CONTINUES)
            claim = Claim(trial, None if continued is None else self._files.checkpoints().get(continued))
            prepare(claim)
            if continued is not None and claim.checkpoint is not None:
                # Last: a process that is cut off before leaves the checkpoint with the trial that was interrupted.
                self._files.pass_on_checkpoint(continued, trial.number)
        self._claimed.add(trial.number)
        return claim

    @retried
    def renew(self, numbers: Iterable[int]) -> set[int]:
        """Extend this process's leases on running trials; the numbers of those that it has lost."""
        wanted = set(numbers)
        mine = (LEASES.c.study == self._db.name, LEASES.c.owner == self.owner, LEASES.c.trial.in_(wanted))
        expires_at = self._db.now() + LEASE_SECONDS
        with self._db.begin() as connection:
            connection.execute(update(LEASES).where(*mine).values(expires_at=expires_at))
            return wanted - set(connection.execute(select(LEASES.c.trial).where(*mine)).scalars())

    @retried
    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Store a value on the way; False where the trial is no longer this process's. A step counts once."""
        # Optuna knows what this process has reported, and would complain of a second value.
        if step in trial._cached_frozen_trial.intermediate_values:
            return True
        try:
            trial.report(value, step)
        except UpdateFinishedTrialError:
            return False
        return True

    @retried
    def should_prune(self, trial: optuna.Trial) -> bool:
        """What the study's pruner says after the trial's last report; no, of one that is no longer this process's."""
        try:
            return trial.should_prune()
        except UpdateFinishedTrialError:
            # Pruners take notes; that the trial is lost, its next report tells.
            return False

    @retried
    def complete(
        self, trial: optuna.Trial, val_accuracy: float, predictions: Sequence[Predictions], facts: Mapping[str, Any]
    ) -> bool:
        """End a trial with its score and predictions; False, with nothing stored, where its lease was lost.

        Predictions are stored before the state changes: a complete trial always has them.
        """
        rows = [
            {
                "study": self._db.name,
                "trial": trial.number,
                "split": str(item.split),
                "classes": item.log_probs.shape[1],
                "digest": item.digest,
                "log_probs": np.ascontiguousarray(item.log_probs, "<f4").tobytes(),
            }
            for item in predictions
        ]
        of_trial = (PREDICTIONS.c.study == self._db.name, PREDICTIONS.c.trial == trial.number)

        def store_predictions() -> None:
            with self._db.begin() as connection:
                connection.execute(delete(PREDICTIONS).where(*of_trial))
                connection.execute(insert(PREDICTIONS), rows)
                # With another candidate, they are no longer those of the best.
                connection.execute(delete(ENTRANTS).where(ENTRANTS.c.study == self._db.location.name))

        return self._end(trial, OptunaState.COMPLETE, facts, value=val_accuracy, first=store_predictions)

    @retried
    def prune(self, trial: optuna.Trial, facts: Mapping[str, Any]) -> bool:
        """End a trial that was not worth its budget; False where its lease was lost."""
        return self._end(trial, OptunaState.PRUNED, facts)

    @retried
    def fail(self, trial: optuna.Trial, reason: str, facts: Mapping[str, Any]) -> bool:
        """End a trial with a reason that a user can read; False where its lease was lost."""
        return self._end(trial, OptunaState.FAIL, {**facts, "reason": reason})

    def interrupt(self, trial: optuna.Trial, reason: str, facts: Mapping[str, Any]) -> bool:
        """End a trial for no reason of its own: it may be continued from its checkpoint where it left one."""
        return self.fail(trial, reason, {**facts, INTERRUPTED: True})

    @retried
    def give_up_lost(self) -> None:
        """Fail running trials that nobody works on, and claim none."""
        with self._db.exclusive():
            self.fail_lost()

    def fail_lost(self) -> list[FrozenTrial]:
        """Fail running trials that nobody works on: the lease has ended, or its process on this machine is gone.

        Or the trial is this queue's own, from a claim that was cut off and made again. To be called while this process
        is alone at it (Database.exclusive). Returns all trials as they are then.
        """
        study, now, leases = self._db.study, self._db.now(), self._leases()
        trials = study.get_trials(deepcopy=False)
        running = [trial for trial in trials if trial.state is OptunaState.RUNNING]
        cut_off = {
            number for number, held in leases.items() if held.owner == self.owner and number not in self._claimed
        }
        living = {number for number, held in leases.items() if _is_living(held, now)} - cut_off
        lost = [trial for trial in running if trial.number not in living]
        for trial in lost:
            # First: from now on its process, should it go on, has no say in it.
            self._delete(LEASES, trial.number)
            study._storage.set_trial_user_attr(trial._trial_id, "reason", VANISHED)
            study._storage.set_trial_user_attr(trial._trial_id, INTERRUPTED, True)
            # It ends now, and nobody knows when it was lost: what counts is the last sign of its life.
            lived = _lived(trial, leases[trial.number]) if trial.number in leases else 0.0
            study._storage.set_trial_user_attr(trial._trial_id, LIVED, lived)
            study.tell(trial.number, state=OptunaState.FAIL)
            self._delete(PREDICTIONS, trial.number)
        ended = set(leases) - {trial.number for trial in running}
        if ended:
            # Their process was cut off between ending the trial and giving up its lease.
            self._delete(LEASES, *ended)
        return study.get_trials(deepcopy=False) if lost else trials

    def vanished(self, trials: Sequence[FrozenTrial]) -> dict[int, float]:
        """Of these trials, those that still look running and that the next claim fails, since their process has gone.

        By number; with the seconds from the start to the last sign of life. One without a lease may be just beginning.
        """
        running = [
            trial for trial in trials if trial.state is OptunaState.RUNNING and trial.number not in self._claimed
        ]
        if not running:
            return {}
        now, leases = self._db.now(), self._leases()
        return {
            trial.number: _lived(trial, leases[trial.number])
            for trial in running
            if trial.number in leases and not _is_living(leases[trial.number], now)
        }

    def _leases(self) -> dict[int, Any]:
        query = select(LEASES.c.trial, LEASES.c.owner, LEASES.c.expires_at).where(LEASES.c.study == self._db.name)
        with self._db.begin() as connection:
            return {row.trial: row for row in connection.execute(query)}

    def _delete(self, table: Table, *trials: int) -> None:
        """Delete what a table has of these trials."""
        with self._db.begin() as connection:
            connection.execute(delete(table).where(table.c.study == self._db.name, table.c.trial.in_(trials)))

    def _enqueue_interrupted(self, trials: Sequence[FrozenTrial], plan: Sequence[PlannedRun] | None) -> bool:
        """Let the next trial be one that goes on from a checkpoint; whether there was one that none went on with.

        Of planned runs, only those of this plan: another process may have planned more.
        """
        left = {number for number, found in self._files.checkpoints().items() if found.stalls < _STALLS}
        if not left:
            return False
        left -= {trial.user_attrs.get(CONTINUES) for trial in trials if trial.state is not OptunaState.FAIL}
        known = None if plan is None else {run.key for run in plan}
        for trial in trials:
            if known is not None and _planned_as(trial) not in known:
                continue
            if trial.number in left and trial.state is OptunaState.FAIL and trial.user_attrs.get(INTERRUPTED):
                attributes = {key: trial.user_attrs[key] for key in ("default", PLANNED) if key in trial.user_attrs}
                self._db.study.enqueue_trial(trial.params, user_attrs=attributes | {CONTINUES: trial.number})
                return True
        return False

    @retried
    def has_open(self, plan: Sequence[PlannedRun]) -> bool:
        """Whether any of these runs is still to be begun: neither complete, nor at work, nor given up."""
        return _first_open(plan, self._db.study.get_trials(deepcopy=False)) is not None

    def _enqueue_planned(self, plan: Sequence[PlannedRun], trials: Sequence[FrozenTrial]) -> bool:
        """Let the next trial be the first planned run that is open; whether there was one."""
        if any(trial.state is OptunaState.WAITING and _planned_as(trial) is not None for trial in trials):
            # Its process was cut off between planning it and taking it.
            return True
        run = _first_open(plan, trials)
        if run is None:
            return False
        facts = {"trial": run.trial, "replicate": run.replicate, "seed": run.seed, "images": run.images}
        self._db.study.enqueue_trial(dict(run.parameters), user_attrs={"default": False, PLANNED: facts})
        return True

    def _end(
        self,
        trial: optuna.Trial,
        state: OptunaState,
        facts: Mapping[str, Any],
        value: float | None = None,
        first: Callable[[], None] | None = None,
    ) -> bool:
        """Give the trial its facts and its final state, then give up the lease; may be repeated when cut off."""
        lease = (
            LEASES.c.study == self._db.name,
            LEASES.c.trial == trial.number,
            LEASES.c.owner == self.owner,
        )
        with self._db.exclusive():
            with self._db.begin() as connection:
                holds = connection.execute(select(LEASES.c.trial).where(*lease)).first() is not None
            found = None
            if holds:
                # It has ended where this was done before and cut off, or where it was taken during a long pause.
                with suppress(UpdateFinishedTrialError):
                    for key, fact in facts.items():
                        trial.set_user_attr(key, as_jsonable(fact))
                    if first is not None:
                        first()
                    found = self._db.study.tell(trial, value, state=state, skip_if_finished=True)
            if found is None:
                found = self._frozen(trial)
            if holds:
                with self._db.begin() as connection:
                    connection.execute(delete(LEASES).where(*lease))
        self._claimed.discard(trial.number)
        # Others end a trial as failed and nothing else: any other end is this process's, perhaps of an attempt before.
        return found.state is state and (holds or state is not OptunaState.FAIL)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        """The trial as the database has it now."""
        return self._db.study._storage.get_trial(trial._trial_id)


def _is_living(lease: Any, now: float) -> bool:
    return lease.expires_at > now and not is_gone(lease.owner)


def _lived(trial: FrozenTrial, lease: Any) -> float:
    """Seconds from the trial's start to the last renewal of its lease."""
    started = trial.datetime_start
    return 0.0 if started is None else lease.expires_at - LEASE_SECONDS - started.timestamp()


def _first_open(plan: Sequence[PlannedRun], trials: Sequence[FrozenTrial]) -> PlannedRun | None:
    """The first run that is neither complete nor at work, and has not failed by itself too often."""
    taken: set[tuple[int, int]] = set()
    failures: Counter[tuple[int, int]] = Counter()
    for trial in trials:
        if (key := _planned_as(trial)) is None or trial.state is OptunaState.WAITING:
            continue
        if trial.state is not OptunaState.FAIL:
            taken.add(key)
        elif not trial.user_attrs.get(INTERRUPTED):
            failures[key] += 1
    return next((run for run in plan if run.key not in taken and failures[run.key] < _ATTEMPTS), None)


def _planned_as(trial: FrozenTrial) -> tuple[int, int] | None:
    """The trial that a planned run confirms, and which run of it; None for a trial of a search."""
    facts = trial.user_attrs.get(PLANNED)
    return None if facts is None else (facts["trial"], facts["replicate"])
