"""The figure of evidence: each image beside its maps, with words; heat over an image is read by lightness as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawn import TRICKY, assert_nothing_is_cut_off, heading
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from benchmark.figures import Exhibit, evidence_figure, overlay, save
from benchmark.figures.evidence import in_color

RANDOM = np.random.default_rng(0)


def exhibit(
    maps: int, side: int = 8, channels: int = 3, lines: tuple[str, ...] = ("test 7", "says cat, 93 %")
) -> Exhibit:
    pixels = RANDOM.integers(0, 256, (side, side, channels), np.uint8)
    return Exhibit(lines, pixels, RANDOM.random((maps, side, side), np.float32))


def draw(exhibits: list[Exhibit], headings: list[str]) -> Figure:
    return evidence_figure(exhibits, headings, about="the predicted class", subject="pets, best")


def pictures(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.images]


def test_each_image_stands_beside_its_maps() -> None:
    exhibits = [exhibit(3), exhibit(3)]
    figure = draw(exhibits, ["ensemble", "trial 1", "trial 2"])
    shown = [np.asarray(axes.images[0].get_array()) for axes in pictures(figure)]
    expected = [
        picture for one in exhibits for picture in (one.pixels, *(overlay(one.pixels, heat) for heat in one.heats))
    ]
    assert len(shown) == 8
    for picture, wanted in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(picture, wanted)
    assert [axes.get_title() for axes in pictures(figure)] == ["", "ensemble", "trial 1", "trial 2", "", "", "", ""]


def test_images_of_one_map_stand_two_in_a_row() -> None:
    figure = draw([exhibit(1) for _ in range(3)], ["trial 1"])
    rows = [axes.get_subplotspec().rowspan.start for axes in pictures(figure)]
    assert rows == [0, 0, 0, 0, 1, 1]
    assert [axes.get_title() for axes in pictures(figure)] == ["", "trial 1", "", "trial 1", "", ""]
    assert_nothing_is_cut_off(figure)


def test_words_and_units() -> None:
    figure = draw([exhibit(2, lines=("test 7", "label dog", "says cat, 93 %"))], ["ensemble\nof 2 members", "trial 1"])
    assert heading(figure) == "Grad-CAM: pets, best"
    bar = figure.axes[-1]
    assert bar.get_xlabel() == "Evidence for the predicted class, as a share of the highest in the image"
    assert bar.get_xlim() == (0, 1)
    assert "test 7\nlabel dog\nsays cat, 93 %" in [text.get_text() for axes in figure.axes for text in axes.texts]
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("maps", [1, 4])
@pytest.mark.parametrize("count", [1, 9])
def test_nothing_is_cut_off_and_names_are_no_markup(maps: int, count: int) -> None:
    figure = draw([exhibit(maps, lines=TRICKY[:4]) for _ in range(count)], [*TRICKY, "a"][:maps])
    assert_nothing_is_cut_off(figure)
    boxes = [axes.get_window_extent() for axes in pictures(figure)]
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    # Big enough to see something in.
    assert min(box.width for box in boxes) > 0.8 * figure.dpi


def test_heat_over_an_image() -> None:
    pixels = np.full((2, 2, 3), 100, np.uint8)
    heat = np.array([[0, 0.25], [0.5, 1]], np.float32)
    picture = overlay(pixels, heat)
    assert picture.shape == (2, 2, 3)
    assert picture.dtype == np.uint8
    # viridis ends in purple, (68, 1, 84), and yellow, (253, 231, 37); 40 % of the grey shine through.
    np.testing.assert_allclose(picture[0, 0], 40 + 0.6 * np.array([68, 1, 84]), atol=1)
    np.testing.assert_allclose(picture[1, 1], 40 + 0.6 * np.array([253, 231, 37]), atol=1)
    lightness = picture @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(lightness.ravel()) > 10).all()


def test_the_image_below_is_grey_and_shines_through() -> None:
    heat = np.full((1, 2), 0.5, np.float32)
    bright, dark = overlay(np.array([[[200, 200, 200], [50, 50, 50]]], np.uint8), heat)[0].astype(int)
    np.testing.assert_allclose(bright - dark, 60, atol=1)
    red, grey = overlay(np.array([[[255, 0, 0], [54, 54, 54]]], np.uint8), heat)[0]
    np.testing.assert_allclose(red, grey, atol=1)


def test_images_of_other_channels_show_their_first() -> None:
    one, five = np.full((2, 2, 1), 9, np.uint8), np.full((2, 2, 5), 9, np.uint8)
    assert in_color(one).shape == in_color(five).shape == (2, 2, 3)
    draw([exhibit(1, channels=1), exhibit(1, channels=5)], ["trial 1"])


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(ValueError, match="does not lie over"):
        overlay(np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="every image needs 2 maps"):
        draw([exhibit(2), exhibit(1)], ["a", "b"])
    for count in (0, 51):
        with pytest.raises(ValueError, match="shows 1 to 50 images"):
            draw([exhibit(1)] * count, ["a"])


def test_saved_pixels_are_those_of_the_image(tmp_path: Path) -> None:
    figure = draw([exhibit(4, side=32) for _ in range(8)], ["a", "b", "c", "d"])
    png, svg = save(figure, tmp_path, "evidence", in_full_color=True)
    # 40 pictures of 32 x 32 pixels, as they are.
    assert svg.stat().st_size < 500_000
    axes = pictures(figure)[0]
    box = axes.get_window_extent()
    with Image.open(png) as image:
        drawn = np.asarray(image.convert("RGB"))
    size = (box.width / 32, box.height / 32)
    middles = [
        drawn[round(drawn.shape[0] - box.y1 + (row + 0.5) * size[1]), round(box.x0 + (column + 0.5) * size[0])]
        for row in range(32)
        for column in range(32)
    ]
    wanted = np.asarray(axes.images[0].get_array()).reshape(-1, 3)
    assert np.abs(np.array(middles).astype(int) - wanted.astype(int)).max() <= 1
