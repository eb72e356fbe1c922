"""What a leaderboard holds and how it is ranked: by validation, never by test; knows no file format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmark.columns import Row
from benchmark.errors import BenchError
from benchmark.metrics import ClassScores, class_scores, confusion_matrix, score, standing
from benchmark.records import Entrant, Origin, Split, TrialRecord, TrialState

INTERVAL_METHOD = "Wilson score interval, 95 %"
NO_REASON = "no reason recorded"


@dataclass(frozen=True)
class FamilySummary:
    """What one family's trials came to."""

    family: str
    trials: int
    states: Mapping[TrialState, int]
    best_val_accuracy: float | None
    """Best final validation accuracy in [0, 1]; None where no trial is complete."""
    trial_seconds: float
    """Wall-clock seconds of its trials, added up over workers."""


@dataclass(frozen=True)
class StudySummary:
    """What the study spent and what became of its trials."""

    trials: int
    states: Mapping[TrialState, int]
    families: tuple[FamilySummary, ...]
    """By name."""
    failures: tuple[tuple[str, int], ...]
    """Reason and number of trials, most frequent first."""
    trial_seconds: float
    """Wall-clock seconds of all trials, added up over workers."""
    train_seconds: float
    """Of these, seconds inside training steps, as far as trials reported."""
    evaluation_seconds: float
    """Of these, seconds of evaluating reports and of predicting."""
    devices: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Winner:
    """The first row, class by class on test. `confusion` (K, K) int64: row = label, column = predicted."""

    name: str
    classes: tuple[str, ...]
    scores: ClassScores
    confusion: NDArray[np.int64]

    def confused_with(self, index: int) -> tuple[str, int] | None:
        """The class that rows of class `index` are most often taken for, with how often; None where never."""
        errors = self.confusion[index].copy()
        errors[index] = 0
        most = int(errors.argmax())
        return (self.classes[most], int(errors[most])) if errors[most] else None


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Rows in the order of validation, the study they come from, and where the numbers come from."""

    rows: tuple[Row, ...]
    winner: Winner
    summary: StudySummary
    origin: Origin
    interval: str = INTERVAL_METHOD


def make_board(
    entrants: Sequence[Entrant],
    labels_val: NDArray[np.int64],
    labels_test: NDArray[np.int64],
    class_names: Sequence[str],
    trials: Sequence[TrialRecord],
    origin: Origin,
) -> Leaderboard:
    """Score and rank entrants: validation accuracy, then validation log loss, then name.

    Raises BenchError without entrants; ValueError where the origin has gaps or its row counts are not those of the
    labels, since a number without its origin is not shown.
    """
    if not entrants:
        raise BenchError("there is nothing to rank: no trial of this study is complete")
    _check_origin(origin, len(labels_val), len(labels_test))
    ranked = sorted(entrants, key=lambda entrant: (*standing(entrant.val, labels_val), entrant.name))
    first = ranked[0]
    confusion = confusion_matrix(first.test.log_probs, labels_test)
    if len(class_names) != len(confusion):
        raise ValueError(f"{len(class_names)} class names for {len(confusion)} classes")
    return Leaderboard(
        rows=tuple(
            Row(entrant, score(entrant.val.log_probs, labels_val), score(entrant.test.log_probs, labels_test))
            for entrant in ranked
        ),
        winner=Winner(first.name, tuple(class_names), class_scores(confusion), confusion),
        summary=summarise(trials),
        # Origin stays as frozen as it looks: the caller's mapping of versions may change later.
        origin=replace(origin, versions=MappingProxyType(dict(origin.versions))),
    )


def select_singles(entrants: Sequence[Entrant], labels_val: NDArray[np.int64]) -> list[Entrant]:
    """Each family's best default and best tuned model by validation accuracy (ties: log loss, then earlier trial)."""
    best: dict[tuple[str, str], Entrant] = {}
    for entrant in sorted(entrants, key=lambda entrant: (*standing(entrant.val, labels_val), entrant.members)):
        if entrant.kind in ("default", "tuned"):
            best.setdefault((entrant.family, entrant.kind), entrant)
    return [best[key] for key in sorted(best)]


def summarise(trials: Sequence[TrialRecord]) -> StudySummary:
    """Count trials by state, family and reason of failure, and add up their time."""
    reasons = Counter(_first_line(trial.reason) for trial in trials if trial.state is TrialState.FAILED)
    return StudySummary(
        trials=len(trials),
        states=_states(trials),
        families=tuple(
            _family(name, [trial for trial in trials if trial.family == name])
            for name in sorted({trial.family for trial in trials})
        ),
        failures=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        trial_seconds=sum(trial.seconds for trial in trials),
        train_seconds=sum(trial.train_seconds for trial in trials),
        evaluation_seconds=sum(trial.evaluation_seconds for trial in trials),
        devices=tuple(sorted({trial.device for trial in trials if trial.device})),
    )


def _family(name: str, trials: Sequence[TrialRecord]) -> FamilySummary:
    finals = [trial.val_accuracy for trial in trials if trial.val_accuracy is not None]
    return FamilySummary(
        family=name,
        trials=len(trials),
        states=_states(trials),
        best_val_accuracy=max(finals, default=None),
        trial_seconds=sum(trial.seconds for trial in trials),
    )


def _states(trials: Sequence[TrialRecord]) -> Mapping[TrialState, int]:
    counts = Counter(trial.state for trial in trials)
    return MappingProxyType({state: counts[state] for state in TrialState})


def _first_line(reason: str | None) -> str:
    lines = (reason or "").strip().splitlines()
    return lines[0] if lines else NO_REASON


def _check_origin(origin: Origin, val_rows: int, test_rows: int) -> None:
    texts = ("study", "commit", "dataset", "dataset_fingerprint", "split_digest", "device", "commands", "versions")
    missing = [name for name in texts if not getattr(origin, name)]
    if missing:
        raise ValueError(f"a leaderboard without its origin is not written; missing: {', '.join(missing)}")
    for split, told, given in ((Split.VAL, origin.val_rows, val_rows), (Split.TEST, origin.test_rows, test_rows)):
        if told != given:
            raise ValueError(f"the origin tells of {told} {split} rows, the labels are {given}")
