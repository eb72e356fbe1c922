"""Preflight of data sets with planted faults: each is found, counted and placed, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from planted import CLASSES, noise, noised

from benchmark.preflight import ClassRows, Duplicates, Findings, Place, preflight
from benchmark.preflight.checks import EXAMPLES, EXHIBITS
from benchmark.records import Dataset, Images, Split, SplitRows

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST


def rows_of(found: Duplicates) -> list[tuple[int, int]]:
    return [(pair.first.row, pair.second.row) for pair in found.examples]


def near(findings: Findings) -> tuple[Duplicates, ...]:
    assert findings.near is not None
    return findings.near


@pytest.mark.parametrize("size", [(16, 16, 3), (28, 28, 1), (21, 18, 3)])
def test_nothing_is_found_where_nothing_is_wrong(size: tuple[int, int, int]) -> None:
    findings = preflight(noise(size=size))
    assert findings.sizes == ((TRAIN, 60), (TEST, 30))
    assert (findings.identical, findings.near, findings.exhibits) == ((), (), ())
    assert (findings.groups, findings.constant, findings.empty, findings.scarce) == (0, (), (), ())


def test_identical_images_are_counted_by_parts_and_labels() -> None:
    dataset = noise()
    # Rows 3, 4, 6 of train have classes 0, 1, 0; row 9 of test has 0 and row 10 has 1.
    dataset.train.pixels[[4, 6]] = dataset.train.pixels[3]
    dataset.test.pixels[[9, 10]] = dataset.train.pixels[3]
    dataset.test.pixels[20] = dataset.train.pixels[20]
    findings = preflight(dataset)
    within_train, across, within_test = findings.identical
    assert findings.groups == 2
    assert within_train.splits == (TRAIN, TRAIN)
    assert (within_train.pairs, within_train.conflicting, within_train.images) == (3, 2, 3)
    # 3 x 2 pairs, of which (3, 10), (4, 9) and (6, 10) disagree; and the pair of rows 20, which agrees.
    assert across.splits == (TRAIN, TEST)
    assert (across.pairs, across.conflicting, across.images) == (7, 3, 3)
    assert across.examples[0].conflicting
    assert rows_of(across)[1:] == [(20, 20)]
    assert (within_test.splits, within_test.pairs, within_test.conflicting) == ((TEST, TEST), 1, 1)
    assert rows_of(within_test) == [(9, 10)]
    assert near(findings) == (), "identical images are no near duplicates"
    assert all(pair.identical for pair in findings.exhibits)


def test_near_duplicates_are_found_across_and_within_parts() -> None:
    dataset = noise()
    train, test = dataset.train.pixels, dataset.test.pixels
    test[3] = train[6] + 30  # brighter; classes 0 and 0
    test[4] = noised(train[9], 8)  # classes 1 and 0
    train[20] = train[30][:, ::-1]  # mirrored; classes 2 and 0
    test[7] = (train[40] // 2) + np.array([0, 20, 40], np.uint8)  # less contrast, another colour; classes 1 and 1
    test[12] = noised(test[11], 8)  # classes 0 and 2
    within_train, across, within_test = near(preflight(dataset))
    assert (within_train.splits, within_train.pairs, within_train.conflicting, within_train.images) == (
        *((TRAIN, TRAIN), 1, 1),
        2,
    )
    (pair,) = within_train.examples
    assert (pair.first, pair.second, pair.mirrored) == (Place(TRAIN, 20, 2), Place(TRAIN, 30, 0), True)
    assert pair.correlation == pytest.approx(1)
    assert (across.splits, across.pairs, across.conflicting, across.images) == ((TRAIN, TEST), 3, 1, 3)
    assert rows_of(across) == [(9, 4), (6, 3), (40, 7)], "contradicting labels first, then by correlation"
    assert not any(pair.mirrored or pair.identical for pair in across.examples)
    # Of a variance of (161^2 - 1) / 12 = 2160 and noise of (17^2 - 1) / 12 = 24.
    assert across.examples[0].correlation == pytest.approx((2160 / 2184) ** 0.5, abs=2e-3)
    assert (within_test.splits, rows_of(within_test), within_test.images) == ((TEST, TEST), [(11, 12)], 2)


def test_an_image_may_be_near_several() -> None:
    dataset = noise()
    for row in (1, 4, 7):
        dataset.test.pixels[row] = dataset.train.pixels[10] + row
    across, within_test = near(preflight(dataset))
    assert (across.pairs, across.images) == (3, 3)
    assert (within_test.pairs, within_test.images) == (3, 3)


def test_the_least_correlation_decides() -> None:
    dataset = noise()
    dataset.test.pixels[0] = noised(dataset.train.pixels[0], 40)  # variances 2160 and 547: correlation 0.893
    assert near(preflight(dataset, least=0.95)) == ()
    (across,) = near(preflight(dataset, least=0.85))
    assert rows_of(across) == [(0, 0)]


def test_validation_rows_are_a_part_of_their_own() -> None:
    dataset = noise()
    dataset.train.pixels[8] = dataset.train.pixels[5]
    dataset.train.pixels[11] = dataset.train.pixels[2] + 1
    dataset.test.pixels[1] = dataset.train.pixels[59] + 1
    val = np.array([5, 11, 59])
    findings = preflight(dataset, SplitRows(np.setdiff1d(np.arange(60), val), val))
    assert findings.sizes == ((TRAIN, 57), (VAL, 3), (TEST, 30))
    (identical,) = findings.identical
    assert identical.examples[0].first == Place(TRAIN, 8, 2)
    assert identical.examples[0].second == Place(VAL, 5, 2)
    across, of_val = near(findings)
    assert (across.splits, rows_of(across)) == ((TRAIN, VAL), [(2, 11)])
    assert (of_val.splits, rows_of(of_val)) == ((VAL, TEST), [(59, 1)])


def test_images_of_a_single_colour_are_named_and_near_none() -> None:
    dataset = noise()
    dataset.train.pixels[5] = (10, 20, 30)
    dataset.test.pixels[6] = 255
    dataset.test.pixels[7, :, :, :2] = 9  # its third channel still differs
    findings = preflight(dataset)
    assert findings.constant == (Place(TRAIN, 5, 2), Place(TEST, 6, 0))
    assert near(findings) == ()


def test_a_set_of_single_colours_is_no_error() -> None:
    dataset = noise(6, 3)
    for part in (dataset.train, dataset.test):
        part.pixels[:] = np.arange(len(part), dtype=np.uint8)[:, None, None, None]
    findings = preflight(dataset)
    assert len(findings.constant) == 9
    assert [(found.splits, found.pairs) for found in findings.identical] == [((TRAIN, TEST), 3)]
    assert near(findings) == ()


def test_classes_without_rows() -> None:
    dataset = noise(100, 30)
    # The even share of four classes is 25 and 7.5 rows: 2 are few of train, and 1 of test is not.
    train = np.array([0] * 49 + [1] * 49 + [3] * 2)
    test = np.array([0] * 29 + [3])
    labelled = Dataset(
        "planted",
        (*CLASSES, "yak"),
        Images(dataset.train.pixels, train),
        Images(dataset.test.pixels, test),
        dataset.fingerprint,
    )
    findings = preflight(labelled)
    assert findings.empty == ("frog",)
    assert findings.scarce == (ClassRows("yak", TRAIN, 2), ClassRows("dog", TEST, 0))


def test_small_images_have_no_near_duplicates() -> None:
    dataset = noise(size=(8, 16, 1))
    dataset.test.pixels[0] = dataset.train.pixels[0]
    findings = preflight(dataset)
    assert findings.near is None
    assert "8 x 16 pixels are too small" in findings.near_unknown
    assert len(findings.identical) == 1


def test_what_is_shown_is_bounded() -> None:
    dataset = noise(60, 60)
    steps = np.linspace(2, 30, 60).astype(int)
    for row, levels in enumerate(steps):
        dataset.test.pixels[row] = noised(dataset.train.pixels[row], levels)
    findings = preflight(dataset)
    (across,) = near(findings)
    assert across.pairs == 60
    assert len(across.examples) == EXAMPLES
    correlations = [pair.correlation for pair in findings.exhibits]
    assert len(correlations) == EXHIBITS
    assert correlations == sorted(correlations, reverse=True)
    middle = EXHIBITS // 2
    assert findings.exhibits[middle - 1].second.row < 25, "half are the nearest"
    assert findings.exhibits[middle].second.row > 35, "half are the least near"
