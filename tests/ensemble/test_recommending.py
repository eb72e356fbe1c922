"""What is recommended, which smaller one is as good, and what a member is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from candidates import CANDIDATES, LABELS_VAL, TEST, K

from benchmark.ensemble import EnsembleSpec, build_ensembles, contributions, recommend
from benchmark.ensemble.recommending import MOST_LEFT_OUT
from benchmark.errors import BenchError, SealedTestError, UnknownNameError
from benchmark.metrics import accuracy
from benchmark.records import Entrant, Predictions, Split


def of_size(one: Entrant, members: int, name: str) -> Entrant:
    return replace(one, name=name, members=tuple(range(members)), weights=None, kind="ensemble")


BEST, POOR = CANDIDATES[3], CANDIDATES[0]


def test_the_least_loss_on_validation_is_recommended() -> None:
    found = recommend([POOR, of_size(BEST, 4, "mix"), CANDIDATES[4]], LABELS_VAL)
    assert (found.name, found.metric) == ("mix", "log_loss")
    assert found.smallest == "mix"
    assert (found.difference.value, found.difference.low, found.difference.high) == (0, 0, 0)


def test_confidence_is_no_reason_to_prefer_one() -> None:
    # The same predictions with half of the confidence: a temperature mends that, so the two are equal.
    half = BEST.val.log_probs * np.float32(0.3)
    half -= np.log(np.exp(half).sum(axis=1, keepdims=True))
    vague = replace(BEST, name="vague", val=Predictions(Split.VAL, half))
    losses = [recommend([one], LABELS_VAL).loss for one in (BEST, vague)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_the_smallest_within_noise_is_named_and_a_clearly_worse_one_is_not() -> None:
    # One row of 200 decided otherwise is noise; a poor model is not.
    changed = BEST.val.log_probs.copy()
    row = int(np.flatnonzero(changed.argmax(1) == LABELS_VAL)[0])
    changed[row] = np.log(np.where(np.arange(K) == LABELS_VAL[row], 0.2, 0.4)).astype(np.float32)
    nearly = replace(BEST, name="nearly", val=Predictions(Split.VAL, changed))
    found = recommend([POOR, of_size(BEST, 3, "mix"), nearly], LABELS_VAL)
    assert (found.name, found.smallest) == ("mix", "nearly")
    assert found.difference.low <= 0 < found.difference.value < found.difference.high


def test_of_equals_the_one_of_fewer_members_is_recommended() -> None:
    found = recommend([of_size(BEST, 5, "five"), of_size(BEST, 2, "two"), of_size(BEST, 3, "three")], LABELS_VAL)
    assert found.name == "two"


def test_rounding_is_no_reason_to_prefer_more_members() -> None:
    rounded = BEST.val.log_probs.copy()
    # Of one row in two hundred: the mean is less by half of what counts as equal.
    rounded[0, LABELS_VAL[0]] += np.float32(1e-5)
    mix = replace(of_size(BEST, 3, "mix"), val=Predictions(Split.VAL, rounded))
    assert recommend([mix, BEST], LABELS_VAL).name == BEST.name


def test_accuracy_may_decide_instead() -> None:
    found = recommend([POOR, BEST], LABELS_VAL, metric="accuracy")
    assert (found.name, found.metric) == (BEST.name, "accuracy")
    assert found.loss == pytest.approx(1 - accuracy(BEST.val.log_probs, LABELS_VAL))


def test_test_predictions_decide_nothing() -> None:
    blank = Predictions(Split.TEST, np.full((TEST, K), -np.log(K), np.float32))
    some = [POOR, of_size(BEST, 3, "mix"), CANDIDATES[1]]
    assert recommend(some, LABELS_VAL) == recommend([replace(one, test=blank) for one in some], LABELS_VAL)
    forged = replace(BEST)
    object.__setattr__(forged, "val", forged.test)
    with pytest.raises(SealedTestError):
        recommend([forged], np.zeros(TEST, np.int64))


def test_nothing_to_recommend_and_unknown_metrics_are_refused() -> None:
    with pytest.raises(BenchError, match="nothing to recommend"):
        recommend([], LABELS_VAL)
    with pytest.raises(UnknownNameError, match="unknown metric 'f1'"):
        recommend([BEST], LABELS_VAL, metric="f1")


def test_a_member_that_knows_nothing_is_worth_less_than_the_one_that_does() -> None:
    spec = EnsembleSpec(top=3, methods=("soft_voting",))
    some = [CANDIDATES[3], CANDIDATES[1], CANDIDATES[4]]
    (soft,) = build_ensembles(some, LABELS_VAL, spec)
    worth = contributions(soft, some, LABELS_VAL, spec)
    assert worth is not None
    by_number = dict(zip(soft.members, worth, strict=True))
    assert by_number[3] > by_number[1] > by_number[4]
    assert by_number[4] < 0 < by_number[3]


def test_what_has_no_members_or_too_many_is_not_taken_apart() -> None:
    assert contributions(BEST, CANDIDATES, LABELS_VAL, EnsembleSpec()) is None
    large = of_size(BEST, MOST_LEFT_OUT + 1, "large")
    assert contributions(large, CANDIDATES, LABELS_VAL, EnsembleSpec()) is None
