"""Commands that read what a study stored: ensemble, leaderboard, verify. They train nothing."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import Root, Storage, StudyToRead, sizes_of
from benchmark.cli.output import ShownFirst, command, echo_json, teller
from benchmark.cli.studies import open_named, searched_here
from benchmark.errors import BenchError, MissingStudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.columns import Column
    from benchmark.ensemblers.greedy_selection import Metric
    from benchmark.leaderboard import Leaderboard
    from benchmark.store import StudyStore


@app.command()
def ensemble(
    study: StudyToRead = None,
    top: Annotated[
        str | None,
        typer.Option(
            help="How many of the best models to combine; default: 5, or all there are. 1..20 combines 20, and draws "
            "accuracy against size from 2 to 20."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            help="auto (every method), voting or stacking (the usual one of its kind), or a method's name; may be "
            "given again."
        ),
    ] = None,
    metric: Annotated[
        str, typer.Option(help="What selection and recommendation go by: log_loss (after temperature) or accuracy.")
    ] = "log_loss",
    temperature: Annotated[
        str, typer.Option(help="Where a temperature is fitted: none, members, result or both.")
    ] = "none",
    max_members: Annotated[int | None, typer.Option(min=1, help="At most so many models.")] = None,
    max_latency_ms: Annotated[
        float | None, typer.Option(min=0, help="At most so many milliseconds to predict one image alone.")
    ] = None,
    max_params: Annotated[int | None, typer.Option(min=1, help="At most so many parameters.")] = None,
    diverse: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="At most N models of one architecture's family.")
    ] = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Build ensembles from stored predictions, recommend one, and write the leaderboard. Trains nothing.

    Example: bench ensemble cifar10-cpu --top 5
    """
    from benchmark.ensemble import EnsembleSpec, Limits
    from benchmark.records import count_complete
    from benchmark.study import ensembles_of, note_command

    console = Console()
    store = open_named(study, root, storage, console)
    most = max(count_complete(store.trials()), 2)
    sizes = sizes_of(top) or [min(EnsembleSpec.top, most)]
    spec = EnsembleSpec(
        # The end of a range may lie beyond what there is; a single number means what it says.
        top=sizes[0] if len(sizes) == 1 else min(sizes[-1], most),
        methods=tuple(method or ("auto",)),
        metric=cast("Metric", metric),  # the spec refuses others
        temperature=temperature,
        limits=Limits(max_members, max_latency_ms, max_params, diverse),
    )
    ensembles_of(store, spec, sizes if len(sizes) > 1 else (), teller(console))
    note_command(store, command())
    write_leaderboard(store, root, console)


@app.command()
def leaderboard(
    studies: Annotated[
        list[str] | None,
        typer.Argument(help="One study or several; default: the one used last.", metavar="[STUDY]..."),
    ] = None,
    all_studies: Annotated[bool, typer.Option("--all", help="Every study that was searched in this folder.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    columns: Annotated[
        str | None, typer.Option(help="Columns of the short table, in order: name,test_accuracy,... (see --json).")
    ] = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Rank single models and ensembles; prints, and writes results/NAME.md, .csv and .json with figures.

    Several studies are compared as well: by mean rank. results/README.md lists all there are, from three on with who
    wins how often.

    Example: bench leaderboard cifar10-cpu --json
    """
    from benchmark.columns import columns_named
    from benchmark.leaderboard import across_to_rich, compare_studies, result_of, to_json
    from benchmark.records import count_complete

    console = Console()
    if all_studies and studies:
        raise BenchError("name studies or give --all, not both")
    if all_studies and storage is not None:
        raise BenchError("--all is of the studies in this folder; name those of a database")
    chosen = [] if columns is None else columns_named([key.strip() for key in columns.split(",")])
    named = sorted(searched_here(root)) if all_studies else studies
    names: list[str | None] = [*named] if named else [None]
    # What is not JSON goes elsewhere, so that the output can be piped on.
    beside = Console(stderr=True) if as_json else console
    texts = []
    with ShownFirst() as shown:
        for name in names:
            try:
                store = open_named(name, root, storage, beside, to_read=True)
            except BenchError as error:
                if not all_studies:
                    raise
                # A copy under another name is no reason not to show the others, nor is one that is damaged.
                teller(beside)(f"{name} is left out: {error}")
                if not isinstance(error, MissingStudyError):
                    shown.keep(error)
                continue
            if all_studies and not count_complete(store.trials()):
                teller(beside)(f"{name} has no complete trial yet and is left out")
                continue
            board = _read_leaderboard(store, console, chosen, is_shown=not as_json)
            texts.append(to_json(board))
            shown.attempt(partial(_write_files, board, root, console, chosen, is_shown=not as_json))
        if not texts:
            shown.keep(BenchError("no study here has a complete trial yet; run: bench search"))
        elif as_json:
            echo_json(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        elif len(texts) > 1:
            console.print(across_to_rich(compare_studies([result_of(json.loads(text)) for text in texts])))


@app.command()
def verify(
    study: StudyToRead = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Read everything again that a study stored, against its digests, and name what is damaged.

    Example: bench verify cifar10-cpu
    """
    from benchmark.study import place_of_files, weights_kept
    from benchmark.verify import verify as verify_study

    store = open_named(study, root, storage, console := Console(), to_read=True)
    say = teller(console)
    damage = []
    for part in (store, *store.parts().values()):
        place = place_of_files(part)
        found = verify_study(part, place, weights_kept(part))
        of_part = f"{part.location.part}: " if part.location.part else ""
        say(f"{of_part}{found.complete} complete trials and their predictions, {found.files} files in {place.label}")
        if found.elsewhere:
            say(f"{of_part}{found.elsewhere} files at other places were not read")
        if found.stray:
            say(f"{of_part}unknown to the database, of no use: {', '.join(found.stray)}")
        damage += [f"{of_part}{sentence}" for sentence in found.damage]
    for sentence in damage:
        say(f"damaged: {sentence}")
    if damage:
        raise BenchError(f"{len(damage)} damaged in {store}; restore them from a copy, or search on without them")
    say("everything is whole")


def write_leaderboard(store: StudyStore, root: Path, console: Console) -> None:
    """Print a study's leaderboard, write its files and figures and the index of all."""
    _write_files(_read_leaderboard(store, console), root, console)


def _read_leaderboard(
    store: StudyStore, console: Console, columns: Sequence[Column] = (), *, is_shown: bool = True
) -> Leaderboard:
    """A study's leaderboard, printed unless it is not to be shown."""
    from benchmark.leaderboard import to_rich
    from benchmark.study import leaderboard_of

    board = leaderboard_of(store)
    if is_shown:
        console.print(to_rich(board, columns))
    return board


def _write_files(
    board: Leaderboard, root: Path, console: Console, columns: Sequence[Column] = (), *, is_shown: bool = True
) -> None:
    """Write a leaderboard's files and figures and the index of all. Raises BenchError where that cannot be done."""
    from benchmark.leaderboard import draw, write, write_index

    paths = write(board, root / "results", columns)
    figures = draw(board, root / "results")
    write_index(root / "results")
    if is_shown:
        teller(console)(f"written: {', '.join(map(str, paths))}; {len(figures)} figures in {figures[0].parent}")
