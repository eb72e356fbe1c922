"""Validation rows, drawn out of the training rows; sees labels only, never pixels or test data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.records import SplitRows


def stratified_split(
    labels: NDArray[np.int64],
    val: int | float,
    seed: int,
    class_names: Sequence[str] | None = None,
    keys: NDArray[np.uint64] | None = None,
) -> SplitRows:
    """Divide rows into training and validation rows with the same share of every class.

    `labels` is (N,); `val` is a count of rows if an int, a share in (0, 1) of N, rounded, if a float. Each class gives
    its proportional number of rows, rounded by largest remainder (ties to the smaller label): the total is exact.

    Which rows: each class gives those with the smallest keys. Row i has the key `PCG64(seed).random_raw(N)[i]` where
    `keys` (N,) does not say. The raw stream of a bit generator is one that NumPy promises never to change; its shuffles
    are not.

    Raises BenchError where `val` or `seed` is out of range or a class, told by its name where these are given, would
    have no row left on one side.
    """
    rows = len(labels)
    wanted = _rows_wanted(val, rows)
    if seed < 0:
        raise BenchError(f"a split seed is 0 or more, not {seed}")
    classes, counts = np.unique(labels, return_counts=True)
    shares = _largest_remainder(counts, wanted)
    for label, count, share in zip(classes, counts, shares, strict=True):
        if not 0 < share < count:
            side = "validation" if share == 0 else "training"
            remedy = f"ask for {'more' if share == 0 else 'fewer'}" if count > 1 else "a class needs two rows at least"
            named = label if class_names is None else class_names[label]
            raise BenchError(
                f"{wanted} validation rows of {rows} leave class {named}, which has {count}, without {side} rows; "
                f"{remedy}"
            )
    keys = np.random.PCG64(seed).random_raw(rows) if keys is None else keys
    is_val = np.zeros(rows, bool)
    for label, share in zip(classes, shares, strict=True):
        of_class = np.flatnonzero(labels == label)
        is_val[of_class[np.argsort(keys[of_class], kind="stable")[:share]]] = True
    return SplitRows(train=np.flatnonzero(~is_val).astype(np.int64), val=np.flatnonzero(is_val).astype(np.int64))


def _rows_wanted(val: int | float, rows: int) -> int:
    if isinstance(val, bool) or (isinstance(val, float) and not 0 < val < 1):
        raise BenchError(
            f"a validation share lies between 0 and 1, not {val}; write a whole number for a count of rows"
        )
    wanted = round(val * rows) if isinstance(val, float) else int(val)
    if not 0 < wanted < rows:
        raise BenchError(
            f"cannot take {wanted} validation rows out of {rows} training rows; ask for "
            f"{'fewer' if wanted > 0 else 'more'}, or for a share of them such as val = 0.1"
        )
    return wanted


def _largest_remainder(counts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    shares, remainders = np.divmod(counts * total, counts.sum())
    missing = total - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    return shares
