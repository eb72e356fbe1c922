"""Out-of-fold means out-of-fold, for every method; and test decides nothing."""

from __future__ import annotations

import numpy as np
import pytest
from candidates import CANDIDATES, LABELS, LABELS_VAL, VAL

from benchmark.ensemble.crossfit import cross_fits, folds_of
from benchmark.ensemblers import ENSEMBLERS
from benchmark.errors import BenchError, SealedTestError
from benchmark.folds import stratified_folds
from benchmark.records import Predictions
from benchmark.temperature import cross_fitted

VALS, TESTS = [one.val for one in CANDIDATES], [one.test for one in CANDIDATES]
FOLDS = stratified_folds(LABELS_VAL, 5, 0)


def out_of_fold(name: str, labels: np.ndarray) -> np.ndarray:
    return cross_fits(ENSEMBLERS[name].build, VALS, TESTS, labels, FOLDS).fitted().val.log_probs


@pytest.mark.parametrize("name", list(ENSEMBLERS))
def test_labels_of_a_fold_do_not_reach_its_own_predictions(name: str) -> None:
    inside = FOLDS == 2
    permuted = LABELS_VAL.copy()
    permuted[inside] = np.random.default_rng(0).permutation(LABELS_VAL[inside])
    assert not np.array_equal(permuted, LABELS_VAL)
    assert np.array_equal(out_of_fold(name, LABELS_VAL)[inside], out_of_fold(name, permuted)[inside])


@pytest.mark.parametrize(
    "name", ["stacking_on_probs", "log_linear_pooling", "weighted_voting", "greedy_selection", "stacking_by_trees"]
)
def test_labels_of_a_fold_reach_the_other_folds_predictions(name: str) -> None:
    # Without this the property above would hold for something that learns nothing.
    permuted = np.where(FOLDS == 2, (LABELS_VAL + 1) % 3, LABELS_VAL)
    outside = FOLDS != 2
    assert not np.array_equal(out_of_fold(name, LABELS_VAL)[outside], out_of_fold(name, permuted)[outside])


def test_temperatures_of_a_fold_come_from_the_others() -> None:
    inside = FOLDS == 1
    permuted = LABELS_VAL.copy()
    permuted[inside] = np.random.default_rng(0).permutation(LABELS_VAL[inside])
    straight, changed = (cross_fitted(VALS[1].log_probs, labels, FOLDS) for labels in (LABELS_VAL, permuted))
    assert np.array_equal(straight[inside], changed[inside])
    assert not np.array_equal(straight[~inside], changed[~inside])


@pytest.mark.parametrize("val", [TESTS, [VALS[0], TESTS[1]]], ids=["all", "one"])
def test_test_predictions_cannot_be_fitted_on(val: list[Predictions]) -> None:
    with pytest.raises(SealedTestError):
        cross_fits(ENSEMBLERS["soft_voting"].build, val, TESTS, LABELS[VAL:], stratified_folds(LABELS[VAL:], 5, 0))


def test_a_view_of_the_fits_predicts_with_every_one_of_them() -> None:
    fits = cross_fits(ENSEMBLERS["greedy_selection"].build, VALS, TESTS, LABELS_VAL, FOLDS)
    first = fits.fitted(lambda method: method.up_to(1))  # type: ignore[attr-defined]
    assert first.weights is not None
    assert sorted(first.weights) == [0, 0, 0, 0, 1]
    assert first.test.log_probs == pytest.approx(TESTS[first.weights.index(1)].log_probs, abs=1e-5)


def test_more_folds_than_rows_are_refused() -> None:
    with pytest.raises(BenchError, match="201 folds"):
        folds_of(LABELS_VAL, VAL + 1, 0)
