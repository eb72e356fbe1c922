"""The command `bench` itself: its options, and errors in words. Its commands are registered by the modules beside."""

from __future__ import annotations

import sys
import traceback
from typing import Annotated

import typer
from rich.console import Console

from benchmark import __version__
from benchmark.errors import BenchError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
