"""Stored models and ensembles as networks again, to be asked about any images; trains, fits and ranks nothing anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from torch import Tensor, nn

from benchmark.artifacts import Artifacts
from benchmark.datasets import Say
from benchmark.ensemble import RefittedEnsemble, refitted
from benchmark.errors import BenchError
from benchmark.records import Entrant, FileKind, Images, Parameters, ParameterValue, Split, TrialConfig
from benchmark.space import Space
from benchmark.store import StudyStore
from benchmark.study import place_of_files
from benchmark.study_data import StudyImages, load_study_images, stored_spec
from benchmark.training import DeviceData, Part, build_to_answer, choose_device, load_weights, predict


@dataclass(frozen=True, eq=False)
class StudyData(StudyImages):
    """A study's data set with the division that the study made, for networks on a device."""

    on_device: DeviceData


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """One trial's network with its stored weights, in evaluation mode on the device of `data`."""

    number: int
    part: str
    """The study's part that trained it; empty is the search."""
    config: TrialConfig
    network: nn.Module
    data: DeviceData

    @property
    def family(self) -> str:
        """Of its architecture."""
        return self.config.architecture.name

    def inputs(self, pixels: NDArray[np.uint8]) -> Tensor:
        """What the network takes of images uint8 (N, H, W, C): float32 (N, C, H, W), normalised, on the device."""
        return self.data.normalise(self._part(pixels).pixels)

    def log_probs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Natural log-probabilities (N, K) of images uint8 (N, H, W, C), with the trial's own views and precision."""
        answer = predict(
            self.network, self.data, self._part(pixels), views=self.config.views, precision=self.config.precision
        )
        numbers: NDArray[np.float32] = answer.cpu().numpy()
        return numbers

    def _part(self, pixels: NDArray[np.uint8]) -> Part:
        shape = self.data.image_shape
        if pixels.shape[1:] != (shape.height, shape.width, shape.channels):
            raise BenchError(
                f"the model takes images of {shape.height} x {shape.width} pixels and {shape.channels} channels, "
                f"not {' x '.join(map(str, pixels.shape[1:]))}"
            )
        return Part.of(Images(pixels, np.zeros(len(pixels), np.int64)))


@dataclass(frozen=True, eq=False)
class LoadedEntrant:
    """An entrant whose members all have their networks: a single model is its own only member."""

    entrant: Entrant
    members: tuple[LoadedModel, ...]
    """In the order of `entrant.members`."""
    combination: RefittedEnsemble | None
    """None for a single model."""

    @property
    def votes(self) -> tuple[float, ...]:
        """What each member counts, summing to 1; equal where the method has no votes (stacking)."""
        return self.entrant.weights or (1 / len(self.members),) * len(self.members)

    def log_probs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Natural log-probabilities (N, K) of images uint8 (N, H, W, C)."""
        return self.combined([member.log_probs(pixels) for member in self.members])

    def combined(self, log_probs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Log-probabilities (N, K) from those of every member, in their order."""
        if self.combination is None:
            return log_probs[0]
        return self.combination.predict(dict(zip(self.entrant.members, log_probs, strict=True)))


def load_study_data(store: StudyStore, device: str = "auto", folder: Path | None = None, say: Say = print) -> StudyData:
    """The data that the study was made with, divided as it was, for a device ("auto", "cpu", "cuda:0", ...).

    `folder` holds a copy of the data set; without one it is the cache's or fetched. Raises BenchError where the data
    are not those of the study.
    """
    found = load_study_images(store, folder, say)
    on_device = DeviceData.to_ask(found.dataset, found.rows, choose_device(device))
    return StudyData(found.study, found.dataset, found.rows, on_device)


def load_entrant(store: StudyStore, entrant: Entrant, data: DeviceData) -> LoadedEntrant:
    """Build the entrant's networks and give them their stored weights; an ensemble's method is fitted again.

    Raises BenchError where weights were not kept or are damaged.
    """
    part = store.parts()[entrant.part] if entrant.part else store
    if entrant.trained_on != "train":
        # Its inputs were normalised by the statistics of all rows.
        data = data.with_val_in_train()
    members = _load_models(part, entrant, data)
    if entrant.is_single:
        return LoadedEntrant(entrant, members, None)
    return LoadedEntrant(entrant, members, refitted(entrant, part.single_models(), store.labels(Split.VAL)))


def _load_models(part: StudyStore, entrant: Entrant, data: DeviceData) -> tuple[LoadedModel, ...]:
    space = Space(stored_spec(part))
    place = place_of_files(part)
    files = {row.trial: row for row in part.files.rows() if row.kind is FileKind.WEIGHTS and row.file is not None}
    missing = [number for number in entrant.members if number not in files or files[number].place != place.label]
    if missing:
        elsewhere = sorted({files[number].place for number in missing if number in files})
        kept = space.spec.search.keep_weights
        why = (
            f"they are kept at {', '.join(elsewhere)}, and the study's files are looked for at {place.label}"
            if elsewhere
            else f"the study keeps those of its {kept} best trials (search.keep_weights)"
        )
        trials_told = f"trial{'s' if len(missing) > 1 else ''} {', '.join(map(str, missing))}"
        raise BenchError(f"{entrant.name}: no weights of {trials_told} here; {why}")
    trials = {trial.number: trial for trial in part.trials()}
    artifacts = Artifacts(place)
    loaded = []
    for number in entrant.members:
        trial, row = trials[number], files[number]
        assert row.file is not None
        config = space.configure(trial.family, partial(_stored_value, trial.parameters), seed=0)
        network = build_to_answer(config, data)
        try:
            content = artifacts.read(row.file)
        except OSError as error:
            raise BenchError(f"cannot read {row.file.name} in {place.label}: {error.strerror or error}") from error
        load_weights(network, content)
        loaded.append(LoadedModel(number, part.location.part, config, network, data))
    return tuple(loaded)


def _stored_value(parameters: Parameters, name: str, _: BaseDistribution) -> ParameterValue:
    return parameters[name]
