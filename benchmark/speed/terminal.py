"""A report of speed for a terminal, as a rich renderable; measures nothing, prints nothing."""

from __future__ import annotations

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from benchmark.speed.report import Rate, SpeedReport
from benchmark.wording import count, plural, significant


def to_rich(report: SpeedReport) -> Group:
    """The report for a terminal: a row per family, and notes on how to read it."""
    # Names are data: Text keeps rich from reading "[...]" in them as markup.
    title = Text(f"{report.study} on {report.dataset}", style="bold")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    table.add_column("family\n", no_wrap=True)
    for heading in ("params\nMACs", "batch\nprecision", "data\nimages/s", "training\nimages/s", "inference\nimages/s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("of peak\ntrain, infer", justify="right", no_wrap=True)
    for row in report.families:
        table.add_row(
            Text(row.family),
            f"{count(row.parameters)}\n{count(row.macs)}",
            f"{row.batch_size}\n{row.precision}",
            _rate_cell(row.data_images_per_second),
            _rate_cell(row.training_images_per_second),
            _rate_cell(row.inference_images_per_second),
            f"{100 * row.training_share_of_peak:.1f} %\n{100 * row.inference_share_of_peak:.1f} %",
        )
    return Group(table, *(Text(note, style="dim") for note in _notes(report)))


def _rate_cell(rate: Rate) -> str:
    low, high = (100 * (value / rate.median - 1) for value in (rate.low, rate.high))
    return f"{significant(rate.median)}\n{low:+.0f}…{high:+.0f} %"


def _notes(report: SpeedReport) -> list[str]:
    threads = plural(report.threads, "thread")
    worker = "the one worker" if report.workers == 1 else f"one worker of {report.workers}"
    peaks = "; ".join(
        f"{significant(peak.peak_tflops)} TFLOP/s {peak.precision} (median {significant(peak.median_tflops)}, "
        f"{peak.size} × {peak.size})"
        for peak in report.peaks
    )
    data = "; ".join(f"{row.family} {', '.join(row.augmentations) or 'as they are'}" for row in report.families)
    repeats = report.families[0].training_images_per_second.repeats
    return [
        f"Measured: {worker} that a search starts here, alone; {report.device}, {threads}, "
        f"torch {report.versions['torch']}.",
        f"Peak, the best matrix product: {peaks}; float32 as convolutions compute it, TF32 on a GPU that has it.",
        f"Rates are medians of {repeats} repeats, below them the lowest and highest. Of peak: 2 "
        "operations per MAC, three forward passes per training image.",
        f"Data is batches alone, with augmentations: {data}.",
    ]
