"""Whether everything is still there that a study stored: database, predictions, labels and files; mends nothing.

A search may run meanwhile: it writes one checkpoint of a trial while the other one counts, and lets files go. So what
looks damaged is looked up again before it is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.artifacts import Artifacts, Place, SpoiltFileError
from benchmark.errors import BenchError
from benchmark.metrics import correct_rows
from benchmark.records import FileKind, Split, TrialRecord, TrialState, digest_of_labels
from benchmark.search import best_trials
from benchmark.store import FileRow, StudyStore, storage_trouble

_ROUNDING = 1e-6


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    complete: int
    """Complete trials whose predictions were read."""
    files: int
    """Weights and latest checkpoints that were read."""
    elsewhere: int
    """Files at places that this machine does not see."""
    damage: tuple[str, ...]
    """One sentence each."""
    stray: tuple[str, ...]
    """Files that the database does not know: of no use, and of no harm."""


def verify(store: StudyStore, place: Place, keep_weights: int) -> Verified:
    """Read again what the study stored, against its digests.

    `place` is where files are looked for, `keep_weights` of how many of the best trials weights have to be there.
    Raises BenchError where files cannot be looked for, as where S3 is away.
    """
    try:
        trials, rows = store.trials(), store.files.rows()
        whole = _needed(store, rows)
    except Exception as error:
        # Whatever it is that cannot be read, and however that shows: nothing but damage makes it so.
        return Verified(0, 0, 0, (*_database(store), f"the trials cannot be read: {_in_words(error)}"), ())
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    here = [row for row in whole if row.place == place.label]
    damage = [
        *_database(store),
        *_labels(store),
        *(message for trial in complete for message in _predictions(store, trial)),
        *_ensembles(store),
        *_files(store, here, place),
        *_missing_weights(store, trials, rows, keep_weights),
    ]
    stray: tuple[str, ...] = ()
    if not place.is_s3 and Path(place.base).is_dir():
        found = {path.name for path in Path(place.base).iterdir()}
        stray = tuple(sorted(found - {row.name for row in (*rows, *store.files.rows())}))
    return Verified(len(complete), len(here), len(whole) - len(here), tuple(damage), stray)


def _database(store: StudyStore) -> Iterator[str]:
    try:
        yield from store.check()
    except Exception as error:
        yield f"the database cannot be read: {_in_words(error)}"


def _labels(store: StudyStore) -> Iterator[str]:
    digests = store.fact("label_digests") or {}
    for split in (Split.VAL, Split.TEST):
        try:
            digest = digest_of_labels(store.labels(split))
            if digests.get(split, digest) != digest:
                yield f"the {split} labels do not match their digest"
        except Exception as error:
            yield f"the {split} labels cannot be read: {_in_words(error)}"


def _predictions(store: StudyStore, trial: TrialRecord) -> Iterator[str]:
    for split in (Split.VAL, Split.TEST):
        try:
            predictions, labels = store.predictions(trial.number, split), store.labels(split)
        except Exception as error:
            yield f"trial {trial.number}: {_in_words(error)}"
            continue
        if len(predictions.log_probs) != len(labels):
            yield f"trial {trial.number}: {len(predictions.log_probs)} {split} predictions for {len(labels)} labels"
        elif split is Split.VAL and trial.val_accuracy is not None:
            found = float(correct_rows(predictions.log_probs, labels).mean())
            if abs(found - trial.val_accuracy) > _ROUNDING:
                yield (
                    f"trial {trial.number}: its predictions make a validation accuracy of {found:.4f}, and"
                    f" {trial.val_accuracy:.4f} is stored"
                )


def _ensembles(store: StudyStore) -> Iterator[str]:
    try:
        store.ensembles()
    except Exception as error:
        yield f"ensembles: {_in_words(error)}"


def _needed(store: StudyStore, rows: list[FileRow]) -> list[FileRow]:
    """The files that have to be whole: of a trial's two checkpoints the latest, since the other is written over."""
    latest = {checkpoint.file.name for checkpoint in store.files.checkpoints().values()}
    return [row for row in rows if row.file is not None and (row.kind is FileKind.WEIGHTS or row.name in latest)]


def _files(store: StudyStore, rows: list[FileRow], place: Place) -> Iterator[str]:
    artifacts = Artifacts(place)
    for row in rows:
        assert row.file is not None
        try:
            artifacts.read(row.file)
        except (SpoiltFileError, OSError) as error:
            if row in _needed(store, store.files.rows()):
                yield f"trial {row.trial}: {error}"


def _missing_weights(
    store: StudyStore, trials: list[TrialRecord], rows: list[FileRow], keep_weights: int
) -> Iterator[str]:
    missing = _without_weights(trials, rows, keep_weights)
    if missing:
        # They may have been among the best no longer when the files were read.
        still = _without_weights(store.trials(), store.files.rows(), keep_weights)
        missing = [number for number in missing if number in still]
    for number in missing:
        yield f"trial {number}: no weights are known, though it is among the best {keep_weights}"


def _without_weights(trials: list[TrialRecord], rows: list[FileRow], keep_weights: int) -> list[int]:
    have = {row.trial for row in rows if row.kind is FileKind.WEIGHTS and row.file is not None}
    return [number for number in best_trials(trials, keep_weights) if number not in have]


def _in_words(error: Exception) -> str:
    if isinstance(error, BenchError):
        return str(error)
    return storage_trouble(error) or f"{type(error).__name__}: {error}"
