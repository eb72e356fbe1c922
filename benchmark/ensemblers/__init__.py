"""Ensemble methods: what one takes and gives; one file each, found by the registry. Pure numpy, scipy, scikit-learn.

Shapes: M members, N rows, K classes; everything in natural log-probabilities. Tags of an entry:

- `baseline=True`: built only when it is asked for by name.
- `selects=True`: picks few of many members, and so may be given every trial of a search.
- `calibrates=True`: the fit sets the confidence too, and changes the predictions of a single member.
- `grows_with_classes=True`: its fit takes long with many classes, and then it is built only where it is named.
- `parameters`: a function of (members, classes), the number of parameters fitted, on methods that need rows in
  proportion to it.
"""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from benchmark.registry import Registry


class Ensembler(Protocol):
    """Combines members' predictions; a builder returns an unfitted one."""

    weights: NDArray[np.float64] | None
    """(M,) votes that sum to 1 once fitted; None where the method has no such thing."""

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Learn from log-probabilities (M, N, K) and labels (N,), which must be validation data."""

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Combined log-probabilities (N, K) of members' log-probabilities (M, N, K)."""


ENSEMBLERS: Registry[[], Ensembler] = Registry("ensemble method", __name__)
