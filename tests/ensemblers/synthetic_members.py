"""Members of an ensemble as tests want them: random ones, and ones whose answer can be worked out by hand."""

from __future__ import annotations

import numpy as np

M, N, K = 4, 240, 3


def members(seed: int = 0, count: int = M, rows: int = N, classes: int = K) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities (count, rows, classes) of members that are right more often than not, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    logits = rng.normal(size=(count, rows, classes))
    logits[:, np.arange(rows), labels] += np.linspace(0.8, 1.6, count)[:, None]
    return (logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))).astype(np.float32), labels


def alike(seed: int = 0, count: int = M, rows: int = N, classes: int = K) -> tuple[np.ndarray, np.ndarray]:
    """The same of members that find the same rows hard, as networks do; the earlier the better."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    common = rng.normal(size=(rows, classes))
    common[np.arange(rows), labels] += 1.5
    logits = common + np.linspace(0.3, 1.2, count)[:, None, None] * rng.normal(size=(count, rows, classes))
    return (logits - np.log(np.exp(logits).sum(axis=2, keepdims=True))).astype(np.float32), labels


def constant(wrong: list[int], rows: int = 6, confidence: float = 0.9) -> np.ndarray:
    """Log-probabilities (rows, 2) of a member with one confidence, wrong on the given rows; every label is 0."""
    of_label = np.where(np.isin(np.arange(rows), wrong), 1 - confidence, confidence)
    with np.errstate(divide="ignore"):
        return np.log(np.stack([of_label, 1 - of_label], axis=1)).astype(np.float32)
