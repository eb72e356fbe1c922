"""One study's trials, predictions, ensembles and leases, read and written; decides nothing about them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from numpy.typing import NDArray
from optuna.trial import FrozenTrial
from optuna.trial import TrialState as OptunaState
from sqlalchemy import delete, insert, select, update

from benchmark.errors import BenchError
from benchmark.records import (
    Cost,
    Entrant,
    Predictions,
    Split,
    TrialRecord,
    TrialState,
    as_jsonable,
)
from benchmark.store.connection import StudyLocation, connect, visible_url
from benchmark.store.tables import ENTRANTS, LABELS, LEASES, METADATA, PREDICTIONS

LEASE_SECONDS = 60.0
_STATES = {
    OptunaState.RUNNING: TrialState.RUNNING,
    OptunaState.WAITING: TrialState.RUNNING,
    OptunaState.COMPLETE: TrialState.COMPLETE,
    OptunaState.PRUNED: TrialState.PRUNED,
    OptunaState.FAIL: TrialState.FAILED,
}
_COUNTED = (OptunaState.RUNNING, OptunaState.COMPLETE, OptunaState.PRUNED)
"""States that take a place in the budget: a failed trial gives its place to another."""


def create_study(location: StudyLocation) -> StudyStore:
    """Open the study, making database, tables and study where they are missing. Raises BenchError."""
    with location.lock():
        storage = connect(location)
        study = optuna.create_study(
            study_name=location.name, storage=storage, direction="maximize", load_if_exists=True
        )
        if _is_foreign(study, storage.engine):
            raise BenchError(
                f"study {location.name!r} in {visible_url(location.url)} is of another program; nothing was changed:"
                " choose another study name or --storage"
            )
        METADATA.create_all(storage.engine)
    return StudyStore(location, study, storage.engine)


def open_study(location: StudyLocation) -> StudyStore:
    """Open a study that exists. Raises BenchError where it does not."""
    database = location.database
    missing = f"study {location.name!r} has no trials yet; run: bench search {location.name}"
    if database is not None and not database.exists():
        raise BenchError(missing)
    # Opening makes what is missing of the tables: never beside another process that is just making them.
    with location.lock():
        storage = connect(location)
        try:
            study = optuna.load_study(study_name=location.name, storage=storage)
        except KeyError:
            raise BenchError(missing) from None
        METADATA.create_all(storage.engine)
    return StudyStore(location, study, storage.engine)


class StudyStore:
    """One open study; `study` is Optuna's view of it."""

    def __init__(self, location: StudyLocation, study: optuna.Study, engine: sqlalchemy.Engine) -> None:
        self.location = location
        self.study = study
        self._engine = engine
        self._owner = f"{socket.gethostname()}:{os.getpid()}"

    # Facts about the study -------------------------------------------------------------------------------------------

    def fact(self, key: str) -> Any:
        """A stored fact about the study (JSON), or None."""
        return self.study.user_attrs.get(key)

    def set_fact(self, key: str, value: Any) -> None:
        """Store a fact about the study (JSON)."""
        self.study.set_user_attr(key, value)

    def add_to_fact(self, key: str, item: Any) -> None:
        """Append to a stored list, made where it is missing, unless the item is in it; safe beside other processes."""
        with self.exclusive():
            items = self.fact(key) or []
            if item not in items:
                self.set_fact(key, [*items, item])

    def labels(self, split: Split) -> NDArray[np.int64]:
        """True classes (N,) of the validation or test rows."""
        query = select(LABELS.c.labels).where(LABELS.c.study == self.location.name, LABELS.c.split == str(split))
        with self._engine.begin() as connection:
            blob = connection.execute(query).scalar_one_or_none()
        if blob is None:
            raise BenchError(f"study {self.location.name!r} holds no {split} labels; it was not made by bench search")
        return np.frombuffer(blob, "<i8").astype(np.int64)

    def set_labels(self, split: Split, labels: NDArray[np.int64]) -> None:
        """Store the true classes (N,) of a split, once; stored ones are kept."""
        row = {"study": self.location.name, "split": str(split), "labels": labels.astype("<i8").tobytes()}
        with self.exclusive(), self._engine.begin() as connection:
            there = select(LABELS.c.split).where(LABELS.c.study == self.location.name, LABELS.c.split == str(split))
            if connection.execute(there).first() is None:
                connection.execute(insert(LABELS).values(row))

    # Running trials --------------------------------------------------------------------------------------------------

    def claim(self, total: int, prepare: Callable[[optuna.Trial], None]) -> optuna.Trial | None:
        """Ask for a trial, lease it and `prepare` it; None where `total` trials are complete, pruned or running.

        Trials whose lease has ended are failed first, so that their places are free. Preparing (suggesting parameters)
        is part of the claim, so that no other process chooses without seeing this trial's parameters.
        """
        with self.exclusive():
            self._fail_lost()
            trials = self.study.get_trials(deepcopy=False)
            if sum(trial.state in _COUNTED for trial in trials) >= total:
                return None
            trial = self.study.ask()
            lease = {"study": self.location.name, "trial": trial.number, "owner": self._owner}
            with self._engine.begin() as connection:
                connection.execute(insert(LEASES).values(lease | {"expires_at": time.time() + LEASE_SECONDS}))
            prepare(trial)
            return trial

    def renew(self, numbers: Iterable[int]) -> None:
        """Extend this process's leases on running trials."""
        mine = update(LEASES).where(
            LEASES.c.study == self.location.name, LEASES.c.owner == self._owner, LEASES.c.trial.in_(list(numbers))
        )
        with self._engine.begin() as connection:
            connection.execute(mine.values(expires_at=time.time() + LEASE_SECONDS))

    def complete(
        self, trial: optuna.Trial, val_accuracy: float, predictions: Sequence[Predictions], facts: Mapping[str, Any]
    ) -> bool:
        """End a trial with its score and predictions; False, with nothing stored, where its lease was lost.

        Predictions are stored before the state changes: a complete trial always has them.
        """
        rows = [
            {
                "study": self.location.name,
                "trial": trial.number,
                "split": str(item.split),
                "classes": item.log_probs.shape[1],
                "digest": item.digest,
                "log_probs": np.ascontiguousarray(item.log_probs, "<f4").tobytes(),
            }
            for item in predictions
        ]
        with self.exclusive():
            if not self._give_up_lease(trial.number):
                return False
            with self._engine.begin() as connection:
                connection.execute(insert(PREDICTIONS), rows)
                # With another candidate, they are no longer those of the best.
                connection.execute(delete(ENTRANTS).where(ENTRANTS.c.study == self.location.name))
            for key, value in facts.items():
                trial.set_user_attr(key, as_jsonable(value))
            self.study.tell(trial, val_accuracy)
        return True

    def prune(self, trial: optuna.Trial, facts: Mapping[str, Any]) -> bool:
        """End a trial that was not worth its budget; False where its lease was lost."""
        return self._end(trial, OptunaState.PRUNED, facts)

    def fail(self, trial: optuna.Trial, reason: str, facts: Mapping[str, Any]) -> bool:
        """End a trial with a reason that a user can read; False where its lease was lost."""
        return self._end(trial, OptunaState.FAIL, {**facts, "reason": reason})

    def _end(self, trial: optuna.Trial, state: OptunaState, facts: Mapping[str, Any]) -> bool:
        with self.exclusive():
            if not self._give_up_lease(trial.number):
                return False
            for key, value in facts.items():
                trial.set_user_attr(key, as_jsonable(value))
            self.study.tell(trial, state=state)
        return True

    def _give_up_lease(self, number: int) -> bool:
        mine = delete(LEASES).where(
            LEASES.c.study == self.location.name, LEASES.c.trial == number, LEASES.c.owner == self._owner
        )
        with self._engine.begin() as connection:
            return connection.execute(mine).rowcount == 1

    def _fail_lost(self) -> None:
        """Fail running trials that nobody works on: the lease has ended, or its process on this machine is gone."""
        with self._engine.begin() as connection:
            query = select(LEASES.c.trial, LEASES.c.owner, LEASES.c.expires_at)
            leases = {row.trial: row for row in connection.execute(query.where(LEASES.c.study == self.location.name))}
        for trial in self.study.get_trials(deepcopy=False, states=(OptunaState.RUNNING,)):
            lease = leases.get(trial.number)
            if lease is not None and lease.expires_at > time.time() and not _is_gone(lease.owner):
                continue
            self.study._storage.set_trial_user_attr(trial._trial_id, "reason", "lost: its worker vanished")
            self.study._storage.set_trial_user_attr(trial._trial_id, "interrupted", True)
            self.study.tell(trial.number, state=OptunaState.FAIL)
            with self._engine.begin() as connection:
                for table in (LEASES, PREDICTIONS):
                    of_trial = (table.c.study == self.location.name, table.c.trial == trial.number)
                    connection.execute(delete(table).where(*of_trial))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One process at a time: by a lock file beside an SQLite database, by an advisory lock in PostgreSQL."""
        if self._engine.dialect.name != "postgresql":
            with self.location.lock():
                yield
            return
        key = int.from_bytes(hashlib.sha256(self.location.name.encode()).digest()[:8], "big", signed=True)
        with self._engine.begin() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
            yield

    # Reading ---------------------------------------------------------------------------------------------------------

    def trials(self) -> list[TrialRecord]:
        """All trials in order of their numbers."""
        return [_record(trial) for trial in self.study.get_trials(deepcopy=False)]

    def predictions(self, number: int, split: Split) -> Predictions:
        """What a complete trial predicted. Raises BenchError where it is missing or does not match its digest."""
        query = select(PREDICTIONS.c.classes, PREDICTIONS.c.digest, PREDICTIONS.c.log_probs).where(
            PREDICTIONS.c.study == self.location.name,
            PREDICTIONS.c.trial == number,
            PREDICTIONS.c.split == str(split),
        )
        with self._engine.begin() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise BenchError(f"trial {number} of study {self.location.name!r} has no {split} predictions")
        if hashlib.sha256(row.log_probs).hexdigest() != row.digest:
            raise BenchError(f"the {split} predictions of trial {number} do not match their digest: damaged database")
        return Predictions(split, _matrix(row.log_probs, row.classes))

    def single_models(self) -> list[Entrant]:
        """Every complete trial as an entrant, in order of numbers."""
        return [
            Entrant(
                name=f"{trial.family}, default" if trial.is_default else f"{trial.family}, trial {trial.number}",
                kind="default" if trial.is_default else "tuned",
                family=trial.family,
                members=(trial.number,),
                weights=(1.0,),
                val=self.predictions(trial.number, Split.VAL),
                test=self.predictions(trial.number, Split.TEST),
                cost=trial.cost,
            )
            for trial in self.trials()
            if trial.state is TrialState.COMPLETE and trial.cost is not None
        ]

    def ensembles(self) -> list[Entrant]:
        """The ensembles that were stored, by name."""
        query = select(ENTRANTS).where(ENTRANTS.c.study == self.location.name).order_by(ENTRANTS.c.name)
        with self._engine.begin() as connection:
            rows = connection.execute(query).all()
        return [_entrant(row) for row in rows]

    def save_ensembles(self, entrants: Sequence[Entrant]) -> None:
        """Store ensembles; one of the same name is replaced."""
        if not entrants:
            return
        rows = [
            {
                "study": self.location.name,
                "name": entrant.name,
                "record": json.dumps(
                    as_jsonable(
                        {key: getattr(entrant, key) for key in ("kind", "family", "members", "weights", "cost")}
                    )
                ),
                "classes": entrant.val.log_probs.shape[1],
                "val_log_probs": np.ascontiguousarray(entrant.val.log_probs, "<f4").tobytes(),
                "test_log_probs": np.ascontiguousarray(entrant.test.log_probs, "<f4").tobytes(),
            }
            for entrant in entrants
        ]
        names = [entrant.name for entrant in entrants]
        with self._engine.begin() as connection:
            connection.execute(
                delete(ENTRANTS).where(ENTRANTS.c.study == self.location.name, ENTRANTS.c.name.in_(names))
            )
            connection.execute(insert(ENTRANTS), rows)

    def __str__(self) -> str:
        return visible_url(self.location.url)


def _is_foreign(study: optuna.Study, engine: sqlalchemy.Engine) -> bool:
    """Whether the study minimises, or has trials and nothing of ours beside them."""
    if study.direction is not optuna.study.StudyDirection.MAXIMIZE:
        return True
    if not study.get_trials(deepcopy=False) or "definition" in study.user_attrs:
        return False
    if not sqlalchemy.inspect(engine).has_table(LEASES.name):
        return True
    with engine.begin() as connection:
        found = [
            connection.execute(select(table.c.trial).where(table.c.study == study.study_name)).first()
            for table in (LEASES, PREDICTIONS)
        ]
    return found == [None, None]


def _is_gone(owner: str) -> bool:
    """Whether the owner is a process of this machine that no longer exists."""
    host, _, pid = owner.rpartition(":")
    # On Windows signal 0 is Ctrl-C and no question; there a lost trial waits for its lease to end.
    if host != socket.gethostname() or os.name == "nt":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _record(trial: FrozenTrial) -> TrialRecord:
    facts = trial.user_attrs
    state = _STATES[trial.state]
    duration = trial.duration.total_seconds() if trial.duration else 0.0
    reported = facts["curve"][-1] if facts.get("curve") else {}
    return TrialRecord(
        number=trial.number,
        state=state,
        family=str(trial.params.get("family", "unknown")),
        is_default=bool(facts.get("default", False)),
        parameters=dict(trial.params),
        val_accuracy=trial.value if state is TrialState.COMPLETE else None,
        cost=Cost(**facts["cost"]) if "cost" in facts else None,
        reason=facts.get("reason"),
        seconds=duration,
        device=str(facts.get("device", "")),
        train_seconds=reported.get("train_seconds", 0.0),
        evaluation_seconds=facts.get("evaluation_seconds", reported.get("evaluation_seconds", 0.0)),
    )


def _entrant(row: Any) -> Entrant:
    record = json.loads(row.record)
    entrant = Entrant(
        name=row.name,
        kind=record["kind"],
        family=record["family"],
        members=tuple(record["members"]),
        weights=None,
        val=Predictions(Split.VAL, _matrix(row.val_log_probs, row.classes)),
        test=Predictions(Split.TEST, _matrix(row.test_log_probs, row.classes)),
        cost=Cost(**record["cost"]),
    )
    return entrant if record["weights"] is None else replace(entrant, weights=tuple(record["weights"]))


def _matrix(blob: bytes, classes: int) -> NDArray[np.float32]:
    return np.frombuffer(blob, "<f4").reshape(-1, classes).astype(np.float32)
