"""A study opened for training, with its data and its definition checked; trains nothing."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmark.confirmation import ConfirmSpec, add_to_plan, plan_of, plan_runs, val_before
from benchmark.datasets import Say, dataset_of_size
from benchmark.definition import StudySpec, load_study, stored_study
from benchmark.ensemble import EnsembleSpec
from benchmark.errors import BenchError, MissingStudyError
from benchmark.origin import running_versions
from benchmark.records import SMALLEST_SIDE, Dataset, RunPlan, Split, as_jsonable, digest_of_labels
from benchmark.splits import stratified_split
from benchmark.store import StudyLocation, StudyStore, create_study, open_study, retried
from benchmark.study.stored import set_total, weights_kept

_LARGE_SIDE = 64
"""Pixels, above which a small budget buys few images (docs/decisions.md)."""
_COMPARED_VERSIONS = ("ensemble-bench", "torch", "torchvision", "timm", "optuna")
"""Versions that have to stay the same within a study; the others are noted only."""


def open_for_search(spec: StudySpec, location: StudyLocation, data_folder: Path | None, say: Say) -> StudyStore:
    """Load the data, make or open the study, and see that it asks what it asked before.

    Raises BenchError where the definition names what does not exist, the data cannot be had, or the definition, the
    data or a library's version has changed.
    """
    # Loads torch, which reading a study need not.
    from benchmark.space import Space

    # Before it is stored, and can no longer be mended.
    Space(spec)
    dataset = dataset_of_size(spec.dataset, data_folder, say, spec.image_size)
    rows = stratified_split(dataset.train.labels, spec.split.val, spec.split.seed, dataset.classes)
    if len(rows.val) < EnsembleSpec.folds:
        raise BenchError(
            f"{len(rows.val)} of {len(dataset.train)} training images for validation are too few to choose by: it "
            f"takes {EnsembleSpec.folds} at least; ask for more with val in the study's [split]"
        )
    store = create_study(location)
    if not location.part and store.fact("definition") is None:
        # Later it could no longer be followed.
        _tell_of_size(spec, dataset, say)
    labels = {Split.VAL: dataset.train.labels[rows.val], Split.TEST: dataset.test.labels}
    facts: dict[str, Any] = {
        "definition": spec.identity(),
        "dataset": dataset.name,
        "fingerprint": dataset.fingerprint,
        "split_digest": rows.digest,
        "classes": list(dataset.classes),
        "label_digests": {str(split): digest_of_labels(values) for split, values in labels.items()},
        "rows": {"train": len(rows.train), "val": len(rows.val), "test": len(dataset.test)},
        "versions": running_versions(),
    }
    _settle(store, spec, facts)
    for split, values in labels.items():
        store.set_labels(split, values)
    return store


def open_to_join(location: StudyLocation, data_folder: Path | None, say: Say) -> tuple[StudySpec, StudyStore]:
    """Open a study for a worker that joins: definition and number of trials are its database's.

    Where the database has no such study yet, it is begun with the definition at hand. Raises BenchError.
    """
    spec = _stored_definition(location) or load_study(location.name, location.root)
    store = open_for_search(spec, location, data_folder, say)
    if store.fact("trials") is None:
        set_total(store, spec.search.trials)
    return spec, store


def open_to_confirm(
    store: StudyStore, asked: ConfirmSpec, data_folder: Path | None, say: Say
) -> tuple[StudySpec, StudyStore, RunPlan]:
    """Plan the runs of a confirmation and open the part of the study that holds them; definition, part and plan.

    What was planned before stays planned. Runs that train on validation rows have nothing left to be chosen by: neither
    their weights nor their end are, and their validation predictions are those that their trials made before. Raises
    BenchError where the search has too few complete trials, or was made by another version of a library.
    """
    stored = store.fact("spec")
    if stored is None:
        raise BenchError(f"study {store.location.name!r} was made by an earlier version and cannot be confirmed")
    spec = stored_study(store.location.name, stored)
    runs = plan_runs(store, asked, spec.seed)
    budget = spec.budget
    if asked.is_longer:
        budget = replace(budget, epochs=asked.epochs, seconds=asked.seconds, adapts=asked.seconds is not None)
    else:
        # Of the images that the trial had, whatever the clock says.
        budget = replace(budget, adapts=False)
    if asked.train_on != "train":
        budget = replace(budget, patience=0)
    # A limit that the study gives is meant for its short trials; 0 is none for any.
    timeout = None if asked.is_longer and spec.search.trial_timeout else spec.search.trial_timeout
    # All of them may vote, and are to be asked again: those of earlier plans as well.
    before = store.parts().get(asked.part)
    planned = {run.key for run in [*([] if before is None else plan_of(before)), *runs]}
    kept = max(spec.search.keep_weights, len(planned)) if spec.search.keep_weights else 0
    search = replace(spec.search, pruner="none", trial_timeout=timeout, keep_weights=kept)
    spec = replace(spec, budget=budget, search=search)
    part = open_for_search(spec, replace(store.location, part=asked.part), data_folder, say)
    if store.fact("artifacts") is not None and part.fact("artifacts") is None:
        part.set_fact("artifacts", store.fact("artifacts"))
    if part.fact("trained_on") is None:
        part.set_fact("trained_on", asked.train_on)
    plan = add_to_plan(part, runs)
    return spec, part, RunPlan(tuple(plan), {} if asked.train_on == "train" else val_before(store, plan))


def _tell_of_size(spec: StudySpec, dataset: Dataset, say: Say) -> None:
    """Where images could be smaller, or were to be and are not."""
    shape = dataset.image_shape
    smaller = shape.within(_LARGE_SIDE)
    if spec.image_size is not None and max(shape.height, shape.width) < spec.image_size:
        say(f"image_size = {spec.image_size} changes nothing: images of {shape.height} x {shape.width} pixels")
    if spec.image_size is None and smaller != shape and min(smaller.height, smaller.width) >= SMALLEST_SIDE:
        say(
            f"{dataset.name}: images of {shape.height} x {shape.width} pixels; where a trial sees few of them, as on a "
            f"CPU, image_size = {_LARGE_SIDE} in the definition of a new study makes them smaller"
        )


@retried
def _settle(store: StudyStore, spec: StudySpec, facts: Mapping[str, Any]) -> None:
    """See that the stored facts are these, and store what is missing of them. Raises BenchError."""
    with store.exclusive():
        _refuse_changes(spec.name, store, facts)
        if store.fact("definition") is None and store.fact("id") is None:
            # First, since by its definition a study is no longer new.
            store.set_fact("id", uuid.uuid4().hex[:12])
        for key, value in facts.items():
            if store.fact(key) is None:
                store.set_fact(key, value)
        kept = min(weights_kept(store), spec.search.keep_weights) if store.fact("spec") else spec.search.keep_weights
        if store.fact("weights_kept") != kept:
            store.set_fact("weights_kept", kept)
        # With the keys that may change from call to call: for workers that have no definition at hand.
        if store.fact("spec") != as_jsonable(spec):
            store.set_fact("spec", as_jsonable(spec))


def _refuse_changes(name: str, store: StudyStore, facts: Mapping[str, Any]) -> None:
    """Trials of two definitions, data sets or library versions do not compare: say what differs and how to go on.

    Raises BenchError.
    """
    differences = []
    for topic in ("definition", "fingerprint", "split_digest", "versions"):
        stored = store.fact(topic)
        if stored is None:
            continue
        before = stored if isinstance(stored, Mapping) else {topic: stored}
        now = facts[topic] if isinstance(facts[topic], Mapping) else {topic: facts[topic]}
        keys = {*before, *now} if topic != "versions" else _COMPARED_VERSIONS
        for key in sorted(keys):
            if before.get(key) != now.get(key):
                differences.append(f"  {key}: {before.get(key)!r} in the database, {now.get(key)!r} now")
    if differences:
        # The study of `bench run` has no definition of its own.
        is_defined = (store.location.root / "studies" / f"{name}.toml").exists()
        elsewhere = "in a new --root" if store.location.storage is None else "with another --storage"
        new = f"copy studies/{name}.toml to studies/NEW.toml and run: bench search NEW" if is_defined else elsewhere
        raise BenchError(
            f"study {name!r} was begun with another definition, data or versions:\n"
            + "\n".join(differences)
            + f"\nRestore them, or start a new study: {new}"
        )


def _stored_definition(location: StudyLocation) -> StudySpec | None:
    """The definition that the study's database holds; None where there is no such study yet. Raises BenchError."""
    try:
        stored = open_study(location).fact("spec")
    except MissingStudyError:
        return None
    return None if stored is None else stored_study(location.name, stored)
