"""The data set as each side takes it: the same rows and the same pixels for both; trains nothing."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.datasets import DATASETS
from benchmark.records import Dataset, SplitRows
from benchmark.splits import stratified_split
from benchmark.training import DeviceData, choose_device
from studies.speed.plan import SPLIT_SEED, Plan

_HARDLY_ANY = 0.01


def load_dataset(plan: Plan) -> Dataset:
    """The plan's data set, from the cache or its published sources."""
    return DATASETS[plan.dataset].build(plan.data_folder, lambda _: None)


def split_rows(plan: Plan, dataset: Dataset) -> SplitRows:
    """The study's split: 5,000 of CIFAR-10's training rows decide, the other 45,000 train."""
    return stratified_split(dataset.train.labels, plan.val_rows, SPLIT_SEED)


def device_data(plan: Plan) -> DeviceData:
    """Our side's data: the study's split, resident on the device."""
    dataset = load_dataset(plan)
    return DeviceData.load(dataset, split_rows(plan, dataset), choose_device(plan.device))


def all_for_training(plan: Plan) -> DeviceData:
    """Every published training row for training; a report looks at a few of the same rows, and chooses nothing."""
    dataset = load_dataset(plan)
    rows = np.arange(len(dataset.train))
    data = DeviceData.load(dataset, SplitRows(rows, rows[:1]), choose_device(plan.device))
    return dataclasses.replace(data, val=data.train.spread(_HARDLY_ANY))
