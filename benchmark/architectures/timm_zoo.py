"""Any network that timm names, on images of any size; knows no training loop and no pretrained weights."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from benchmark.architectures import ARCHITECTURES
from benchmark.architectures._timm_heads import reset_head
from benchmark.errors import UnknownNameError
from benchmark.records import ImageShape


def _check_model(model: str) -> None:
    """Raises UnknownNameError where timm has no such model."""
    import timm  # here and not above: it takes seconds, and listing the families needs none of it

    if not timm.is_model(model):
        raise UnknownNameError("timm model", model, timm.list_models())


@ARCHITECTURES.register(
    "timm_zoo",
    space={
        "model": CategoricalDistribution(("resnet18", "regnetx_002", "mobilenetv3_small_100", "convnext_atto")),
        "min_side": IntDistribution(32, 128, step=32),
    },
    reference="Wightman 2019, PyTorch Image Models, doi:10.5281/zenodo.4414861",
    open=("model",),
    imports=("timm",),
    check=_check_model,
    recipe={
        "optimizer": "adamw",
        "adamw.lr": 2e-3,
        "adamw.weight_decay": 0.05,
        "schedule": "cosine",
        "batch_size": 128,
        "clip_norm": 1.0,
    },
)
def timm_zoo(image_shape: ImageShape, num_classes: int, *, model: str = "resnet18", min_side: int = 64) -> nn.Module:
    """The timm network `model` with fresh weights, on images enlarged to at least `min_side` pixels on the short side.

    The tag `open` says that a study may list other timm names for `model` than the space does. ImageNet networks shrink
    an image 32 times: enlarging it fits all of them, stems of any kind and vision transformers included (sides that are
    multiples of their patch), where editing strides fits some. Raises UnknownNameError where timm has no such model.
    """
    import timm

    _check_model(model)
    published = timm.get_pretrained_cfg(model, allow_unregistered=True)
    arguments: dict[str, Any] = {"in_chans": image_shape.channels, "num_classes": num_classes}
    if published is not None and published.fixed_input_size:
        arguments["img_size"] = _enlarged(image_shape, min_side)
    network: nn.Module = timm.create_model(model, pretrained=False, **arguments)
    if isinstance(network, timm.models.EfficientNet | timm.models.MobileNetV3):
        reset_head(network)
    return Enlarged(network, min_side)


class Enlarged(nn.Module):
    """A network that sees its images enlarged, until the short side has `min_side` pixels."""

    def __init__(self, network: nn.Module, min_side: int) -> None:
        super().__init__()
        self.enlarge = Enlarge(min_side)
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.network(self.enlarge(images))
        return logits


class Enlarge(nn.Module):
    """Bilinear enlargement at the same aspect ratio; alone, so that the network after it can be traced."""

    def __init__(self, min_side: int) -> None:
        super().__init__()
        self._min_side = min_side

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H', W') with a short side of at least `min_side`; larger ones as they are."""
        shape = ImageShape(*images.shape[1:])
        size = _enlarged(shape, self._min_side)
        if size == (shape.height, shape.width):
            return images
        return F.interpolate(images, size, mode="bilinear", align_corners=False)


def _enlarged(shape: ImageShape, min_side: int) -> tuple[int, int]:
    """Height and width at the same aspect ratio with a short side of at least `min_side`."""
    scale = max(1.0, min_side / min(shape.height, shape.width))
    return round(shape.height * scale), round(shape.width * scale)
