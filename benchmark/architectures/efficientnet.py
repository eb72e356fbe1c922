"""EfficientNets from timm, with a stem for small images; knows no training loop and no pretrained weights."""

from __future__ import annotations

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from torch import nn

from benchmark.architectures import ARCHITECTURES
from benchmark.architectures._timm_heads import reset_head
from benchmark.records import ImageShape


@ARCHITECTURES.register(
    "efficientnet",
    space={
        "variant": CategoricalDistribution(("b0", "b1", "b2", "b3", "b4")),
        "stem_stride": IntDistribution(1, 2),
        "drop_rate": FloatDistribution(0.0, 0.5),
        "drop_path_rate": FloatDistribution(0.0, 0.3),
    },
    reference="Tan and Le 2019, arXiv:1905.11946, table 1; timm",
    any_size=True,
    imports=("timm",),
    recipe={
        "optimizer": "adamw",
        "adamw.lr": 4e-3,
        "schedule": "cosine",
        "batch_size": 128,
        "clip_norm": 1.0,
    },
)
def efficientnet(
    image_shape: ImageShape,
    num_classes: int,
    *,
    variant: str = "b0",
    stem_stride: int = 1,
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
) -> nn.Module:
    """EfficientNet-B0 to B4 without their ImageNet stem of stride 2 unless asked for: 32 pixels end as 2 x 2, not 1.

    `drop_rate` drops features before the head, `drop_path_rate` the deepest residual branch (linearly less above it).
    Both are off by default: a network that sees its data a few times only underfits.
    """
    import timm  # here and not above: it takes seconds, and listing the families needs none of it

    network: nn.Module = timm.create_model(
        f"efficientnet_{variant}",
        pretrained=False,
        in_chans=image_shape.channels,
        num_classes=num_classes,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
    )
    stem = network.get_submodule("conv_stem")
    assert isinstance(stem, nn.Conv2d)
    stem.stride = (stem_stride, stem_stride)
    reset_head(network)
    return network
