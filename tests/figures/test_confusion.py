"""The heat map of mistakes: its cells, counts, names and scale."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from drawn import TRICKY, assert_nothing_is_cut_off, heading
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from benchmark.figures import confusion_map
from benchmark.figures.style import shown
from benchmark.records import Split

# 10, 20 and no images; a quarter of the dogs is taken for ships.
COUNTS = np.array([[9, 1, 0], [0, 15, 5], [0, 0, 0]])


def draw(counts: np.ndarray, classes: tuple[str, ...] | None = None) -> tuple[Figure, Axes, Axes]:
    names = classes or tuple(f"class {n}" for n in range(len(counts)))
    figure = confusion_map(names, counts, split=Split.TEST, subject="mix, pets")
    axes, bar = figure.axes
    return figure, axes, bar


@cache
def draw_counts() -> tuple[Figure, Axes, Axes]:
    """One drawing for the tests that only read it."""
    return draw(COUNTS, ("cat", "dog", "ship"))


def cells(axes: Axes) -> QuadMesh:
    (mesh,) = [part for part in axes.collections if isinstance(part, QuadMesh)]
    return mesh


def random_counts(classes: int, most: int) -> np.ndarray:
    counts = np.random.default_rng(1).integers(0, most // 10, (classes, classes))
    counts[np.diag_indices(classes)] = most
    return counts


def test_words_and_units() -> None:
    figure, axes, bar = draw_counts()
    assert heading(figure) == "Confusion of classes: mix, pets"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted", "Label")
    assert bar.get_ylabel() == "Mistakes (% of the label's test images)"
    assert axes.get_title("left").startswith("Numbers are images. Colour shows mistakes")
    assert_nothing_is_cut_off(figure)


def test_cells_are_shares_of_rows_from_zero_to_the_worst_mistake() -> None:
    _, axes, _ = draw_counts()
    values = np.ma.asarray(cells(axes).get_array())
    assert values.filled(-1).tolist() == [[-1, 10, 0], [0, -1, 25], [0, 0, -1]]
    assert cells(axes).get_clim() == (0, 25)
    # The first class is at the top.
    assert axes.get_ylim() == (3, 0)


def test_diagonal_is_grey_and_mistakes_are_not() -> None:
    _, axes, _ = draw_counts()
    colors = cells(axes).to_rgba(cells(axes).get_array())[..., :3]
    for index in range(3):
        red, green, blue = colors[index, index]
        assert red == green == blue < 1
    red, _, blue = colors[1, 2]
    assert blue > red + 0.2


def test_counts_stand_in_their_cells() -> None:
    _, axes, _ = draw_counts()
    found = {text.get_position(): text.get_text() for text in axes.texts}
    assert found == {
        (column + 0.5, row + 0.5): str(COUNTS[row, column]) for row in range(3) for column in range(3)
    }  # fmt: skip


@pytest.mark.parametrize(("classes", "most"), [(2, 123_456), (10, 1000), (20, 9999)])
def test_counts_fit_into_their_cells(classes: int, most: int) -> None:
    figure, axes, _ = draw(random_counts(classes, most))
    assert len(axes.texts) == classes**2
    assert str(most) in {text.get_text() for text in axes.texts}
    assert max(text.get_window_extent().width for text in axes.texts) < axes.bbox.width / classes
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(("classes", "most"), [(21, 99), (20, 100_000), (100, 99)])
def test_counts_without_room_are_left_out(classes: int, most: int) -> None:
    figure, axes, _ = draw(random_counts(classes, most))
    assert not axes.texts
    assert axes.get_title("left").startswith("Colour shows mistakes")
    assert_nothing_is_cut_off(figure)


def test_of_many_classes_some_are_named_and_each_stands_at_its_row() -> None:
    _, axes, _ = draw(random_counts(100, 99))
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == [f"class {n}" for n in range(0, 100, 4)]
    assert [label.get_position()[1] for label in labels] == [n + 0.5 for n in range(0, 100, 4)]
    extents = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for one, other in pairwise(extents))


def test_names_on_both_axes_are_never_markup() -> None:
    figure, axes, _ = draw(random_counts(len(TRICKY), 50), TRICKY)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == [shown(name, 24) for name in TRICKY]
        assert not any(label.get_parse_math() for label in labels)
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("counts", [np.diag([3, 4]), np.array([[5]])])
def test_no_mistakes_at_all(counts: np.ndarray) -> None:
    figure, axes, _ = draw(counts)
    low, high = cells(axes).get_clim()
    assert low == 0 < high
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        (np.zeros((3, 3), np.int64), "2 classes need an array"),
        (np.zeros(2, np.int64), "2 classes need an array"),
        (np.array([[1, -1], [0, 1]]), "must not be negative"),
    ],
)
def test_what_is_no_confusion_is_refused(counts: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        draw(counts, ("a", "b"))
