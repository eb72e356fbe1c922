"""Residual networks for small images; knows no training loop."""

from __future__ import annotations

import torch.nn.functional as F
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from benchmark.architectures import ARCHITECTURES
from benchmark.records import ImageShape


@ARCHITECTURES.register(
    "resnet",
    space={
        "depth": CategoricalDistribution((8, 14, 20, 26, 32, 44, 56)),
        "width": IntDistribution(8, 128, step=8),
    },
    reference="He et al. 2016, arXiv:1512.03385, section 4.2; wide: Zagoruyko and Komodakis 2016, arXiv:1605.07146",
    any_size=True,
    width="width",
    recipe={
        "optimizer": "muon",
        "muon.sgd_lr": 0.5,
        "sgd.lr": 0.2,
        "schedule": "one_cycle",
        "batch_size": 128,
    },
)
def resnet(image_shape: ImageShape, num_classes: int, *, depth: int = 8, width: int = 32) -> nn.Module:
    """Three stages of n basic blocks with `width`, 2 `width` and 4 `width` channels; `depth` is 6 n + 2 layers.

    The default is shallow and wide: in a budget of a few passes it sees far more images than ResNet-20 of equal cost.
    """
    if depth % 6 != 2:
        raise ValueError(f"depth must be 6 n + 2, not {depth}")
    return ResNet(image_shape.channels, num_classes, blocks_per_stage=depth // 6, width=width)


class ResNet(nn.Module):
    """A 3x3 stem, three stages of which the second and third halve the image, global average, linear head."""

    def __init__(self, channels: int, num_classes: int, *, blocks_per_stage: int, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv3x3(channels, width), nn.BatchNorm2d(width), nn.ReLU(inplace=True))
        blocks: list[nn.Module] = []
        inputs = width
        for stage in range(3):
            for block in range(blocks_per_stage):
                blocks.append(BasicBlock(inputs, width << stage, stride=2 if stage and block == 0 else 1))
                inputs = width << stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        features: Tensor = self.blocks(self.stem(images))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected by a 1x1 convolution where the shape changes (option B).

    The last norm's scale starts at zero, so that every block starts as its shortcut (Goyal et al. 2017, section 5.1).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, outputs, stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = _conv3x3(outputs, outputs)
        self.norm2 = nn.BatchNorm2d(outputs)
        nn.init.zeros_(self.norm2.weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        residual: Tensor = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)), inplace=True)))
        return F.relu(residual + self.shortcut(x), inplace=True)


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
