"""VGG networks with batch norm and one small head, for small images; knows no training loop."""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from benchmark.architectures import ARCHITECTURES
from benchmark.records import ImageShape

_CONVS_PER_STAGE = {
    8: (1, 1, 1, 1, 1),
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_STAGE_WIDTHS = (1, 2, 4, 8, 8)


@ARCHITECTURES.register(
    "vgg",
    space={
        "depth": CategoricalDistribution(tuple(_CONVS_PER_STAGE)),
        "width": IntDistribution(16, 64, step=16),
    },
    reference="Simonyan and Zisserman 2015, arXiv:1409.1556, table 1 (A, B, D, E), with batch norm and a linear head",
    any_size=True,
    width="width",
    recipe={
        "optimizer": "muon",
        "muon.sgd_lr": 0.2,
        "sgd.lr": 0.03,
        "schedule": "one_cycle",
        "batch_size": 128,
    },
)
def vgg(image_shape: ImageShape, num_classes: int, *, depth: int = 11, width: int = 32) -> nn.Module:
    """Five stages of 3x3 convolutions with 1, 2, 4, 8 and 8 times `width` channels, each halving the image.

    `depth` counts layers as the paper does, its three fully connected ones included; here a global average and one
    linear layer stand for those, as they hold 120 of VGG-16's 138 million parameters and fix the image's size. Depth 8,
    one convolution per stage, continues the paper's table downwards.
    """
    return VGG(image_shape.channels, num_classes, convs_per_stage=_CONVS_PER_STAGE[depth], width=width)


class VGG(nn.Module):
    """Stages of (3x3 convolution, batch norm, ReLU) with max-pooling after each, global average, linear head."""

    def __init__(self, channels: int, num_classes: int, *, convs_per_stage: tuple[int, ...], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for convs, factor in zip(convs_per_stage, _STAGE_WIDTHS, strict=True):
            for _ in range(convs):
                conv = nn.Conv2d(channels, width * factor, 3, padding=1, bias=False)
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
                channels = width * factor
                layers += [conv, nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
            # Rounded up, so that a side of one pixel stays: images below 32 pixels pass all five.
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        features: Tensor = self.features(images)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits
