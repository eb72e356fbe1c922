"""Small convolutional networks, a plain baseline and the whitening one of the speed records; knows no training loop."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from optuna.distributions import CategoricalDistribution, IntDistribution
from torch import Tensor, nn

from benchmark.architectures import ARCHITECTURES
from benchmark.records import ImageShape

_WIDENINGS = {"1-2-4": (1, 2, 4), "1-3-4": (1, 3, 4), "1-4-4": (1, 4, 4)}
_PATCH = 2
_WHITENING_EPS = 5e-4
_CHUNK = 128
_LOGIT_SCALE = 1 / 9
# torch's momentum is the weight of the new batch: the records keep 0.6 of the old statistics per step. A trial of a few
# hundred steps needs statistics this fresh.
_NORM_MOMENTUM = 0.4
# The records use 1e-12. Under bfloat16, whose rounding of a constant channel has a variance of about 4e-6, that would
# blow the rounding up to unit variance; 1e-5 keeps a dead channel quiet and is nothing beside whitened activations.
_NORM_EPS = 1e-5


@ARCHITECTURES.register(
    "cnn",
    space={
        "variant": CategoricalDistribution(("whitening", "plain")),
        "width": IntDistribution(16, 128, step=16),
        "widening": CategoricalDistribution(tuple(_WIDENINGS)),
        "depth": IntDistribution(2, 3),
        "stem_stride": IntDistribution(1, 2),
    },
    reference="Jordan 2024, arXiv:2404.00498, section 3; three convolutions per group: airbench96",
    any_size=True,
    width="width",
    recipe={
        "optimizer": "muon",
        "muon.sgd_lr": 1.0,
        "muon.bias_scale": 27.0,
        "schedule": "linear",
        "batch_size": 512,
        "label_smoothing": 0.2,
        "start_size": 0.625,
    },
)
def cnn(
    image_shape: ImageShape,
    num_classes: int,
    *,
    variant: str = "whitening",
    width: int = 48,
    widening: str = "1-2-4",
    depth: int = 2,
    stem_stride: int = 1,
) -> nn.Module:
    """Three groups of `depth` 3x3 convolutions, each halving the image, with `widening` times `width` channels.

    Of the speed records the one for 94 % widens 64 channels by "1-4-4", that for 96 % 128 by "1-3-4".
    "whitening": a fixed whitening convolution of stride `stem_stride` first, see `WhiteningCNN`. "plain": convolution,
    batch norm and ReLU, with global average pooling, as in the textbook; `stem_stride` is its first convolution's.
    """
    build = {"whitening": WhiteningCNN, "plain": PlainCNN}[variant]
    widths = tuple(width * factor for factor in _WIDENINGS[widening])
    return build(image_shape.channels, num_classes, widths, depth, stem_stride)


class PlainCNN(nn.Module):
    """Groups of (3x3 convolution, batch norm, ReLU) with max-pooling after each, global average, linear head."""

    def __init__(self, channels: int, num_classes: int, widths: tuple[int, ...], depth: int, stem_stride: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for outputs in widths:
            for _ in range(depth):
                stride = 1 if layers else stem_stride
                layers.append(nn.Conv2d(channels, outputs, 3, stride, padding=1, bias=False))
                layers += [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
                channels = outputs
            layers.append(HalvingPool())
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        features: Tensor = self.features(images)
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


class WhiteningCNN(nn.Module):
    """The network of the CIFAR-10 speed records, for any number of channels and any image size.

    A 2x2 convolution with fixed filters, plus and minus every principal direction of the training patches divided by
    its standard deviation, so 8 per input channel; then three `ConvGroup`s, the global maximum, and a linear head
    without bias whose logits are divided by 9.
    """

    def __init__(self, channels: int, num_classes: int, widths: tuple[int, ...], depth: int, stem_stride: int) -> None:
        super().__init__()
        directions = channels * _PATCH**2
        self.whiten = nn.Conv2d(channels, 2 * directions, _PATCH, stem_stride)
        self.whiten.weight.requires_grad_(False)
        assert self.whiten.bias is not None
        nn.init.zeros_(self.whiten.bias)
        # Until it sees images: an orthonormal basis, which is what whitening makes of white noise.
        self._set_directions(nn.init.orthogonal_(torch.empty(directions, directions)))
        channels_by_group = (2 * directions, *widths)
        self.groups = nn.Sequential(*(ConvGroup(*pair, depth) for pair in itertools.pairwise(channels_by_group)))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, K) of images (B, C, H, W)."""
        features: Tensor = self.groups(F.gelu(self.whiten(images)))
        # amax, not adaptive pooling: the latter's gradient is not deterministic on CUDA.
        logits: Tensor = self.head(features.amax((2, 3)))
        return logits * _LOGIT_SCALE

    @staticmethod
    @torch.no_grad()
    def statistics_of(images: Tensor) -> Tensor:
        """Second moments, float64 (4 C, 4 C), of 2x2 patches of normalised images (B, C, H, W); 2,000 are plenty."""
        moments = torch.zeros((), dtype=torch.float64)
        patches = 0
        for matrix in _patch_matrices(images):
            moments = moments + (matrix @ matrix.T).cpu()
            patches += matrix.shape[1]
        return moments / patches

    @torch.no_grad()
    def initialise_from(self, statistics: Tensor) -> None:
        """Set the whitening filters: eigenvectors v of the moments, each as +v and -v over sqrt(eigenvalue + 5e-4)."""
        eigenvalues, eigenvectors = torch.linalg.eigh(statistics)
        self._set_directions(eigenvectors.T / torch.sqrt(eigenvalues.clamp(min=0) + _WHITENING_EPS)[:, None])

    @torch.no_grad()
    def _set_directions(self, directions: Tensor) -> None:
        filters = torch.cat([directions, -directions])
        self.whiten.weight.copy_(filters.view(self.whiten.weight.shape))


class ConvGroup(nn.Module):
    """Convolution, 2x2 max-pool, norm, GELU, then `depth` - 1 times convolution, norm, GELU.

    With three convolutions a residual spans the last two, added before the last GELU.
    """

    def __init__(self, inputs: int, outputs: int, depth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(_dirac_conv(inputs if i == 0 else outputs, outputs) for i in range(depth))
        self.norms = nn.ModuleList(_bias_norm(outputs) for _ in range(depth))
        self.pool = HalvingPool()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H/2, W/2)."""
        x = F.gelu(self.norms[0](self.pool(self.convs[0](x))))
        shortcut = x
        last = len(self.convs) - 1
        for i in range(1, last + 1):
            x = self.norms[i](self.convs[i](x))
            x = F.gelu(x + shortcut if i == last > 1 else x)
        return x


class HalvingPool(nn.Module):
    """Maximum over 2x2 windows, rounding down; a side of one pixel stays, so that small images pass."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, max(1, H // 2), max(1, W // 2))."""
        return F.max_pool2d(x, (min(2, x.shape[2]), min(2, x.shape[3])))


def _dirac_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution whose first filters copy the input channels, so that signal passes from the first step."""
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    nn.init.dirac_(conv.weight[:inputs])
    return conv


def _bias_norm(channels: int) -> nn.BatchNorm2d:
    """Batch norm that learns a bias only: the next convolution makes a learned scale redundant."""
    norm = nn.BatchNorm2d(channels, eps=_NORM_EPS, momentum=_NORM_MOMENTUM)
    norm.weight.requires_grad_(False)
    return norm


def _patch_matrices(images: Tensor) -> Iterator[Tensor]:
    """All patches of the images as float64 columns (C x 2 x 2, patches), in chunks that fit into a cache."""
    for chunk in torch.split(images, _CHUNK):
        height, width = chunk.shape[2] - _PATCH + 1, chunk.shape[3] - _PATCH + 1
        planes = chunk.double().transpose(0, 1)
        corners = [planes[:, :, i : i + height, j : j + width] for i in range(_PATCH) for j in range(_PATCH)]
        yield torch.stack([corner.reshape(len(planes), -1) for corner in corners], dim=1).flatten(0, 1)
