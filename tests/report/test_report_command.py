"""The command report: where the page is, how large, and what it says where the images cannot be had."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from page_tree import parsed
from reported_study import planted

from benchmark import cli


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reported")
    planted(root, trials=4)
    return root


def bench(words: str, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> str:
    monkeypatch.setattr(sys, "argv", ["bench", *words.split(), "--root", str(root)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    out, err = capfd.readouterr()
    assert not end.value.code, err
    return out


def test_it_says_where_the_page_is_and_how_large(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told = bench("report tiny --no-images", root, monkeypatch, capfd)
    path = root / "results" / "tiny.html"
    size = f"{path.stat().st_size / 1000:.0f} kB"
    assert told.splitlines() == [f"written: {path}, {size}"]
    page = parsed(path.read_text(encoding="utf-8"))
    assert "asked for without pictures" in page.one("section", id="data").text
    assert not page.all("img")


def test_with_images_it_looks_at_the_data_and_shows_mistakes(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told = bench("report", root, monkeypatch, capfd)
    assert "comparing every image of digits with every other" in told
    page = parsed((root / "results" / "tiny.html").read_text(encoding="utf-8"))
    assert page.one("svg", class_="defs").all("image")
    assert "No two images are identical." in page.one("section", id="data").text
    # The predictions are invented, so that there are no weights to ask.
    assert "no weights of trial" in page.one("section", id="evidence").text


def test_without_the_data_set_it_is_a_page_without_pictures(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    told = bench(f"report tiny --data {tmp_path}", root, monkeypatch, capfd)
    reason = "digits comes with scikit-learn and is not read from a folder"
    assert f"without pictures: {reason}" in told
    assert "written: " in told
    page = parsed((root / "results" / "tiny.html").read_text(encoding="utf-8"))
    for section in ("entrants", "evidence", "data"):
        assert reason in page.one("section", id=section).text
    assert page.all("article", class_="entrant")
