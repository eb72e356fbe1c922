"""Pairs of images that are nearly the same, by correlation; asks for no label and no part.

Every pair is compared, but most of them by an upper bound of their correlation only, which takes 193 numbers of a
colour image, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.preflight._pool import Pool, Rows
from benchmark.preflight.findings import Pair

LEAST_DETAIL = 0.5
"""Correlation of the differences between neighbouring pixels, from which on a pair is near: docs/decisions.md."""
LEAST_SIDE = 16
"""Pixels; images with a smaller side are alike by chance, and near duplicates are not looked for."""
MOST_CANDIDATES = 3_000_000
"""Pairs that are compared in full; a set with more is one that correlation cannot tell apart."""

COARSE_SIDE = 8
BLOCK_ROWS = 2048
SLACK = 1e-5
"""For rounding in the bounds."""


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Near pairs, the nearest first: images by number in the pool, the first one the smaller; (P,) each."""

    first: Rows
    second: Rows
    correlation: NDArray[np.float32]
    mirrored: NDArray[np.bool_]

    def pair(self, pool: Pool, at: int) -> Pair:
        """The pair of this number, with its places in the data set."""
        first, second = pool.place(self.first[at]), pool.place(self.second[at])
        return Pair(first, second, float(self.correlation[at]), bool(self.mirrored[at]))


def near_pairs(pool: Pool, varied: Rows, contents: Rows, least: float) -> tuple[NearPairs | None, str]:
    """All pairs of `varied` images, of different `contents`, that correlate by `least` and in detail by `LEAST_DETAIL`.

    `varied` (V,) are images of more than a single colour, by number in the pool; `contents` (N,) is the same number for
    identical images. None and the reason where correlation cannot tell near duplicates.
    """
    height, width = pool.dataset.train.pixels.shape[1:3]
    if min(height, width) < LEAST_SIDE:
        return None, f"images of {height} x {width} pixels are too small to tell near duplicates from similar images"
    found = [NearPairs(varied[:0], varied[:0], np.empty(0, np.float32), np.empty(0, bool))]
    compared = 0
    for first, second, mirrored in _candidates(pool, varied, least):
        new = contents[first] != contents[second]
        first, second = first[new], second[new]
        compared += len(first)
        if compared > MOST_CANDIDATES:
            return None, "too many images look the same in few pixels to tell near duplicates by correlation"
        correlation = _correlations(pool, first, second, mirrored)
        near = correlation >= least
        near[near] = _detail_correlations(pool, first[near], second[near], mirrored) >= LEAST_DETAIL
        found.append(NearPairs(first[near], second[near], correlation[near], np.full(near.sum(), mirrored)))
    return _joined(found), ""


def _joined(found: Sequence[NearPairs]) -> NearPairs:
    """One after the other in order of correlation; a pair that is near both ways counts once, as the nearer."""
    columns = ((pairs.first, pairs.second, pairs.correlation, pairs.mirrored) for pairs in found)
    first, second, correlation, mirrored = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((mirrored, second, first, -correlation))
    _, kept = np.unique(np.column_stack([first, second])[order], axis=0, return_index=True)
    order = order[np.sort(kept)]
    return NearPairs(first[order], second[order], correlation[order], mirrored[order])


def _candidates(pool: Pool, varied: Rows, least: float) -> Iterator[tuple[Rows, Rows, bool]]:
    """Pairs that may be near, and whether one is mirrored: block by block, each pair with the smaller number first.

    Descriptors are unit vectors whose product is an upper bound of the correlation of the images, so none is missed.
    """
    plain, flipped = _descriptors(pool, varied)
    for start in range(0, len(varied), BLOCK_ROWS):
        for mirrored, others in ((False, plain), (True, flipped)):
            for other in range(start, len(varied), BLOCK_ROWS):
                bounds = plain[start : start + BLOCK_ROWS] @ others[other : other + BLOCK_ROWS].T
                first, second = np.divmod(np.flatnonzero(bounds >= least - SLACK), bounds.shape[1])
                later = first + start < second + other
                if later.any():
                    yield varied[first[later] + start], varied[second[later] + other], mirrored


def _descriptors(pool: Pool, at: Rows) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of each image and of its mirror image: float32 (V, 8 x 8 x C + 1), of norm 1.

    An image less its mean, as a unit vector, is projected onto the images that are constant on each of 8 x 8 cells;
    the last number is the length of what the projection lost. By Cauchy and Schwarz, what two images lost adds at most
    the product of these lengths to their correlation.
    """
    cells = COARSE_SIDE**2 * pool.dataset.image_shape.channels
    plain, flipped = (np.empty((len(at), cells + 1), np.float32) for _ in range(2))
    for chunk in pool.chunks(len(at)):
        standardised = _standardised(pool.pixels(at[chunk]))
        for descriptors, images in ((plain, standardised), (flipped, standardised[..., ::-1])):
            coarse = _over_cells(_over_cells(images, axis=2), axis=3).reshape(len(images), -1)
            descriptors[chunk, :-1] = coarse
            descriptors[chunk, -1] = np.sqrt(np.maximum(0, 1 - np.square(coarse).sum(axis=1)))
    return plain, flipped


def _over_cells(images: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Coordinates with respect to the unit vectors that are constant on one of 8 ranges of an axis and 0 elsewhere."""
    length = images.shape[axis]
    edges = np.arange(COARSE_SIDE) * length // COARSE_SIDE
    lengths = np.diff([*edges, length]).astype(np.float32)
    shape = [-1 if number == axis else 1 for number in range(images.ndim)]
    summed: NDArray[np.float32] = np.add.reduceat(images, edges, axis=axis)
    summed /= np.sqrt(lengths).reshape(shape)
    return summed


def _standardised(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each channel less its mean, then the image with norm 1, (N, C, H, W); NaN for an image of a single colour."""
    # channels first, so that numpy's inner loops run over rows of pixels and not over three channels
    images = pixels.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    images -= images.mean(axis=(2, 3), keepdims=True)
    images /= np.sqrt(np.square(images).sum(axis=(1, 2, 3), keepdims=True))
    return images


def _correlations(pool: Pool, first: Rows, second: Rows, mirrored: bool) -> NDArray[np.float32]:
    found = np.empty(len(first), np.float32)
    for chunk in pool.chunks(len(first)):
        ours, others = _standardised(pool.pixels(first[chunk])), _standardised(pool.pixels(second[chunk]))
        found[chunk] = np.einsum("nchw,nchw->n", ours, others[..., ::-1] if mirrored else others)
    return found


def _detail_correlations(pool: Pool, first: Rows, second: Rows, mirrored: bool) -> NDArray[np.float32]:
    """Of differences between pixels side by side and one below the other, whose mean is taken to be 0."""
    found = np.empty(len(first), np.float32)
    for chunk in pool.chunks(len(first)):
        others = pool.pixels(second[chunk])
        ours, theirs = _differences(pool.pixels(first[chunk])), _differences(others[:, :, ::-1] if mirrored else others)
        found[chunk] = np.einsum("nd,nd->n", ours, theirs)
    return found


def _differences(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    signed = pixels.astype(np.float32)
    both = (np.diff(signed, axis=axis).reshape(len(pixels), -1) for axis in (1, 2))
    differences: NDArray[np.float32] = np.concatenate([*both], axis=1)
    differences /= np.linalg.norm(differences, axis=1, keepdims=True)
    return differences
