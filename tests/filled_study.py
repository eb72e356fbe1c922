"""A study with invented predictions, for tests of what is done with a study once it has been searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.definition import StudySpec, parse_study
from benchmark.records import Cost, Predictions, Split
from benchmark.store import Claim, StudyLocation, StudyStore
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
        claim = store.queue.claim(100, choose_family)
        assert isinstance(claim, Claim)
        trial = claim.trial
        predictions = (guess(store, Split.VAL, number), guess(store, Split.TEST, number))
        accuracy = (predictions[0].log_probs.argmax(axis=1) == store.labels(Split.VAL)).mean()
        facts = {"cost": Cost(1000, 2000, 1.5, 0.1), "default": number == 0, "device": "a processor"}
        assert store.queue.complete(trial, float(accuracy), predictions, facts)
    failed = store.queue.claim(100, choose_family)
    assert isinstance(failed, Claim)
    store.queue.fail(failed.trial, "out of memory: asked for too much", {})
    return store


def choose_family(claim: Claim) -> None:
    """The one parameter that these trials have."""
    claim.trial.suggest_categorical("family", ("cnn", "vgg"))


def guess(store: StudyStore, split: Split, number: int) -> Predictions:
    """Noisy predictions of the true classes, noisier for later trials."""
    labels = store.labels(split)
    noise = np.random.default_rng([number, split is Split.TEST]).normal(size=(len(labels), 10))
    logits = noise * (1 + 0.2 * number) + 2.5 * np.eye(10)[labels]
    return Predictions(split, (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32))
