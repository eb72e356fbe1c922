"""Random translation with reflected borders; knows nothing of what follows it."""

from __future__ import annotations

import dataclasses

import torch
from optuna.distributions import IntDistribution
from torch import Tensor

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch


@AUGMENTATIONS.register(
    "crop",
    space={"pixels": IntDistribution(1, 6)},
    reference="He et al. 2016, arXiv:1512.03385, section 4.2; reflected: Jordan 2024, arXiv:2404.00498, section 3.1",
    order=20,
    on_uint8=True,
)
def crop(*, pixels: int = 2) -> Augmentation:
    """Pad by `pixels` with the image's own reflection, then cut out the original size at a uniformly random place."""

    def apply(batch: Batch) -> Batch:
        count, _, height, width = batch.images.shape
        shifts = torch.randint(
            -pixels, pixels + 1, (2, count, 1), generator=batch.generator, device=batch.images.device
        )
        rows = _reflected(shifts[0], height)
        columns = _reflected(shifts[1], width)
        samples = torch.arange(count, device=batch.images.device)
        # One gather from the unpadded images: reflection is in the indices. Channels come last in memory, so each
        # index copies a whole pixel.
        pixel_rows = batch.images.permute(0, 2, 3, 1)
        moved = pixel_rows[samples[:, None, None], rows[:, :, None], columns[:, None, :]]
        return dataclasses.replace(batch, images=moved.permute(0, 3, 1, 2))

    return apply


def _reflected(shift: Tensor, size: int) -> Tensor:
    """Source positions (B, size) of an axis moved by `shift` (B, 1) < `size`, reflected about the outer pixels."""
    positions = (torch.arange(size, device=shift.device) + shift).abs()
    return (size - 1) - ((size - 1) - positions).abs()
