"""What a user sees of a running search: a live table on a terminal, plain lines elsewhere; changes nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from benchmark.records import ProgressRecord, TrialRecord, TrialState, count_done
from benchmark.wording import duration, plural

_RECENT = 6
"""Ended trials that the live display shows."""


@dataclass(eq=False)
class _Running:
    number: int
    family: str
    since: float
    step: int = 0
    reports: int = 0
    score: float | None = None
    images_per_second: float = 0.0


class SearchDisplay(AbstractContextManager["SearchDisplay"]):
    """Follows a search (see search.SearchObserver) and shows it on a console.

    `elsewhere`: its workers are those of other processes, of which only the study's standing is told.
    """

    def __init__(
        self,
        console: Console,
        study: str,
        before: list[TrialRecord],
        total: int,
        timeout: float | None,
        *,
        elsewhere: bool = False,
    ):
        self._console = console
        self._study = study
        self._total = total
        self._began = time.monotonic()
        self._timeout = timeout
        self._elsewhere = elsewhere
        self._trials: Sequence[TrialRecord] = before
        self._done_before = count_done(before)
        self._told_ends = sum(trial.state is not TrialState.RUNNING for trial in before)
        self._ended_here = 0
        self._is_waiting = False
        self._running: dict[int, _Running] = {}
        self._recent: list[Text] = []
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def started(self, number: int, family: str, is_default: bool, continues: int | None) -> None:
        """A trial was claimed."""
        label = f"{family} (default)" if is_default else family
        if continues is not None:
            label += f", continues {continues}"
        self._running[number] = _Running(number, label, time.monotonic())
        if self._live is None:
            self._console.print(f"trial {number:>4}  started   {label}", soft_wrap=True, style="dim", highlight=False)

    def reported(self, number: int, reports: int, record: ProgressRecord) -> None:
        """A running trial reported."""
        running = self._running[number]
        running.step, running.reports, running.score = record.step, reports, record.val_accuracy
        running.images_per_second = record.images_per_second
        self.tick()

    def noted(self, number: int, what: str) -> None:
        """Something happened to a running trial."""
        self._say(Text(f"trial {number:>4}  {what}", "yellow"))

    def ended(self, number: int, state: TrialState, score: float | None, reason: str | None) -> None:
        """A trial ended."""
        running = self._running.pop(number)
        self._ended_here += state is not TrialState.FAILED
        seconds = time.monotonic() - running.since
        line = Text(f"trial {number:>4}  {state:<8}  {running.family:<22}  {_percent(score)}  {seconds:6.1f} s")
        if reason:
            line.append(f"  {reason}", "red")
        elif state is TrialState.COMPLETE:
            line.append(f"  {running.images_per_second:,.0f} images/s", "dim")
        self._say(line)

    def standing(self, trials: Sequence[TrialRecord], total: int) -> None:
        """All trials, of other processes too."""
        ended = [trial.state for trial in trials if trial.state is not TrialState.RUNNING]
        has_changed = len(ended) > self._told_ends
        self._total, self._trials, self._told_ends = total, trials, len(ended)
        if self._live is None and has_changed:
            self._console.print(f"            {self._summary()}", soft_wrap=True, style="dim")
        self.tick()

    def without(self, reason: str, left: int) -> None:
        """A worker does not start."""
        self._say(Text(f"{reason}; going on with {plural(left, 'worker')}", "yellow"))

    def waiting(self) -> None:
        """Every place is taken by other processes."""
        if not self._is_waiting:
            self._is_waiting = True
            self._say(Text("every place is taken: waiting for trials of other processes to end", "dim"))

    def _say(self, line: Text) -> None:
        if self._live is None:
            self._console.print(line, soft_wrap=True)
        else:
            self._recent = [*self._recent, line][-_RECENT:]
            self.tick()

    def tick(self) -> None:
        """Refresh the live display."""
        if self._live is not None:
            self._live.update(
                Group(Text(f"study {self._study}: {self._summary()}", "bold"), *self._recent, self._table())
            )

    def _summary(self) -> str:
        states = Counter(trial.state for trial in self._trials)
        done = count_done(self._trials)
        text = (
            f"{done}/{self._total} trials ({states[TrialState.COMPLETE]} complete, "
            f"{states[TrialState.PRUNED]} pruned, {states[TrialState.FAILED]} failed)"
        )
        complete = [trial for trial in self._trials if trial.val_accuracy is not None]
        if complete:
            best = max(complete, key=lambda trial: trial.val_accuracy or 0.0)
            label = f"{best.family} (default)" if best.is_default else best.family
            text += f"; best {_percent(best.val_accuracy).strip()} ({label}, trial {best.number})"
        left = self._seconds_left(done)
        return text if left is None else f"{text}; about {duration(left)} left"

    def _seconds_left(self, done: int) -> float | None:
        elapsed = time.monotonic() - self._began
        limits = []
        if done > self._done_before:
            limits.append(max(0, self._total - done) * elapsed / (done - self._done_before))
        if self._timeout is not None:
            limits.append(max(0.0, self._timeout - elapsed))
        return min(limits, default=None)

    def _table(self) -> Table | Text:
        if not self._running:
            at_work = sum(trial.state is TrialState.RUNNING for trial in self._trials)
            if self._elsewhere and at_work:
                return Text(f"{plural(at_work, 'trial')} at work in other processes", "dim")
            return Text("starting workers" if not self._ended_here else "waiting for workers", "dim")
        table = Table(box=None, pad_edge=False)
        for heading in ("running", "family", "report", "val accuracy", "images/s", "seconds"):
            table.add_column(heading, justify="left" if heading == "family" else "right")
        for running in self._running.values():
            table.add_row(
                str(running.number),
                running.family,
                f"{running.step}/{running.reports}" if running.reports else "starting",
                _percent(running.score),
                f"{running.images_per_second:,.0f}" if running.step else "",
                f"{time.monotonic() - running.since:.0f}",
            )
        return table


def _percent(score: float | None) -> str:
    return "       " if score is None else f"{100 * score:5.2f} %"
