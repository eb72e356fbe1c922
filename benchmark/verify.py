"""Whether everything is still there that a study stored: database, predictions, labels and files; mends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmark.artifacts import Artifacts, Place, SpoiltFileError
from benchmark.errors import BenchError
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
    """Weights and checkpoints that were read."""
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
    except Exception as error:
        # Whatever it is that cannot be read, and however that shows: nothing but damage makes it so.
        return Verified(0, 0, 0, (*_database(store), f"the trials cannot be read: {_in_words(error)}"), ())
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    whole = [row for row in rows if row.file is not None]
    here = [row for row in whole if row.place == place.label]
    damage = [
        *_database(store),
        *_labels(store),
        *(message for trial in complete for message in _predictions(store, trial)),
        *_ensembles(store),
        *_files(here, place),
        *_missing_weights(trials, whole, keep_weights),
    ]
    stray: tuple[str, ...] = ()
    if not place.is_s3 and Path(place.base).is_dir():
        known = {row.name for row in rows}
        stray = tuple(sorted(path.name for path in Path(place.base).iterdir() if path.name not in known))
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
            accuracy = float((predictions.log_probs.argmax(axis=1) == labels).mean())
            if abs(accuracy - trial.val_accuracy) > _ROUNDING:
                yield (
                    f"trial {trial.number}: its predictions make a validation accuracy of {accuracy:.4f}, and"
                    f" {trial.val_accuracy:.4f} is stored"
                )


def _ensembles(store: StudyStore) -> Iterator[str]:
    try:
        store.ensembles()
    except Exception as error:
        yield f"ensembles: {_in_words(error)}"


def _files(rows: list[FileRow], place: Place) -> Iterator[str]:
    artifacts = Artifacts(place)
    for row in rows:
        assert row.file is not None
        try:
            artifacts.read(row.file)
        except (SpoiltFileError, OSError) as error:
            yield f"trial {row.trial}: {error}"


def _missing_weights(trials: list[TrialRecord], whole: list[FileRow], keep_weights: int) -> Iterator[str]:
    have = {row.trial for row in whole if row.kind is FileKind.WEIGHTS}
    for number in best_trials(trials, keep_weights):
        if number not in have:
            yield f"trial {number}: no weights are known, though it is among the best {keep_weights}"


def _in_words(error: Exception) -> str:
    if isinstance(error, BenchError):
        return str(error)
    return storage_trouble(error) or f"{type(error).__name__}: {error}"
