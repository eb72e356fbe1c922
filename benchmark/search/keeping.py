"""Which files of a study stay: weights of the best trials, and checkpoints of those that may go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from benchmark.artifacts import Artifacts, Place
from benchmark.definition import SearchSpec
from benchmark.errors import BenchError
from benchmark.records import FileKind, StoredFile, TrialRecord, TrialState
from benchmark.store import FileRow, StudyStore
from benchmark.workers import CheckpointPlan

_AUTO_CHECKPOINT_SECONDS = 60.0


class FileKeeper:
    """Names a trial's files before they are written, and removes what is no longer wanted.

    Files at another place than this one (a folder of another machine) are left to those who see it.
    """

    def __init__(self, store: StudyStore, place: Place, spec: SearchSpec) -> None:
        self._store = store
        self._place = place
        self._spec = spec
        self._artifacts = Artifacts(place)

    def announce(self, number: int) -> tuple[str, CheckpointPlan | None]:
        """The names under which the trial may leave weights and checkpoints."""
        weights = f"trial-{number:05d}.safetensors"
        self._store.files.announce(number, FileKind.WEIGHTS, [weights], self._place.label)
        if self._spec.checkpoints == "never":
            return weights, None
        names = (f"trial-{number:05d}.0.checkpoint", f"trial-{number:05d}.1.checkpoint")
        self._store.files.announce(number, FileKind.CHECKPOINT, names, self._place.label)
        return weights, CheckpointPlan(names, 0.0 if self._spec.checkpoints == "always" else _AUTO_CHECKPOINT_SECONDS)

    def note(self, number: int, file: StoredFile, record: dict[str, Any] | None = None) -> None:
        """Note that a trial's file is whole; `record` belongs to a checkpoint.

        The file is removed where the trial was lost meanwhile, after a pause longer than its lease: nobody waits for
        it, and perhaps nobody would find it.
        """
        if not self._store.files.set_whole(number, file, self._store.queue.owner, record):
            self._remove([file.name])

    def remove_unknown(self, names: Sequence[str]) -> None:
        """Remove those of these files that others have let go: what was written since, nobody would find."""
        known = {row.name for row in self._store.files.rows()}
        self._remove([name for name in names if name not in known])

    def keep_from(self, trials: Sequence[TrialRecord]) -> float:
        """The validation accuracy below which a trial beside these is not among the best whose weights are kept."""
        count = self._spec.keep_weights
        if count == 0:
            return math.inf
        scores = sorted(trial.val_accuracy for trial in trials if trial.val_accuracy is not None)
        return scores[-count] if len(scores) >= count else -math.inf

    def tidy(self) -> list[TrialRecord]:
        """Remove the files of trials that have no more use for them: the file first, then what is known of it.

        Returns the study's trials as they were found.
        """
        # Read before the files: a trial that is known to have ended by then has said which of its files are whole.
        trials = self._store.trials()
        rows = self._store.files.rows()
        by_number = {trial.number: trial for trial in trials}
        best = set(best_trials(trials, self._spec.keep_weights))
        gone = [
            row.name
            for row in rows
            if row.place == self._place.label
            and row.trial in by_number
            and not _is_wanted(row, by_number[row.trial], best)
        ]
        self._store.files.remove(self._remove(gone))
        return trials

    def _remove(self, names: Sequence[str]) -> list[str]:
        """Remove files; which are gone.

        What cannot be removed, as another user's file, is left there. While S3 does not answer, the rest is left to
        the next time.
        """
        gone = []
        for name in names:
            try:
                self._artifacts.remove(name)
            except BenchError:
                break
            except OSError:
                continue
            gone.append(name)
        return gone


def best_trials(trials: Sequence[TrialRecord], count: int) -> list[int]:
    """Numbers of the best complete trials by validation accuracy, best first; ties to the earlier."""
    complete = [trial for trial in trials if trial.val_accuracy is not None]
    complete.sort(key=lambda trial: (-(trial.val_accuracy or 0.0), trial.number))
    return [trial.number for trial in complete[:count]]


def _is_wanted(row: FileRow, trial: TrialRecord, best: set[int]) -> bool:
    if trial.state is TrialState.RUNNING:
        return True
    if row.file is None:
        # Never finished, or never begun.
        return False
    if row.kind is FileKind.WEIGHTS:
        return trial.number in best
    return trial.state is TrialState.FAILED and trial.interrupted
