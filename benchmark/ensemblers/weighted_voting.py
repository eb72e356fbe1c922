"""Weighted voting: the votes of least log loss of the members' weighted mean; reads the labels' probabilities only.

The log loss of a mixture is convex in its weights. Its minimum has few members where many are alike: the votes of the
rest are exactly 0. Nothing is calibrated, and members that doubt too much (label smoothing, mixup) get few votes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._nonnegative import Numbers, minimise
from benchmark.ensemblers._voting import Voting
from benchmark.metrics import LOG_FLOOR

NEGLIGIBLE = 1e-3
"""Votes below this are dropped: the member would cost its whole inference for nothing that can be measured."""
IMPOSSIBLE = 1e-9
"""Probabilities of the label below this share of the best member's count as this share.

A vote that is not negligible outweighs it a million times. With less, a search that once dropped a member which alone
is right on a row would come back from 0 by doubling its vote, a hundred steps and more.
"""


class MixtureLoss:
    """Mean log loss of a mixture, plus the sum of its weights, which makes them sum to 1 where the whole is least.

    `likelihoods` (N, M) are the members' probabilities of the label, up to a factor per row.
    """

    def __init__(self, likelihoods: Numbers) -> None:
        self._likelihoods = likelihoods

    def value(self, at: Numbers) -> float:
        """The loss of weights (M,), infinite where a row gets no probability."""
        with np.errstate(divide="ignore"):
            return float(at.sum() - np.log(self._likelihoods @ at).mean())

    def expand(self, at: Numbers) -> tuple[Numbers, Numbers]:
        """Gradient (M,) and Hessian (M, M) at weights (M,)."""
        relative = self._likelihoods / (self._likelihoods @ at)[:, None]
        return 1 - relative.mean(axis=0), relative.T @ relative / len(relative)


def votes_of_least_loss(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) votes by which the weighted mean of probabilities has the least log loss, the negligible ones dropped."""
    of_label = log_probs[:, np.arange(len(labels)), labels].T.astype(np.float64)
    of_label = np.maximum(of_label, LOG_FLOOR)
    # A factor per row changes the loss by a constant, and keeps every row away from 0.
    likelihoods = np.maximum(np.exp(of_label - of_label.max(axis=1, keepdims=True)), IMPOSSIBLE)
    votes = minimise(MixtureLoss(likelihoods), np.full(len(log_probs), 1 / len(log_probs)))
    kept: NDArray[np.float64] = np.where(votes < NEGLIGIBLE * votes.sum(), 0, votes)
    kept /= kept.sum()
    return kept


@ENSEMBLERS.register(
    "weighted_voting",
    space={},
    reference="Kim et al. 2020, arXiv:1806.01412 (mixture proportions of maximum likelihood)",
    selects=True,
)
def weighted_voting() -> Ensembler:
    """An unfitted weighted vote."""
    return Voting(votes_of_least_loss)
