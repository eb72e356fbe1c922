"""Files of a figure: the same bytes for the same data, small, and whole or not there."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from drawn import TRICKY, around
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from benchmark.errors import BenchError
from benchmark.figures import Contender, accuracy_against_latency, disagreement_map, save
from benchmark.records import Split

DRAW_AND_SAVE = """
import sys
from pathlib import Path
from test_figure_files import small_figure
from benchmark.figures import save
save(small_figure(), Path(sys.argv[1]), "small")
"""


def small_figure(accuracy: float = 0.8) -> Figure:
    contenders = [
        Contender(TRICKY[0], "default", 0.3, around(accuracy), 1_000),
        Contender(TRICKY[2], "tuned", 0.9, around(0.9), 2_000),
    ]
    return accuracy_against_latency(contenders, split=Split.TEST, subject="pets -- <1>")


def tiny_figure() -> Figure:
    """For tests to which it does not matter what is drawn."""
    return Figure(figsize=(0.5, 0.5))


def test_two_files_and_no_drafts(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "results"
    paths = save(small_figure(), folder, "small")
    assert paths == [folder / "small.png", folder / "small.svg"]
    assert sorted(folder.iterdir()) == paths
    with Image.open(paths[0]) as image:
        assert image.format == "PNG"
        assert image.width == 1600
        assert image.convert("RGB").getpixel((1599, 0)) == (255, 255, 255)
        assert image.info == {}
    assert ElementTree.parse(paths[1]).getroot().tag.endswith("svg")


def test_same_data_same_bytes(tmp_path: Path) -> None:
    figure = small_figure()
    first = [path.read_bytes() for path in save(figure, tmp_path / "first", "small")]
    again = [path.read_bytes() for path in save(figure, tmp_path / "again", "small")]
    with matplotlib.rc_context({"font.size": 20.0, "savefig.dpi": 50, "svg.fonttype": "none", "lines.linewidth": 9}):
        anew = [path.read_bytes() for path in save(small_figure(), tmp_path / "anew", "small")]
    assert first == again == anew
    assert b"dc:date" not in first[1]
    other = [path.read_bytes() for path in save(small_figure(0.81), tmp_path / "other", "small")]
    assert other[0] != first[0]
    assert other[1] != first[1]


def test_same_bytes_from_another_process(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", DRAW_AND_SAVE, str(tmp_path / "there")],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        check=True,
        timeout=600,
    )
    for here in save(small_figure(), tmp_path / "here", "small"):
        assert here.read_bytes() == (tmp_path / "there" / here.name).read_bytes()


def test_png_is_less_than_half_of_one_with_all_colours(tmp_path: Path) -> None:
    shares = np.array([[0.0, 0.1, 0.2], [0.1, 0.0, 0.3], [0.2, 0.3, 0.0]])
    figure = disagreement_map(["a", "b", "c"], shares, subject="x")
    figure.savefig(tmp_path / "all.png")
    assert save(figure, tmp_path, "few")[0].stat().st_size < 0.5 * (tmp_path / "all.png").stat().st_size


def test_fewer_colours_are_close_to_those_drawn(tmp_path: Path) -> None:
    figure = Figure(figsize=(3, 2), dpi=100)
    figure.add_axes((0, 0, 1, 0.9)).pcolormesh(np.arange(600.0).reshape(20, 30), cmap="turbo")
    # Rare among hundreds of colours, yet it means something.
    figure.add_artist(Line2D([0.5, 0.52], [0.95, 0.95], color="magenta"))
    figure.savefig(tmp_path / "all.png")
    with Image.open(tmp_path / "all.png") as drawn, Image.open(save(figure, tmp_path, "few")[0]) as saved:
        before, after = (np.asarray(image.convert("RGB")).astype(int) for image in (drawn, saved))
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 300
    assert len(np.unique(after.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(after - before).max() <= 5


def test_failed_write_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [path.read_bytes() for path in save(tiny_figure(), tmp_path, "small")]
    original = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if ".svg" in self.name:
            raise OSError(28, os.strerror(28))
        return original(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(BenchError, match="No space left on device"):
        save(Figure(figsize=(1, 1)), tmp_path, "small")
    assert [(tmp_path / f"small{suffix}").read_bytes() for suffix in (".png", ".svg")] == before
    assert len(list(tmp_path.iterdir())) == 2


def test_folder_that_cannot_be_made_is_a_plain_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way")
    with pytest.raises(BenchError, match=r"cannot write the figure into .*; name a folder that can be written"):
        save(tiny_figure(), tmp_path / "results", "small")


@pytest.mark.parametrize("name", ["", "../small", "a/b"])
def test_name_with_a_path_writes_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="cannot name a file"):
        save(tiny_figure(), tmp_path / "results", name)
    assert not list(tmp_path.iterdir())
