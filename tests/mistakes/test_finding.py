"""Mistakes of three classes by hand: which pairs, which rows, in which order, and what two classifiers differ in."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.comparisons import compare, mcnemar
from benchmark.mistakes import ConfusedPair, Mistake, compare_mistakes, confident_mistakes, mistakes_at, most_confused

# Row: probabilities, label. Wrong are 1, 2, 4, 5 and 6; of class 2 there is one row, which is wrong.
PROBS = [
    ([0.8, 0.1, 0.1], 0),
    ([0.2, 0.7, 0.1], 0),
    ([0.05, 0.9, 0.05], 0),
    ([0.1, 0.8, 0.1], 1),
    ([0.6, 0.3, 0.1], 1),
    ([0.7, 0.05, 0.25], 2),
    ([0.1, 0.3, 0.6], 1),
]
LABELS = np.array([label for _, label in PROBS])


def log_probs(rows: list[list[float]]) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows)).astype(np.float32)


FIRST = log_probs([probs for probs, _ in PROBS])


def shown(pairs: tuple[ConfusedPair, ...]) -> list[tuple[int, int, int, float, tuple[int, ...]]]:
    return [(pair.label, pair.predicted, pair.count, pytest.approx(pair.share), pair.rows) for pair in pairs]


def test_pairs_by_hand() -> None:
    # 0 is taken for 1 twice, the more confident of the rows is 2. Of the pairs with one row, the one of class 2 is all
    # of its class; those of class 1 are a third each and stand in the order of what they are taken for.
    assert shown(most_confused(FIRST, LABELS, 9)) == [
        (0, 1, 2, 2 / 3, (2, 1)),
        (2, 0, 1, 1.0, (5,)),
        (1, 0, 1, 1 / 3, (4,)),
        (1, 2, 1, 1 / 3, (6,)),
    ]
    assert shown(most_confused(FIRST, LABELS, 2)) == shown(most_confused(FIRST, LABELS, 9))[:2]


def test_pairs_are_directed() -> None:
    there_and_back = log_probs([[0.1, 0.9], [0.9, 0.1], [0.6, 0.4]])
    assert shown(most_confused(there_and_back, np.array([0, 1, 1]), 9)) == [
        (1, 0, 2, 1.0, (1, 2)),
        (0, 1, 1, 1.0, (0,)),
    ]


def test_confident_mistakes_by_hand() -> None:
    found = confident_mistakes(FIRST, LABELS, 9)
    # 1 and 5 are as confident; the label of 1, at 0.2, is less probable than that of 5. 4 and 6 are equal in both.
    assert [one.row for one in found] == [2, 1, 5, 4, 6]
    assert found[2] == Mistake(5, 2, 0, pytest.approx(0.7), pytest.approx(0.25))
    assert confident_mistakes(FIRST, LABELS, 2) == found[:2]


def test_of_mistakes_that_are_equal_the_first_row_comes_first() -> None:
    same = log_probs([[0.1, 0.9]] * 3)
    assert [one.row for one in confident_mistakes(same, np.zeros(3, np.int64), 2)] == [0, 1]


def test_certainties_are_told_apart_by_the_label() -> None:
    # Both say 1 with a probability that rounds to certainty.
    certain = np.array([[-30.0, 0.0], [-60.0, 0.0]], np.float32)
    found = confident_mistakes(certain, np.zeros(2, np.int64), 2)
    assert [(one.row, one.confidence) for one in found] == [(1, 1.0), (0, 1.0)]


def test_an_impossible_label_has_probability_0() -> None:
    (one,) = confident_mistakes(log_probs([[0.0, 1.0]]), np.array([0]), 5)
    assert one == Mistake(0, 0, 1, 1.0, 0.0)


def test_of_equally_probable_classes_the_first_is_predicted() -> None:
    tied = log_probs([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2]])
    assert [one.row for one in confident_mistakes(tied, np.array([0, 1]), 5)] == [1]
    assert shown(most_confused(tied, np.array([0, 1]), 5)) == [(1, 0, 1, 1.0, (1,))]


def test_a_class_without_rows_and_no_mistakes() -> None:
    right = log_probs([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    labels = np.array([0, 1])
    assert most_confused(right, labels, 5) == ()
    assert confident_mistakes(right, labels, 5) == ()
    repairs = compare_mistakes(right, right, labels)
    assert repairs.by_class.both_right.tolist() == [1, 1, 0]
    # The class without rows can still be what others are taken for.
    assert shown(most_confused(right[:, [2, 1, 0]], labels, 5)) == [(0, 2, 1, 1.0, (0,))]


def test_what_is_right_is_no_mistake() -> None:
    assert [one.row for one in mistakes_at(FIRST, LABELS, [6, 1])] == [6, 1]
    assert mistakes_at(FIRST, LABELS, []) == ()
    with pytest.raises(ValueError, match="is no mistake"):
        mistakes_at(FIRST, LABELS, [1, 0])


def test_repairs_by_hand() -> None:
    # The second repairs 1, 2 and 5, breaks 0 and 3, and leaves 4 and 6 wrong.
    second = log_probs(
        [
            [0.2, 0.6, 0.2],
            [0.9, 0.05, 0.05],
            [0.5, 0.3, 0.2],
            [0.1, 0.1, 0.8],
            [0.1, 0.1, 0.8],
            [0.1, 0.1, 0.8],
            [0.5, 0.3, 0.2],
        ]
    )
    repairs = compare_mistakes(FIRST, second, LABELS)
    # Those that the first was surest of: 0.9 of row 2; 0.7 of rows 1 and 5, in their order.
    assert repairs.repaired.tolist() == [2, 1, 5]
    # Those that the second is surest of: 0.8 of row 3, 0.6 of row 0.
    assert repairs.broken.tolist() == [3, 0]
    assert repairs.both_wrong.tolist() == [4, 6]
    assert repairs.both_right.tolist() == []
    by_class = repairs.by_class
    assert by_class.repaired.tolist() == [2, 0, 1]
    assert by_class.broken.tolist() == [1, 1, 0]
    assert by_class.both_wrong.tolist() == [0, 2, 0]
    assert by_class.both_right.tolist() == [0, 0, 0]
    # Three repaired and two broken: exact McNemar is 1, and a gain of one row in seven.
    assert repairs.comparison.p_value == mcnemar(3, 2) == 1.0
    assert repairs.comparison.difference.value == pytest.approx(1 / 7)
    assert (repairs.comparison.first_only, repairs.comparison.second_only) == (3, 2)


def test_a_temperature_changes_how_sure_and_never_what() -> None:
    # At a temperature of a half probabilities are squared, and normalised again.
    found = confident_mistakes(FIRST, LABELS, 9, 0.5)
    assert {one.row for one in found} == {2, 1, 5, 4, 6}
    assert [one.row for one in found[:2]] == [2, 1]
    of_row_5 = next(one for one in found if one.row == 5)
    whole = 0.7**2 + 0.05**2 + 0.25**2
    assert of_row_5 == Mistake(5, 2, 0, pytest.approx(0.7**2 / whole), pytest.approx(0.25**2 / whole))
    assert mistakes_at(FIRST, LABELS, [5], 0.5) == (of_row_5,)


def test_who_is_surest_is_asked_after_the_temperature() -> None:
    # 0.5 is more than 0.45, but its square is 0.51 of the squares, and that of 0.45 is 0.57.
    beside_one, beside_two = [0.5, 0.49, 0.01], [0.45, 0.275, 0.275]
    wrong, labels = log_probs([beside_one, beside_two]), np.array([1, 1])
    right = log_probs([[0.1, 0.8, 0.1]] * 2)
    for temperature, rows in ((1.0, (0, 1)), (0.5, (1, 0))):
        assert tuple(one.row for one in confident_mistakes(wrong, labels, 2, temperature)) == rows
        assert most_confused(wrong, labels, 1, temperature)[0].rows == rows
        assert tuple(compare_mistakes(wrong, right, labels, (temperature, 1.0)).repaired.tolist()) == rows
        assert tuple(compare_mistakes(right, wrong, labels, (1.0, temperature)).broken.tolist()) == rows


def test_a_temperature_that_makes_two_classes_equal_does_not_change_which_was_predicted() -> None:
    almost = np.array([[-0.6931473, -0.6931472]], np.float32)
    assert almost[0, 0] < almost[0, 1]
    (one,) = confident_mistakes(almost, np.array([0]), 5, 20.0)
    assert (one.predicted, one.confidence, one.label_probability) == (1, pytest.approx(0.5), pytest.approx(0.5))


def test_identical_entrants_repair_and_break_nothing() -> None:
    repairs = compare_mistakes(FIRST, FIRST.copy(), LABELS)
    assert repairs.repaired.tolist() == repairs.broken.tolist() == []
    assert repairs.both_wrong.tolist() == [1, 2, 4, 5, 6]
    assert repairs.both_right.tolist() == [0, 3]
    assert repairs.comparison.p_value == 1.0
    difference = repairs.comparison.difference
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_every_row_comes_out_one_way_and_the_other_way_round_is_the_mirror_image(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 200)
    first, second = (log_probs(rng.dirichlet(np.full(4, 0.5), 200).tolist()) for _ in range(2))
    repairs, mirrored = compare_mistakes(first, second, labels), compare_mistakes(second, first, labels)
    rows = np.concatenate([repairs.repaired, repairs.broken, repairs.both_wrong, repairs.both_right])
    assert sorted(rows.tolist()) == list(range(200))
    assert repairs.repaired.tolist() == mirrored.broken.tolist()
    assert repairs.broken.tolist() == mirrored.repaired.tolist()
    assert sum(vars(repairs.by_class).values()).tolist() == np.bincount(labels, minlength=4).tolist()
    assert repairs.comparison == compare(second, first, labels)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="the same rows and classes"):
        compare_mistakes(FIRST, FIRST[:, :2], LABELS)
    for function in (most_confused, confident_mistakes):
        with pytest.raises(ValueError, match=r"need \(N, K\) and \(N,\)"):
            function(FIRST, LABELS[:-1], 3)
