"""Stored entrants asked again about test images, as they are and corrupted; trains, fits and ranks nothing anew.

A model that is a member of several entrants predicts once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.corruptions import SEVERITIES, corruption_names
from benchmark.inference import LoadedEntrant, LoadedModel, StudyData, load_entrant
from benchmark.metrics import correct_rows, entrant_standing, predicted
from benchmark.origin import running_versions, source_commit
from benchmark.records import Split
from benchmark.robustness import CorruptedImages, CorruptionOrigin, CorruptionReport, score_corruptions
from benchmark.store import StudyStore
from benchmark.study import find_entrant, note_scored
from benchmark.wording import percent, significant

USUAL_ENTRANTS = ("recommended", "best")
CLEAN = "clean"
"""What `Observe` is told of images as they are."""
_IMAGE_LIBRARIES = ("pillow", "scipy")
"""Corrupted images depend on them as well."""
CPU_ROWS = 2000
"""Test images that a CPU is asked about by default, and that a GPU is asked about first, untimed."""

Observe = Callable[[str], None]
"""Told what was predicted, after every prediction of a member."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What entrants say of the same images, each in their order."""

    log_probs: tuple[NDArray[np.float32], ...]
    """(N, K) each."""
    seconds: tuple[float, ...]
    """What their members took, added up; a member of several counts for each of them."""


@dataclass(frozen=True)
class Repetition:
    """One entrant's test predictions, stored and made again from stored weights, on the same rows."""

    entrant: str
    rows: int
    stored_accuracy: float
    accuracy: float
    largest_difference: float
    """Of the probability of any class of any row, in [0, 1]."""
    changed: float
    """Share of rows whose predicted class is another."""
    images_per_second: float


@dataclass(frozen=True, eq=False)
class CorruptedAnswers:
    """What E entrants have right of N images, as they are and under R corruptions at S severities."""

    clean: NDArray[np.bool_]
    """(E, N)"""
    right: NDArray[np.bool_]
    """(E, R, S, N)"""
    samples: NDArray[np.uint8]
    """(R, 1 + S, H, W, C): the first image as it is and at every severity."""
    digest: str
    """SHA-256 (hex) of all corrupted images, corruption by corruption, the mildest first."""


def load_entrants(store: StudyStore, names: Sequence[str], data: StudyData) -> list[LoadedEntrant]:
    """The entrants of these names (see study.find_entrant), each once, with members that they share.

    They are there to be asked about test images, and count among what was scored on test from here on. Raises
    UnknownNameError, and BenchError where weights were not kept.
    """
    found = {entrant.name: entrant for entrant in (find_entrant(store, name) for name in names)}
    models: dict[tuple[str, int], LoadedModel] = {}
    loaded = []
    for entrant in found.values():
        one = load_entrant(store, entrant, data.on_device)
        members = tuple(models.setdefault((member.part, member.number), member) for member in one.members)
        loaded.append(replace(one, members=members))
    note_scored(store, [entrant.test for entrant in found.values()])
    return loaded


def distinct_members(loaded: Sequence[LoadedEntrant]) -> int:
    """How many predictions a round of questions takes."""
    return len({(member.part, member.number) for one in loaded for member in one.members})


def spread_rows(rows: int, count: int) -> NDArray[np.int64]:
    """At most `count` of so many rows, evenly spread from the first to the last."""
    return np.linspace(0, rows - 1, min(rows, count)).round().astype(np.int64)


def rows_to_ask(known: StudyData, images: int | None) -> NDArray[np.int64]:
    """So many test images, evenly spread; without a number all of them on a GPU, and CPU_ROWS on a CPU."""
    rows = len(known.dataset.test)
    return spread_rows(rows, images or (CPU_ROWS if known.on_device.where.device.type == "cpu" else rows))


def ask(loaded: Sequence[LoadedEntrant], pixels: NDArray[np.uint8], observe: Callable[[], None]) -> Answers:
    """What the entrants say of images uint8 (N, H, W, C); `observe` is called after each member."""
    said: dict[tuple[str, int], tuple[NDArray[np.float32], float]] = {}
    for one in loaded:
        for member in one.members:
            if (member.part, member.number) not in said:
                began = time.perf_counter()
                log_probs = member.log_probs(pixels)
                said[member.part, member.number] = log_probs, time.perf_counter() - began
                observe()
    of_members = [[said[member.part, member.number] for member in one.members] for one in loaded]
    return Answers(
        tuple(
            one.combined([log_probs for log_probs, _ in of_one]) for one, of_one in zip(loaded, of_members, strict=True)
        ),
        tuple(sum(seconds for _, seconds in of_one) for of_one in of_members),
    )


def predict_again(
    loaded: Sequence[LoadedEntrant], data: StudyData, rows: NDArray[np.int64], observe: Observe
) -> list[Repetition]:
    """Ask the entrants about these test rows, and hold what they say against what is stored."""
    images = data.images(Split.TEST).take(rows)
    if data.on_device.where.device.type == "cuda":
        # Kernels are chosen and loaded once: no part of what an image takes.
        ask(loaded, images.pixels[:CPU_ROWS], lambda: None)
    answers = ask(loaded, images.pixels, partial(observe, CLEAN))
    found = []
    for one, now, seconds in zip(loaded, answers.log_probs, answers.seconds, strict=True):
        stored = one.entrant.test.log_probs[rows]
        found.append(
            Repetition(
                entrant=one.entrant.name,
                rows=len(rows),
                stored_accuracy=float(correct_rows(stored, images.labels).mean()),
                accuracy=float(correct_rows(now, images.labels).mean()),
                largest_difference=float(np.abs(np.exp(now) - np.exp(stored)).max()),
                changed=float((predicted(now) != predicted(stored)).mean()),
                images_per_second=len(rows) / seconds,
            )
        )
    return found


def to_table(found: Sequence[Repetition]) -> Table:
    """Repetitions for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Entrant")
    for heading in (
        "Stored\nacc. %",
        "Acc. %\nnow",
        "Largest difference\nof a probability",
        "Predicted classes\nchanged %",
        "Images/s",
    ):
        table.add_column(heading, justify="right")
    for one in found:
        table.add_row(
            Text(one.entrant),
            percent(one.stored_accuracy),
            percent(one.accuracy),
            significant(one.largest_difference),
            percent(one.changed),
            f"{one.images_per_second:,.0f}",
        )
    return table


def predict_corrupted(
    loaded: Sequence[LoadedEntrant], data: StudyData, images: CorruptedImages, observe: Observe
) -> CorruptedAnswers:
    """Ask the entrants about some test images as they are, and under every corruption at every severity."""
    names, clean = corruption_names(), data.images(Split.TEST).take(images.rows)
    right = np.empty((len(loaded), len(names), len(SEVERITIES), len(clean)), np.bool_)
    samples = np.empty((len(names), 1 + len(SEVERITIES), *clean.pixels.shape[1:]), np.uint8)
    samples[:, 0] = clean.pixels[0]
    digest = hashlib.sha256()
    clean_right = _right(ask(loaded, clean.pixels, partial(observe, CLEAN)), clean.labels)
    for place, name in enumerate(names):
        for level, severity in enumerate(SEVERITIES):
            pixels = images.of(name, severity)
            digest.update(pixels.tobytes())
            samples[place, 1 + level] = pixels[0]
            right[:, place, level] = _right(ask(loaded, pixels, partial(observe, name)), clean.labels)
    return CorruptedAnswers(clean_right, right, samples, digest.hexdigest())


def report_corruptions(
    store: StudyStore,
    loaded: Sequence[LoadedEntrant],
    data: StudyData,
    images: CorruptedImages,
    answers: CorruptedAnswers,
    command: str,
) -> CorruptionReport:
    """Scores of the answers, and where they come from; the best single model has to be among those asked.

    It is the best of these: another may have become complete since they were asked.
    """
    names = [one.entrant.name for one in loaded]
    labels = store.labels(Split.VAL)
    singles = [one.entrant for one in loaded if one.entrant.is_single]
    reference = min(singles, key=lambda one: entrant_standing(one, labels)).name
    return CorruptionReport(
        corruptions=tuple(corruption_names()),
        scores=tuple(score_corruptions(names, answers.clean, answers.right, reference=names.index(reference))),
        reference=reference,
        origin=CorruptionOrigin(
            study=store.location.name,
            dataset=data.dataset.name,
            dataset_fingerprint=data.dataset.fingerprint,
            commit=source_commit(),
            command=command,
            source=images.source,
            images_digest=answers.digest,
            rows=len(images.rows),
            test_rows=len(data.dataset.test),
            device=data.on_device.where.name,
            versions=running_versions(*_IMAGE_LIBRARIES),
        ),
    )


def _right(answers: Answers, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.stack([correct_rows(log_probs, labels) for log_probs in answers.log_probs])
