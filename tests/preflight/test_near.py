"""The search by blocks and bounds finds what comparing every pair in full finds."""

from __future__ import annotations

import numpy as np
import pytest
from planted import noise
from scipy.ndimage import gaussian_filter

from benchmark.preflight import _near
from benchmark.preflight._near import near_pairs
from benchmark.preflight._pool import Pool
from benchmark.records import Dataset, Images


def smooth(size: tuple[int, int, int]) -> Dataset:
    """Blurred noise: correlations of all sizes."""
    sharp = noise(40, 23, size)

    def blurred(images: Images) -> Images:
        soft = gaussian_filter(images.pixels.astype(float), (0, 4, 4, 0))
        return Images(np.rint((soft - soft.min()) * 255 / np.ptp(soft)).astype(np.uint8), images.labels)

    return Dataset("smooth", sharp.classes, blurred(sharp.train), blurred(sharp.test), sharp.fingerprint)


def by_all_pairs(dataset: Dataset, least: float) -> dict[tuple[int, int], tuple[float, bool]]:
    pixels = np.concatenate([dataset.train.pixels, dataset.test.pixels]).astype(float)
    centred = pixels - pixels.mean(axis=(1, 2), keepdims=True)
    flat, flipped = (some.reshape(len(some), -1) for some in (centred, centred[:, :, ::-1]))
    norms = np.linalg.norm(flat, axis=1)
    plain, mirrored = (flat @ others.T / np.outer(norms, norms) for others in (flat, flipped))
    found = {}
    for first, second in zip(*np.triu_indices(len(flat), k=1), strict=True):
        as_it_is, as_mirrored = plain[first, second], mirrored[first, second]
        if max(as_it_is, as_mirrored) >= least:
            found[int(first), int(second)] = (max(as_it_is, as_mirrored), bool(as_mirrored > as_it_is))
    return found


@pytest.mark.parametrize("size", [(16, 16, 3), (32, 32, 1), (19, 29, 3)])
@pytest.mark.parametrize("least", [0.2, 0.5])
def test_bounds_miss_no_pair(monkeypatch: pytest.MonkeyPatch, size: tuple[int, int, int], least: float) -> None:
    monkeypatch.setattr(_near, "BLOCK_ROWS", 7)
    monkeypatch.setattr(_near, "LEAST_DETAIL", -1)
    dataset = smooth(size)
    expected = by_all_pairs(dataset, least)
    pool = Pool.of(dataset, None)
    everything = np.arange(63)
    pairs, unknown = near_pairs(pool, everything, everything, least)
    assert pairs is not None
    assert unknown == ""
    found = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
    assert set(found) == set(expected)
    assert 5 < len(found) == len(set(found)) < 63 * 62 / 2
    assert pairs.correlation == pytest.approx([expected[pair][0] for pair in found], abs=1e-5)
    assert pairs.mirrored.tolist() == [expected[pair][1] for pair in found]
    assert 0 < pairs.mirrored.sum() < len(found)
    assert (np.diff(pairs.correlation) <= 0).all()


def test_most_pairs_are_compared_by_their_bound_only(monkeypatch: pytest.MonkeyPatch) -> None:
    # One pair in full, and of 1,953 no second.
    monkeypatch.setattr(_near, "MOST_CANDIDATES", 1)
    dataset = smooth((32, 32, 3))
    dataset.test.pixels[3] = dataset.train.pixels[5] // 2
    everything = np.arange(63)
    pairs, _ = near_pairs(Pool.of(dataset, None), everything, everything, 0.95)
    assert pairs is not None
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([5], [43])


def test_images_that_all_look_the_same_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_near, "MOST_CANDIDATES", 100)
    dataset = noise(20, 10)
    dataset.train.pixels[:] = np.maximum(
        dataset.train.pixels[:1], np.arange(20, dtype=np.uint8)[:, None, None, None] + 41
    )
    everything = np.arange(30)
    pairs, unknown = near_pairs(Pool.of(dataset, None), everything, everything, 0.95)
    assert pairs is None
    assert "too many images look the same" in unknown


def test_two_images_with_one_horizon_are_not_near(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = noise(20, 10, (32, 32, 3))
    rng = np.random.default_rng(2)
    step = np.where(np.arange(32) < 16, 210, 110)[:, np.newaxis, np.newaxis]
    for row in (3, 8):
        dataset.train.pixels[row] = step + rng.integers(-20, 21, (32, 32, 3))
    pool, everything = Pool.of(dataset, None), np.arange(30)
    # The step has a variance of 50^2, the noise one of (41^2 - 1) / 12 = 140.
    (correlation,) = _near._correlations(pool, everything[[3]], everything[[8]], False)
    assert correlation == pytest.approx(2500 / 2640, abs=0.01)
    # Of 2 x 31 x 32 differences of a channel the step is in 32; all have twice the variance of the noise.
    (detail,) = _near._detail_correlations(pool, everything[[3]], everything[[8]], False)
    assert detail == pytest.approx(32 * 100**2 / (32 * 100**2 + 1984 * 280), abs=0.03)
    pairs, _ = near_pairs(pool, everything, everything, 0.9)
    assert pairs is not None
    assert len(pairs.first) == 0
    monkeypatch.setattr(_near, "LEAST_DETAIL", 0.3)
    pairs, _ = near_pairs(pool, everything, everything, 0.9)
    assert pairs is not None
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([3], [8])


def test_detail_is_compared_with_the_mirror_image() -> None:
    dataset = noise(20, 10)
    dataset.test.pixels[2] = dataset.train.pixels[4][:, ::-1]
    pool, everything = Pool.of(dataset, None), np.arange(30)
    first, second = everything[[4]], everything[[22]]
    assert _near._detail_correlations(pool, first, second, True) == pytest.approx([1])
    assert abs(_near._detail_correlations(pool, first, second, False)[0]) < 0.2
