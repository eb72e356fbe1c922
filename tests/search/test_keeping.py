"""Files come and go with their trials; a crash at any moment leaves none that cannot be found."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from filled_study import choose_family, spec

from benchmark.artifacts import Artifacts, Place, beside_database
from benchmark.errors import BenchError
from benchmark.records import Cost, Predictions, Split
from benchmark.search.keeping import FileKeeper, best_trials
from benchmark.store import Claim, StudyLocation, StudyStore, create_study, open_study
from benchmark.store.tables import LEASES

HALVES = np.log(np.full((3, 2), 0.5, np.float32))
BOTH = (Predictions(Split.VAL, HALVES), Predictions(Split.TEST, HALVES))


class Shelf:
    """A study whose trials end as a test says, and the files that they leave."""

    def __init__(self, root: Path, keep_weights: int = 2, checkpoints: str = "always") -> None:
        self.store: StudyStore = create_study(StudyLocation("tiny", root))
        self.folder = root / "weights"
        self.keeper = self.keeper_at(beside_database(self.folder), keep_weights, checkpoints)
        self.artifacts = Artifacts(beside_database(self.folder))

    def keeper_at(self, place: Place, keep_weights: int = 2, checkpoints: str = "always") -> FileKeeper:
        return FileKeeper(self.store, place, replace(spec().search, keep_weights=keep_weights, checkpoints=checkpoints))

    def begin(self) -> optuna.Trial:
        """A running trial that has left weights and one checkpoint, and half of another."""
        claim = self.store.queue.claim(100, prepare)
        assert isinstance(claim, Claim)
        weights, plan = self.keeper.announce(claim.trial.number)
        assert plan is not None
        number = claim.trial.number
        self.keeper.note(number, self.artifacts.write(weights, b"weights"))
        self.keeper.note(number, self.artifacts.write(plan.names[0], b"state"), {"step": 1, "curve": []})
        self.artifacts.write(plan.names[1], b"sta")
        return claim.trial

    def complete(self, accuracy: float) -> int:
        trial = self.begin()
        assert self.store.queue.complete(trial, accuracy, BOTH, {"cost": Cost(1, 2, 0.1, 0.1)})
        return trial.number

    @property
    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}

    @property
    def known(self) -> set[str]:
        return {row.name for row in self.store.files.rows()}


def prepare(claim: Claim) -> None:
    choose_family(claim)
    claim.trial.set_user_attr("default", False)


def weights(*numbers: int) -> set[str]:
    return {f"trial-{number:05d}.safetensors" for number in numbers}


def checkpoints(number: int, *which: int) -> set[str]:
    return {f"trial-{number:05d}.{index}.checkpoint" for index in which}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_weights_of_the_best_stay_and_leave_with_them(shelf: Shelf) -> None:
    for accuracy, kept in ((0.5, [0]), (0.7, [0, 1]), (0.4, [0, 1]), (0.6, [1, 3]), (0.9, [1, 4])):
        shelf.complete(accuracy)
        shelf.keeper.tidy()
        assert shelf.files == shelf.known == weights(*kept)


def test_of_equals_the_earlier_keeps_its_weights(shelf: Shelf) -> None:
    for _ in range(3):
        shelf.complete(0.5)
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == weights(0, 1)
    assert best_trials(shelf.store.trials(), 2) == [0, 1]


def test_nothing_is_kept_where_nothing_is_wanted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, keep_weights=0)
    shelf.complete(0.5)
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == set()


def test_files_of_a_running_trial_are_left_alone(shelf: Shelf) -> None:
    for accuracy in (0.8, 0.9):
        shelf.complete(accuracy)
    running = shelf.begin().number
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == weights(0, 1, running) | checkpoints(running, 0, 1)


def test_files_of_a_trial_whose_lease_ended_are_left_alone_until_somebody_takes_its_place(shelf: Shelf) -> None:
    shelf.begin()
    with shelf.store._db.begin() as connection:
        connection.execute(sqlalchemy.update(LEASES).values(expires_at=0.0))
    before = shelf.files
    beside = Shelf(shelf.folder.parent)
    beside.store.queue.owner = "elsewhere:machine:1:2"
    beside.keeper.tidy()
    assert shelf.files == before, "its process may have been paused, and then it goes on"


def test_an_interrupted_trial_keeps_its_whole_checkpoint_only(shelf: Shelf) -> None:
    trial = shelf.begin()
    shelf.store.queue.interrupt(trial, "interrupted: the search was stopped", {})
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == checkpoints(trial.number, 0)
    assert shelf.artifacts.read(shelf.store.files.checkpoints()[trial.number].file) == b"state"


def test_trials_that_will_not_go_on_keep_no_checkpoint(shelf: Shelf) -> None:
    failed, pruned = shelf.begin(), shelf.begin()
    shelf.store.queue.fail(failed, "diverged at step 3", {})
    pruned.report(0.1, 1)
    shelf.store.queue.prune(pruned, {})
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == set()


def test_a_checkpoint_goes_with_the_trial_that_went_on_from_it(shelf: Shelf) -> None:
    first = shelf.begin()
    shelf.store.queue.interrupt(first, "interrupted: the search was stopped", {})
    shelf.keeper.tidy()
    claim = shelf.store.queue.claim(100, prepare)
    assert isinstance(claim, Claim)
    assert claim.checkpoint is not None
    shelf.keeper.tidy()
    assert shelf.files == checkpoints(first.number, 0)
    shelf.store.queue.complete(claim.trial, 0.5, BOTH, {"cost": Cost(1, 2, 0.1, 0.1)})
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == set()


def test_files_at_another_place_are_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    elsewhere = Place(str(tmp_path / "elsewhere"), "elsewhere:/weights")
    there = Artifacts(elsewhere)
    ours = [shelf.complete(accuracy) for accuracy in (0.1, 0.8, 0.9)]
    trial = shelf.store.queue.claim(100, prepare)
    assert isinstance(trial, Claim)
    name, _ = shelf.keeper_at(elsewhere).announce(trial.trial.number)
    shelf.keeper_at(elsewhere).note(trial.trial.number, there.write(name, b"weights"))
    shelf.store.queue.fail(trial.trial, "diverged at step 3", {})
    before = [row for row in shelf.store.files.rows() if row.place == elsewhere.label]
    shelf.keeper.tidy()
    assert (tmp_path / "elsewhere" / name).read_bytes() == b"weights"
    assert [row for row in shelf.store.files.rows() if row.place == elsewhere.label] == before
    assert shelf.files == weights(*ours[1:])
    shelf.keeper_at(elsewhere).tidy()
    assert shelf.known == weights(*ours[1:])
    assert not list((tmp_path / "elsewhere").iterdir())


def lose(shelf: Shelf) -> None:
    """Let the leases end, and another process take the trials for lost."""
    other = open_study(shelf.store.location)
    other.queue.owner = "elsewhere:machine:1:1"
    with shelf.store._db.begin() as connection:
        connection.execute(sqlalchemy.update(LEASES).values(expires_at=0.0))
    with other.exclusive():
        other.queue.fail_lost()


def test_a_file_of_a_trial_that_was_lost_meanwhile_is_removed_and_not_noted(shelf: Shelf) -> None:
    claim = shelf.store.queue.claim(100, prepare)
    assert isinstance(claim, Claim)
    name, plan = shelf.keeper.announce(claim.trial.number)
    assert plan is not None
    lose(shelf)
    for late, record in ((name, None), (plan.names[0], {"step": 1, "curve": []})):
        shelf.keeper.note(claim.trial.number, shelf.artifacts.write(late, b"too late"), record)
    assert shelf.files == set()
    assert all(row.file is None for row in shelf.store.files.rows())
    shelf.keeper.tidy()
    assert shelf.known == set()


def test_only_files_that_nobody_would_find_are_removed(shelf: Shelf) -> None:
    trial = shelf.begin()
    shelf.store.files.remove([f"trial-{trial.number:05d}.1.checkpoint"])
    shelf.keeper.remove_unknown([*weights(0), *checkpoints(0, 0, 1), "never-written"])
    assert shelf.files == shelf.known == weights(0) | checkpoints(0, 0)


def test_a_file_that_the_database_does_not_know_is_left_alone(shelf: Shelf) -> None:
    shelf.complete(0.5)
    (shelf.folder / "notes.txt").write_text("mine")
    shelf.keeper.tidy()
    assert shelf.files == weights(0) | {"notes.txt"}


@pytest.mark.parametrize("removals", range(1, 4))
def test_a_crash_while_tidying_leaves_nothing_that_cannot_be_found(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, removals: int
) -> None:
    """It is cut off after so many files, before their rows go."""
    trial = shelf.begin()
    shelf.store.queue.fail(trial, "diverged at step 3", {})
    before, removed, remove = shelf.known, [], Artifacts.remove

    def cut_off(artifacts: Artifacts, name: str) -> None:
        remove(artifacts, name)
        removed.append(name)
        if len(removed) == removals:
            raise KeyboardInterrupt

    monkeypatch.setattr(Artifacts, "remove", cut_off)
    with pytest.raises(KeyboardInterrupt):
        shelf.keeper.tidy()
    monkeypatch.undo()
    assert shelf.files == before - set(removed)
    assert shelf.files <= shelf.known
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == set()


def test_what_cannot_be_removed_is_left_to_the_next_time(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.store.queue.fail(shelf.begin(), "diverged at step 3", {})
    before, remove = shelf.known, Artifacts.remove

    def away(artifacts: Artifacts, name: str) -> None:
        if name.endswith(".checkpoint"):
            raise BenchError("cannot remove in s3://shelf: could not connect")
        remove(artifacts, name)

    with monkeypatch.context() as patch:
        patch.setattr(Artifacts, "remove", away)
        assert len(shelf.keeper.tidy()) == 1
    assert shelf.files == shelf.known
    assert checkpoints(0, 0, 1) <= shelf.known <= before
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == set()


def test_a_crash_before_a_file_is_whole_leaves_a_row_by_which_it_is_removed(shelf: Shelf) -> None:
    claim = shelf.store.queue.claim(100, prepare)
    assert isinstance(claim, Claim)
    name, plan = shelf.keeper.announce(claim.trial.number)
    assert plan is not None
    assert shelf.known == {name, *plan.names}
    shelf.artifacts.write(name, b"weigh")
    shelf.store.queue.interrupt(claim.trial, "lost: worker vanished", {})
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == set()


def between_readings(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Tidy, while something happens between the reading of trials and that of files, whichever comes first."""
    readings: list[str] = []

    def then_happens(reader: Any, name: str) -> None:
        read = getattr(reader, name)

        def reading() -> Any:
            found = read()
            readings.append(name)
            if len(readings) == 1:
                happens()
            return found

        monkeypatch.setattr(reader, name, reading)

    then_happens(shelf.store, "trials")
    then_happens(shelf.store.files, "rows")
    shelf.keeper.tidy()
    monkeypatch.undo()
    assert sorted(set(readings)) == ["rows", "trials"]


def test_a_trial_that_began_while_tidying_keeps_its_files(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    between_readings(shelf, monkeypatch, shelf.begin)
    assert shelf.files == shelf.known == weights(0) | checkpoints(0, 0, 1)


def test_a_trial_that_completed_while_tidying_keeps_its_weights(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = shelf.store.queue.claim(100, prepare)
    assert isinstance(claim, Claim)
    name, _ = shelf.keeper.announce(claim.trial.number)

    def complete() -> None:
        shelf.keeper.note(claim.trial.number, shelf.artifacts.write(name, b"weights"))
        assert shelf.store.queue.complete(claim.trial, 0.5, BOTH, {"cost": Cost(1, 2, 0.1, 0.1)})

    between_readings(shelf, monkeypatch, complete)
    assert shelf.files == weights(0)
    assert weights(0) <= shelf.known
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == weights(0)


def test_without_checkpoints_only_weights_are_announced(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, checkpoints="never")
    name, plan = shelf.keeper.announce(7)
    assert (plan, shelf.known) == (None, {name})


@pytest.mark.parametrize(("checkpoints", "seconds"), [("always", 0.0), ("auto", 60.0)])
def test_how_often_a_checkpoint_is_left(tmp_path: Path, checkpoints: str, seconds: float) -> None:
    _, plan = Shelf(tmp_path, checkpoints=checkpoints).keeper.announce(7)
    assert plan is not None
    assert plan.every_seconds == seconds


@pytest.mark.parametrize(
    ("keep_weights", "accuracies", "threshold"),
    [
        (2, [], -math.inf),
        (2, [0.5], -math.inf),
        (2, [0.5, 0.4], 0.4),
        (2, [0.5, 0.4, 0.7], 0.5),
        (2, [0.5, 0.5, 0.5], 0.5),
        (1, [0.5, 0.4, 0.7], 0.7),
        (0, [], math.inf),
        (0, [0.5], math.inf),
    ],
)
def test_the_accuracy_from_which_weights_are_worth_keeping(
    tmp_path: Path, keep_weights: int, accuracies: list[float], threshold: float
) -> None:
    shelf = Shelf(tmp_path, keep_weights)
    for accuracy in accuracies:
        shelf.complete(accuracy)
    failed = shelf.begin()
    failed.report(0.99, 1)
    shelf.store.queue.fail(failed, "diverged at step 3", {})
    assert shelf.keeper.keep_from(shelf.store.trials()) == threshold


def test_a_file_that_may_not_be_removed_stays_and_the_others_go(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [shelf.complete(accuracy) for accuracy in (0.1, 0.2, 0.8, 0.9)]
    remove = Artifacts.remove

    def forbidding(artifacts: Artifacts, name: str) -> None:
        if name in weights(numbers[0]):
            raise PermissionError(13, "Permission denied", name)
        remove(artifacts, name)

    monkeypatch.setattr(Artifacts, "remove", forbidding)
    shelf.keeper.tidy()
    assert shelf.files == shelf.known == weights(numbers[0], *numbers[2:])
