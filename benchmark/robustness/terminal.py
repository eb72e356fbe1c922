"""A report on corrupted images for a terminal, as rich renderables; scores nothing, prints nothing."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.corruptions import SEVERITIES
from benchmark.robustness.report import HEADINGS, CorruptionReport, severity_cells, summary_cells


def to_rich(report: CorruptionReport) -> Group:
    """What `Console.print` shows: a table for each entrant, then one of all of them, and whose images they were."""
    parts: list[Table | Text] = []
    for scores in report.scores:
        whole = _table(f"{scores.entrant}: accuracy in %, by severity")
        for heading in ("Corruption", *map(str, SEVERITIES), "Mean"):
            whole.add_column(heading, justify="left" if heading == "Corruption" else "right")
        *rows, mean = severity_cells(report.corruptions, scores)
        for row in rows:
            whole.add_row(*row)
        whole.add_section()
        whole.add_row(*mean)
        parts.append(whole)
    summary = _table(f"{report.origin.study}: {len(report.corruptions)} corruptions x {len(SEVERITIES)} severities")
    for number, heading in enumerate(HEADINGS):
        summary.add_column(Text(heading), justify="right" if number else "left")
    for scores in report.scores:
        summary.add_row(*map(Text, summary_cells(scores)))
    origin = report.origin
    note = (
        f"{origin.rows:,} of {origin.test_rows:,} test images, {origin.source}.\nThe mean corruption error is relative "
        f"to {report.reference}, the best single model by validation. Test reports, and decides nothing."
    )
    return Group(*parts, summary, Text(note, style="dim"))


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=Text(title, style="bold"), title_justify="left", pad_edge=False)
