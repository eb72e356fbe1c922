"""Reliability diagrams: bins by hand and against the metric, and what is drawn where."""

import numpy as np
import pytest
from drawn import TRICKY, TRICKY_SHOWN, assert_nothing_is_cut_off, heading, intervals, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmark.figures import Confidences, calibration_bins, reliability_diagram
from benchmark.metrics import expected_calibration_error, wilson_interval
from benchmark.records import Split

# Five bins of 20 %: two rows in the second, closed above; one in the third, right; three in the last.
BY_HAND = Confidences(
    "by hand", np.array([0.3, 0.4, 0.5, 0.9, 1.0, 0.95]), np.array([True, False, True, True, True, False])
)


def draw(*series: Confidences) -> tuple[Figure, Axes, Axes]:
    figure = reliability_diagram(series, split=Split.TEST, subject="pets")
    upper, lower = figure.axes
    return figure, upper, lower


def random_case(classes: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 700)
    logits = rng.normal(size=(700, classes)) * sharpness
    logits[np.arange(700), labels] += sharpness
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32), labels


def test_bins_by_hand() -> None:
    bins = calibration_bins(BY_HAND, bins=5)
    assert bins.rows.tolist() == [0, 2, 1, 0, 3]
    assert bins.hits.tolist() == [0, 1, 1, 0, 2]
    assert bins.confidence == pytest.approx([np.nan, 0.35, 0.5, np.nan, 0.95], nan_ok=True)
    # Gaps |1 - 0.7|, |1 - 0.5| and |2 - 2.85| of six rows.
    assert bins.ece == pytest.approx((0.3 + 0.5 + 0.85) / 6)


@pytest.mark.parametrize("sharpness", [0.1, 1.0, 6.0, 40.0])
@pytest.mark.parametrize("bins", [1, 2, 15])
def test_bins_agree_with_the_metric(sharpness: float, bins: int) -> None:
    for classes in (2, 10):
        log_probs, labels = random_case(classes, sharpness, seed=classes)
        binned = calibration_bins(Confidences.of("x", log_probs, labels), bins)
        assert binned.ece == pytest.approx(expected_calibration_error(log_probs, labels, bins), abs=1e-12)
        assert binned.rows.sum() == len(labels)
        assert binned.hits.sum() == (log_probs.argmax(axis=1) == labels).sum()


def test_every_edge_falls_where_the_metric_puts_it() -> None:
    # Confidences on the edges k/15 themselves, where a different rounding would move rows: all predicted right.
    edges = np.arange(8, 16) / 15
    with np.errstate(divide="ignore"):
        log_probs = np.log(np.column_stack([edges, 1 - edges]))
    for row, edge in enumerate(edges):
        one = log_probs[row : row + 1]
        binned = calibration_bins(Confidences.of("x", one, np.array([0])))
        assert binned.ece == pytest.approx(expected_calibration_error(one, np.array([0])))
        assert np.flatnonzero(binned.rows)[0] == int(np.ceil(np.exp(np.log(edge)) * 15)) - 1


def test_confidence_of_exactly_one_is_in_the_last_bin() -> None:
    log_probs = np.array([[0.0, -np.inf], [0.0, -np.inf]], np.float32)
    sure = Confidences.of("sure", log_probs, np.array([0, 1]))
    assert calibration_bins(sure).rows.tolist() == [0] * 14 + [2]
    figure, upper, _ = draw(sure)
    assert points(upper.lines[1]) == [(100, 50)]
    assert legend(figure) == ["sure, ECE 0.500", "perfect calibration"]


def test_points_and_intervals_stand_where_the_numbers_say() -> None:
    _, upper, _ = draw(BY_HAND)
    diagonal, curve = upper.lines
    assert points(diagonal) == [(0, 0), (100, 100)]
    # Fifteen bins: 0.3, 0.4 and 0.5 alone in theirs; 0.9 alone, 0.95 and 1.0 together.
    assert points(curve) == [(pytest.approx(x), y) for x, y in [(30, 100), (40, 0), (50, 100), (90, 100), (97.5, 50)]]
    (bars,) = intervals(upper)
    low, high = wilson_interval(1, 2)
    assert bars[-1] == pytest.approx((97.5, 100 * low, 100 * high))
    assert bars[1] == pytest.approx((40, 0, 100 * wilson_interval(0, 1)[1]))


def test_counts_below_add_up_to_the_rows() -> None:
    after = Confidences("after", np.full(4, 0.61), np.array([True, True, False, False]))
    _, _, lower = draw(BY_HAND, after)
    first, second = lower.containers
    assert [bar.get_height() for bar in first] == [0, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1, 2]
    assert [bar.get_height() for bar in second] == [0] * 9 + [4] + [0] * 5
    for index, (left, right) in enumerate(zip(first, second, strict=True)):
        low, high = 100 * index / 15, 100 * (index + 1) / 15
        assert low < left.get_x() < left.get_x() + left.get_width() <= right.get_x() + 1e-9
        assert right.get_x() + right.get_width() < high


def test_words_units_and_limits() -> None:
    log_probs, labels = random_case(10, 2.0, seed=0)
    before, after = Confidences.of("as trained", log_probs, labels), BY_HAND
    figure, upper, lower = draw(before, after)
    assert heading(figure) == "Accuracy at each confidence: pets"
    assert upper.get_ylabel() == "Test accuracy (%)"
    assert lower.get_xlabel() == "Confidence: probability of the predicted class (%)"
    assert lower.get_ylabel() == "Test images"
    assert upper.get_xlim() == lower.get_xlim() == (0, 100)
    assert upper.get_ylim() == (0, 100)
    ece = expected_calibration_error(log_probs, labels)
    assert legend(figure)[0] == f"as trained, ECE {ece:.3f}"
    assert upper.lines[1].get_marker() != upper.lines[2].get_marker()
    assert upper.lines[1].get_linestyle() != upper.lines[2].get_linestyle()
    assert lower.containers[0][0].get_hatch() != lower.containers[1][0].get_hatch()


def test_names_are_never_markup() -> None:
    figure, _, _ = draw(*(Confidences(name, BY_HAND.confidence, BY_HAND.correct) for name in TRICKY))
    assert [text.rpartition(", ECE ")[0] for text in legend(figure)[:-1]] == list(TRICKY_SHOWN)
    assert not any(text.get_parse_math() for text in figure.legends[0].get_texts())
    assert_nothing_is_cut_off(figure)


def test_one_row_is_enough() -> None:
    figure, upper, _ = draw(Confidences("one", np.array([0.5]), np.array([True])))
    assert points(upper.lines[1]) == [(50, 100)]
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    ("confidence", "correct", "complaint"),
    [
        (np.array([]), np.array([], bool), "N at least 1"),
        (np.array([0.5]), np.array([True, False]), "N at least 1"),
        (np.array([0.0]), np.array([True]), r"in \(0, 1\]"),
        (np.array([1.1]), np.array([True]), r"in \(0, 1\]"),
        (np.array([np.nan]), np.array([True]), r"in \(0, 1\]"),
        (np.array([0.5]), np.array([1]), "must be bool"),
    ],
)
def test_what_is_no_confidence_is_refused(confidence: np.ndarray, correct: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Confidences("x", confidence, correct)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no predictions"):
        draw()
