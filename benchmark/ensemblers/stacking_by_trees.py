"""Stacking: gradient-boosted trees on the members' probabilities; knows predictions only.

Friedman 2001, doi:10.1214/aos/1013203451, with the histograms of Ke et al. 2017 (LightGBM, NeurIPS 30). Small on
purpose: shallow trees, slow learning, and as many rounds as a held-out fold of the rows bears.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._features import probs, side_by_side
from benchmark.ensemblers._stacking import OneClass, fitted, for_every_class
from benchmark.folds import stratified_folds
from benchmark.metrics import log_loss

ROUNDS = 40
LEAVES = 6
LEARNING_RATE = 0.1
FOLDS = 5
SEED = 0


class TreeStacking:
    """Boosted trees over M x K probabilities, one tree per class and round; the rounds are chosen by log loss."""

    weights: NDArray[np.float64] | None = None

    def __init__(self) -> None:
        self.rounds: int | None = None
        """The chosen number of rounds, once fitted."""
        self._model: Any = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Choose the rounds on one fold of the rows given, then fit on all of them."""
        features = side_by_side(probs(log_probs))
        self._classes = log_probs.shape[2]
        # One thread: fits of several folds share the machine.
        with threadpool_limits(limits=1):
            self.rounds = _choose_rounds(features, labels, self._classes)
            self._model = fitted(_trees(self.rounds), features, labels)
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The meta-learner's log-probabilities, (N, K) of (M, N, K)."""
        if self._model is None:
            raise ValueError("predict needs fit first")
        predicted = self._model.predict_proba(side_by_side(probs(log_probs)))
        return for_every_class(predicted, self._model.classes_, self._classes)


def _trees(rounds: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier  # a second of import that a search need not pay

    return HistGradientBoostingClassifier(
        max_iter=rounds, max_leaf_nodes=LEAVES, learning_rate=LEARNING_RATE, early_stopping=False, random_state=SEED
    )


def _choose_rounds(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> int:
    """The fewest rounds of least log loss on one fold, fitted on the others; one where these are of one class."""
    outside = stratified_folds(labels, min(FOLDS, len(labels)), SEED) == 0
    model = fitted(_trees(ROUNDS), features[~outside], labels[~outside])
    if isinstance(model, OneClass):
        return 1
    losses = [
        log_loss(for_every_class(predicted, model.classes_, classes), labels[outside])
        for predicted in model.staged_predict_proba(features[outside])
    ]
    return 1 + int(np.argmin(losses))


@ENSEMBLERS.register(
    "stacking_by_trees",
    space={},
    reference="Friedman 2001, doi:10.1214/aos/1013203451; Ke et al. 2017, NeurIPS 30; Wolpert 1992",
    calibrates=True,
    grows_with_classes=True,
)
def stacking_by_trees() -> Ensembler:
    """An unfitted meta-learner of small boosted trees."""
    return TreeStacking()
