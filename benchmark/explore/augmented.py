"""A picture of what every registered augmentation makes of the same images; augments nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from PIL import Image

from benchmark.explore.layout import Row, draw_rows
from benchmark.explore.numbers import describe
from benchmark.records import Choice, Dataset, Images, Parameters, ParameterValue
from benchmark.registry import Entry

if TYPE_CHECKING:
    from benchmark.augmentations import Augmentation


def augmented_grid(dataset: Dataset, columns: int = 8, seed: int = 0) -> Image.Image:
    """A picture with so many training images as published, and one row with what each augmentation makes of them.

    Each stands alone, with its default parameters, and once more with the middles of their ranges. The images come
    from as many classes as there are, drawn by `seed`; so is what an augmentation draws. One that mixes images mixes
    each with its neighbour at the left, the first with the last.
    """
    # They load torch.
    from benchmark.augmentations import AUGMENTATIONS
    from benchmark.augmentations.pipeline import augmented

    train = dataset.train
    shown = _of_many_classes(train, columns, seed)
    fill = describe(dataset).parts[0].channel_means
    rows = [Row("as published", "", list(train.pixels[shown]))]
    for name in sorted(AUGMENTATIONS, key=lambda name: AUGMENTATIONS[name].tags["order"]):
        for called, params in _settings(AUGMENTATIONS[name]):
            note = ", ".join(f"{key} {_plain(value)}" for key, value in params.items())
            images = augmented(train, shown, [Choice(name, params)], fill=fill, seed=seed)
            rows.append(Row(f"{name}, {called}", note, list(images)))
    heads = [dataset.classes[label] for label in train.labels[shown]]
    title = f"{dataset.name}: training images, and what each augmentation makes of them"
    return draw_rows(title, rows, dataset.image_shape, columns=len(shown), heads=heads)


def _of_many_classes(images: Images, count: int, seed: int) -> NDArray[np.int64]:
    """Rows drawn without replacement: one of every class before a second of any."""
    drawn = np.random.default_rng(seed).permutation(len(images))
    before: Counter[int] = Counter()
    turns = []
    for label in images.labels[drawn].tolist():
        turns.append(before[label])
        before[label] += 1
    return drawn[np.argsort(turns, kind="stable")[:count]]


def _settings(entry: Entry[..., Augmentation]) -> Iterator[tuple[str, Parameters]]:
    """The parameters to show, each with what they are called."""
    yield "default", entry.defaults
    middle = {key: _middle(key, distribution, entry.defaults[key]) for key, distribution in entry.space.items()}
    if middle != dict(entry.defaults):
        yield "mid-range", middle


def _middle(name: str, distribution: BaseDistribution, default: ParameterValue) -> ParameterValue:
    """The value halfway between the ends of a range, by ratio where it is logarithmic; for words the default."""
    from benchmark.space import nearest

    if not isinstance(distribution, IntDistribution | FloatDistribution):
        return default
    low, high = distribution.low, distribution.high
    return nearest(name, distribution, (low * high) ** 0.5 if distribution.log else (low + high) / 2)


def _plain(value: ParameterValue) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
