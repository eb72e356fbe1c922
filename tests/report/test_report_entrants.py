"""Entrants from inside, against counts by hand and against the functions that score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from reported_study import planted

from benchmark.leaderboard import Leaderboard
from benchmark.metrics import class_scores, confusion_matrix, expected_calibration_error, predicted
from benchmark.records import Split
from benchmark.report.entrants import MOST_CELLS, MOST_CLASSES, MOST_MISTAKES, EntrantView, entrant_views
from benchmark.study import leaderboard_of
from benchmark.temperature import apply_temperature


@dataclass(frozen=True, eq=False)
class Seen:
    board: Leaderboard
    labels: NDArray[np.int64]
    views: tuple[EntrantView, ...]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    store = planted(tmp_path_factory.mktemp("planted"))
    board, labels = leaderboard_of(store), store.labels(Split.TEST)
    return Seen(board, labels, entrant_views(board, labels))


def test_every_row_of_the_board_has_its_view_in_order(seen: Seen) -> None:
    assert [view.row for view in seen.views] == list(seen.board.rows)
    assert [view.rank for view in seen.views] == list(range(1, len(seen.views) + 1))
    assert len({view.anchor for view in seen.views}) == len(seen.views)


def test_matrix_and_classes_are_those_of_the_predictions(seen: Seen) -> None:
    for view in seen.views:
        confusion = confusion_matrix(view.row.entrant.test.log_probs, seen.labels)
        assert view.matrix is not None
        assert [[cell.count for cell in line] for line in view.matrix] == confusion.tolist()
        shares = confusion / confusion.sum(axis=1, keepdims=True)
        np.testing.assert_allclose([[cell.share for cell in line] for line in view.matrix], shares)
        scores = class_scores(confusion)
        assert [one.f1 for one in view.by_class] == scores.f1.tolist()
        assert [one.support for one in view.by_class] == scores.support.tolist()
        assert [one.name for one in view.by_class] == list(seen.board.winner.classes)


def test_the_commonest_mistake_has_the_strongest_colour_and_right_answers_none(seen: Seen) -> None:
    for view in seen.views:
        assert view.matrix is not None
        wrong = [cell for at, line in enumerate(view.matrix) for to, cell in enumerate(line) if at != to]
        assert all(view.matrix[at][at].strength == 0 for at in range(len(view.matrix)))
        strongest = max(wrong, key=lambda cell: cell.strength)
        assert strongest.strength == 1
        assert strongest.share == max(cell.share for cell in wrong)


def test_reliability_tells_the_calibration_errors_of_the_row(seen: Seen) -> None:
    for view in seen.views:
        as_is, after = (key.name for key in view.reliability.legend)
        assert as_is == f"as it is, ECE {view.row.test.ece:.3f}"
        assert after.startswith("temperature ")
        assert after.endswith(f"ECE {view.row.calibrated.ece:.3f}")
        assert view.row.test.ece == expected_calibration_error(view.row.entrant.test.log_probs, seen.labels)


def test_bars_count_every_image_once(seen: Seen) -> None:
    for view in seen.views:
        frame = view.confidences.frame
        height = sum(bar.height for bar in view.confidences.bars if bar.look == 0)
        images = height / (frame.bottom - frame.top) / frame.y.place(1)
        assert images == pytest.approx(len(seen.labels), rel=0.01)


def test_it_is_compared_with_the_first_single_model_of_the_board(seen: Seen) -> None:
    single = next(row for row in seen.board.rows if len(row.entrant.members) == 1)
    was_right = predicted(single.entrant.test.log_probs) == seen.labels
    for view in seen.views:
        if view.row is single:
            assert view.beside is None
            continue
        assert view.beside is not None
        is_right = predicted(view.row.entrant.test.log_probs) == seen.labels
        assert view.beside.answers.name == single.entrant.name
        assert len(view.beside.repairs.repaired) == (is_right & ~was_right).sum()
        assert len(view.beside.repairs.broken) == (was_right & ~is_right).sum()
        gained = view.row.test.accuracy.value - single.test.accuracy.value
        assert (len(view.beside.repairs.repaired) - len(view.beside.repairs.broken)) / len(
            seen.labels
        ) == pytest.approx(gained)
        assert all(is_right[one.row] and not was_right[one.row] for one in view.beside.repaired)
        assert all(was_right[one.row] and not is_right[one.row] for one in view.beside.broken)


def test_mistakes_are_mistakes_and_not_too_many(seen: Seen) -> None:
    for view in seen.views:
        said = predicted(view.row.entrant.test.log_probs)
        assert len(view.mistakes) == min(MOST_MISTAKES, int((said != seen.labels).sum()))
        assert all(said[one.row] == one.predicted != seen.labels[one.row] == one.label for one in view.mistakes)


def test_confidences_are_those_after_the_temperature_of_the_row(seen: Seen) -> None:
    stated = {view.row.entrant.name: np.exp(apply_temperature(view.row.entrant.test.log_probs, view.row.temperature))
              for view in seen.views}  # fmt: skip
    for view in seen.views:
        own = stated[view.row.entrant.name]
        wrong = predicted(view.row.entrant.test.log_probs) != seen.labels
        assert view.mistakes[0].confidence == pytest.approx(own[wrong].max())
        assert all(one.label_probability == pytest.approx(own[one.row, one.label]) for one in view.mistakes)
        for pair in view.pairs:
            assert np.all(np.diff(own[list(pair.rows), pair.predicted]) <= 0)
        if view.beside is not None:
            of_single = stated[view.beside.answers.name]
            assert all(one.confidence == pytest.approx(of_single[one.row].max()) for one in view.beside.repaired)
            assert all(one.confidence == pytest.approx(own[one.row].max()) for one in view.beside.broken)
    assert any(view.row.temperature != pytest.approx(1, abs=0.01) for view in seen.views)


def test_many_classes_are_told_by_the_worst() -> None:
    from benchmark.report.entrants import _by_class, _matrix

    classes = MOST_CLASSES + 5
    confusion = np.diag(np.arange(1, classes + 1))
    confusion[7, 8] = 100
    assert _matrix(confusion) is None
    assert _matrix(confusion[:MOST_CELLS, :MOST_CELLS]) is not None
    lines = _by_class([f"class {number}" for number in range(classes)], confusion)
    assert len(lines) == MOST_CLASSES
    assert lines[0].name == "class 7"
    assert lines[0].f1 < lines[1].f1 < 1 == lines[2].f1
