"""A folder of a user's own images: what is read of it, what is wrong with it, and that a search takes it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli
from benchmark.cache import VARIABLE
from benchmark.dataset_export import export
from benchmark.datasets import DATASETS, inspect_dataset
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.datasets._folder_listing import list_images
from benchmark.datasets._folder_reading import LONGEST_SIDE
from benchmark.definition import parse_study
from benchmark.errors import BenchError
from benchmark.preflight import preflight
from benchmark.records import Dataset, ImageShape, Split
from benchmark.store import StudyLocation
from benchmark.study import open_for_search
from benchmark.workers import WorkerSetup
from benchmark.workers.child import load_data

Run = Callable[..., tuple[int, str]]


def silent(line: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `bench` in `tmp_path`: exit code, and everything that it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out + err

    return run


def picture(seed: int, size: tuple[int, int] = (16, 20), mode: str = "RGB") -> Image.Image:
    """Noise of so many pixels, height and width."""
    channels = {"RGB": (3,), "RGBA": (4,), "L": ()}[mode]
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, *channels), np.uint8))


def fill(root: Path, parts: tuple[str, ...] = ("train", "test"), mode: str = "RGB") -> Path:
    """Eight images of each of two classes in every part, as PNG."""
    for part_number, part in enumerate(parts):
        for label, name in enumerate(("cat", "dog")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(8):
                picture(100 * part_number + 10 * label + number, mode=mode).save(folder / f"{number}.png")
    return root


def load(root: Path) -> Dataset:
    return DATASETS["folder"].build(root, silent)


def look(root: Path) -> tuple[Dataset, tuple[str, ...]]:
    found = inspect_dataset("folder", root, silent)
    return found.dataset, found.sentences


def pixels_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_parts_and_classes_are_folders(tmp_path: Path) -> None:
    root = fill(tmp_path / "my pets!")
    dataset = load(root)
    assert (dataset.name, dataset.classes) == ("folder-my_pets_", ("cat", "dog"))
    assert dataset.image_shape == ImageShape(3, 16, 20)
    for part, images in (("train", dataset.train), ("test", dataset.test)):
        assert images.labels.tolist() == [0] * 8 + [1] * 8
        for row, pixels in enumerate(images.pixels):
            path = root / part / ("cat", "dog")[row // 8] / f"{row % 8}.png"
            np.testing.assert_array_equal(pixels, pixels_of(path))
    assert dataset.fingerprint == fingerprint_of(dataset.train, dataset.test)


def test_it_is_read_once_and_again_when_something_has_changed(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    said: list[str] = []
    first = DATASETS["folder"].build(root, said.append)
    assert "folder-pets: reading 32 files" in said
    said.clear()
    again = DATASETS["folder"].build(root, said.append)
    assert said == []
    assert isinstance(again.train.pixels, np.memmap)
    assert again.fingerprint == first.fingerprint
    picture(7).save(root / "train" / "cat" / "3.png")
    os.utime(root / "train" / "cat" / "3.png", (1, 1))
    changed = load(root)
    np.testing.assert_array_equal(changed.train.pixels[3], np.asarray(picture(7)))
    assert changed.fingerprint != first.fingerprint
    (root / "train" / "cat" / "3.png").unlink()
    assert len(load(root).train) == 15


def test_the_same_images_elsewhere_are_the_same_data_set(tmp_path: Path) -> None:
    first = load(fill(tmp_path / "pets"))
    shutil.copytree(tmp_path / "pets", tmp_path / "moved")
    assert load(tmp_path / "moved").fingerprint == first.fingerprint


def test_an_undivided_folder_gives_a_fifth_of_each_class_to_test(tmp_path: Path) -> None:
    fill(tmp_path / "whole", parts=("a", "b", "c", "d", "e"))
    root = tmp_path / "pets"
    for part in "abcde":
        for name in ("cat", "dog"):
            shutil.copytree(tmp_path / "whole" / part / name, root / name / part)
    dataset, sentences = look(root)
    assert "No train/ and test/: test is 20 % of each class, by seed 0." in sentences
    assert np.bincount(dataset.train.labels).tolist() == [32, 32]
    assert np.bincount(dataset.test.labels).tolist() == [8, 8]
    everything = {pixels.tobytes() for part in (dataset.train, dataset.test) for pixels in part.pixels}
    assert len(everything) == 80
    assert load(root).fingerprint == dataset.fingerprint


def test_gray_images_have_one_channel_unless_one_is_coloured(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets", mode="L")
    assert load(root).image_shape == ImageShape(1, 16, 20)
    np.testing.assert_array_equal(load(root).train.pixels[2, ..., 0], pixels_of(root / "train" / "cat" / "2.png"))
    # Test decides nothing: a coloured image there is read as gray.
    picture(1).save(root / "test" / "cat" / "0.png")
    assert load(root).image_shape.channels == 1
    picture(1).save(root / "train" / "cat" / "0.png")
    dataset, sentences = look(root)
    assert dataset.image_shape.channels == 3
    assert "Gray among coloured ones, read as RGB: 30 images." in sentences
    gray = dataset.train.pixels[2]
    assert (gray == gray[..., :1]).all()


def test_images_of_another_size_are_resized_and_counted(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    Image.new("RGB", (50, 40), (10, 20, 30)).save(root / "train" / "dog" / "9.png")
    Image.new("RGB", (5, 4), (40, 50, 60)).save(root / "test" / "cat" / "9.png")
    dataset, sentences = look(root)
    assert (
        "Of another size than 16 x 20 pixels, resized: 2 images, train/dog/9.png (40 x 50), test/cat/9.png (4 x 5)."
        in sentences
    )
    assert (dataset.train.pixels[-1] == (10, 20, 30)).all()
    assert (dataset.test.pixels[8] == (40, 50, 60)).all()


def test_shrinking_takes_means_and_no_single_pixels(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    stripes = np.zeros((160, 200, 3), np.uint8)
    stripes[:, ::2] = 200
    Image.fromarray(stripes).save(root / "train" / "cat" / "9.png")
    shrunk = load(root).train.pixels[8].astype(int)
    assert abs(shrunk[:, 1:-1] - 100).max() <= 6


def test_large_images_are_shrunk_to_the_longest_side(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        for part in ("train", "test"):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            Image.new("RGB", (1200, 900), (9, 99, 199)).save(tmp_path / "pets" / part / name / "a.jpg", quality=95)
    dataset, sentences = look(tmp_path / "pets")
    assert dataset.image_shape == ImageShape(3, 192, LONGEST_SIDE)
    assert "All images are shrunk from 900 x 1200 to 192 x 256 pixels." in sentences
    assert abs(dataset.train.pixels.astype(int) - (9, 99, 199)).max() <= 3


def test_of_equally_common_sizes_the_middle_one_is_taken(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name, sizes in (("cat", (30, 4)), ("dog", (12, 13))):
            (tmp_path / "pets" / part / name).mkdir(parents=True)
            for size in sizes:
                picture(size, (size, size)).save(tmp_path / "pets" / part / name / f"{size}.png")
    assert load(tmp_path / "pets").image_shape == ImageShape(3, 13, 13)


def test_orientation_is_honoured(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    path = root / "train" / "cat" / "0.png"
    upright = pixels_of(path)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    Image.fromarray(np.rot90(upright)).save(path, exif=exif)
    dataset, sentences = look(root)
    np.testing.assert_array_equal(dataset.train.pixels[0], upright)
    assert not any("another size" in sentence for sentence in sentences)


def test_the_size_of_a_tiff_that_was_taken_sideways_is_the_upright_one(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for part in ("train", "test"):
        for number, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            exif = Image.Exif()
            exif[0x0112] = 6
            picture(number, (12, 20)).save(root / part / name / "0.tif", exif=exif)
    dataset, sentences = look(root)
    assert dataset.image_shape == ImageShape(3, 20, 12)
    upright = np.rot90(np.asarray(picture(0, (12, 20))), -1)
    np.testing.assert_array_equal(dataset.train.pixels[0], upright)
    assert not any("another size" in sentence for sentence in sentences)


def test_a_link_to_a_folder_is_not_followed_and_not_passed_over_in_silence(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    shutil.copytree(root / "train" / "cat", tmp_path / "more")
    (root / "train" / "cat" / "batch2").symlink_to(tmp_path / "more", target_is_directory=True)
    dataset, sentences = look(root)
    assert len(dataset.train) == 16
    assert any("train/cat/batch2/" in sentence for sentence in sentences)


def test_a_folder_that_cannot_be_read_is_no_empty_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path / "pets")
    scan = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "dog":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BenchError, match=r"cannot read the folder .*dog: Permission denied"):
        load(root)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
def test_a_name_that_is_no_text_is_told(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    name = os.fsdecode(b"caf\xe9.png")
    picture(3).save(tmp_path / "one.png")
    (tmp_path / "one.png").rename(root / "train" / "cat" / name)
    with pytest.raises(BenchError, match=r"no valid text: 'train/cat/caf\\udce9.png'; rename it"):
        load(root)


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux")
@pytest.mark.parametrize("place", ["", "train", "test"])
def test_so_is_the_name_of_a_folder(tmp_path: Path, place: str) -> None:
    root = fill(tmp_path / "pets")
    (root / place / os.fsdecode(b"caf\xe9")).mkdir()
    with pytest.raises(BenchError, match=r"no valid text: 'caf\\udce9'; rename it"):
        load(root)
    root = root.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    with pytest.raises(BenchError, match=r"no valid text: 'caf\\udce9'; rename it"):
        load(root)


def test_transparent_pixels_are_white_and_sixteen_bits_are_scaled(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets", mode="L")
    Image.fromarray(np.full((16, 20), 0x8040, np.uint16)).save(root / "train" / "cat" / "0.png")
    dataset = load(root)
    assert dataset.image_shape.channels == 1
    assert (dataset.train.pixels[0] == 0x80).all()
    clear = np.zeros((16, 20, 4), np.uint8)
    clear[:8] = (1, 2, 3, 255)
    Image.fromarray(clear).save(root / "train" / "cat" / "1.png")
    shown = load(root).train.pixels[1]
    assert (shown[:8] == (1, 2, 3)).all()
    assert (shown[8:] == 255).all()


def test_sixteen_bits_of_a_pgm_are_gray_as_well(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets", mode="L")
    header, pixels = b"P5 20 16 65535\n", np.full((16, 20), 0x8140, ">u2")
    (root / "train" / "cat" / "0.pgm").write_bytes(header + pixels.tobytes())
    dataset = load(root)
    assert dataset.image_shape.channels == 1
    assert (dataset.train.pixels[0] == 0x81).all()


def broken(root: Path) -> list[str]:
    """Seven files in the folder that cannot be read, by their paths."""
    whole = (root / "train" / "cat" / "0.png").read_bytes()
    contents = {
        "train/cat/cut.png": whole[: len(whole) // 2],
        "train/cat/empty.jpg": b"",
        "train/dog/text.png": b"no image at all",
        "train/dog/zeros.bmp": bytes(500),
        "test/cat/head.png": whole[:40],
        "test/dog/a.tif": b"II*\0",
    }
    for path, content in contents.items():
        (root / path).write_bytes(content)
    (root / "test" / "dog" / "nowhere.png").symlink_to(root / "gone.png")
    return [*contents, "test/dog/nowhere.png"]


def test_training_refuses_files_that_cannot_be_read(tmp_path: Path, cache: Path) -> None:
    root = fill(tmp_path / "pets")
    broken(root)
    with pytest.raises(BenchError) as raised:
        load(root)
    message = str(raised.value)
    assert message.startswith("7 of 39 files cannot be read: train/cat/cut.png (")
    assert "train/cat/empty.jpg (no image of a known format), train/dog/text.png" in message
    assert message.count("(") == 5
    assert "and 2 more in" in message
    assert f"remove or replace them; all that is wrong: bench data show folder --data {root}" in message
    assert not list(cache.rglob("*.npy"))


def test_a_look_leaves_them_out_and_names_them(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    clean = load(root)
    broken(root)
    dataset, sentences = look(root)
    assert dataset.fingerprint == clean.fingerprint
    assert sentences[0].startswith("7 of 39 files cannot be read: train/cat/cut.png (")
    assert sentences[0].endswith("they are left out here, and training refuses them.")


def test_every_row_has_its_file(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    broken(root)
    (root / "train" / "cat" / "2.png").write_bytes(b"")
    found = inspect_dataset("folder", root, silent)
    dataset = found.dataset
    for images, files in ((dataset.train, found.train_files), (dataset.test, found.test_files)):
        for pixels, file in zip(images.pixels, files, strict=True):
            np.testing.assert_array_equal(pixels, pixels_of(root / file))
    lines = found.files_as_csv().splitlines()
    assert lines[:4] == [
        "split,row,file",
        "train,0,train/cat/0.png",
        "train,1,train/cat/1.png",
        "train,2,train/cat/3.png",
    ]
    assert lines[16:18] == ["test,0,test/cat/0.png", "test,1,test/cat/1.png"]


def test_planted_faults_are_found(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    shutil.copy(root / "train" / "cat" / "2.png", root / "train" / "cat" / "9.png")  # twice
    shutil.copy(root / "train" / "cat" / "4.png", root / "test" / "dog" / "9.png")  # with two labels
    (root / "train" / "yak").mkdir()
    (root / "train" / "emu").mkdir()
    picture(77).save(root / "train" / "emu" / "only.png")
    (root / "val" / "cat").mkdir(parents=True)
    (root / "train" / "cat" / "notes.txt").write_text("")
    picture(78).save(root / "train" / "stray.png")
    dataset, sentences = look(root)
    assert dataset.classes == ("cat", "dog", "emu")
    assert "Folders without any image, which are no classes: yak." in sentences
    assert "Passed over, 3 in all: train/stray.png, train/cat/notes.txt, val/." in sentences
    within, across = preflight(dataset).identical
    assert (within.splits, within.pairs, within.conflicting) == ((Split.TRAIN, Split.TRAIN), 1, 0)
    assert (across.splits, across.pairs, across.conflicting) == ((Split.TRAIN, Split.TEST), 1, 1)


def test_a_part_that_was_drawn_stays_where_files_come_and_go(tmp_path: Path) -> None:
    for name, count in (("cat", 40), ("dog", 25)):
        (tmp_path / name).mkdir()
        for number in range(count):
            (tmp_path / name / f"{number}.png").touch()

    def drawn() -> dict[str, int]:
        """Which test images there are, each with its class."""
        return {file.path: file.label for file in list_images(tmp_path).test}

    before = drawn()
    assert Counter(before.values()) == {0: 8, 1: 5}
    cats, dogs = tmp_path / "cat", tmp_path / "dog"
    for change in ((cats / "7.png").unlink, (cats / "a.png").touch, (dogs / "x.png").touch):
        change()
        after = drawn()
        for label in (0, 1):
            was, now = ({path for path, of in parts.items() if of == label} for parts in (before, after))
            assert len(was - now) <= 1
            assert len(now - was) <= 1
        before = after


def only_train(root: Path) -> None:
    fill(root, parts=("train",))


def nothing_to_train_on(root: Path) -> None:
    fill(root, parts=("test",))
    (root / "train").mkdir()


def one_class(root: Path) -> None:
    fill(root)
    for part in ("train", "test"):
        shutil.rmtree(root / part / "dog")


def parts_by_other_names(root: Path) -> None:
    fill(root, parts=("Training", "Test"))


def val_for_test(root: Path) -> None:
    fill(root, parts=("train", "val"))


def too_few_of_a_class(root: Path) -> None:
    fill(root, parts=(".",))
    for number in range(2, 8):
        (root / "dog" / f"{number}.png").unlink()


def nothing_that_can_be_read(root: Path) -> None:
    for path in fill(root).glob("train/*/*"):
        path.write_bytes(b"")


def nothing_but_heads(root: Path) -> None:
    for path in fill(root).glob("train/*/*"):
        with Image.open(path) as image:
            image.save(path.with_suffix(".jpg"))
        path.unlink()
        os.truncate(path.with_suffix(".jpg"), 700)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.touch, "pets is not a folder; --data names one that has a folder of images for each class"),
        (Path.mkdir, "needs folders with images of at least two classes, and has none"),
        (one_class, "needs folders with images of at least two classes, and has only 'cat'"),
        (only_train, "pets has only one of train/ and test/; add the other, or put the folders of classes into"),
        (nothing_to_train_on, "train has no image in any folder of a class"),
        (parts_by_other_names, "pets has Test/ and Training/ with folders inside, as if they were parts"),
        (val_for_test, "pets has val/ with folders inside, as if they were parts"),
        (too_few_of_a_class, "too few images of 'dog' (2) to draw a test part of 20 %; add some, or divide"),
        (nothing_that_can_be_read, "none of the 16 training images in"),
        (nothing_but_heads, "none of the 16 training images in"),
    ],
)
def test_what_is_no_data_set_is_refused(tmp_path: Path, make: Callable[[Path], object], message: str) -> None:
    make(tmp_path / "pets")
    for read in (load, look):
        with pytest.raises(BenchError, match=re.escape(message)):
            read(tmp_path / "pets")


def test_a_class_may_be_called_like_a_part(tmp_path: Path) -> None:
    root = fill(tmp_path / "traffic", parts=(".",))
    (root / "dog").rename(root / "Train")
    assert load(root).classes == ("Train", "cat")


def test_training_refuses_a_class_that_test_alone_has(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    (root / "test" / "dog").rename(root / "test" / "Dog")
    with pytest.raises(BenchError, match=r"train has no image of Dog, which .*test has"):
        load(root)
    assert look(root)[0].classes == ("Dog", "cat", "dog")


def test_images_too_narrow_to_train_on_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "strips"
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            picture(1, (7, 40)).save(root / part / name / "a.png")
    with pytest.raises(
        BenchError, match="images of 7 x 40 pixels are too small to train on: each side needs at least 8"
    ):
        load(root)


def test_images_that_do_not_fit_into_memory_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    root = fill(tmp_path / "pets")
    monkeypatch.setattr("benchmark.datasets._folder_reading.np.empty", refuse)
    with pytest.raises(BenchError, match=r"16 images of 16 x 20 pixels take 0.0 GB, more memory than there is"):
        load(root)


def test_a_folder_has_to_be_named() -> None:
    with pytest.raises(BenchError, match="name where they are: --data PATH"):
        DATASETS["folder"].build(None, silent)


def test_exported_images_are_read_back(tmp_path: Path) -> None:
    digits = DATASETS["digits"].build(None, silent)
    dataset = load(export(digits, "png", tmp_path / "digits"))
    assert dataset.classes == digits.classes
    for found, part in ((dataset.train, digits.train), (dataset.test, digits.test)):
        order = np.argsort(part.labels, kind="stable")
        np.testing.assert_array_equal(found.pixels, part.pixels[order])
        np.testing.assert_array_equal(found.labels, part.labels[order])


def test_the_command_goes_on_with_what_can_be_read(tmp_path: Path, bench: Run) -> None:
    broken(fill(tmp_path / "pets"))
    code, output = bench("data", "show", "folder", "--data", "pets")
    assert code == 0, output
    assert "7 of 39 files cannot be read" in output
    assert "No two images are identical." in output
    assert (tmp_path / "results" / "data" / "folder-pets.png").is_file()
    assert "which row is which file: results/data/folder-pets-files.csv" in output
    code, output = bench("data", "fetch", "folder", "--data", "pets")
    assert code == 2
    assert "error: 7 of 39 files cannot be read" in output


DEFINITION = """\
dataset = "folder"
families = ["cnn"]
augmentations = ["flip"]
optimizers = ["sgd"]
schedules = ["one_cycle"]
[split]
val = 6
[budget]
epochs = 1
reports = 1
[search]
trials = 1
[space]
batch_size = [64]
cnn.variant = ["plain"]
cnn.width = [16]
"""


def test_a_study_and_its_workers_have_the_same_images(tmp_path: Path) -> None:
    root = fill(tmp_path / "pets")
    study = parse_study("pets", DEFINITION, "here")
    store = open_for_search(study, StudyLocation("pets", tmp_path), root, silent)
    assert store.fact("dataset") == "folder-pets"
    assert store.fact("classes") == ["cat", "dog"]
    data = load_data(WorkerSetup("folder", root, study.split.val, study.split.seed, "cpu", 1))
    assert len(data.train) == 10
    np.testing.assert_array_equal(data.val.labels.numpy(), store.labels(Split.VAL))
    np.testing.assert_array_equal(data.test.labels.numpy(), store.labels(Split.TEST))
    picture(5).save(root / "train" / "cat" / "9.png")
    with pytest.raises(BenchError, match=r"fingerprint: .* in the database, .* now"):
        open_for_search(study, StudyLocation("pets", tmp_path), root, silent)


@pytest.mark.slow
def test_a_search_trains_on_them(tmp_path: Path, bench: Run) -> None:
    fill(tmp_path / "pets")
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "pets.toml").write_text(DEFINITION)
    code, output = bench("search", "pets", "--data", "pets", "--workers", "1")
    assert code == 0, output
    assert "done: 1 complete" in output
    code, output = bench("leaderboard", "pets")
    assert code == 0, output
    assert "folder-pets" in (tmp_path / "results" / "pets.md").read_text()
    code, output = bench("data", "show", "folder", "--data", "pets", "--study", "pets")
    assert code == 0, output
    assert "Labels that 1 model of the study contradict" in output
