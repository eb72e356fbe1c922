"""Scores of predictions against labels; pure functions of arrays that know no model, no split and no table.

Shapes: N rows, K classes. `log_probs` are natural log-probabilities (N, K), `labels` int64 (N,) in 0..K-1.
The predicted class is the most probable one, the first of equals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from benchmark.records import Entrant, Predictions, deciding

LOG_FLOOR = -100.0
"""Log-probabilities below this count as this, so that one impossible class does not make a mean infinite.

The convention of torch.nn.BCELoss. An estimate of exactly 0 for the true class costs 100 nats.
"""
ECE_BINS = 15
CONFIDENCE = 0.95

FloatArray = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A measured value with its confidence interval."""

    value: float
    low: float
    high: float


UNKNOWN = Estimate(math.nan, math.nan, math.nan)
"""Of what was not measured."""


@dataclass(frozen=True, eq=False)
class ClassScores:
    """One-against-rest scores by class, each (K,): precision, recall and F1 in [0, 1], support in rows."""

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """Every score of one set of predictions over `rows` rows."""

    rows: int
    accuracy: Estimate
    macro_precision: float
    """Unweighted mean over classes, as the two that follow."""
    macro_recall: float
    macro_f1: float
    log_loss: float
    brier: float
    ece: float


def predicted(log_probs: FloatArray) -> NDArray[np.int64]:
    """The most probable class of each row, int64 (N,)."""
    classes: NDArray[np.int64] = np.argmax(log_probs, axis=1).astype(np.int64)
    return classes


def confidence(log_probs: FloatArray) -> NDArray[np.float64]:
    """(N,) probability of the predicted class, at most 1."""
    highest: NDArray[np.float64] = np.minimum(np.exp(log_probs.astype(np.float64).max(axis=1)), 1.0)
    return highest


def correct_rows(log_probs: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the predicted class is the label, by row (N,). Raises ValueError where the shapes do not fit."""
    if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1]:
        raise ValueError(f"predictions need (N, K) and (N,), not {log_probs.shape} and {labels.shape}")
    right: NDArray[np.bool_] = predicted(log_probs) == labels
    return right


def accuracy(log_probs: FloatArray, labels: NDArray[np.int64]) -> float:
    """Share of rows whose predicted class is the label; [0, 1], higher is better."""
    _check(log_probs, labels)
    return float(correct_rows(log_probs, labels).mean())


def log_loss(log_probs: FloatArray, labels: NDArray[np.int64]) -> float:
    """Mean negative log-probability of the label, in nats; [0, 100], lower is better (see LOG_FLOOR)."""
    _check(log_probs, labels)
    of_label = log_probs[np.arange(len(labels)), labels].astype(np.float64)
    return max(0.0, float(-np.maximum(of_label, LOG_FLOOR).mean()))


def brier(log_probs: FloatArray, labels: NDArray[np.int64]) -> float:
    """Mean squared distance between probabilities and the one-hot label, summed over classes; [0, 2], lower is better.

    The original, multi-class form of Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
    """
    _check(log_probs, labels)
    errors = np.exp(log_probs.astype(np.float64))
    errors[np.arange(len(labels)), labels] -= 1
    return float(np.square(errors).sum(axis=1).mean())


def expected_calibration_error(log_probs: FloatArray, labels: NDArray[np.int64], bins: int = ECE_BINS) -> float:
    """Mean gap between confidence and accuracy over equal-width bins of confidence; [0, 1], lower is better.

    Confidence is the probability of the predicted class; bins are those of `confidence_bin`. Naeini et al. 2015, AAAI,
    "Obtaining well calibrated probabilities using Bayesian binning"; Guo et al. 2017, arXiv:1706.04599, equation 3,
    with 15 bins.
    """
    _check(log_probs, labels)
    claimed = confidence(log_probs)
    correct = correct_rows(log_probs, labels).astype(np.float64)
    which = confidence_bin(claimed, bins)
    # n_b / N * |acc_b - conf_b| is |sum of correct - sum of confidence| / N: empty bins need no special case.
    gaps = np.bincount(which, weights=correct - claimed, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def confidence_bin(confidence: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    """(N,) the bin, 0..bins-1, of each confidence in (0, 1].

    Bins are of equal width and (lower, upper], so that a confidence of exactly 1 falls into the last one.
    """
    which: NDArray[np.int64] = np.ceil(confidence * bins).astype(np.int64) - 1
    return which


def confusion_matrix(log_probs: FloatArray, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Counts (K, K): row = label, column = predicted class; the sum is N."""
    _check(log_probs, labels)
    classes = log_probs.shape[1]
    cells = np.bincount(labels * classes + predicted(log_probs), minlength=classes * classes)
    return cells.reshape(classes, classes).astype(np.int64)


def class_scores(confusion: NDArray[np.int64]) -> ClassScores:
    """Precision, recall, F1 and support of every class of a confusion matrix (K, K); higher is better.

    A class never predicted has precision 0, one without rows recall 0, one with neither hit nor error F1 0: what
    scikit-learn calls `zero_division=0`.
    """
    hits = np.diag(confusion).astype(np.float64)
    claimed, support = confusion.sum(axis=0), confusion.sum(axis=1)
    return ClassScores(
        precision=_ratio(hits, claimed),
        recall=_ratio(hits, support),
        f1=_ratio(2 * hits, claimed + support),
        support=support,
    )


def wilson_interval(hits: int, rows: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Score interval (low, high) of a share of `hits` in `rows`, within [0, 1].

    Wilson 1927, doi:10.1080/01621459.1927.10502953; unlike the normal approximation it holds near 0 and 1
    (Brown, Cai & DasGupta 2001, doi:10.1214/ss/1009213286). Raises ValueError where the share is none.
    """
    if not 0 <= hits <= rows or rows == 0:
        raise ValueError(f"{hits} of {rows} is not a share")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / rows
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    # At the ends the exact bound is the end itself; rounding must not move it off.
    return (0.0 if hits == 0 else centre - half, 1.0 if hits == rows else centre + half)


def estimated_share(hits: int, rows: int) -> Estimate:
    """A share of `hits` in `rows`, in [0, 1], with its 95 % Wilson interval. Raises ValueError where it is none."""
    low, high = wilson_interval(hits, rows)
    return Estimate(hits / rows, low, high)


def score(log_probs: FloatArray, labels: NDArray[np.int64]) -> Scores:
    """Every score at once; accuracy with its 95 % Wilson interval."""
    confusion = confusion_matrix(log_probs, labels)
    by_class = class_scores(confusion)
    hits, rows = int(np.trace(confusion)), len(labels)
    return Scores(
        rows=rows,
        accuracy=estimated_share(hits, rows),
        macro_precision=float(by_class.precision.mean()),
        macro_recall=float(by_class.recall.mean()),
        # Not the F1 of the mean precision and recall (Opitz & Burst 2019, arXiv:1911.03347).
        macro_f1=float(by_class.f1.mean()),
        log_loss=log_loss(log_probs, labels),
        brier=brier(log_probs, labels),
        ece=expected_calibration_error(log_probs, labels),
    )


def standing(predictions: Predictions, labels: NDArray[np.int64]) -> tuple[float, float]:
    """Sort key that puts the best first: (minus accuracy, log loss) on validation rows.

    Raises SealedTestError where the predictions are not of validation.
    """
    log_probs = deciding(predictions)
    return -accuracy(log_probs, labels), log_loss(log_probs, labels)


def entrant_standing(entrant: Entrant, labels: NDArray[np.int64]) -> tuple[float, float, bool, str]:
    """Sort key of entrants that puts the best first: `standing`, and of equals who was trained on more rows, by name.

    Equal are a trial and one that trains it again on all rows: what stands for this one are the trial's predictions.
    """
    return *standing(entrant.val, labels), entrant.trained_on == "train", entrant.name


def _ratio(part: NDArray[np.float64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _check(log_probs: FloatArray, labels: NDArray[np.int64]) -> None:
    if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1] or not len(labels):
        raise ValueError(f"scores need (N, K) and (N,) with N at least 1, not {log_probs.shape} and {labels.shape}")
    if labels.min() < 0 or labels.max() >= log_probs.shape[1]:
        raise ValueError(f"labels must lie in 0..{log_probs.shape[1] - 1}")
