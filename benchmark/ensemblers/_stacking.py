"""What stacking methods share: a meta-learner's classes, and logistic regression; which features is their matter.

Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Ting & Witten 1999, doi:10.1613/jair.594 (class probabilities as
features of the meta-learner).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmark.ensemblers._features import side_by_side
from benchmark.folds import stratified_folds
from benchmark.metrics import LOG_FLOOR, log_loss

REFERENCE = "Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Ting & Witten 1999, doi:10.1613/jair.594"
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 strengths C, strongest penalty first, on standardised features."""
FOLDS = 4
SEED = 0
MAX_ITERATIONS = 5000
SMALLEST_SPREAD = 1e-6
"""Standard deviation of a feature that is learnt from as more than a constant."""

Features = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""What is learnt from, (M, N, K), of log-probabilities (M, N, K)."""


def logistic_parameters(members: int, classes: int) -> int:
    """Coefficients and intercepts that a logistic stacking fits; two classes need one set of them."""
    return (members * classes + 1) * (classes if classes > 2 else 1)


def for_every_class(probs: NDArray[np.float64], seen: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Log-probabilities (N, K) of the probabilities (N, seen) of those classes that had a row in the fit.

    LOG_FLOOR for the other classes, and nothing lower where a meta-learner is certain.
    """
    full = np.full((len(probs), classes), LOG_FLOOR)
    with np.errstate(divide="ignore"):
        full[:, seen] = np.maximum(np.log(probs), LOG_FLOOR)
    return full.astype(np.float32)


class OneClass:
    """Stands for a classifier where all rows of a fit are of one class: it is certain of that one."""

    def __init__(self, seen: int) -> None:
        self.classes_ = np.array([seen])

    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities (N, 1)."""
        return np.ones((len(features), 1))


def fitted(model: Any, features: NDArray[np.float64], labels: NDArray[np.int64]) -> Any:
    """scikit-learn's classifier fitted, or what stands for it where there is only one class to learn."""
    seen = np.unique(labels)
    return OneClass(int(seen[0])) if len(seen) == 1 else model.fit(features, labels)


class LogisticStacking:
    """Multinomial logistic regression on M x K standardised features; the L2 strength is chosen by log loss."""

    weights: NDArray[np.float64] | None = None

    def __init__(self, features: Features) -> None:
        self.strength: float | None = None
        """The chosen C, once fitted."""
        self._features = features
        self._model: Any = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Choose C by cross-validation within the rows given, then fit on all of them."""
        features = side_by_side(self._features(log_probs))
        self._classes = log_probs.shape[2]
        self._centre = features.mean(axis=0)
        spread = features.std(axis=0)
        # Of a constant, rounding leaves a spread of its own, by which another value would be infinitely far away.
        self._spread = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
        scaled = (features - self._centre) / self._spread
        # One thread: products this thin were 7 times slower on two, and far worse beside a busy neighbour.
        with threadpool_limits(limits=1):
            self.strength = _choose_strength(scaled, labels, self._classes)
            self._model = fitted(_regression(self.strength), scaled, labels)
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The meta-learner's log-probabilities, (N, K) of (M, N, K)."""
        if self._model is None:
            raise ValueError("predict needs fit first")
        scaled = (side_by_side(self._features(log_probs)) - self._centre) / self._spread
        return _log_probs(self._model, scaled, self._classes)


def _regression(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression  # a second of import that a search need not pay

    return LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, warm_start=True)


def _choose_strength(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> float:
    """The C of least mean out-of-fold log loss; the strongest penalty of equals."""
    folds = stratified_folds(labels, min(FOLDS, len(labels)), SEED)
    losses = np.zeros(len(STRENGTHS))
    for fold in np.unique(folds):
        inside, outside = folds != fold, folds == fold
        model = _regression(STRENGTHS[0])
        for index, strength in enumerate(STRENGTHS):
            # Each strength starts from the solution of the stronger penalty before it.
            learned = fitted(model.set_params(C=strength), features[inside], labels[inside])
            loss = log_loss(_log_probs(learned, features[outside], classes), labels[outside])
            losses[index] += loss * outside.sum() / len(labels)
    return STRENGTHS[int(losses.argmin())]


def _log_probs(model: Any, features: NDArray[np.float64], classes: int) -> NDArray[np.float32]:
    return for_every_class(model.predict_proba(features), model.classes_, classes)
