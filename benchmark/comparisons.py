"""Comparisons of classifiers on the same rows; pure functions of arrays that know no table and no database.

Shapes: N rows, K classes, E entrants, M trials. Log-probabilities are natural, (N, K); `labels` int64 (N,) in 0..K-1.
Intervals and tests cover the choice of rows. They do not cover the choice of the training seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from benchmark.metrics import CONFIDENCE, Estimate, FloatArray, correct_rows

RESAMPLES = 10_000
_FEW_VALUES = 16
"""Up to so many distinct differences, their counts are resampled instead of the rows."""
_DRAWS_AT_ONCE = 1 << 18
"""Rows drawn in one go, 2 MiB of row numbers: more would leave the processor's cache."""


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same rows; equal where both are right or both wrong."""

    difference: Estimate
    """Accuracy of the first minus that of the second, in [-1, 1], with its paired bootstrap interval."""
    p_value: float
    """Exact McNemar test of equal accuracy."""
    first_only: int
    """Rows that only the first has right."""
    second_only: int
    """Rows that only the second has right."""


@dataclass(frozen=True)
class SelectionOptimism:
    """How far the first of several trials owes its place, and its accuracy, to the rows that chose it."""

    chosen: int
    """Number of the most accurate trial, the first of equals."""
    displaced: float
    """Share of resamples in which another trial was first, in [0, 1]."""
    successor: int | None
    """Number of the trial that took its place most often, the first of equals; None where none did."""
    optimism: float
    """By how much being chosen raises the winner's accuracy; a share of rows, to subtract from the accuracy."""


def compare(first: FloatArray, second: FloatArray, labels: NDArray[np.int64], *, seed: int = 0) -> Comparison:
    """Compare the accuracy of two classifiers by their log-probabilities (N, K) each.

    The test is the one that Dietterich 1998, doi:10.1162/089976698300017197, recommends for classifiers that are
    trained once. Raises ValueError where the shapes do not fit.
    """
    if first.shape != second.shape:
        raise ValueError(f"classifiers are compared on the same rows and classes, not {first.shape} and {second.shape}")
    first_right, second_right = correct_rows(first, labels), correct_rows(second, labels)
    first_only, second_only = _discordant(first_right, second_right)
    return Comparison(
        difference=paired_bootstrap(first_right.astype(np.float64) - second_right, seed=seed),
        p_value=mcnemar(first_only, second_only),
        first_only=first_only,
        second_only=second_only,
    )


def paired_bootstrap(
    differences: FloatArray, *, seed: int, resamples: int = RESAMPLES, confidence: float = CONFIDENCE
) -> Estimate:
    """Mean of the differences by row (N,), with its percentile bootstrap interval.

    Rows are drawn with replacement, both sides of a row together. Efron & Tibshirani 1993, "An Introduction to the
    Bootstrap", chapter 13. Negated differences give the negated interval. Raises ValueError where a difference is not
    finite, or without rows or resamples.
    """
    if differences.ndim != 1 or not len(differences) or not np.all(np.isfinite(differences)):
        raise ValueError(f"differences must be finite, (N,) with N at least 1, not of shape {differences.shape}")
    if resamples < 1 or not 0 < confidence < 1:
        raise ValueError(f"{resamples} resamples give no interval of confidence {confidence}")
    means = _resampled_means(differences.astype(np.float64), resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(differences.mean(dtype=np.float64)), float(low), float(high))


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p-value, in [0, 1], that two classifiers are equally accurate: McNemar's test in its exact form.

    Given the rows that only one of them has right, each is as likely to be the first's as the second's. McNemar 1947,
    doi:10.1007/BF02295996; a sign test, hence binomial and good for few rows too. 1 where there is no such row. Raises
    ValueError for negative counts.
    """
    if min(first_only, second_only) < 0:
        raise ValueError(f"{first_only} and {second_only} are not counts of rows")
    # bdtr is the binomial distribution function; scipy.stats wraps it and takes a second to import.
    return min(1.0, 2 * float(bdtr(min(first_only, second_only), first_only + second_only, 0.5)))


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """P-values (m,) adjusted for there being m of them, in the order given.

    Rejecting those at or below a level keeps the probability of any false rejection within it, however the tests depend
    on each other. Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 65-70. Raises ValueError for values outside [0, 1].
    """
    if p_values.ndim != 1 or not np.all((p_values >= 0) & (p_values <= 1)):
        raise ValueError("p-values must be (m,) and lie in [0, 1]")
    order = np.argsort(p_values, kind="stable")
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def rank_groups(correct: NDArray[np.bool_], level: float = 0.05) -> tuple[str, ...]:
    """A letter for each entrant, from whether it has each row right, bool (E, N): a, b, ..., z, aa, ab, ...

    All pairs are compared by the exact McNemar test, with Holm's correction for the number of pairs; those with a
    p-value at or below `level` are told apart. The most accurate entrant without a letter (the first of equals) opens
    the next one, and every other entrant without a letter that is not told from it takes the same.

    So the rows do not tell any entrant from the best of its letter, and do tell it from the best of every earlier
    letter. Which entrant is the best, the same rows have chosen: a correction for the comparisons with it alone would
    not hold, and for equally good entrants `level` bounds the probability of more than one letter. Nothing is said of
    other pairs: two entrants of one letter may differ, and so may none of different letters. An entrant may get a
    later letter than a less accurate one, where it errs almost as the best does and a few rows suffice to tell them
    apart. Raises ValueError unless `correct` is bool with a row and an entrant, and `level` in (0, 1).
    """
    _check_correct(correct)
    if not 0 < level < 1:
        raise ValueError(f"a level of significance lies in (0, 1), not at {level}")
    entrants = len(correct)
    pairs = np.triu_indices(entrants, 1)
    p_values = [mcnemar(*_discordant(correct[one], correct[other])) for one, other in zip(*pairs, strict=True)]
    told_apart = np.zeros((entrants, entrants), bool)
    told_apart[pairs] = holm(np.array(p_values)) <= level
    told_apart |= told_apart.T
    letters = [""] * entrants
    waiting: list[int] = np.argsort(-correct.sum(axis=1), kind="stable").tolist()
    opened = 0
    while waiting:
        best = waiting[0]
        for entrant in waiting:
            if not told_apart[best, entrant]:
                letters[entrant] = _letter(opened)
        waiting = [entrant for entrant in waiting if told_apart[best, entrant]]
        opened += 1
    return tuple(letters)


def selection_optimism(correct: NDArray[np.bool_], *, seed: int, resamples: int = 2000) -> SelectionOptimism:
    """What choosing the most accurate of M trials on N rows did, from whether each has each row right, bool (M, N).

    Rows are drawn with replacement and the choice is made again, the first of equals as before. The optimism is the
    mean over resamples of the winner's accuracy on the resample minus its accuracy on all rows: the bootstrap estimate
    of Efron 1983, doi:10.1080/01621459.1983.10477973, with the choice as the rule that is fitted. Tibshirani &
    Tibshirani 2009, doi:10.1214/08-AOAS224, estimate the same bias from the folds of cross-validation.

    To the bootstrap, differences that are chance look real: of many equally good trials that err independently it finds
    1 / sqrt(2) of the optimism. Where one of two is ahead by more than 1.2 standard errors of their difference it finds
    more than there is, since a resample doubles the variance. Raises ValueError unless `correct` is bool with a row and
    a trial, and without resamples.
    """
    _check_correct(correct)
    if resamples < 1:
        raise ValueError("there must be at least one resample")
    trials, rows = correct.shape
    accuracies = correct.mean(axis=1)
    chosen = int(accuracies.argmax())
    # Hits are whole numbers up to N, which float32 holds exactly to 2 ** 24; its matrix product is the fastest.
    by_row = np.ascontiguousarray(correct.T, np.float32)
    wins = np.zeros(trials, np.int64)
    excess = 0.0
    for draws in _draws(rows, resamples, np.random.default_rng(seed)):
        hits = _times_drawn(draws).astype(np.float32) @ by_row
        winners = hits.argmax(axis=1)
        wins += np.bincount(winners, minlength=trials)
        excess += float(hits.max(axis=1).sum(dtype=np.float64) / rows - accuracies[winners].sum())
    wins[chosen] = 0
    displaced = int(wins.sum())
    return SelectionOptimism(
        chosen=chosen,
        displaced=displaced / resamples,
        successor=int(wins.argmax()) if displaced else None,
        optimism=excess / resamples,
    )


def _resampled_means(differences: NDArray[np.float64], resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Means (resamples,) of as many rows as there are, drawn with replacement."""
    rows = len(differences)
    values, appearance, counts = np.unique(differences, return_index=True, return_counts=True)
    if len(values) > _FEW_VALUES:
        return np.concatenate([differences[draws].mean(axis=1) for draws in _draws(rows, resamples, rng)])
    # How often each value is drawn is multinomial. Values in the order in which they appear, not by size: then negated
    # differences draw the same counts, and the interval does not depend on which side is the first.
    order = np.argsort(appearance)
    means: NDArray[np.float64] = rng.multinomial(rows, counts[order] / rows, size=resamples) @ values[order] / rows
    return means


def _draws(rows: int, resamples: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Row numbers drawn with replacement, (resamples, N) in blocks of several resamples."""
    block = max(1, _DRAWS_AT_ONCE // rows)
    for start in range(0, resamples, block):
        yield rng.integers(rows, size=(min(block, resamples - start), rows))


def _times_drawn(draws: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each row was drawn, (resamples, N), from the numbers of the rows drawn, (resamples, N)."""
    resamples, rows = draws.shape
    cells = draws + rows * np.arange(resamples)[:, np.newaxis]
    return np.bincount(cells.ravel(), minlength=draws.size).reshape(draws.shape)


def _discordant(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[int, int]:
    return int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))


def _letter(number: int) -> str:
    rest, last = divmod(number, len(ascii_lowercase))
    return (_letter(rest - 1) if rest else "") + ascii_lowercase[last]


def _check_correct(correct: NDArray[np.bool_]) -> None:
    if correct.dtype != np.bool_ or correct.ndim != 2 or not correct.size:
        raise ValueError(f"what is right must be bool by entrant and row, not {correct.dtype} {correct.shape}")
