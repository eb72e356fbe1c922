"""Comparisons against cases worked out by hand, closed forms, statsmodels, and simulations with a known truth."""

import numpy as np
import pytest
from scipy.stats import binom, norm
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from benchmark.comparisons import (
    Comparison,
    compare,
    holm,
    mcnemar,
    paired_bootstrap,
    rank_groups,
    selection_optimism,
)
from benchmark.metrics import Estimate, accuracy


def predicting(classes: list[int], number: int = 3) -> np.ndarray:
    """Log-probabilities (N, K) of these predicted classes."""
    return np.log(np.where(np.arange(number) == np.array(classes)[:, np.newaxis], 0.8, 0.2 / (number - 1)))


def right_on(rows: int, *parts: range) -> np.ndarray:
    """Bool (N,): whether a row lies in one of the parts."""
    return np.isin(np.arange(rows), [row for part in parts for row in part])


# McNemar


@pytest.mark.parametrize(
    ("first_only", "second_only", "p_value"),
    [(0, 0, 1), (1, 0, 1), (0, 5, 2 / 32), (1, 5, 2 * (1 + 6) / 64), (3, 3, 1), (2, 3, 1), (0, 10_000, 0)],
)
def test_mcnemar_by_hand(first_only: int, second_only: int, p_value: float) -> None:
    assert mcnemar(first_only, second_only) == pytest.approx(p_value, rel=1e-12)
    assert mcnemar(second_only, first_only) == mcnemar(first_only, second_only)


@pytest.mark.parametrize("discordant", [(1, 2), (4, 15), (30, 30), (57, 91), (400, 480)])
def test_mcnemar_equals_statsmodels(discordant: tuple[int, int]) -> None:
    first_only, second_only = discordant
    expected = reference_mcnemar([[500, first_only], [second_only, 20]], exact=True).pvalue
    assert mcnemar(first_only, second_only) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_refuses_negative_counts() -> None:
    with pytest.raises(ValueError, match="not counts"):
        mcnemar(-1, 3)


# Paired bootstrap


def test_bootstrap_of_shares_has_the_binomial_quantiles() -> None:
    # The sum of a resample of 400 rows, of which 40 are 1 and the others 0, is binomial.
    differences = np.repeat([1.0, 0.0], [40, 360])
    estimate = paired_bootstrap(differences, seed=1)
    assert estimate.value == pytest.approx(0.1)
    assert (400 * estimate.low, 400 * estimate.high) == pytest.approx(binom.ppf([0.025, 0.975], 400, 0.1), abs=1)
    wider = paired_bootstrap(differences, seed=1, confidence=0.99)
    assert (400 * wider.low, 400 * wider.high) == pytest.approx(binom.ppf([0.005, 0.995], 400, 0.1), abs=2)


def test_bootstrap_of_rows_is_that_of_counts() -> None:
    # Differences that are all distinct, yet all but equal to those of the test above, so that rows are drawn.
    differences = np.repeat([1.0, 0.0], [40, 360]) + 1e-9 * np.arange(400)
    estimate = paired_bootstrap(differences, seed=2)
    assert (400 * estimate.low, 400 * estimate.high) == pytest.approx(binom.ppf([0.025, 0.975], 400, 0.1), abs=1)


def test_bootstrap_of_many_rows_has_the_width_of_the_normal_approximation() -> None:
    differences = np.random.default_rng(3).exponential(size=2000)
    estimate = paired_bootstrap(differences, seed=3, resamples=4000)
    expected = 2 * norm.ppf(0.975) * differences.std() / np.sqrt(2000)
    assert estimate.high - estimate.low == pytest.approx(expected, rel=0.08)
    assert estimate.value == pytest.approx(differences.mean())
    assert estimate.low < estimate.value < estimate.high


@pytest.mark.parametrize("continuous", [False, True])
def test_bootstrap_interval_covers_the_truth_as_often_as_it_says(continuous: bool) -> None:
    rng = np.random.default_rng(4)
    mean = 0.2
    covered = 0
    for seed in range(400):
        differences = rng.normal(mean, 1, 60) if continuous else rng.choice([-1.0, 0.0, 1.0], 60, p=[0.1, 0.6, 0.3])
        estimate = paired_bootstrap(differences, seed=seed, resamples=500)
        covered += estimate.low <= mean <= estimate.high
    assert 0.91 <= covered / 400 <= 0.98


@pytest.mark.parametrize("distinct", [3, 200])
def test_bootstrap_of_negated_differences_is_the_negated_interval(distinct: int) -> None:
    differences = np.random.default_rng(5).integers(0, distinct, 300) / distinct - 0.4
    estimate, mirrored = paired_bootstrap(differences, seed=5), paired_bootstrap(-differences, seed=5)
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx(
        (-estimate.value, -estimate.high, -estimate.low)
    )


@pytest.mark.parametrize("distinct", [3, 200])
def test_bootstrap_is_determined_by_its_seed(distinct: int) -> None:
    differences = np.random.default_rng(6).integers(0, distinct, 300).astype(float)
    assert paired_bootstrap(differences, seed=6) == paired_bootstrap(differences, seed=6)
    assert paired_bootstrap(differences, seed=6) != paired_bootstrap(differences, seed=7)


def test_bootstrap_of_a_constant_is_the_constant() -> None:
    assert paired_bootstrap(np.full(7, 0.25), seed=0) == Estimate(0.25, 0.25, 0.25)


@pytest.mark.parametrize("differences", [np.zeros(0), np.zeros((2, 2)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_bootstrap_refuses_what_has_no_mean(differences: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        paired_bootstrap(differences, seed=0)


@pytest.mark.parametrize(("resamples", "confidence"), [(0, 0.95), (10, 0.0), (10, 1.0)])
def test_bootstrap_refuses_what_gives_no_interval(resamples: int, confidence: float) -> None:
    with pytest.raises(ValueError, match="no interval"):
        paired_bootstrap(np.zeros(3), seed=0, resamples=resamples, confidence=confidence)


# Two classifiers


def test_compare_by_hand() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2, 0, 1])
    first = predicting([0, 1, 2, 0, 1, 2, 1, 0])  # right on rows 0 to 5
    second = predicting([0, 2, 0, 1, 2, 0, 0, 0])  # right on rows 0 and 6
    comparison = compare(first, second, labels)
    assert (comparison.first_only, comparison.second_only) == (5, 1)
    assert comparison.p_value == pytest.approx(2 * (1 + 6) / 64)
    assert comparison.difference.value == pytest.approx(4 / 8)
    assert -1 <= comparison.difference.low < 4 / 8 < comparison.difference.high <= 1


def test_compare_with_sides_swapped_flips_signs() -> None:
    rng = np.random.default_rng(8)
    labels = rng.integers(0, 4, 600)
    first, second = np.log(rng.dirichlet(np.ones(4), 600)), np.log(rng.dirichlet(np.ones(4), 600))
    one, other = compare(first, second, labels, seed=3), compare(second, first, labels, seed=3)
    assert one.difference.value == pytest.approx(accuracy(first, labels) - accuracy(second, labels))
    assert (one.first_only, one.second_only, one.p_value) == (other.second_only, other.first_only, other.p_value)
    assert (one.difference.low, one.difference.high) == pytest.approx((-other.difference.high, -other.difference.low))


def test_compare_identical_classifiers() -> None:
    log_probs, labels = predicting([0, 1, 2, 0]), np.array([0, 1, 0, 0])
    assert compare(log_probs, log_probs, labels) == Comparison(Estimate(0.0, 0.0, 0.0), 1.0, 0, 0)


def test_compare_all_right_with_all_wrong() -> None:
    comparison = compare(predicting([0] * 9), predicting([1] * 9), np.zeros(9, np.int64))
    assert comparison == Comparison(Estimate(1.0, 1.0, 1.0), 2 / 2**9, 9, 0)


@pytest.mark.parametrize(
    ("first", "second", "labels"),
    [
        (predicting([0, 1]), predicting([0, 1, 1]), np.array([0, 1])),
        (predicting([0, 1]), predicting([0, 1]), np.array([0, 1, 1])),
        (predicting([0, 1]), predicting([0, 1], 4), np.array([0, 1])),
        (np.zeros(2), np.zeros(2), np.array([0, 1])),
        (np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, np.int64)),
    ],
)
def test_compare_refuses_shapes_that_do_not_fit(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"same rows|predictions need|N at least 1"):
        compare(first, second, labels)


def test_interval_holds_0_where_the_difference_is_within_noise() -> None:
    def within_noise(first: np.ndarray, second: np.ndarray) -> bool:
        difference = paired_bootstrap(first - second, seed=0)
        return difference.low <= 0 <= difference.high

    losses = np.random.default_rng(9).exponential(size=500)
    noise = np.random.default_rng(10).normal(0, 0.1, 500)
    noise -= noise.mean()
    # The standard error of the mean is 0.1 / sqrt(500) = 0.0045.
    for shift, expected in [(0, True), (0.003, True), (0.02, False)]:
        assert within_noise(losses + noise + shift, losses) is expected
        assert within_noise(losses, losses + noise + shift) is expected
    assert within_noise(losses, losses)
    assert not within_noise(losses + 1e-6, losses)


# Many comparisons


def test_holm_by_hand() -> None:
    # 0.01 * 4, 0.02 * 3, 0.03 * 2, 0.04 * 1: the last may not fall below those before it.
    assert holm(np.array([0.04, 0.01, 0.03, 0.02])) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
    assert holm(np.array([0.3])).tolist() == [0.3]
    assert holm(np.array([])).tolist() == []


def test_holm_equals_statsmodels() -> None:
    p_values = np.random.default_rng(11).random(50) ** 4
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("p_values", [np.array([-0.1]), np.array([1.1]), np.array([np.nan]), np.zeros((2, 2))])
def test_holm_refuses_what_are_no_p_values(p_values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm(p_values)


def test_rank_groups_by_hand() -> None:
    # Against the first, which is always right: 5 errors are p = 2/32 and 7 errors p = 2/128; the third pair has 1/2.
    # By Holm the least of them counts three times, the next one twice.
    always, five, seven = (right_on(20, range(errors, 20)) for errors in (0, 5, 7))
    assert rank_groups(np.stack([always, five, seven])) == ("a", "a", "b")
    assert rank_groups(np.stack([seven, always, five])) == ("b", "a", "a")
    assert rank_groups(np.stack([always, five, seven]), level=0.02) == ("a", "a", "a")
    assert rank_groups(np.stack([always, five, seven]), level=0.2) == ("a", "b", "b")


def test_rank_groups_correct_for_the_number_of_comparisons() -> None:
    # 6 errors are p = 2/64 = 0.031: told from the best alone, but not as one of three pairs.
    always, five, six = (right_on(20, range(errors, 20)) for errors in (0, 5, 6))
    assert rank_groups(np.stack([always, six])) == ("a", "b")
    assert rank_groups(np.stack([always, six, five])) == ("a", "a", "a")


def test_equally_good_entrants_share_a_letter_in_all_but_one_of_twenty_cases() -> None:
    # The best of a dozen is chosen by the rows that then compare: as one comparison with each, it would be 1 in 7.
    random = np.random.default_rng(0)
    split = sum(len(set(rank_groups(random.random((12, 500)) < 0.8))) > 1 for _ in range(400))
    # Two standard deviations of a binomial number beyond 20.
    assert split <= 29


def test_rank_groups_tell_apart_at_the_level_itself() -> None:
    assert rank_groups(np.stack([right_on(5, range(5)), right_on(5)]), level=2 / 32) == ("a", "b")


def test_a_less_accurate_entrant_may_have_an_earlier_letter() -> None:
    best = right_on(30, range(20))
    nested = right_on(30, range(12))  # 8 rows to none: p = 2/256
    unlike = right_on(30, range(1), range(20, 30))  # 19 rows to 10: p = 0.14
    assert rank_groups(np.stack([best, nested, unlike])) == ("a", "b", "a")


def test_rank_groups_of_equal_entrants_and_of_one() -> None:
    assert rank_groups(np.ones((3, 40), bool)) == ("a", "a", "a")
    assert rank_groups(np.zeros((3, 40), bool)) == ("a", "a", "a")
    assert rank_groups(np.ones((1, 4), bool)) == ("a",)


def test_rank_groups_go_on_after_z() -> None:
    # Each is right on 12 rows fewer than the one before: p = 2 / 2 ** 12, below 0.05 / 27.
    correct = np.stack([right_on(336, range(12 * count)) for count in range(28, 0, -1)])
    letters = rank_groups(correct)
    assert letters[:3] + letters[24:] == ("a", "b", "c", "y", "z", "aa", "ab")
    assert rank_groups(correct[::-1]) == letters[::-1]


# What choosing did


def test_selection_between_two_by_hand() -> None:
    # Resamples (2, 0), (1, 1), (0, 2) of the two rows have weights 1/4, 1/2, 1/4. The second trial is first in the
    # last only; the winner has 1, 1/2, 1 of them right, and 1/2 of all rows.
    optimism = selection_optimism(np.array([[True, False], [False, True]]), seed=0, resamples=40_000)
    assert (optimism.chosen, optimism.successor) == (0, 1)
    assert optimism.displaced == pytest.approx(1 / 4, abs=0.01)
    assert optimism.optimism == pytest.approx(1 / 4, abs=0.01)


def test_selection_among_three_by_hand() -> None:
    # All 27 ordered resamples: the second trial is first in 4 of them (by a tie with the third where the first row is
    # not drawn), the third in 6; excesses of the winners add up to 19/3.
    correct = np.array([[True, True, False], [False, False, True], [True, False, True]])
    optimism = selection_optimism(correct, seed=0, resamples=40_000)
    assert (optimism.chosen, optimism.successor) == (0, 2)
    assert optimism.displaced == pytest.approx(10 / 27, abs=0.01)
    assert optimism.optimism == pytest.approx(19 / 81, abs=0.01)


def test_selection_among_equal_trials_finds_what_theory_says() -> None:
    # Accuracies are 0.9 with standard deviation s; the largest of 50 normal deviates is 2.249 on average. In a
    # resample trials vary by sqrt(2) s, half of it (in variance) already there on all rows: 2.249 s / sqrt(2).
    rows, spread = 2000, np.sqrt(0.9 * 0.1 / 2000)
    found = [
        selection_optimism(np.random.default_rng(seed).random((50, rows)) < 0.9, seed=seed, resamples=100).optimism
        for seed in range(40)
    ]
    assert np.mean(found) == pytest.approx(2.249 * spread / np.sqrt(2), rel=0.07)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_selection_where_all_are_always_right_or_wrong(share: float) -> None:
    optimism = selection_optimism(np.full((4, 30), bool(share)), seed=0, resamples=50)
    assert (optimism.chosen, optimism.displaced, optimism.successor, optimism.optimism) == (0, 0.0, None, 0.0)


def test_selection_of_a_trial_far_ahead_is_not_optimistic() -> None:
    correct = np.stack([right_on(500, range(100)), right_on(500, range(400)), right_on(500, range(90))])
    optimism = selection_optimism(correct, seed=0, resamples=4000)
    assert (optimism.chosen, optimism.displaced, optimism.successor) == (1, 0.0, None)
    # The standard deviation of the mean is sqrt(0.8 * 0.2 / 500 / 4000) = 0.0003.
    assert optimism.optimism == pytest.approx(0, abs=0.0012)


def test_selection_is_determined_by_its_seed() -> None:
    correct = np.random.default_rng(12).random((6, 300)) < 0.8
    assert selection_optimism(correct, seed=1, resamples=200) == selection_optimism(correct, seed=1, resamples=200)
    assert selection_optimism(correct, seed=1, resamples=200) != selection_optimism(correct, seed=2, resamples=200)


@pytest.mark.parametrize("correct", [np.ones((2, 3)), np.ones(3, bool), np.ones((0, 3), bool), np.ones((3, 0), bool)])
def test_what_is_not_bool_by_entrant_and_row_is_refused(correct: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be bool"):
        rank_groups(correct)
    with pytest.raises(ValueError, match="must be bool"):
        selection_optimism(correct, seed=0)


def test_what_leaves_nothing_to_do_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one resample"):
        selection_optimism(np.ones((2, 3), bool), seed=0, resamples=0)
    with pytest.raises(ValueError, match="level of significance"):
        rank_groups(np.ones((2, 3), bool), level=1.0)
