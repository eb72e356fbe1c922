"""A study as a whole: opened for searching with its data and definition checked, and read back as a leaderboard.

Joins what other modules do; trains nothing and prints nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.artifacts import Artifacts, Place, beside_database, on_this_machine, place_at
from benchmark.confirmation import (
    ConfirmSpec,
    RunsByPart,
    add_to_plan,
    all_runs,
    confirmed_models,
    plan_of,
    plan_runs,
    runs_by_part,
    val_before,
)
from benchmark.datasets import Say, load_dataset
from benchmark.definition import StudySpec, load_study, stored_study
from benchmark.ensemble import (
    EnsembleSpec,
    Limits,
    SizePoint,
    build_ensembles,
    combine,
    contributions,
    methods_named,
    of_least_loss,
    recommend,
    size_curve,
    unasked,
    warnings_of,
    within,
)
from benchmark.errors import BenchError, MissingStudyError, UnknownNameError
from benchmark.importance import importances
from benchmark.leaderboard import Leaderboard, SizeScore, make_board, select_singles
from benchmark.metrics import Estimate, correct_rows, entrant_standing, estimated_share
from benchmark.origin import running_versions, source_commit
from benchmark.records import (
    Entrant,
    Origin,
    Predictions,
    RunPlan,
    Split,
    as_jsonable,
    count_complete,
    digest_of_labels,
)
from benchmark.robustness import corrupted_images, stored_accuracies
from benchmark.splits import stratified_split
from benchmark.store import StudyLocation, StudyStore, create_study, open_study, retried

_OVER_RUNS = ("soft_voting", "greedy_selection", "log_linear_pooling")
"""Methods that combine confirming runs of several configurations."""
_LARGE_SIDE = 64
"""Pixels, above which a small budget buys few images (docs/decisions.md)."""
_BUILDS = 3
"""Times that ensembles are built at most, until no other model was completed meanwhile."""
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
    dataset = load_dataset(spec.dataset, data_folder, say, spec.image_size)
    if spec.image_size is None and (shape := dataset.image_shape).within(_LARGE_SIDE) != shape:
        say(
            f"{dataset.name}: images of {shape.height} x {shape.width} pixels; where a trial sees few of them, as on a "
            f"CPU, image_size = {_LARGE_SIDE} in the definition makes them smaller"
        )
    rows = stratified_split(dataset.train.labels, spec.split.val, spec.split.seed, dataset.classes)
    if len(rows.val) < EnsembleSpec.folds:
        raise BenchError(
            f"{len(rows.val)} of {len(dataset.train)} training images for validation are too few to choose by: it "
            f"takes {EnsembleSpec.folds} at least; ask for more with val in the study's [split]"
        )
    store = create_study(location)
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


def _stored_definition(location: StudyLocation) -> StudySpec | None:
    """The definition that the study's database holds; None where there is no such study yet. Raises BenchError."""
    try:
        stored = open_study(location).fact("spec")
    except MissingStudyError:
        return None
    return None if stored is None else stored_study(location.name, stored)


def set_total(store: StudyStore, trials: int) -> None:
    """Store how many trials the study is to have in total, for workers that join."""
    if store.fact("trials") != trials:
        store.set_fact("trials", trials)


def place_of_files(store: StudyStore, artifacts: str | None = None) -> Place:
    """Where weights and checkpoints go: to `artifacts`, which is stored, else to where was said before.

    Else to the study's folder: beside its SQLite file, or of this machine where the database is elsewhere. Raises
    BenchError.
    """
    location = store.location
    if artifacts is not None:
        # Before trials are trained whose files nobody would keep.
        Artifacts(place_at(artifacts, _shelf(store))).try_out()
        # Workers run in folders of their own.
        told = artifacts if artifacts.startswith("s3:") else str(Path(artifacts).absolute())
        if store.fact("artifacts") != told:
            store.set_fact("artifacts", told)
    told = store.fact("artifacts")
    if told is not None:
        return place_at(told, _shelf(store))
    folder = location.folder / (location.part or "weights")
    return beside_database(folder) if location.is_usual else on_this_machine(folder)


def _shelf(store: StudyStore) -> str:
    """What its folder is called where studies of several databases, perhaps of one name, keep files.

    Studies of earlier versions have no id: their files stay where they are.
    """
    told: str | None = store.fact("id")
    return store.location.key if told is None else f"{store.location.key}-{told}"


def weights_kept(store: StudyStore) -> int:
    """Of how many of the study's best trials weights have to be there: the fewest that a search of it kept so far.

    A search that keeps more has no weights of trials that an earlier one let go.
    """
    kept: int | None = store.fact("weights_kept")
    if kept is not None:
        return kept
    # Studies of earlier versions do not have it; those before them kept no files either.
    spec: Mapping[str, Any] | None = store.fact("spec")
    return 0 if spec is None else spec["search"]["keep_weights"]


def note_command(store: StudyStore, command: str) -> None:
    """Add a command, and the source that runs it, to the study's origin; each once."""
    store.add_to_fact("commands", command)
    store.add_to_fact("commits", source_commit())


def ensembles_of(
    store: StudyStore, spec: EnsembleSpec | None = None, sizes: Sequence[int] = (), say: Say = lambda _: None
) -> list[Entrant]:
    """Build ensembles of the study's models from stored predictions, and store them. Raises BenchError.

    `spec` None asks for every method over the best 5, or as many as there are. `sizes` are numbers of members for which
    accuracy is told besides.
    """
    asked, seed = spec, store.fact("definition")["seed"]
    for _ in range(_BUILDS):
        models = _complete_models(store)
        spec = replace(asked or EnsembleSpec(top=min(EnsembleSpec.top, max(2, models[0]))), seed=seed)
        built, points = _built(store, spec, sizes)
        if _save_of(store, built, models):
            rows, classes = len(store.labels(Split.VAL)), len(store.fact("classes"))
            there = {one.method for one in built}
            for name, why in unasked(spec, spec.top, rows, classes).items() if models[0] > 1 else ():
                if name not in there:
                    say(f"note: {name} is left out: {why}; to have it all the same: --method {name}")
            for sentence in warnings_of(built, rows, classes):
                say(f"note: {sentence}")
            how = {"metric": spec.metric, "folds": spec.folds, "seed": spec.seed, "limits": as_jsonable(spec.limits)}
            store.set_fact("ensembles", how)
            if points:
                _store_sizes(store, points, models[0])
            return built
        say("other models were completed meanwhile; building again")
    raise BenchError("models are completed faster than ensembles are built; try again when fewer trials run")


def _built(store: StudyStore, spec: EnsembleSpec, sizes: Sequence[int]) -> tuple[list[Entrant], Sequence[SizePoint]]:
    """Ensembles of the models that there are, and accuracy over size. Raises BenchError."""
    singles, labels = _single_models(store), store.labels(Split.VAL)
    runs = runs_by_part(store)
    # A single model that was trained again with other seeds makes ensembles of these.
    searched = build_ensembles(singles, labels, spec) if len(singles) > 1 or not all_runs(runs) else []
    built = [*searched, *_ensembles_of_runs(runs, labels, spec)]
    members = [*singles, *all_runs(runs)]
    entrants = [*select_singles(singles, labels), *confirmed_models(runs, labels), *built]
    eligible = [one for one in entrants if within(spec.limits, one, members)]
    if not eligible:
        raise BenchError(f"no ensemble and no row of the leaderboard is within the limits: {spec.limits}")
    best = of_least_loss(eligible, labels, metric=spec.metric, folds=spec.folds, seed=spec.seed)
    built = [
        replace(one, contributions=contributions(one, members, labels, spec)) if one is best else one for one in built
    ]
    return built, size_curve(singles, labels, sizes, spec) if sizes and searched else ()


@retried
def _save_of(store: StudyStore, built: Sequence[Entrant], models: Sequence[int]) -> bool:
    """Store ensembles of so many models, unless there are others by now, the best of all perhaps; whether it did."""
    with store.exclusive():
        if _complete_models(store) != models:
            return False
        store.save_ensembles(built)
        return True


def _complete_models(store: StudyStore) -> list[int]:
    """How many models the search has, and every part."""
    return [count_complete(of.trials()) for of in (store, *store.parts().values())]


def _competing(store: StudyStore, singles: Sequence[Entrant], runs: RunsByPart) -> list[Entrant]:
    labels = store.labels(Split.VAL)
    return [*select_singles(singles, labels), *confirmed_models(runs, labels), *store.ensembles()]


def find_entrant(store: StudyStore, name: str) -> Entrant:
    """The entrant of that name on the leaderboard, or any complete trial of the search by its name or number.

    "recommended" is the one that `bench ensemble` recommends, and "best" the single model that is first by validation,
    a confirmed one included, as for the leaderboard. Raises UnknownNameError.
    """
    labels, singles, runs = store.labels(Split.VAL), _single_models(store), runs_by_part(store)
    entrants = _competing(store, singles, runs)
    if name == "best":
        return min((one for one in entrants if one.is_single), key=lambda one: entrant_standing(one, labels))
    if name == "recommended":
        eligible = _eligible(store, entrants, [*singles, *all_runs(runs)])
        return of_least_loss(eligible.entrants, labels, **eligible.how)
    number = name.removeprefix("trial ").strip()
    # A single model may have a row for its cost alone, see make_board.
    by_name = {one.name: one for one in (*singles, *entrants)}
    by_number = {str(one.members[0]): one for one in singles}
    if name not in by_name and number not in by_number:
        listed = [one.name for one in entrants]
        raise UnknownNameError("entrant", name, ["recommended", "best", *listed, "a trial's number"])
    return by_name.get(name) or by_number[number]


def leaderboard_of(store: StudyStore) -> Leaderboard:
    """Every family's default and best tuned model and every stored ensemble, scored. Raises BenchError."""
    singles = _single_models(store)
    val_labels = store.labels(Split.VAL)
    runs = runs_by_part(store)
    entrants = _competing(store, singles, runs)
    eligible = _eligible(store, entrants, [*singles, *all_runs(runs)])
    recommendation = recommend(eligible.entrants, val_labels, **eligible.how)
    # A single model of an ensemble's cost may get a row as well.
    measured = stored_accuracies(store, [*singles, *entrants])
    board = make_board(
        entrants,
        val_labels,
        store.labels(Split.TEST),
        tuple(store.fact("classes")),
        store.trials_to_show(),
        _origin(store),
        singles=singles,
        runs=all_runs(runs),
        confirming=[part.trials_to_show() for part in store.parts().values()],
        recommendation=replace(
            recommendation,
            limits=eligible.limits,
            are_limits_kept=eligible.are_limits_kept,
            are_ensembles_gone=bool(store.fact("ensembles")) and not any(one.recipe for one in entrants),
        ),
        sizes=_stored_sizes(store),
        importances=tuple(importances(store).values()),
        corruption_accuracies=measured,
    )
    # Whatever has a row was scored on test by now.
    scored = note_scored(store, (seen for row in board.rows for seen in (row.entrant.test, *row.entrant.replicates)))
    return replace(board, scored=scored, corrupted=corrupted_images(store))


@dataclass(frozen=True)
class _Eligible:
    """What may be recommended, and by which rule."""

    entrants: Sequence[Entrant]
    how: Mapping[str, Any]
    """Options of `recommend` and `of_least_loss`."""
    limits: str
    """In words; empty where there are none."""
    are_limits_kept: bool
    """Not where nothing is within them any more: then all entrants are eligible."""


def _eligible(store: StudyStore, entrants: Sequence[Entrant], members: Sequence[Entrant]) -> _Eligible:
    """As ensembles were asked for last. Another trial may have made those obsolete that kept the limits."""
    how = dict(store.fact("ensembles") or {})
    limits = Limits(**how.pop("limits", {}))
    eligible = [one for one in entrants if within(limits, one, members)]
    return _Eligible(eligible or entrants, how, str(limits), bool(eligible))


def note_scored(store: StudyStore, scored: Iterable[Predictions]) -> int:
    """Remember which predictions were scored on test; how many there have been, as far as the study may be written."""
    new = sorted({predictions.digest[:16] for predictions in scored} - set(store.fact("test_scored") or ()))
    if new and store.is_writable:
        store.add_to_fact("test_scored", *new)
        new = []
    return len(store.fact("test_scored") or ()) + len(new)


def _single_models(store: StudyStore) -> list[Entrant]:
    singles = store.single_models()
    if not singles:
        raise BenchError(f"study {store.location.name!r} has no complete trial yet; run: bench search first")
    return singles


def _ensembles_of_runs(by_part: RunsByPart, labels: NDArray[np.int64], spec: EnsembleSpec) -> list[Entrant]:
    """Ensembles over confirming runs: of each configuration over its seeds, and by some methods over all of them."""
    asked = {*methods_named(spec.methods), *(_OVER_RUNS if "auto" in spec.methods else ())}
    over_all = [name for name in _OVER_RUNS if name in asked]
    built = []
    for part, by_title in by_part.items():
        for title, runs in by_title.items():
            built.append(combine(f"{title}, ensembled", "soft_voting", runs, labels, spec, runs[0].family))
        everything = [run for runs in by_title.values() for run in runs]
        if len(by_title) > 1:
            for name in over_all:
                built.append(combine(f"{name.replace('_', ' ')}, {part} runs", name, everything, labels, spec))
    return [one for one in built if one is not None]


def _store_sizes(store: StudyStore, points: Sequence[SizePoint], singles: int) -> None:
    labels = {split: store.labels(split) for split in (Split.VAL, Split.TEST)}
    found = []
    for point in points:
        val, test = (
            _accuracy(predictions, labels[predictions.split]) for predictions in (point.fitted.val, point.fitted.test)
        )
        found.append(SizeScore(point.curve, point.size, point.members, val, test))
    store.set_fact("size_curve", {"singles": singles, "points": as_jsonable(found)})
    note_scored(store, (point.fitted.test for point in points))


def _accuracy(predictions: Predictions, labels: NDArray[np.int64]) -> Estimate:
    return estimated_share(int(np.count_nonzero(correct_rows(predictions.log_probs, labels))), len(labels))


def _stored_sizes(store: StudyStore) -> list[SizeScore]:
    """The scores over size, unless there are other single models by now than it was made of."""
    curve = store.fact("size_curve")
    # Points without a size are an earlier version's, which called it members.
    if curve is None or curve["singles"] != count_complete(store.trials()) or "size" not in curve["points"][0]:
        return []
    return [
        SizeScore(
            stored["curve"],
            stored["size"],
            stored["members"],
            Estimate(**stored["val_accuracy"]),
            Estimate(**stored["test_accuracy"]),
        )
        for stored in curve["points"]
    ]


def _origin(store: StudyStore) -> Origin:
    rows: Mapping[str, int] = store.fact("rows")
    definition: Mapping[str, Any] = store.fact("definition")
    devices = sorted({trial.device for trial in store.trials() if trial.device})
    return Origin(
        study=store.location.name,
        commit=", ".join(store.fact("commits") or ()),
        commands=tuple(store.fact("commands") or ()),
        seed=definition["seed"],
        split_seed=definition["split.seed"],
        dataset=store.fact("dataset"),
        dataset_fingerprint=store.fact("fingerprint"),
        split_digest=store.fact("split_digest"),
        train_rows=rows["train"],
        val_rows=rows["val"],
        test_rows=rows["test"],
        device=", ".join(devices),
        versions=store.fact("versions"),
        page_commit=source_commit(),
    )


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
