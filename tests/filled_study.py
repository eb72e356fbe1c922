"""A study with invented predictions, for tests of what is done with a study once it has been searched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy

from benchmark.artifacts import Artifacts, Place
from benchmark.definition import StudySpec, parse_study
from benchmark.records import Cost, FileKind, Predictions, ProgressRecord, Split, StoredFile
from benchmark.store import Claim, StudyLocation, StudyStore
from benchmark.store.tables import FILES
from benchmark.study import note_command, open_for_search

DEFINITION = """\
dataset = "digits"
families = ["cnn", "vgg"]
augmentations = ["crop"]
optimizers = ["sgd"]
schedules = ["one_cycle"]
[split]
val = 297
[budget]
epochs = 1
reports = 2
[search]
trials = 5
[space]
batch_size = [64]
cnn.variant = ["plain"]
cnn.width = [16]
vgg.depth = [11]
vgg.width = [16]
"""


def spec(name: str = "tiny", **changes: str) -> StudySpec:
    """DEFINITION as a study, with texts in it replaced."""
    return parse_study(name, definition(**changes), "here")


def definition(old: str = "", new: str = "") -> str:
    """DEFINITION with one text replaced."""
    assert old in DEFINITION
    return DEFINITION.replace(old, new) if old else DEFINITION


def fill(root: Path, name: str = "tiny", complete: int = 3) -> StudyStore:
    """A study in `root` whose trials guess the true class, the earlier the better, and one that failed."""
    (root / "studies").mkdir(parents=True, exist_ok=True)
    (root / "studies" / f"{name}.toml").write_text(DEFINITION)
    store = open_for_search(spec(name), StudyLocation(name, root), None, lambda _: None)
    note_command(store, f"bench search {name}")
    for number in range(complete):
        complete_trial(store, number)
    failed = store.queue.claim(100, choose_family)
    assert isinstance(failed, Claim)
    store.queue.fail(failed.trial, "out of memory: asked for too much", {})
    return store


def complete_trial(store: StudyStore, noise: int, **facts: Any) -> None:
    """A trial that guesses the better the less `noise`; without any, it is the default."""
    claim = store.queue.claim(100, choose_family)
    assert isinstance(claim, Claim)
    predictions = (guess(store, Split.VAL, noise), guess(store, Split.TEST, noise))
    accuracy = (predictions[0].log_probs.argmax(axis=1) == store.labels(Split.VAL)).mean()
    known = {"cost": Cost(1000, 2000, 1.5, 0.1), "default": noise == 0, "device": "a processor"}
    assert store.queue.complete(claim.trial, float(accuracy), predictions, known | facts)


def keep_file(store: StudyStore, place: Place, name: str, trial: int, kind: FileKind, **record: Any) -> StoredFile:
    """A whole file of a trial that has ended, as its search left it; `record` belongs to a checkpoint."""
    file = Artifacts(place).write(name, hashlib.sha256(f"{store} {name} {record}".encode()).digest() * 100)
    whole = {"digest": file.digest, "bytes": file.bytes, "record": json.dumps(record) if record else None}
    store.files.announce(trial, kind, [name], place.label)
    with store._db.begin() as connection:
        row = (FILES.c.study == store.location.key, FILES.c.name == name)
        assert connection.execute(sqlalchemy.update(FILES).where(*row).values(whole)).rowcount == 1
    return file


def curve(reports: int) -> list[ProgressRecord]:
    """Reports of a trial that learns, 640 images apart."""
    return [
        ProgressRecord(step, 640 * step, 2.5 - step / 4, 2.4 - step / 5, 0.3 + step / 10, 0.1 / step, step, 0.5, 640.0)
        for step in range(1, reports + 1)
    ]


def choose_family(claim: Claim) -> None:
    """The one parameter that these trials have."""
    claim.trial.suggest_categorical("family", ("cnn", "vgg"))


def guess(store: StudyStore, split: Split, number: int) -> Predictions:
    """Noisy predictions of the true classes, noisier for later trials."""
    labels = store.labels(split)
    noise = np.random.default_rng([number, split is Split.TEST]).normal(size=(len(labels), 10))
    logits = noise * (1 + 0.2 * number) + 2.5 * np.eye(10)[labels]
    return Predictions(split, (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32))
