"""Commands that run trials: search, worker, confirm, run; and init, which comes before."""

from __future__ import annotations

import shlex
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import (
    ArtifactsPlace,
    DataFolder,
    Root,
    Storage,
    StudyToRead,
    StudyToSearch,
    Timeout,
    Workers,
    seconds_of,
)
from benchmark.cli.output import command, say_what_next, teller, where
from benchmark.cli.studies import default_study, location, open_named, read_definition
from benchmark.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmark.definition import StudySpec
    from benchmark.records import RunPlan
    from benchmark.search import Ending
    from benchmark.store import StudyStore

_INTERRUPTED = 130
"""Exit code after a signal to end (Ctrl-C, SIGTERM, SIGHUP), so that `bench search && bench ensemble` stops there."""


@app.command()
def search(
    study: StudyToSearch = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Trials in total in the study, not additional ones.")
    ] = None,
    timeout: Timeout = None,
    workers: Workers = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed instead of the definition's, for a new study.")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, random, gp or cmaes, for a new study.")] = None,
    engine: Annotated[str, typer.Option(help="local: this machine; ray: a Ray cluster, with --storage.")] = "local",
    storage: Storage = None,
    artifacts: ArtifactsPlace = None,
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Search architectures and hyperparameters; the same command again continues.

    Example: bench search cifar10-cpu --trials 100 --timeout 30m
    """
    if engine == "local":
        _warm_up()
    from dataclasses import replace

    from benchmark.definition import load_study
    from benchmark.records import count_done
    from benchmark.study import note_command, open_for_search, place_of_files, set_total

    if engine not in ("local", "ray"):
        raise UnknownNameError("engine", engine, ("local", "ray"))
    console = Console()
    found = _devices()
    spec = load_study(study or default_study(found, console), root)
    if seed is not None:
        spec = replace(spec, seed=seed)
    if sampler is not None:
        spec = replace(spec, search=replace(spec.search, sampler=sampler))
    total = trials or spec.search.trials
    seconds = None if timeout is None else seconds_of(timeout)
    store = open_for_search(spec, location(spec.name, root, storage), data, teller(console))
    if count_done(store.trials()) >= total:
        console.print(f"The budget of {total} trials is spent. Raise it with --trials.")
        say_what_next(console, store)
        return
    set_total(store, total)
    place_of_files(store, artifacts)
    note_command(store, command())
    if engine == "ray":
        _search_on_ray(console, store, total, workers, seconds, data)
    else:
        _search_here(console, spec, store, found, workers, total, seconds, data)


@app.command()
def worker(
    study: Annotated[str, typer.Argument(help="The study.")],
    timeout: Timeout = None,
    workers: Workers = None,
    storage: Storage = None,
    artifacts: ArtifactsPlace = None,
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Join the search of a study from this machine, until its trials are done.

    The definition and the number of trials are the database's; where it has no such study yet, the worker begins it.

    Example: bench worker cifar10 --storage postgresql://host/db
    """
    _warm_up()
    from benchmark.study import note_command, open_to_join, place_of_files

    console = Console()
    found = _devices()
    spec, store = open_to_join(location(study, root, storage), data, teller(console))
    place_of_files(store, artifacts)
    note_command(store, command())
    seconds = None if timeout is None else seconds_of(timeout)
    _search_here(console, spec, store, found, workers, None, seconds, data)


@app.command()
def confirm(
    study: StudyToRead = None,
    top: Annotated[int, typer.Option(min=1, help="How many of the best single models, by validation.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each, with seeds of their own.")] = 3,
    epochs: Annotated[
        float | None,
        typer.Option(min=0, help="Passes over the training rows; default: as many images as in the search."),
    ] = None,
    train_on: Annotated[
        str,
        typer.Option(
            help="train, or train+val: the validation rows too; then validation scores and votes stay those of before."
        ),
    ] = "train",
    timeout: Timeout = None,
    workers: Workers = None,
    storage: Storage = None,
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Train the best models of a study again with other seeds; the same command again continues.

    They have rows of their own on the leaderboard, and bench ensemble combines them as well.

    Example: bench confirm cifar10-cpu --top 5 --seeds 3
    """
    _warm_up()
    from benchmark.confirmation import ConfirmSpec
    from benchmark.study import note_command, open_to_confirm

    console = Console()
    found = _devices()
    asked = ConfirmSpec(top, seeds, epochs=epochs, train_on=train_on)
    seconds = None if timeout is None else seconds_of(timeout)
    store = open_named(study, root, storage, console)
    spec, part, plan = open_to_confirm(store, asked, data, teller(console))
    note_command(store, command())
    if plan.trains_on_val:
        teller(console)("validation rows train too: accuracies on the way are of rows that were trained on")
    _search_here(console, spec, part, found, workers, None, seconds, data, plan)


@app.command()
def run(
    study: StudyToSearch = None,
    timeout: Annotated[str, typer.Option(help="The deadline: 90s, 10m, 2h from now.")] = "10m",
    workers: Workers = None,
    data: DataFolder = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Do it all under one deadline: search, long runs of the best, ensembles, leaderboard.

    It searches a study of its own, STUDY-in-600-s, since its trials have another budget than those of bench search.
    After Ctrl-C the same command finishes long runs that were cut off; otherwise it searches on.

    Example: bench run cifar10-cpu --timeout 10m
    """
    began = time.monotonic()
    _warm_up()
    from benchmark.cli.reading import write_leaderboard
    from benchmark.deadline import run_until, within_deadline
    from benchmark.display import SearchDisplay
    from benchmark.records import count_complete
    from benchmark.study import ensembles_of
    from benchmark.workers import worker_setups

    console, seconds = Console(), seconds_of(timeout)
    found = _devices()
    spec = within_deadline(read_definition(study or default_study(found, console), root), seconds)
    setups = worker_setups(found, workers, spec, data)
    say = teller(console)
    say(f"study {spec.name}: {seconds:g} s, trials of {spec.budget.seconds:g} s at first; {len(setups)} workers")

    def observed(part: StudyStore, total: int, left: float) -> SearchDisplay:
        return SearchDisplay(console, part.location.key, part.trials(), total, left)

    store, why = run_until(
        spec, location(spec.name, root, storage), setups, seconds, data, observed, say, command(), began
    )
    if why == "interrupted":
        say("interrupted; the same command again goes on")
        raise typer.Exit(_INTERRUPTED)
    if not (searched := count_complete(store.trials())):
        failed = [trial for trial in store.trials() if trial.reason is not None and not trial.interrupted]
        if failed:
            raise BenchError(
                f"no trial was complete within {seconds:g} s; {len(failed)} failed, the last with: "
                f"{failed[-1].reason}; where that is no reason, give it longer: --timeout"
            )
        raise BenchError(f"no trial was complete within {seconds:g} s; give it longer: --timeout")
    if searched > 1 or any(count_complete(part.trials()) for part in store.parts().values()):
        try:
            ensembles_of(store, say=say)
        except BenchError as error:
            # As where another process searches on: models alone make a leaderboard too.
            say(f"no ensembles: {error}")
    write_leaderboard(store, root, console)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="Name of the new study.")],
    root: Root = Path(),
) -> None:
    """Write a commented study definition, studies/NAME.toml, to be edited.

    Example: bench init my-study
    """
    from benchmark.definition import write_template

    path = write_template(name, root)
    teller(Console())(f"wrote {path}; edit it, then: {shlex.join(['bench', 'search', name, *where(root, None)])}")


def _warm_up() -> None:
    """Have what workers import begin to be imported: called first of all, since the command's imports take as long."""
    from benchmark.workers import warm_up

    warm_up()


def _devices() -> list[str]:
    """The devices to train on. Raises BenchError where torch and torchvision do not fit each other."""
    from benchmark.training import check_libraries
    from benchmark.workers import devices

    check_libraries()
    return devices()


def _search_here(
    console: Console,
    spec: StudySpec,
    store: StudyStore,
    found: Sequence[str],
    workers: int | None,
    total: int | None,
    timeout: float | None,
    data: Path | None,
    plan: RunPlan | None = None,
) -> None:
    """Search, or train what was planned, with workers of this machine; `total` None is the study's own."""
    from benchmark.local import search_here

    why = search_here(spec, store, found, console, workers=workers, total=total, timeout=timeout, data=data, plan=plan)
    _say_how_it_ended(console, why, store)


def _search_on_ray(
    console: Console, store: StudyStore, total: int, workers: int | None, timeout: float | None, data: Path | None
) -> None:
    """Search with workers as tasks of a Ray cluster, and say how it ended."""
    from benchmark.display import SearchDisplay
    from benchmark.ray_engine import search_on_ray

    if store.location.storage is None:
        raise BenchError("--engine ray needs a database that every node reaches: --storage postgresql://host/db")
    with SearchDisplay(console, store.location.name, store.trials(), total, timeout, elsewhere=True) as display:
        why = search_on_ray(store, total, workers, timeout, data, display, teller(console))
    _say_how_it_ended(console, why, store)


def _say_how_it_ended(console: Console, why: Ending, store: StudyStore) -> None:
    """Tell it, and what to do next. Raises typer.Exit where it was interrupted."""
    say = teller(console)
    trials = store.trials()
    counts = Counter(str(trial.state) for trial in trials)
    first = {"spent": "done", "timeout": "the time is up", "interrupted": "interrupted"}[why]
    say(f"{first}: " + ", ".join(f"{counts[state]} {state}" for state in ("complete", "pruned", "failed")))
    say(f"trials: {store}")
    if counts["running"]:
        say(f"{counts['running']} still run in other processes")
    if why != "spent":
        say("to go on: the same command again")
    say_what_next(console, store)
    if why == "interrupted":
        raise typer.Exit(_INTERRUPTED)
