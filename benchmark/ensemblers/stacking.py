"""Stacking: multinomial logistic regression on the members' log-probabilities; knows predictions only.

Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Ting & Witten 1999, doi:10.1613/jair.594 (class probabilities as
features of the meta-learner).
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.folds import stratified_folds
from benchmark.metrics import LOG_FLOOR, log_loss

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse L2 strengths C, strongest penalty first, on standardised features."""
FOLDS = 4
SEED = 0
MAX_ITERATIONS = 5000
FEATURE_FLOOR = float(np.log(1e-6))
"""Log-probabilities enter no lower than this: an image that a member all but rules out must not rule the fit."""


class Stacking:
    """A meta-learner over M x K standardised log-probabilities; the L2 strength is chosen by log loss over folds."""

    weights: NDArray[np.float64] | None = None

    def __init__(self) -> None:
        self.strength: float | None = None
        """The chosen C, once fitted."""
        self._model: Any = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Choose C by cross-validation within the rows given, then fit on all of them."""
        features = _features(log_probs)
        self._classes = log_probs.shape[2]
        self._centre = features.mean(axis=0)
        spread = features.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        scaled = (features - self._centre) / self._spread
        # One thread: products this thin were 7 times slower on two, and far worse beside a busy neighbour.
        with threadpool_limits(limits=1):
            self.strength = _choose_strength(scaled, labels, self._classes)
            self._model = _regression(self.strength).fit(scaled, labels)
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The meta-learner's log-probabilities, (N, K) of (M, N, K)."""
        if self._model is None:
            raise ValueError("predict needs fit first")
        return _log_probs(self._model, (_features(log_probs) - self._centre) / self._spread, self._classes)


def _features(log_probs: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N, M * K) of (M, N, K)."""
    return np.hstack(list(np.maximum(log_probs.astype(np.float64), FEATURE_FLOOR)))


def _regression(strength: float) -> Any:
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
            model.set_params(C=strength).fit(features[inside], labels[inside])
            loss = log_loss(_log_probs(model, features[outside], classes), labels[outside])
            losses[index] += loss * outside.sum() / len(labels)
    return STRENGTHS[int(losses.argmin())]


def _log_probs(model: Any, features: NDArray[np.float64], classes: int) -> NDArray[np.float32]:
    """float32 (N, K); a class without a row in the fit has no column in the model and gets LOG_FLOOR."""
    log_probs = np.full((len(features), classes), LOG_FLOOR)
    log_probs[:, model.classes_] = np.maximum(model.predict_log_proba(features), LOG_FLOOR)
    return log_probs.astype(np.float32)


@ENSEMBLERS.register(
    "stacking",
    space={},
    reference="Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1; Ting & Witten 1999, doi:10.1613/jair.594",
)
def stacking() -> Ensembler:
    """An unfitted logistic meta-learner."""
    return Stacking()
