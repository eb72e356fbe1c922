"""The command `bench`: parse, call one function, say where the result is. Knows no method and no storage format.

Heavy imports happen inside the commands, so that `bench --help` answers at once.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark import __version__
from benchmark.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmark.definition import StudySpec
    from benchmark.records import TrialRecord
    from benchmark.store import StudyLocation, StudyStore

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(no_args_is_help=True, help="Fetch and look at data sets.")
app.add_typer(data_app, name="data")


_INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM, as shells have it, so that `bench search && bench ensemble` stops there."""

Root = Annotated[Path, typer.Option("--root", help="Folder with studies/ and results/; made where missing.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="BENCH_STORAGE",
        help="Database URL instead of studies/NAME.db, e.g. postgresql://host/db; a password is best given by the"
        " variable.",
    ),
]
ArtifactsPlace = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        help="Where weights and checkpoints go: s3://bucket/prefix, or a folder; remembered by the study.",
    ),
]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; default: one per GPU, or one per CPU core.")
]
Timeout = Annotated[str | None, typer.Option(help="Stop after so long: 90s, 30m, 2h.")]
DataFolder = Annotated[
    Path | None, typer.Option("--data", help="A folder with a copy of the data set, in any of its published forms.")
]
StudyToSearch = Annotated[
    str | None, typer.Argument(help="The study; default: cifar10 with a GPU, cifar10-cpu without.", metavar="[STUDY]")
]
StudyToRead = Annotated[
    str | None, typer.Argument(help="The study; default: the one searched last in this folder.", metavar="[STUDY]")
]


def _version(value: bool) -> None:
    if value:
        typer.echo(f"ensemble-bench {__version__}")
        raise typer.Exit


@app.callback()
def bench(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; goes anywhere in the command.")
    ] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Search, ensemble and rank image classifiers.

    bench search --trials 100, then bench ensemble --top 5, then read results/.
    """


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
    from dataclasses import replace

    from benchmark.definition import load_study
    from benchmark.space import Space
    from benchmark.study import note_command, open_for_search, place_of_files, set_total
    from benchmark.training import check_libraries
    from benchmark.workers import devices

    if engine not in ("local", "ray"):
        raise UnknownNameError("engine", engine, ("local", "ray"))
    console = Console()
    check_libraries()
    found = devices()
    spec = load_study(study or _default_study(found, console), root)
    if seed is not None:
        spec = replace(spec, seed=seed)
    if sampler is not None:
        spec = replace(spec, search=replace(spec.search, sampler=sampler))
    total = trials or spec.search.trials
    seconds = None if timeout is None else seconds_of(timeout)
    Space(spec)
    store = open_for_search(spec, _location(spec.name, root, storage), data, _teller(console))
    if _done(store.trials()) >= total:
        console.print(f"The budget of {total} trials is spent. Raise it with --trials.")
        _say_what_next(console, store)
        return
    set_total(store, total)
    place_of_files(store, artifacts)
    note_command(store, _command())
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
    from benchmark.study import note_command, open_to_join, place_of_files
    from benchmark.training import check_libraries
    from benchmark.workers import devices

    console = Console()
    check_libraries()
    spec, store = open_to_join(_location(study, root, storage), data, _teller(console))
    place_of_files(store, artifacts)
    note_command(store, _command())
    seconds = None if timeout is None else seconds_of(timeout)
    _search_here(console, spec, store, devices(), workers, None, seconds, data)


@app.command()
def verify(
    study: StudyToRead = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Read everything again that a study stored, against its digests, and name what is damaged.

    Example: bench verify cifar10-cpu
    """
    from benchmark.study import place_of_files
    from benchmark.verify import verify as verify_study

    console = Console()
    store = _open(study, root, storage, console, to_read=True)
    place = place_of_files(store)
    # Studies of earlier versions do not have it, and kept no files either.
    spec = store.fact("spec") or {"search": {"keep_weights": 0}}
    found = verify_study(store, place, spec["search"]["keep_weights"])
    say = _teller(console)
    say(f"{found.complete} complete trials and their predictions, {found.files} files in {place.label}")
    if found.elsewhere:
        say(f"{found.elsewhere} files at places that this machine does not see were not read")
    if found.stray:
        say(f"unknown to the database, of no use: {', '.join(found.stray)}")
    for sentence in found.damage:
        say(f"damaged: {sentence}")
    if found.damage:
        raise BenchError(f"{len(found.damage)} damaged in {store}; restore them from a copy, or search on without them")
    say("everything is whole")


@app.command()
def ensemble(
    study: StudyToRead = None,
    top: Annotated[
        int | None, typer.Option(min=2, help="How many of the best models to combine; default: 5, or all there are.")
    ] = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Build ensembles of the best models from stored predictions, and write the leaderboard. Trains nothing.

    Example: bench ensemble cifar10-cpu --top 5
    """
    from benchmark.study import ensembles_of, note_command

    console = Console()
    store = _open(study, root, storage, console)
    ensembles_of(store, top)
    note_command(store, _command())
    _write_leaderboard(store, root, console, as_json=False)


@app.command()
def leaderboard(
    study: StudyToRead = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Rank single models and ensembles; prints, and writes results/NAME.md, .csv and .json.

    Example: bench leaderboard cifar10-cpu --json
    """
    console = Console()
    # What is not JSON goes elsewhere, so that the output can be piped on.
    store = _open(study, root, storage, Console(stderr=True) if as_json else console, to_read=True)
    _write_leaderboard(store, root, console, as_json)


@app.command()
def speed(
    study: StudyToSearch = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda:0, ...")] = "auto",
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds for each measurement.")] = 2.0,
    family: Annotated[list[str] | None, typer.Option(help="Only this family; may be given again.")] = None,
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Measure what one worker does on this machine: matrix products, batches, training, inference. Writes no file.

    Example: bench speed cifar10-cpu --family cnn --json
    """
    from benchmark.speed import device_named, measure_speed, to_json, to_rich
    from benchmark.training import check_libraries

    # What is not JSON goes elsewhere, so that the output can be piped on.
    console = Console(stderr=as_json)
    check_libraries()
    device = device_named(device)
    spec = _read_definition(study or _default_study([device], console), root)
    report = measure_speed(spec, device, data, families=family or (), seconds=seconds, say=_teller(console))
    if as_json:
        typer.echo(to_json(report))
    else:
        console.print(to_rich(report))


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
    _teller(Console())(f"wrote {path}; edit it, then: {shlex.join(['bench', 'search', name, *_where(root, None)])}")


@data_app.command("fetch")
def data_fetch(
    dataset: Annotated[str, typer.Argument(help="cifar10 or digits.")] = "cifar10",
    data: DataFolder = None,
) -> None:
    """Fetch a data set into the cache, checked against its checksum.

    Example: bench data fetch cifar10
    """
    from benchmark.datasets import DATASETS

    console = Console()
    found = DATASETS[dataset].build(data, _teller(console))
    console.print(f"{found.name}: {len(found.train):,} + {len(found.test):,} images, SHA-256 {found.fingerprint[:16]}")


@data_app.command("show")
def data_show(
    dataset: Annotated[str, typer.Argument(help="cifar10 or digits.")] = "cifar10",
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Show counts and channel statistics, and write a picture with sample images of every class.

    Example: bench data show cifar10
    """
    from benchmark.datasets import DATASETS
    from benchmark.explore import describe, sample_grid, to_table

    console = Console()
    found = DATASETS[dataset].build(data, _teller(console))
    console.print(to_table(describe(found)))
    path = root / "results" / "data" / f"{found.name}.png"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sample_grid(found).save(path)
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}; choose another folder with --root") from error
    _teller(console)(f"sample images: {path}")


def seconds_of(text: str) -> float:
    """Seconds that a duration such as 90, 90s, 30m or 1.5h stands for. Raises BenchError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if match is None or not 0 < float(match[1]) < math.inf:
        raise BenchError(f"{text!r} is not a duration; write 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def main() -> None:
    """Run the command; an error that the user can mend is one sentence and exit code 2, also below a traceback."""
    # Typed after the command just as well as before it: that is where the cursor is when an error has come.
    debug = "--debug" in sys.argv
    try:
        app([word for word in sys.argv[1:] if word != "--debug"])
    except Exception as error:
        reason = _in_words(error)
        if debug or reason is None:
            traceback.print_exc()
        if reason is None:
            sys.exit(1)
        Console(stderr=True).print(f"error: {reason}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


def _in_words(error: Exception) -> str | None:
    """What the user can do something about; None for an error of ours."""
    if isinstance(error, BenchError):
        return str(error)
    if "sqlalchemy" not in sys.modules:
        return None
    from benchmark.store import storage_trouble

    return storage_trouble(error)


def _default_study(devices: Sequence[str], console: Console) -> str:
    name = "cifar10-cpu" if devices[0] == "cpu" else "cifar10"
    console.print(f"no study named: taking {name}, the one for a {'CPU' if name != 'cifar10' else 'GPU'}")
    return name


def _read_definition(name: str, root: Path) -> StudySpec:
    """The study's definition, as the folder has it or else as it is shipped, without leaving a copy in the folder."""
    from benchmark.definition import load_study, shipped_studies, shipped_study

    if name in shipped_studies() and not (root / "studies" / f"{name}.toml").exists():
        return shipped_study(name)
    return load_study(name, root)


def _location(name: str, root: Path, storage: str | None) -> StudyLocation:
    from benchmark.definition import check_study_name
    from benchmark.store import StudyLocation

    return StudyLocation(check_study_name(name), root, storage)


def _open(study: str | None, root: Path, storage: str | None, console: Console, *, to_read: bool = False) -> StudyStore:
    """The study to read; where none is named, the one that was searched last in this folder.

    `to_read`: nothing will be written, so that its folder need not be writable.
    """
    from benchmark.definition import check_study_name, shipped_studies
    from benchmark.store import open_study

    databases = sorted((root / "studies").glob("*.db"), key=lambda path: path.stat().st_mtime)
    if study is None:
        if storage is not None or not databases:
            raise BenchError("name a study" if storage is not None else "no study here yet; run: bench search")
        study = databases[-1].stem
        if len(databases) > 1:
            console.print(f"no study named: taking {study}, the one searched last", soft_wrap=True)
    defined = {path.stem for path in (root / "studies").glob("*.toml")} | set(shipped_studies())
    if storage is None and check_study_name(study) not in defined | {path.stem for path in databases}:
        raise UnknownNameError("study", study, defined | {path.stem for path in databases})
    return open_study(_location(study, root, storage), to_read=to_read)


def _write_leaderboard(store: StudyStore, root: Path, console: Console, as_json: bool) -> None:
    from benchmark.leaderboard import to_json, to_rich, write
    from benchmark.study import leaderboard_of

    board = leaderboard_of(store)
    if as_json:
        typer.echo(to_json(board))
    else:
        console.print(to_rich(board))
    paths = write(board, root / "results")
    if not as_json:
        _teller(console)(f"written: {', '.join(map(str, paths))}")


def _search_here(
    console: Console,
    spec: StudySpec,
    store: StudyStore,
    found: Sequence[str],
    workers: int | None,
    total: int | None,
    timeout: float | None,
    data: Path | None,
) -> None:
    """Search with workers of this machine, and say how it ended; `total` None is the study's own."""
    from benchmark.display import SearchDisplay
    from benchmark.search import Search, SearchLimits
    from benchmark.space import Space
    from benchmark.study import place_of_files
    from benchmark.workers import worker_setups

    setups = worker_setups(found, workers, spec, data)
    before, wanted = store.trials(), total or int(store.fact("trials"))
    names = f"{len(setups)} worker{'s' if len(setups) > 1 else ''} on {', '.join(found)}"
    console.print(f"study {spec.name}: {_done(before)} of {wanted} trials done; {names}", soft_wrap=True)
    with SearchDisplay(console, spec.name, before, wanted, timeout) as display:
        end = Search(store, Space(spec), setups, place_of_files(store), display).run(SearchLimits(total, timeout))
    _say_how_it_ended(console, end.why, store)
    if end.why == "interrupted":
        raise typer.Exit(_INTERRUPTED)


def _search_on_ray(
    console: Console, store: StudyStore, total: int, workers: int | None, timeout: float | None, data: Path | None
) -> None:
    """Search with workers as tasks of a Ray cluster, and say how it ended."""
    from benchmark.display import SearchDisplay
    from benchmark.ray_engine import search_on_ray

    if store.location.storage is None:
        raise BenchError("--engine ray needs a database that every node reaches: --storage postgresql://host/db")
    with SearchDisplay(console, store.location.name, store.trials(), total, timeout) as display:
        why = search_on_ray(store, total, workers, timeout, data, display, _teller(console))
    _say_how_it_ended(console, why, store)
    if why == "interrupted":
        raise typer.Exit(_INTERRUPTED)


def _done(trials: Sequence[TrialRecord]) -> int:
    """Trials that count towards the budget and have ended."""
    return sum(trial.state in ("complete", "pruned") for trial in trials)


def _teller(console: Console) -> Callable[[str], None]:
    """Prints plain text: a path with brackets in it is no markup, and is not broken over lines."""

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, highlight=False)

    return say


def _say_how_it_ended(console: Console, why: str, store: StudyStore) -> None:
    say = _teller(console)
    trials = store.trials()
    counts = Counter(str(trial.state) for trial in trials)
    first = {"spent": "done", "timeout": "the time is up", "interrupted": "interrupted"}[why]
    say(f"{first}: " + ", ".join(f"{counts[state]} {state}" for state in ("complete", "pruned", "failed")))
    say(f"trials: {store}")
    if counts["running"]:
        say(f"{counts['running']} still run in other processes")
    if why != "spent":
        say("to go on: the same command again")
    _say_what_next(console, store)


def _say_what_next(console: Console, store: StudyStore) -> None:
    """The next command, whole: it names the folder and the database where they are not the usual ones."""
    complete = sum(trial.state == "complete" for trial in store.trials())
    if complete < 2:
        return
    at = store.location
    words = ["bench", "ensemble", at.name, "--top", str(min(5, complete)), *_where(at.root, at.storage)]
    _teller(console)(f"next: {shlex.join(words)}")


def _where(root: Path, storage: str | None) -> list[str]:
    """The options that lead to a study again; none for the usual places, and never a password."""
    from benchmark.store import visible_url

    options = [] if root == Path() else ["--root", str(root)]
    return options if storage is None else [*options, "--storage", visible_url(storage)]


def _command() -> str:
    """The command as it was typed; a database password is left out."""
    from benchmark.store import visible_url

    words = []
    for word in sys.argv[1:]:
        option, is_option, value = word.partition("=") if word.startswith("--") else ("", "", word)
        words.append(option + is_option + (visible_url(value) if "://" in value else value))
    return shlex.join(["bench", *words])


if __name__ == "__main__":
    main()
