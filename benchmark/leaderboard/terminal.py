"""A leaderboard for a terminal, as a rich renderable; ranks and scores nothing, prints nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from benchmark.columns import Column, Section, columns_of
from benchmark.leaderboard.across import FEWEST_STUDIES, Across
from benchmark.leaderboard.board import Leaderboard, spent_in_words
from benchmark.wording import percent

GIVEN_UP = ("kind", "members", "inference_ms", "parameters", "log_loss_calibrated", "difference", "group")
"""Columns that a narrow terminal does without, the first to go first; a file has them all."""


@dataclass(frozen=True, eq=False)
class TerminalBoard:
    """The short table, as many of its columns as the terminal has room for, and notes on how to read it."""

    board: Leaderboard
    columns: Sequence[Column]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(self.columns)
        for key in GIVEN_UP:
            if (
                Measurement.get(console, options.update(max_width=1000), self._table(columns)).maximum
                <= options.max_width
            ):
                break
            columns = [column for column in columns if column.key != key]
        yield self._table(columns)
        yield from self._notes()

    def _table(self, columns: Sequence[Column]) -> Table:
        origin = self.board.origin
        # Names are data: Text keeps rich from reading "[...]" in them as markup.
        title = Text(f"{origin.study} on {origin.dataset}", style="bold")
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
        table.add_column("#", justify="right", style="dim")
        for column in columns:
            table.add_column(
                Text(column.heading("\n")), justify="right" if column.is_number else "left", no_wrap=column.is_number
            )
        for rank, row in enumerate(self.board.rows, start=1):
            cells = [Text(column.text(row)) for column in columns]
            is_winner = row.entrant.name == self.board.winner.name
            table.add_row(str(rank), *cells, style="bold green" if is_winner else None)
        return table

    def _notes(self) -> list[Text]:
        summary, origin = self.board.summary, self.board.origin
        return [
            Text(
                f"Rows are in the order of validation ({origin.val_rows:,} images); test ({origin.test_rows:,} images) "
                f"decides nothing.\nInterval: {self.board.interval}. Higher is better, lower where ↓ says so.",
                style="dim",
            ),
            Text(
                f"{spent_in_words(self.board)}, on {', '.join(summary.devices) or origin.device}.",
                style="dim",
            ),
            *(
                Text(f"{number} failed: {reason}", style="yellow")
                for one in (summary, self.board.confirming)
                if one is not None
                for reason, number in one.failures
            ),
            *self._advice(),
        ]

    def _advice(self) -> list[Text]:
        found = self.board.recommendation
        if found is None:
            return []
        smallest = ""
        if found.smallest != found.name:
            smallest = f"; the smallest that validation does not tell from it: {found.smallest}"
        elif len(self.board.recommended.entrant.members) > 1:
            smallest = "; validation tells all smaller ones from it"
        caution = [Text(found.caution, style="yellow")] if found.caution else []
        return [*caution, Text(f"Recommended{found.among}: {found.name}{smallest}.", style="bold")]


def to_rich(board: Leaderboard, columns: Sequence[Column] = ()) -> TerminalBoard:
    """What `Console.print` shows of a board; `columns` where they are not those of the short table."""
    return TerminalBoard(board, columns or columns_of(Section.SHORT))


def across_to_rich(across: Across) -> Table:
    """What `Console.print` shows of several studies: mean rank, from three of them on win rate, test accuracy in %."""
    table = Table(box=box.SIMPLE_HEAD, title=Text("side by side", style="bold"), title_justify="left", pad_edge=False)
    table.add_column("Entrant")
    wins = ["Wins\n%"] if len(across.studies) >= FEWEST_STUDIES else []
    for heading in ("Mean\nrank ↓", *wins, *across.studies):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    rates = [*across.win_rates, *[math.nan] * (len(across.labels) - len(across.wins))]
    for label, rank, rate, values in zip(across.labels, across.mean_rank, rates, across.accuracy, strict=True):
        cells = ["–" if math.isnan(value) else percent(value) for value in values.tolist()]
        if wins:
            cells = ["–" if math.isnan(rate) else f"{100 * rate:.0f}", *cells]
        table.add_row(Text(label), "–" if rank is None else f"{rank:.2f}", *cells)
    return table
