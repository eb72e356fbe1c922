"""The checks of a preflight, put together; draws nothing, trains nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from benchmark.preflight._near import NearPairs, near_pairs
from benchmark.preflight._pool import Pool, Rows
from benchmark.preflight.findings import ClassRows, Duplicates, Findings, Pair
from benchmark.records import Dataset, SplitRows

NEAR_DUPLICATE = 0.9
"""Chosen by looking at pairs of CIFAR-10: docs/decisions.md."""
RARE = 0.1
"""A class is scarce in a part where it has less than this share of an even share of the rows."""
EXAMPLES = 3
EXHIBITS = 40


def preflight(dataset: Dataset, split_rows: SplitRows | None = None, least: float = NEAR_DUPLICATE) -> Findings:
    """Look for duplicates, images of a single colour and classes without rows, the training part divided if asked.

    `least` is the correlation of pixels, in (0, 1], that near duplicates have at least, beside that of differences
    between neighbouring pixels. No such pair is missed. Memory holds 2 x 193 float32 numbers for each colour image, and
    blocks of fixed size; time grows with the square of the number of images. Images of a single colour have no
    correlation with others, and are in no near pair.
    """
    pool = Pool.of(dataset, split_rows)
    contents, is_constant = _contents(pool)
    groups = _groups(contents)
    identical = [
        found for one, other in pool.split_pairs() if (found := _identical(pool, groups, one, other)) is not None
    ]
    pairs, near_unknown = near_pairs(pool, np.flatnonzero(~is_constant), contents, least)
    near = None if pairs is None else tuple(_near_by_split(pool, pairs))
    exhibits = [pair for found in identical for pair in found.examples]
    exhibits += [] if pairs is None else _nearest_and_least_near(pool, pairs, EXHIBITS - len(exhibits))
    empty, scarce = _classes_short_of_rows(pool)
    return Findings(
        sizes=pool.sizes(),
        groups=len(groups),
        identical=tuple(identical),
        least=least,
        near=near,
        near_unknown=near_unknown,
        exhibits=tuple(exhibits),
        constant=tuple(pool.place(at) for at in np.flatnonzero(is_constant).tolist()),
        empty=empty,
        scarce=scarce,
    )


def _contents(pool: Pool) -> tuple[Rows, NDArray[np.bool_]]:
    """Of each image a number that only identical ones share, and whether it is of a single colour; (N,) each."""
    numbers: dict[bytes, int] = {}
    contents = np.empty(len(pool.labels), np.int64)
    is_constant = np.empty(len(pool.labels), bool)
    everything = np.arange(len(pool.labels))
    for chunk in pool.chunks(len(everything)):
        pixels = pool.pixels(everything[chunk])
        is_constant[chunk] = (pixels == pixels[:, :1, :1]).all(axis=(1, 2, 3))
        digests = (hashlib.sha256(image.data).digest() for image in pixels)
        contents[chunk] = [numbers.setdefault(digest, len(numbers)) for digest in digests]
    return contents, is_constant


def _groups(contents: Rows) -> list[Rows]:
    order = np.argsort(contents, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(contents[order])) + 1)
    return [group for group in groups if len(group) > 1]


def _identical(pool: Pool, groups: list[Rows], one: int, other: int) -> Duplicates | None:
    """Pairs are counted by class, not listed: of a thousand copies there are half a million."""
    classes = len(pool.dataset.classes)
    pairs = agreeing = images = 0
    examples: list[Pair] = []
    for group in groups:
        firsts, seconds = group[pool.part[group] == one], group[pool.part[group] == other]
        of_first, of_second = (np.bincount(pool.labels[some], minlength=classes) for some in (firsts, seconds))
        if one == other:
            count, agree = len(firsts) * (len(firsts) - 1) // 2, int((of_first * (of_first - 1)).sum()) // 2
        else:
            count, agree = len(firsts) * len(seconds), int(of_first @ of_second)
        if count:
            pairs, agreeing, images = pairs + count, agreeing + agree, images + len(seconds)
            examples.append(_example(pool, firsts, seconds))
    if not pairs:
        return None
    examples.sort(key=lambda pair: not pair.conflicting)
    splits = (pool.splits[one], pool.splits[other])
    return Duplicates(splits, pairs, pairs - agreeing, images, tuple(examples[:EXAMPLES]))


def _example(pool: Pool, firsts: Rows, seconds: Rows) -> Pair:
    """Two different images, with contradicting labels if there are such."""
    for first in firsts:
        against = seconds[pool.labels[seconds] != pool.labels[first]]
        if len(against):
            return Pair(pool.place(first), pool.place(against[0]), 1.0, identical=True)
    return Pair(pool.place(firsts[0]), pool.place(seconds[seconds != firsts[0]][0]), 1.0, identical=True)


def _near_by_split(pool: Pool, pairs: NearPairs) -> Iterator[Duplicates]:
    conflicting = pool.labels[pairs.first] != pool.labels[pairs.second]
    for one, other in pool.split_pairs():
        here = np.flatnonzero((pool.part[pairs.first] == one) & (pool.part[pairs.second] == other))
        if not len(here):
            continue
        members = [pairs.second[here], pairs.first[here]][: 1 + (one == other)]
        examples = here[np.argsort(~conflicting[here], kind="stable")][:EXAMPLES]
        yield Duplicates(
            (pool.splits[one], pool.splits[other]),
            len(here),
            int(conflicting[here].sum()),
            len(np.unique(np.concatenate(members))),
            tuple(pairs.pair(pool, at) for at in examples),
        )


def _nearest_and_least_near(pool: Pool, pairs: NearPairs, number: int) -> list[Pair]:
    count = len(pairs.first)
    nearest = min(count, number - number // 2)
    shown = [*range(nearest), *range(max(nearest, count - number // 2), count)]
    return [pairs.pair(pool, at) for at in shown]


def _classes_short_of_rows(pool: Pool) -> tuple[tuple[str, ...], tuple[ClassRows, ...]]:
    classes = pool.dataset.classes
    counts = np.zeros((len(pool.splits), len(classes)), np.int64)
    np.add.at(counts, (pool.part, pool.labels), 1)
    empty = counts.sum(axis=0) == 0
    even = counts.sum(axis=1, keepdims=True) / len(classes)
    scarce = np.argwhere((counts < RARE * even) & ~empty)
    return (
        tuple(name for name, is_empty in zip(classes, empty, strict=True) if is_empty),
        tuple(ClassRows(classes[label], pool.splits[part], int(counts[part, label])) for part, label in scarce),
    )
