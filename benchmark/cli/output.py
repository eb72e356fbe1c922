"""What commands print in common, and the words of a command; prints no result of its own."""

from __future__ import annotations

import shlex
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer
from rich.console import Console

from benchmark.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmark.store import StudyStore

Written = TypeVar("Written")


class ShownFirst:
    """Keeps what went wrong until the rest is shown: a folder that may only be read shows its study too.

    The first such error is raised where the `with` block ends.
    """

    def __init__(self) -> None:
        self._error: BenchError | None = None

    def attempt(self, write: Callable[[], Written]) -> Written | None:
        """What `write` returns; None where it raised BenchError."""
        try:
            return write()
        except BenchError as error:
            self.keep(error)
            return None

    def keep(self, error: BenchError) -> None:
        """Have the error raised at the end, unless there is one already."""
        self._error = self._error or error

    def __enter__(self) -> ShownFirst:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None and self._error is not None:
            raise self._error


def echo_json(text: str) -> None:
    """Print JSON as UTF-8, whatever the output's encoding: it is for programs, and names are to stay what they are."""
    told = text.removesuffix("\n")
    # What stands in for an output in another program may take text alone.
    typer.echo(told.encode() if hasattr(sys.stdout, "buffer") else told)


def teller(console: Console) -> Callable[[str], None]:
    """Prints plain text: a path with brackets in it is no markup, and is not broken over lines."""

    def say(text: str) -> None:
        console.print(text, soft_wrap=True, markup=False, emoji=False, highlight=False)

    return say


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """Shows how far `total` steps of work are, and the time left; call it after each with the name of its stage.

    A bar on a terminal; elsewhere a line whenever a stage begins.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from benchmark.wording import duration

    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("starting", total=total)
            yield lambda stage: bar.update(task, advance=1, description=stage)
        return
    began, steps, last = time.monotonic(), 0, ""

    def tell(stage: str) -> None:
        nonlocal steps, last
        steps += 1
        if stage != last:
            left = (time.monotonic() - began) * (total - steps) / steps
            teller(console)(f"{stage}: {steps:,} of {total:,}, about {duration(left)} left")
        last = stage

    yield tell


def say_what_next(console: Console, store: StudyStore) -> None:
    """The next command, whole: it names the folder and the database where they are not the usual ones."""
    from benchmark.records import count_complete

    models = count_complete(store.trials())
    if models < 2:
        return
    at = store.location
    # A part tells nothing of how many models the search has.
    top = [] if at.part else ["--top", str(min(5, models))]
    words = ["bench", "ensemble", at.name, *top, *where(at.root, at.storage)]
    teller(console)(f"next: {shlex.join(words)}")


def where(root: Path, storage: str | None) -> list[str]:
    """The options that lead to a study again; none for the usual places, and never a password."""
    from benchmark.store import visible_url

    options = [] if root == Path() else ["--root", str(root)]
    return options if storage is None else [*options, "--storage", visible_url(storage)]


def command() -> str:
    """The command as it was typed; a database password is left out."""
    from benchmark.store import visible_url

    words = []
    for word in sys.argv[1:]:
        option, is_option, value = word.partition("=") if word.startswith("--") else ("", "", word)
        words.append(option + is_option + (visible_url(value) if "://" in value else value))
    return shlex.join(["bench", *words])
