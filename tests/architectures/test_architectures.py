"""Every architecture keeps its contract, at both corners of its space and on images of any kind."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from optuna.distributions import BaseDistribution, CategoricalDistribution
from torch import Tensor, nn

from benchmark.architectures import ARCHITECTURES, DataInitialised
from benchmark.architectures.cnn import ConvGroup, HalvingPool
from benchmark.augmentations import AUGMENTATIONS
from benchmark.averaging import AVERAGINGS
from benchmark.errors import UnknownNameError
from benchmark.optimizers import OPTIMIZERS
from benchmark.records import ImageShape
from benchmark.registry import Registry, contains
from benchmark.schedules import SCHEDULES
from benchmark.space import GROWTH_SPACE, TRAINING_SPACE

CIFAR = ImageShape(3, 32, 32)
SHAPES = [ImageShape(1, 8, 8), ImageShape(3, 64, 48), ImageShape(5, 9, 31)]
FAMILIES = list(ARCHITECTURES)


def corner(family: str, which: str) -> dict[str, Any]:
    def value(distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            return distribution.choices[0 if which == "low" else -1]
        return getattr(distribution, which)

    entry = ARCHITECTURES[family]
    if which == "default":
        return dict(entry.defaults)
    return {name: value(distribution) for name, distribution in entry.space.items()}


def images(shape: ImageShape, count: int = 2) -> Tensor:
    noise = torch.randn(count, shape.channels, shape.height, shape.width, generator=torch.Generator().manual_seed(0))
    return noise.contiguous(memory_format=torch.channels_last)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("which", ["low", "high", "default"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gives_finite_logits_and_gradients(family: str, which: str) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES[family].build(CIFAR, 7, **corner(family, which)).to(memory_format=torch.channels_last)
    logits = network(images(CIFAR))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()
    missing = []
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            assert parameter.grad is None
        elif parameter.grad is None or not torch.isfinite(parameter.grad).all():
            missing.append(name)
    assert missing == []
    assert any(parameter.grad.any() for parameter in network.parameters() if parameter.grad is not None)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("which", ["low", "high", "default"])
@pytest.mark.parametrize("family", FAMILIES)
def test_takes_any_image_size_and_channels(family: str, which: str, shape: ImageShape) -> None:
    network = ARCHITECTURES[family].build(shape, 3, **corner(family, which)).eval()
    with torch.inference_mode():
        assert network(images(shape)).shape == (2, 3)


GROWING = [family for family in FAMILIES if ARCHITECTURES[family].tags.get("any_size")]


@pytest.mark.parametrize("which", ["low", "high", "default"])
@pytest.mark.parametrize("family", GROWING)
def test_one_network_takes_images_of_several_sizes(family: str, which: str) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES[family].build(CIFAR, 3, **corner(family, which)).to(memory_format=torch.channels_last)
    for height, width in ((8, 8), (20, 20), (32, 32)):
        network.zero_grad()
        logits = network(images(ImageShape(3, height, width)))
        assert logits.shape == (2, 3)
        assert torch.isfinite(logits).all()
        F.cross_entropy(logits, torch.tensor([0, 1])).backward()
        assert all(
            parameter.grad is not None and torch.isfinite(parameter.grad).all()
            for parameter in network.parameters()
            if parameter.requires_grad
        )


def test_the_own_families_grow() -> None:
    assert {"cnn", "resnet", "vgg", "efficientnet"} <= set(GROWING)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_follow_the_global_seed(family: str) -> None:
    def weights(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(seed)
        return ARCHITECTURES[family].build(CIFAR, 2, **corner(family, "low")).state_dict()

    first, again, other = weights(1), weights(1), weights(2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("family", FAMILIES)
def test_predictions_do_not_depend_on_the_rest_of_the_batch(family: str) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES[family].build(CIFAR, 4, **corner(family, "default")).eval()
    batch = images(CIFAR, 3)
    with torch.inference_mode():
        torch.testing.assert_close(network(batch)[:1], network(batch[:1]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_recipe_names_parameters_that_exist(family: str) -> None:
    registries: list[Registry[..., Any]] = [ARCHITECTURES, OPTIMIZERS, SCHEDULES, AUGMENTATIONS, AVERAGINGS]
    legal: dict[str, BaseDistribution] = {**TRAINING_SPACE, **GROWTH_SPACE}
    for registry in registries:
        for name in registry:
            legal |= {f"{name}.{key}": value for key, value in registry[name].space.items()}
    legal |= {name: CategoricalDistribution((True, False)) for name in AUGMENTATIONS}
    legal["optimizer"] = CategoricalDistribution(tuple(OPTIMIZERS))
    legal["schedule"] = CategoricalDistribution(tuple(SCHEDULES))
    legal["averaging"] = CategoricalDistribution(tuple(AVERAGINGS))
    recipe = ARCHITECTURES[family].tags["recipe"]
    assert {"optimizer", "schedule", "batch_size"} <= set(recipe)
    assert {
        name: value for name, value in recipe.items() if name not in legal or not contains(legal[name], value)
    } == {}


# Sums are (inputs x outputs x kernel) of the convolutions, then norms, then the head.
WHITENING = (
    (12 * 24 + 24)
    + 9 * (24 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 128 * 128)
    + 2 * 2 * (32 + 64 + 128)
    + 128 * 10
)
DEEP_WHITENING_GREY = (
    (4 * 8 + 8)
    + 9 * (8 * 16 + 2 * 16 * 16 + 16 * 32 + 2 * 32 * 32 + 32 * 64 + 2 * 64 * 64)
    + 3 * 2 * (16 + 32 + 64)
    + 64 * 5
)
PLAIN = 9 * (3 * 16 + 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * 2 * (16 + 32 + 64) + (64 * 10 + 10)
# 269,722 with parameter-free shortcuts (He et al. 2016, table 6: 0.27M), plus two projections with their norms.
RESNET_20 = 269_722 + (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
# Convolutions and norms of torchvision's vgg16_bn, less its 4,224 convolution biases, plus the head.
VGG_16 = 14_723_136 - 4_224 + (512 * 10 + 10)
# Published sizes for ImageNet with 1,000 classes; only the head differs.
EFFICIENTNET_B0 = 5_288_548 - (1280 * 1000 + 1000) + (1280 * 10 + 10)
TIMM_RESNET_18 = 11_689_512 - (512 * 1000 + 1000) + (512 * 10 + 10)


@pytest.mark.parametrize(
    ("family", "channels", "num_classes", "params", "expected"),
    [
        ("cnn", 3, 10, {"width": 32}, WHITENING),
        ("cnn", 1, 5, {"width": 16, "depth": 3, "stem_stride": 2}, DEEP_WHITENING_GREY),
        ("cnn", 3, 10, {"variant": "plain", "width": 16}, PLAIN),
        ("resnet", 3, 10, {"depth": 20, "width": 16}, RESNET_20),
        ("vgg", 3, 10, {"depth": 16, "width": 64}, VGG_16),
        ("efficientnet", 3, 10, {"variant": "b0"}, EFFICIENTNET_B0),
        ("timm_zoo", 3, 10, {"model": "resnet18"}, TIMM_RESNET_18),
    ],
)
def test_parameter_count(family: str, channels: int, num_classes: int, params: dict[str, Any], expected: int) -> None:
    network = ARCHITECTURES[family].build(ImageShape(channels, 32, 32), num_classes, **params)
    assert parameter_count(network) == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_whitening_decorrelates_the_patches_of_its_images(channels: int) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES["cnn"].build(ImageShape(channels, 16, 16), 10)
    assert isinstance(network, DataInitialised)
    # Smooth images with correlated channels, in more than one chunk.
    smooth = F.avg_pool2d(torch.randn(300, channels, 18, 18), 3, stride=1)
    smooth = smooth + smooth.mean(1, keepdim=True)
    network.initialise_from(network.statistics_of(smooth))
    whiten = network.get_submodule("whiten")
    assert isinstance(whiten, nn.Conv2d)
    assert not whiten.weight.requires_grad
    with torch.no_grad():
        responses = whiten(smooth).permute(0, 2, 3, 1).flatten(0, 2).double()
    half = 4 * channels
    moments = responses[:, :half].T @ responses[:, :half] / len(responses)
    off_diagonal = moments - torch.diag(moments.diag())
    assert off_diagonal.abs().max() < 1e-3
    # The regulariser 5e-4 takes a little from the weakest directions only.
    assert 0.9 < moments.diag().min() <= moments.diag().max() < 1 + 1e-4
    torch.testing.assert_close(responses[:, half:], -responses[:, :half])


def test_whitening_survives_images_without_variation() -> None:
    network = ARCHITECTURES["cnn"].build(ImageShape(1, 8, 8), 2)
    assert isinstance(network, DataInitialised)
    network.initialise_from(network.statistics_of(torch.zeros(4, 1, 8, 8)))
    assert torch.isfinite(network(torch.zeros(4, 1, 8, 8))).all()


def test_dirac_filters_copy_the_input_channels() -> None:
    conv = ConvGroup(4, 6, depth=2).convs[0]
    x = images(ImageShape(4, 5, 5))
    torch.testing.assert_close(conv(x)[:, :4], x)


def test_residual_spans_the_last_two_of_three_convolutions() -> None:
    group = ConvGroup(4, 4, depth=3).eval()
    x = images(ImageShape(4, 8, 8))
    silenced = group.norms[2]
    assert isinstance(silenced, nn.BatchNorm2d)
    nn.init.zeros_(silenced.weight)
    first = F.gelu(group.norms[0](group.pool(group.convs[0](x))))
    torch.testing.assert_close(group(x), F.gelu(first))


def test_pool_keeps_a_side_of_one_pixel() -> None:
    pool = HalvingPool()
    assert pool(torch.zeros(1, 2, 7, 1)).shape == (1, 2, 3, 1)


def test_resnet_blocks_start_as_their_shortcuts() -> None:
    network = ARCHITECTURES["resnet"].build(CIFAR, 10, depth=8, width=8).eval()
    block = network.get_submodule("blocks.0")
    x = images(ImageShape(8, 4, 4)).abs()
    torch.testing.assert_close(block(x), x)


@pytest.mark.parametrize("stride", [1, 2])
def test_efficientnet_stem_stride(stride: int) -> None:
    network = ARCHITECTURES["efficientnet"].build(CIFAR, 10, stem_stride=stride)
    stem = network.get_submodule("conv_stem")
    assert stem(images(CIFAR)).shape[2] == 32 // stride


@pytest.mark.parametrize(
    ("family", "parameters"),
    [("efficientnet", {"stem_stride": 2}), ("timm_zoo", {"model": "mobilenetv3_small_100", "min_side": 32})],
)
def test_no_class_is_preferred_before_training(family: str, parameters: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = ARCHITECTURES[family].build(CIFAR, 2, **parameters).train()
    logits = network(torch.randn(32, 3, 32, 32))
    assert logits.std() < 1, "timm's own, meant for a thousand classes, gives 4 to 9"


@pytest.mark.parametrize("model", ARCHITECTURES["timm_zoo"].space["model"].choices)
def test_timm_zoo_lists_networks_that_take_tiny_images(model: str) -> None:
    shape = ImageShape(1, 8, 8)
    network = ARCHITECTURES["timm_zoo"].build(shape, 3, model=model, min_side=32).eval()
    with torch.inference_mode():
        assert network(images(shape)).shape == (2, 3)


@pytest.mark.parametrize("shape", [CIFAR, ImageShape(3, 64, 48)], ids=str)
def test_timm_zoo_takes_a_transformer_of_fixed_size(shape: ImageShape) -> None:
    network = ARCHITECTURES["timm_zoo"].build(shape, 3, model="vit_tiny_patch16_224", min_side=32).eval()
    with torch.inference_mode():
        assert network(images(shape)).shape == (2, 3)


def test_timm_zoo_names_the_nearest_model() -> None:
    with pytest.raises(UnknownNameError, match=re.escape("unknown timm model 'resnet_18'; did you mean 'resnet18'?")):
        ARCHITECTURES["timm_zoo"].build(CIFAR, 10, model="resnet_18")
