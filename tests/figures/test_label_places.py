"""Where labels go, with boxes worked out by hand."""

import numpy as np
import pytest

from benchmark.figures.labels import covered, place

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
