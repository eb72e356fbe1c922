"""The artifact store of a study: weights and checkpoints by name, in a folder or in S3; knows no trial.

It is Optuna's: FileSystemArtifactStore for a folder, Boto3ArtifactStore for `s3://bucket/prefix`. Credentials for S3
come from where boto3 looks for them, never from the URL.
"""

from __future__ import annotations

import hashlib
import io
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from optuna.artifacts import Boto3ArtifactStore, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from benchmark.errors import BenchError
from benchmark.records import StoredFile

if TYPE_CHECKING:
    from optuna.artifacts._protocol import ArtifactStore

_S3_OPTIONS = ("endpoint_url", "region_name")
_S3_ATTEMPTS = 5
_S3_CONNECT_SECONDS = 5
_S3_READ_SECONDS = 15
"""All attempts at one address together take less than the lease of a running trial, which nobody renews meanwhile."""
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BLOCK_BYTES = 1 << 20


class SpoiltFileError(BenchError):
    """A file that is missing or altered, in a place that answers."""


@dataclass(frozen=True)
class Place:
    """Where files of one study are kept: a plain value, to be sent to other processes."""

    base: str
    """A folder, or an S3 URL `s3://bucket/prefix?endpoint_url=http://...`."""
    label: str
    """The same in words that tell it from other places, also seen from another machine."""

    @property
    def is_s3(self) -> bool:
        """Whether it is an S3 URL."""
        return self.base.startswith("s3:")


def beside_database(folder: Path) -> Place:
    """The study's own folder beside its SQLite file: it may be moved together with it."""
    return Place(str(folder), "the study's folder")


def on_this_machine(folder: Path) -> Place:
    """A folder of this machine, for a database that is elsewhere."""
    return Place(str(folder), f"{socket.gethostname()}:{folder.absolute()}")


def place_at(url: str, study: str) -> Place:
    """What a user names: `s3://bucket/prefix`, or a folder that all workers see. Raises BenchError."""
    if not url.startswith("s3:"):
        if "://" in url:
            raise BenchError("artifacts are kept in a folder or in s3://bucket/prefix; nothing else is known")
        folder = Path(url).absolute() / study
        return Place(str(folder), str(folder))
    try:
        parts = urlsplit(url)
        endpoints = [urlsplit(value) for key, value in parse_qsl(parts.query) if key == "endpoint_url"]
    except ValueError:
        raise BenchError("an S3 URL is s3://bucket/prefix; this one cannot be read") from None
    if any("@" in part.netloc for part in (parts, *endpoints)):
        raise BenchError("no credentials in the artifact URL: give them by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    options = parse_qsl(parts.query, keep_blank_values=True)
    if empty := [key for key, value in options if key in _S3_OPTIONS and not value]:
        raise BenchError(f"the artifact URL's {empty[0]} is empty; for Amazon's own leave it out")
    unknown = {key for key, _ in options} - set(_S3_OPTIONS)
    if not _BUCKET.fullmatch(parts.netloc) or parts.fragment or unknown:
        raise BenchError(
            f"an S3 URL is s3://bucket/prefix, with {' and '.join(_S3_OPTIONS)} as options after '?'"
            + (f", not {', '.join(sorted(unknown))}" if unknown else "")
        )
    prefix = "/".join(filter(None, (parts.path.strip("/"), study)))
    label = f"s3://{parts.netloc}/{prefix}" + (f"?{parts.query}" if parts.query else "")
    return Place(label, label)


class Artifacts:
    """The files of one place, by name."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._prefix = ""
        self._store: ArtifactStore
        if place.is_s3:
            parts = urlsplit(place.base)
            self._prefix = f"{parts.path.strip('/')}/"
            with self._plainly("open"):
                self._store = _s3(parts.netloc, dict(parse_qsl(parts.query)))
        else:
            self._store = FileSystemArtifactStore(place.base)

    def write(self, name: str, content: bytes) -> StoredFile:
        """Keep `content` under that name, over what was there. Raises OSError or, where S3 fails, BenchError."""
        if not self.place.is_s3:
            Path(self.place.base).mkdir(parents=True, exist_ok=True)
        with self._plainly("write"):
            self._store.write(self._prefix + name, io.BytesIO(content))
        return StoredFile(name, hashlib.sha256(content).hexdigest(), len(content))

    def read(self, file: StoredFile) -> bytes:
        """The content of a file.

        Raises SpoiltFileError where it is missing or altered, OSError or, where S3 fails, BenchError.
        """
        content = self._read(file.name)
        if content is None:
            raise SpoiltFileError(f"{file.name} is missing in {self.place.label}")
        if hashlib.sha256(content).hexdigest() != file.digest:
            raise SpoiltFileError(f"{file.name} in {self.place.label} is altered: it does not match its digest")
        return content

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with suppress(ArtifactNotFound), self._plainly("remove"):
            self._store.remove(self._prefix + name)

    def try_out(self) -> None:
        """See that files can be kept here, by keeping one for a moment. Raises BenchError."""
        name = f"try-{uuid.uuid4()}"
        try:
            self.write(name, b"")
            self.remove(name)
        except OSError as error:
            raise BenchError(f"cannot write in {self.place.label}: {error.strerror}") from error

    def _read(self, name: str) -> bytes | None:
        try:
            with self._plainly("read"), self._store.open_reader(self._prefix + name) as reader:
                return b"".join(iter(lambda: reader.read(_BLOCK_BYTES), b""))
        except ArtifactNotFound:
            return None

    @contextmanager
    def _plainly(self, what: str) -> Iterator[None]:
        """Errors of boto3 in words; those of the file system are as they are."""
        try:
            yield
        except (ArtifactNotFound, BenchError):
            raise
        except Exception as error:
            # Some of boto3's are OSErrors as well, a time-out among them.
            if isinstance(error, OSError) and not self.place.is_s3:
                raise
            told = " ".join(str(error).split()) or type(error).__name__
            raise BenchError(f"cannot {what} in {self.place.label}: {told}") from error


def _s3(bucket: str, options: dict[str, str]) -> ArtifactStore:
    try:
        import boto3
        from botocore.config import Config
    except ImportError:
        raise BenchError("S3 needs boto3: pip install boto3") from None
    patient = Config(
        retries={"total_max_attempts": _S3_ATTEMPTS, "mode": "standard"},
        connect_timeout=_S3_CONNECT_SECONDS,
        read_timeout=_S3_READ_SECONDS,
    )
    return Boto3ArtifactStore(bucket, boto3.client("s3", config=patient, **options), avoid_buf_copy=True)
