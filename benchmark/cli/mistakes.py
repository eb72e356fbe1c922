"""The command mistakes: what an entrant gets wrong, alone and beside another. Trains nothing and asks no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, Storage, StudyToRead, split_of
from benchmark.cli.output import ShownFirst, echo_json, teller
from benchmark.cli.studies import open_named


@app.command()
def mistakes(
    study: StudyToRead = None,
    entrant: Annotated[
        str, typer.Option(help="A name on the leaderboard, a trial's number, best (single model) or recommended.")
    ] = "recommended",
    against: Annotated[
        str | None,
        typer.Option(help="The entrant to set beside it; default: the best single model, where it is an ensemble."),
    ] = None,
    split: Annotated[str, typer.Option(help="test or val.")] = "test",
    count: Annotated[int, typer.Option(min=1, help="How many pairs and mistakes to list and to show.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: DataFolder = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Show what an entrant gets wrong: by class, the most confused pairs, the most confident mistakes, with images.

    Beside another entrant, which of its mistakes it repairs and which it adds. Writes pictures into results/STUDY/.

    Example: bench mistakes cifar10-cpu --against best
    """
    from benchmark.mistakes import draw, mistakes_of, other_of, to_json, to_rich, to_sentences
    from benchmark.records import Split
    from benchmark.study import find_entrant, note_scored
    from benchmark.study_data import load_study_images

    # What is not JSON goes elsewhere, so that the output can be piped on.
    console = Console(stderr=as_json)
    say = teller(console)
    part = split_of(split)
    store = open_named(study, root, storage, console, to_read=True)
    chosen = find_entrant(store, entrant)
    other = other_of(chosen, against, lambda name: find_entrant(store, name))
    images = load_study_images(store, data, say)
    found = mistakes_of(chosen, other, images, split=part, count=count)
    looked_at = [chosen] if other is None else [chosen, other]
    if part is Split.TEST:
        note_scored(store, [one.test for one in looked_at])
    for retrained in (one.name for one in looked_at if part is Split.VAL and one.trained_on != "train"):
        say(f"note: {retrained} trained on validation images; its mistakes on them are those of what it trains again")
    with ShownFirst() as shown:
        paths = shown.attempt(lambda: draw(found, images, root / "results")) or []
        if as_json:
            echo_json(to_json(found, paths))
            return
        for table in to_rich(found):
            console.print(table)
        for sentence in to_sentences(found):
            say(sentence)
    say(f"written into {paths[0].parent}: {', '.join(path.name for path in paths)}")
