"""The program from a notebook: frames with the commands' numbers, pictures, and the whole tour on digits."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from filled_study import fill
from nbclient import NotebookClient
from PIL import Image
from trained_study import train_study

import benchmark
from benchmark.columns import COLUMNS
from benchmark.errors import BenchError, UnknownNameError
from benchmark.label_check import check_labels
from benchmark.leaderboard import to_json
from benchmark.metrics import predicted
from benchmark.records import Split
from benchmark.study import find_entrant, leaderboard_of
from benchmark.study_data import load_study_images

TOUR = Path(__file__).parents[1] / "studies" / "tour.ipynb"
PNG = b"\x89PNG"


@pytest.fixture
def study(tmp_path: Path) -> benchmark.Study:
    """A study with invented predictions."""
    fill(tmp_path)
    return benchmark.Study("tiny", tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> benchmark.Study:
    """A study with networks."""
    root = tmp_path_factory.mktemp("trained")
    train_study(root, trials=3)
    return benchmark.Study("tiny", root)


def test_trials_are_a_frame(study: benchmark.Study) -> None:
    trials = study.trials
    stored = study.store.trials()
    assert list(trials.index) == [trial.number for trial in stored]
    assert list(trials["state"]) == [str(trial.state) for trial in stored]
    assert list(trials["val_accuracy"].dropna()) == [one.val_accuracy for one in stored if one.val_accuracy is not None]


def test_a_board_has_the_numbers_of_the_files(study: benchmark.Study) -> None:
    board = study.ensemble(top=2)
    rows = json.loads(to_json(leaderboard_of(study.store)))["rows"]
    assert list(board.frame["name"]) == [row["name"] for row in rows]
    assert list(board.frame["test_accuracy"]) == [row["test_accuracy"] for row in rows]
    assert board.recommended in set(board.frame["name"])
    html = board._repr_html_()
    assert all(name.replace("&", "&amp;") in html for name in board.frame["name"])
    assert COLUMNS[0].heading() in html


def test_figures_are_found_by_name_and_show_themselves(study: benchmark.Study) -> None:
    board = study.leaderboard()
    assert "confusion" in board.figures
    assert board.figure("confusion")._repr_png_().startswith(PNG)
    with pytest.raises(UnknownNameError, match="did you mean 'confusion'"):
        board.figure("confusions")


def test_a_written_leaderboard_is_that_of_the_command(study: benchmark.Study, tmp_path: Path) -> None:
    study.leaderboard(written=True)
    assert (tmp_path / "results" / "tiny.md").exists()
    assert (tmp_path / "results" / "tiny" / "confusion.png").exists()


def test_mistakes_are_frames_and_pictures(study: benchmark.Study) -> None:
    found = study.mistakes("best", count=3)
    assert found.confusion.to_numpy().sum() == len(study.store.labels(Split.TEST))
    assert list(found.by_class.columns) == ["precision", "recall", "f1", "images"]
    assert len(found.pairs) == 3
    assert found.pairs["count"].is_monotonic_decreasing
    assert isinstance(found.most_confident(), Image.Image)


def test_mistakes_of_an_ensemble_stand_beside_those_of_the_best_single_model(study: benchmark.Study) -> None:
    study.ensemble(top=3, methods=("soft_voting",))
    assert study.store.fact("commands")[-1] == "Study('tiny').ensemble(top=3, methods=('soft_voting',))"
    (ensemble,) = study.store.ensembles()
    single = find_entrant(study.store, "best")
    found = study.mistakes(ensemble.name, count=500)
    labels = study.store.labels(Split.TEST)
    is_right, was_right = (predicted(one.test.log_probs) == labels for one in (ensemble, single))
    by_outcome = {name: set(rows["row"]) for name, rows in found.repairs.groupby("outcome")}
    repaired, broken = (set(np.flatnonzero(rows)) for rows in (is_right & ~was_right, was_right & ~is_right))
    assert repaired
    assert by_outcome.get("repaired", set()) == repaired
    assert by_outcome.get("broken", set()) == broken
    assert found.by_class[["repaired", "broken"]].sum().tolist() == [len(repaired), len(broken)]
    assert isinstance(found.repaired_and_broken(), Image.Image)
    assert {one.test.digest[:16] for one in (ensemble, single)} <= set(study.store.fact("test_scored"))


def test_mistakes_stand_beside_whoever_is_named(study: benchmark.Study) -> None:
    beside = study.mistakes("1", "2", count=3).found.beside
    assert beside is not None
    assert beside.answers.name == find_entrant(study.store, "2").name
    alone = study.mistakes("1")
    assert alone.repairs.empty
    assert alone.repaired_and_broken() is None
    with pytest.raises(BenchError, match="no mistakes that it does not make itself"):
        study.mistakes("1", "1")


def test_suspect_labels_are_those_of_the_command(study: benchmark.Study) -> None:
    images = load_study_images(study.store, None, lambda _: None)
    check = check_labels(study.store, images.dataset)
    found = study.suspects()
    assert len(found) == len(check.suspects) > 0
    assert list(found["row"]) == [one.place.row for one in check.suspects]
    assert list(found["split"]) == [one.place.split for one in check.suspects]
    assert list(found["agreement"]) == [one.agreement for one in check.suspects]


def test_stored_networks_are_evaluated_again(trained: benchmark.Study) -> None:
    found = trained.evaluate("0", images=40, device="cpu")
    assert list(found.index) == [find_entrant(trained.store, "0").name]
    assert found["rows"].tolist() == [40]
    np.testing.assert_allclose(found["accuracy"], found["stored_accuracy"])
    assert len(trained.evaluate(images=5, device="cpu")) == len(
        {find_entrant(trained.store, name).name for name in ("recommended", "best")}
    )


def test_accuracies_under_corruption_are_a_frame_and_on_the_leaderboard(trained: benchmark.Study) -> None:
    found = trained.corruptions(images=10, device="cpu")
    best = find_entrant(trained.store, "best").name
    assert best in found.columns
    assert found.index.names == ["corruption", "severity"]
    assert len(found) == 15 * 5
    assert found.to_numpy().min() >= 0
    board = trained.leaderboard().frame.set_index("name")
    assert board.loc[best, "corruption_accuracy"] == pytest.approx(found[best].mean())


def test_a_curve_is_a_frame_of_its_reports(trained: benchmark.Study) -> None:
    found = trained.curve(0)
    assert list(zip(found.index, found["val_accuracy"], strict=True)) == list(trained.store.trials()[0].reports)
    assert len(found) == 2
    assert trained.draw_curve(0)._repr_png_().startswith(PNG)


def test_a_trial_without_a_curve_has_an_empty_frame_and_no_picture(study: benchmark.Study) -> None:
    assert len(study.curve(0)) == 0
    assert "val_accuracy" in study.curve(0)
    with pytest.raises(BenchError, match="no curve of trial 0"):
        study.draw_curve(0)


def test_ensembles_are_of_as_many_models_as_there_are(study: benchmark.Study) -> None:
    # Three of the five that are usual.
    assert any(name.endswith("top 3") for name in study.ensemble(metric="accuracy").frame["name"])


def test_predictions_are_those_that_are_stored(trained: benchmark.Study) -> None:
    data = benchmark.load_dataset("digits")
    found = trained.predict(data.dataset.test.pixels[:20], "0", device="cpu")
    stored = np.exp(trained.store.predictions(0, Split.TEST).log_probs[:20])
    np.testing.assert_allclose(found.to_numpy(), stored, atol=1e-4)
    assert list(found.columns) == list(data.dataset.classes)


def test_what_an_explanation_looks_at_on_test_counts_as_scored(trained: benchmark.Study) -> None:
    chosen = find_entrant(trained.store, "best").test.digest[:16]
    trained.store.set_fact("test_scored", [])
    trained.explain("best", pixels=np.zeros((1, 8, 8, 1), np.uint8))
    assert trained.store.fact("test_scored") == []
    trained.explain("best", count=2)
    assert trained.store.fact("test_scored") == [chosen]


def test_an_explanation_is_a_picture(trained: benchmark.Study) -> None:
    assert trained.explain("best", count=2, device="cpu")._repr_png_().startswith(PNG)


def test_a_data_set_is_looked_at() -> None:
    data = benchmark.load_dataset("digits")
    assert data.counts.to_numpy().sum() == 1797
    assert isinstance(data.samples(per_class=2), Image.Image)
    assert data._repr_html_().count("<tr") == 1 + 1 + len(data.dataset.classes)


def test_data_of_a_study_are_divided_as_it_divided_them(study: benchmark.Study) -> None:
    counts = study.data().counts
    assert list(counts.columns) == ["train", "val", "test"]
    assert counts.sum().tolist() == [1000, 297, 500]
    labels = study.store.labels(Split.VAL)
    assert counts["val"].tolist() == np.bincount(labels).tolist()


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Studio'"):
        _ = benchmark.Studio
    assert {"Study", "load_dataset"} <= set(dir(benchmark))


@pytest.mark.slow
def test_the_tour_runs_from_end_to_end_on_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_TOUR_STUDY", "digits")
    monkeypatch.setenv("BENCH_TOUR_TRIALS", "4")
    tour = nbformat.read(TOUR, as_version=4)  # type: ignore[no-untyped-call]
    assert all(not cell.get("outputs") for cell in tour.cells)
    NotebookClient(
        tour, timeout=600, startup_timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for cell in tour.cells for output in cell.get("outputs", ())]
    pictures = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(pictures) >= 9
    assert not [output for output in shown if output.output_type == "error"]
    assert (tmp_path / "tour" / "results" / "digits.html").stat().st_size < 10e6
