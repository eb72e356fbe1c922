"""Findings in plain sentences, with counts and row numbers; finds nothing and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from benchmark.preflight._near import LEAST_DETAIL
from benchmark.preflight.findings import Duplicates, Findings, Pair, Place, SuspectLabel
from benchmark.wording import plural

LISTED = 10


def to_sentences(findings: Findings, classes: Sequence[str]) -> tuple[str, ...]:
    """One sentence for each finding, and for each check that found nothing; `classes` are the names of the labels."""
    sizes = dict(findings.sizes)
    criteria = f"correlation {findings.least:g} or more, of differences between neighbouring pixels {LEAST_DETAIL:g}"
    sentences = []
    if findings.identical:
        sentences.append(f"Identical images: {plural(findings.groups, 'group')}.")
        sentences += [_about(found, sizes[found.splits[1]], classes) for found in findings.identical]
    else:
        sentences.append("No two images are identical.")
    if findings.near is None:
        sentences.append(f"Near duplicates were not looked for: {findings.near_unknown}.")
    elif findings.near:
        sentences.append(f"Near duplicates, identical images not counted ({criteria}):")
        sentences += [_about(found, sizes[found.splits[1]], classes) for found in findings.near]
    else:
        sentences.append(f"No near duplicates ({criteria}).")
    return (*sentences, _about_constants(findings.constant), *_about_classes(findings))


def _about(found: Duplicates, size: int, classes: Sequence[str]) -> str:
    first, second = found.splits
    where = f"within {first}" if first is second else f"between {first} and {second}"
    share = f"{found.images:,} of {size:,} {second} images ({100 * found.images / size:.2f} %)"
    conflicts = f"{found.conflicting:,} of them with contradicting labels"
    examples = "; ".join(_in_words(pair, classes) for pair in found.examples)
    return f"- {where} {plural(found.pairs, 'pair')}, {conflicts}; {share}; such as {examples}."


def _in_words(pair: Pair, classes: Sequence[str]) -> str:
    first, second = (place_in_words(place, classes) for place in (pair.first, pair.second))
    return f"{first} and {second} ({nearness_in_words(pair)})"


def nearness_in_words(pair: Pair) -> str:
    """`identical`, or the correlation, such as `0.987 mirrored`."""
    if pair.identical:
        return "identical"
    return f"{pair.correlation:.3f} mirrored" if pair.mirrored else f"{pair.correlation:.3f}"


def place_in_words(place: Place, classes: Sequence[str]) -> str:
    """Such as `test 17 frog`; of the parts train and val, the row is that of the published training part."""
    return f"{place.split} {place.row} {classes[place.label]}"


def _about_constants(constant: Sequence[Place]) -> str:
    if not constant:
        return "No image is of a single colour."
    listed = ", ".join(f"{place.split} {place.row}" for place in constant[:LISTED])
    more = f" and {len(constant) - LISTED:,} more" if len(constant) > LISTED else ""
    return f"Of a single colour: {plural(len(constant), 'image')}, {listed}{more}."


def _about_classes(findings: Findings) -> list[str]:
    sentences = []
    if findings.empty:
        sentences.append(f"Classes without any image: {', '.join(findings.empty)}.")
    for split, scarce in groupby(findings.scarce, key=lambda rows: rows.split):
        listed = ", ".join(f"{rows.name} ({rows.rows:,})" for rows in scarce)
        sentences.append(f"Classes with no or few images in {split}: {listed}.")
    return sentences or ["Every class has its images in every part."]


def suspect_in_words(suspect: SuspectLabel, classes: Sequence[str]) -> str:
    """Such as `test 17 frog, rather cat (0.97 to 0.01, 95 % of the models)`."""
    return (
        f"{place_in_words(suspect.place, classes)}, rather {classes[suspect.suggested]} "
        f"({suspect.probability:.2f} to {suspect.label_probability:.2f}, {100 * suspect.agreement:.0f} % of the models)"
    )
