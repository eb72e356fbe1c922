"""The command that shows what spoke for an answer: explain. It trains nothing, and notes what it scores on test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from benchmark.cli.app import app
from benchmark.cli.options import DataFolder, Root, Storage, StudyToRead, split_of
from benchmark.cli.output import teller
from benchmark.cli.studies import open_named
from benchmark.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from benchmark.explain import Explanation, ShownImages
    from benchmark.inference import LoadedEntrant, StudyData
    from benchmark.picture_files import PictureFile
    from benchmark.records import Entrant, Split
    from benchmark.store import StudyStore

_MOST = 50
"""Images on one picture; figures.evidence.MOST, which would load matplotlib for `bench --help`."""


@app.command()
def explain(
    study: StudyToRead = None,
    entrant: Annotated[
        str,
        typer.Argument(
            help="Its name on the leaderboard, recommended, best, or a trial's number.", metavar="[ENTRANT]"
        ),
    ] = "recommended",
    images: Annotated[
        list[Path] | None,
        typer.Option(help="A picture file of yours, or a folder of them; may be given again.", metavar="FILE|FOLDER"),
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(help="Rows of the split by number, from 0: 3,14,15; of val by their number in the training part."),
    ] = None,
    split: Annotated[str, typer.Option(help="Where rows are from: test or val.")] = "test",
    count: Annotated[int, typer.Option(min=1, max=_MOST, help="At most so many images.")] = 8,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Show what spoke for this class, not for the predicted one.")
    ] = None,
    sanity: Annotated[
        bool, typer.Option("--sanity", help="Also compare the maps with those of untrained copies of the networks.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto (a GPU where there is one), cpu, cuda:0, ...")] = "auto",
    data: DataFolder = None,
    storage: Storage = None,
    root: Root = Path(),
) -> None:
    """Show by Grad-CAM which places of an image spoke for the predicted class, in results/STUDY/explain-ENTRANT.png.

    Of your own pictures the file is explain-pictures-ENTRANT.png.

    Without rows or files: the most confident mistakes, then right answers of different classes. An ensemble's map is
    the mean of its members' by their votes.

    Example: bench explain cifar10-cpu best --count 12
    """
    from benchmark.explain import ShownImages, whence
    from benchmark.explain import explain as explain_images
    from benchmark.inference import load_entrant, load_study_data
    from benchmark.picture_files import find_pictures
    from benchmark.records import Split, deciding
    from benchmark.speed import device_named
    from benchmark.study import find_entrant, note_scored
    from benchmark.temperature import temperature_of
    from benchmark.training import check_libraries

    say = teller(console := Console())
    store = open_named(study, root, storage, console, to_read=True)
    classes: list[str] = store.fact("classes")
    if class_name is not None and class_name not in classes:
        raise UnknownNameError("class", class_name, classes)
    if images and rows is not None:
        raise BenchError("name pictures by --images or rows by --rows, not both")
    found = find_entrant(store, entrant)
    say(f"explaining {found.name}")
    part = split_of(split)
    # What was mistyped is said before anything is loaded.
    files = find_pictures(images or ())
    if len(files) > count:
        say(f"taking the first {count} of {len(files)} files; --count takes more")
    temperature = temperature_of(deciding(found.val), store.labels(Split.VAL))
    numbers = [] if rows is None else _numbers(rows, store.fact("rows"), part)
    if part is Split.TEST and not files:
        note_scored(store, [found.test])
    telling = [] if files or numbers else _telling(store, found, part, count, temperature, say)
    device = device_named(device)
    check_libraries()
    of_study = load_study_data(store, device, data, say)
    if files:
        whole = store.fact("definition")["dataset"] == "folder"
        shown = ShownImages.of_files(_read(files[:count], of_study, say, whole=whole))
    else:
        chosen = telling or _positions(numbers, of_study.numbers(part), part)
        shown = ShownImages.of_rows(of_study, part, chosen)
    loaded = load_entrant(store, found, of_study.on_device)
    asked = None if class_name is None else [classes.index(class_name)] * len(shown.pixels)
    explanation = explain_images(loaded, shown.pixels, asked, temperature=temperature)
    for sentence in whence(explanation, loaded):
        say(sentence)
    if sanity:
        _say_sanity(explanation, loaded, shown, say)
    kind = "explain-pictures" if files else "explain"
    written = _draw(explanation, loaded, shown, store, root, class_name or "the predicted class", kind)
    say(f"confidences: after a temperature of {temperature:.2f}, fitted on validation")
    say(f"written: {', '.join(map(str, written))}")


def _telling(
    store: StudyStore, entrant: Entrant, split: Split, count: int, temperature: float, say: Callable[[str], None]
) -> list[int]:
    """The rows of the split that tell most."""
    from benchmark.explain import telling_rows
    from benchmark.records import Split
    from benchmark.temperature import apply_temperature

    labels = store.labels(split)
    stored = entrant.test if split is Split.TEST else entrant.val
    rows: list[int] = telling_rows(apply_temperature(stored.log_probs, temperature), labels, count).tolist()
    say(f"{len(rows)} {split} images: the most confident mistakes, then right answers of different classes")
    return rows


def _positions(numbers: Sequence[int], published: NDArray[np.int64], split: Split) -> list[int]:
    """Where rows of these numbers stand in the split, of which `published` (N,) are the numbers."""
    place = {number: position for position, number in enumerate(published.tolist())}
    if strangers := [number for number in numbers if number not in place]:
        raise BenchError(
            f"training image {strangers[0]} is not among the {len(published):,} of {split}, whose rows are told by "
            "their number among all training images"
        )
    return [place[number] for number in numbers]


def _numbers(text: str, rows: Mapping[str, int], split: Split) -> list[int]:
    """What was asked for: numbers in the published part that the split is from; `rows` are the sizes of the splits."""
    from benchmark.records import Split

    if re.fullmatch(r"\s*\d{1,9}(\s*,\s*\d{1,9})*\s*", text) is None:
        raise BenchError(f"{text!r} is no list of rows; write 3,14,15")
    numbers = [int(number) for number in text.split(",")]
    published = rows["test"] if split is Split.TEST else rows["train"] + rows["val"]
    if max(numbers) >= published:
        part = "test has" if split is Split.TEST else "training and validation have"
        raise BenchError(f"there is no row {max(numbers)}: {part} {published:,}, counted from 0")
    if len(numbers) > _MOST:
        raise BenchError(f"a picture shows at most {_MOST} images, not {len(numbers)}")
    return numbers


def _read(paths: Sequence[Path], data: StudyData, say: Callable[[str], None], *, whole: bool) -> list[PictureFile]:
    from benchmark.picture_files import read_picture

    pictures = [read_picture(path, data.dataset.image_shape, whole=whole) for path in paths]
    for picture in pictures:
        say(f"{picture.path}: {picture.fitting}")
    return pictures


def _say_sanity(
    explanation: Explanation, loaded: LoadedEntrant, images: ShownImages, say: Callable[[str], None]
) -> None:
    from benchmark.explain import member_name, randomisation_check

    say("rank correlation with the maps of untrained copies (1: the same maps, 0: nothing in common):")
    for model, layer in zip(loaded.members, explanation.layers, strict=True):
        if layer:
            found = randomisation_check(model, images.pixels)
            told = f"{found.correlation:.2f}" if found.compared else "not to be told"
            empty = found.pairs - found.compared
            but = f" (without {empty} of {found.pairs} pairs, of which one map is empty)" if empty else ""
            say(f"{member_name(model)}: {told}{but}")


def _draw(
    explanation: Explanation,
    loaded: LoadedEntrant,
    images: ShownImages,
    store: StudyStore,
    root: Path,
    about: str,
    kind: str,
) -> list[Path]:
    from benchmark.explain import exhibits_of
    from benchmark.figures import evidence_figure, save
    from benchmark.files import file_name_of

    name, study = loaded.entrant.name, store.location.name
    exhibits, headings = exhibits_of(explanation, loaded, images, store.fact("classes"))
    figure = evidence_figure(exhibits, headings, about=about, subject=f"{study}, {name}")
    return save(figure, root / "results" / study, f"{kind}-{file_name_of(name)}", in_full_color=True)
