"""The best member alone: what every ensemble has to beat; combines nothing."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers.soft_voting import weighted_mean
from benchmark.metrics import accuracy, log_loss


class SingleBest:
    """The member of highest accuracy; ties go to lower log loss, then to the earlier member."""

    weights: NDArray[np.float64] | None = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Choose by the accuracy of each member of (M, N, K) on labels (N,)."""
        keys = [(-accuracy(member, labels), log_loss(member, labels)) for member in log_probs]
        self.weights = np.zeros(len(log_probs))
        self.weights[keys.index(min(keys))] = 1
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """The chosen member's log-probabilities, (N, K) of (M, N, K)."""
        if self.weights is None:
            raise ValueError("predict needs fit first")
        return weighted_mean(log_probs, self.weights)


@ENSEMBLERS.register(
    "single_best",
    space={},
    reference='Caruana et al. 2004, doi:10.1145/1015330.1015432, table 2 ("best model" baseline)',
    baseline=True,
)
def single_best() -> Ensembler:
    """An unfitted choice of one member."""
    return SingleBest()
