"""Every entrant from inside, on test: what it confuses, how sure it is, what it repairs; decides and draws nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.columns import Row
from benchmark.confidences import CalibrationBins, Confidences, calibration_bins
from benchmark.leaderboard import Leaderboard
from benchmark.metrics import class_scores, confidence, confusion_matrix, estimated_share
from benchmark.mistakes import Beside, ConfusedPair, Mistake, Said, beside, confident_mistakes, most_confused
from benchmark.report.axes import linear_axis
from benchmark.report.chart import Bar, Chart, Dot, Frame, Key, Line
from benchmark.temperature import apply_temperature
from benchmark.wording import percent, significant

MOST_MISTAKES = 8
"""Mistakes, repaired and broken rows, and confused pairs, that are shown one by one."""
MOST_CELLS = 20
"""Classes up to which the confusion matrix is shown."""
MOST_CLASSES = 40
"""Classes that are scored one by one: those of lowest F1, where there are more."""


@dataclass(frozen=True)
class MatrixCell:
    """A count of the confusion matrix, and its share of the label's rows."""

    count: int
    share: float
    strength: float
    """Its colour, in [0, 1]: the share against the largest of all mistakes; 0 where label and prediction agree."""


@dataclass(frozen=True)
class ClassLine:
    """One class: shares in [0, 1], and rows."""

    name: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, eq=False)
class EntrantView:
    """One entrant of the leaderboard, with the row that it has there."""

    rank: int
    row: Row
    pairs: tuple[ConfusedPair, ...]
    mistakes: tuple[Mistake, ...]
    """The most confident ones, after the row's temperature."""
    beside: Beside | None
    """The best single model by validation; None for itself."""
    matrix: tuple[tuple[MatrixCell, ...], ...] | None
    """Row = label, column = predicted; None where there are too many classes."""
    by_class: tuple[ClassLine, ...]
    reliability: Chart
    confidences: Chart
    """How many rows there are of each confidence."""

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return f"entrant-{self.rank}"


def entrant_views(board: Leaderboard, labels: NDArray[np.int64]) -> tuple[EntrantView, ...]:
    """A view of each row of the board, in its order; `labels` (N,) are those of test.

    Repairs are those of the best single model by validation, the first of the board.
    """
    single = board.best_single
    return tuple(
        _view(rank, row, None if row is single else single, board, labels)
        for rank, row in enumerate(board.rows, start=1)
    )


def _view(rank: int, row: Row, single: Row | None, board: Leaderboard, labels: NDArray[np.int64]) -> EntrantView:
    log_probs = row.entrant.test.log_probs
    confusion = confusion_matrix(log_probs, labels)
    as_is = Confidences.of("as it is", log_probs, labels)
    mended = confidence(apply_temperature(log_probs, row.temperature))
    after = Confidences(f"temperature {significant(row.temperature)}", mended, as_is.correct)
    series = {one.name: calibration_bins(one) for one in (as_is, after)}
    return EntrantView(
        rank,
        row,
        most_confused(log_probs, labels, MOST_MISTAKES, row.temperature),
        confident_mistakes(log_probs, labels, MOST_MISTAKES, row.temperature),
        None if single is None else beside(_said(row), _said(single), labels, MOST_MISTAKES),
        _matrix(confusion),
        _by_class(board.winner.classes, confusion),
        _reliability(series),
        _counts(series),
    )


def _said(row: Row) -> Said:
    return Said(row.entrant.name, row.entrant.test.log_probs, row.temperature)


def _matrix(confusion: NDArray[np.int64]) -> tuple[tuple[MatrixCell, ...], ...] | None:
    if len(confusion) > MOST_CELLS:
        return None
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    wrong = np.where(np.eye(len(confusion), dtype=bool), 0.0, shares)
    strengths = wrong / (wrong.max() or 1.0)
    return tuple(
        tuple(MatrixCell(*values) for values in zip(*line, strict=True))
        for line in zip(confusion.tolist(), shares.tolist(), strengths.round(3).tolist(), strict=True)
    )


def _by_class(classes: Sequence[str], confusion: NDArray[np.int64]) -> tuple[ClassLine, ...]:
    scores = class_scores(confusion)
    columns = (column.tolist() for column in (scores.precision, scores.recall, scores.f1, scores.support))
    lines = [ClassLine(*values) for values in zip(classes, *columns, strict=True)]
    if len(lines) <= MOST_CLASSES:
        return tuple(lines)
    return tuple(sorted(lines, key=lambda line: (line.f1, line.name))[:MOST_CLASSES])


def _reliability(series: dict[str, CalibrationBins]) -> Chart:
    frame = Frame(linear_axis("Confidence (%)", 0, 100), linear_axis("Test accuracy (%)", 0, 100))
    lines, dots = [], []
    for look, (name, bins) in enumerate(series.items()):
        at = []
        for index in np.flatnonzero(bins.rows).tolist():
            rows, claimed = int(bins.rows[index]), 100 * float(bins.confidence[index])
            share = estimated_share(int(bins.hits[index]), rows)
            at.append(frame.at(claimed, 100 * share.value))
            tip = f"{name}: of {rows:,} images with confidence {claimed:.1f} %, {percent(share.value)} % are right"
            span = (frame.at(claimed, 100 * share.high)[1], frame.at(claimed, 100 * share.low)[1])
            dots.append(Dot(at[-1], look, tip, span=span))
        lines.append(Line(tuple(at), look, name))
    return Chart(
        "Reliability",
        "Test accuracy at each confidence; bars are 95 % intervals, the dotted line is perfect calibration.",
        frame,
        lines=tuple(lines),
        dots=tuple(dots),
        legend=tuple(Key(look, f"{name}, ECE {bins.ece:.3f}") for look, (name, bins) in enumerate(series.items())),
        guides=((frame.at(0, 0), frame.at(100, 100)),),
    )


def _counts(series: dict[str, CalibrationBins]) -> Chart:
    most = max(int(bins.rows.max()) for bins in series.values())
    frame = Frame(
        linear_axis("Confidence (%)", 0, 100),
        linear_axis("Test images", 0, most, is_whole=True, most_ticks=3),
        height=180.0,
    )
    bars = []
    for look, (name, bins) in enumerate(series.items()):
        slot = (frame.right - frame.left) / len(bins.rows)
        width = slot / (len(series) + 0.5)
        for index in np.flatnonzero(bins.rows).tolist():
            rows = int(bins.rows[index])
            top = frame.up(frame.y.place(rows))
            corner = (round(frame.left + index * slot + (look + 0.25) * width, 1), top)
            low, high = (math.floor(100 * edge / len(bins.rows)) for edge in (index, index + 1))
            tip = f"{name}: {rows:,} images with confidence {low} to {high} %"
            bars.append(Bar(corner, round(width, 1), round(frame.bottom - top, 1), look, tip))
    return Chart("Images by confidence", "", frame, bars=tuple(bars))
