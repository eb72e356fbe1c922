"""Files by name in a folder and in S3: whole or refused, and never with a secret in a message."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filled_study import DEFINITION
from s3_server import KEYS, client, s3_server, use_keys

from benchmark.artifacts import Artifacts, Place, SpoiltFileError, beside_database, on_this_machine, place_at
from benchmark.errors import BenchError
from benchmark.records import StoredFile

BUCKET = "shelf"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server with one bucket."""
    with s3_server() as url:
        with client(url) as s3:
            s3.create_bucket(Bucket=BUCKET)
        yield url


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """boto3's client of the server, emptied before; what is tested finds the keys in the environment."""
    use_keys(monkeypatch)
    with client(endpoint) as made:
        for name in names(made):
            made.delete_object(Bucket=BUCKET, Key=name)
        yield made


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place of the study `mine`."""
    if request.param == "folder":
        return place_at(str(tmp_path / "made when needed"), "mine")
    request.getfixturevalue("s3")
    return place_at(f"s3://{BUCKET}/bench?endpoint_url={request.getfixturevalue('endpoint')}", "mine")


def names(s3: Any) -> list[str]:
    return [found["Key"] for found in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_what_was_written_is_read_again(place: Place) -> None:
    content = os.urandom(3_000_000)
    file = Artifacts(place).write("a.safetensors", content)
    assert file == StoredFile("a.safetensors", hashlib.sha256(content).hexdigest(), len(content))
    assert Artifacts(place).read(file) == content


def test_an_empty_file_is_a_file(place: Place) -> None:
    artifacts = Artifacts(place)
    assert artifacts.read(artifacts.write("empty", b"")) == b""


def test_the_last_content_of_a_name_counts(place: Place) -> None:
    artifacts = Artifacts(place)
    before, after = artifacts.write("a", b"long before"), artifacts.write("a", b"after")
    assert artifacts.read(after) == b"after"
    with pytest.raises(SpoiltFileError, match=r"a in .* is altered"):
        artifacts.read(before)


def test_a_removed_file_is_missing_and_others_stay(place: Place) -> None:
    artifacts = Artifacts(place)
    gone, kept = artifacts.write("gone", b"1"), artifacts.write("kept", b"2")
    artifacts.remove("gone")
    artifacts.remove("gone")
    artifacts.remove("never there")
    assert artifacts.read(kept) == b"2"
    with pytest.raises(SpoiltFileError) as caught:
        artifacts.read(gone)
    assert str(caught.value) == f"gone is missing in {place.label}"


def test_a_file_of_a_place_that_was_never_made_is_missing(place: Place) -> None:
    Artifacts(place).remove("a")
    with pytest.raises(SpoiltFileError, match="a is missing in"):
        Artifacts(place).read(StoredFile("a", "0" * 64, 3))


def test_altered_content_in_a_folder_names_file_and_place(tmp_path: Path) -> None:
    place = beside_database(tmp_path)
    file = Artifacts(place).write("a", b"0123456789")
    (tmp_path / "a").write_bytes(b"0123456788")
    with pytest.raises(SpoiltFileError, match="a in the study's folder is altered"):
        Artifacts(place).read(file)


def test_altered_content_in_s3_names_file_and_place(s3: Any, endpoint: str) -> None:
    place = place_at(f"s3://{BUCKET}?endpoint_url={endpoint}", "mine")
    file = Artifacts(place).write("a", b"0123456789")
    s3.put_object(Bucket=BUCKET, Key="mine/a", Body=b"012345678")
    with pytest.raises(SpoiltFileError, match=rf"a in s3://{BUCKET}/mine\S* is altered"):
        Artifacts(place).read(file)


def test_studies_of_one_place_do_not_meet(place: Place, s3: Any, endpoint: str, tmp_path: Path) -> None:
    base = f"s3://{BUCKET}/bench/?endpoint_url={endpoint}" if place.is_s3 else str(tmp_path / "made when needed")
    mine, other = Artifacts(place_at(base, "mine")), Artifacts(place_at(base, "other"))
    mine_a, other_a = mine.write("a", b"mine"), other.write("a", b"other")
    assert (mine.read(mine_a), other.read(other_a)) == (b"mine", b"other")
    mine.remove("a")
    assert other.read(other_a) == b"other"
    if place.is_s3:
        assert names(s3) == ["bench/other/a"]
    else:
        assert [path.parent.name for path in tmp_path.rglob("a")] == ["other"]


def test_a_folder_is_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert place_at("shelf", "mine") == Place(str(tmp_path / "shelf" / "mine"), str(tmp_path / "shelf" / "mine"))


def test_a_folder_of_a_machine_is_told_from_that_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = on_this_machine(tmp_path)
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    assert here.base == on_this_machine(tmp_path).base == str(tmp_path)
    assert here.label != on_this_machine(tmp_path).label == f"elsewhere:{tmp_path}"
    assert beside_database(tmp_path).label == beside_database(tmp_path / "moved").label


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://me:s3cret@shelf/x", "no credentials in the artifact URL"),
        ("s3://s3cret@shelf", "no credentials in the artifact URL"),
        ("s3://shelf/x?endpoint_url=http://me:s3cret@127.0.0.1:9000", "no credentials in the artifact URL"),
        ("s3://me:s3cret/shelf", "an S3 URL is s3://bucket/prefix"),
        ("s3://shelf?aws_secret_access_key=s3cret", "options after '?', not aws_secret_access_key"),
        ("s3://shelf?endpoint=http://host&region_name=x", "options after '?', not endpoint"),
        ("s3://shelf/x?endpoint_url=", "the artifact URL's endpoint_url is empty; for Amazon's own leave it out"),
        ("s3://shelf?verify=", "options after '?', not verify"),
        ("s3://", "an S3 URL is s3://bucket/prefix"),
        ("s3:shelf/x", "an S3 URL is s3://bucket/prefix"),
        ("s3://shelf/one#two", "an S3 URL is s3://bucket/prefix"),
        ("s3://[shelf", "this one cannot be read"),
        ("s3://shelf?endpoint_url=http://[x", "this one cannot be read"),
        ("gs://shelf/x", "a folder or in s3://bucket/prefix; nothing else is known"),
        ("http://me:s3cret@host/x", "a folder or in s3://bucket/prefix; nothing else is known"),
    ],
)
def test_what_is_no_place_is_refused_without_a_secret(url: str, message: str) -> None:
    with pytest.raises(BenchError) as caught:
        place_at(url, "mine")
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp//host"])
def test_an_endpoint_that_is_none_is_told_in_words(s3: Any, url: str) -> None:
    with pytest.raises(BenchError, match=f"cannot open in s3://shelf/mine.*{url}"):
        Artifacts(place_at(f"s3://shelf?endpoint_url={url}", "mine"))


def test_a_bucket_that_is_not_there_is_told_in_words(s3: Any, endpoint: str) -> None:
    with pytest.raises(BenchError, match=r"cannot write in s3://nowhere/mine.*bucket does not exist"):
        Artifacts(place_at(f"s3://nowhere?endpoint_url={endpoint}", "mine")).write("a", b"1")


def test_a_server_that_is_away_is_told_within_seconds(s3: Any, deaf_port: int) -> None:
    artifacts = Artifacts(place_at(f"s3://{BUCKET}?endpoint_url=http://127.0.0.1:{deaf_port}", "mine"))
    began = time.monotonic()
    for what, act in (
        ("write", lambda: artifacts.write("a", b"1")),
        ("read", lambda: artifacts.read(StoredFile("a", "0" * 64, 1))),
        ("remove", lambda: artifacts.remove("a")),
    ):
        with pytest.raises(BenchError, match=f"cannot {what} in s3://{BUCKET}/mine.*[Cc]ould not connect") as caught:
            act()
        assert not isinstance(caught.value, SpoiltFileError)
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 60


def test_a_time_out_of_boto3_is_told_in_words_though_it_is_an_os_error(
    s3: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import ReadTimeoutError

    artifacts = Artifacts(place_at(f"s3://{BUCKET}?endpoint_url={endpoint}", "mine"))

    def too_slow(*_: object) -> None:
        raise ReadTimeoutError(endpoint_url=endpoint)

    assert issubclass(ReadTimeoutError, OSError)
    monkeypatch.setattr(artifacts._store, "write", too_slow)
    with pytest.raises(BenchError, match=f"cannot write in s3://{BUCKET}/mine.*timeout"):
        artifacts.write("a", b"1")


def test_no_credentials_are_told_in_words(
    s3: Any, endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for key in KEYS:
        monkeypatch.delenv(key)
    for key in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(key, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(BenchError, match=r"cannot write in .*[Uu]nable to locate credentials"):
        Artifacts(place_at(f"s3://{BUCKET}?endpoint_url={endpoint}", "mine")).write("a", b"1")


def test_without_boto3_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(BenchError, match="pip install boto3"):
        Artifacts(place_at("s3://shelf", "mine"))


def test_a_folder_needs_no_boto3(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    artifacts = Artifacts(beside_database(tmp_path))
    assert artifacts.read(artifacts.write("a", b"1")) == b"1"


def test_a_full_disk_stays_an_os_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts = Artifacts(beside_database(tmp_path))

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left") as caught:
        artifacts.write("a", b"1")
    assert caught.value.errno == errno.ENOSPC


def test_a_name_does_not_lead_out_of_the_folder(tmp_path: Path) -> None:
    artifacts = Artifacts(beside_database(tmp_path / "inside"))
    with pytest.raises(BenchError, match="cannot write in the study's folder"):
        artifacts.write("../outside", b"1")
    assert not (tmp_path / "outside").exists()


def test_a_file_is_known_by_its_digest_and_not_by_its_size(place: Place) -> None:
    artifacts = Artifacts(place)
    file = artifacts.write("a", b"1")
    assert artifacts.read(replace(file, bytes=7)) == b"1"
    with pytest.raises(SpoiltFileError):
        artifacts.read(replace(file, digest=hashlib.sha256(b"2").hexdigest()))


def bench(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmark.cli", *words],
        cwd=root,
        env={**os.environ, **KEYS, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_a_search_keeps_its_weights_in_s3_and_verify_reads_them_there(s3: Any, endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "tiny.toml").write_text(DEFINITION)
    url = f"s3://{BUCKET}/deep/er?endpoint_url={endpoint}"
    done = bench(tmp_path, "search", "tiny", "--trials", "3", "--workers", "1", "--artifacts", url)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = names(s3)
    assert kept
    assert all(re.fullmatch(r"deep/er/tiny-[0-9a-f]{12}/trial-\d{5}\.safetensors", name) for name in kept)
    assert not list(tmp_path.rglob("*.safetensors"))
    whole = bench(tmp_path, "verify", "tiny")
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert f"{len(kept)} files in s3://{BUCKET}/deep/er/tiny" in whole.stdout
    assert "everything is whole" in whole.stdout
    s3.delete_object(Bucket=BUCKET, Key=kept[0])
    harmed = bench(tmp_path, "verify", "tiny")
    assert harmed.returncode == 2
    damage = [line for line in harmed.stdout.splitlines() if line.startswith("damaged: ")]
    assert len(damage) == 1
    assert f"{kept[0].rpartition('/')[2]} is missing in s3://{BUCKET}/deep/er/tiny" in damage[0]
    assert "Traceback" not in harmed.stdout + harmed.stderr
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr + harmed.stdout + harmed.stderr


def test_a_place_is_tried_out_before_anything_is_trained(tmp_path: Path) -> None:
    place = place_at(str(tmp_path / "kept"), "mine")
    Artifacts(place).try_out()
    assert list(Path(place.base).iterdir()) == []
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(BenchError, match="cannot write in"):
        Artifacts(place_at(str(tmp_path / "file"), "mine")).try_out()
