"""One open study: its facts, trials, predictions and ensembles; decides nothing about them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import sqlalchemy
from numpy.typing import NDArray
from optuna.storages import RDBStorage
from sqlalchemy import delete, insert, select

from benchmark.errors import BenchError, MissingStudyError
from benchmark.records import (
    Cost,
    Entrant,
    Predictions,
    ProgressRecord,
    Split,
    TrialDetails,
    TrialRecord,
    TrialState,
    as_jsonable,
)
from benchmark.store.connection import connect, connect_to_copy, making
from benchmark.store.database import Database
from benchmark.store.files import FileTable
from benchmark.store.location import StudyLocation, can_write, visible_url
from benchmark.store.queue import TrialQueue
from benchmark.store.retrying import retried
from benchmark.store.tables import ENTRANTS, LABELS, LEASES, LONGEST_KEY, METADATA, PREDICTIONS
from benchmark.store.trials import curve_of, details_of, record_of

_ENTRANT_KEYS = (
    "kind",
    "family",
    "members",
    "weights",
    "cost",
    "method",
    "contributions",
    "part",
    "recipe",
    "trained_on",
)


@retried
def create_study(location: StudyLocation) -> StudyStore:
    """Open the study, making database, tables and study where they are missing. Raises BenchError."""
    if location.database is None and len(location.key) > LONGEST_KEY:
        raise BenchError(f"a server holds names of at most {LONGEST_KEY} characters, and not {location.key}")
    with making(location):
        storage = connect(location)
        study = optuna.create_study(study_name=location.key, storage=storage, direction="maximize", load_if_exists=True)
        if _is_foreign(study, storage.engine):
            raise BenchError(
                f"study {location.name!r} in {visible_url(location.url)} is of another program; nothing was changed:"
                " choose another study name or --storage"
            )
        METADATA.create_all(storage.engine)
    return StudyStore(Database(location, study, storage.engine))


@retried
def open_study(location: StudyLocation, *, to_read: bool = False) -> StudyStore:
    """Open a study that exists. Raises BenchError where it does not.

    `to_read`: the folder need not be writable. Then nothing is, and what would be noted is left out.
    """
    database = location.database
    missing = f"study {location.name!r} has no trials yet; run: bench search {location.name}"
    if database is not None and not database.exists():
        raise MissingStudyError(missing)
    if to_read and not can_write(location):
        return _existing(location, connect_to_copy(location), missing)
    # Opening makes what is missing of the tables: never beside another process that is just making them.
    with making(location):
        return _existing(location, connect(location), missing)


def _existing(location: StudyLocation, storage: RDBStorage, missing: str) -> StudyStore:
    try:
        study = optuna.load_study(study_name=location.key, storage=storage)
    except KeyError:
        raise MissingStudyError(missing) from None
    METADATA.create_all(storage.engine)
    return StudyStore(Database(location, study, storage.engine))


class StudyStore:
    """One open study: what is known of it, its `queue` for those who run trials, and the `files` that they keep."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self.files = FileTable(database)
        self.queue = TrialQueue(database, self.files)

    @property
    def location(self) -> StudyLocation:
        """Where the study lives."""
        return self._db.location

    @property
    def study(self) -> optuna.Study:
        """Optuna's view of the study."""
        return self._db.study

    @property
    def is_writable(self) -> bool:
        """Whether this process may write where the study is."""
        return can_write(self.location)

    def exclusive(self) -> AbstractContextManager[None]:
        """Held by one process at a time, of all that work on the study."""
        return self._db.exclusive()

    # Facts about the study -------------------------------------------------------------------------------------------

    @retried
    def fact(self, key: str) -> Any:
        """A stored fact about the study (JSON), or None."""
        return self.study.user_attrs.get(key)

    @retried
    def set_fact(self, key: str, value: Any) -> None:
        """Store a fact about the study (JSON)."""
        self.study.set_user_attr(key, value)

    @retried
    def add_to_fact(self, key: str, *items: Any) -> None:
        """Append to a stored list, made where it is missing, what is not yet in it; safe beside other processes."""
        with self.exclusive():
            stored = self.fact(key) or []
            new = [item for item in items if item not in stored]
            if new:
                self.set_fact(key, [*stored, *new])

    @retried
    def labels(self, split: Split) -> NDArray[np.int64]:
        """True classes (N,) of the validation or test rows."""
        query = select(LABELS.c.labels).where(LABELS.c.study == self._db.name, LABELS.c.split == str(split))
        with self._db.begin() as connection:
            blob = connection.execute(query).scalar_one_or_none()
        if blob is None:
            raise BenchError(f"study {self._db.name!r} holds no {split} labels; it was not made by bench search")
        return np.frombuffer(blob, "<i8").astype(np.int64)

    @retried
    def set_labels(self, split: Split, labels: NDArray[np.int64]) -> None:
        """Store the true classes (N,) of a split, once; stored ones are kept."""
        row = {"study": self._db.name, "split": str(split), "labels": labels.astype("<i8").tobytes()}
        with self.exclusive(), self._db.begin() as connection:
            there = select(LABELS.c.split).where(LABELS.c.study == self._db.name, LABELS.c.split == str(split))
            if connection.execute(there).first() is None:
                connection.execute(insert(LABELS).values(row))

    @retried
    def parts(self) -> dict[str, StudyStore]:
        """What else was trained for this study and is kept beside it, by name and in its order, on one connection."""
        prefix = f"{self.location.name}+"
        keys = optuna.get_all_study_names(storage=self.study._storage)
        names = sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))
        return {name: self._part(name) for name in names}

    def _part(self, name: str) -> StudyStore:
        location = replace(self.location, part=name)
        study = optuna.load_study(study_name=location.key, storage=self.study._storage)
        return StudyStore(Database(location, study, self._db.engine))

    def check(self) -> list[str]:
        """What is damaged in the database itself, as far as it can tell; empty where nothing is. Reads all of it."""
        with self._db.begin() as connection:
            if connection.dialect.name != "sqlite":
                return []
            verdicts = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
        return [str(verdict) for verdict in verdicts if verdict != "ok"]

    # Reading ---------------------------------------------------------------------------------------------------------

    @retried
    def trials(self) -> list[TrialRecord]:
        """All trials in order of their numbers, with the states that are noted."""
        return [record_of(trial) for trial in self.study.get_trials(deepcopy=False)]

    @retried
    def trials_to_show(self) -> list[TrialRecord]:
        """As `trials`, but that one has failed whose process has gone or whose lease has ended, though none noted it.

        Not for who decides about its files: a process that was paused may go on with it.
        """
        trials = self.study.get_trials(deepcopy=False)
        vanished = self.queue.vanished(trials)
        return [record_of(trial, vanished.get(trial.number)) for trial in trials]

    @retried
    def trial(self, number: int) -> TrialDetails:
        """One trial, as in `trials_to_show`, with the course of its training. Raises BenchError where there is none."""
        trials = self.study.get_trials(deepcopy=False)
        if not 0 <= number < len(trials):
            known = f"trials 0 to {len(trials) - 1}" if trials else "no trial yet"
            raise BenchError(f"there is no trial {number}: study {self._db.name!r} has {known}")
        lived = self.queue.vanished([trials[number]]).get(number)
        return details_of(trials[number], self._trained_on, lived)

    @property
    def _trained_on(self) -> str:
        return str(self.fact("trained_on") or "train")

    @retried
    def curves(self) -> list[tuple[ProgressRecord, ...]]:
        """The reports in full of every trial (see `TrialDetails.curve`), in order of their numbers."""
        return [curve_of(trial) for trial in self.study.get_trials(deepcopy=False)]

    @retried
    def predictions(self, number: int, split: Split) -> Predictions:
        """What a complete trial predicted. Raises BenchError where it is missing or does not match its digest."""
        query = select(PREDICTIONS.c.classes, PREDICTIONS.c.digest, PREDICTIONS.c.log_probs).where(
            PREDICTIONS.c.study == self._db.name,
            PREDICTIONS.c.trial == number,
            PREDICTIONS.c.split == str(split),
        )
        with self._db.begin() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise BenchError(f"trial {number} of study {self._db.name!r} has no {split} predictions")
        if hashlib.sha256(row.log_probs).hexdigest() != row.digest:
            raise BenchError(f"the {split} predictions of trial {number} do not match their digest: damaged database")
        return Predictions(split, _matrix(row.log_probs, row.classes))

    def single_models(self) -> list[Entrant]:
        """Every complete trial as an entrant, in order of numbers."""
        trained_on = self._trained_on
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
                part=self.location.part,
                trained_on=trained_on,
            )
            for trial in self.trials()
            if trial.state is TrialState.COMPLETE and trial.cost is not None
        ]

    @retried
    def ensembles(self) -> list[Entrant]:
        """The ensembles that were stored, by name."""
        query = select(ENTRANTS).where(ENTRANTS.c.study == self._db.name).order_by(ENTRANTS.c.name)
        with self._db.begin() as connection:
            rows = connection.execute(query).all()
        return [_entrant(row) for row in rows]

    @retried
    def save_ensembles(self, entrants: Sequence[Entrant]) -> None:
        """Store ensembles; one of the same name is replaced."""
        if not entrants:
            return
        rows = [
            {
                "study": self._db.name,
                "name": entrant.name,
                "record": json.dumps(
                    as_jsonable(
                        {key: getattr(entrant, key) for key in _ENTRANT_KEYS}
                        | {"digests": [entrant.val.digest, entrant.test.digest]}
                    )
                ),
                "classes": entrant.val.log_probs.shape[1],
                "val_log_probs": np.ascontiguousarray(entrant.val.log_probs, "<f4").tobytes(),
                "test_log_probs": np.ascontiguousarray(entrant.test.log_probs, "<f4").tobytes(),
            }
            for entrant in entrants
        ]
        names = [entrant.name for entrant in entrants]
        with self._db.begin() as connection:
            connection.execute(delete(ENTRANTS).where(ENTRANTS.c.study == self._db.name, ENTRANTS.c.name.in_(names)))
            connection.execute(insert(ENTRANTS), rows)

    def __str__(self) -> str:
        location = self.location
        return f"sqlite:///{location.database}" if location.storage is None else visible_url(location.url)


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


def _entrant(row: Any) -> Entrant:
    record = json.loads(row.record)
    digests = [hashlib.sha256(blob).hexdigest() for blob in (row.val_log_probs, row.test_log_probs)]
    if record.get("digests", digests) != digests:
        raise BenchError(f"the predictions of {row.name!r} do not match their digest: damaged database")
    entrant = Entrant(
        name=row.name,
        kind=record["kind"],
        family=record["family"],
        members=tuple(record["members"]),
        weights=None,
        val=Predictions(Split.VAL, _matrix(row.val_log_probs, row.classes)),
        test=Predictions(Split.TEST, _matrix(row.test_log_probs, row.classes)),
        cost=Cost(**record["cost"]),
        method=record.get("method", ""),
        part=record.get("part", ""),
        recipe=record.get("recipe"),
        trained_on=record.get("trained_on", "train"),
        contributions=None if record.get("contributions") is None else tuple(record["contributions"]),
    )
    return entrant if record["weights"] is None else replace(entrant, weights=tuple(record["weights"]))


def _matrix(blob: bytes, classes: int) -> NDArray[np.float32]:
    return np.frombuffer(blob, "<f4").reshape(-1, classes).astype(np.float32)
