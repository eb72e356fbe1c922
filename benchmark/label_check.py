"""Labels of a study's images that its own models contradict: reported, for people to look at; decides nothing.

Of validation and test there are stored predictions by models that were not trained on them; of training rows there are
none, and they are not looked at.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.ensemble import ranked
from benchmark.metrics import predicted
from benchmark.preflight import LEAST_AGREEMENT, SuspectLabel, suspect_in_words, suspect_labels
from benchmark.records import Dataset, Entrant, Split, deciding
from benchmark.store import StudyStore
from benchmark.study import note_scored, single_models
from benchmark.study_data import division_of
from benchmark.temperature import apply_temperature, temperature_of
from benchmark.wording import plural

MOST_MODELS = 20
MOST_ERRORS = 2
"""Models that err more than so many times as often as the best one are not asked: they blur what the others know."""
LISTED = 5
SUSPECT_COLUMNS = ("split", "row", "label", "suggested", "probability", "label_probability", "agreement")
"""Of a table of suspect labels."""


@dataclass(frozen=True)
class LabelCheck:
    """What was found: by how many models, among how many rows of each part; the most suspicious label first."""

    models: int
    sizes: tuple[tuple[Split, int], ...]
    suspects: tuple[SuspectLabel, ...]


def check_labels(store: StudyStore, dataset: Dataset) -> LabelCheck:
    """Labels that the best single models of the search, by validation, contradict (`suspect_labels`).

    These are at most `MOST_MODELS`, none of which errs more than `MOST_ERRORS` times as often as the first. Each one's
    temperature is fitted on validation and applied to both parts, so that a model trained with label smoothing counts
    no less in the mean than one that is too sure of itself. Whom it asks counts as scored on test. Raises BenchError
    where the data are not those of the study, or it has no complete trial.
    """
    val_rows = division_of(store, dataset).val
    labels = {Split.VAL: dataset.train.labels[val_rows], Split.TEST: dataset.test.labels}
    models = single_models(store)
    best = _best(models, labels[Split.VAL])
    note_scored(store, (one.test for one in best))
    temperatures = [temperature_of(deciding(one.val), labels[Split.VAL]) for one in best]
    rows = {Split.VAL: val_rows, Split.TEST: np.arange(len(dataset.test))}
    found = [
        suspect
        for split in (Split.VAL, Split.TEST)
        for suspect in suspect_labels(
            _sharpened(best, temperatures, split), labels[split], split=split, rows=rows[split]
        )
    ]
    sizes = tuple((split, len(of_split)) for split, of_split in labels.items())
    return LabelCheck(len(best), sizes, tuple(sorted(found, key=lambda suspect: suspect.margin)))


def _best(models: Sequence[Entrant], labels: NDArray[np.int64]) -> list[Entrant]:
    best = ranked(models, labels)[:MOST_MODELS]
    errors = [int(np.count_nonzero(predicted(deciding(one.val)) != labels)) for one in best]
    # of a model without an error one is assumed
    most = MOST_ERRORS * max(errors[0], 1)
    return [one for one, count in zip(best, errors, strict=True) if count <= most]


def _sharpened(models: Sequence[Entrant], temperatures: Sequence[float], split: Split) -> Iterator[NDArray[np.float32]]:
    for model, temperature in zip(models, temperatures, strict=True):
        predictions = model.test if split is Split.TEST else model.val
        yield apply_temperature(predictions.log_probs, temperature)


def in_words(check: LabelCheck, classes: Sequence[str]) -> tuple[str, ...]:
    """What was found in plain sentences, with the most suspicious labels of each part."""
    sentences = [
        f"Labels that {plural(check.models, 'model')} of the study contradict (confident learning on the mean of the "
        f"best by validation; {100 * LEAST_AGREEMENT:.0f} % of them or more agree):"
    ]
    for split, size in check.sizes:
        found = [suspect for suspect in check.suspects if suspect.place.split is split]
        examples = "; ".join(suspect_in_words(suspect, classes) for suspect in found[:LISTED])
        share = f"- {len(found):,} of {size:,} {split} images ({100 * len(found) / size:.2f} %)"
        sentences.append(f"{share}; such as {examples}." if found else f"{share}.")
    return (
        *sentences,
        "Training images have no stored predictions and were not looked at. Those of test are reported only: nothing "
        "is chosen by them.",
        "Images that are hard for every model look like wrong labels too: look before you change one.",
    )


def to_csv(check: LabelCheck, classes: Sequence[str]) -> str:
    """Every suspect label as a line, the most suspicious first; probabilities and agreement are shares in [0, 1]."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(SUSPECT_COLUMNS)
    writer.writerows(in_rows(check, classes))
    return text.getvalue()


def in_rows(check: LabelCheck, classes: Sequence[str]) -> Iterator[tuple[str | int | float, ...]]:
    """Every suspect label under SUSPECT_COLUMNS, the most suspicious first."""
    for one in check.suspects:
        names = classes[one.place.label], classes[one.suggested]
        yield (
            str(one.place.split),
            one.place.row,
            *names,
            one.probability,
            one.label_probability,
            one.agreement,
        )
