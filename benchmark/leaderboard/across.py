"""Several studies side by side: ranks and win rates of what they share; knows their results only, not their trials.

Demšar 2006, JMLR 7:1-30, "Statistical comparisons of classifiers over multiple data sets", section 3 (average ranks,
equal ones sharing the mean of their places).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.leaderboard.pieces import cell, table
from benchmark.metrics import UNKNOWN, Estimate
from benchmark.records import COUNTED
from benchmark.wording import percent, percent_with_interval, plural

FEWEST_STUDIES = 3
"""With fewer, shares of studies are 0, 50 or 100 %, and the ranks say the same."""


@dataclass(frozen=True)
class StudyResult:
    """What one study came to, as its JSON file tells."""

    study: str
    dataset: str
    device: str
    trials: int
    """That count: complete and pruned ones."""
    recommended: str
    accuracies: Mapping[str, Estimate]
    """Test accuracy by label (see `label_of`)."""


@dataclass(frozen=True, eq=False)
class Across:
    """Test accuracies of E labels in S studies, and how the labels that all studies have compare."""

    studies: tuple[str, ...]
    labels: tuple[str, ...]
    """Those of all studies first, by mean rank; then the others, by name."""
    accuracy: NDArray[np.float64]
    """(E, S), NaN where a study has no such row."""
    mean_rank: tuple[float | None, ...]
    """(E,) among the labels that all studies have, 1 the best; None for the others."""
    wins: NDArray[np.float64]
    """(C, C) share of studies in which the row's label beats the column's, equals counting half; the first C labels."""

    @property
    def win_rates(self) -> list[float]:
        """(C,) share of its comparisons with the other labels that each of the first C wins, equals counting half."""
        others = len(self.wins) - 1
        # Beside itself a label counts half.
        return ((self.wins.sum(axis=1) - 0.5) / others).tolist() if others > 0 else [math.nan] * len(self.wins)


def label_of(row: Mapping[str, Any]) -> str:
    """What a leaderboard's row, as its JSON has it, is called in every study: a tuned model goes by its family."""
    return f"{row['family']}, tuned" if row["kind"] == "tuned" else str(row["name"])


def result_of(whole: Mapping[str, Any]) -> StudyResult:
    """One study's result from its JSON. Raises BenchError where that is another file's, or of an earlier version."""
    try:
        accuracies: dict[str, Estimate] = {}
        for row in whole["rows"]:
            # Rows are in the order of validation: of several models with one label its first one counts.
            told = Estimate(row["test_accuracy"], row["test_accuracy_low"], row["test_accuracy_high"])
            accuracies.setdefault(label_of(row), told)
        origin = whole["origin"]
        return StudyResult(
            study=origin["study"],
            dataset=origin["dataset"],
            device=origin["device"],
            trials=sum(whole["study"]["states"].get(state, 0) for state in COUNTED),
            recommended=label_of(next(row for row in whole["rows"] if row["name"] == whole["winner"]["name"])),
            accuracies=accuracies,
        )
    except (KeyError, TypeError, StopIteration) as error:
        raise BenchError(f"this is no leaderboard's JSON: {error!r} is missing") from error


def compare_studies(results: Sequence[StudyResult]) -> Across:
    """Labels over studies. Raises BenchError with fewer than two studies."""
    from scipy.stats import rankdata  # half a second of import that a search need not pay

    if len(results) < 2:
        raise BenchError("comparing studies takes at least two of them")
    everywhere = set.intersection(*(set(result.accuracies) for result in results))
    shared = sorted(everywhere)
    scores = np.array([[result.accuracies[label].value for result in results] for label in shared])
    ranks = np.zeros(0) if not shared else rankdata(-scores, axis=0).mean(axis=1)
    order = sorted(range(len(shared)), key=lambda index: (ranks[index], shared[index]))
    others = sorted({label for result in results for label in result.accuracies} - everywhere)
    labels = [*(shared[index] for index in order), *others]
    ordered = scores[order] if shared else np.zeros((0, len(results)))
    wins = (ordered[:, None] > ordered[None]).mean(axis=2) + 0.5 * (ordered[:, None] == ordered[None]).mean(axis=2)
    return Across(
        studies=tuple(result.study for result in results),
        labels=tuple(labels),
        accuracy=np.array([[one.accuracies.get(label, UNKNOWN).value for one in results] for label in labels]),
        mean_rank=(*(float(ranks[index]) for index in order), *(None for _ in others)),
        wins=wins,
    )


def index_page(results: Sequence[StudyResult]) -> str:
    """The page results/README.md: every study with its answer, and a comparison where there are several."""
    rows = []
    for result in sorted(results, key=lambda one: one.study):
        told = result.accuracies[result.recommended]
        rows.append(
            [
                f"[{result.study}]({result.study}.md)",
                result.dataset,
                result.recommended,
                percent_with_interval(told),
                f"{result.trials:,}",
                result.device,
            ]
        )
    headings = ["Study", "Data set", "Recommended", "Test acc. % (95 % interval)", "Trials", "Device"]
    parts = [
        "<!-- Generated by `bench leaderboard`: changes made here are lost. -->",
        "# Results",
        table(headings, rows, right=[False, False, False, True, True, False]),
    ]
    if len(results) > 1:
        across = compare_studies(sorted(results, key=lambda one: one.study))
        parts += _comparison(across, datasets=len({result.dataset for result in results}))
    return "\n\n".join(parts) + "\n"


def _comparison(across: Across, datasets: int) -> list[str]:
    rows = [
        [
            label,
            "–" if across.mean_rank[index] is None else f"{across.mean_rank[index]:.2f}",
            *("–" if np.isnan(value) else percent(value) for value in across.accuracy[index]),
        ]
        for index, label in enumerate(across.labels)
    ]
    parts = [
        "## Side by side",
        "Test accuracy in %. The mean rank is taken over the studies, among the entrants that all of them have; equal "
        f"ones share the mean of their places. The order is by test, over {len(across.studies):,} studies of "
        f"{plural(datasets, 'data set')}, and nothing is tested here: which entrants of a study differ, its own page "
        "says.",
        table(["Entrant", "Mean rank ↓", *across.studies], rows, right=[False] + [True] * (len(across.studies) + 1)),
    ]
    shared = across.labels[: len(across.wins)]
    if len(shared) > 1 and len(across.studies) >= FEWEST_STUDIES:
        cells = [
            [label, *("" if one == other else f"{100 * across.wins[one, other]:.0f}" for other in range(len(shared)))]
            for one, label in enumerate(shared)
        ]
        won = table(["wins over →", *map(cell, shared)], cells, right=[False] + [True] * len(shared))
        parts.append(
            "<details>\n<summary>In how many % of the studies the row's entrant is right more often than the column's; "
            f"equal ones count half</summary>\n\n{won}\n\n</details>"
        )
    return parts
