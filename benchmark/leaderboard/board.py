"""What a leaderboard holds and how it is ranked: by validation, never by test; knows no file format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from benchmark.columns import Row
from benchmark.comparisons import compare, rank_groups, selection_optimism
from benchmark.diversity import disagreement, error_correlation
from benchmark.ensemble import Recommendation, members_of, ranked
from benchmark.errors import BenchError
from benchmark.metrics import (
    UNKNOWN,
    ClassScores,
    Estimate,
    accuracy,
    class_scores,
    confidence,
    confusion_matrix,
    correct_rows,
    entrant_standing,
    score,
)
from benchmark.records import (
    Entrant,
    FamilyImportance,
    Origin,
    Split,
    TrialRecord,
    TrialState,
    deciding,
    seconds_of_their_own,
)
from benchmark.temperature import apply_temperature, temperature_of
from benchmark.wording import duration, plural

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
    """The recommended entrant, class by class on test. `confusion` (K, K) int64: row = label, column = predicted."""

    name: str
    classes: tuple[str, ...]
    scores: ClassScores
    confusion: NDArray[np.int64]
    confidence: NDArray[np.float64]
    """(N,) probability of the predicted class of every test image, in (0, 1]."""
    confidence_calibrated: NDArray[np.float64]
    """(N,) the same after a temperature fitted on validation."""
    correct: NDArray[np.bool_]
    """(N,) whether the predicted class is the label."""

    def confused_with(self, index: int) -> tuple[str, int] | None:
        """The class that rows of class `index` are most often taken for, with how often; None where never."""
        errors = self.confusion[index].copy()
        errors[index] = 0
        most = int(errors.argmax())
        return (self.classes[most], int(errors[most])) if errors[most] else None


@dataclass(frozen=True, eq=False)
class Members:
    """An ensemble from inside, on validation: its members in order, and how differently they err."""

    name: str
    numbers: tuple[int, ...]
    """Of trials of the search, or of runs of `part`."""
    families: tuple[str, ...]
    weights: tuple[float, ...] | None
    accuracies: tuple[float, ...]
    contributions: tuple[float, ...] | None
    """Loss that validation would gain without the member; None where that was not computed."""
    disagreement: NDArray[np.float64]
    """(M, M) share of rows whose predicted classes differ."""
    error_correlation: NDArray[np.float64]
    """(M, M) correlation of errors."""
    part: str = ""
    """Where they were trained: empty is the search."""


@dataclass(frozen=True)
class Chosen:
    """The single model that validation prefers, and what it owes to the rows that chose it."""

    name: str
    among: int
    """Single models that were compared."""
    displaced: float
    """Share of resamples of the validation rows in which another was first."""
    successor: str | None
    """The one that was first most often instead; None where none was."""
    optimism: float
    """By how much being chosen raises its validation accuracy, in shares."""


@dataclass(frozen=True)
class SizeScore:
    """What an ensemble of one size came to; accuracies in [0, 1]."""

    curve: str
    size: int
    """How many models a method was given, or how many at most greedy selection took of all."""
    members: int
    """Models that have a vote."""
    val_accuracy: Estimate
    """Out-of-fold."""
    test_accuracy: Estimate


@dataclass(frozen=True)
class Peer:
    """The single model that costs about what the recommended ensemble costs, and its costs in those of the ensemble."""

    name: str
    train_share: float
    """Of seconds of training."""
    macs_share: float
    """Of multiply-accumulates per image."""


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """Rows in the order of validation, the study they come from, and where the numbers come from."""

    rows: tuple[Row, ...]
    winner: Winner
    summary: StudySummary
    origin: Origin
    recommendation: Recommendation | None = None
    members: Members | None = None
    """Of the recommended entrant, where it is an ensemble."""
    chosen: Chosen | None = None
    """None with fewer than two single models."""
    sizes: tuple[SizeScore, ...] = ()
    peer: Peer | None = None
    scored: int = 0
    """How many different sets of predictions were scored on test in this study, so far."""
    corrupted: int = 0
    """How many test images were corrupted for the rows' corruption accuracies."""
    trials: tuple[TrialRecord, ...] = ()
    """All trials of the search, whatever became of them; `summary` counts them."""
    confirming: StudySummary | None = None
    """What was spent on training finalists again, and what became of it; None where nothing was."""
    importances: tuple[FamilyImportance, ...] = ()
    """By family's name; empty where they were not computed."""
    interval: str = INTERVAL_METHOD

    @property
    def recommended(self) -> Row:
        """The row of the winner."""
        return next(row for row in self.rows if row.entrant.name == self.winner.name)

    @property
    def best_single(self) -> Row:
        """That of the single model that validation prefers, with which all others are compared."""
        return next((row for row in self.rows if row.entrant.is_single), self.rows[0])


def make_board(
    entrants: Sequence[Entrant],
    labels_val: NDArray[np.int64],
    labels_test: NDArray[np.int64],
    class_names: Sequence[str],
    trials: Sequence[TrialRecord],
    origin: Origin,
    *,
    singles: Sequence[Entrant] = (),
    runs: Sequence[Entrant] = (),
    confirming: Sequence[Sequence[TrialRecord]] = (),
    recommendation: Recommendation | None = None,
    sizes: Sequence[SizeScore] = (),
    importances: Sequence[FamilyImportance] = (),
    corruption_accuracies: Mapping[str, Estimate] = MappingProxyType({}),
) -> Leaderboard:
    """Score and rank entrants: by validation accuracy, then validation log loss, see metrics.entrant_standing.

    `singles` are all single models of the search, those without a row included, `runs` all complete confirming runs,
    and `confirming` the records of all of them, part by part, whatever became of them. Without a recommendation the
    first row is the winner. `corruption_accuracies` are those that were measured, by entrant.

    Raises BenchError without entrants; ValueError where the origin has gaps or its row counts are not those of the
    labels, since a number without its origin is not shown.
    """
    if not entrants:
        raise BenchError("there is nothing to rank: no trial of this study is complete")
    _check_origin(origin, len(labels_val), len(labels_test))
    recommended = next((one for one in entrants if recommendation and one.name == recommendation.name), None)
    within = [] if recommended is None else members_of(recommended, [*singles, *runs]) or []
    inside = {(one.part, one.members) for one in within}
    alone = [*singles, *(one for one in entrants if one.kind == "confirmed")]
    outside = [one for one in alone if (one.part, one.members) not in inside]
    peer = None if recommended is None else peer_of(recommended, outside, labels_val)
    if peer is not None and all(one.name != peer.name for one in entrants):
        entrants = [*entrants, peer]
    ordered = sorted(entrants, key=lambda entrant: entrant_standing(entrant, labels_val))
    first = recommended or ordered[0]
    rows = _rows(ordered, labels_val, labels_test, corruption_accuracies)
    return Leaderboard(
        rows=rows,
        winner=_winner(next(row for row in rows if row.entrant is first), labels_test, class_names),
        summary=summarise(trials),
        # Origin stays as frozen as it looks: the caller's mapping of versions may change later.
        origin=replace(origin, versions=MappingProxyType(dict(origin.versions))),
        recommendation=recommendation,
        members=None if recommended is None else _members(recommended, within, labels_val),
        chosen=_chosen(singles, labels_val),
        sizes=tuple(sizes),
        peer=None if recommended is None or peer is None else Peer(peer.name, *_cost_shares(peer, recommended)),
        trials=tuple(trials),
        confirming=summarise(*confirming) if any(confirming) else None,
        importances=tuple(importances),
    )


def peer_of(ensemble: Entrant, singles: Sequence[Entrant], labels_val: NDArray[np.int64]) -> Entrant | None:
    """The best single model by validation that costs about what the ensemble costs, to train or to predict with.

    Two thirds to one and a half times its training seconds or multiply-accumulates, so that a model of the size of one
    of two members is none; None where the study has none, or for a single model. `singles` are not of its members.
    """
    if len(ensemble.members) < 2:
        return None

    def is_near(single: Entrant) -> bool:
        return any(2 / 3 <= share <= 1.5 for share in _cost_shares(single, ensemble))

    return next(iter(ranked([single for single in singles if is_near(single)], labels_val)), None)


def _cost_shares(single: Entrant, ensemble: Entrant) -> tuple[float, float]:
    """A single model's seconds of training and multiply-accumulates, as shares of an ensemble's."""
    return (
        single.cost.train_seconds / max(ensemble.cost.train_seconds, 1e-9),
        single.cost.macs / max(ensemble.cost.macs, 1),
    )


def _winner(row: Row, labels_test: NDArray[np.int64], class_names: Sequence[str]) -> Winner:
    log_probs = row.entrant.test.log_probs
    confusion = confusion_matrix(log_probs, labels_test)
    if len(class_names) != len(confusion):
        raise ValueError(f"{len(class_names)} class names for {len(confusion)} classes")
    return Winner(
        row.entrant.name,
        tuple(class_names),
        class_scores(confusion),
        confusion,
        confidence(log_probs),
        confidence(apply_temperature(log_probs, row.temperature)),
        correct_rows(log_probs, labels_test),
    )


def _rows(
    ordered: Sequence[Entrant],
    labels_val: NDArray[np.int64],
    labels_test: NDArray[np.int64],
    corruption_accuracies: Mapping[str, Estimate],
) -> tuple[Row, ...]:
    right = np.stack([correct_rows(entrant.test.log_probs, labels_test) for entrant in ordered])
    # The first single model of the ranking: the one that validation would have picked without ensembles.
    single = next((entrant for entrant in ordered if entrant.is_single), ordered[0])
    rows = []
    for entrant, group in zip(ordered, rank_groups(right), strict=True):
        temperature = temperature_of(deciding(entrant.val), labels_val)
        rows.append(
            Row(
                entrant,
                score(entrant.val.log_probs, labels_val),
                score(entrant.test.log_probs, labels_test),
                score(apply_temperature(entrant.test.log_probs, temperature), labels_test),
                temperature,
                group,
                compare(entrant.test.log_probs, single.test.log_probs, labels_test),
                tuple(accuracy(replicate.log_probs, labels_test) for replicate in entrant.replicates),
                corruption_accuracies.get(entrant.name, UNKNOWN),
            )
        )
    return tuple(rows)


def _members(ensemble: Entrant, members: Sequence[Entrant], labels_val: NDArray[np.int64]) -> Members | None:
    if len(members) < 2 or ensemble.trained_on != "train":
        # Of runs on all rows, nothing says how they differ: what stands for them under validation is their trials'.
        return None
    log_probs = np.stack([deciding(member.val) for member in members])
    return Members(
        name=ensemble.name,
        numbers=ensemble.members,
        families=tuple(member.family for member in members),
        weights=ensemble.weights,
        accuracies=tuple(accuracy(member, labels_val) for member in log_probs),
        contributions=ensemble.contributions,
        disagreement=disagreement(log_probs),
        error_correlation=error_correlation(log_probs, labels_val),
        part=ensemble.part,
    )


def _chosen(singles: Sequence[Entrant], labels_val: NDArray[np.int64]) -> Chosen | None:
    if len(singles) < 2:
        return None
    ordered = ranked(singles, labels_val)
    found = selection_optimism(np.stack([correct_rows(deciding(one.val), labels_val) for one in ordered]), seed=0)
    successor = None if found.successor is None else ordered[found.successor].name
    # Being the maximum lowers nothing: below 0 is noise of the resamples.
    return Chosen(ordered[found.chosen].name, len(ordered), found.displaced, successor, max(0.0, found.optimism))


def select_singles(entrants: Sequence[Entrant], labels_val: NDArray[np.int64]) -> list[Entrant]:
    """Each family's best default and best tuned model by validation accuracy (ties: log loss, then earlier trial)."""
    best: dict[tuple[str, str], Entrant] = {}
    for entrant in ranked([one for one in entrants if one.kind in ("default", "tuned")], labels_val):
        best.setdefault((entrant.family, entrant.kind), entrant)
    return [best[key] for key in sorted(best)]


def summarise(*parts: Sequence[TrialRecord]) -> StudySummary:
    """Count the trials of a study, or of several parts, by state, family and reason of failure; add up their time."""
    trials = [trial for part in parts for trial in part]
    reasons = Counter(_first_line(trial.reason) for trial in trials if trial.state is TrialState.FAILED)
    # Every part numbers its trials from 0.
    own = [seconds for part in parts for seconds in seconds_of_their_own(part)]
    return StudySummary(
        trials=len(trials),
        states=_states(trials),
        families=tuple(
            _family(name, [trial for trial in trials if trial.family == name])
            for name in sorted({trial.family for trial in trials})
        ),
        failures=tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        trial_seconds=sum(trial.seconds for trial in trials),
        train_seconds=sum(training for training, _ in own),
        evaluation_seconds=sum(evaluation for _, evaluation in own),
        devices=tuple(sorted({trial.device for trial in trials if trial.device})),
    )


def spent_in_words(board: Leaderboard) -> str:
    """`13 trials (12 complete, 1 pruned), 4 min 10 s of trial time`, and what finalists trained again took."""
    told = f"{_counted(board.summary, 'trial')}, {duration(board.summary.trial_seconds)} of trial time"
    if (again := board.confirming) is None:
        return told
    return f"{told}, and {_counted(again, 'run')} of finalists trained again, {duration(again.trial_seconds)}"


def states_in_words(summary: StudySummary) -> str:
    """`12 complete, 1 pruned`."""
    return ", ".join(f"{summary.states[state]} {state}" for state in TrialState if summary.states[state])


def _counted(summary: StudySummary, noun: str) -> str:
    return f"{plural(summary.trials, noun)} ({states_in_words(summary)})"


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
