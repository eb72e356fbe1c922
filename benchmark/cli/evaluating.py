"""The command that asks stored models again: evaluate, on test images as they are or corrupted. It trains nothing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, Storage, StudyToRead
from benchmark.cli.output import command, progress, teller, where
from benchmark.cli.studies import open_named
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.inference import LoadedEntrant, StudyData
    from benchmark.robustness import CorruptedImages
    from benchmark.store import StudyStore


@app.command()
def evaluate(
    study: StudyToRead = None,
    entrants: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names on the leaderboard, numbers of trials, recommended or best; default: these last two.",
            metavar="[ENTRANT]...",
        ),
    ] = None,
    corruptions: Annotated[
        bool, typer.Option("--corruptions", help="On test images under 15 common corruptions at 5 severities.")
    ] = False,
    cifar10_c: Annotated[
        Path | None,
        typer.Option(help="A folder with the arrays of CIFAR-10-C, to take instead of images corrupted here."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(min=1, help="So many test images, evenly spread; default: all on a GPU, 2000 on a CPU."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the corruptions made here.")] = 0,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda:0, ...")] = "auto",
    data: DataFolder = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Ask stored models about test images again, and compare with what is stored; or ask about corrupted ones.

    Corruptions write results/NAME/corruptions.md and .json with figures. Both report, and decide nothing.

    Example: bench evaluate cifar10-cpu recommended --corruptions
    """
    from benchmark.evaluation import (
        USUAL_ENTRANTS,
        distinct_members,
        load_entrants,
        predict_again,
        rows_to_ask,
        to_table,
    )
    from benchmark.inference import load_study_data
    from benchmark.robustness import MadeImages, read_published
    from benchmark.speed import device_named

    if corruptions and cifar10_c is not None:
        raise BenchError("--corruptions corrupts images here, and --cifar10-c reads corrupted ones; give one of them")
    console = Console()
    say = teller(console)
    store = open_named(study, root, storage, console, to_read=True)
    known = load_study_data(store, device_named(device), data, say)
    asked, test = known.on_device.where, known.dataset.test
    rows = rows_to_ask(known, images)
    source: CorruptedImages | None = None
    if cifar10_c is not None:
        source = read_published(cifar10_c, test, rows)
    elif corruptions:
        source = MadeImages(test, rows, seed)
    # Errors under corruption are relative to those of the best single model.
    loaded = load_entrants(store, [*(entrants or USUAL_ENTRANTS), *(["best"] if source else [])], known)
    say(
        f"asking {'; '.join(one.entrant.name for one in loaded)} (models: {distinct_members(loaded)}) on {asked.name} "
        f"about {len(rows):,} of {len(test):,} test images"
        + ("; --images N asks about more" if images is None and len(rows) < len(test) else "")
    )
    if source is None:
        with progress(console, distinct_members(loaded)) as observe:
            found = predict_again(loaded, known, rows, observe)
        console.print(to_table(found))
        return
    _corrupt(store, loaded, known, source, root, console)
    words = ["bench", "leaderboard", store.location.name, "--columns", "name,test_accuracy,corruption_accuracy"]
    say(f"next: {shlex.join([*words, *where(root, storage)])}")


def _corrupt(
    store: StudyStore,
    loaded: Sequence[LoadedEntrant],
    known: StudyData,
    images: CorruptedImages,
    root: Path,
    console: Console,
) -> None:
    from benchmark.corruptions import SEVERITIES, corruption_names
    from benchmark.evaluation import distinct_members, predict_corrupted, report_corruptions
    from benchmark.robustness import draw, note_accuracies, to_rich, write
    from benchmark.study import note_command

    steps = distinct_members(loaded) * (1 + len(corruption_names()) * len(SEVERITIES))
    with progress(console, steps) as observe:
        answers = predict_corrupted(loaded, known, images, observe)
    report = report_corruptions(store, loaded, known, images, answers, command())
    console.print(to_rich(report))
    paths = [*write(report, root / "results"), *draw(report, answers.samples, root / "results")]
    teller(console)(f"written: {', '.join(map(str, paths))}")
    if store.is_writable:
        note_command(store, command())
        note_accuracies(store, [one.entrant for one in loaded], report)
