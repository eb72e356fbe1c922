"""The heat map of disagreement: its cells, numbers, names and scale."""

import re
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from drawn import TRICKY, assert_nothing_is_cut_off, heading
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from benchmark.figures import disagreement_map
from benchmark.figures.heat_map import NO_VALUE
from benchmark.figures.style import shown

SHARES = np.array([[0.0, 0.1, 0.25], [0.1, 0.0, 0.155], [0.25, 0.155, 0.0]])


def draw(shares: np.ndarray, names: tuple[str, ...] | None = None) -> tuple[Figure, Axes, Axes]:
    figure = disagreement_map(names or tuple(f"m{n}" for n in range(len(shares))), shares, subject="pets")
    axes, bar = figure.axes
    return figure, axes, bar


@cache
def draw_shares() -> tuple[Figure, Axes, Axes]:
    """One drawing for the tests that only read it."""
    return draw(SHARES)


def cells(axes: Axes) -> QuadMesh:
    (mesh,) = [part for part in axes.collections if isinstance(part, QuadMesh)]
    return mesh


def random_shares(members: int) -> np.ndarray:
    shares = np.triu(np.random.default_rng(1).uniform(0.05, 0.3, (members, members)), 1)
    return shares + shares.T


def test_words_and_units() -> None:
    figure, axes, bar = draw_shares()
    assert heading(figure) == "Disagreement of members: pets"
    assert bar.get_ylabel() == "Disagreement (% of validation rows)"
    assert axes.get_xlabel() == axes.get_ylabel() == "Member (model)"


def test_cells_are_percents_from_zero_to_the_largest() -> None:
    _, axes, _ = draw_shares()
    assert np.asarray(cells(axes).get_array()) == pytest.approx(100 * SHARES)
    assert cells(axes).get_clim() == (0, 25)
    # The first member is at the top.
    assert axes.get_ylim() == (3, 0)
    assert axes.get_aspect() == 1


def test_a_member_that_meets_itself_is_grey() -> None:
    _, axes, _ = draw_shares()
    colors = cells(axes).to_rgba(np.ma.asarray(cells(axes).get_array()))
    is_grey = (colors[..., :3] == to_rgb(NO_VALUE)).all(axis=-1)
    assert is_grey.tolist() == np.eye(3, dtype=bool).tolist()


def test_one_odd_member_does_not_make_the_others_pale() -> None:
    shares = np.full((6, 6), 0.1)
    shares[5] = shares[:, 5] = 0.6
    np.fill_diagonal(shares, 0)
    figure, axes, bar = draw(shares)
    # Twice the median of all pairs.
    assert cells(axes).get_clim() == (0, pytest.approx(20))
    assert bar.get_ylabel() == "Disagreement (% of validation rows; darkest: 20.0 or more)"
    assert {text.get_text() for text in axes.texts} == {"10.0", "60.0"}
    colors = cells(axes).to_rgba(np.ma.asarray(cells(axes).get_array()))
    assert colors[0, 5].tolist() == cells(axes).to_rgba(np.array([20.0]))[0].tolist()
    assert_nothing_is_cut_off(figure)


def test_pairs_that_mostly_agree_entirely_have_a_scale() -> None:
    shares = np.zeros((5, 5))
    shares[0, 1] = shares[1, 0] = 0.3
    _, axes, bar = draw(shares)
    assert cells(axes).get_clim() == (0, 30)
    assert "or more" not in bar.get_ylabel()


def test_numbers_stand_in_their_cells_but_on_the_diagonal() -> None:
    _, axes, _ = draw_shares()
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {
        (1.5, 0.5): "10.0", (2.5, 0.5): "25.0",
        (0.5, 1.5): "10.0", (2.5, 1.5): "15.5",
        (0.5, 2.5): "25.0", (1.5, 2.5): "15.5",
    }  # fmt: skip


@pytest.mark.parametrize(("members", "example"), [(12, r"\d+\.\d"), (13, r"\d+"), (20, r"\d+")])
def test_more_members_fewer_digits(members: int, example: str) -> None:
    figure, axes, _ = draw(random_shares(members))
    assert len(axes.texts) == members * (members - 1)
    for text in axes.texts:
        assert re.fullmatch(example, text.get_text())
    width = axes.bbox.width / members
    assert max(text.get_window_extent().width for text in axes.texts) < width
    assert_nothing_is_cut_off(figure)


def test_too_many_members_for_numbers() -> None:
    figure, axes, _ = draw(random_shares(21))
    assert not axes.texts
    assert_nothing_is_cut_off(figure)


def test_upright_names_of_many_members_do_not_overlap() -> None:
    figure, axes, _ = draw(random_shares(30), tuple(f"efficientnet, trial {n}" for n in range(30)))
    extents = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert not any(one.overlaps(other) for one, other in pairwise(extents))
    middles = axes.transData.transform([(n + 0.5, 0.0) for n in range(30)])[:, 0]
    assert [(extent.x0 + extent.x1) / 2 for extent in extents] == pytest.approx(middles.tolist(), abs=2)
    assert_nothing_is_cut_off(figure)


def test_numbers_contrast_with_their_cells() -> None:
    _, axes, _ = draw(random_shares(8))
    colors = cells(axes).to_rgba(np.asarray(cells(axes).get_array()))

    def luminance(rgb: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for text in axes.texts:
        column, row = (int(place) for place in text.get_position())
        lights = sorted([luminance(to_rgb(text.get_color())), luminance(tuple(colors[row, column]))])
        # WCAG 2.2, 1.4.11: 3:1 is the least for parts of graphics.
        assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 3


def test_scale_is_readable_without_colour() -> None:
    _, axes, _ = draw_shares()
    shades = cells(axes).to_rgba(np.linspace(0, 25, 30))[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(shades) < 0).all()


def test_names_on_both_axes_are_never_markup() -> None:
    figure, axes, _ = draw(random_shares(len(TRICKY)), TRICKY)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == [shown(name, 24) for name in TRICKY]
        assert not any(label.get_parse_math() for label in labels)
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("members", [1, 2])
def test_members_that_never_disagree(members: int) -> None:
    figure, axes, _ = draw(np.zeros((members, members)))
    low, high = cells(axes).get_clim()
    assert low == 0 < high
    assert [text.get_text() for text in axes.texts] == ["0.0"] * (members * (members - 1))
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    ("shares", "complaint"),
    [
        (np.zeros((3, 3)), "2 members need an array"),
        (np.zeros(2), "2 members need an array"),
        (np.array([[0.0, 0.1], [0.2, 0.0]]), "symmetric"),
        (np.array([[0.0, 1.1], [1.1, 0.0]]), r"in \[0, 1\]"),
        (np.array([[0.0, np.nan], [np.nan, 0.0]]), r"in \[0, 1\]"),
        (np.array([[0.1, 0.2], [0.2, 0.0]]), "diagonal must be 0"),
    ],
)
def test_what_is_no_disagreement_is_refused(shares: np.ndarray, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        disagreement_map(("a", "b"), shares, subject="pets")
