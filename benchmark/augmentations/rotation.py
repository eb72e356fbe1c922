"""Random rotation about the centre; knows nothing of what follows it."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from optuna.distributions import FloatDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch


@AUGMENTATIONS.register(
    "rotation",
    space={"degrees": FloatDistribution(2.0, 30.0)},
    reference="Simard et al. 2003, Best Practices for Convolutional Neural Networks, section 2",
    order=30,
    on_uint8=False,
)
def rotation(*, degrees: float = 10.0) -> Augmentation:
    """Turn every image by its own angle, uniform in [-`degrees`, `degrees`]; bilinear, with reflected borders."""
    limit = math.radians(degrees)

    def apply(batch: Batch) -> Batch:
        images = batch.images
        angles = torch.rand(len(images), generator=batch.generator, device=images.device) * (2 * limit) - limit
        grid = F.affine_grid(_turns(angles, images.shape[2] / images.shape[3]), list(images.shape), align_corners=False)
        turned = F.grid_sample(
            images, grid.to(images.dtype), mode="bilinear", padding_mode="reflection", align_corners=False
        )
        # Bilinear weights sum to 1 within rounding only.
        turned = turned.clamp_(0, 1).contiguous(memory_format=torch.channels_last)
        return dataclasses.replace(batch, images=turned)

    return apply


def _turns(angles: Tensor, aspect: float) -> Tensor:
    """Rotation matrices (B, 2, 3) in grid coordinates, where both sides are 2 long; `aspect` is height over width."""
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    return torch.stack([cos, -sin * aspect, zero, sin / aspect, cos, zero], dim=1).view(-1, 2, 3)
