"""Thumbnails pixel by pixel, and words that fit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from benchmark.tiles import COUNT_SIZE, fitted, new_sheet, text_width, thumbnail, thumbnail_png


def pixels(height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(8, 8, 16), (28, 28, 4), (32, 32, 4), (96, 96, 1), (128, 100, 1), (20, 64, 2)]
)
def test_every_pixel_becomes_a_square_of_its_colour(height: int, width: int, factor: int) -> None:
    image = pixels(height, width, 3)
    enlarged = np.asarray(thumbnail(image, 128))
    np.testing.assert_array_equal(enlarged, image.repeat(factor, axis=0).repeat(factor, axis=1))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_channels_are_shown_by_the_first_in_gray(channels: int) -> None:
    image = pixels(8, 8, channels)
    shown = np.asarray(thumbnail(image, 8))
    np.testing.assert_array_equal(shown, image[..., :1].repeat(3, axis=-1))


def test_larger_images_are_reduced_in_proportion() -> None:
    image = np.full((300, 200, 3), (10, 200, 30), np.uint8)
    shown = thumbnail(image, 96)
    assert shown.size == (64, 96)
    assert (np.asarray(shown) == (10, 200, 30)).all()


def test_a_file_is_the_same_bytes_each_time_and_holds_nothing_but_the_image() -> None:
    image = pixels(32, 32, 3)
    content = thumbnail_png(image, 96)
    assert content == thumbnail_png(image.copy(), 96)
    with Image.open(io.BytesIO(content)) as shown:
        assert (shown.format, shown.info) == ("PNG", {})
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(thumbnail(image, 96)))


@pytest.mark.parametrize("name", ["automobile", "a much longer name of a class", "Größe λ½ модель →", "on two\nlines"])
@pytest.mark.parametrize("width", [60, 45])
def test_words_fit_and_keep_their_ends(name: str, width: int) -> None:
    line = " ".join(name.split())
    assert fitted(name, COUNT_SIZE, 1000) == line
    shown = fitted(name, COUNT_SIZE, width)
    assert text_width([shown], COUNT_SIZE) <= width
    assert (shown[0], shown[-1]) == (line[0], line[-1])
    assert "…" in shown


def test_no_width_leaves_less_than_the_first_letter() -> None:
    assert fitted("automobile", COUNT_SIZE, 0) == "a…"


def test_letters_beyond_english_and_arrows_are_in_the_font() -> None:
    def drawn(text: str) -> bytes:
        return new_sheet(text, 10, 10)[0].tobytes()

    # What a font does not have is drawn as one and the same box.
    missing = drawn("\U000f0000")
    assert all(drawn(sign) != missing for sign in "→…éßλЖ")


def test_a_long_title_or_note_widens_the_sheet() -> None:
    plain, _, top = new_sheet("short", 200, 50)
    assert plain.width == 200 + 48
    titled, _, _ = new_sheet("a title that is a good deal longer than that", 200, 50)
    noted, _, below = new_sheet("short", 200, 50, note="a note that is a good deal longer than that " * 2)
    assert min(titled.width, noted.width) > plain.width
    assert below > top
    assert noted.height - below == plain.height - top == 50 + 24
