"""Looks that can be told apart, names that stay names, and settings that stay the user's."""

import subprocess
import sys

import matplotlib
import pytest
from drawn import TRICKY, TRICKY_SHOWN, assert_nothing_is_cut_off, heading
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from benchmark.figures.style import add_legend, grey_look, look, new_figure, shown


def test_looks_differ_without_colour_and_with() -> None:
    assert len({look(index).marker for index in range(8)}) == 8
    assert len({(look(index).color, look(index).marker) for index in range(56)}) == 56
    assert len({str(look(index).line) for index in range(5)}) == 5
    assert look(0).hatch != look(1).hatch


def test_greys_are_told_apart_and_are_no_colours_of_series() -> None:
    greys = [grey_look(index) for index in range(4)]
    assert len({one.color for one in greys}) == len({one.hatch for one in greys}) == 4
    assert not {one.color for one in greys} & {look(index).color for index in range(7)}


@pytest.mark.parametrize(("name", "expected"), list(zip(TRICKY, TRICKY_SHOWN, strict=True)))
def test_names_on_one_line_that_keep_their_ends(name: str, expected: str) -> None:
    assert shown(name) == expected
    assert len(shown(name, 11)) <= 11
    assert shown(name, 200) == " ".join(name.split())


def test_heading_says_what_and_of_what_on_a_white_ground() -> None:
    with new_figure("Something", "cifar10 $x$ <1>_", height=2.0) as figure:
        figure.subplots()
    assert heading(figure) == "Something: cifar10 $x$ <1>_"
    assert not figure.texts[0].get_parse_math()
    assert to_rgb(figure.get_facecolor()) == (1.0, 1.0, 1.0)
    assert figure.get_figwidth() * figure.dpi <= 1600


def test_a_subject_that_the_line_has_no_room_for_has_its_own() -> None:
    subject = "log linear pooling of all, cifar10-cpu"
    panels = {"yticks": [0, 1]}
    with new_figure("Accuracy at each confidence", subject, height=2.0, width=6.8) as figure:
        axes = figure.subplots(subplot_kw=panels)
    with new_figure("Accuracy at each confidence", "pets", height=2.0, width=6.8) as short:
        of_short = short.subplots(subplot_kw=panels)
    assert heading(figure) == f"Accuracy at each confidence:\n{subject}"
    assert heading(short) == "Accuracy at each confidence: pets"
    assert_nothing_is_cut_off(figure)
    # The panel is no smaller for it.
    assert axes.bbox.height == pytest.approx(of_short.bbox.height, abs=4)


def test_long_subject_is_shortened_to_fit() -> None:
    with new_figure("Something", "study of " * 20 + "the end", height=2.0, width=5.0) as figure:
        figure.subplots()
    assert heading(figure).endswith("the end")
    extent = figure.texts[0].get_window_extent()
    assert extent.x1 < 5.0 * figure.dpi


def test_layout_is_settled_once() -> None:
    with new_figure("Something", "x", height=2.0) as figure:
        axes = figure.subplots()
        axes.set_ylabel("Accuracy (%)")
    before = axes.get_position().bounds
    assert before[0] > 0.06  # room for the label was made
    axes.set_ylabel("Accuracy (%)\nin\nmany\nlines")
    figure.draw_without_rendering()
    assert axes.get_position().bounds == before


def test_settings_of_matplotlib_are_as_before_and_do_not_matter() -> None:
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 33.0, "text.parse_math": True}):
        mine = dict(matplotlib.rcParams)
        with new_figure("Something", "x", height=2.0) as figure:
            axes = figure.subplots()
        assert dict(matplotlib.rcParams) == mine
    assert to_rgb(axes.get_facecolor()) == (1.0, 1.0, 1.0)
    assert axes.xaxis.label.get_size() == 10.0


@pytest.mark.parametrize(
    ("names", "columns"),
    [(["a"], 1), (["a", "b", "c"], 3), (["i" * 32] * 3, 3), (["W" * 32] * 3, 1), (["a", "b", "c", "W" * 40], 2)],
    ids=["one", "short", "narrow", "wide", "one of them long"],
)
def test_legend_has_as_few_rows_as_fit(names: list[str], columns: int) -> None:
    with new_figure("Something", "x", height=3.0) as figure:
        figure.subplots()
        add_legend(figure, [Line2D([], []) for _ in names], names)
    (found,) = figure.legends
    assert len({round(text.get_window_extent().x0) for text in found.get_texts()}) == columns
    assert_nothing_is_cut_off(figure)


def test_settings_are_as_before_after_a_failure() -> None:
    mine = dict(matplotlib.rcParams)
    with pytest.raises(RuntimeError, match="no"), new_figure("Something", "x", height=2.0):
        raise RuntimeError("no")
    assert dict(matplotlib.rcParams) == mine


def test_importing_figures_starts_neither_pyplot_nor_torch() -> None:
    report = "import sys, benchmark.figures; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=120)
    loaded = done.stdout.split()
    assert "matplotlib.figure" in loaded
    assert not {"matplotlib.pyplot", "torch", "sklearn", "optuna"} & set(loaded)
