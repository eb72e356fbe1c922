"""What a study has stored beside its trials: its total, its files' place, its commands, and what was scored on test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmark.artifacts import Artifacts, Place, beside_database, on_this_machine, place_at
from benchmark.errors import BenchError
from benchmark.origin import source_commit
from benchmark.records import Entrant, Predictions
from benchmark.store import StudyStore


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


def note_scored(store: StudyStore, scored: Iterable[Predictions]) -> int:
    """Remember which predictions were scored on test; how many there have been, as far as the study may be written."""
    new = sorted({predictions.digest[:16] for predictions in scored} - set(store.fact("test_scored") or ()))
    if new and store.is_writable:
        store.add_to_fact("test_scored", *new)
        new = []
    return len(store.fact("test_scored") or ()) + len(new)


def single_models(store: StudyStore) -> list[Entrant]:
    """The complete trials of the search as entrants. Raises BenchError where there is none."""
    singles = store.single_models()
    if not singles:
        raise BenchError(f"study {store.location.name!r} has no complete trial yet: search it first")
    return singles


def _shelf(store: StudyStore) -> str:
    """What its folder is called where studies of several databases, perhaps of one name, keep files.

    Studies of earlier versions have no id: their files stay where they are.
    """
    told: str | None = store.fact("id")
    return store.location.key if told is None else f"{store.location.key}-{told}"
