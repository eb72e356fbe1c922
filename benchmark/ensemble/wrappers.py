"""Ensemble methods around ensemble methods: with temperatures, or over members chosen first; fit what they wrap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemblers import Ensembler
from benchmark.ensemblers.greedy_selection import GreedySelection
from benchmark.temperature import apply_temperature, temperature_of

TEMPERATURES = ("none", "members", "result", "both")
"""Where a temperature is fitted: nowhere, on every member before they are combined, on the result, or on both."""


class Calibrated:
    """Another method with temperature scaling of its members, of its result, or of both.

    Guo et al. 2017, arXiv:1706.04599, section 4.2. After averaging is where it does most: Rahaman & Thiery 2021,
    arXiv:2007.08792. Fitted on the rows that the method is fitted on.
    """

    def __init__(self, method: Ensembler, where: str) -> None:
        self._method = method
        self._scales_members = where in ("members", "both")
        self._scales_result = where in ("result", "both")
        self._of_members: NDArray[np.float64] | None = None
        self._of_result = 1.0
        self.weights: NDArray[np.float64] | None = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Fit the members' temperatures, the method, then the temperature of its result."""
        if self._scales_members:
            self._of_members = np.array([temperature_of(member, labels) for member in log_probs])
        scaled = self._scaled(log_probs)
        self.weights = self._method.fit(scaled, labels).weights
        if self._scales_result:
            self._of_result = temperature_of(self._method.predict(scaled), labels)
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) of (M, N, K)."""
        return apply_temperature(self._method.predict(self._scaled(log_probs)), self._of_result)

    def _scaled(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._of_members is None:
            return log_probs
        return np.stack([apply_temperature(*pair) for pair in zip(log_probs, self._of_members.tolist(), strict=True)])


class Preselected:
    """Another method over the members that a greedy selection picks, which may know of limits."""

    def __init__(self, build: Callable[[], Ensembler], selection: GreedySelection) -> None:
        self._build = build
        self._selection = selection
        self._members: list[int] = []
        self._method: Ensembler | None = None
        self.weights: NDArray[np.float64] | None = None

    def fit(self, log_probs: NDArray[np.float32], labels: NDArray[np.int64]) -> Self:
        """Choose members on the rows given, then fit the method over them."""
        votes = self._selection.fit(log_probs, labels).weights
        assert votes is not None
        self._members = np.flatnonzero(votes).tolist()
        self._method = self._build().fit(log_probs[self._members], labels)
        if self._method.weights is not None:
            self.weights = np.zeros(len(log_probs))
            self.weights[self._members] = self._method.weights
        return self

    def predict(self, log_probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, K) of (M, N, K)."""
        if self._method is None:
            raise ValueError("predict needs fit first")
        return self._method.predict(log_probs[self._members])
