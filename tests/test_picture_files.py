"""A user's picture files become pixels of a network's size, or are refused in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.errors import BenchError
from benchmark.picture_files import find_pictures, read_picture
from benchmark.records import ImageShape

RGB, GREY = ImageShape(3, 8, 8), ImageShape(1, 8, 8)


def write(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def test_a_picture_of_the_right_size_is_taken_as_it_is(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    found = read_picture(write(tmp_path / "a.png", pixels), RGB)
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.fitting == "taken as it is"


def test_the_middle_is_taken_and_shrunk_without_aliasing(tmp_path: Path) -> None:
    # Stripes of one pixel in a square of 64, between margins of another colour: the stripes' mean is left.
    pixels = np.zeros((64, 96, 3), np.uint8)
    pixels[..., 0] = 255
    pixels[:, 16:80] = np.where(np.arange(64) % 2, 200, 100)[None, :, None]
    found = read_picture(write(tmp_path / "a.png", pixels), RGB)
    assert found.pixels.shape == (8, 8, 3)
    np.testing.assert_allclose(found.pixels[:, 2:6].astype(int), 150, atol=2)
    # A pixel at the edge is mixed a little with what lies beyond the cut.
    np.testing.assert_allclose(found.pixels.astype(int), 150, atol=15)
    assert found.fitting == "64 x 96 pixels, cut to the middle 64 x 64, resized to 8 x 8 (Lanczos, antialiased)"


def test_a_whole_picture_is_squeezed_as_the_data_set_of_a_folder_is(tmp_path: Path) -> None:
    # Bright at the right end, which a cut to the middle third leaves out.
    pixels = np.zeros((32, 96, 3), np.uint8)
    pixels[:, 80:] = 240
    file = write(tmp_path / "a.png", pixels)
    assert read_picture(file, RGB).pixels.max() == 0
    found = read_picture(file, RGB, whole=True)
    assert found.pixels[:, -1].min() > 200
    assert found.fitting == "32 x 96 pixels, resized to 8 x 8 as the study's images were (whole, bilinear, antialiased)"


def test_colours_become_grey_and_grey_becomes_colours(tmp_path: Path) -> None:
    green = write(tmp_path / "green.png", np.full((8, 8, 3), (0, 255, 0), np.uint8))
    assert read_picture(green, GREY).pixels.shape == (8, 8, 1)
    # 587 thousandths of 255, ITU-R BT.601.
    assert (read_picture(green, GREY).pixels == 150).all()
    grey = write(tmp_path / "grey.png", np.full((8, 8), 9, np.uint8))
    assert (read_picture(grey, RGB).pixels == 9).all()
    assert read_picture(grey, RGB).pixels.shape == (8, 8, 3)


def test_images_need_not_be_square(tmp_path: Path) -> None:
    found = read_picture(write(tmp_path / "a.png", np.zeros((50, 50, 3), np.uint8)), ImageShape(3, 6, 12))
    assert found.pixels.shape == (6, 12, 3)
    assert "cut to the middle 25 x 50" in found.fitting


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    picture = Image.fromarray(pixels)
    exif = picture.getexif()
    exif[0x0112] = 6  # the camera was turned by a quarter: the file's top is at the right
    picture.save(tmp_path / "a.png", exif=exif)
    found = read_picture(tmp_path / "a.png", RGB).pixels
    assert (found[:, 4:] == 255).all()
    assert (found[:, :4] == 0).all()


def test_a_folder_gives_its_picture_files_by_name(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.png"):
        write(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes((tmp_path / "b.png").read_bytes())
    (tmp_path / "drawing.pdf").write_text("which Pillow writes only")
    (tmp_path / "deeper").mkdir()
    other = tmp_path / "elsewhere"
    assert [path.name for path in find_pictures([other, tmp_path])] == ["elsewhere", "a.JPG", "b.png", "c.png"]
    with pytest.raises(BenchError, match="deeper has no picture files; name a folder of PNG or JPEG files"):
        find_pictures([tmp_path / "deeper"])


def test_what_is_no_picture_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"cannot read .*missing\.png: No such file or directory; name PNG or "):
        read_picture(tmp_path / "missing.png", RGB)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(BenchError, match=r"cannot read .*text\.png: no image of a known format; name PNG"):
        read_picture(tmp_path / "text.png", RGB)
    whole = write(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for share in (0.01, 0.5, 0.9):
        content = whole.read_bytes()
        (tmp_path / "half.png").write_bytes(content[: int(share * len(content))])
        with pytest.raises(BenchError, match=r"cannot read .*half\.png: [^;]+; name PNG or JPEG files"):
            read_picture(tmp_path / "half.png", RGB)
    with pytest.raises(BenchError, match="the study's images have 5 channels: picture files have 1 or 3"):
        read_picture(whole, ImageShape(5, 8, 8))


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "bomb.png", np.zeros((64, 64), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(BenchError, match=r"cannot read .*bomb\.png: Image size .4096 pixels. exceeds limit of 2000"):
        read_picture(path, RGB)


def test_what_is_transparent_is_white_and_sixteen_bits_are_scaled_as_in_a_data_set(tmp_path: Path) -> None:
    clear = np.zeros((8, 8, 4), np.uint8)
    clear[:4] = (1, 2, 3, 255)
    shown = read_picture(write(tmp_path / "clear.png", clear), RGB).pixels
    assert (shown[:4] == (1, 2, 3)).all()
    assert (shown[4:] == 255).all()
    deep = write(tmp_path / "deep.png", np.full((8, 8), 0x8040, np.uint16))
    assert (read_picture(deep, GREY).pixels == 0x80).all()


def test_a_picture_that_was_cut_off_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.gif").write_bytes(b"GIF89a\x08\x00\x08\x00\x00\x00\x00")
    with pytest.raises(BenchError, match=r"cannot read .*a\.gif: [^;]+; name PNG or JPEG files"):
        read_picture(tmp_path / "a.gif", RGB)


def test_a_picture_that_cannot_be_shown_says_why(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "deep.tiff")
    with pytest.raises(BenchError, match=r"deep\.tiff: pixels of 32 bits, of which it is not known what is black"):
        read_picture(tmp_path / "deep.tiff", GREY)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(BenchError, match=f"cannot read the folder {tmp_path}: Permission denied"):
        find_pictures([tmp_path])
