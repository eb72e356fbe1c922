"""A study's ensembles, built from stored predictions and stored; trains nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmark.confirmation import RunsByPart, all_runs, confirmed_models, runs_by_part
from benchmark.datasets import Say
from benchmark.ensemble import (
    EnsembleSpec,
    SizePoint,
    build_ensembles,
    combine,
    contributions,
    methods_named,
    of_least_loss,
    size_curve,
    unasked,
    warnings_of,
    within,
)
from benchmark.errors import BenchError
from benchmark.leaderboard import SizeScore, select_singles
from benchmark.metrics import Estimate, correct_rows, estimated_share
from benchmark.records import Entrant, Predictions, Split, as_jsonable, count_complete
from benchmark.store import StudyStore, retried
from benchmark.study.stored import note_scored, single_models

_OVER_RUNS = ("soft_voting", "greedy_selection", "log_linear_pooling")
"""Methods that combine confirming runs of several configurations."""
_BUILDS = 3
"""Times that ensembles are built at most, until no other model was completed meanwhile."""


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
    singles, labels = single_models(store), store.labels(Split.VAL)
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
