"""Stored entrants evaluated again: on test images as they are, and corrupted; by function and by command."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trained_study import train_study

from benchmark import cli, evaluation
from benchmark.corruptions import SEVERITIES, corrupted, corruption_names
from benchmark.evaluation import (
    ask,
    distinct_members,
    load_entrants,
    predict_again,
    predict_corrupted,
    report_corruptions,
    spread_rows,
)
from benchmark.inference import LoadedModel, StudyData, load_study_data
from benchmark.leaderboard import to_csv, to_markdown
from benchmark.records import Split
from benchmark.robustness import (
    CorruptionOrigin,
    CorruptionReport,
    MadeImages,
    note_accuracies,
    score_corruptions,
    stored_accuracies,
)
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.study import find_entrant, leaderboard_of

ENSEMBLE = "soft voting, top 2"
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    store = train_study(root, trials=2)
    store.study._storage.remove_session()
    store._db.engine.dispose()
    return root


@pytest.fixture
def root(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> StudyStore:
    return open_study(StudyLocation("tiny", root))


@pytest.fixture(scope="module")
def data(trained: Path) -> StudyData:
    return load_study_data(open_study(StudyLocation("tiny", trained)), "cpu", say=lambda _: None)


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `bench` in the study's folder: exit code, and everything that it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        monkeypatch.setenv("COLUMNS", "250")
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out + err

    return run


@pytest.mark.parametrize(("rows", "count", "found"), [(5, 3, [0, 2, 4]), (3, 9, [0, 1, 2]), (4, 1, [0])])
def test_rows_are_evenly_spread(rows: int, count: int, found: list[int]) -> None:
    assert spread_rows(rows, count).tolist() == found


def test_a_member_of_several_entrants_is_asked_once(
    store: StudyStore, data: StudyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_entrants(store, [ENSEMBLE, "0", "best", "1", "geometric mean, top 2"], data)
    assert len(loaded) == 4, "best is one of the two"
    assert distinct_members(loaded) == 2
    asked: Counter[int] = Counter()
    predict = LoadedModel.log_probs

    def counting(model: LoadedModel, pixels: np.ndarray) -> np.ndarray:
        asked[model.number] += 1
        return predict(model, pixels)

    monkeypatch.setattr(LoadedModel, "log_probs", counting)
    pixels = data.images(Split.TEST).pixels[:20]
    steps: list[None] = []
    answers = ask(loaded, pixels, lambda: steps.append(None))
    assert asked == {0: 1, 1: 1}
    assert len(steps) == 2
    for one, said in zip(loaded, answers.log_probs, strict=True):
        np.testing.assert_array_equal(said, one.log_probs(pixels))


def test_right_weights_say_what_is_stored_and_wrong_ones_do_not(store: StudyStore, data: StudyData) -> None:
    loaded = load_entrants(store, [ENSEMBLE, "0"], data)
    rows = spread_rows(500, 100)
    for found in predict_again(loaded, data, rows, lambda _: None):
        assert found.rows == 100
        assert found.accuracy == found.stored_accuracy
        assert found.changed == 0
        assert found.largest_difference < 1e-3
        assert found.images_per_second > 0
    other = replace(loaded[1], members=load_entrants(store, ["1"], data)[0].members)
    (found,) = predict_again([other], data, rows, lambda _: None)
    labels = data.images(Split.TEST).labels[rows]
    stored, now = (one.entrant.test.log_probs[rows].argmax(axis=1) for one in load_entrants(store, ["0", "1"], data))
    assert found.stored_accuracy == (stored == labels).mean()
    assert found.accuracy == (now == labels).mean()
    assert found.changed == (stored != now).mean() > 0
    assert found.largest_difference > 0.01


def test_corrupted_images_are_asked_about_one_by_one(store: StudyStore, data: StudyData) -> None:
    loaded = load_entrants(store, [ENSEMBLE, "best"], data)
    images = MadeImages(data.dataset.test, spread_rows(500, 40), 3)
    told: list[str] = []
    answers = predict_corrupted(loaded, data, images, told.append)
    test = data.dataset.test.take(images.rows)
    for name, severity in (("fog", 2), ("jpeg_compression", 5)):
        place = corruption_names().index(name)
        pixels = corrupted(test.pixels, name, severity, seed=3)
        for number, one in enumerate(loaded):
            expected = one.log_probs(pixels).argmax(axis=1) == test.labels
            assert np.array_equal(answers.right[number, place, severity - 1], expected)
        assert np.array_equal(answers.samples[place, severity], pixels[0])
        assert np.array_equal(answers.samples[place, 0], test.pixels[0])
    assert np.array_equal(answers.clean[0], loaded[0].log_probs(test.pixels).argmax(axis=1) == test.labels)
    assert len(told) == distinct_members(loaded) * (1 + 15 * len(SEVERITIES))
    everything = b"".join(images.of(name, severity).tobytes() for name in corruption_names() for severity in SEVERITIES)
    assert answers.digest == hashlib.sha256(everything).hexdigest()


def test_an_ensemble_that_was_replaced_does_not_inherit_the_number(store: StudyStore, data: StudyData) -> None:
    loaded = load_entrants(store, [ENSEMBLE, "best"], data)
    images = MadeImages(data.dataset.test, spread_rows(500, 20), 0)
    answers = predict_corrupted(loaded, data, images, lambda _: None)
    report = report_corruptions(store, loaded, data, images, answers, "bench evaluate")
    entrants = [one.entrant for one in loaded]
    note_accuracies(store, entrants, report)
    found = stored_accuracies(store, [row.entrant for row in leaderboard_of(store).rows])
    assert set(found) == {one.name for one in entrants}
    assert found[ENSEMBLE] == report.scores[0].mean
    shown = {row.entrant.name: row.corruption_accuracy for row in leaderboard_of(store).rows}
    assert shown[ENSEMBLE] == report.scores[0].mean
    assert np.isnan(shown["geometric mean, top 2"].value)
    assert leaderboard_of(store).corrupted == 20
    assert "*Corruption acc.* is of 20 of the 500 test images" in to_markdown(leaderboard_of(store))
    replaced = replace(entrants[0], val=entrants[1].val, test=entrants[1].test)
    store.save_ensembles([replaced])
    assert set(stored_accuracies(store, [row.entrant for row in leaderboard_of(store).rows])) == {entrants[1].name}
    assert np.isnan({row.entrant.name: row for row in leaderboard_of(store).rows}[ENSEMBLE].corruption_accuracy.value)


def test_a_better_model_that_is_complete_meanwhile_costs_no_report(store: StudyStore, data: StudyData) -> None:
    loaded = load_entrants(store, [ENSEMBLE, "best"], data)
    images = MadeImages(data.dataset.test, spread_rows(500, 20), 0)
    answers = predict_corrupted(loaded, data, images, lambda _: None)
    better = replace(loaded[-1].entrant, name="one that came later")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "find_entrant", lambda *_: better)
        report = report_corruptions(store, loaded, data, images, answers, "bench evaluate")
    assert report.reference == loaded[-1].entrant.name


def test_numbers_of_other_images_do_not_stand_side_by_side(store: StudyStore, data: StudyData) -> None:
    loaded = load_entrants(store, [ENSEMBLE, "best"], data)
    entrants = [one.entrant for one in loaded]
    right = np.ones((2, 15, 5, 4), bool)

    def note(measured: slice, rows: int, digest: str, share: int) -> None:
        right[..., share:] = False
        scores = score_corruptions([one.name for one in entrants], right[:, 0, 0], right, reference=1)
        origin = CorruptionOrigin("tiny", "digits", "f", "c", "x", "here", digest, rows, 500, "cpu", {"torch": "2"})
        report = CorruptionReport((), tuple(scores[measured]), "best", origin)
        note_accuracies(store, entrants[measured], report)

    def shown() -> dict[str, float]:
        return {name: found.value for name, found in stored_accuracies(store, entrants).items()}

    note(slice(0, 2), 100, "first", 4)
    note(slice(0, 1), 40, "a quick try", 3)
    assert shown() == {entrants[0].name: 1, entrants[1].name: 1}, "more images count"
    note(slice(0, 1), 100, "first", 2)
    assert shown() == {entrants[0].name: 0.5, entrants[1].name: 1}, "measured again, and beside it as before"
    note(slice(1, 2), 100, "others", 1)
    assert shown() == {entrants[1].name: 0.25}, "of as many images the last ones, and no other number beside them"


def test_the_command_compares_with_what_is_stored(bench: Run, root: Path, store: StudyStore) -> None:
    code, output = bench("evaluate", "tiny", ENSEMBLE, "0", "--images", "50")
    assert code == 0, output
    assert "about 50 of 500 test images" in output
    (row,) = [line for line in output.splitlines() if line.strip().startswith(ENSEMBLE)]
    stored, now, _, changed, _ = row.split()[-5:]
    assert stored == now
    assert changed == "0.00"
    assert not (root / "results").exists()
    looked_at = {find_entrant(store, name).test.digest[:16] for name in (ENSEMBLE, "0")}
    assert looked_at <= set(store.fact("test_scored"))


def test_the_command_reports_corruptions_and_the_leaderboard_shows_them(
    bench: Run, root: Path, store: StudyStore
) -> None:
    code, output = bench("evaluate", "tiny", ENSEMBLE, "--corruptions", "--images", "30", "--device", "cpu")
    assert code == 0, output
    assert "jpeg_compression: " in output
    assert "of 152" in output, "two models, 75 times corrupted and once clean"
    assert "next: bench leaderboard tiny --columns name,test_accuracy,corruption_accuracy" in output
    report = json.loads((root / "results" / "tiny" / "corruptions.json").read_text())
    assert [one["entrant"] for one in report["entrants"]] == [ENSEMBLE, report["reference"]]
    assert report["origin"]["command"] == f"bench evaluate tiny '{ENSEMBLE}' --corruptions --images 30 --device cpu"
    assert (report["origin"]["rows"], report["origin"]["test_rows"]) == (30, 500)
    assert sorted(path.name for path in (root / "results" / "tiny").iterdir()) == [
        "corruption-samples.png", "corruptions.json", "corruptions.md", "corruptions.png", "corruptions.svg",
    ]  # fmt: skip
    assert {"torch", "pillow", "scipy"} <= set(report["origin"]["versions"])
    mean = report["entrants"][0]["mean"]["value"]
    assert mean == pytest.approx(np.mean(report["entrants"][0]["accuracy"]))

    board = leaderboard_of(store)
    shown = {row["name"]: row["corruption_accuracy"] for row in csv.DictReader(io.StringIO(to_csv(board)))}
    assert float(shown[ENSEMBLE]) == mean
    assert shown["geometric mean, top 2"] == ""
    assert f"| {100 * mean:.2f} (" in to_markdown(board)
    assert any("evaluate" in one for one in store.fact("commands"))


def test_published_arrays_are_taken_instead(bench: Run, root: Path, data: StudyData, tmp_path: Path) -> None:
    """Arrays without any corruption: every accuracy is that of clean images."""
    folder, test = tmp_path / "CIFAR-10-C", data.dataset.test
    folder.mkdir()
    for name in corruption_names():
        np.save(folder / f"{name}.npy", np.tile(test.pixels, (5, 1, 1, 1)))
    np.save(folder / "labels.npy", np.tile(test.labels, 5))
    code, output = bench("evaluate", "tiny", "best", "--cifar10-c", str(folder), "--images", "100")
    assert code == 0, output
    assert "read from CIFAR-10-C, in the form in which" in output
    (one,) = json.loads((root / "results" / "tiny" / "corruptions.json").read_text())["entrants"]
    assert set(np.ravel(one["accuracy"])) == {one["clean"]["value"]}
    assert one["versus_reference"] == {"value": 0, "low": 0, "high": 0}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tiny recomended", "unknown entrant 'recomended'; did you mean 'recommended'?"),
        ("tiny --device gpu", "unknown device 'gpu'; did you mean 'cpu'?"),
        ("tiny --cifar10-c .", "has no gaussian_noise.npy, shot_noise.npy"),
        ("tiny --images 0", "--images"),
        ("tiny --corruptions --cifar10-c .", "give one of them"),
    ],
)
def test_wrong_words_are_refused(bench: Run, root: Path, words: str, message: str) -> None:
    code, output = bench("evaluate", *words.split())
    assert code == 2
    assert message in output
    assert "Traceback" not in output
    assert not (root / "results").exists()
