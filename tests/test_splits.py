"""Stratified division: exact totals, fair shares, reproducible rows."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.errors import BenchError
from benchmark.splits import stratified_split

PINNED = [2, 9, 16, 18, 21, 31, 36, 39]
LABELS = np.repeat(np.arange(3), (50, 30, 20))[np.random.default_rng(0).permutation(100)]


def test_every_row_is_on_exactly_one_side_and_sorted() -> None:
    rows = stratified_split(LABELS, 10, seed=0)
    assert rows.train.dtype == rows.val.dtype == np.int64
    np.testing.assert_array_equal(np.sort(np.concatenate([rows.train, rows.val])), np.arange(100))
    assert (np.diff(rows.train) > 0).all()
    assert (np.diff(rows.val) > 0).all()


@pytest.mark.parametrize(
    ("counts", "val", "expected"),
    [
        ((50, 30, 20), 10, (5, 3, 2)),
        ((50, 30, 20), 7, (4, 2, 1)),  # quotas 3.5, 2.1, 1.4: the one missing goes to the first
        ((5, 5, 5), 4, (2, 1, 1)),  # equal remainders: to the smallest label
        ((8, 1, 1), 0.5, None),  # quotas 4, 0.5, 0.5: one class would lose its only row
    ],
)
def test_shares_are_rounded_by_largest_remainder(
    counts: tuple[int, ...], val: int | float, expected: tuple[int, ...] | None
) -> None:
    labels = np.repeat(np.arange(3), counts)
    if expected is None:
        with pytest.raises(BenchError, match="class 1"):
            stratified_split(labels, val, seed=0)
    else:
        rows = stratified_split(labels, val, seed=0)
        assert tuple(np.bincount(labels[rows.val])) == expected


def test_a_share_is_a_count_relative_to_all_rows() -> None:
    np.testing.assert_array_equal(stratified_split(LABELS, 0.2, 3).val, stratified_split(LABELS, 20, 3).val)


def test_rows_follow_the_documented_recipe() -> None:
    keys = np.random.PCG64(5).random_raw(100)
    expected = []
    for label, share in ((0, 5), (1, 3), (2, 2)):
        of_class = [row for row in range(100) if LABELS[row] == label]
        expected += sorted(of_class, key=lambda row: keys[row])[:share]
    assert stratified_split(LABELS, 10, seed=5).val.tolist() == sorted(expected)


def test_the_rows_of_a_seed_are_fixed_for_ever() -> None:
    labels = np.arange(40) % 4
    assert stratified_split(labels, 8, seed=1).val.tolist() == PINNED
    assert stratified_split(labels, 8, seed=2).val.tolist() != PINNED


@pytest.mark.parametrize(
    ("val", "words"),
    [
        (0, "cannot take 0 .* ask for more"),
        (-5, "cannot take -5"),
        (100, "cannot take 100 .* ask for fewer, or for a share of them such as val = 0.1"),
        (0.001, "cannot take 0"),
        (0.0, "between 0 and 1"),
        (1.0, "between 0 and 1"),
        (float("nan"), "between 0 and 1"),
        (True, "between 0 and 1"),
        (2, "class 2, which has 20, without validation rows; ask for more"),
        (99, "class 1, which has 30, without training rows; ask for fewer"),
    ],
)
def test_impossible_requests_are_refused(val: int | float, words: str) -> None:
    with pytest.raises(BenchError, match=words):
        stratified_split(LABELS, val, seed=0)


def test_a_class_of_one_row_cannot_be_divided() -> None:
    with pytest.raises(BenchError, match="class 1, which has 1, without validation rows; a class needs two"):
        stratified_split(np.array([0] * 19 + [1]), 5, seed=0)


def test_a_class_is_told_by_its_name_where_it_has_one() -> None:
    with pytest.raises(BenchError, match="leave class lynx, which has 1, without validation rows"):
        stratified_split(np.array([0] * 19 + [1]), 5, 0, ("cat", "lynx"))


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(BenchError, match="seed"):
        stratified_split(LABELS, 10, seed=-1)
