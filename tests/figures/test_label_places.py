"""Where labels go, with boxes worked out by hand."""

import numpy as np
import pytest

from benchmark.figures.labels import covered, place, runs_through

FRAME = np.array([0.0, 0.0, 100.0, 100.0])
NOTHING = np.zeros((0, 4))
SIZE = [20.0, 10.0]


def placed(anchors: list[list[float]], obstacles: np.ndarray = NOTHING) -> list[list[float] | None]:
    sizes = np.array([SIZE] * len(anchors))
    boxes = place(np.array(anchors), sizes, obstacles, FRAME, [2.0, 5.0])
    return [None if box is None else box.tolist() for box in boxes]


def test_above_and_to_the_left_where_all_is_free() -> None:
    assert placed([[50, 50]]) == [[28, 52, 48, 62]]


def test_another_side_at_the_edge_of_the_frame() -> None:
    # No room above; to the left comes first of the sides that are not above.
    assert placed([[50, 95]]) == [[28, 90, 48, 100]]
    # In the corner at the top left only the right is left, and below.
    assert placed([[3, 94.5]]) == [[5, 89.5, 25, 99.5]]


def test_data_are_not_covered() -> None:
    wall = np.array([[0.0, 52.0, 100.0, 100.0]])
    # Above lies the wall, and beside the anchor a label would reach 3 into it; below nothing is covered.
    assert placed([[50, 50]], wall) == [[52, 38, 72, 48]]


def test_least_is_covered_where_something_must_be() -> None:
    # Everything but the left is covered twice, so the place at the left is better than any.
    wall = np.array([[0.0, 0.0, 100.0, 100.0], [49.0, 0.0, 100.0, 100.0]])
    assert placed([[50, 50]], wall) == [[28, 52, 48, 62]]


def test_labels_do_not_overlap_and_one_without_a_place_is_left_out() -> None:
    crowd = placed([[50.0, 50.0]] * 40)
    boxes = np.array([box for box in crowd if box is not None])
    assert None in crowd
    assert len(boxes) == 4
    for index, box in enumerate(boxes):
        assert covered(box, np.delete(boxes, index, axis=0)) == 0
        assert (box >= 0).all()
        assert (box <= 100).all()


@pytest.mark.parametrize(
    ("box", "area"), [([0, 0, 4, 4], 4 + 0), ([1, 1, 3, 3], 1), ([5, 5, 6, 6], 0), ([2, 0, 9, 9], 0)]
)
def test_covered_area_by_hand(box: list[float], area: float) -> None:
    assert covered(np.array(box, float), np.array([[0.0, 0.0, 2.0, 2.0], [10.0, 10.0, 12.0, 12.0]])) == area


@pytest.mark.parametrize(
    ("start", "end", "runs"),
    [
        ([0, 5], [20, 5], True),
        ([0, 0], [20, 20], True),
        ([0, 5], [3, 5], False),  # ends before
        ([0, 25], [20, 25], False),  # passes above
        ([0, 10], [20, 10], False),  # along the edge
        ([0, 18], [20, 0], True),
        ([0, 22], [8, 14], False),  # beside a corner
        ([5, 5], [6, 6], True),  # begins within
        ([7, 0], [7, 20], True),
        ([7, 7], [7, 7], True),  # a point within
    ],
)
def test_a_line_through_a_box_by_hand(start: list[float], end: list[float], runs: bool) -> None:
    box = np.array([4.0, 4.0, 10.0, 10.0])
    assert runs_through(np.array(start, float), np.array(end, float), box) is runs
    assert runs_through(np.array(end, float), np.array(start, float), box) is runs


def test_no_line_to_a_label_runs_through_another_label() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        anchors = generator.uniform(30, 70, (8, 2))
        boxes = place(anchors, np.array([SIZE] * 8), NOTHING, FRAME, [2.0, 10.0, 20.0, 30.0])
        pairs = [(anchor, box) for anchor, box in zip(anchors, boxes, strict=True) if box is not None]
        assert len(pairs) > 4
        for anchor, box in pairs:
            middle = (box[:2] + box[2:]) / 2
            assert not any(runs_through(anchor, middle, other) for _, other in pairs if other is not box)
