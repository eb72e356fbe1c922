"""What goes into a search and what is told about it: plain values and one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from benchmark.records import ProgressRecord, TrialRecord, TrialState

Ending = Literal["spent", "timeout", "interrupted"]
"""Why a search ended: all its trials are done, its time is over, or a signal to end came (Ctrl-C, SIGTERM, SIGHUP)."""


class SearchObserver(Protocol):
    """Is told what a search does, in order."""

    def started(self, number: int, family: str, is_default: bool, continues: int | None) -> None:
        """A trial was claimed and given to a worker; `continues` is the interrupted one that it goes on with."""

    def reported(self, number: int, reports: int, record: ProgressRecord) -> None:
        """A running trial reported."""

    def noted(self, number: int, what: str) -> None:
        """Something worth telling happened to a running trial."""

    def ended(self, number: int, state: TrialState, score: float | None, reason: str | None) -> None:
        """A trial ended; score is its last validation accuracy in [0, 1], if any."""

    def standing(self, trials: Sequence[TrialRecord], total: int) -> None:
        """All trials of the study, of other processes too, and how many are wanted; told after every end."""

    def without(self, reason: str, left: int) -> None:
        """A worker does not start, and the search goes on with the other ones, of which `left` are left."""

    def waiting(self) -> None:
        """Every place is taken by trials of other processes; one is free again where one of them fails."""

    def tick(self) -> None:
        """Called at least twice a second."""


@dataclass(frozen=True)
class SearchLimits:
    """When to stop: `trials` in total in the study, `timeout` seconds from now (None is no limit)."""

    trials: int | None = None
    """None is the number that the study has stored, read anew before every trial."""
    timeout: float | None = None
    first_within: float = 0.0
    """Seconds from now that it goes on for, past `timeout`, while this process has completed no trial; after that one
    the others have half as long again."""
