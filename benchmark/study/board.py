"""A study read back: its leaderboard, and any entrant by its name; builds nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmark.confirmation import RunsByPart, all_runs, confirmed_models, runs_by_part
from benchmark.ensemble import Limits, of_least_loss, recommend, within
from benchmark.errors import UnknownNameError
from benchmark.importance import importances
from benchmark.leaderboard import Leaderboard, SizeScore, make_board, select_singles
from benchmark.metrics import Estimate, entrant_standing
from benchmark.origin import source_commit
from benchmark.records import Entrant, Origin, Split, count_complete
from benchmark.robustness import corrupted_images, stored_accuracies
from benchmark.store import StudyStore
from benchmark.study.stored import note_scored, single_models


def find_entrant(store: StudyStore, name: str) -> Entrant:
    """The entrant of that name on the leaderboard, or any complete trial of the search by its name or number.

    "recommended" is the one that `bench ensemble` recommends, and "best" the single model that is first by validation,
    a confirmed one included, as for the leaderboard. Raises UnknownNameError.
    """
    labels, singles, runs = store.labels(Split.VAL), single_models(store), runs_by_part(store)
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
    singles = single_models(store)
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


def _competing(store: StudyStore, singles: Sequence[Entrant], runs: RunsByPart) -> list[Entrant]:
    labels = store.labels(Split.VAL)
    return [*select_singles(singles, labels), *confirmed_models(runs, labels), *store.ensembles()]


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
