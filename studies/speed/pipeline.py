"""Part `pipeline`: augmented, normalised batches per second, without any network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain, repeat

import torch

from benchmark.records import Choice
from benchmark.training import BatchStream
from studies.speed.baseline import BATCH_SIZE, training_loader
from studies.speed.crew import Crew
from studies.speed.data import device_data, load_dataset, split_rows
from studies.speed.plan import Plan
from studies.speed.rates import images_per_second

AUGMENTATIONS = (Choice("flip", {"mode": "random"}), Choice("crop", {"pixels": 4}))
"""The work of the user's script: a mirror image by a coin toss, and a shift by up to 4 pixels."""


def measure(plan: Plan) -> dict[str, object]:
    """Images per second of the machine, each side in turn: the script with each number of workers, and ours."""
    rates: dict[str, list[float]] = {f"script, {workers} workers": [] for workers in plan.loader_workers}
    ours = f"bench, {plan.side_by_side} process{'es' if plan.side_by_side > 1 else ''}"
    rates[ours] = []
    with Crew(1, None, _prepare_script, plan) as script, Crew(plan.side_by_side, 1, _prepare_ours, plan) as workers:
        for _ in range(plan.repeats):
            for number in plan.loader_workers:
                rates[f"script, {number} workers"] += script.run(number)
            rates[ours].append(sum(workers.run()))
    return {
        "batch_size": BATCH_SIZE,
        "seeds": list(range(plan.side_by_side)),
        "window_seconds": plan.window_seconds,
        "images_per_second": rates,
    }


def _prepare_script(member: int, plan: Plan) -> Callable[[int], float]:
    torch.manual_seed(member)
    dataset = load_dataset(plan)
    images = dataset.train.take(split_rows(plan, dataset).train)

    @cache
    def stream(workers: int) -> Iterator[int]:
        loader = training_loader(images, workers, pinned=plan.device == "cuda")
        epochs = chain.from_iterable(repeat(loader))
        return (_arrived(batch, labels, plan.device) for batch, labels in epochs)

    return lambda workers: images_per_second(stream(workers), plan.warm_seconds, plan.window_seconds)


def _prepare_ours(member: int, plan: Plan) -> Callable[[], float]:
    data = device_data(plan)
    batches = iter(BatchStream(data, AUGMENTATIONS, BATCH_SIZE, seed=member))
    stream = (len(targets) for _, targets in batches)
    return lambda: images_per_second(stream, plan.warm_seconds, plan.window_seconds)


def _arrived(batch: torch.Tensor, labels: torch.Tensor, device: str) -> int:
    """The batch on the device, as a training step would want it; its number of images."""
    batch.to(device, non_blocking=True)
    labels.to(device, non_blocking=True)
    return len(labels)
