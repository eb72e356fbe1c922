"""A leaderboard's figures: which there are, and what each shows; draws nothing itself (see figures)."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import UnknownNameError
from benchmark.leaderboard.board import Leaderboard
from benchmark.records import Split
from benchmark.wording import significant

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One figure of a page: the name of its files, and what it shows."""

    name: str
    caption: str


LATENCY = Picture("accuracy-latency", "Test accuracy against inference time, with the Pareto front")
PROGRESS = Picture("search-progress", "Best validation accuracy so far, against trials and against time")
CURVES = Picture("training-curves", "Validation accuracy of every trial while it trained")
EFFORT = Picture("effort", "Trials and time of each family, by what became of them")
IMPORTANCES = Picture("importances", "Which parameters of each family validation accuracy depends on")
SLICES = Picture("slices", "Validation accuracy against the most important parameters of each family")
RELIABILITY = Picture("reliability", "Reliability of the recommended entrant, before and after temperature")
CONFUSION = Picture("confusion", "What the recommended entrant takes each class for, on test")
SIZES = Picture("ensemble-size", "Accuracy against the size of an ensemble")
DISAGREEMENT = Picture("disagreement", "How often two members of the recommended ensemble disagree")


def pictures_of(board: Leaderboard) -> list[Picture]:
    """The figures that the board has the numbers for, in the order of the page."""
    found = [LATENCY] if any(_has_a_time(board)) else []
    found += [PROGRESS] if any(trial.started and trial.val_accuracy is not None for trial in board.trials) else []
    found += [CURVES] if any(len(trial.reports) > 1 for trial in board.trials) else []
    found += [EFFORT] if board.trials else []
    found += [IMPORTANCES, SLICES] if any(one.parameters for one in board.importances) else []
    found += [RELIABILITY, CONFUSION]
    found += [SIZES] if board.sizes else []
    found += [DISAGREEMENT] if board.members is not None else []
    return found


def draw(board: Leaderboard, folder: Path) -> list[Path]:
    """Write every figure as PNG and SVG into `folder`/STUDY; the paths. Raises BenchError where that cannot be."""
    from benchmark.figures import save

    inside = folder / board.origin.study
    return [
        path for picture in pictures_of(board) for path in save(figure_of(board, picture.name), inside, picture.name)
    ]


def figure_of(board: Leaderboard, name: str) -> Figure:
    """One of `pictures_of` by its name. Raises UnknownNameError."""
    drawings = {
        LATENCY: _latency,
        PROGRESS: _progress,
        CURVES: _curves,
        EFFORT: _effort,
        IMPORTANCES: _importances,
        SLICES: _slices,
        RELIABILITY: _reliability,
        CONFUSION: _confusion,
        SIZES: _sizes,
        DISAGREEMENT: _disagreement,
    }
    known = {picture.name: picture for picture in pictures_of(board)}
    if name not in known:
        raise UnknownNameError("figure", name, known)
    return drawings[known[name]](board)


def _has_a_time(board: Leaderboard) -> Iterator[bool]:
    """Whether the inference time of each row was measured."""
    return (0 < row.entrant.cost.inference_ms < math.inf for row in board.rows)


def _latency(board: Leaderboard) -> Figure:
    from benchmark.figures import Contender, accuracy_against_latency

    contenders = [
        Contender(
            row.entrant.name,
            row.entrant.kind,
            row.entrant.cost.inference_ms,
            row.test.accuracy,
            row.entrant.cost.parameters,
        )
        for row, is_timed in zip(board.rows, _has_a_time(board), strict=True)
        if is_timed
    ]
    return accuracy_against_latency(contenders, split=Split.TEST, subject=board.origin.study)


def _progress(board: Leaderboard) -> Figure:
    from benchmark.figures import search_progress

    return search_progress(board.trials, subject=board.origin.study)


def _curves(board: Leaderboard) -> Figure:
    from benchmark.figures import training_curves

    return training_curves(board.trials, subject=board.origin.study)


def _effort(board: Leaderboard) -> Figure:
    from benchmark.figures import search_effort

    return search_effort(board.trials, subject=board.origin.study)


def _importances(board: Leaderboard) -> Figure:
    from benchmark.figures import parameter_importances

    return parameter_importances(board.importances, subject=board.origin.study, among=_families(board))


def _slices(board: Leaderboard) -> Figure:
    from benchmark.figures import parameter_slices

    return parameter_slices(board.importances, subject=board.origin.study, among=_families(board))


def _families(board: Leaderboard) -> set[str]:
    return {trial.family for trial in board.trials}


def _reliability(board: Leaderboard) -> Figure:
    from benchmark.figures import Confidences, reliability_diagram

    winner = board.winner
    after = f"temperature {significant(board.recommended.temperature)}"
    series = [
        Confidences("as it is", winner.confidence, winner.correct),
        Confidences(after, winner.confidence_calibrated, winner.correct),
    ]
    return reliability_diagram(series, split=Split.TEST, subject=f"{winner.name}, {board.origin.study}")


def _confusion(board: Leaderboard) -> Figure:
    from benchmark.figures import confusion_map

    winner = board.winner
    subject = f"{winner.name}, {board.origin.study}"
    return confusion_map(winner.classes, winner.confusion, split=Split.TEST, subject=subject)


def _sizes(board: Leaderboard) -> Figure:
    from benchmark.figures import SingleModel, SizeCurve, accuracy_against_size

    curves = defaultdict(list)
    for point in board.sizes:
        curves[point.curve].append(point)
    single = board.best_single
    return accuracy_against_size(
        [
            SizeCurve(
                name,
                tuple(point.size for point in points),
                tuple(point.val_accuracy for point in points),
                tuple(point.test_accuracy for point in points),
            )
            for name, points in curves.items()
        ],
        SingleModel(single.entrant.name, single.val.accuracy, single.test.accuracy),
        subject=board.origin.study,
    )


def _disagreement(board: Leaderboard) -> Figure:
    from benchmark.figures import disagreement_map

    members = board.members
    assert members is not None
    names = [f"{family} {number}" for family, number in zip(members.families, members.numbers, strict=True)]
    return disagreement_map(names, members.disagreement, subject=f"{members.name}, {board.origin.study}")
