"""The command trial: one trial of a study, looked at closely. It trains nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import Root, Storage
from benchmark.cli.output import ShownFirst, echo_json, teller
from benchmark.cli.studies import open_named
from benchmark.errors import BenchError, UnknownNameError
from benchmark.parameters import differences

if TYPE_CHECKING:
    from benchmark.records import TrialRecord
    from benchmark.store import StudyStore
    from benchmark.trial_report import TrialReport


@app.command()
def trial(
    words: Annotated[
        list[str],
        typer.Argument(
            help="The study, by default the one used last in this folder, and the trial's number.",
            metavar="[STUDY] NUMBER",
        ),
    ],
    part: Annotated[
        str | None, typer.Option(help="The part of the study that trained it, as confirm; default: the search.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Show one trial: what became of it, its parameters, its cost, and how it trained, report by report.

    Writes its curves to results/STUDY/trial-NUMBER.png and .svg.

    Example: bench trial cifar10-cpu 12
    """
    from benchmark.trial_report import TrialReport, to_json

    study, number = study_and_number(words)
    # What is not JSON goes elsewhere, so that the output can be piped on.
    console = Console(stderr=as_json)
    store = open_named(study, root, storage, console, to_read=True)
    parts = store.parts()
    if part is not None and part not in parts:
        raise UnknownNameError(f"part of study {store.location.name!r}", part, parts)
    of = store if part is None else parts[part]
    name = store.location.name
    trial = of.trial(number)
    changes = _changes(store, trial.record)
    rows = store.fact("rows")
    trained = rows["train"] + (rows["val"] if trial.trained_on == "train+val" else 0)
    report = TrialReport(name, part or "", trial, trained, tuple(changes))
    with ShownFirst() as shown:
        figures = shown.attempt(lambda: _draw(report, root / "results" / name))
        if as_json:
            echo_json(to_json(report, [str(path) for path in figures or ()]))
            return
        _print(report, console)
    drawn = f"curves: {', '.join(map(str, figures))}" if figures else "no curve of it is stored, so none is drawn"
    teller(console)(drawn)


def study_and_number(words: list[str]) -> tuple[str | None, int]:
    """The study, where one is named, and the trial of `[STUDY] NUMBER`. Raises BenchError."""
    *study, number = words
    if len(study) > 1 or not (number.isascii() and number.isdigit()):
        raise BenchError(f"{' '.join(words)!r} names no trial; write: bench trial [STUDY] NUMBER")
    return (study[0] if study else None), int(number)


def _print(report: TrialReport, console: Console) -> None:
    from benchmark.trial_report import to_lines, to_table

    for line in to_lines(report):
        teller(console)(line)
    if report.trial.curve or report.trial.record.reports:
        console.print(to_table(report.trial))


def _changes(store: StudyStore, run: TrialRecord) -> list[str]:
    """In what a run is otherwise than the trial of the search that it confirms, where it confirms one."""
    if run.confirms is None:
        return []
    return differences(store.trial(run.confirms).record.parameters, run.parameters, run.family)


def _draw(report: TrialReport, folder: Path) -> list[Path]:
    """Write the trial's curves; no paths where it has none."""
    from benchmark.figures import save, trial_curves

    if not report.trial.curve:
        return []
    figure = trial_curves(report.trial, epoch_images=report.epoch_images, subject=report.subject)
    return save(figure, folder, report.file_name)
