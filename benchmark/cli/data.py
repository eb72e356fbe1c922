"""Commands about data sets: data fetch, data show, data export."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, Storage
from benchmark.cli.output import teller
from benchmark.cli.studies import open_named

if TYPE_CHECKING:
    from PIL.Image import Image

    from benchmark.records import Dataset, SplitRows
    from benchmark.store import StudyStore

Say = Callable[[str], None]
DatasetName = Annotated[str, typer.Argument(help="cifar10, digits, or folder: images of your own, by --data.")]

data_app = typer.Typer(no_args_is_help=True, help="Fetch, look at and export data sets.")
app.add_typer(data_app, name="data")


@data_app.command("fetch")
def data_fetch(
    dataset: DatasetName = "cifar10",
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
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="cifar10, digits, or folder: images of your own, by --data. By default the one of --study, or cifar10."
        ),
    ] = None,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Also draw what every augmentation makes of some images.")
    ] = False,
    study: Annotated[
        str | None,
        typer.Option(help="Divide the data as this study did, and look for wrong labels by what its models predicted."),
    ] = None,
    data: DataFolder = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Show counts, channel statistics, duplicates within and between the parts, and classes without images.

    Writes pictures: sample images and the mean image of every class, and duplicates. With --study validation is a part
    of its own, and labels of validation and test images that the study's models contradict are a picture and a table.

    Example: bench data show cifar10 --augmented
    """
    from benchmark.datasets import inspect_dataset
    from benchmark.explore import describe, mean_grid, sample_grid, to_table
    from benchmark.study_data import division_of, stored_spec

    console = Console()
    say = teller(console)
    store = None if study is None else open_named(study, root, storage, console, to_read=True)
    spec = None if store is None else stored_spec(store)
    if dataset is None:
        dataset = "cifar10" if spec is None else spec.dataset
    # Of another data set, which is then refused, as it is.
    size = spec.image_size if spec is not None and dataset == spec.dataset else None
    inspection = inspect_dataset(dataset, data, say, size)
    found, folder = inspection.dataset, root / "results" / "data"
    rows = None if store is None else division_of(store, found)
    console.print(to_table(describe(found, rows)))
    for sentence in inspection.sentences:
        say(sentence)
    if inspection.train_files:
        _save(inspection.files_as_csv().encode(), folder / f"{found.name}-files.csv", "which row is which file", say)
    _save(sample_grid(found), folder / f"{found.name}.png", "sample images", say)
    _save(mean_grid(found), folder / f"{found.name}-means.png", "mean images", say)
    if augmented:
        from benchmark.explore import augmented_grid

        _save(augmented_grid(found), folder / f"{found.name}-augmented.png", "augmentations", say)
    _show_duplicates(found, rows, folder, say)
    if store is not None:
        _show_suspects(found, store, folder, say)


@data_app.command("export")
def data_export(
    dataset: DatasetName = "cifar10",
    form: Annotated[str, typer.Option("--format", help="csv, png, npz or binary (CIFAR-10's own).")] = "npz",
    to: Annotated[Path | None, typer.Option(help="The folder to write; default: NAME-FORMAT here.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier export.")] = False,
    data: DataFolder = None,
) -> None:
    """Write a data set to files that other programs read, and what is in them to manifest.json.

    Example: bench data export cifar10 --format png --to cifar10-images
    """
    from benchmark.dataset_export import export
    from benchmark.datasets import DATASETS

    say = teller(Console())
    found = DATASETS[dataset].build(data, say)
    folder = export(found, form, to or Path(f"{found.name}-{form}"), overwrite=overwrite)
    say(f"{found.name}: {len(found.train):,} + {len(found.test):,} images written to {folder}")


def _show_duplicates(dataset: Dataset, rows: SplitRows | None, folder: Path, say: Say) -> None:
    from benchmark.explore import pair_grid
    from benchmark.preflight import preflight, to_sentences

    say("comparing every image with every other")
    findings = preflight(dataset, rows)
    for sentence in to_sentences(findings, dataset.classes):
        say(sentence)
    picture = folder / f"{dataset.name}-duplicates.png"
    if findings.exhibits:
        _save(pair_grid(dataset, findings.exhibits), picture, "duplicates", say)
    else:
        picture.unlink(missing_ok=True)


def _show_suspects(dataset: Dataset, store: StudyStore, folder: Path, say: Say) -> None:
    from benchmark.explore import suspect_grid
    from benchmark.label_check import check_labels, in_words, to_csv

    check = check_labels(store, dataset)
    for sentence in in_words(check, dataset.classes):
        say(sentence)
    picture, table = (folder / f"{dataset.name}-suspects.{kind}" for kind in ("png", "csv"))
    _save(to_csv(check, dataset.classes).encode(), table, "all of them", say)
    if check.suspects:
        _save(suspect_grid(dataset, check.suspects), picture, "suspect labels", say)
    else:
        picture.unlink(missing_ok=True)


def _save(content: Image | bytes, path: Path, what: str, say: Say) -> None:
    from benchmark.files import replace_files

    if not isinstance(content, bytes):
        file = io.BytesIO()
        content.save(file, "PNG")
        content = file.getvalue()
    replace_files({path: content}, path.name)
    say(f"{what}: {path}")
