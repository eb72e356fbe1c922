"""Which files of which trial lie in the artifact store: a row is there before its file, and as long as it.

So a process may be cut off at any moment, and every file that it left can be found and removed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import RowMapping, delete, insert, select, update

from benchmark.records import FileKind, StoredFile
from benchmark.store.database import Database
from benchmark.store.retrying import retried
from benchmark.store.tables import FILES, LEASES


@dataclass(frozen=True)
class FileRow:
    """One file that is there, or is being written."""

    name: str
    trial: int
    kind: FileKind
    place: str
    """The artifact store that holds it (artifacts.Place.label)."""
    file: StoredFile | None
    """None until it is whole."""


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint, with what is known of its trial by then."""

    file: StoredFile
    place: str
    step: int
    """The report, from 1, after which training goes on."""
    record: dict[str, Any]
    """The trial's seed, planned images, curve and the like, as JSON."""
    stalls: int = 0
    """How often a trial was continued from it without getting as far as the next one."""

    @property
    def values(self) -> list[tuple[int, float]]:
        """Report numbers and validation accuracies up to it."""
        return [(report["step"], report["val_accuracy"]) for report in self.record["curve"]]


class FileTable:
    """The file rows of one study."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._mine = FILES.c.study == database.name

    @retried
    def announce(self, trial: int, kind: FileKind, names: Sequence[str], place: str) -> None:
        """Note that files of these names may come to be."""
        rows = [
            {"study": self._db.name, "name": name, "trial": trial, "kind": str(kind), "place": place} for name in names
        ]
        with self._db.begin() as connection:
            connection.execute(delete(FILES).where(self._mine, FILES.c.name.in_(names)))
            connection.execute(insert(FILES), rows)

    @retried
    def set_whole(self, trial: int, file: StoredFile, owner: str, record: dict[str, Any] | None = None) -> bool:
        """Note that an announced file of a trial is whole; `record` belongs to a checkpoint.

        False, and nothing is noted, where the file is no longer known as the trial's, or the owner's lease on the trial
        is gone: others may have gone on with it by then.
        """
        told = None if record is None else json.dumps(record)
        lease = (LEASES.c.study == self._db.name, LEASES.c.trial == trial, LEASES.c.owner == owner)
        with self._db.begin() as connection:
            # Locked: whoever takes the trial away takes the lease first, and waits until this is said.
            if connection.execute(select(LEASES.c.trial).where(*lease).with_for_update()).first() is None:
                return False
            known = (self._mine, FILES.c.name == file.name, FILES.c.trial == trial)
            whole = {"digest": file.digest, "bytes": file.bytes, "record": told}
            return connection.execute(update(FILES).where(*known).values(whole)).rowcount == 1

    @retried
    def remove(self, names: Collection[str]) -> None:
        """Forget files that are gone."""
        if names:
            with self._db.begin() as connection:
                connection.execute(delete(FILES).where(self._mine, FILES.c.name.in_(names)))

    @retried
    def rows(self) -> list[FileRow]:
        """All files, by name."""
        with self._db.begin() as connection:
            found = connection.execute(select(FILES).where(self._mine).order_by(FILES.c.name)).mappings().all()
        return [
            FileRow(row["name"], row["trial"], FileKind(row["kind"]), row["place"], _whole_file(row)) for row in found
        ]

    @retried
    def checkpoints(self) -> dict[int, Checkpoint]:
        """The latest whole checkpoint of every trial that has one, by the trial's number."""
        query = select(FILES).where(self._mine, FILES.c.kind == str(FileKind.CHECKPOINT), FILES.c.digest.is_not(None))
        with self._db.begin() as connection:
            rows = connection.execute(query).mappings().all()
        latest: dict[int, Checkpoint] = {}
        for row in rows:
            found, file = json.loads(row["record"]), _whole_file(row)
            assert file is not None
            checkpoint = Checkpoint(file, row["place"], found["step"], found, found.get("stalls", 0))
            if row["trial"] not in latest or latest[row["trial"]].step < checkpoint.step:
                latest[row["trial"]] = checkpoint
        return latest

    @retried
    def pass_on_checkpoint(self, trial: int, successor: int) -> None:
        """Let the latest checkpoint of a trial be that of the one that continues it; an older one is given up."""
        checkpoint = self.checkpoints()[trial]
        told = json.dumps(checkpoint.record | {"stalls": checkpoint.stalls + 1})
        with self._db.begin() as connection:
            row = (self._mine, FILES.c.name == checkpoint.file.name)
            connection.execute(update(FILES).where(*row).values(trial=successor, record=told))
            older = (self._mine, FILES.c.trial == trial, FILES.c.kind == str(FileKind.CHECKPOINT))
            connection.execute(update(FILES).where(*older).values(digest=None))


def _whole_file(row: RowMapping) -> StoredFile | None:
    return None if row["digest"] is None else StoredFile(row["name"], row["digest"], row["bytes"])
