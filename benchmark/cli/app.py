"""The command `bench` itself: its options, and errors in words. Its commands are registered by the modules beside."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from benchmark import __version__
from benchmark.errors import BenchError

_GPU_IS_FULL = re.compile("CUDA (error: )?out of memory")
_SECRETS = re.compile(r":/+[^:/]*:(?P<password>.+)@|[?&](?:ssl)?password=(?P<option>[^&]+)")
"""The password in a URL, perhaps one with an @ too many or as a path."""

_OF_A_DISK = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EIO))
"""Errors of writing, which may not say what was written."""
_OF_A_FILE = _OF_A_DISK | {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors of a file or folder that is not as a program needs it; one that is merely missing may be our own fault."""


class _Discreet(TyperGroup):
    """The command; what it says of wrong words does not repeat a password, as of a URL without its `--storage`."""

    def make_context(self, *given: Any, **options: Any) -> Any:
        with _told_without_passwords():
            return super().make_context(*given, **options)

    def invoke(self, ctx: Any) -> Any:
        with _told_without_passwords():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Discreet,
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
    atexit.register(_leave_garbage)
    _print_what_can_be_printed()
    try:
        app([word for word in sys.argv[1:] if word != "--debug"])
    except Exception as error:
        reason = _in_words(error)
        if debug or reason is None:
            sys.stderr.write(_without_passwords(traceback.format_exc()))
        if reason is None:
            sys.exit(1)
        told = _without_passwords(f"error: {reason}")
        Console(stderr=True).print(told, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)


def _print_what_can_be_printed() -> None:
    """Have what the output's encoding lacks, as arrows, come out as question marks, and not as an error.

    JSON is UTF-8 whatever the encoding, see output.echo_json; messages of errors show what they lack by its number.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower().replace("-", "") != "utf8":
        sys.stdout.reconfigure(errors="replace")


def _leave_garbage() -> None:
    """Have Python not look for garbage as the process ends, among all that torch has made: it takes a second."""
    # Triton complains of what is left.
    if "triton" not in sys.modules:
        gc.freeze()


def _in_words(error: Exception) -> str | None:
    """What the user can do something about; None for an error of ours."""
    if isinstance(error, BenchError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (_OF_A_FILE if error.filename else _OF_A_DISK):
        return f"cannot use {error.filename or 'a file'}: {error.strerror}"
    if isinstance(error, RuntimeError) and _GPU_IS_FULL.search(str(error)):
        return "the GPU's memory is too short for this, beside what other programs have of it; try --device cpu"
    if "sqlalchemy" not in sys.modules:
        return None
    from benchmark.store import storage_trouble

    return storage_trouble(error)


@contextmanager
def _told_without_passwords() -> Iterator[None]:
    """Wrong words are an error that is shown as its `message`."""
    try:
        yield
    except Exception as error:
        if isinstance(message := getattr(error, "message", None), str):
            error.message = _without_passwords(message)  # type: ignore[attr-defined]
        raise


def _without_passwords(text: str) -> str:
    """The text without the passwords of URLs that are among the command's words."""
    for word in sys.argv[1:]:
        for found in _SECRETS.finditer(word):
            for secret in filter(None, (found["password"], found["option"])):
                for form in (secret, repr(secret)[1:-1]):
                    text = text.replace(f":{form}@", ":***@").replace(f"={form}", "=***")
    return text
