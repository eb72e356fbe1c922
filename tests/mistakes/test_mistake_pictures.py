"""Pictures of mistakes: the right images, enlarged, where they should be, with words that cover none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.mistakes import draw, mistakes_of, mistakes_picture, pairs_picture, repairs_picture
from benchmark.mistakes.pictures import CELL, COLUMNS
from benchmark.mistakes.summary import EntrantMistakes
from benchmark.records import Cost, Dataset, Entrant, Images, Predictions, Split, SplitRows
from benchmark.study_data import StudyImages
from benchmark.temperature import apply_temperature
from benchmark.tiles import PAPER

CLASSES = ("cat", "an animal with a very long name indeed", "Größe → λ")
WORD = 250
"""Pixels are below this in one channel at least where there is a word."""


def colour(number: int) -> tuple[int, int, int]:
    """One that no word and no other image has."""
    return (200, 10 * number, 255)


def data(rows: int, height: int, width: int) -> StudyImages:
    """Test images in one colour each, of rising labels."""
    shape = (rows, height, width, 3)
    pixels = np.array([colour(number) for number in range(rows)], np.uint8)[:, np.newaxis, np.newaxis]
    test = Images(np.broadcast_to(pixels, shape).copy(), np.arange(rows) % 3)
    everything = np.arange(rows)
    return StudyImages("pets", Dataset("pets", CLASSES, test, test, "f"), SplitRows(everything[:-3], everything[-3:]))


def entrant(name: str, said: list[tuple[int, float]]) -> Entrant:
    """One that says these classes with these confidences on test, and the first class on validation."""

    def predictions(split: Split, answers: list[tuple[int, float]]) -> Predictions:
        probs = np.array(
            [[sure if index == label else (1 - sure) / 2 for index in range(3)] for label, sure in answers]
        )
        return Predictions(split, np.log(probs).astype(np.float32))

    val, test = predictions(Split.VAL, [(0, 0.9)] * 3), predictions(Split.TEST, said)
    return Entrant(name, "tuned", "cnn", (0,), (1.0,), val, test, Cost(1, 1, 1, 1))


# Labels are 0 1 2 0 1 2. The first errs on rows 1, 3 and 4, the second on rows 4 and 5.
FIRST = entrant("first, trial 1", [(0, 0.9), (0, 0.8), (2, 0.9), (1, 0.95), (0, 0.7), (2, 0.9)])
SECOND = entrant("second, top 5", [(0, 0.9), (1, 0.8), (2, 0.9), (0, 0.95), (0, 0.7), (1, 0.6)])
RIGHT = entrant("right", [(row % 3, 0.9) for row in range(6)])


def found(
    images: StudyImages, one: Entrant = SECOND, other: Entrant | None = FIRST, count: int = 12
) -> EntrantMistakes:
    return mistakes_of(one, other, images, split=Split.TEST, count=count)


def box(picture: Image.Image, number: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of an image; it must be there once and whole."""
    ys, xs = np.nonzero((np.asarray(picture) == colour(number)).all(axis=-1))
    assert len(ys), f"image {number} is not there"
    left, top, right, bottom = int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
    assert len(ys) == (right - left) * (bottom - top)
    return left, top, right, bottom


def shown(picture: Image.Image, rows: int = 6) -> set[int]:
    pixels = np.asarray(picture)
    return {number for number in range(rows) if (pixels == colour(number)).all(axis=-1).any()}


def words(picture: Image.Image, left: int, top: int, right: int, bottom: int) -> bool:
    return bool((np.asarray(picture)[top:bottom, left:right] < WORD).any())


@pytest.mark.parametrize(
    ("height", "width", "side"),
    [(8, 8, (128, 128)), (32, 32, (128, 128)), (96, 96, (96, 96)), (28, 28, (112, 112)), (300, 200, (85, 128))],
)
def test_mistakes_are_enlarged_in_the_order_of_their_confidence(height: int, width: int, side: tuple[int, int]) -> None:
    images = data(6, height, width)
    picture = mistakes_picture(found(images, FIRST, None), images)
    assert picture is not None
    assert shown(picture) == {1, 3, 4}
    boxes = [box(picture, number) for number in (3, 1, 4)]
    assert [(right - left, bottom - top) for left, top, right, bottom in boxes] == [side] * 3
    assert [left for left, *_ in boxes] == [boxes[0][0] + CELL * place for place in range(3)]
    assert len({top for _, top, *_ in boxes}) == 1


def test_captions_stay_in_their_cells() -> None:
    images = data(6, 8, 8)
    # Labels and answers with the long name among them.
    picture = mistakes_picture(found(images, FIRST, None), images)
    assert picture is not None
    for number in (3, 1, 4):
        left, _, right, bottom = box(picture, number)
        assert words(picture, left, bottom, right, bottom + 60)
        between = np.asarray(picture)[bottom : bottom + 60, left + CELL - 3 : left + CELL]
        assert (between == PAPER).all(), "a caption ends before the next image's begins"


def test_rows_of_images_do_not_run_into_captions() -> None:
    images = data(20, 8, 8)
    wrong = entrant("wrong", [((row + 1) % 3, 0.99 - row / 100) for row in range(20)])
    picture = mistakes_picture(found(images, wrong, None, count=20), images)
    assert picture is not None
    assert shown(picture, 20) == set(range(20))
    upper, lower = box(picture, 0), box(picture, COLUMNS)
    assert upper[0] == lower[0]
    band = np.asarray(picture)[upper[3] : lower[1], upper[0] : upper[2]]
    assert words(picture, upper[0], upper[3], upper[2], lower[1])
    assert (band[-6:] == PAPER).all(), "there is room between a caption and the image below it"


def test_each_pair_has_its_row_with_its_name_at_the_left() -> None:
    images = data(6, 8, 8)
    found_ = found(images, FIRST, None)
    # 1 is taken for 0 in rows 1 and 4, 0 for 1 in row 3.
    assert [(pair.label, pair.predicted, pair.rows) for pair in found_.pairs] == [(1, 0, (1, 4)), (0, 1, (3,))]
    picture = pairs_picture(found_, images)
    assert picture is not None
    first, second, below = box(picture, 1), box(picture, 4), box(picture, 3)
    assert first[1] == second[1] < first[3] < below[1]
    assert first[0] == below[0] == second[0] - CELL
    for left, top, _, bottom in (first, below):
        assert words(picture, 0, top, left, bottom)
        assert (np.asarray(picture)[top:bottom, left - 6 : left] == PAPER).all(), "the name ends before the image"


def test_what_is_repaired_stands_beside_what_is_broken() -> None:
    images = data(6, 8, 8)
    picture = repairs_picture(found(images), images)
    assert picture is not None
    # Row 4 is wrong in both.
    assert shown(picture) == {1, 3, 5}
    repaired, also, broken = box(picture, 3), box(picture, 1), box(picture, 5)
    assert repaired[1] == also[1] == broken[1]
    assert repaired[0] < also[0] < picture.width // 2 < broken[0]


@pytest.mark.parametrize(("one", "other", "is_left"), [(RIGHT, SECOND, True), (SECOND, RIGHT, False)])
def test_one_side_may_be_empty(one: Entrant, other: Entrant, is_left: bool) -> None:
    images = data(6, 8, 8)
    picture = repairs_picture(found(images, one, other), images)
    assert picture is not None
    assert shown(picture) == {4, 5}
    assert {box(picture, row)[0] < picture.width // 2 for row in (4, 5)} == {is_left}


def test_nothing_to_show_is_no_picture() -> None:
    images = data(6, 8, 8)
    assert mistakes_picture(found(images, RIGHT), images) is None
    assert pairs_picture(found(images, RIGHT), images) is None
    assert repairs_picture(found(images, SECOND, None), images) is None
    assert repairs_picture(found(images, SECOND, replace(SECOND, name="the same")), images) is None


def test_validation_rows_are_found_in_the_training_part(tmp_path: Path) -> None:
    images = data(6, 8, 8)
    # Validation are rows 3, 4 and 5 of the training part, of labels 0 1 2: the last two are taken for 0.
    found_ = mistakes_of(SECOND, None, images, split=Split.VAL, count=5)
    assert [found_.numbers[one.row] for one in found_.mistakes] == [4, 5]
    picture = mistakes_picture(found_, images)
    assert picture is not None
    assert shown(picture) == {4, 5}
    assert {path.name.split("-")[0] for path in draw(found_, images, tmp_path)} == {"val"}


def smoothed(one: Entrant, by: float) -> Entrant:
    """The same answers, as a model gives them that was trained to be modest."""
    val, test = (Predictions(part.split, apply_temperature(part.log_probs, by)) for part in (one.val, one.test))
    return replace(one, name=f"smoothed {one.name}", val=val, test=test)


@pytest.mark.parametrize("split", [Split.VAL, Split.TEST])
def test_a_modest_model_states_its_mistakes_as_surely_as_another(split: Split) -> None:
    images = data(6, 8, 8)
    val = entrant("", [(0, 0.9), (0, 0.6), (2, 0.8)]).test
    plain = replace(FIRST, val=Predictions(Split.VAL, val.log_probs))
    modest = smoothed(plain, 2.0)
    raw = (plain.val if split is Split.VAL else plain.test).log_probs
    one, other = (mistakes_of(who, SECOND, images, split=split, count=9) for who in (plain, modest))
    assert one.temperature == pytest.approx(2 * other.temperature, rel=1e-3)
    assert one.mistakes
    assert [mistake.row for mistake in one.mistakes] == [mistake.row for mistake in other.mistakes]
    for mistake, same in zip(one.mistakes, other.mistakes, strict=True):
        assert mistake.confidence == pytest.approx(same.confidence, rel=1e-3)
        assert mistake.label_probability == pytest.approx(same.label_probability, rel=1e-3)
        assert mistake.confidence != pytest.approx(np.exp(raw[mistake.row].max()), rel=1e-3)
    np.testing.assert_allclose(one.answers.confidence, other.answers.confidence, rtol=1e-3)
    assert one.answers.correct.tolist() == other.answers.correct.tolist()
    against = mistakes_of(SECOND, modest, images, split=split, count=9).beside
    assert against is not None
    assert against.temperature == other.temperature
    np.testing.assert_array_equal(against.answers.confidence, other.answers.confidence)


def test_predictions_of_training_images_are_not_stored() -> None:
    with pytest.raises(ValueError, match="no study stores predictions of training images"):
        mistakes_of(SECOND, None, data(6, 8, 8), split=Split.TRAIN, count=5)


def test_files_are_the_same_each_time_and_go_where_there_is_nothing_to_show(tmp_path: Path) -> None:
    images = data(6, 8, 8)
    paths = draw(found(images), images, tmp_path)
    assert [path.name for path in paths] == [
        "confusion-second_top-5.png",
        "confusion-second_top-5.svg",
        "coverage-second_top-5-beside-first_trial-1.png",
        "coverage-second_top-5-beside-first_trial-1.svg",
        "mistakes-second_top-5.png",
        "confused-pairs-second_top-5.png",
        "repairs-second_top-5-beside-first_trial-1.png",
    ]
    assert sorted((tmp_path / "pets").iterdir()) == sorted(paths)
    before = [path.read_bytes() for path in paths]
    draw(found(images), images, tmp_path)
    assert [path.read_bytes() for path in paths] == before
    left = draw(found(images, replace(RIGHT, name=SECOND.name)), images, tmp_path)
    assert not any(path.name.startswith(("mistakes", "confused")) for path in left)
    assert sorted((tmp_path / "pets").iterdir()) == sorted(left)
