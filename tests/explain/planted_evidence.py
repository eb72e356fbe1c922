"""Images whose class is the colour of one small patch at a random place: where the evidence is, is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmark.inference import LoadedEntrant, LoadedModel
from benchmark.records import Budget, Choice, Cost, Dataset, Entrant, Images, Predictions, Split, SplitRows, TrialConfig
from benchmark.training import DeviceData, TrainingRun, choose_device

SIDE, PATCH = 32, 8
COLORS = np.array([[220, 40, 40], [40, 220, 40], [40, 40, 220]], np.uint8)
WHITE = np.array([220, 220, 220], np.uint8)


@dataclass(frozen=True, eq=False)
class Planted:
    """Training and test images on the CPU, and where the patch of each test image is: bool (N, H, W)."""

    data: DeviceData
    test: Images
    patches: NDArray[np.bool_]


def plant(train_rows: int = 768, test_rows: int = 48, seed: int = 0) -> Planted:
    """Noise with a patch of the class's colour, and a white one that says nothing and is easier to see."""
    random = np.random.default_rng(seed)
    rows = train_rows + 96 + test_rows
    labels = np.arange(rows, dtype=np.int64) % len(COLORS)
    pixels = random.integers(90, 150, (rows, SIDE, SIDE, 3), np.uint8)
    patches = np.zeros((rows, SIDE, SIDE), bool)
    for row, label in enumerate(labels):
        places = random.permutation((SIDE // PATCH) ** 2)[:2]
        for place, color in zip(places, (COLORS[label], WHITE), strict=True):
            top, left = PATCH * (place // (SIDE // PATCH)), PATCH * (place % (SIDE // PATCH))
            pixels[row, top : top + PATCH, left : left + PATCH] = color
            if color is not WHITE:
                patches[row, top : top + PATCH, left : left + PATCH] = True
    images = Images(pixels, labels)
    training, test = images.take(np.arange(rows - test_rows)), images.take(np.arange(rows - test_rows, rows))
    dataset = Dataset("planted", ("red", "green", "blue"), training, test, "0")
    split = SplitRows(np.arange(train_rows), np.arange(train_rows, train_rows + 96))
    return Planted(DeviceData.load(dataset, split, choose_device("cpu")), test, patches[rows - test_rows :])


def train_on(
    planted: Planted, architecture: Choice, *, seed: int = 0, epochs: float = 3, lr: float = 0.1
) -> LoadedModel:
    """A network of that kind, trained for a moment."""
    config = TrialConfig(
        architecture=architecture,
        augmentations=(),
        optimizer=Choice("sgd", {"lr": lr, "momentum": 0.9, "weight_decay": 1e-4, "bias_scale": 1.0}),
        schedule=Choice("linear", {"warmup": 0.1}),
        budget=Budget(epochs=epochs),
        batch_size=32,
        seed=seed,
        reports=1,
        precision="float32",
        views="one",
    )
    run = TrainingRun(config, planted.data)
    run.open()
    assert len(list(run.reports())) == 1
    return LoadedModel(seed, "", config, run.trained().model, planted.data)


def alone(model: LoadedModel) -> LoadedEntrant:
    """The model as an entrant; what it said of validation and test rows does not matter here."""
    return LoadedEntrant(entrant(model), (model,), None)


def entrant(*models: LoadedModel, weights: tuple[float, ...] | None = None) -> Entrant:
    """An entrant of these members with invented predictions."""
    flat = np.full((3, 3), np.log(1 / 3), np.float32)
    return Entrant(
        "planted",
        "ensemble" if len(models) > 1 else "tuned",
        "cnn",
        tuple(model.number for model in models),
        weights,
        Predictions(Split.VAL, flat),
        Predictions(Split.TEST, flat),
        Cost(1, 1, 1.0, 0.1),
    )
