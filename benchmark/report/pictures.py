"""Pictures of a page as data URIs: thumbnails of test images, Grad-CAM, samples, duplicates; judges nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmark.datasets import Say
from benchmark.errors import BenchError
from benchmark.explore import pair_grid, sample_grid, suspect_grid
from benchmark.label_check import check_labels, in_words
from benchmark.preflight import preflight, to_sentences
from benchmark.records import Entrant, Images, Split, deciding
from benchmark.report.missing import Missing
from benchmark.store import StudyStore
from benchmark.study_data import StudyImages
from benchmark.temperature import apply_temperature, temperature_of
from benchmark.tiles import thumbnail_png, to_png

if TYPE_CHECKING:
    from benchmark.training import DeviceData

THUMBNAIL = 48
"""Pixels that a thumbnail has at most on a side; a page enlarges smaller ones itself."""
MOST_THUMBNAIL_BYTES = 4_000_000
"""Of all thumbnails of a page together, as data URIs: some 1,200 of CIFAR-10, or 430 of noise."""
EXPLAINED = 8
LARGER = 160
"""Pixels that an explained image has at most on a side."""
MOST_SHEET_BYTES = 900_000
"""Of a picture with many images, as PNG; a larger one, of photographs, becomes a JPEG."""
_SHEET_WIDTH = 1400
_MOST_CLASSES = 30
"""Of which sample images are shown: the page can bear no sheet of a thousand rows."""


@dataclass(frozen=True)
class DataView:
    """What is known of the data set before any training: findings in sentences, and pictures."""

    sentences: tuple[str, ...]
    samples: str
    duplicates: str | None
    """None where there are none."""
    doubts: tuple[str, ...]
    """Labels that the study's own models contradict."""
    suspects: str | None
    """None where there are none."""


@dataclass(frozen=True)
class Explained:
    """One test image and the places of it that spoke for what was predicted."""

    row: int
    label: int
    predicted: int
    confidence: float
    """After the temperature that is fitted on validation."""
    picture: str
    heat: str


@dataclass(frozen=True)
class Evidence:
    """Grad-CAM of one entrant."""

    name: str
    note: str
    """Which members' maps they are, and how fine; and in whose place, where another's networks are not there."""
    images: tuple[Explained, ...]


def thumbnails(images: Images, rows: Iterable[int]) -> dict[int, str]:
    """A thumbnail of each of the rows, once each, of the first as long as there is room."""
    drawn = ((row, _thumbnail(images.pixels[row], THUMBNAIL)) for row in dict.fromkeys(rows))
    return first_that_fit(drawn, MOST_THUMBNAIL_BYTES)


def first_that_fit(drawn: Iterable[tuple[int, str]], room: int) -> dict[int, str]:
    """The first of these pictures, by row, that take at most `room` bytes together; the others are not drawn."""
    found: dict[int, str] = {}
    for row, uri in drawn:
        room -= len(uri)
        if room < 0:
            break
        found[row] = uri
    return found


def data_view(store: StudyStore, images: StudyImages, say: Say) -> DataView:
    """Look for duplicates, which takes a while for a large data set, and for suspect labels; draw what was found."""
    dataset = images.dataset
    say(f"comparing every image of {dataset.name} with every other")
    findings = preflight(dataset, images.rows)
    exhibits = findings.exhibits
    labels = check_labels(store, dataset)
    return DataView(
        to_sentences(findings, dataset.classes),
        _sheet(sample_grid(dataset, most_classes=_MOST_CLASSES)),
        _sheet(pair_grid(dataset, exhibits)) if exhibits else None,
        in_words(labels, dataset.classes),
        _sheet(suspect_grid(dataset, labels.suspects)) if labels.suspects else None,
    )


def evidence_of(store: StudyStore, entrants: Sequence[Entrant], images: StudyImages) -> Evidence | Missing:
    """Grad-CAM of the first of the entrants that can be asked, by its stored weights; why not the first of all.

    The images are some of its most confident mistakes and right answers on test.
    """
    # These load torch, which a page without pictures has no use for.
    from benchmark.training import DeviceData, choose_device

    # A few images are no work for a GPU, which a search may have filled.
    data = DeviceData.to_ask(images.dataset, images.rows, choose_device("cpu"))
    refusals = []
    for entrant in entrants:
        try:
            found = _explained(store, entrant, images, data)
        except BenchError as error:
            refusals.append(f"{error}.")
            continue
        if not refusals:
            return found
        instead = f"It stands in for {entrants[0].name}, which cannot be asked: {refusals[0]}"
        return replace(found, note=f"{found.note} {instead}")
    # All of them for one reason, where the weights are elsewhere.
    return Missing(" ".join(dict.fromkeys(refusals)))


def _explained(store: StudyStore, entrant: Entrant, images: StudyImages, data: DeviceData) -> Evidence:
    from benchmark.explain import explain, overlay, telling_rows
    from benchmark.inference import load_entrant

    test = images.images(Split.TEST)
    temperature = temperature_of(deciding(entrant.val), images.labels(Split.VAL))
    rows = telling_rows(apply_temperature(entrant.test.log_probs, temperature), test.labels, EXPLAINED)
    pixels = test.pixels[rows]
    loaded = load_entrant(store, entrant, data)
    found = explain(loaded, pixels, temperature=temperature)
    finest = found.map_sizes[int(np.argmax(found.map_sizes.prod(axis=1)))]
    return Evidence(
        entrant.name,
        _whose(len(loaded.members), sum(vote > 0 for vote in found.votes), (int(finest[0]), int(finest[1]))),
        tuple(
            Explained(
                row,
                int(test.labels[row]),
                int(found.predicted[at]),
                float(found.confidence[at]),
                _thumbnail(pixels[at], LARGER),
                _thumbnail(overlay(pixels[at], found.heat[at]), LARGER),
            )
            for at, row in enumerate(rows.tolist())
        ),
    )


def _whose(members: int, with_maps: int, finest: tuple[int, int]) -> str:
    enlarged = f"{finest[0]} x {finest[1]} places, enlarged to the image"
    if members == 1:
        return f"The map has {enlarged}."
    return f"The mean of {with_maps} members' maps by their votes; the finest has {enlarged}."


def _thumbnail(pixels: NDArray[np.uint8], most: int) -> str:
    """An image as it is, or reduced to so many pixels a side."""
    return data_uri(thumbnail_png(pixels, min(most, max(pixels.shape[:2]))))


def _sheet(picture: Image.Image) -> str:
    """A picture of many images, exact where that is small enough."""
    png = to_png(picture)
    if len(png) <= MOST_SHEET_BYTES:
        return data_uri(png)
    picture.thumbnail((_SHEET_WIDTH, picture.height))
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=80, optimize=True)
    return data_uri(content.getvalue(), "jpeg")


def data_uri(content: bytes, form: str = "png") -> str:
    """A picture's file as an address that a page carries in itself."""
    return f"data:image/{form};base64,{base64.b64encode(content).decode('ascii')}"
