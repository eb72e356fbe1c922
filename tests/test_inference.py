"""Stored entrants asked again: they say what they said when they were trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from trained_study import train_study

from benchmark.errors import BenchError, UnknownNameError
from benchmark.inference import StudyData, load_entrant, load_study_data
from benchmark.records import Split
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.study import ensembles_of, find_entrant, leaderboard_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    return train_study(tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="module")
def data(store: StudyStore) -> StudyData:
    return load_study_data(store, "cpu", say=lambda _: None)


def test_every_entrant_predicts_again_what_is_stored(store: StudyStore, data: StudyData) -> None:
    entrants = [row.entrant for row in leaderboard_of(store).rows]
    assert {one.kind for one in entrants} == {"default", "tuned", "ensemble"}
    for entrant in entrants:
        again = load_entrant(store, entrant, data.on_device).log_probs(data.images(Split.TEST).pixels)
        np.testing.assert_allclose(again, entrant.test.log_probs, atol=2e-4, err_msg=entrant.name)


@pytest.mark.parametrize("temperature", ["members", "both"])
def test_ensembles_with_temperatures_and_limits_as_well(tmp_path: Path, data: StudyData, temperature: str) -> None:
    from benchmark.ensemble import EnsembleSpec, Limits

    store = train_study(tmp_path, trials=3, ensembles=False)
    spec = EnsembleSpec(top=3, methods=("voting", "stacking"), temperature=temperature, limits=Limits(members=2))
    for entrant in ensembles_of(store, spec):
        again = load_entrant(store, entrant, data.on_device).log_probs(data.images(Split.TEST).pixels)
        np.testing.assert_allclose(again, entrant.test.log_probs, atol=2e-4, err_msg=entrant.name)


def test_a_member_is_normalised_as_in_training(store: StudyStore, data: StudyData) -> None:
    (member,) = load_entrant(store, find_entrant(store, "best"), data.on_device).members
    inputs = member.inputs(data.images(Split.TRAIN).pixels)
    assert inputs.shape[1:] == (1, 8, 8)
    assert abs(float(inputs.mean())) < 1e-3
    assert abs(float(inputs.std()) - 1) < 1e-2


def test_votes_are_the_entrants_own(store: StudyStore, data: StudyData) -> None:
    ensemble = next(one for one in [row.entrant for row in leaderboard_of(store).rows] if one.method == "soft_voting")
    loaded = load_entrant(store, ensemble, data.on_device)
    assert loaded.votes == ensemble.weights
    assert [member.number for member in loaded.members] == list(ensemble.members)


def test_images_of_another_size_are_refused(store: StudyStore, data: StudyData) -> None:
    loaded = load_entrant(store, find_entrant(store, "0"), data.on_device)
    with pytest.raises(BenchError, match="8 x 8 pixels and 1 channels, not 9 x 8 x 1"):
        loaded.log_probs(np.zeros((2, 9, 8, 1), np.uint8))


def test_entrants_are_found_by_name_and_number(store: StudyStore) -> None:
    assert find_entrant(store, "recommended").name in {
        one.name for one in [row.entrant for row in leaderboard_of(store).rows]
    }
    assert find_entrant(store, "1").members == find_entrant(store, "trial 1").members == (1,)
    assert len(find_entrant(store, "best").members) == 1
    with pytest.raises(UnknownNameError, match="did you mean 'recommended'"):
        find_entrant(store, "recomended")


def test_weights_that_are_gone_are_named(tmp_path: Path, data: StudyData) -> None:
    store = train_study(tmp_path, trials=2, ensembles=False)
    store.files.remove(["trial-00001.safetensors"])
    with pytest.raises(BenchError, match="no weights of trial 1 here; the study keeps those of its 20 best"):
        load_entrant(store, find_entrant(store, "1"), data.on_device)
    load_entrant(store, find_entrant(store, "0"), data.on_device)


def test_other_images_than_the_studys_are_refused(tmp_path: Path) -> None:
    train_study(tmp_path, trials=1, ensembles=False)
    store = open_study(StudyLocation("tiny", tmp_path))
    store.set_fact("fingerprint", "of something else")
    with pytest.raises(BenchError, match="was made with other images of digits"):
        load_study_data(store, "cpu", say=lambda _: None)
