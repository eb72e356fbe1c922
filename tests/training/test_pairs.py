"""Every fast path equals the plain one: same seed, same batches, within the tolerance that each test states.

The plain paths here are as simple as they can be: one image after another where images are independent, contiguous
memory, float32, and optimizers written out. Fast are channels_last, autocast, batched indices, fused steps.
"""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_runs import CONFIG, halves, run
from torch import Tensor, nn
from torch.nn import functional

from benchmark.architectures import ARCHITECTURES
from benchmark.architectures.cnn import _patch_matrices
from benchmark.augmentations import AUGMENTATIONS, Batch
from benchmark.records import Choice, ImageShape, TrialConfig
from benchmark.training import BatchStream, DeviceData, Stepper, predict, prediction
from benchmark.training.growth import resized

STEPS = 10
MUON = {"lr": 0.02, "momentum": 0.6, "weight_decay": 1e-3, "sgd_lr": 0.02, "bias_scale": 2.0, "unit_filters": True}
STEPPING = replace(
    CONFIG,
    optimizer=Choice("sgd", {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3, "bias_scale": 2.0}),
    schedule=Choice("linear", {"warmup": 0.0}),
    batch_size=32,
    label_smoothing=0.1,
)


@pytest.fixture(scope="module")
def data() -> DeviceData:
    return halves(12)


# The step -------------------------------------------------------------------------------------------------------------

CONVOLUTIONS = (0, 3, 7, 10, 14, 17)
"""Places of the convolutions in the plain cnn of depth 2; each has a norm after it, and every second a pool."""


class PlainRun:
    """A run of the plain cnn, in tensors and arithmetic."""

    def __init__(self, config: TrialConfig, weights: dict[str, Tensor]) -> None:
        self.config = config
        self.weights = {name: value.detach().clone().contiguous() for name, value in weights.items()}
        self.averaged = {name: value.clone() for name, value in self.weights.items()}
        self.momenta = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.squares = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        self.trained = [name for name in self.weights if name.endswith(("weight", "bias"))]
        self.done = 0

    def step(self, images: Tensor, targets: Tensor, share: float) -> float:
        for name in self.trained:
            self.weights[name].requires_grad_(True)
        loss = smoothed_cross_entropy(self.logits(images), targets, self.config.label_smoothing)
        gradients = dict(
            zip(self.trained, torch.autograd.grad(loss, [self.weights[name] for name in self.trained]), strict=True)
        )
        for name in self.trained:
            self.weights[name].requires_grad_(False)
        if self.config.clip_norm:
            norm = sum(gradient.square().sum() for gradient in gradients.values()) ** 0.5
            gradients = {name: value * min(1.0, self.config.clip_norm / norm) for name, value in gradients.items()}
        for name, gradient in gradients.items():
            self.weights[name] = self.moved(name, gradient, rate=1 - share)
        self.done += 1
        self.average(share)
        return loss.item()

    def logits(self, x: Tensor) -> Tensor:
        for place in CONVOLUTIONS:
            x = functional.conv2d(x, self.weights[f"features.{place}.weight"], padding=1)
            x = self.normalised(x, f"features.{place + 1}").clamp(min=0)
            if place in CONVOLUTIONS[1::2]:
                x = functional.max_pool2d(x, 2)
        return x.mean((2, 3)) @ self.weights["head.weight"].T + self.weights["head.bias"]

    def normalised(self, x: Tensor, name: str) -> Tensor:
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
        for key, value in (("mean", mean), ("var", x.var((0, 2, 3), correction=1))):
            kept = self.weights[f"{name}.running_{key}"]
            self.weights[f"{name}.running_{key}"] = 0.9 * kept + 0.1 * value.detach()
        scale = self.weights[f"{name}.weight"] / (variance + 1e-5).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + self.weights[f"{name}.bias"][:, None, None]

    def moved(self, name: str, gradient: Tensor, rate: float) -> Tensor:
        weight, params = self.weights[name], dict(self.config.optimizer.params)
        decay = params["weight_decay"] if weight.ndim > 1 else 0.0
        if self.config.optimizer.name == "adamw":
            return self.by_adamw(name, gradient, params["lr"] * rate, decay)
        if self.config.optimizer.name == "sgd":
            lr = params["lr"] * (params["bias_scale"] if weight.ndim == 1 else 1.0) * rate
            return self.by_sgd(name, gradient, lr, decay, params["momentum"])
        if weight.ndim < 4:
            lr = params["sgd_lr"] * (params["bias_scale"] if weight.ndim == 1 else 1.0) * rate
            return self.by_sgd(name, gradient, lr, decay, 0.85)
        return self.by_muon(name, gradient, params["lr"] * rate, decay, params["momentum"])

    def by_sgd(self, name: str, gradient: Tensor, lr: float, decay: float, momentum: float) -> Tensor:
        gradient = gradient + decay * self.weights[name]
        self.momenta[name] = momentum * self.momenta[name] + gradient
        return self.weights[name] - lr * (gradient + momentum * self.momenta[name])

    def by_adamw(self, name: str, gradient: Tensor, lr: float, decay: float) -> Tensor:
        """Loshchilov and Hutter 2019, algorithm 2, with the rate times the decay as in torch."""
        step = self.done + 1
        self.momenta[name] = 0.9 * self.momenta[name] + 0.1 * gradient
        self.squares[name] = 0.999 * self.squares[name] + 0.001 * gradient.square()
        mean, square = self.momenta[name] / (1 - 0.9**step), self.squares[name] / (1 - 0.999**step)
        return self.weights[name] * (1 - lr * decay) - lr * mean / (square.sqrt() + 1e-8)

    def by_muon(self, name: str, gradient: Tensor, lr: float, decay: float, momentum: float) -> Tensor:
        """A filter bank as a matrix (outputs, inputs x 3 x 3), turned by its orthogonalised Nesterov momentum."""
        self.momenta[name] = momentum * self.momenta[name] + (1 - momentum) * gradient
        update = newton_schulz(((1 - momentum) * gradient + momentum * self.momenta[name]).flatten(1))
        outputs, inputs = update.shape
        moved = self.weights[name].flatten(1) * (1 - lr * decay) - lr * max(1, outputs / inputs) ** 0.5 * update
        return (moved / moved.norm() * outputs**0.5).view_as(gradient)

    def average(self, share: float) -> None:
        params = self.config.averaging.params
        keep = 0.0
        if self.config.averaging.name == "ema":
            keep = min(float(params["decay"] or 0), self.done / (9 + self.done)) if self.done > 1 else 0.0
        if self.config.averaging.name == "lookahead":
            keep = 1.0 if self.done % 5 else float(params["decay"] or 0) ** 5 * share**3
        for name, value in self.weights.items():
            if value.is_floating_point():
                self.averaged[name] = keep * self.averaged[name] + (1 - keep) * value
        if self.config.averaging.name == "lookahead" and self.done % 5 == 0:
            self.weights |= {name: value.clone() for name, value in self.averaged.items() if value.is_floating_point()}


def smoothed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
    targets = (1 - smoothing) * targets + smoothing / targets.shape[1]
    return -(targets * (logits - logits.logsumexp(1, keepdim=True))).sum(1).mean()


def newton_schulz(matrix: Tensor) -> Tensor:
    """Three steps of the quintic iteration (Jordan et al. 2024), in float32."""
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / wide.norm()
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


# How far the losses of ten steps and the weights after them may be apart. Float32 differs by the order of sums only.
# Newton-Schulz is in bfloat16 on the fast path, and so is every convolution under autocast: 8 bits, ten times over.
@pytest.mark.parametrize(
    ("change", "of_losses", "of_weights"),
    [
        ({}, 1e-4, 1e-4),
        ({"clip_norm": 0.5}, 1e-4, 1e-4),
        ({"averaging": Choice("ema", {"decay": 0.8})}, 1e-4, 1e-4),
        ({"averaging": Choice("lookahead", {"decay": 0.9})}, 1e-4, 1e-4),
        ({"start_size": 0.625}, 1e-4, 1e-4),
        ({"precision": "bfloat16"}, 0.02, 0.1),
        # A gradient of almost nothing moves a weight as far as any other, in a direction that rounding decides.
        ({"optimizer": Choice("adamw", {"lr": 0.003, "weight_decay": 0.1})}, 1e-3, 3e-3),
        # A rate that is a tenth off, or a momentum of 0.5 or 0.7, misses these.
        ({"optimizer": Choice("muon", MUON)}, 0.003, 0.015),
        ({"optimizer": Choice("muon", MUON), "precision": "bfloat16"}, 0.02, 0.1),
    ],
    ids=["sgd", "clipped", "ema", "lookahead", "growing", "sgd in bfloat16", "adamw", "muon", "muon in bfloat16"],
)
def test_step(data: DeviceData, change: dict[str, Any], of_losses: float, of_weights: float) -> None:
    config = replace(STEPPING, **change)
    fast = Stepper(config, data)
    plain = PlainRun(config, fast.model.state_dict())
    batches = iter(BatchStream(data, config.augmentations, config.batch_size, config.seed))
    for step in range(STEPS):
        share = step / STEPS
        images, targets = next(batches)
        side = 12 if config.start_size == 1 else (8, 10, 12)[3 * step // STEPS]
        images = torch.cat([made_smaller(image, side) for image in images])
        expected = plain.step(images.contiguous(), targets, share)
        assert fast.step(share)[0].item() == pytest.approx(expected, abs=of_losses)
    for network, weights in ((fast.model, plain.weights), (fast.answering, plain.averaged)):
        found = network.state_dict()
        for name, value in weights.items():
            if value.is_floating_point():
                difference = (found[name] - value).norm() / value.norm().clamp(min=1)
                assert difference < of_weights, name


@pytest.mark.parametrize("parts", [2, 3, 16])
def test_accumulation(data: DeviceData, parts: int) -> None:
    """Losses and weights of batches in parts are those of whole ones within 1e-5: normalisation apart, they add up."""
    runs = [Stepper(replace(STEPPING, accumulation=count), data) for count in (1, parts)]
    for step in range(STEPS):
        losses = []
        for training in runs:
            # Each part is normalised by its own statistics in training: not here, where the sums are looked at.
            training.model.eval()
            losses.append(training.step(step / STEPS)[0].item())
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    for one, other in zip(*(training.model.state_dict().values() for training in runs), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


def made_smaller(image: Tensor, side: int) -> Tensor:
    return functional.interpolate(image[None].contiguous(), (side, side), mode="bilinear", antialias=True)


@pytest.mark.parametrize(
    "architecture",
    [
        ("cnn", {}),
        ("cnn", {"depth": 3}),
        ("resnet", {"width": 16}),
        ("vgg", {"width": 16}),
        ("efficientnet", {"stem_stride": 1}),
        ("timm_zoo", {"model": "mobilenetv3_small_050"}),
    ],
    ids=str,
)
def test_memory_layout(architecture: tuple[str, dict[str, Any]]) -> None:
    """Logits and gradients of channels_last networks are those of contiguous ones, within 1e-4 of the largest."""
    name, params = architecture
    images = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(0))

    def logits_and_gradients(layout: torch.memory_format) -> list[Tensor]:
        torch.manual_seed(0)
        network = ARCHITECTURES[name].build(ImageShape(3, 12, 12), 4, **params)
        network = network.to(memory_format=layout)  # type: ignore[call-overload]
        logits = network(images.contiguous(memory_format=layout))
        functional.cross_entropy(logits, torch.arange(8) % 4).backward()
        return [logits.detach(), *(value.grad for value in network.parameters() if value.grad is not None)]

    fast, plain = (logits_and_gradients(layout) for layout in (torch.channels_last, torch.contiguous_format))
    assert len(fast) == len(plain) > 5
    for found, expected in zip(fast, plain, strict=True):
        assert (found - expected).abs().max() <= 1e-4 * max(1.0, expected.abs().max().item())


@pytest.mark.parametrize("channels", [1, 3])
def test_patches_of_the_whitening_filters(channels: int) -> None:
    """Second moments of all patches, cut out one by one; both in float64, to 1e-10."""
    images = torch.randn(150, channels, 6, 7, generator=torch.Generator().manual_seed(0))
    total, count = torch.zeros(4 * channels, 4 * channels, dtype=torch.float64), 0
    for image in images.double():
        for row in range(5):
            for column in range(6):
                patch = image[:, row : row + 2, column : column + 2].reshape(-1)
                total += patch[:, None] * patch
                count += 1
    matrices = list(_patch_matrices(images.contiguous(memory_format=torch.channels_last)))
    assert sum(matrix.shape[1] for matrix in matrices) == count
    torch.testing.assert_close(sum(matrix @ matrix.T for matrix in matrices), total, rtol=1e-10, atol=1e-10)


# Augmentation ---------------------------------------------------------------------------------------------------------

Pixels = NDArray[np.uint8]
CROP, CUTOUT = 2, 6


def mirrored(pixels: Pixels) -> Pixels:
    """One image (H, W, C), written pixel by pixel."""
    out = pixels.copy()
    width = pixels.shape[1]
    for column in range(width):
        out[:, column] = pixels[:, width - 1 - column]
    return out


def alternating(row: int, epoch: int) -> bool:
    """Whether a row is mirrored in an epoch: a bit of its 64-bit hash, in Python's integers."""

    def signed(number: int) -> int:
        number %= 2**64
        return number - 2**64 if number >= 2**63 else number

    mixed = signed(row * 0xBF58476D1CE4E5B9)
    mixed = signed((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB)
    return ((mixed >> 40) + epoch) % 2 == 0


def cropped(pixels: Pixels, down: int, right: int) -> Pixels:
    """The window that lies `down` and `right` of the image in the image with reflected borders."""
    height, width, _ = pixels.shape
    padded = np.pad(pixels, ((CROP, CROP), (CROP, CROP), (0, 0)), mode="reflect")
    return padded[CROP + down : CROP + down + height, CROP + right : CROP + right + width]


def with_hole(pixels: Pixels, down: float, right: float, fill: Pixels) -> Pixels:
    """A square filled around a place given as shares of height and width."""
    out = pixels.copy()
    height, width, _ = pixels.shape
    top, left = int(down * height) - CUTOUT // 2, int(right * width) - CUTOUT // 2
    for row in range(max(0, top), min(height, top + CUTOUT)):
        for column in range(max(0, left), min(width, left + CUTOUT)):
            out[row, column] = fill
    return out


def plain_augmented(
    pixels: Pixels, rows: list[int], epoch: int, mode: str, generator: torch.Generator, fill: Pixels, names: set[str]
) -> list[Pixels]:
    """The images one by one, with parameters drawn from the generator as the fast path draws them."""
    images = [pixels[row] for row in rows]
    count = len(rows)
    if "flip" in names:
        coins = [alternating(row, epoch) for row in rows]
        if mode == "random":
            coins = (torch.rand(count, generator=generator) < 0.5).tolist()
        images = [mirrored(image) if coin else image for image, coin in zip(images, coins, strict=True)]
    if "crop" in names:
        down, right = torch.randint(-CROP, CROP + 1, (2, count, 1), generator=generator).tolist()
        images = [cropped(image, down[place][0], right[place][0]) for place, image in enumerate(images)]
    if "cutout" in names:
        down, right = torch.rand(2, count, 1, generator=generator)
        # The product of place and size is rounded in float32.
        images = [with_hole(image, down[place], right[place], fill) for place, image in enumerate(images)]  # type: ignore[arg-type]
    return images


def rows_last(images: Tensor) -> NDArray[Any]:
    return images.permute(0, 2, 3, 1).numpy()


AUGMENTATIONS_HERE = {"crop": {"pixels": CROP}, "cutout": {"pixels": CUTOUT}}


@pytest.mark.parametrize("epoch", [0, 1])
@pytest.mark.parametrize(("name", "mode"), [("flip", "alternating"), ("flip", "random"), ("crop", ""), ("cutout", "")])
def test_augmentation(data: DeviceData, name: str, mode: str, epoch: int) -> None:
    """Bytes, so no tolerance."""
    params = {"mode": mode} if name == "flip" else AUGMENTATIONS_HERE[name]
    indices = torch.randperm(64, generator=torch.Generator().manual_seed(9))
    batch = Batch(
        images=data.train.pixels[indices].contiguous(memory_format=torch.channels_last),
        targets=torch.eye(2)[data.train.labels[indices]],
        indices=indices,
        epoch=epoch,
        fill=data.mean,
        generator=torch.Generator().manual_seed(7),
    )
    fast = AUGMENTATIONS[name].build(**params)(batch)
    fill = (data.mean * 255).round().to(torch.uint8).numpy()
    plain = plain_augmented(
        rows_last(data.train.pixels), indices.tolist(), epoch, mode, torch.Generator().manual_seed(7), fill, {name}
    )
    np.testing.assert_array_equal(rows_last(fast.images), np.stack(plain))
    assert torch.equal(fast.targets, batch.targets)


def test_mixup(data: DeviceData) -> None:
    """One image after another, to 1e-6; the Gamma draws behind the weights are torch's on both sides."""
    images = data.train.pixels[:16].float() / 255
    targets = torch.eye(2)[data.train.labels[:16]]
    batch = Batch(
        images=images.contiguous(memory_format=torch.channels_last),
        targets=targets,
        indices=torch.arange(16),
        epoch=0,
        fill=data.mean,
        generator=torch.Generator().manual_seed(7),
    )
    fast = AUGMENTATIONS["mixup"].build(alpha=0.4)(batch)
    one, other = torch._standard_gamma(torch.full((2, 16), 0.4), generator=torch.Generator().manual_seed(7))
    for place in range(16):
        weight = (one[place] / (one[place] + other[place])).item()
        for values, mixed in ((images, fast.images), (targets, fast.targets)):
            expected = weight * values[place] + (1 - weight) * values[place - 1]
            torch.testing.assert_close(mixed[place], expected, rtol=0, atol=1e-6)


def test_rotation(data: DeviceData) -> None:
    """Pixel by pixel: the place it comes from, reflected at the borders, between four neighbours; to 1e-4."""
    images = data.train.pixels[:6, :, :10].float() / 255
    count, _, height, width = images.shape
    batch = Batch(
        images=images.contiguous(memory_format=torch.channels_last),
        targets=torch.eye(2)[data.train.labels[:count]],
        indices=torch.arange(count),
        epoch=0,
        fill=data.mean,
        generator=torch.Generator().manual_seed(7),
    )
    fast = AUGMENTATIONS["rotation"].build(degrees=30.0)(batch).images
    angles = (torch.rand(count, generator=torch.Generator().manual_seed(7)) * 60 - 30).deg2rad().tolist()

    def reflected(place: float, side: int) -> float:
        """Within the pixels' centres, after reflection at the outer edges of the image."""
        place = (place + 0.5) % (2 * side)
        return min(max(min(place, 2 * side - place) - 0.5, 0.0), side - 1.0)

    for image, turned, angle in zip(images, fast, angles, strict=True):
        for row in range(height):
            for column in range(width):
                down, right = row + 0.5 - height / 2, column + 0.5 - width / 2
                x = reflected(math.cos(angle) * right - math.sin(angle) * down + width / 2 - 0.5, width)
                y = reflected(math.sin(angle) * right + math.cos(angle) * down + height / 2 - 0.5, height)
                top, left = min(int(y), height - 2), min(int(x), width - 2)
                part = image[:, top : top + 2, left : left + 2]
                expected = part @ torch.tensor([left + 1 - x, x - left]) @ torch.tensor([top + 1 - y, y - top])
                torch.testing.assert_close(turned[:, row, column], expected, rtol=0, atol=1e-4)


def test_stream_of_floats(data: DeviceData) -> None:
    """What follows a colour change works on floats: one image after another, to 1e-5."""
    chosen = (
        Choice("color", {"brightness": 0.2, "contrast": 0.0, "saturation": 0.0}),
        Choice("crop", {"pixels": CROP}),
    )
    images, _ = next(iter(BatchStream(data, chosen, 24, seed=3)))
    generator = torch.Generator().manual_seed(3)
    rows = torch.randperm(64, generator=generator)[:24].tolist()
    down, right = torch.randint(-CROP, CROP + 1, (2, 24, 1), generator=generator).tolist()
    light = 1 + 0.2 * (2 * torch.rand(3, 24, generator=generator)[0] - 1)
    pixels = rows_last(data.train.pixels)
    mean, std = (pixels / 255).mean((0, 1, 2)), (pixels / 255).std((0, 1, 2))
    for place, row in enumerate(rows):
        image = cropped(pixels[row], down[place][0], right[place][0]) / 255 * light[place].item()
        expected = (image.clip(0, 1) - mean) / std
        np.testing.assert_allclose(rows_last(images[place : place + 1])[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["alternating", "random"])
def test_stream(data: DeviceData, mode: str) -> None:
    """Three epochs of batches; normalised in float32 here and in float64 there, to 1e-5."""
    chosen = (
        Choice("cutout", AUGMENTATIONS_HERE["cutout"]),
        Choice("flip", {"mode": mode}),
        Choice("crop", AUGMENTATIONS_HERE["crop"]),
    )
    fast = iter(BatchStream(data, chosen, 24, seed=3))
    pixels, labels = rows_last(data.train.pixels), data.train.labels.tolist()
    mean, std = (pixels / 255).mean((0, 1, 2)), (pixels / 255).std((0, 1, 2))
    generator = torch.Generator().manual_seed(3)
    for epoch in range(3):
        order = torch.randperm(64, generator=generator).tolist()
        for rows in (order[:24], order[24:48]):
            fill = (mean * 255).round().astype(np.uint8)
            plain = plain_augmented(pixels, rows, epoch, mode, generator, fill, {"flip", "crop", "cutout"})
            images, targets = next(fast)
            np.testing.assert_allclose(rows_last(images), (np.stack(plain) / 255 - mean) / std, rtol=1e-5, atol=1e-5)
            assert targets.tolist() == [[float(labels[row] == k) for k in (0, 1)] for row in rows]


# Evaluation -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(data: DeviceData) -> nn.Module:
    return run(CONFIG, data)[1].model


def moved(image: Tensor, down: int, right: int) -> Tensor:
    """One image (C, H, W) moved by up to a pixel either way; what comes in is the row or column beside the border."""
    image = image.roll((down, right), (1, 2))
    for shift, axis in ((down, 1), (right, 2)):
        # Moved down by one, the new first row is the old second one, which is now the third.
        if shift == 1:
            image.select(axis, 0).copy_(image.select(axis, 2))
        if shift == -1:
            image.select(axis, -1).copy_(image.select(axis, -3))
    return image


WEIGHTED_VIEWS = {
    "one": [(1.0, 0, False)],
    "two": [(1 / 2, 0, False), (1 / 2, 0, True)],
    "six": [(1 / 4, 0, False), (1 / 4, 0, True), *[(1 / 8, by, mirror) for by in (1, -1) for mirror in (False, True)]],
}
"""Weight, pixels that the image is moved down and right, and whether it is mirrored."""


@torch.no_grad()
def plain_log_probs(network: nn.Module, data: DeviceData, views: str, side: int = 12) -> Tensor:
    rows = []
    for pixels in data.val.pixels:
        image = (pixels.contiguous() / 255 - data.mean[:, None, None]) / data.std[:, None, None]
        image = made_smaller(image, side)[0]
        logits = torch.zeros(data.num_classes)
        for weight, by, mirror in WEIGHTED_VIEWS[views]:
            view = moved(image, by, by)
            logits += weight * network((view.flip(2) if mirror else view)[None])[0]
        rows.append(logits - logits.logsumexp(0))
    return torch.stack(rows)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("side", [12, 10])
@pytest.mark.parametrize("views", WEIGHTED_VIEWS)
def test_evaluation(data: DeviceData, trained: nn.Module, views: str, side: int, layout: torch.memory_format) -> None:
    """One image at a time, to 1e-4; in bfloat16, which has 8 bits, to 0.05."""
    plain = plain_log_probs(trained, data, views, side)
    trained.to(memory_format=layout)  # type: ignore[call-overload]
    fast = predict(trained, data, data.val, views=views, precision="float32", size=(side, side))
    torch.testing.assert_close(fast, plain, rtol=1e-4, atol=1e-4)
    fast = predict(trained, data, data.val, views=views, precision="bfloat16", size=(side, side))
    torch.testing.assert_close(fast, plain, rtol=0.05, atol=0.05)


def test_evaluation_of_fewer_at_a_time(data: DeviceData, trained: nn.Module) -> None:
    """The same rows in the same order, whatever the batch, to 1e-5."""
    whole = predict(trained, data, data.val, views="two", precision="float32")
    for largest in (1, 7, 1000):
        parts = predict(trained, data, data.val, views="two", precision="float32", largest_batch=largest)
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)


def test_evaluation_in_batches_of_one_size(
    data: DeviceData, trained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the last batch is filled up with rows of the one before: each row once, in order, to 1e-5."""
    whole = predict(trained, data, data.val, views="two", precision="float32")
    seen: list[int] = []
    with_sizes = trained.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    # Unfolded, as on a GPU: what is folded is another module.
    monkeypatch.setattr(prediction, "_for_prediction", lambda model, _: model)
    monkeypatch.setattr(prediction, "_fills_up", lambda _: True)
    for largest in (7, 13, len(data.val), 1000):
        seen.clear()
        parts = predict(trained, data, data.val, views="two", precision="float32", largest_batch=largest)
        assert set(seen) == {min(largest, len(data.val))}
        torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-5)
    with_sizes.remove()


@pytest.mark.parametrize("size", [(20, 20), (26, 22), (8, 8)])
def test_growth(size: tuple[int, int]) -> None:
    """torchvision's resizing of one image after another, to 1e-6."""
    from torchvision.transforms.v2.functional import resize

    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    fast = resized(images.contiguous(memory_format=torch.channels_last), size)
    plain = torch.stack([resize(image, list(size), antialias=True) for image in images])
    torch.testing.assert_close(fast, plain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("device", "side", "expected"),
    [("cpu", 32, 125), ("cpu", 256, 15), ("cpu", 2048, 1), ("cuda", 32, 2000), ("cuda", 8, 2000), ("cuda", 256, 31)],
)
def test_fewer_of_larger_images_are_predicted_at_a_time(device: str, side: int, expected: int) -> None:
    data = SimpleNamespace(where=SimpleNamespace(device=torch.device(device)), image_shape=ImageShape(3, side, side))
    assert prediction.most_predicted(data) == expected  # type: ignore[arg-type]
