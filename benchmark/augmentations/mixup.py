"""Convex mixtures of pairs of images and of their targets; knows nothing of what follows it."""

from __future__ import annotations

import dataclasses

import torch
from optuna.distributions import FloatDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch


@AUGMENTATIONS.register(
    "mixup",
    space={"alpha": FloatDistribution(0.1, 1.0)},
    reference="Zhang et al. 2018, arXiv:1710.09412, section 2",
    order=60,
    on_uint8=False,
)
def mixup(*, alpha: float = 0.2) -> Augmentation:
    """Mix every image with the one before it in the (shuffled) batch, with an own weight drawn from Beta(a, a)."""

    def apply(batch: Batch) -> Batch:
        weights = _symmetric_beta(alpha, len(batch.images), batch.generator)
        return dataclasses.replace(
            batch,
            images=_mixed(batch.images, weights[:, None, None, None]),
            targets=_mixed(batch.targets, weights[:, None]),
        )

    return apply


def _mixed(values: Tensor, weights: Tensor) -> Tensor:
    partners = torch.cat([values[-1:], values[:-1]])
    return torch.lerp(partners, values, weights.to(values.dtype))


def _symmetric_beta(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Draws (count,) from Beta(alpha, alpha), as X / (X + Y) of two Gamma(alpha) draws.

    torch.distributions.Beta does the same, but takes no generator; this is the function that it calls. Draws are never
    zero: it clips them to the smallest normal float.
    """
    shapes = torch.full((2, count), alpha, device=generator.device)
    draws: Tensor = torch._standard_gamma(shapes, generator=generator)
    return draws[0] / draws.sum(0)
