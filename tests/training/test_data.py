"""The resident data set and the stream of batches out of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmark.augmentations import Batch
from benchmark.augmentations.pipeline import Pipeline
from benchmark.records import Choice, Dataset, Images, SplitRows
from benchmark.training import DeviceData, choose_device
from benchmark.training import data as loading
from benchmark.training.data import BatchStream, Part


def resident(rows: int = 12, seed: int = 0) -> tuple[DeviceData, Dataset, SplitRows]:
    random = np.random.default_rng(seed)
    images = Images(random.integers(0, 256, (rows + 4, 5, 6, 3), np.uint8), np.arange(rows + 4, dtype=np.int64) % 3)
    test = Images(random.integers(0, 256, (7, 5, 6, 3), np.uint8), np.arange(7, dtype=np.int64) % 3)
    dataset = Dataset("random", ("a", "b", "c"), images, test, "0")
    order = random.permutation(rows + 4)
    split = SplitRows(np.sort(order[4:]), np.sort(order[:4]))
    return DeviceData.load(dataset, split, choose_device("cpu")), dataset, split


def test_parts_are_the_rows_of_the_split() -> None:
    data, dataset, split = resident()
    for part, images in (
        (data.train, dataset.train.take(split.train)),
        (data.val, dataset.train.take(split.val)),
        (data.test, dataset.test),
    ):
        np.testing.assert_array_equal(part.pixels.permute(0, 2, 3, 1).numpy(), images.pixels)
        np.testing.assert_array_equal(part.labels.numpy(), images.labels)
    assert data.image_shape == dataset.image_shape
    assert data.num_classes == 3


def test_on_a_cpu_images_are_used_where_they_lie() -> None:
    """As those of a mapped file are, which nobody may write to."""
    _, dataset, split = resident()
    for part in (dataset.train, dataset.test):
        part.pixels.flags.writeable = False
        part.labels.flags.writeable = False
    data = DeviceData.load(dataset, split, choose_device("cpu"))
    joined = data.with_val_in_train()
    of_train, of_test = (part.pixels.ctypes.data for part in (dataset.train, dataset.test))
    for part, start in ((data.train, of_train), (data.val, of_train), (joined.train, of_train), (data.test, of_test)):
        assert part.images.data_ptr() == start
    assert torch.equal(joined.train.pixels, torch.cat([data.train.pixels, data.val.pixels]))
    assert torch.equal(joined.train.labels, torch.cat([data.train.labels, data.val.labels]))
    few = data.train.spread(0.5)
    assert few.images.data_ptr() == of_train
    assert torch.equal(few.take(slice(1, 3)), few.pixels[1:3])
    assert torch.equal(few.only(torch.tensor([2, 0])).pixels, few.pixels[[2, 0]])


def test_on_another_device_a_part_has_its_own_rows_alone() -> None:
    data, _, _ = resident()
    there = data.val.to(torch.device("meta"))
    assert there.rows is None
    assert there.images.device.type == there.labels.device.type == "meta"
    assert there.images.shape == (4, 5, 6, 3)
    # Of separate images the pixels are put together.
    separate = Part(data.train.images[data.train.rows], data.train.labels)
    joined = separate.followed_by(data.val)
    assert joined.rows is None
    assert torch.equal(joined.pixels, torch.cat([data.train.pixels, data.val.pixels]))


def test_pixels_are_in_channels_last_memory_however_they_are_taken() -> None:
    data, _, _ = resident()
    for part in (data.train, data.test):
        for which in (slice(2, 6), torch.tensor([3, 1])):
            assert part.take(which).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("at_once", [5, 1000])
def test_channel_statistics_are_numpys_of_the_training_rows(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(loading, "_COUNTED_AT_ONCE", at_once)
    data, dataset, split = resident()
    pixels = dataset.train.pixels[split.train].astype(np.float64) / 255
    np.testing.assert_allclose(data.mean.numpy(), pixels.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(data.std.numpy(), pixels.std(axis=(0, 1, 2)), rtol=1e-6)
    normal = data.normalise(data.train.pixels)
    np.testing.assert_allclose(normal.mean(dim=(0, 2, 3)).numpy(), 0, atol=1e-5)
    np.testing.assert_allclose(normal.std(dim=(0, 2, 3), correction=0).numpy(), 1, rtol=1e-5)


def test_a_constant_channel_stays_finite() -> None:
    images = Images(np.full((6, 4, 4, 1), 7, np.uint8), np.arange(6, dtype=np.int64) % 2)
    dataset = Dataset("grey", ("a", "b"), images, images, "0")
    data = DeviceData.load(dataset, SplitRows(np.arange(4), np.array([4, 5])), choose_device("cpu"))
    assert data.normalise(data.train.pixels).abs().max().item() < 1e-3


def test_a_statistic_is_of_all_classes_though_the_rows_are_sorted_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_STATISTICS_IMAGES", 4)
    pixels = np.repeat(np.array([0, 200], np.uint8), 10)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    images = Images(pixels, np.repeat(np.arange(2), 10))
    dataset = Dataset("sorted", ("dark", "bright"), images, images, "0")
    data = DeviceData.load(dataset, SplitRows(np.arange(19), np.array([19])), choose_device("cpu"))
    seen = data.statistics(lambda some: some.mean(dim=(1, 2, 3)))
    assert (seen < 0).tolist() == [True, True, False, False]


def test_a_statistic_of_the_training_images_is_asked_for_once_per_set_of_them() -> None:
    asked = []

    def mean(images: torch.Tensor) -> torch.Tensor:
        asked.append(len(images))
        return images.mean()

    data, _, _ = resident()
    torch.testing.assert_close(data.statistics(mean), data.normalise(data.train.pixels).mean())
    assert data.statistics(mean) is data.statistics(mean)
    more = data.with_val_in_train()
    torch.testing.assert_close(more.statistics(mean), more.normalise(more.train.pixels).mean())
    assert asked == [12, 16]


def test_normalise_takes_floats_alike_and_leaves_its_argument() -> None:
    data, _, _ = resident()
    pixels = data.train.pixels.clone()
    floats = pixels.float() / 255
    kept = floats.clone()
    torch.testing.assert_close(data.normalise(floats), data.normalise(pixels))
    assert torch.equal(floats, kept)
    assert torch.equal(pixels, data.train.pixels)


def test_images_of_data_to_ask_networks_with_stay_with_the_host() -> None:
    data, dataset, split = resident()
    asked = DeviceData.to_ask(dataset, split, replace(data.where, device=torch.device("meta")))
    for one in (asked, asked.with_val_in_train()):
        assert {part.pixels.device.type for part in (one.train, one.val, one.test)} == {"cpu"}
        assert one.mean.device.type == one.std.device.type == one.where.device.type == "meta"
        assert one.normalise(one.test.pixels).device.type == "meta"
    same = DeviceData.to_ask(dataset, split, data.where)
    assert torch.equal(same.normalise(same.test.pixels), data.normalise(data.test.pixels))


def rows_of(data: DeviceData, images: torch.Tensor) -> list[int]:
    """The training rows that the images are."""
    all_rows = data.normalise(data.train.pixels)
    distances = (images[:, None] - all_rows[None]).abs().amax(dim=(2, 3, 4))
    assert (distances.min(dim=1).values < 1e-5).all()
    return distances.argmin(dim=1).tolist()


def test_every_row_once_per_epoch_in_a_new_order() -> None:
    data, _, _ = resident(rows=12)
    batches = list(itertools.islice(iter(BatchStream(data, (), 4, seed=1)), 6))
    epochs = [[row for images, _ in batches[start : start + 3] for row in rows_of(data, images)] for start in (0, 3)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(12))
    assert epochs[0] != epochs[1]
    images, targets = batches[0]
    assert targets.argmax(dim=1).tolist() == data.train.labels[rows_of(data, images)].tolist()
    assert targets.sum(dim=1).tolist() == [1.0] * 4


def test_whole_batches_only() -> None:
    data, _, _ = resident(rows=11)
    batches = list(itertools.islice(iter(BatchStream(data, (), 4, seed=1)), 4))
    assert [len(images) for images, _ in batches] == [4] * 4
    first = [row for images, _ in batches[:2] for row in rows_of(data, images)]
    assert len(set(first)) == 8


def test_a_batch_larger_than_the_data_is_the_data() -> None:
    data, _, _ = resident(rows=5)
    stream = BatchStream(data, (), 64, seed=1)
    images, _ = next(iter(stream))
    assert stream.batch_size == 5
    assert sorted(rows_of(data, images)) == list(range(5))


AUGMENTED = (Choice("mixup", {"alpha": 0.3}), Choice("flip", {"mode": "random"}), Choice("crop", {"pixels": 1}))


@pytest.mark.parametrize("augmentations", [(), AUGMENTED])
def test_the_seed_decides_the_batches(augmentations: tuple[Choice, ...]) -> None:
    data, _, _ = resident()

    def pixels(seed: int) -> torch.Tensor:
        return torch.cat([images for images, _ in itertools.islice(iter(BatchStream(data, augmentations, 4, seed)), 5)])

    assert torch.equal(pixels(1), pixels(1))
    assert not torch.equal(pixels(1), pixels(2))


def test_the_order_of_augmentations_is_the_registrys() -> None:
    data, _, _ = resident()
    forward, backward = (next(iter(BatchStream(data, chosen, 6, 3))) for chosen in (AUGMENTED, AUGMENTED[::-1]))
    assert torch.equal(forward[0], backward[0])
    assert torch.equal(forward[1], backward[1])


@pytest.fixture
def _three_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three batches of four are prepared together, as on a GPU."""
    monkeypatch.setitem(loading.BATCHES_AT_ONCE, "cpu", 3)


def counted_pipelines(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of images that are augmented at once, as they come."""
    sizes: list[int] = []

    class Counting(Pipeline):
        def __call__(self, batch: Batch) -> Batch:
            sizes.append(len(batch.images))
            return super().__call__(batch)

    monkeypatch.setattr(loading, "Pipeline", Counting)
    return sizes


@pytest.mark.usefixtures("_three_at_once")
def test_batches_that_are_prepared_together_are_of_one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _, _ = resident(rows=21)
    sizes = counted_pipelines(monkeypatch)
    batches = list(itertools.islice(iter(BatchStream(data, (), 4, seed=1)), 10))
    assert sizes == [12, 8, 12, 8]
    assert [len(images) for images, _ in batches] == [4] * 10
    for start in (0, 5):
        rows = [row for images, _ in batches[start : start + 5] for row in rows_of(data, images)]
        assert len(set(rows)) == 20
    for images, targets in batches:
        assert targets.argmax(dim=1).tolist() == data.train.labels[rows_of(data, images)].tolist()
        assert images.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures("_three_at_once")
@pytest.mark.parametrize(("images", "expected"), [(11, [8, 8]), (7, [4, 4, 4])])
def test_of_large_images_fewer_batches_are_prepared_together(
    monkeypatch: pytest.MonkeyPatch, images: int, expected: list[int]
) -> None:
    monkeypatch.setattr(loading, "_PIXELS_AT_ONCE", images * 5 * 6)
    data, _, _ = resident(rows=21)
    sizes = counted_pipelines(monkeypatch)
    list(itertools.islice(iter(BatchStream(data, (), 4, seed=1)), 3))
    assert sizes == expected


def test_a_batch_at_a_time_is_prepared_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    data, _, _ = resident(rows=21)
    sizes = counted_pipelines(monkeypatch)
    list(itertools.islice(iter(BatchStream(data, (), 4, seed=1)), 6))
    assert sizes == [4] * 6


@pytest.mark.usefixtures("_three_at_once")
@pytest.mark.parametrize("taken", range(12))
def test_a_stream_goes_on_within_batches_that_were_prepared_together(taken: int) -> None:
    data, _, _ = resident(rows=21)
    stream = BatchStream(data, AUGMENTED, 4, seed=1)
    for _ in range(taken):
        next(stream)
    state = stream.state_dict()
    expected = [next(stream) for _ in range(6)]
    other = BatchStream(data, AUGMENTED, 4, seed=2)
    next(other)
    other.load_state_dict(state)
    for one, (images, targets) in zip(expected, other, strict=False):
        assert torch.equal(one[0], images)
        assert torch.equal(one[1], targets)
    assert torch.equal(other.state_dict()["generator"], stream.state_dict()["generator"])


@pytest.mark.parametrize(("share", "count"), [(1.0, 10), (0.5, 5), (0.3, 3), (0.01, 1)])
def test_spread_keeps_a_share(share: float, count: int) -> None:
    data, _, _ = resident(rows=10)
    part = data.train.spread(share)
    assert len(part) == len(part.pixels) == count
    assert torch.equal(part.pixels[0], data.train.pixels[0])
