"""The command report: a study as one HTML file. It trains nothing, and notes what it scores on test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, Storage, StudyToRead
from benchmark.cli.output import teller
from benchmark.cli.studies import open_named
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.report import Missing
    from benchmark.store import StudyStore
    from benchmark.study_data import StudyImages


@app.command()
def report(
    study: StudyToRead = None,
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Leave out all pictures, and what needs the data set.")
    ] = False,
    storage: Storage = None,
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Write results/NAME.html: the whole study on one page that needs no network. Trains nothing.

    Leaderboard, search, training curves, what each entrant confuses, Grad-CAM, the data, and where it all comes from.

    Example: bench report cifar10-cpu --no-images
    """
    from benchmark.report import Missing, make_report, write_report
    from benchmark.wording import size

    console = Console()
    say = teller(console)
    store = open_named(study, root, storage, console, to_read=True)
    images = Missing("the page was asked for without pictures.") if no_images else _images(store, data, say)
    page = write_report(make_report(store, images, say), root / "results")
    say(f"written: {page}, {size(page.stat().st_size)}")


def _images(store: StudyStore, data: Path | None, say: Callable[[str], None]) -> StudyImages | Missing:
    """The study's images, or why there are none: a page without them is still worth having."""
    from benchmark.report import Missing
    from benchmark.study_data import load_study_images

    try:
        return load_study_images(store, data, say)
    except BenchError as error:
        say(f"without pictures: {error}")
        return Missing(f"{error}.")
