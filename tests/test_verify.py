"""`bench verify` finds what is damaged, names that and nothing else, and mends nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filled_study import complete_trial, fill, keep_file

from benchmark import cli
from benchmark.artifacts import Artifacts, Place, beside_database
from benchmark.ensemble import EnsembleSpec
from benchmark.errors import BenchError
from benchmark.records import FileKind
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.study import ensembles_of, place_of_files
from benchmark.verify import Verified, verify

KEEP = 2
BEST = "trial-00000.safetensors"
CHECKPOINT = "trial-00003.0.checkpoint"
DIGEST = "it does not match its digest"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three complete trials with an ensemble, weights of the best two, and a checkpoint of the one that failed."""
    root = tmp_path_factory.mktemp("filled")
    store = fill(root)
    store.set_fact("weights_kept", KEEP)
    ensembles_of(store, EnsembleSpec(top=2, methods=("soft_voting",)))
    place = place_of_files(store)
    for number in range(KEEP):
        keep_file(store, place, f"trial-{number:05d}.safetensors", number, FileKind.WEIGHTS)
    keep_file(store, place, CHECKPOINT, 3, FileKind.CHECKPOINT, step=1, curve=[])
    close(store)
    assert not list((root / "studies").glob("*-wal"))
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def stored(root: Path) -> Iterator[StudyStore]:
    store = open_study(StudyLocation("tiny", root))
    yield store
    close(store)


def close(store: StudyStore) -> None:
    store.study._storage.remove_session()
    store._db.engine.dispose()


def verified(root: Path) -> Verified:
    store = open_study(StudyLocation("tiny", root))
    try:
        return verify(store, place_of_files(store), KEEP)
    finally:
        close(store)


def state_of(root: Path) -> dict[str, bytes]:
    """Every file that says something, byte for byte: not locks, nor the empty log of a database that was only read."""
    found = {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return {
        name: content
        for name, content in found.items()
        if not name.endswith((".lock", ".db-shm")) and (content or not name.endswith(".db-wal"))
    }


def altering(statement: str) -> Callable[[Path], None]:
    def alter(root: Path) -> None:
        with closing(sqlite3.connect(root / "studies" / "tiny.db")) as connection:
            assert connection.execute(statement).rowcount == 1
            connection.commit()

    return alter


def altering_blob(table: str, column: str, where: str) -> Callable[[Path], None]:
    """One bit of a blob, of the last mantissa bit of its first number or the like: nothing that any sum would show."""

    def alter(root: Path) -> None:
        with closing(sqlite3.connect(root / "studies" / "tiny.db")) as connection:
            (blob,) = connection.execute(f"SELECT {column} FROM {table} WHERE {where}").fetchone()
            flipped = bytes([blob[0] ^ 1]) + blob[1:]
            assert connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (flipped,)).rowcount == 1
            connection.commit()

    return alter


def weights_of(root: Path) -> Path:
    return root / "studies" / "tiny" / "weights"


def flip_bit(root: Path) -> None:
    path = weights_of(root) / BEST
    content = bytearray(path.read_bytes())
    content[1234] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "predictions altered": (
        altering_blob("bench_predictions", "log_probs", "trial = 1 AND split = 'val'"),
        "trial 1: the val predictions of trial 1 do not match their digest: damaged database",
    ),
    "test predictions altered": (
        altering_blob("bench_predictions", "log_probs", "trial = 2 AND split = 'test'"),
        "trial 2: the test predictions of trial 2 do not match their digest: damaged database",
    ),
    "predictions lost": (
        altering("DELETE FROM bench_predictions WHERE trial = 1 AND split = 'test'"),
        "trial 1: trial 1 of study 'tiny' has no test predictions",
    ),
    "an accuracy altered": (
        altering("UPDATE trial_values SET value = value + 0.01 WHERE trial_id = 3"),
        "trial 2: its predictions make a validation accuracy of",
    ),
    "test labels altered": (
        altering_blob("bench_labels", "labels", "split = 'test'"),
        "the test labels do not match their digest",
    ),
    "an ensemble altered": (
        altering_blob("bench_entrants", "test_log_probs", "name LIKE 'soft voting%'"),
        "ensembles: the predictions of 'soft voting",
    ),
    "weights missing": (
        lambda root: (weights_of(root) / BEST).unlink(),
        f"trial 0: {BEST} is missing in the study's folder",
    ),
    "weights altered by one bit": (flip_bit, f"trial 0: {BEST} in the study's folder is altered"),
    "weights cut short": (
        lambda root: (weights_of(root) / BEST).write_bytes((weights_of(root) / BEST).read_bytes()[:-1]),
        f"trial 0: {BEST} in the study's folder is altered",
    ),
    "weights emptied": (
        lambda root: (weights_of(root) / BEST).write_bytes(b""),
        f"trial 0: {BEST} in the study's folder is altered",
    ),
    "a folder in the place of weights": (
        lambda root: ((weights_of(root) / BEST).unlink(), (weights_of(root) / BEST).mkdir()),  # type: ignore[dict-item]
        "trial 0: ",
    ),
    "checkpoint missing": (
        lambda root: (weights_of(root) / CHECKPOINT).unlink(),
        f"trial 3: {CHECKPOINT} is missing in the study's folder",
    ),
    "weights never noted": (
        altering(f"UPDATE bench_files SET digest = NULL WHERE name = '{BEST}'"),
        f"trial 0: no weights are known, though it is among the best {KEEP}",
    ),
}


def test_a_whole_study(root: Path) -> None:
    before = state_of(root)
    assert verified(root) == Verified(complete=3, files=3, elsewhere=0, damage=(), stray=())
    assert state_of(root) == before


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named_and_nothing_else_and_nothing_is_changed(root: Path, what: str) -> None:
    harm, message = DAMAGE[what]
    harm(root)
    before = state_of(root)
    found = verified(root)
    assert len(found.damage) == 1, found.damage
    assert found.damage[0].startswith(message)
    assert found.stray == ()
    assert state_of(root) == before


def test_altered_validation_labels_are_named_before_what_they_make_of_the_scores(root: Path) -> None:
    altering_blob("bench_labels", "labels", "split = 'val'")(root)
    found = verified(root).damage
    assert found[0] == "the val labels do not match their digest"
    assert all("validation accuracy" in sentence for sentence in found[1:])


@pytest.mark.parametrize("split", ["val", "test"])
def test_lost_labels_are_named(root: Path, split: str) -> None:
    altering(f"DELETE FROM bench_labels WHERE split = '{split}'")(root)
    assert any(f"holds no {split} labels" in sentence for sentence in verified(root).damage)


def test_lost_weights_with_their_row_are_named(root: Path) -> None:
    (weights_of(root) / BEST).unlink()
    altering(f"DELETE FROM bench_files WHERE name = '{BEST}'")(root)
    assert verified(root).damage == (f"trial 0: no weights are known, though it is among the best {KEEP}",)


def test_weights_without_a_row_are_stray_and_those_of_the_trial_unknown(root: Path) -> None:
    altering(f"DELETE FROM bench_files WHERE name = '{BEST}'")(root)
    found = verified(root)
    assert found.damage == (f"trial 0: no weights are known, though it is among the best {KEEP}",)
    assert found.stray == (BEST,)


def test_a_stray_file_is_no_damage(root: Path) -> None:
    (weights_of(root) / "notes.txt").write_text("mine")
    before = state_of(root)
    assert verified(root) == Verified(complete=3, files=3, elsewhere=0, damage=(), stray=("notes.txt",))
    assert state_of(root) == before


def test_several_damages_are_all_named(root: Path) -> None:
    for what in ("predictions altered", "weights missing", "checkpoint missing", "an ensemble altered"):
        DAMAGE[what][0](root)
    assert len(verified(root).damage) == 4


def test_a_half_written_file_of_a_trial_that_ran_is_neither_stray_nor_damaged(stored: StudyStore) -> None:
    place = place_of_files(stored)
    stored.files.announce(9, FileKind.CHECKPOINT, ["trial-00009.0.checkpoint"], place.label)
    (Path(place.base) / "trial-00009.0.checkpoint").write_bytes(b"half")
    found = verify(stored, place, KEEP)
    assert (found.damage, found.stray) == ((), ())


def test_files_elsewhere_are_counted_and_not_looked_for(stored: StudyStore, tmp_path: Path) -> None:
    elsewhere = Place(str(tmp_path / "elsewhere"), "elsewhere:/weights")
    keep_file(stored, elsewhere, "trial-00001.safetensors", 1, FileKind.WEIGHTS)
    found = verify(stored, place_of_files(stored), KEEP)
    assert (found.files, found.elsewhere, found.damage) == (2, 1, ())


def test_a_place_that_does_not_answer_is_no_damage(stored: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> bytes:
        raise BenchError("cannot read in s3://shelf: could not connect")

    monkeypatch.setattr(Artifacts, "read", away)
    with pytest.raises(BenchError, match="could not connect"):
        verify(stored, place_of_files(stored), KEEP)


# While a search runs --------------------------------------------------------------------------------------------------


def once_before(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, happens: Callable[[], object]) -> None:
    """Something happens just before a function is called for the first time."""
    function, calls = getattr(owner, name), []

    def after_it_happened(*given: Any) -> Any:
        calls.append(given)
        if len(calls) == 1:
            happens()
        return function(*given)

    monkeypatch.setattr(owner, name, after_it_happened)


def test_of_two_checkpoints_only_the_latest_has_to_be_whole(stored: StudyStore) -> None:
    place = place_of_files(stored)
    later = keep_file(stored, place, "trial-00003.1.checkpoint", 3, FileKind.CHECKPOINT, step=2, curve=[]).name
    Artifacts(place).write(CHECKPOINT, b"the third, half writ")
    found = verify(stored, place, KEEP)
    assert (found.damage, found.stray, found.files) == ((), (), 3)
    Artifacts(place).write(later, b"altered")
    assert verify(stored, place, KEEP).damage == (f"trial 3: {later} in the study's folder is altered: {DIGEST}",)


def test_a_file_that_was_let_go_meanwhile_is_not_damaged(stored: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of_files(stored)

    def let_go() -> None:
        for name in (BEST, CHECKPOINT):
            Artifacts(place).remove(name)
        stored.files.remove([BEST, CHECKPOINT])

    once_before(monkeypatch, Artifacts, "read", let_go)
    assert verify(stored, place, KEEP).damage == ()


def test_a_checkpoint_that_was_written_anew_meanwhile_is_not_damaged(
    stored: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of_files(stored)
    anew = partial(keep_file, stored, place, CHECKPOINT, 3, FileKind.CHECKPOINT, step=3, curve=[])
    once_before(monkeypatch, Artifacts, "read", anew)
    assert verify(stored, place, KEEP).damage == ()


def test_weights_that_left_the_best_meanwhile_are_not_missed(
    stored: StudyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of_files(stored)

    def better_comes() -> None:
        complete_trial(stored, noise=0)
        keep_file(stored, place, "trial-00004.safetensors", 4, FileKind.WEIGHTS)
        Artifacts(place).remove("trial-00001.safetensors")
        stored.files.remove(["trial-00001.safetensors"])

    once_before(monkeypatch, stored.files, "rows", better_comes)
    found = verify(stored, place, KEEP)
    assert (found.complete, found.damage, found.stray) == (3, (), ())


def test_a_file_that_was_begun_meanwhile_is_not_stray(stored: StudyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_of_files(stored)

    def begin() -> None:
        stored.files.announce(4, FileKind.CHECKPOINT, ["trial-00004.0.checkpoint"], place.label)
        (Path(place.base) / "trial-00004.0.checkpoint").write_bytes(b"half")

    once_before(monkeypatch, Artifacts, "read", begin)
    assert verify(stored, place, KEEP).stray == ()


def test_a_moved_study_is_whole(root: Path, tmp_path: Path) -> None:
    shutil.move(root, tmp_path / "moved")
    assert verified(tmp_path / "moved").damage == ()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trial_user_attributes SET value_json = '{\"parametres\": 3}' WHERE key = 'cost' AND trial_id = 1",
        "UPDATE trials SET state = 'COMPLEUE' WHERE trial_id = 1",
        "UPDATE trials SET datetime_start = '2026-1O-01 00:00:00.000000' WHERE trial_id = 1",
    ],
)
def test_trials_that_cannot_be_read_are_damage(root: Path, statement: str) -> None:
    altering(statement)(root)
    found = verified(root).damage
    assert len(found) == 1
    assert found[0].startswith("the trials cannot be read: ")


@pytest.fixture
def bench(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, str, str]]:
    def run() -> tuple[int, str, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", "verify"])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out, err

    return run


def test_the_command_says_that_everything_is_whole(bench: Callable[[], tuple[int, str, str]]) -> None:
    code, out, err = bench()
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "3 complete trials and their predictions, 3 files in the study's folder",
        "everything is whole",
    ]


def test_the_command_tells_one_sentence_per_damage(bench: Callable[[], tuple[int, str, str]], root: Path) -> None:
    for what in ("predictions altered", "weights altered by one bit"):
        DAMAGE[what][0](root)
    (weights_of(root) / "notes.txt").write_text("mine")
    before = state_of(root)
    code, out, err = bench()
    assert code == 2
    damaged = [line for line in out.splitlines() if line.startswith("damaged: ")]
    assert len(damaged) == 2
    assert "the val predictions of trial 1 do not match their digest" in damaged[0]
    assert f"{BEST} in the study's folder is altered" in damaged[1]
    assert "unknown to the database, of no use: notes.txt" in out
    assert "everything is whole" not in out
    assert err.startswith("error: 2 damaged in sqlite:///studies/tiny.db; restore them from a copy")
    assert len(err.splitlines()) == 1
    assert state_of(root) == before


def test_the_command_reads_a_study_of_a_version_that_kept_no_files(
    bench: Callable[[], tuple[int, str, str]], root: Path
) -> None:
    for fact in ("spec", "weights_kept"):
        altering(f"DELETE FROM study_user_attributes WHERE key = '{fact}'")(root)
    code, out, _ = bench()
    assert code == 0
    assert "everything is whole" in out


def test_a_fact_that_is_no_json_is_refused_by_every_reader(root: Path) -> None:
    altering("UPDATE study_user_attributes SET value_json = substr(value_json, 2) WHERE key = 'spec'")(root)
    before = state_of(root)
    for to_read in (True, False):
        with pytest.raises(BenchError, match=r"tiny\.db is damaged \(unreadable text in study_user_attributes\)"):
            open_study(StudyLocation("tiny", root), to_read=to_read)
    assert state_of(root) == before


def test_numbers_that_json_has_not_are_no_damage(root: Path) -> None:
    """A loss of a trial that diverged."""
    told = json.dumps([{"train_loss": float("nan"), "val_loss": float("inf")}])
    altering(f"UPDATE trial_user_attributes SET value_json = '{told}' WHERE key = 'device' AND trial_id = 1")(root)
    assert verified(root).damage == ()


def test_the_place_of_a_study_beside_its_database(root: Path, stored: StudyStore) -> None:
    assert place_of_files(stored) == beside_database(weights_of(root))
