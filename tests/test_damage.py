"""Real faults of disks and folders, met by the command in a process of its own."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from filled_study import DEFINITION, fill

from benchmark import cli
from benchmark.ensemble import EnsembleSpec
from benchmark.errors import BenchError
from benchmark.records import Split, TrialState
from benchmark.store import StudyLocation, StudyStore, open_study, storage_trouble
from benchmark.study import ensembles_of, place_of_files, weights_kept
from benchmark.verify import verify

NOBODY = 65534


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three complete trials with an ensemble, closed."""
    root = tmp_path_factory.mktemp("filled")
    store = fill(root)
    store.set_fact("weights_kept", 0)
    ensembles_of(store, EnsembleSpec(top=2, methods=("soft_voting",)))
    close(store)
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "root")
    return tmp_path / "root"


def close(store: StudyStore) -> None:
    store.study._storage.remove_session()
    store._db.engine.dispose()


def bench(root: Path, *words: str, around: tuple[str, ...] = (), **options: object) -> subprocess.CompletedProcess[str]:
    """The command in the folder, started by the words `around` it."""
    return subprocess.run(
        [*around, sys.executable, "-m", "benchmark.cli", *words],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        **options,  # type: ignore[call-overload]
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """The one line with which it ended."""
    told = done.stdout + done.stderr
    assert done.returncode == 2, told
    assert "Traceback" not in told
    assert len(done.stderr.splitlines()) == 1, told
    assert done.stderr.startswith("error: ")
    return done.stderr


@pytest.fixture
def bench_here(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """The command in this process, where no fault of the machine is in play: exit code and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfd.readouterr()
        return int(end.value.code or 0), out + err

    return run


# Broken databases ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: path.write_text("a letter, not a database"), "is not an SQLite database"),
        (lambda path: os.truncate(path, path.stat().st_size // 2), "is damaged or truncated"),
    ],
    ids=["empty", "overwritten", "truncated"],
)
@pytest.mark.parametrize("command", ["verify", "worker"])
def test_verify_and_worker_refuse_a_broken_database(
    bench_here: Callable[..., tuple[int, str]], root: Path, command: str, harm: Callable[[Path], object], message: str
) -> None:
    path = root / "studies" / "tiny.db"
    harm(path)
    before = path.read_bytes()
    code, told = bench_here(command, "tiny")
    assert code == 2, told
    assert told.startswith(f"error: studies/tiny.db {message}")
    assert len(told.splitlines()) == 1
    assert path.read_bytes() == before


def evidence(store: StudyStore) -> object:
    """What a study's numbers rest on: it has digests, or is stored twice."""
    trials = store.trials()
    return (
        [(trial.number, trial.state, trial.family, trial.val_accuracy) for trial in trials],
        [store.labels(split).tobytes() for split in (Split.VAL, Split.TEST)],
        [
            store.predictions(trial.number, split).digest
            for trial in trials
            if trial.state is TrialState.COMPLETE
            for split in (Split.VAL, Split.TEST)
        ],
        [(entrant.val.digest, entrant.test.digest) for entrant in store.ensembles()],
    )


def test_a_flipped_bit_is_refused_or_named_or_of_no_consequence(filled: Path, tmp_path: Path) -> None:
    whole = (filled / "studies" / "tiny.db").read_bytes()
    location = StudyLocation("tiny", tmp_path)
    path = location.root / "studies" / "tiny.db"
    path.parent.mkdir()

    def outcome(content: bytes) -> tuple[str, object]:
        for old in path.parent.iterdir():
            old.unlink()
        path.write_bytes(content)
        try:
            store = open_study(location)
        except BenchError:
            return "refused", None
        except Exception as error:
            if storage_trouble(error) is None:
                raise
            return "refused", None
        try:
            found = verify(store, place_of_files(store), 0)
            return ("named", None) if found.damage else ("unchanged", evidence(store))
        finally:
            close(store)

    _, expected = outcome(whole)
    assert expected is not None
    chance, seen = random.Random(0), Counter[str]()
    for _ in range(40):
        content, position = bytearray(whole), chance.randrange(len(whole))
        content[position] ^= 1 << chance.randrange(8)
        what, read = outcome(bytes(content))
        seen[what] += 1
        assert read in (None, expected), f"byte {position}"
    assert seen["named"] >= 10
    assert seen["unchanged"] >= 1


# A folder that may only be read --------------------------------------------------------------------------------------


@pytest.fixture
def open_root(filled: Path) -> Iterator[Path]:
    """The study in a folder that every user of the machine reaches."""
    root = Path(tempfile.mkdtemp(dir="/tmp"))
    shutil.copytree(filled / "studies", root / "studies", dirs_exist_ok=True)
    yield root
    shutil.rmtree(root)


def read_only(root: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command where the folder cannot be written, in the way that works on this machine."""
    if os.getuid() != 0:

        def without_permission(*words: str) -> subprocess.CompletedProcess[str]:
            folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
            for path in folders:
                path.chmod(0o555)
            try:
                return bench(root, *words)
            finally:
                for path in folders:
                    path.chmod(0o755)

        return without_permission
    if _nobody_runs_python():

        def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
            for path in (root, *root.rglob("*")):
                path.chmod(0o755 if path.is_dir() else 0o644)
            return bench(root, *words, user=NOBODY, group=NOBODY, extra_groups=[])

        return as_nobody
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0" && exec "$@"'
    return lambda *words: bench(root, *words, around=("unshare", "-m", "sh", "-c", script, str(root)))


def _nobody_runs_python() -> bool:
    try:
        command = [sys.executable, "-c", "import benchmark.cli, torch"]
        done = subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True)
    except OSError:
        return False
    return done.returncode == 0


def contents(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_read_only_folder_gives_its_leaderboard_and_is_verified(open_root: Path) -> None:
    command, before = read_only(open_root), contents(open_root)
    board = command("leaderboard", "tiny")
    assert "cannot write the leaderboard into results" in refusal(board)
    assert re.search(r"cnn|vgg", board.stdout)
    assert "default" in board.stdout
    as_json = command("leaderboard", "tiny", "--json")
    assert "cannot write the leaderboard into results" in refusal(as_json)
    assert json.loads(as_json.stdout)["winner"]
    whole = command("verify", "tiny")
    assert whole.returncode == 0, whole.stderr
    assert "3 complete trials" in whole.stdout
    assert "everything is whole" in whole.stdout
    assert contents(open_root) == before


def test_a_search_in_a_read_only_folder_fails_at_once(open_root: Path) -> None:
    command, before = read_only(open_root), contents(open_root)
    done = command("search", "tiny", "--trials", "9")
    assert re.search(r"cannot write|cannot be written|[Rr]ead-only", refusal(done))
    assert "workers on" not in done.stdout
    assert contents(open_root) == before


def test_a_read_only_folder_shows_what_is_still_in_the_write_ahead_log(open_root: Path) -> None:
    with closing(sqlite3.connect(open_root / "studies" / "tiny.db")) as held:
        # Read once and kept open: nothing that comes later is moved into the file.
        held.execute("PRAGMA journal_mode = WAL")
        held.execute("PRAGMA wal_autocheckpoint = 0")
        before = (open_root / "studies" / "tiny.db").read_bytes()
        held.execute("DELETE FROM bench_predictions WHERE trial = 2 AND split = 'val'")
        held.commit()
        assert (open_root / "studies" / "tiny.db").read_bytes() == before
        command = read_only(open_root)
        board = command("leaderboard", "tiny", "--json")
        found = command("verify", "tiny")
        assert (open_root / "studies" / "tiny.db").read_bytes() == before
    assert "trial 2 of study 'tiny' has no val predictions" in refusal(board)
    assert "1 damaged" in refusal(found)
    assert "damaged: trial 2: trial 2 of study 'tiny' has no val predictions" in found.stdout


# A full disk ---------------------------------------------------------------------------------------------------------


class SmallDisk:
    """A folder with little room: a file system of its own, or else a limit on the size of every file in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(root)]
        try:
            self.is_mounted = subprocess.run(command, capture_output=True).returncode == 0
        except OSError:
            self.is_mounted = False

    def bench(self, kilobytes: int, *words: str) -> subprocess.CompletedProcess[str]:
        """The command, with so much room in the folder."""
        if self.is_mounted:
            subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(self.root)], check=True)
            return bench(self.root, *words)
        limit = 1024 * kilobytes // 4
        return bench(self.root, *words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "-l", str(self.root)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path)
    yield disk
    disk.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "kilobytes"),
    [
        ("checkpoints = 'always'", 900),
        ("checkpoints = 'never'\nkeep_weights = 0", 800),
        ("checkpoints = 'never'", 8),
    ],
    ids=["checkpoints", "predictions", "nothing"],
)
def test_a_search_on_a_full_disk_says_so_and_goes_on_when_there_is_room(
    small_disk: SmallDisk, settings: str, kilobytes: int
) -> None:
    """The room ends while the files of that name are written."""
    root, search = small_disk.root, ("search", "tiny", "--trials", "5", "--workers", "1")
    (root / "studies").mkdir()
    (root / "studies" / "tiny.toml").write_text(DEFINITION.replace("trials = 5", f"trials = 5\n{settings}"))
    told = refusal(small_disk.bench(kilobytes, *search))
    assert re.search(r"no room left|No space left|is full|disk I/O error|File too large", told)
    if kilobytes > 500:
        found = small_disk.bench(kilobytes, "verify", "tiny")
        assert "Traceback" not in found.stderr
        assert "predictions of" not in found.stdout
    done = small_disk.bench(64_000, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    store = open_study(StudyLocation("tiny", root))
    try:
        states = Counter(trial.state for trial in store.trials())
        found = verify(store, place_of_files(store), weights_kept(store))
    finally:
        close(store)
    assert states[TrialState.COMPLETE] + states[TrialState.PRUNED] == 5
    assert states[TrialState.RUNNING] == 0
    assert found.damage == found.stray == ()
