"""Predictions are normalised, in the order of rows, and several views are an average of logits."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from benchmark.architectures import ARCHITECTURES
from benchmark.records import VIEWS, Dataset, Images, SplitRows
from benchmark.training import DeviceData, Part, choose_device, multiply_accumulates, predict, seconds_to_predict


@pytest.fixture(scope="module")
def data() -> DeviceData:
    random = np.random.default_rng(0)
    images = Images(random.integers(0, 256, (1103, 4, 5, 1), np.uint8), np.arange(1103, dtype=np.int64) % 3)
    dataset = Dataset("random", ("a", "b", "c"), images, images.take(np.arange(9)), "0")
    return DeviceData.load(dataset, SplitRows(np.arange(1003), np.arange(1003, 1103)), choose_device("cpu"))


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(20, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))


@pytest.mark.parametrize("views", VIEWS)
def test_equals_the_computation_by_hand(data: DeviceData, model: nn.Module, views: str) -> None:
    # More rows than one batch of predictions, and not a multiple of it.
    found = predict(model, data, data.train, views=views, precision="float32")
    model.eval()
    images = data.normalise(data.train.pixels)
    padded = functional.pad(images, (1, 1, 1, 1), mode="reflect")
    with torch.no_grad():
        logits = model(images)
        if views != "one":
            logits = (logits + model(images.flip(-1))) / 2
        if views == "six":
            # Down-right shows what lies up-left of the window, so its window starts there.
            corners = padded[:, :, :4, :5], padded[:, :, 2:, 2:]
            logits = logits / 2 + sum((model(corner) + model(corner.flip(-1))) / 8 for corner in corners)
    assert found.shape == (1003, 3)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, logits.log_softmax(dim=1))
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(1003))


@pytest.mark.parametrize(("most", "tried"), [(1000, [125]), (100, [125, 62]), (31, [125, 62, 31])])
def test_of_images_that_a_gpu_has_no_memory_for_half_as_many_are_predicted(
    data: DeviceData, model: nn.Module, most: int, tried: list[int]
) -> None:
    seen: list[int] = []

    class Short(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, images: Tensor) -> Tensor:
            seen.append(len(images))
            if len(images) > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return self.model(images)  # type: ignore[no-any-return]

    short = Short().train()
    found = predict(short, data, data.train, views="one", precision="float32")
    torch.testing.assert_close(found, predict(model, data, data.train, views="one", precision="float32"))
    assert sorted(set(seen) - {1003 % tried[-1]}, reverse=True) == tried
    assert short.training


def test_a_single_image_too_large_for_memory_is_an_error(data: DeviceData) -> None:
    class Full(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        predict(Full(), data, data.val, views="one")


def test_mirrored_views_matter_and_are_symmetric(data: DeviceData, model: nn.Module) -> None:
    plain = predict(model, data, data.val, views="one")
    mirrored = predict(model, data, data.val, views="two")
    assert not torch.allclose(plain, mirrored, atol=1e-3)
    assert not torch.allclose(predict(model, data, data.val, views="six"), mirrored, atol=1e-3)
    flipped = Part(data.val.pixels.flip(3).permute(0, 2, 3, 1), data.val.labels)
    torch.testing.assert_close(predict(model, data, flipped, views="two"), mirrored)


def test_every_view_is_paid_for_once(data: DeviceData) -> None:
    """The number of passes per image is the one that costs are counted with."""
    passes: list[int] = []

    class Counting(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            passes.append(len(images))
            return images.flatten(1)[:, :3]

    for views, count in VIEWS.items():
        passes.clear()
        predict(Counting(), data, data.val, views=views)
        assert sum(passes) == count * len(data.val)


def test_images_are_made_smaller(data: DeviceData) -> None:
    seen: set[torch.Size] = set()

    class Seeing(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.add(images.shape[2:])
            return images.flatten(1)[:, :3]

    predict(Seeing(), data, data.val, views="six", size=(3, 4))
    assert seen == {(3, 4)}


@pytest.mark.parametrize("training", [True, False])
def test_leaves_the_mode_and_the_statistics(data: DeviceData, model: nn.Module, training: bool) -> None:
    model.train(training)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    predict(model, data, data.val, views="six")
    assert model.training is training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_bfloat16_predictions_are_normalised_float32(data: DeviceData, model: nn.Module) -> None:
    found = predict(model, data, data.val, views="one", precision="bfloat16")
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.exp().sum(dim=1), torch.ones(100))


def test_the_time_to_predict_is_of_so_many_images_and_all_views_without_the_first_run(data: DeviceData) -> None:
    seen: list[int] = []

    class Slow(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(len(images))
            time.sleep(2 if len(seen) == 1 else 0.002)
            return images.flatten(1)[:, :3]

    model = Slow().train()
    assert 0.004 <= seconds_to_predict(model, data, 7, views="two") < 1
    assert set(seen) == {7}
    # Two views of one run that does not count, and of two that do, at least.
    assert len(seen) >= 6
    assert model.training


def test_multiply_accumulates_by_hand(data: DeviceData) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.Flatten(), nn.Linear(40, 3, bias=False))
    # 20 positions x 2 outputs x 9 inputs, and 40 x 3.
    assert multiply_accumulates(model, data) == 360 + 120


def test_multiply_accumulates_of_a_network_that_looks_at_its_numbers(data: DeviceData) -> None:
    class Looking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(20, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.head(images.flatten(1))
            return logits if logits.max().item() > -99 else -logits

    model = Looking().train()
    assert multiply_accumulates(model, data) == 60
    assert model.training


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_multiply_accumulates_from_shapes_are_those_of_a_pass(data: DeviceData, family: str) -> None:
    model = ARCHITECTURES[family].build(data.image_shape, data.num_classes).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found = multiply_accumulates(model, data)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.eval()(data.normalise(data.train.pixels[:1]))
    assert found == counter.get_total_flops() // 2 > 0
