"""Importances as bars, and accuracy at each value: what is drawn of invented shares."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from drawn import TRICKY, assert_nothing_is_cut_off, heading, points
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from benchmark.figures import parameter_importances, parameter_slices
from benchmark.figures.importances import MOST_BARS
from benchmark.figures.slices import MOST_PARAMETERS
from benchmark.figures.style import looks_of
from benchmark.records import FamilyImportance, ParameterImportance


def parameter(name: str, share: float, values: tuple[Any, ...] = (1, 2), **kind: Any) -> ParameterImportance:
    accuracies = tuple(0.5 + 0.1 * number for number in range(len(values)))
    return ParameterImportance(name, share, kind.get("is_log", False), kind.get("choices", ()), values, accuracies)


CNN = FamilyImportance(
    "cnn",
    21,
    (
        parameter("sgd.lr", 0.6, (0.01, 0.1, 1.0), is_log=True),
        parameter("batch_size", 0.2, (128, 64), choices=(64, 128, 256)),
        parameter("flip", 0.1, (False, True), choices=(True, False)),
        parameter("depth", 0.05, (2, 3)),
    ),
    chance=0.3,
)
VGG = FamilyImportance("vgg", 12, (parameter("depth", 0.1),), chance=0.4)
FEW = FamilyImportance("resnet", 3, left_out="fewer than 10 complete trials")


@cache
def bars() -> Figure:
    """One drawing for the tests that only read it."""
    return parameter_importances([CNN, FEW, VGG], subject="pets")


@cache
def slices() -> Figure:
    """One drawing for the tests that only read it."""
    return parameter_slices([CNN, FEW, VGG], subject="pets")


def test_bars_words_and_units() -> None:
    figure = bars()
    assert heading(figure) == "What accuracy depends on: pets"
    assert [axes.get_title("left") for axes in figure.axes] == ["cnn: 21 complete trials", "vgg: 12 complete trials"]
    assert figure.get_supxlabel().splitlines() == [
        "Share of the variance of validation accuracy that a parameter explains by itself (%, fANOVA)",
        "Dashed: the largest share where accuracies are shuffled among the trials. Faded: no more than that.",
        "Left out: resnet, fewer than 10 complete trials.",
    ]
    assert_nothing_is_cut_off(figure)
    told = parameter_importances([replace(VGG, unassessed=("sgd.lr",))], subject="pets").get_supxlabel().splitlines()
    assert told[2:] == ["Not assessed: what too few trials have, as the learning rate of a rare optimizer."]


def test_bars_are_as_long_as_the_shares_the_largest_on_top() -> None:
    cnn, vgg = bars().axes
    assert [text.get_text() for text in cnn.get_yticklabels()] == ["sgd.lr", "batch_size", "flip", "depth"]
    assert [bar.get_width() for bar in cnn.patches] == pytest.approx([60, 20, 10, 5])
    places = [bar.get_y() + bar.get_height() / 2 for bar in cnn.patches]
    assert places == pytest.approx([0, 1, 2, 3])
    low, high = cnn.get_ylim()
    assert low > high
    assert [text.get_text() for text in cnn.texts] == ["60", "20", "10", "5"]
    assert vgg.get_ylim() == cnn.get_ylim()
    assert vgg.get_xlim() == cnn.get_xlim()


def test_what_chance_explains_too_is_faded() -> None:
    cnn, vgg = bars().axes
    assert [bar.get_alpha() == 1 for bar in cnn.patches] == [True, False, False, False]
    assert [bar.get_alpha() == 1 for bar in vgg.patches] == [False]
    assert [list(axes.lines[0].get_xdata()) for axes in (cnn, vgg)] == [
        pytest.approx([30, 30]),
        pytest.approx([40, 40]),
    ]


def test_no_more_bars_than_there_is_room_for() -> None:
    many = FamilyImportance("cnn", 21, tuple(parameter(f"p{n}", 0.1 - n / 1000) for n in range(20)), chance=0.3)
    figure = parameter_importances([many], subject="pets")
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == [f"p{n}" for n in range(MOST_BARS)]
    assert_nothing_is_cut_off(figure)


def test_slices_words_and_units() -> None:
    figure = slices()
    assert heading(figure) == "Accuracy at each value: pets"
    assert figure.get_supylabel() == "Validation accuracy (%, log scale of errors)"
    assert [axes.get_xlabel() for axes in figure.axes] == ["sgd.lr", "batch_size", "flip", "depth"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["cnn", "", "", "vgg"]
    assert figure.axes[0].get_title("left") == "explains 60 % (chance: 30 %)"
    assert figure.get_supxlabel() == "Left out: resnet, fewer than 10 complete trials."
    assert_nothing_is_cut_off(figure)
    assert parameter_slices([CNN, VGG], subject="pets").get_supxlabel() == ""


def test_every_trial_stands_at_its_value() -> None:
    rate, batch, flip, depth = slices().axes
    assert [points(axes.lines[0]) for axes in (rate, batch, flip, depth)] == [
        [(0.01, pytest.approx(50)), (0.1, pytest.approx(60)), (1.0, pytest.approx(70))],
        # The second and the first of its choices.
        [(1, pytest.approx(50)), (0, pytest.approx(60))],
        [(1, pytest.approx(50)), (0, pytest.approx(60))],
        [(1, pytest.approx(50)), (2, pytest.approx(60))],
    ]


def test_axes_are_those_of_the_parameters() -> None:
    rate, batch, flip, depth = slices().axes
    assert (rate.get_xscale(), batch.get_xscale(), depth.get_xscale()) == ("log", "linear", "linear")
    assert [text.get_text() for text in batch.get_xticklabels()] == ["64", "128", "256"]
    assert [text.get_text() for text in flip.get_xticklabels()] == ["True", "False"]
    assert all(tick == int(tick) for tick in depth.get_xticks())
    assert rate.get_ylim() == batch.get_ylim() == flip.get_ylim()


def test_slices_are_of_the_most_important_parameters_alone() -> None:
    assert MOST_PARAMETERS == 3
    assert "depth" not in [axes.get_xlabel() for axes in slices().axes[:3]]


def test_names_are_never_markup() -> None:
    named = [
        FamilyImportance(name, 12, (parameter(name, 0.5, (name,), choices=(name, "other")),), chance=0.1)
        for name in TRICKY
    ]
    for figure in (parameter_importances(named, subject="pets"), parameter_slices(named, subject="pets")):
        assert not any(text.get_parse_math() for axes in figure.axes for text in axes.get_yticklabels())
        assert_nothing_is_cut_off(figure)


def test_a_family_looks_as_in_figures_that_have_others_too() -> None:
    """As where all trials of another family failed."""
    looks = looks_of(["bit", "cnn", "vgg"])
    figure = parameter_importances([CNN, VGG], subject="pets", among=["vgg", "bit", "cnn"])
    assert [to_hex(axes.patches[0].get_facecolor()) for axes in figure.axes] == [
        to_hex(looks[name].color) for name in ("cnn", "vgg")
    ]
    drawn = parameter_slices([CNN, VGG], subject="pets", among=["vgg", "bit", "cnn"]).axes[0].lines[0]
    assert to_hex(drawn.get_color()) == to_hex(looks["cnn"].color)


@pytest.mark.parametrize("draw", [parameter_importances, parameter_slices])
@pytest.mark.parametrize("families", [[], [FEW]])
def test_nothing_to_draw_is_refused(draw: Any, families: list[FamilyImportance]) -> None:
    with pytest.raises(ValueError, match="no family has importances"):
        draw(families, subject="pets")
