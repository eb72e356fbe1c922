"""Errors that reach the user as one plain sentence and exit code 2; knows no other module."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Something the user can put right; the message says what and how."""


class UnknownNameError(BenchError):
    """A name that is not in a closed set; the message gives the nearest right one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        choices = sorted(known)
        near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(choices) or 'none'}."
        super().__init__(f"unknown {kind} {name!r}; {hint}")


class SealedTestError(BenchError):
    """Something that decides was handed test data (rule: VAL decides, TEST reports)."""


class UnreachableError(BenchError):
    """A database server that does not answer now, as while it restarts."""


class MissingStudyError(BenchError):
    """A study that its database does not hold."""
