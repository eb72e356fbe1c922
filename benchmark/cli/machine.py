"""The command that measures this machine: speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, StudyToSearch
from benchmark.cli.output import echo_json, teller
from benchmark.cli.studies import default_study, read_definition


@app.command()
def speed(
    study: StudyToSearch = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda:0, ...")] = "auto",
    seconds: Annotated[float, typer.Option(min=0.01, help="Seconds for each measurement.")] = 2.0,
    family: Annotated[list[str] | None, typer.Option(help="Only this family; may be given again.")] = None,
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Measure what one worker does on this machine: matrix products, batches, training, inference. Writes no file.

    Example: bench speed cifar10-cpu --family cnn --json
    """
    from benchmark.speed import device_named, measure_speed, to_json, to_rich
    from benchmark.training import check_libraries

    # What is not JSON goes elsewhere, so that the output can be piped on.
    console = Console(stderr=as_json)
    check_libraries()
    device = device_named(device)
    spec = read_definition(study or default_study([device], console), root)
    report = measure_speed(spec, device, data, families=family or (), seconds=seconds, say=teller(console))
    if as_json:
        echo_json(to_json(report))
    else:
        console.print(to_rich(report))
