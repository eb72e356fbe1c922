"""scikit-learn's bundled handwritten digits: 1,797 gray images of 8 x 8; needs no network and no cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.datasets import DATASETS, Say
from benchmark.datasets._fingerprint import fingerprint_of
from benchmark.errors import BenchError
from benchmark.records import Dataset, Images
from benchmark.splits import stratified_split

TEST_ROWS = 500
TEST_SEED = 0
"""The set is published without a test part; these two define ours, and changing either makes a different data set."""


@DATASETS.register(
    "digits",
    space={},
    reference="Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI; test part of 1,797 images",
)
def digits(folder: Path | None, say: Say) -> Dataset:
    """1,297 training and 500 test images (8, 8, 1), the digits 0 to 9; ink of 0..16 is scaled to 0..255, rounded.

    The test part is `stratified_split(labels, TEST_ROWS, TEST_SEED)`. Raises BenchError where a folder is named: the
    images come with scikit-learn.
    """
    if folder is not None:
        raise BenchError(f"digits comes with scikit-learn and is not read from a folder; leave out {folder}")
    from sklearn.datasets import load_digits  # a second of import that other data sets need not pay

    say("digits: reading the copy inside scikit-learn")
    published = load_digits()
    pixels = np.rint(published.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    whole = Images(pixels, published.target.astype(np.int64))
    rows = stratified_split(whole.labels, TEST_ROWS, TEST_SEED)
    train, test = whole.take(rows.train), whole.take(rows.val)
    return Dataset("digits", tuple("0123456789"), train, test, fingerprint_of(train, test))
