"""Folds are balanced over rows and classes, whatever the class sizes."""

import numpy as np
import pytest

from benchmark.folds import stratified_folds


@pytest.mark.parametrize("counts", [(50, 50, 50), (101, 7, 3), (1, 2, 30)])
def test_rows_and_classes_are_spread_evenly(counts: tuple[int, ...]) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    folds = stratified_folds(labels, 5, seed=1)
    sizes = np.bincount(folds, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    for label in range(len(counts)):
        of_class = np.bincount(folds[labels == label], minlength=5)
        assert of_class.max() - of_class.min() <= 1


def test_seed_decides() -> None:
    labels = np.arange(200) % 4
    assert np.array_equal(stratified_folds(labels, 5, 3), stratified_folds(labels, 5, 3))
    assert not np.array_equal(stratified_folds(labels, 5, 3), stratified_folds(labels, 5, 4))


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_impossible_numbers_of_folds_are_refused(folds: int) -> None:
    with pytest.raises(ValueError, match="cannot make"):
        stratified_folds(np.array([0, 1, 0]), folds, 0)
