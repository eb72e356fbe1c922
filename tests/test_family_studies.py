"""One study per family: the same trials under shorter names, and Optuna's own plots of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from planted_search import add, plant, sampled

from benchmark.family_studies import NUMBER, family_studies
from benchmark.store import StudyStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    return plant(tmp_path_factory.mktemp("planted"), {"cnn": 12, "resnet": 3})


@pytest.fixture(scope="module")
def studies(store: StudyStore) -> dict[str, optuna.Study]:
    return family_studies(store)


def test_each_family_has_its_complete_and_pruned_trials(store: StudyStore, studies: dict[str, optuna.Study]) -> None:
    assert list(studies) == ["cnn", "resnet"]
    searched = store.study.get_trials()
    for family, study in studies.items():
        assert study.study_name == family
        assert study.direction is optuna.study.StudyDirection.MAXIMIZE
        own = [trial for trial in searched if trial.params["family"] == family and trial.state is not TrialState.FAIL]
        assert [trial.user_attrs[NUMBER] for trial in study.trials] == [trial.number for trial in own]
        for found, given in zip(study.trials, own, strict=True):
            assert (found.state, found.value) == (given.state, given.value)
            assert (found.datetime_start, found.duration) == (given.datetime_start, given.duration)
            assert found.intermediate_values == given.intermediate_values
    assert [trial.state for trial in studies["cnn"].trials].count(TrialState.PRUNED) == 1
    assert studies["cnn"].best_value == max(
        trial.value for trial in searched if trial.state is TrialState.COMPLETE and trial.params["family"] == "cnn"
    )


def test_names_are_short_and_what_has_one_value_is_left_out(
    store: StudyStore, studies: dict[str, optuna.Study]
) -> None:
    shared = {"optimizer", "batch_size", "label_smoothing", "flip"}
    for trial in studies["cnn"].trials:
        rate = f"{trial.params['optimizer']}.lr"
        assert set(trial.params) == set(trial.distributions) == shared | {"width", "variant", rate}
        given = store.study.get_trials()[trial.user_attrs[NUMBER]]
        assert trial.params["width"] == given.params["cnn.width"]
        assert trial.distributions["width"] == given.distributions["cnn.width"]
    assert {"width"} == {name for trial in studies["resnet"].trials for name in trial.params} - shared - {
        "adamw.lr", "sgd.lr",
    }  # fmt: skip


def test_the_search_itself_is_left_as_it_was(store: StudyStore) -> None:
    view = family_studies(store)["cnn"]
    view.add_trial(view.trials[0])
    assert len(family_studies(store)["cnn"].trials) == 13
    assert "cnn.width" in store.study.trials[0].params


def test_a_search_without_an_ended_trial_has_no_studies(tmp_path: Path) -> None:
    from benchmark.store import StudyLocation, create_study

    store = create_study(StudyLocation("empty", tmp_path))
    assert family_studies(store) == {}
    add(store, sampled("cnn", np.random.default_rng(0)), TrialState.FAIL)
    assert family_studies(store) == {}


@pytest.mark.parametrize("plot", ["plot_slice", "plot_parallel_coordinate"])
def test_optunas_plots_take_them(studies: dict[str, optuna.Study], plot: str) -> None:
    # Warnings are errors here.
    for study in studies.values():
        figure = getattr(optuna.visualization, plot)(study, target_name="Validation accuracy")
        assert figure.data
        assert figure.to_json()


def test_optunas_slices_hold_every_complete_trial(studies: dict[str, optuna.Study]) -> None:
    (points,) = optuna.visualization.plot_slice(studies["resnet"], params=["width"]).data
    given = [(trial.params["width"], trial.value) for trial in studies["resnet"].trials]
    assert sorted(zip(points.x, points.y, strict=True)) == sorted(given)
