"""Which images are worth a look, by stored predictions; runs no network."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray


def telling_rows(log_probs: NDArray[np.float32], labels: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Numbers of at most `count` rows: the most confident mistakes for one half, then right answers of many classes.

    `log_probs` (N, K), `labels` (N,). Right answers are the most confident of their class, one of each class in turn;
    classes that the mistakes were of come first, to be compared. Where there are too few of one kind, more of the
    other are taken.
    """
    right = log_probs.argmax(axis=1) == labels
    by_confidence = np.argsort(-log_probs.max(axis=1), kind="stable")
    wrong_rows, right_rows = by_confidence[~right[by_confidence]], by_confidence[right[by_confidence]]
    mistakes = wrong_rows[: max(-(-count // 2), count - len(right_rows))]
    classes = dict.fromkeys([*labels[mistakes].tolist(), *range(log_probs.shape[1])])
    of_class = (right_rows[labels[right_rows] == label].tolist() for label in classes)
    in_turn = [row for rows in zip_longest(*of_class) for row in rows if row is not None]
    return np.array([*mistakes.tolist(), *in_turn[: count - len(mistakes)]], np.int64)
