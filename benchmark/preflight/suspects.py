"""Labels that models contradict, found in the probabilities that they gave; knows no model and no image.

Confident learning: Northcutt, Jiang and Chuang 2021, arXiv:1911.00068, section 3.1 for the thresholds and the confident
joint, section 3.2 for the order by normalised margin.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from benchmark.preflight.findings import Place, SuspectLabel
from benchmark.records import Split

LEAST_AGREEMENT = 0.8
"""Share of the models: four of five; a choice, and no measurement."""


def suspect_labels(
    members: Iterable[NDArray[np.float32]],
    labels: NDArray[np.int64],
    *,
    split: Split,
    rows: NDArray[np.int64],
    least_agreement: float = LEAST_AGREEMENT,
) -> tuple[SuspectLabel, ...]:
    """Rows whose label the models contradict, the most suspicious first.

    `members`: log-probabilities (N, K) of each of at least one model that was not trained on these rows; `labels` (N,)
    are the given ones, and `rows` (N,) say where the images are in the published part of `split`.

    A class is taken for an image's true one where its probability, the mean of the models, is at least the mean
    probability that images of that label give it: a threshold of its own for every class, so that classes which models
    are less sure of do not look wrong for that alone. Of several such classes it is the most probable one. The image is
    suspect where that is another class than its label, a more probable one, and first for at least `least_agreement` of
    the models.
    """
    mean, votes = _mean_and_votes(members)
    every = np.arange(len(labels))
    thresholds = np.full(mean.shape[1], np.inf)
    for label in np.unique(labels):
        thresholds[label] = mean[labels == label, label].mean()
    confident = np.where(mean >= thresholds, mean, -np.inf)
    suggested = confident.argmax(axis=1)
    probability, of_label = mean[every, suggested], mean[every, labels]
    agreement = (votes == suggested).mean(axis=0)
    # Where no class reaches its threshold, the first one is suggested: it is none.
    found = np.isfinite(confident[every, suggested]) & (probability > of_label) & (agreement >= least_agreement)
    at = np.flatnonzero(found)
    at = at[np.argsort((of_label - probability)[at], kind="stable")]
    return tuple(
        SuspectLabel(
            Place(split, int(rows[row]), int(labels[row])),
            int(suggested[row]),
            float(probability[row]),
            float(of_label[row]),
            float(agreement[row]),
        )
        for row in at
    )


def _mean_and_votes(members: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Mean probabilities (N, K) and the class that each model puts first (M, N); of the members one at a time."""
    votes = []
    total: NDArray[np.float64] | float = 0.0
    for log_probs in members:
        total = total + np.exp(log_probs.astype(np.float64))
        votes.append(log_probs.argmax(axis=1))
    if not votes:
        raise ValueError("there has to be at least one model")
    return np.asarray(total) / len(votes), np.asarray(votes)
