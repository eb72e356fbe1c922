"""Several augmentations one after another, on batches or on plain arrays; knows no single one of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from benchmark.augmentations import AUGMENTATIONS, Augmentation, Batch
from benchmark.records import Choice, Images


class Pipeline:
    """The chosen augmentations in the order of their tags: on uint8 while all so far could, on floats from then on."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        entries = sorted(
            ((AUGMENTATIONS[choice.name], choice.params) for choice in choices), key=lambda pair: pair[0].tags["order"]
        )
        self._on_uint8: list[Augmentation] = []
        self._on_float: list[Augmentation] = []
        for entry, params in entries:
            # Once one stage needs floats, all later ones get floats, so that the order holds.
            stage = self._on_uint8 if entry.tags["on_uint8"] and not self._on_float else self._on_float
            stage.append(entry.build(**params))

    def __call__(self, batch: Batch) -> Batch:
        """The augmented batch of one with uint8 images; its images are uint8 in 0..255 or float32 in [0, 1]."""
        for augment in self._on_uint8:
            batch = augment(batch)
        if self._on_float:
            batch = dataclasses.replace(batch, images=batch.images.float().div_(255))
            for augment in self._on_float:
                batch = augment(batch)
        return batch


def augmented(
    train: Images, rows: NDArray[np.int64], choices: Sequence[Choice], *, fill: Sequence[float], seed: int
) -> NDArray[np.uint8]:
    """The training images of these rows as one batch of the first epoch would have them: uint8 (N, H, W, C).

    `fill`: (C,) in [0, 1], the training set's channel means. Same seed, same images.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(train.pixels[rows])).permute(0, 3, 1, 2)
    batch = Batch(
        images=pixels,
        targets=functional.one_hot(torch.from_numpy(train.labels[rows])).float(),
        indices=torch.from_numpy(rows),
        epoch=0,
        fill=torch.tensor(fill, dtype=torch.float32),
        generator=torch.Generator().manual_seed(seed),
    )
    images = Pipeline(choices)(batch).images
    if images.is_floating_point():
        images = (images * 255).round().to(torch.uint8)
    shown: NDArray[np.uint8] = images.permute(0, 2, 3, 1).numpy()
    return shown
