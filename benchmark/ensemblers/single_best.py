"""The best member alone: what every ensemble has to beat; combines nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import ENSEMBLERS, Ensembler
from benchmark.ensemblers._voting import Voting
from benchmark.metrics import accuracy, log_loss


def vote_for_the_best(log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(M,) the whole vote for the member of highest accuracy; ties go to lower log loss, then to the earlier one."""
    keys = [(-accuracy(member, labels), log_loss(member, labels)) for member in log_probs]
    votes = np.zeros(len(log_probs))
    votes[keys.index(min(keys))] = 1
    return votes


@ENSEMBLERS.register(
    "single_best",
    space={},
    reference='Caruana et al. 2004, doi:10.1145/1015330.1015432, table 2 ("best model" baseline)',
    baseline=True,
)
def single_best() -> Ensembler:
    """An unfitted choice of one member."""
    return Voting(vote_for_the_best)
