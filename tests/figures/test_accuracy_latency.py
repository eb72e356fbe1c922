"""Accuracy against inference time: the front by hand, and what is drawn where."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from drawn import TRICKY, TRICKY_SHOWN, around, assert_nothing_is_cut_off, heading, intervals, legend, points
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from benchmark.figures import Contender, accuracy_against_latency, pareto_front
from benchmark.metrics import Estimate
from benchmark.records import Split


def contender(name: str, ms: float, accuracy: float, kind: str = "tuned") -> Contender:
    return Contender(name, kind, ms, around(accuracy), 1_970_000)


FAST = contender("fast", 0.1, 0.70)
SLOWER_AND_WORSE = contender("worse", 0.2, 0.60)
MIDDLE = contender("middle", 0.5, 0.80, kind="default")
AS_FAST_AND_WORSE = contender("as fast", 0.5, 0.75)
AS_GOOD_AND_SLOWER = contender("as good", 0.9, 0.80)
BEST = contender("best", 2.0, 0.90, kind="ensemble")
ALL = [BEST, AS_GOOD_AND_SLOWER, AS_FAST_AND_WORSE, MIDDLE, SLOWER_AND_WORSE, FAST]


def draw(contenders: list[Contender]) -> tuple[Figure, Axes]:
    figure = accuracy_against_latency(contenders, split=Split.TEST, subject="pets")
    (axes,) = figure.axes
    return figure, axes


@cache
def draw_all() -> tuple[Figure, Axes]:
    """One drawing for the tests that only read it."""
    return draw(ALL)


def notes(axes: Axes) -> list[Annotation]:
    return [text for text in axes.texts if isinstance(text, Annotation)]


def test_front_by_hand() -> None:
    assert pareto_front(ALL) == [FAST, MIDDLE, BEST]
    assert pareto_front(list(reversed(ALL))) == [FAST, MIDDLE, BEST]


def test_front_of_few() -> None:
    assert pareto_front([]) == []
    assert pareto_front([MIDDLE]) == [MIDDLE]
    assert pareto_front([AS_FAST_AND_WORSE, MIDDLE]) == [MIDDLE]


def test_equals_in_both_share_the_front() -> None:
    twin = contender("twin", 0.5, 0.80)
    assert {one.name for one in pareto_front([MIDDLE, twin, AS_FAST_AND_WORSE])} == {"middle", "twin"}


def test_front_equals_its_definition_on_random_points() -> None:
    rng = np.random.default_rng(3)
    # Few distinct values, so that there are ties of every sort.
    crowd = [contender(str(n), *pair) for n, pair in enumerate(rng.integers(1, 6, (60, 2)) / [1, 10])]

    def beats(other: Contender, one: Contender) -> bool:
        gains = one.inference_ms - other.inference_ms, other.accuracy.value - one.accuracy.value
        return min(gains) >= 0 and max(gains) > 0

    expected = {one.name for one in crowd if not any(beats(other, one) for other in crowd)}
    assert {one.name for one in pareto_front(crowd)} == expected


def test_words_and_units() -> None:
    figure, axes = draw_all()
    assert heading(figure) == "Accuracy against inference time: pets"
    assert axes.get_xlabel() == "Inference time (ms per image in batches of 256 at most, log scale)"
    assert axes.get_ylabel() == "Test accuracy (%, log scale of errors)"
    assert "95 % intervals" in axes.get_title("left")
    assert legend(figure) == ["default", "tuned", "ensemble", "Pareto front"]


def test_validation_is_called_so() -> None:
    figure = accuracy_against_latency([MIDDLE], split=Split.VAL, subject="pets")
    assert figure.axes[0].get_ylabel().startswith("Validation accuracy (%")


def test_points_intervals_and_front_stand_where_the_numbers_say() -> None:
    _, axes = draw_all()
    default, tuned, ensemble, front = axes.lines
    assert points(default) == [(0.5, pytest.approx(80))]
    assert points(ensemble) == [(2.0, pytest.approx(90))]
    assert sorted(points(tuned)) == [(0.1, 70), (0.2, 60), (0.5, 75), (0.9, 80)]
    assert intervals(axes)[0] == [(0.5, pytest.approx(79), pytest.approx(81))]
    assert [len(bars) for bars in intervals(axes)] == [1, 4, 1]
    assert front.get_drawstyle() == "steps-post"
    # Past the slowest nothing better is to be had, up to the edge.
    assert points(front) == [(0.1, 70), (0.5, 80), (2.0, 90), (axes.get_xlim()[1], 90)]


def test_everything_lies_inside_the_axes_and_up_is_better() -> None:
    _, axes = draw_all()
    assert axes.get_xscale() == "log"
    assert axes.get_xlim()[0] < 0.1
    assert axes.get_xlim()[1] > 2.0
    assert axes.get_ylim()[0] < 59 < 91 < axes.get_ylim()[1] < 100
    heights = axes.transData.transform([(1.0, 60.0), (1.0, 80.0), (1.0, 90.0)])[:, 1]
    # 40, 20 and 10 % errors: each step halves them.
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1])
    assert heights[1] > heights[0]


def test_ticks_are_plain_numbers() -> None:
    _, axes = draw_all()
    across = [label.get_text() for label in axes.get_xticklabels()]
    assert [text for text in across if float(text) <= 2][-5:] == ["0.1", "0.2", "0.5", "1", "2"]
    up = [label.get_text() for label in axes.get_yticklabels()]
    assert {"50", "70", "80", "90"} & set(up)
    low, high = axes.get_ylim()
    assert all(low <= float(text) <= high for text in up)


def test_a_kind_looks_the_same_whichever_others_there_are() -> None:
    _, few = draw([BEST])
    _, many = draw_all()
    assert few.lines[0].get_marker() == many.lines[2].get_marker()
    assert few.lines[0].get_color() == many.lines[2].get_color()
    figure, axes = draw([*ALL, contender("anew", 1.0, 0.85, kind="_refit")])
    assert legend(figure) == ["default", "tuned", "ensemble", "_refit", "Pareto front"]
    assert len({line.get_marker() for line in axes.lines[:4]}) == 4


def test_names_of_the_front_with_their_parameters() -> None:
    _, axes = draw_all()
    assert [note.get_text() for note in notes(axes)] == [
        "fast\n1.97 M parameters", "middle\n1.97 M parameters", "best\n1.97 M parameters",
    ]  # fmt: skip
    assert [note.xy for note in notes(axes)] == [(0.1, 70), (0.5, 80), (2.0, 90)]


def test_labels_of_a_crowded_front_overlap_neither_each_other_nor_the_edge() -> None:
    crowd = [contender(f"greedy selection, top {n}", 0.5 * 1.06**n, 0.8 + 0.004 * n, "ensemble") for n in range(30)]
    figure, axes = draw(crowd)
    assert len(pareto_front(crowd)) == 30
    assert 4 <= len(notes(axes)) <= 8
    extents = [Text.get_window_extent(note) for note in notes(axes)]
    assert not any(one.overlaps(other) for one, other in combinations(extents, 2))
    for extent in extents:
        assert axes.bbox.x0 <= extent.x0 < extent.x1 <= axes.bbox.x1
        assert axes.bbox.y0 <= extent.y0 < extent.y1 <= axes.bbox.y1
    assert_nothing_is_cut_off(figure)


def test_label_close_to_its_point_has_no_line_to_it() -> None:
    _, axes = draw([MIDDLE])
    (note,) = notes(axes)
    assert note.arrow_patch is not None
    assert not note.arrow_patch.get_visible()


def test_names_are_never_markup() -> None:
    figure, axes = draw([contender(name, 0.1 * 2**n, 0.65 + 0.05 * n, name) for n, name in enumerate(TRICKY)])
    assert [note.get_text().splitlines()[0] for note in notes(axes)] == list(TRICKY_SHOWN)
    assert not any(note.get_parse_math() for note in notes(axes))
    assert legend(figure) == [*TRICKY_SHOWN, "Pareto front"]
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    "contenders",
    [
        [MIDDLE],
        [MIDDLE, MIDDLE],
        [MIDDLE, AS_FAST_AND_WORSE],
        [Contender("perfect", "tuned", 1.0, Estimate(1.0, 0.99, 1.0), 10), MIDDLE],
        [Contender("perfect", "tuned", 1.0, Estimate(1.0, 1.0, 1.0), 10)],
        [Contender("hopeless", "tuned", 1.0, Estimate(0.0, 0.0, 0.3), 10)],
        [contender("near", 1.0, 0.801), contender("nearer", 1.001, 0.802)],
        [contender("quick", 1e-4, 0.5), contender("slow", 1e4, 0.9)],
    ],
    ids=["one", "twice", "equal latencies", "perfect", "only perfect", "hopeless", "near", "eight decades"],
)  # fmt: skip
def test_odd_cases_stay_in_the_picture(contenders: list[Contender]) -> None:
    figure, axes = draw(contenders)
    assert_nothing_is_cut_off(figure)
    for one in contenders:
        x, y = axes.transData.transform((one.inference_ms, 100 * one.accuracy.value))
        assert axes.bbox.x0 < x < axes.bbox.x1
        assert axes.bbox.y0 - 0.01 <= y <= axes.bbox.y1 + 0.01
    low, high = axes.get_xlim()
    # One number at an axis gives no scale.
    assert len([tick for tick in axes.get_xticks() if low <= tick <= high]) >= 2
    assert len(axes.get_yticks()) >= 1


@pytest.mark.parametrize("ms", [0.0, -1.0, float("nan"), float("inf")])
def test_latency_without_a_logarithm_is_refused(ms: float) -> None:
    with pytest.raises(ValueError, match="no place on a logarithmic axis"):
        contender("x", ms, 0.5)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ValueError, match="no contenders"):
        draw([])
