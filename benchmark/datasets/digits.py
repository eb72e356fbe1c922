"""scikit-learn's bundled handwritten digits: 1,797 gray images of 8 x 8; needs no network and no cache."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
    say("digits: reading the copy inside scikit-learn")
    published = _published()
    pixels = np.rint(published[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    whole = Images(pixels, published[:, -1].astype(np.int64))
    rows = stratified_split(whole.labels, TEST_ROWS, TEST_SEED)
    train, test = whole.take(rows.train), whole.take(rows.val)
    return Dataset("digits", tuple("0123456789"), train, test, fingerprint_of(train, test))


def _published() -> NDArray[np.float64]:
    """Rows of 64 pixels of ink, 0 to 16, and the digit, (1797, 65).

    The file is read where scikit-learn has it: importing that takes a second, in every process.
    """
    found = find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.exists():
            return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # another release, which has it elsewhere

    data, target = load_digits(return_X_y=True)
    return np.column_stack([data, target])
