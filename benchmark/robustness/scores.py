"""Scores under corruption, from which images were predicted right; pure functions that know no image and no network.

Shapes: E entrants, R corruptions, S severities, N images. All corruptions share their images, so intervals draw images
and keep what belongs to one together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.comparisons import paired_bootstrap
from benchmark.metrics import Estimate, estimated_share


@dataclass(frozen=True, eq=False)
class CorruptionScores:
    """One entrant under corruption; accuracies in [0, 1], intervals of 95 % over images."""

    entrant: str
    clean: Estimate
    """Accuracy on the same images as they are."""
    accuracy: NDArray[np.float64]
    """(R, S)"""
    mean: Estimate
    """Mean corruption accuracy: over all corruptions and severities alike."""
    by_corruption: tuple[Estimate, ...]
    """(R,) over severities."""
    by_severity: tuple[Estimate, ...]
    """(S,) over corruptions."""
    error_ratio: float | None
    """Mean corruption error, the reference's being 1; None where the reference makes no error under a corruption."""
    versus_reference: Estimate
    """Mean corruption accuracy minus that of the reference, paired by image."""


def score_corruptions(
    entrants: Sequence[str], clean: NDArray[np.bool_], right: NDArray[np.bool_], *, reference: int, seed: int = 0
) -> list[CorruptionScores]:
    """Every entrant's scores, from what it has right: `clean` (E, N), and `right` (E, R, S, N) under corruption.

    The mean corruption error is that of Hendrycks & Dietterich 2019, arXiv:1903.12261, section 4.1, with the entrant
    of number `reference` in AlexNet's place: errors added up over severities, divided by the reference's, and then the
    mean over corruptions.
    """
    errors = (~right).sum(axis=(2, 3))
    has_ratio = bool(errors[reference].all())
    of_image = right.mean(axis=(1, 2))
    return [
        CorruptionScores(
            entrant=name,
            clean=estimated_share(int(clean[number].sum()), clean.shape[1]),
            accuracy=right[number].mean(axis=2),
            mean=paired_bootstrap(of_image[number], seed=seed),
            by_corruption=tuple(paired_bootstrap(rows.mean(axis=0), seed=seed) for rows in right[number]),
            by_severity=tuple(
                paired_bootstrap(rows.mean(axis=0), seed=seed) for rows in right[number].transpose(1, 0, 2)
            ),
            error_ratio=float((errors[number] / errors[reference]).mean()) if has_ratio else None,
            versus_reference=paired_bootstrap(of_image[number] - of_image[reference], seed=seed),
        )
        for number, name in enumerate(entrants)
    ]
