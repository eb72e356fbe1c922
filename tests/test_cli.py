"""Bad input: one clear sentence, exit code 2, no traceback, and every file as it was."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import torch
from filled_study import DEFINITION, fill

from benchmark import cli
from benchmark.errors import BenchError

Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("filled")
    store = fill(root)
    # Closed, so that the folder can be copied without a write-ahead log that would go on speaking for a broken file.
    store.study._storage.remove_session()
    store._db.engine.dispose()
    assert not (root / "studies" / "tiny.db-wal").exists()
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "root")
    return tmp_path / "root"


@pytest.fixture
def bench(root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `bench` in the folder `root`: exit code, and everything that it printed."""

    def run(*words: str, columns: str = "200") -> tuple[int, str]:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["bench", *words])
        monkeypatch.setenv("COLUMNS", columns)
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return code, out + err

    return run


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file that a user would miss."""
    kept = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".lock", ".db-shm", ".db-wal")]
    return {str(path): hashlib.sha256(content(path)).hexdigest() for path in kept}


def content(path: Path) -> bytes:
    """What a file says. A database says the same before and after SQLite has moved its write-ahead log into it."""
    if path.suffix == ".db":
        try:
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                return "\n".join(connection.iterdump()).encode()
        except sqlite3.DatabaseError:
            pass  # A broken one has to stay as it is, byte for byte.
    return path.read_bytes()


def refused(bench: Run, root: Path, words: str, *messages: str) -> None:
    before = hashes(root)
    code, output = bench(*words.split())
    assert code == 2, output
    for message in messages:
        assert message in output
    assert "Traceback" not in output
    assert hashes(root) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search tinny", "unknown study 'tinny'; did you mean 'tiny'?"),
        ("ensemble tinny", "unknown study 'tinny'; did you mean 'tiny'?"),
        ("leaderboard digist", "unknown study 'digist'; did you mean 'digits'?"),
        ("search ../../x", "'../../x' is not a study name"),
        ("ensemble ../../x", "'../../x' is not a study name"),
        ("leaderboard a/b", "'a/b' is not a study name"),
        ("init ../../x", "'../../x' is not a study name"),
        ("init tiny", "studies/tiny.toml exists; choose another name or edit it"),
        ("ensemble digits", "study 'digits' has no trials yet; run: bench search digits"),
        ("leaderboard digits", "study 'digits' has no trials yet; run: bench search digits"),
        ("ensemble tiny --top 4", "top 4 asks for more than the 3 completed trials"),
        ("ensemble tiny --top 1", "an ensemble needs at least 2 models, not 1"),
        ("ensemble tiny --top some", "'some' is no number of models; write 5, or 1..20 for a range"),
        ("ensemble tiny --top 5..2", "'5..2' is no number of models"),
        ("ensemble tiny --method staking", "unknown ensemble method 'staking'; did you mean 'stacking'?"),
        ("ensemble tiny --metric f1", "unknown metric 'f1'"),
        ("ensemble tiny --temperature all", "unknown temperature 'all'"),
        ("ensemble tiny --max-latency-ms 0", "limits of an ensemble are more than 0"),
        ("ensemble tiny --max-params 10", "no single model is within the limits: at most 10 parameters"),
        ("ensemble tiny --max-members 0", "--max-members"),
        ("leaderboard tiny --columns name,tset_accuracy", "unknown column 'tset_accuracy'"),
        ("search tiny --sampler tep", "unknown sampler 'tep'; did you mean 'tpe'?"),
        ("search tiny --seed 7", "seed: 0 in the database, 7 now"),
        ("search tiny --timeout soon", "'soon' is not a duration; write 90s, 30m or 2h"),
        ("search tiny --timeout 0s", "'0s' is not a duration"),
        ("search tiny --timeout -5", "'-5' is not a duration"),
        ("search tiny --workers 0", "--workers"),
        ("search tiny --trials 0", "--trials"),
        ("search tiny --storage nonsense", "--storage is not a database URL"),
        ("search tiny --storage sqlite://", "a database in memory"),
        ("search tiny --storage sqlite:////nowhere/x.db", "cannot open sqlite:////nowhere/x.db"),
        ("search tiny --data .", "digits comes with scikit-learn and is not read from a folder"),
        ("speed tinny", "unknown study 'tinny'; did you mean 'tiny'?"),
        ("speed ../../x", "'../../x' is not a study name"),
        ("speed tiny --device gpu", "unknown device 'gpu'; did you mean 'cpu'?"),
        ("speed tiny --family vgf", "unknown family of study 'tiny' 'vgf'; did you mean 'vgg'?"),
        ("speed tiny --seconds 0", "--seconds"),
        ("speed tiny --seconds nan", "--seconds"),
        ("data fetch digist", "unknown data set 'digist'; did you mean 'digits'?"),
        ("data show digist", "unknown data set 'digist'; did you mean 'digits'?"),
        ("data show digits --study tinny", "unknown study 'tinny'; did you mean 'tiny'?"),
        ("data show folder", "name where they are: --data PATH"),
        ("data export digits --format cvs --to new", "unknown format 'cvs'; did you mean 'csv'?"),
        ("data export digits --to studies", "has files in it; choose another folder"),
        ("data export digits --to studies --overwrite", "has files that are not of an earlier export"),
        ("serach", "serach"),
    ],
)
def test_wrong_words(bench: Run, root: Path, words: str, message: str) -> None:
    refused(bench, root, words, message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"cnn"', '"cnnn"', "'cnnn'; did you mean 'cnn'?"),
        ('"crop"', '"crp"', "unknown augmentation 'crp'; did you mean 'crop'?"),
        ('"sgd"', '"sdg"', "unknown optimizer 'sdg'; did you mean 'sgd'?"),
        ('"one_cycle"', '"onecycle"', "'onecycle'; did you mean 'one_cycle'?"),
        ('"digits"', '"digist"', "unknown data set 'digist'; did you mean 'digits'?"),
        ("trials = 5", "trails = 5", "[search]: 'trails'; did you mean 'trials'?"),
        ("trials = 5", "trials = 5\npruner = 'halvng'", "unknown pruner 'halvng'; did you mean 'halving'?"),
        ("trials = 5", "trials = 5\nsampler = 'tep'", "unknown sampler 'tep'; did you mean 'tpe'?"),
        ("trials = 5", "trials = 'many'", "search.trials is of type int, not 'many'"),
        ("dataset", "datasett", "'datasett'; did you mean 'dataset'?"),
        ('dataset = "digits"', "", "needs a value for 'dataset'"),
        ("vgg.width", "vgg.wdth", "'vgg.wdth'; did you mean 'vgg.width'?"),
        ("batch_size = [64]", "batch_size = [63]", "[space] batch_size: 63 lies outside"),
        ("val = 297", "val = [", "is not valid TOML"),
        ("val = 297", "val = 5000", "cannot take 5000 validation rows out of 1297"),
        ("epochs = 1", "epochs = 1\nseconds = 3", "either epochs or seconds"),
        ("epochs = 1", "epochs = 2", "budget.epochs: 1 in the database, 2 now"),
        ("[space]", "[recipe]\ncnn = 3\n[space]", "recipe.cnn is a table"),
        ('dataset = "digits"', 'space = 3\ndataset = "digits"', "is not valid TOML"),
    ],
)
def test_wrong_definitions(bench: Run, root: Path, old: str, new: str, message: str) -> None:
    (root / "studies" / "tiny.toml").write_text(DEFINITION.replace(old, new, 1))
    refused(bench, root, "search tiny", message)


def _truncate(share: float) -> Callable[[Path], None]:
    return lambda path: os.truncate(path, int(share * path.stat().st_size))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: path.write_text("a letter, not a database"), "is not an SQLite database"),
        (_truncate(0.5), "is damaged or truncated"),
        (_truncate(0.02), "is damaged or truncated"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
    ],
)
@pytest.mark.parametrize("words", ["search tiny --trials 9", "ensemble tiny --top 2", "leaderboard tiny"])
def test_broken_databases(bench: Run, root: Path, harm: Callable[[Path], object], message: str, words: str) -> None:
    harm(root / "studies" / "tiny.db")
    refused(bench, root, words, f"studies/tiny.db {message}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("search digits", "cannot write file/studies/digits.toml"),
        ("init new", "cannot write file/studies/new.toml"),
        ("data show digits", "cannot write digits.png into file/results/data"),
        ("ensemble digits", "no trials yet"),
    ],
)
def test_a_folder_that_cannot_be_written(bench: Run, root: Path, words: str, message: str) -> None:
    (root / "file").write_text("in the place of a folder")
    refused(bench, root, f"{words} --root file", message)


def test_results_that_cannot_be_written(bench: Run, root: Path) -> None:
    # That its rows were scored on test is noted the first time.
    assert bench("leaderboard", "tiny")[0] == 0
    shutil.rmtree(root / "results")
    (root / "results").write_text("in the place of a folder")
    refused(bench, root, "leaderboard tiny", "cannot write the leaderboard into results")


def test_a_file_in_the_place_of_studies_is_named_as_such(bench: Run, root: Path) -> None:
    (root / "other").mkdir()
    (root / "other" / "studies").write_text("")
    refused(bench, root, "init new --root other", "cannot write other/studies/new.toml")


def test_nothing_here_yet(bench: Run, root: Path) -> None:
    (root / "empty").mkdir()
    refused(bench, root, "ensemble --root empty", "no study here yet; run: bench search")


@pytest.mark.parametrize("url", ["postgresql://me:s3cret@127.0.0.1:1/db", "foo://me:s3cret@host/db"])
@pytest.mark.parametrize("debug", ["", "--debug"])
def test_a_password_is_never_printed(bench: Run, url: str, debug: str) -> None:
    code, output = bench(*f"leaderboard tiny --storage {url} {debug}".split())
    assert code == 2
    assert "me:***@" in output
    assert "s3cret" not in output


@pytest.mark.parametrize(
    "words",
    [
        "search URL",
        "worker URL",
        "confirm URL",
        "run URL",
        "init URL",
        "ensemble URL",
        "leaderboard URL",
        "leaderboard tiny URL",
        "leaderboard tiny --storage sqlite:///studies/tiny.db URL",
        "report URL",
        "verify URL",
        "evaluate URL",
        "trial URL 0",
        "dashboard URL",
        "data show digits --study URL",
    ],
)
@pytest.mark.parametrize("debug", ["", "--debug"])
def test_a_database_in_the_place_of_a_study_is_told_without_it(bench: Run, root: Path, words: str, debug: str) -> None:
    words = f"{words} {debug}".replace("URL", "postgresql://me:s3cret@host/db")
    code, output = bench(*words.split())
    assert code == 2
    assert "a database is given by --storage or BENCH_STORAGE, not in the place of a study's name" in output
    assert "s3cret" not in output


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@host/db",
        "postgresql://me:s3cret s3cret@host/db",
        "postgresql://me:s3cret/s3cret:s3cret@s3cret@host/db",
        "postgresql://:s3cret'\\@host/db",
        "postgresql://host/db?user=me&password=s3cret&sslmode=require",
    ],
)
@pytest.mark.parametrize("columns", ["40", "200"])
@pytest.mark.parametrize(
    "words",
    [
        ["search", "tiny"],
        ["worker", "tiny"],
        ["verify", "tiny"],
        ["trial", "tiny"],
        ["mistakes", "tiny"],
        [],
    ],
    ids=" ".join,
)
def test_a_password_among_wrong_words_is_not_repeated(
    bench: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], columns: str, url: str
) -> None:
    code, output = bench(*words, url, columns=columns)
    assert code == 2
    assert "s3cret" not in output.replace("\n", "")


@pytest.mark.parametrize("words", ["--debug ensemble tiny --top 4", "ensemble tiny --top 4 --debug"])
def test_debug_shows_the_traceback_and_then_the_sentence(bench: Run, words: str) -> None:
    code, output = bench(*words.split())
    assert code == 2
    assert "Traceback (most recent call last)" in output
    assert output.splitlines()[-1].startswith("error: top 4 asks for more")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_a_gpu_that_is_full_is_told_in_words(bench: Run, monkeypatch: pytest.MonkeyPatch, error: RuntimeError) -> None:
    def full(*given: object, **named: object) -> None:
        raise error

    monkeypatch.setattr("benchmark.inference.load_study_data", full)
    code, output = bench("explain", "tiny")
    assert code == 2
    assert "try --device cpu" in output
    assert "Traceback" not in output


def test_libraries_that_do_not_fit_are_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    before = hashes(root)
    done = subprocess.run(
        [sys.executable, "-m", "benchmark.cli", "search", "tiny"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: torchvision does not fit torch")
    assert "pip install" in done.stderr
    assert "Traceback" not in done.stderr
    assert hashes(root) == before


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_that_lacks_some_characters_shows_and_writes_the_study(root: Path, encoding: str) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    words = [sys.executable, "-m", "benchmark.cli", "leaderboard", "tiny"]
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"Recommended" in done.stdout
    told = subprocess.run([*done.args, "--json"], cwd=root, env=environment, capture_output=True).stdout
    board = json.loads(told.decode("utf-8"))
    assert board == json.loads((root / "results" / "tiny.json").read_text(encoding="utf-8"))
    assert "↓" in (root / "results" / "tiny.md").read_text(encoding="utf-8")


def test_json_is_json_also_where_the_study_is_guessed(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(root / "studies" / "tiny.db", root / "studies" / "other.db")
    os.utime(root / "studies" / "other.db", (1, 1))
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["bench", "leaderboard", "--json"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    out, err = capfd.readouterr()
    assert json.loads(out)["origin"]["study"] == "tiny"
    assert "taking tiny, the one used last" in err


def test_a_study_without_a_complete_trial_does_not_hide_the_others(bench: Run, root: Path) -> None:
    store = fill(root, "begun", complete=0)
    store.study._storage.remove_session()
    store._db.engine.dispose()
    code, output = bench("leaderboard", "--all")
    assert code == 0
    assert "begun has no complete trial yet and is left out" in output
    assert (root / "results" / "tiny.md").exists()
    code, output = bench("leaderboard", "--all", "--storage", "postgresql://host/db")
    assert code == 2
    assert "--all is of the studies in this folder" in output


def test_a_copy_under_another_name_does_not_hide_the_studies(bench: Run, root: Path) -> None:
    shutil.copy(root / "studies" / "tiny.db", root / "studies" / "tiny-old.db")
    (root / "studies" / "gone.db").symlink_to(root / "nowhere.db")
    code, output = bench("leaderboard", "--all")
    assert code == 0
    assert "tiny-old is left out: study 'tiny-old' has no trials yet" in output
    assert "gone is left out: " in output
    assert (root / "results" / "tiny.md").exists()
    code, output = bench("leaderboard", "tiny")
    assert code == 0
    # Of names that none has: the newest that holds a study of its own name.
    (root / "studies" / "tiny copy.db").write_bytes((root / "studies" / "tiny.db").read_bytes())
    now = time.time()
    os.utime(root / "studies" / "tiny-old.db", (now + 60, now + 60))
    code, output = bench("leaderboard")
    assert code == 0
    assert "taking tiny, the one used last" in output


def test_what_is_no_study_does_not_hide_the_studies(bench: Run, root: Path) -> None:
    (root / "studies" / "Thumbs.db").write_bytes(b"pictures of pictures" * 100)
    (root / "studies" / "tiny copy.db").write_bytes((root / "studies" / "tiny.db").read_bytes())
    code, output = bench("leaderboard", "--all")
    assert code == 2, "it may be one that was damaged"
    assert "Thumbs is left out: " in output
    assert "tiny copy" not in output
    assert (root / "results" / "tiny.md").exists()


def test_a_folder_that_may_not_be_entered_is_told_in_a_sentence(
    bench: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "glob", refuse)
    code, output = bench("leaderboard", "tiny")
    assert code == 2
    assert f"error: cannot use {Path('studies')}: Permission denied" in output


def test_a_spent_budget_names_the_next_command_whole(bench: Run, root: Path) -> None:
    before = hashes(root)
    code, output = bench("search", "tiny", "--trials", "3", "--root", str(root))
    assert code == 0
    assert "The budget of 3 trials is spent" in output
    assert f"next: bench ensemble tiny --top 3 --root {root}" in output
    assert hashes(root) == before


def test_init_says_what_next(bench: Run, root: Path) -> None:
    code, output = bench("init", "new", "--root", "[red]a folder")
    assert code == 0
    assert "wrote [red]a folder/studies/new.toml; edit it, then: bench search new --root '[red]a folder'" in output


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), (" 2 h ", 7200)])
def test_durations(text: str, seconds: float) -> None:
    assert cli.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0", "-1", "1d", "nan", "inf", "9" * 400, "1e9"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(BenchError, match="is not a duration"):
        cli.seconds_of(text)
