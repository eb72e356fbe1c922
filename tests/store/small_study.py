"""A small study for tests of the store, and what they do with it."""

from __future__ import annotations

import itertools
import os

import numpy as np
import optuna
import sqlalchemy

from benchmark.records import Cost, Predictions, Split
from benchmark.store import Claim, StudyStore, open_study
from benchmark.store.tables import LEASES

COST = Cost(10, 20, 1.5, 0.25)
_OTHERS = itertools.count(1)
FACTS = {"cost": COST, "device": "abacus", "default": True}


def again(store: StudyStore) -> StudyStore:
    """The same study as a process of another machine sees it."""
    other = open_study(store.location)
    other.queue.owner = f"elsewhere:machine:{os.getpid()}:{next(_OTHERS)}"
    return other


def prepare(claim: Claim) -> None:
    """The one parameter that these trials have."""
    claim.trial.suggest_categorical("family", ("cnn", "resnet"))
    claim.trial.set_user_attr("default", False)


def claimed(store: StudyStore, total: int = 99) -> optuna.Trial:
    """A trial of this process."""
    claim = store.queue.claim(total, prepare)
    assert isinstance(claim, Claim)
    return claim.trial


def predictions(split: Split, seed: int = 0, rows: int = 7) -> Predictions:
    """Random ones, of three classes."""
    probs = np.random.default_rng(seed).dirichlet(np.ones(3), rows)
    return Predictions(split, np.log(probs).astype(np.float32))


BOTH = (predictions(Split.VAL), predictions(Split.TEST, seed=1))


def count(store: StudyStore, table: sqlalchemy.Table) -> int:
    """Rows of a table."""
    with store._db.begin() as connection:
        return len(connection.execute(sqlalchemy.select(table)).all())


def expire(store: StudyStore) -> None:
    """Let all leases end now."""
    with store._db.begin() as connection:
        connection.execute(sqlalchemy.update(LEASES).values(expires_at=0.0))
