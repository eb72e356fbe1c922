"""A study as a whole: what is refused on an existing database, where numbers come from, and the sealed test split."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from filled_study import complete_trial, definition, fill, keep_file, spec
from PIL import Image
from rich.console import Console

from benchmark import study
from benchmark.definition import parse_study
from benchmark.ensemble import EnsembleSpec, Limits
from benchmark.errors import BenchError, UnknownNameError
from benchmark.leaderboard import to_markdown, to_rich
from benchmark.records import Cost, Entrant, FileKind, Predictions, Split
from benchmark.search.keeping import FileKeeper
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.store.tables import PREDICTIONS
from benchmark.verify import verify


def reopen(root: Path, **changes: str) -> None:
    study.open_for_search(spec(**changes), StudyLocation("tiny", root), None, lambda _: None)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("epochs = 1", "epochs = 2", "budget.epochs: 1 in the database, 2 now"),
        ("val = 297", "val = 300", "split.val: 297 in the database, 300 now"),
        (
            '"cnn", "vgg"',
            '"cnn", "vgg", "resnet"',
            "families: ['cnn', 'vgg'] in the database, ['cnn', 'vgg', 'resnet'] now",
        ),
        ("[search]", "[search]\nsampler = 'random'", "search.sampler: 'tpe' in the database, 'random' now"),
        ("batch_size = [64]", "batch_size = [128]", "space.batch_size"),
    ],
)
def test_a_changed_definition_is_refused_with_the_key_that_differs(
    tmp_path: Path, old: str, new: str, key: str
) -> None:
    fill(tmp_path)
    with pytest.raises(BenchError) as refusal:
        reopen(tmp_path, old=old, new=new)
    text = str(refusal.value)
    assert key in text
    assert "copy studies/tiny.toml to studies/NEW.toml and run: bench search NEW" in text
    assert "budget.reports" not in text, "a key that agrees is not named"


def test_what_has_no_file_is_not_told_to_be_copied(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / "studies" / "tiny.toml").unlink()
    with pytest.raises(BenchError, match="or start a new study: in a new --root") as refusal:
        reopen(tmp_path, old="epochs = 1", new="epochs = 2")
    assert ".toml" not in str(refusal.value)


def test_a_definition_that_names_what_does_not_exist_is_not_stored(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="'ccn'"):
        reopen(tmp_path, old='"cnn", "vgg"', new='"ccn", "vgg"')
    reopen(tmp_path)


@pytest.mark.parametrize(("old", "new"), [("", ""), ("trials = 5", "trials = 50\nkeep_weights = 3")])
def test_what_changes_no_trial_may_change(tmp_path: Path, old: str, new: str) -> None:
    fill(tmp_path)
    reopen(tmp_path, old=old, new=new)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [([], 20), ([3], 3), ([100], 20), ([3, 100], 3), ([3, 0, 100], 0)],
)
def test_weights_have_to_be_there_as_far_as_every_search_kept_them(
    tmp_path: Path, kept: list[int], expected: int
) -> None:
    store = fill(tmp_path)
    for count in kept:
        reopen(tmp_path, old="trials = 5", new=f"trials = 5\nkeep_weights = {count}")
    assert study.weights_kept(store) == expected


def test_a_study_of_a_version_that_did_not_note_it_is_held_to_its_definition(tmp_path: Path) -> None:
    store = fill(tmp_path)
    store.set_fact("weights_kept", None)
    assert study.weights_kept(store) == 20
    reopen(tmp_path, old="trials = 5", new="trials = 5\nkeep_weights = 100")
    assert study.weights_kept(store) == 20
    store.set_fact("weights_kept", None)
    store.set_fact("spec", None)
    assert study.weights_kept(store) == 0


def test_other_library_versions_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path)
    monkeypatch.setattr(study.opening, "running_versions", lambda: {**running, "torch": "0.1"})
    running = open_study(StudyLocation("tiny", tmp_path)).fact("versions")
    with pytest.raises(BenchError, match=r"torch: '.*' in the database, '0\.1' now"):
        reopen(tmp_path)


def test_trials_of_another_program_are_refused(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    foreign = optuna.create_study(study_name="tiny", storage=f"sqlite:///{tmp_path}/studies/tiny.db")
    foreign.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    with pytest.raises(BenchError, match="is of another program"):
        reopen(tmp_path)
    assert len(foreign.trials) == 2
    assert not foreign.user_attrs


# Where files go ------------------------------------------------------------------------------------------------------


def test_studies_of_one_name_in_two_databases_share_a_folder_for_artifacts_and_no_file(tmp_path: Path) -> None:
    stores = [fill(tmp_path / root) for root in ("one", "other")]
    for store, numbers in zip(stores, ((0, 1), (0, 1, 2)), strict=True):
        place = study.place_of_files(store, str(tmp_path / "shared"))
        for number in numbers:
            keep_file(store, place, f"trial-{number:05d}.safetensors", number, FileKind.WEIGHTS)
    for store in stores:
        FileKeeper(store, study.place_of_files(store), replace(spec().search, keep_weights=2)).tidy()
    for store in stores:
        found = verify(store, study.place_of_files(store), keep_weights=2)
        assert (found.damage, found.stray, found.files) == ((), (), 2)
    assert len({study.place_of_files(store).label for store in stores}) == 2


def test_the_id_of_a_study_is_made_once(tmp_path: Path) -> None:
    store = fill(tmp_path)
    told = store.fact("id")
    assert told
    reopen(tmp_path)
    assert store.fact("id") == told


def test_a_study_of_a_version_without_ids_keeps_its_place(tmp_path: Path) -> None:
    store = fill(tmp_path / "root")
    store.set_fact("id", None)
    reopen(tmp_path / "root")
    assert study.place_of_files(store, str(tmp_path / "shared")).base == str(tmp_path / "shared" / "tiny")


def test_a_study_whose_beginning_was_cut_off_gets_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_fact = StudyStore.set_fact

    def cut_off(store: StudyStore, key: str, value: object) -> None:
        set_fact(store, key, value)
        if key == "definition":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StudyStore, "set_fact", cut_off)
        with pytest.raises(KeyboardInterrupt):
            reopen(tmp_path)
    reopen(tmp_path)
    assert open_study(StudyLocation("tiny", tmp_path)).fact("id")


# What is read back ---------------------------------------------------------------------------------------------------


def test_the_origin_is_complete(tmp_path: Path) -> None:
    origin = study.leaderboard_of(fill(tmp_path)).origin
    assert (origin.study, origin.seed, origin.split_seed, origin.dataset) == ("tiny", 0, 0, "digits")
    assert (origin.train_rows, origin.val_rows, origin.test_rows) == (1000, 297, 500)
    assert origin.commands == ("bench search tiny",)
    assert origin.device == "a processor"
    assert origin.commit
    assert len(origin.dataset_fingerprint) == 64
    assert len(origin.split_digest) == 16
    assert {"torch", "optuna", "numpy"} <= set(origin.versions)
    assert all(origin.versions.values())


def test_a_command_is_noted_once(tmp_path: Path) -> None:
    store = fill(tmp_path)
    for command in ("bench search tiny", "bench ensemble tiny", "bench search tiny"):
        study.note_command(store, command)
    assert store.fact("commands") == ["bench search tiny", "bench ensemble tiny"]


def test_test_predictions_decide_nothing(tmp_path: Path) -> None:
    def decisions() -> list[tuple[object, ...]]:
        store = open_study(StudyLocation("tiny", tmp_path))
        study.ensembles_of(store, EnsembleSpec(top=3))
        board = study.leaderboard_of(store)
        return [(row.entrant.name, row.entrant.members, row.entrant.weights) for row in board.rows]

    fill(tmp_path, complete=5)
    before = decisions()
    _poison_test_predictions(tmp_path)
    assert decisions() == before


def test_what_was_scored_on_test_is_counted_once(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=3)
    first = study.leaderboard_of(store)
    assert first.scored == len(first.rows) >= 2
    assert study.leaderboard_of(store).scored == first.scored
    built = study.ensembles_of(store, EnsembleSpec(top=2, methods=("soft_voting",)))
    assert len(built) == 1
    assert study.leaderboard_of(store).scored == first.scored + 1


def test_the_recommended_ensemble_says_what_its_members_are_worth(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=4)
    study.ensembles_of(store, EnsembleSpec(top=3), sizes=[1, 2, 3])
    board = study.leaderboard_of(open_study(store.location))
    assert board.recommendation is not None
    assert board.recommendation.name == board.winner.name
    assert len(board.recommended.entrant.members) > 1
    assert board.members is not None
    assert board.members.contributions == board.recommended.entrant.contributions is not None
    assert {one.members for one in board.sizes} == {2, 3}
    assert all(0 < one.val_accuracy.value <= 1 for one in board.sizes)


def test_what_was_asked_of_ensembles_holds_for_the_leaderboard(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=3)
    study.ensembles_of(store, EnsembleSpec(top=2, metric="accuracy"))
    found = study.leaderboard_of(store).recommendation
    assert found is not None
    assert found.metric == "accuracy"
    page = to_markdown(study.leaderboard_of(store))
    assert "What is recommended errs least there" in page
    assert "least log loss there" not in page


def test_only_what_is_within_the_limits_is_recommended(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=4)
    study.ensembles_of(store, EnsembleSpec(top=3))
    free = study.leaderboard_of(store)
    assert len(free.recommended.entrant.members) > 1
    study.ensembles_of(store, EnsembleSpec(top=3, limits=Limits(members=1)))
    bound = study.leaderboard_of(store)
    assert len(bound.recommended.entrant.members) == 1
    page = to_markdown(bound)
    assert f"**{bound.winner.name}**, the least on validation of what has at most 1 members: " in page
    assert "of what has" not in to_markdown(free)
    assert study.find_entrant(store, "recommended").name == bound.winner.name
    assert free.winner.name in {row.entrant.name for row in bound.rows}, "it is shown nevertheless"
    study.ensembles_of(store, EnsembleSpec(top=3))
    assert study.leaderboard_of(store).winner.name == free.winner.name
    with pytest.raises(BenchError, match="within the limits: at most 10 parameters"):
        study.ensembles_of(store, EnsembleSpec(top=3, limits=Limits(parameters=10)))


def test_accuracy_against_size_is_of_the_models_that_there_are(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=3)
    study.ensembles_of(store, EnsembleSpec(top=2), sizes=[2, 3])
    assert study.leaderboard_of(store).sizes
    complete_trial(store, 7)
    assert not study.leaderboard_of(store).sizes


def test_the_leaderboard_says_where_its_ensembles_went(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=3)
    gone = "No ensemble is here, since models were completed after they were built; again: bench ensemble."
    assert gone not in to_markdown(study.leaderboard_of(store)), "there never were any"
    study.ensembles_of(store, EnsembleSpec(top=2))
    assert gone not in to_markdown(study.leaderboard_of(store))
    complete_trial(store, 7)
    assert gone in to_markdown(study.leaderboard_of(store))


def test_every_row_of_the_leaderboard_is_found_by_its_name(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=6)
    # As dear as two of the others, and no better.
    complete_trial(store, 30, cost=Cost(2000, 4000, 3.0, 0.1))
    study.ensembles_of(store, EnsembleSpec(top=2, methods=("soft_voting",)))
    board = study.leaderboard_of(store)
    # A model that has a row for its cost alone.
    assert board.peer is not None
    assert board.peer.name not in {one.name for one in study.board._competing(store, store.single_models(), {})}
    for row in board.rows:
        assert study.find_entrant(store, row.entrant.name).name == row.entrant.name


def test_too_few_images_to_choose_by_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    for number, name in enumerate(["cat", "dog"] * 10):
        path = tmp_path / "pets" / "train" / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
        if number < 2:
            path = tmp_path / "pets" / "test" / name / "0.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.full((8, 8), 100 + number, np.uint8)).save(path)
    few = parse_study("pets", definition("val = 297", "val = 4").replace('"digits"', '"folder"'), "here")
    with pytest.raises(BenchError, match="4 of 20 training images for validation are too few to choose by: it takes 5"):
        study.open_for_search(few, StudyLocation("pets", tmp_path), tmp_path / "pets", lambda _: None)
    assert not (tmp_path / "studies").exists()


def test_the_leaderboard_says_what_accuracy_depends_on_or_why_not(tmp_path: Path) -> None:
    board = study.leaderboard_of(fill(tmp_path, complete=3))
    families = sorted({trial.family for trial in board.trials if trial.val_accuracy is not None})
    assert [one.family for one in board.importances] == families
    assert {one.left_out for one in board.importances} == {"fewer than 10 complete trials"}


def _poison_test_predictions(root: Path) -> None:
    generator = np.random.default_rng(0)
    engine = sqlalchemy.create_engine(f"sqlite:///{root}/studies/tiny.db")
    with engine.begin() as connection:
        for trial in range(5):
            noise = np.log(generator.dirichlet(np.ones(10), size=500).clip(1e-9)).astype(np.float32)
            changed = connection.execute(
                sqlalchemy.update(PREDICTIONS)
                .where(PREDICTIONS.c.trial == trial, PREDICTIONS.c.split == str(Split.TEST))
                .values(log_probs=noise.tobytes(), digest=Predictions(Split.TEST, noise).digest)
            )
            assert changed.rowcount == 1
    engine.dispose()


def test_ensembles_are_built_again_where_a_model_was_completed_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = fill(tmp_path, complete=3)
    build, said, more = study.building.build_ensembles, [], [0]

    def interrupted(*asked: Any) -> list[Entrant]:
        if more:
            complete_trial(store, more.pop())
        return build(*asked)

    monkeypatch.setattr(study.building, "build_ensembles", interrupted)
    study.ensembles_of(store, EnsembleSpec(top=2), say=said.append)
    assert said[0] == "other models were completed meanwhile; building again"
    assert len(said) == len(set(said)), "notes are told once"
    # Trial 3 failed; trial 4 is as good as the best.
    assert {number for one in store.ensembles() for number in one.members} >= {0, 4}
    more[:] = [5, 5, 5, 5]
    with pytest.raises(BenchError, match="models are completed faster than ensembles are built"):
        study.ensembles_of(store, EnsembleSpec(top=2))
    assert store.ensembles() == [], "none of them are of all models"


def test_limits_that_nothing_keeps_to_are_said(tmp_path: Path) -> None:
    store = fill(tmp_path, complete=3)
    study.ensembles_of(store, EnsembleSpec(top=2))
    asked = store.fact("ensembles")
    store.set_fact("ensembles", asked | {"limits": asked["limits"] | {"parameters": 10}})
    board = study.leaderboard_of(store)
    page = to_markdown(board)
    assert "- Nothing here has at most 10 parameters, as ensembles were asked for last; build them again: " in page
    assert "of what has" not in page
    text = Console(width=200, file=io.StringIO())
    text.print(to_rich(board))
    assert "Nothing here has at most 10 parameters" in text.file.getvalue()  # type: ignore[attr-defined]
