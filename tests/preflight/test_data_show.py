"""`bench data show`: what a preflight finds stands after the table, and a picture of it beside the other."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from planted import noise

from benchmark import cli
from benchmark.records import Dataset


def show(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: str) -> str:
    found = {"planted": SimpleNamespace(build=lambda folder, say: dataset, tags={})}
    monkeypatch.setattr("benchmark.datasets.DATASETS", found)
    monkeypatch.setattr(sys, "argv", ["bench", "data", "show", "planted", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    output = capfd.readouterr().out
    assert not end.value.code, output
    return output


def test_duplicates_are_told_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = noise()
    dataset.test.pixels[4] = dataset.train.pixels[6] + 1
    output = show(dataset, monkeypatch, capfd)
    table, _, sentences = output.partition("No two images are identical.")
    assert "mean ± std" in table
    assert "train 6 cat and test 4 dog" in sentences
    assert "duplicates: results/data/planted-duplicates.png" in sentences
    for name in ("planted.png", "planted-means.png", "planted-duplicates.png"):
        assert f"results/data/{name}" in output
        with Image.open(tmp_path / "results" / "data" / name) as picture:
            assert picture.size > (0, 0)


def test_without_duplicates_there_is_no_picture_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results" / "data"
    folder.mkdir(parents=True)
    (folder / "planted-duplicates.png").write_bytes(b"from an earlier state of the data")
    assert "duplicates.png" not in show(noise(), monkeypatch, capfd)
    assert sorted(path.name for path in folder.iterdir()) == ["planted-means.png", "planted.png"]


def test_augmentations_are_drawn_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = tmp_path / "results" / "data" / "planted-augmented.png"
    assert "augmentations: " not in show(noise(), monkeypatch, capfd)
    assert not picture.exists()
    assert "augmentations: results/data/planted-augmented.png" in show(noise(), monkeypatch, capfd, "--augmented")
    with Image.open(picture) as drawn, Image.open(picture.with_name("planted.png")) as samples:
        assert drawn.convert("RGB").tobytes() != samples.convert("RGB").tobytes()
