"""Databases that are none are refused untouched; good ones are spoken to safely."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase

from benchmark.errors import BenchError
from benchmark.store import StudyLocation, create_study, open_study, visible_url
from benchmark.store.connection import connect, connect_to_copy


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
        connection.execute("INSERT INTO songs VALUES ('x')")
        connection.commit()


def truncated(path: Path) -> None:
    location = StudyLocation(path.stem, path.parents[1])
    store = create_study(location)
    for _ in range(20):
        store.study.tell(store.study.ask(), 0.5)
    store.study._storage.remove_session()  # type: ignore[attr-defined]
    store._db.engine.dispose()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


BROKEN: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
    (lambda path: path.write_bytes(b"hello, I am no database" * 100), "is not an SQLite database"),
    (lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4096), "its header is damaged"),
    (truncated, "is damaged"),
    (foreign, "not one of a study"),
    (lambda path: path.mkdir(), "is not a file"),
]


@pytest.mark.parametrize("opening", [create_study, open_study])
@pytest.mark.parametrize(("make", "message"), BROKEN)
def test_a_database_that_is_none_is_refused_and_kept(
    tmp_path: Path, make: Callable[[Path], object], message: str, opening: Callable[[StudyLocation], object]
) -> None:
    database = tmp_path / "studies" / "mine.db"
    database.parent.mkdir()
    make(database)
    before = database.read_bytes() if database.is_file() else None
    with pytest.raises(BenchError, match=message):
        opening(StudyLocation("mine", tmp_path))
    assert (database.read_bytes() if database.is_file() else None) == before


def test_a_folder_with_odd_characters(tmp_path: Path) -> None:
    root = tmp_path / "a 100% #odd folder"
    create_study(StudyLocation("mine", root)).set_fact("seed", 3)
    assert open_study(StudyLocation("mine", root)).fact("seed") == 3


def test_a_missing_study_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="run: bench search mine"):
        open_study(StudyLocation("mine", tmp_path))
    assert list(tmp_path.iterdir()) == []
    create_study(StudyLocation("other", tmp_path, f"sqlite:///{tmp_path / 'shared.db'}"))
    with pytest.raises(BenchError, match="run: bench search mine"):
        open_study(StudyLocation("mine", tmp_path, f"sqlite:///{tmp_path / 'shared.db'}"))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "studies").write_text("a file where the folder should be")
    with pytest.raises(BenchError, match="choose another --root"):
        create_study(StudyLocation("mine", tmp_path))


def test_no_password_is_shown(tmp_path: Path) -> None:
    url = "postgresql://me:secret@localhost:1/db"
    assert visible_url(url) == "postgresql://me:***@localhost:1/db"
    with pytest.raises(BenchError) as caught:
        create_study(StudyLocation("mine", tmp_path, url))
    assert "secret" not in str(caught.value)
    assert "me:***@localhost" in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "my secret", ""])
def test_what_is_no_url_is_said_without_repeating_it(url: str) -> None:
    with pytest.raises(BenchError, match="is not a database URL"):
        visible_url(url)


def test_location_of_databases(tmp_path: Path) -> None:
    assert StudyLocation("mine", tmp_path).database == tmp_path / "studies" / "mine.db"
    assert StudyLocation("mine", tmp_path, "sqlite:////x/y.db").database == Path("/x/y.db")
    assert StudyLocation("mine", tmp_path, "postgresql://host/db").database is None


def test_sqlite_is_tuned(tmp_path: Path) -> None:
    storage = connect(location_in(tmp_path))
    with storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000


def test_a_transaction_holds_the_write_lock_from_its_beginning(tmp_path: Path) -> None:
    location = location_in(tmp_path)
    storage = connect(location)
    with storage.engine.begin() as connection, closing(sqlite3.connect(str(location.database), timeout=0)) as other:
        connection.exec_driver_sql("SELECT 1")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(str(location.database), timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")


def location_in(folder: Path) -> StudyLocation:
    (folder / "studies").mkdir()
    return StudyLocation("mine", folder)


@pytest.mark.slow
class TestOptunasOwnContract(StorageTestCase):
    """Optuna's tests of a storage, on SQLite as it is tuned here."""

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[BaseStorage]:
        storage = connect(location_in(tmp_path))
        yield storage
        storage.remove_session()
        storage.engine.dispose()


def test_a_copy_to_read_is_of_one_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    location = StudyLocation("mine", tmp_path)
    store = create_study(location)
    store.set_fact("written", "before")
    copies: list[str] = []
    copy = shutil.copyfile

    def beside_a_writer(source: Path, target: Path) -> None:
        copies.append(source.name)
        copy(source, target)
        if copies == ["mine.db"]:
            store.set_fact("written", "meanwhile")

    monkeypatch.setattr(shutil, "copyfile", beside_a_writer)
    storage = connect_to_copy(location)
    assert copies == ["mine.db", "mine.db-wal"] * 2
    assert optuna.load_study(study_name="mine", storage=storage).user_attrs["written"] == "meanwhile"


def test_optuna_speaks_only_of_errors() -> None:
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
