"""An entrant's mistakes for a terminal, as rich tables and sentences, and as strict JSON; finds none itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from benchmark.confidences import coverage_curve
from benchmark.mistakes.summary import Beside, EntrantMistakes
from benchmark.records import Split, as_jsonable
from benchmark.wording import p_value, percent, percent_with_interval, plural, points_with_interval, significant

COVERAGES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Shares of the images, the most confident ones, whose accuracy is told."""


def to_rich(found: EntrantMistakes) -> list[Table]:
    """Tables for `Console.print`: classes, the most confused pairs, the most confident mistakes."""
    tables = [_classes(found)]
    if found.pairs:
        pairs = _table(f"Most confused pairs on {found.split}", ["Label", "Predicted"], ["Images", "% of the label's"])
        for pair in found.pairs:
            _add(
                pairs, found.classes[pair.label], found.classes[pair.predicted], f"{pair.count:,}", percent(pair.share)
            )
        tables.append(pairs)
    if found.mistakes:
        headings = ["Label", "Predicted"], ["Confidence %", "Label's %"]
        mistakes = _table(f"Most confident mistakes on {found.split}", *headings, first="Row")
        for one in found.mistakes:
            names = found.classes[one.label], found.classes[one.predicted]
            shares = percent(one.confidence), percent(one.label_probability)
            _add(mistakes, str(found.numbers[one.row]), *names, *shares)
        tables.append(mistakes)
    return tables


def to_sentences(found: EntrantMistakes) -> list[str]:
    """Accuracy over all images and over the most confident ones, what is repaired beside the other; temperatures."""
    answers = found.answers
    rows = len(answers.correct)
    wrong = rows - int(np.count_nonzero(answers.correct))
    curve = coverage_curve(answers)
    shares = [percent(float(curve.accuracy[curve.at(coverage)])) for coverage in COVERAGES]
    sentences = [
        f"{found.name}: {wrong:,} of {rows:,} {found.split} images wrong, "
        f"accuracy {percent_with_interval(answers.accuracy)} %",
        f"accuracy on the most confident {', '.join(f'{100 * share:g}' for share in COVERAGES)} % of images: "
        f"{', '.join(shares)} %",
        *([] if found.beside is None else [_repairs(found.beside)]),
    ]
    return [*sentences, _temperatures(found)]


def to_json(found: EntrantMistakes, files: Sequence[Path]) -> str:
    """Everything as strict JSON (RFC 8259, no NaN), numbers unrounded, shares in [0, 1]; `files` are those drawn.

    Rows are told by their numbers in what was published. Confidences and probabilities are after the temperature.
    """
    numbers = found.numbers
    curve = coverage_curve(found.answers)
    places = [curve.at(coverage) for coverage in COVERAGES]
    whole = {
        "study": found.study,
        "split": str(found.split),
        "entrant": found.name,
        "rows": len(found.answers.correct),
        "accuracy": as_jsonable(found.answers.accuracy),
        "temperature": found.temperature,
        "classes": _classes_json(found),
        "confusion": found.confusion.tolist(),
        "confused": [
            {
                "label": found.classes[pair.label],
                "predicted": found.classes[pair.predicted],
                "count": pair.count,
                "share": pair.share,
                "rows": numbers[list(pair.rows)].tolist(),
            }
            for pair in found.pairs
        ],
        "mistakes": [
            {
                "row": int(numbers[one.row]),
                "label": found.classes[one.label],
                "predicted": found.classes[one.predicted],
                "confidence": one.confidence,
                "label_probability": one.label_probability,
            }
            for one in found.mistakes
        ],
        "coverage": [
            {
                "coverage": float(curve.coverage[place]),
                "confidence": float(curve.threshold[place]),
                "accuracy": float(curve.accuracy[place]),
            }
            for place in places
        ],
        "beside": None if found.beside is None else _beside_json(found.beside, numbers),
        "files": [str(path) for path in files],
    }
    return json.dumps(whole, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _classes(found: EntrantMistakes) -> Table:
    scores, beside = found.scores, found.beside
    outcomes = ["Repaired", "Broken"] if beside else []
    headings = ["Precision %", "Recall %", "F1 %", "Images", *outcomes]
    table = _table(f"{found.name} on {found.split} of {found.study}", ["Class"], headings)
    for index, name in enumerate(found.classes):
        shares = [percent(float(column[index])) for column in (scores.precision, scores.recall, scores.f1)]
        by_class = (beside.repairs.by_class.repaired, beside.repairs.by_class.broken) if beside else ()
        _add(table, name, *shares, f"{scores.support[index]:,}", *(f"{column[index]:,}" for column in by_class))
    return table


def _repairs(beside: Beside) -> str:
    repairs = beside.repairs
    comparison = repairs.comparison
    return (
        f"beside {beside.answers.name}, accuracy {percent(beside.answers.accuracy.value)} %: "
        f"{plural(len(repairs.repaired), 'mistake')} repaired and {len(repairs.broken):,} broken, "
        f"{len(repairs.both_wrong):,} wrong in both; difference {points_with_interval(comparison.difference)} points, "
        f"p {_equals(p_value(comparison.p_value))} (exact McNemar)"
    )


def _temperatures(found: EntrantMistakes) -> str:
    beside = found.beside
    others = "" if beside is None else f", of {beside.answers.name} {significant(beside.temperature)}"
    where = "validation" if found.split is not Split.VAL else "validation, these very images"
    return f"confidences are after temperature, fitted on {where}: {significant(found.temperature)}{others}"


def _equals(value: str) -> str:
    return value if value.startswith("<") else f"= {value}"


def _classes_json(found: EntrantMistakes) -> list[dict[str, Any]]:
    scores = found.scores
    columns: dict[str, Any] = {
        "class": found.classes,
        "precision": scores.precision.tolist(),
        "recall": scores.recall.tolist(),
        "f1": scores.f1.tolist(),
        "support": scores.support.tolist(),
    }
    if found.beside is not None:
        columns |= {"repaired": found.beside.repairs.by_class.repaired.tolist()}
        columns |= {"broken": found.beside.repairs.by_class.broken.tolist()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _beside_json(beside: Beside, numbers: NDArray[np.int64]) -> Mapping[str, Any]:
    repairs = beside.repairs
    return {
        "entrant": beside.answers.name,
        "accuracy": as_jsonable(beside.answers.accuracy),
        "temperature": beside.temperature,
        "repaired": numbers[repairs.repaired].tolist(),
        "broken": numbers[repairs.broken].tolist(),
        "both_wrong": len(repairs.both_wrong),
        "both_right": len(repairs.both_right),
        "difference": as_jsonable(repairs.comparison.difference),
        "p_value": repairs.comparison.p_value,
    }


def _table(title: str, left: Sequence[str], right: Sequence[str], *, first: str = "") -> Table:
    """Columns of words at the left and numbers at the right; `first` is a column of numbers before them."""
    # Names are data: Text keeps rich from reading "[...]" in them as markup.
    table = Table(box=box.SIMPLE_HEAD, title=Text(title, style="bold"), title_justify="left", pad_edge=False)
    if first:
        table.add_column(first, justify="right")
    for heading in left:
        table.add_column(heading)
    for heading in right:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))
