"""Log-linear pooling: softmax of the members' log-probabilities, each times an exponent; calibrates as it weighs.

The weighted logarithmic pool of Genest & Zidek 1986 (doi:10.1214/ss/1177013825), its weights fitted by log loss
(Heskes 1998, "Selecting weighting factors in logarithmic opinion pools", NeurIPS 1997). Exponents need not sum to 1:
their sum is the inverse of a temperature.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, softmax

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._features import floored
from benchmark.ensemblers._nonnegative import Numbers, minimise
from benchmark.ensemblers._voting import logarithmic_pool

NEGLIGIBLE = 1e-2
"""Exponents below this share of the largest are dropped, and the others fitted again without them."""


class PoolLoss:
    """Mean log loss of a logarithmic pool; convex in its exponents.

    `margins` (K, M, N) are each member's log-probabilities less that of the label.
    """

    def __init__(self, margins: Numbers) -> None:
        self._margins = margins

    def value(self, at: Numbers) -> float:
        """The loss at exponents (M,)."""
        return float(logsumexp(at @ self._margins, axis=0).mean())

    def expand(self, at: Numbers) -> tuple[Numbers, Numbers]:
        """Gradient (M,) and Hessian (M, M) at exponents (M,): the mean margin and its covariance under the pool."""
        members, rows = self._margins.shape[1:]
        mean, square = np.zeros((members, rows)), np.zeros((members, members))
        for margins, share in zip(self._margins, softmax(at @ self._margins, axis=0), strict=True):
            weighted = margins * share
            mean += weighted
            square += weighted @ margins.T
        return mean.mean(axis=1), (square - mean @ mean.T) / rows


class LogLinearPooling:
    """Exponents of at least 0 by least log loss, those that count; no member enters with less than 1e-6."""

    weights: NDArray[np.float64] | None = None

    def __init__(self) -> None:
        self.exponents: NDArray[np.float64] | None = None
        """(M,) what each member's log-probabilities are multiplied by, once fitted."""

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Find the exponents; `weights` are their shares, equal where no member is better than none."""
        self.exponents = _exponents(log_probs, labels)
        total = self.exponents.sum()
        self.weights = self.exponents / total if total > 0 else np.full(len(log_probs), 1 / len(log_probs))
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The pool's log-probabilities, (N, K) of (M, N, K)."""
        if self.exponents is None:
            raise ValueError("predict needs fit first")
        return logarithmic_pool(log_probs, self.exponents)


def _exponents(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    margins = np.ascontiguousarray(floored(log_probs).transpose(2, 0, 1))
    margins -= margins[labels, :, np.arange(len(labels))].T
    exponents = np.full(len(log_probs), 1 / len(log_probs))
    fitted = np.full(len(log_probs), True)
    while True:
        exponents[fitted] = minimise(PoolLoss(margins[:, fitted]), exponents[fitted])
        counting = exponents > NEGLIGIBLE * exponents.max()
        dropped = fitted & ~counting & (exponents > 0)
        exponents[~counting] = 0
        if not dropped.any():
            return exponents
        fitted = counting


@ENSEMBLERS.register(
    "log_linear_pooling",
    space={},
    reference="Genest & Zidek 1986, doi:10.1214/ss/1177013825; Heskes 1998, NeurIPS 10 (weights by log loss)",
    selects=True,
    calibrates=True,
)
def log_linear_pooling() -> Ensembler:
    """An unfitted log-linear pool."""
    return LogLinearPooling()
