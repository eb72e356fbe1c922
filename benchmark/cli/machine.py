"""Commands about this machine and its data sets: speed, data fetch, data show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, StudyToSearch
from benchmark.cli.output import teller
from benchmark.cli.studies import default_study, read_definition
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from PIL.Image import Image

data_app = typer.Typer(no_args_is_help=True, help="Fetch and look at data sets.")
app.add_typer(data_app, name="data")


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
        typer.echo(to_json(report))
    else:
        console.print(to_rich(report))


@data_app.command("fetch")
def data_fetch(
    dataset: Annotated[str, typer.Argument(help="cifar10 or digits.")] = "cifar10",
    data: DataFolder = None,
) -> None:
    """Fetch a data set into the cache, checked against its checksum.

    Example: bench data fetch cifar10
    """
    from benchmark.datasets import DATASETS

    console = Console()
    found = DATASETS[dataset].build(data, teller(console))
    console.print(f"{found.name}: {len(found.train):,} + {len(found.test):,} images, SHA-256 {found.fingerprint[:16]}")


@data_app.command("show")
def data_show(
    dataset: Annotated[str, typer.Argument(help="cifar10 or digits.")] = "cifar10",
    data: DataFolder = None,
    root: Root = Path(),
) -> None:
    """Show counts, channel statistics, duplicates within and between the parts, and classes without images.

    Writes a picture with sample images of every class, and one of the duplicates.

    Example: bench data show cifar10
    """
    from benchmark.datasets import DATASETS
    from benchmark.explore import describe, pair_grid, sample_grid, to_table
    from benchmark.preflight import preflight, to_sentences

    console = Console()
    say = teller(console)
    found = DATASETS[dataset].build(data, say)
    console.print(to_table(describe(found)))
    folder = root / "results" / "data"
    samples, duplicates = folder / f"{found.name}.png", folder / f"{found.name}-duplicates.png"
    _save(sample_grid(found), samples)
    say(f"sample images: {samples}")
    say("comparing every image with every other")
    findings = preflight(found)
    for sentence in to_sentences(findings, found.classes):
        say(sentence)
    if findings.exhibits:
        _save(pair_grid(found, findings.exhibits), duplicates)
        say(f"duplicates: {duplicates}")
    else:
        duplicates.unlink(missing_ok=True)


def _save(picture: Image, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}; choose another folder with --root") from error
