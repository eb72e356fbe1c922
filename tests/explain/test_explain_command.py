"""`bench explain` shows what was asked for, says where it is from, and refuses in one sentence."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli
from benchmark.explain import ShownImages
from benchmark.records import Split
from benchmark.store import StudyLocation, open_study
from benchmark.study_data import load_study_images

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from trained_study import train_study

    root = tmp_path_factory.mktemp("trained")
    train_study(root, trials=2)
    return root


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `bench` in the folder `root`: exit code, and everything that it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out + err

    return run


def explained(bench: Run, root: Path, *words: str) -> tuple[str, Path]:
    """What was printed, and the picture that was written last."""
    code, output = bench("explain", "tiny", *words, "--device", "cpu")
    assert code == 0, output
    written = output.rpartition("written: ")[2].split(", ")
    return output, root / written[0].strip()


def test_the_recommended_entrant_and_telling_images_are_the_default(bench: Run, root: Path) -> None:
    store = open_study(StudyLocation("tiny", root))
    store.set_fact("test_scored", [])
    output, picture = explained(bench, root)
    assert len(store.fact("test_scored")) == 1, "its mistakes were looked at"
    assert "8 test images: the most confident mistakes, then right answers of different classes" in output
    assert "one view of each image" in output
    assert "confidences: after a temperature of " in output
    assert picture.parent == root / "results" / "tiny"
    assert picture.name.startswith("explain-")
    assert picture.with_suffix(".svg").exists()
    with Image.open(picture) as image:
        assert image.width == 1600


def test_a_single_model_names_its_layer_and_the_size_of_its_map(bench: Run, root: Path) -> None:
    rows = load_study_images(open_study(StudyLocation("tiny", root)), None, lambda _: None).numbers(Split.VAL)
    output, picture = explained(bench, root, "0", "--rows", f"{rows[3]},{rows[14]}", "--split", "val")
    assert "explaining cnn, default" in output
    assert "trial 0 (cnn): map of 4 x 4 places, layer features.12\n" in output
    assert picture.name == "explain-cnn_default.png"


def test_validation_images_are_told_by_their_number_in_the_training_part(bench: Run, root: Path) -> None:
    images = load_study_images(open_study(StudyLocation("tiny", root)), None, lambda _: None)
    shown = ShownImages.of_rows(images, Split.VAL, [2, 0])
    numbers = images.rows.val[[2, 0]]
    assert shown.sources == tuple(f"val {number}" for number in numbers)
    assert shown.labels == tuple(images.dataset.train.labels[numbers])
    assert np.array_equal(shown.pixels, images.dataset.train.pixels[numbers])
    stranger = images.rows.train[5]
    code, output = bench("explain", "tiny", "0", "--rows", f"{numbers[0]},{stranger}", "--split", "val")
    assert code == 2
    assert f"training image {stranger} is not among the 297 of val" in output


def test_an_ensemble_gives_the_share_of_each_member(bench: Run, root: Path) -> None:
    output, _ = explained(bench, root, "soft voting, top 2", "--count", "2")
    assert output.count("; 50 % of the ensemble's") == 2
    output, _ = explained(bench, root, "stacking on probs, top 2", "--rows", "5")
    assert "stacking_on_probs has no votes: the members' maps count the same" in output
    assert "of the ensemble's" not in output


def test_sanity_adds_a_number_for_each_member(bench: Run, root: Path) -> None:
    output, _ = explained(bench, root, "0", "--rows", "1,2,3", "--sanity")
    assert "rank correlation with the maps of untrained copies" in output
    told = output.partition("rank correlation")[2]
    left_out = r"( \(without \d+ of 15 pairs, of which one map is empty\))?"
    found = re.search(rf"trial 0 \(cnn\): (-?\d\.\d\d){left_out}\n", told)
    assert found is not None
    assert -1 <= float(found[1]) <= 1


def test_files_of_the_user_are_fitted_and_that_is_said(bench: Run, root: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "one.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "two.png")
    output, picture = explained(bench, root, "0", "--images", str(tmp_path), "--class", "3")
    assert picture.name == "explain-pictures-cnn_default.png"
    assert "one.png: 40 x 60 pixels, cut to the middle 40 x 40, resized to 8 x 8 (Lanczos, antialiased)" in output
    assert "two.png: taken as it is" in output
    output, _ = explained(
        bench, root, "0", "--images", str(tmp_path / "one.png"), "--images", str(tmp_path), "--count", "2"
    )
    assert "taking the first 2 of 3 files; --count takes more" in output


def written(root: Path) -> list[Path]:
    """All results; a database's files come and go with its connections."""
    return sorted((root / "results").rglob("*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bset"], "unknown entrant 'bset'; did you mean 'best'?"),
        (["best", "--class", "33"], "unknown class '33'; did you mean '3'?"),
        (["best", "--split", "train"], "unknown split 'train'; known: test, val."),
        (["best", "--rows", "1,x"], "'1,x' is no list of rows; write 3,14,15"),
        (["best", "--rows", "1,5000"], "there is no row 5000: test has "),
        (["best", "--rows", ",".join(["1"] * 51)], "a picture shows at most 50 images, not 51"),
        (["best", "--rows", "1", "--images", "a.png"], "name pictures by --images or rows by --rows, not both"),
        (["best", "--images", "a.png"], "cannot read a.png: No such file or directory; name PNG or JPEG files"),
        (["best", "--count", "0"], "--count"),
        (["best", "--device", "gpu"], "unknown device 'gpu'; did you mean 'cpu'?"),
    ],
)
def test_wrong_words(bench: Run, root: Path, words: list[str], message: str) -> None:
    before = written(root)
    code, output = bench("explain", "tiny", *words)
    assert code == 2, output
    assert message in output
    assert "Traceback" not in output
    assert written(root) == before
