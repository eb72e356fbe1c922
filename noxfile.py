"""Everything that is run on this code: `nox` alone runs lint, types, tests and docs; `nox -l` lists the rest.

torch with its CUDA libraries is some 5 GB, so the sessions share one environment, `.nox/shared`. It is made when it is
missing, half-made, or made from other requirements than pyproject.toml's, with uv where that is present, else with pip.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
SUPPORTED = ((3, 11), (3, 14))
"""The lowest Python that works, and the lowest that does not."""

# More processes than cores only wait for each other, and a test may train a network.
PYTEST = ("-m", "pytest", "-n", "auto", "--maxprocesses", "4", "--dist", "worksteal")

nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.default_venv_backend = "none"


@nox.session
def demo(session: nox.Session) -> None:
    """The main job on real CIFAR-10, in demo/: search, long runs, ensembles, leaderboard; at most 10 minutes."""
    session.run(program(shared(session), "bench"), "run", "--timeout", "9m", "--root", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Every test that this machine can run; `nox -s tests -- -m "not slow"` for the quick ones."""
    session.run(program(shared(session), "python"), *PYTEST, *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """Style: `ruff check` and `ruff format --check`."""
    ruff = program(shared(session), "ruff")
    session.run(ruff, "check", ".")
    session.run(ruff, "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types: mypy, strict."""
    session.run(program(shared(session), "mypy"))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as HTML in build/docs; a warning is an error."""
    sphinx = program(shared(session), "sphinx-build")
    session.run(sphinx, "--fail-on-warning", "--nitpicky", "--fresh-env", "docs", "build/docs", *session.posargs)


@nox.session
def readme(session: nox.Session) -> None:
    """Copy the table of results/cifar10-cpu.md into README.md."""
    session.run(program(shared(session), "python"), "-m", "studies.refresh_readme")


@nox.session
def speed(session: nox.Session) -> None:
    """How fast this machine works beside a user's script, into results/speed.md; some hours.

    `nox -s speed -- pipeline training` for some parts of it.
    """
    session.run(program(shared(session), "python"), "-m", "studies.speed", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """The quick tests with the oldest versions that pyproject.toml allows, on the oldest Python; needs uv."""
    oldest = ".".join(map(str, SUPPORTED[0]))
    environment = ensure(session, "lowest", ("test",), python=oldest, resolution="lowest-direct")
    session.run(
        program(environment, "python"), *PYTEST, "-m", "not slow", *session.posargs, env={"OMP_NUM_THREADS": "1"}
    )


def shared(session: nox.Session) -> Path:
    """The environment of all sessions but `lowest`: this checkout, editable, with the groups test, lint and docs."""
    return ensure(session, "shared", ("test", "lint", "docs"), python=suitable_python())


def ensure(
    session: nox.Session, name: str, groups: tuple[str, ...], *, python: str, resolution: str | None = None
) -> Path:
    """The environment `.nox/NAME`, made anew unless a whole one for the same requirements is there.

    `python` is a path or, with uv, a version. Only uv knows `resolution`.
    """
    environment = ROOT / ".nox" / name
    stamp = environment / "complete.txt"
    wanted = fingerprint(groups, python, resolution)
    if stamp.is_file() and stamp.read_text() == wanted and starts(environment):
        return environment
    session.log(f"Making the environment {environment.relative_to(ROOT)}; torch makes it some 5 GB.")
    shutil.rmtree(environment, ignore_errors=True)
    uv = find_uv()
    if uv:
        try:
            make_with_uv(session, uv, environment, groups, python, resolution)
        except CommandFailed:
            # uv brings its own certificates and ignores pip's settings: behind some proxies only pip gets through.
            session.warn("uv could not make the environment; trying pip.")
            uv = None
            shutil.rmtree(environment, ignore_errors=True)
    if not uv:
        if resolution:
            session.error("this session needs uv: python -m pip install uv")
        make_with_pip(session, environment, groups, python)
    # Written last: an environment without it was cut off half-way.
    stamp.write_text(wanted)
    return environment


def make_with_uv(
    session: nox.Session, uv: str, environment: Path, groups: tuple[str, ...], python: str, resolution: str | None
) -> None:
    """Make the environment with uv: half a minute where its cache is warm. Raises CommandFailed."""
    session.run(uv, "venv", "--quiet", "--python", python, str(environment))
    # Compiled now, as pip does: some settings keep Python from ever doing it, and torch is slow to compile.
    options = ["--compile-bytecode", *(["--resolution", resolution] if resolution else [])]
    target = ("--python", program(environment, "python"))
    session.run(uv, "pip", "install", "--quiet", *target, *options, "--editable", ".", *as_options(groups))


def make_with_pip(session: nox.Session, environment: Path, groups: tuple[str, ...], python: str) -> None:
    """Make the environment with venv and pip: some minutes."""
    if not Path(python).is_file():
        session.error(f"this needs Python {python}, and Python {sys.version.split()[0]} runs nox; or install uv")
    session.run(python, "-m", "venv", str(environment))
    pip = (program(environment, "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    # Dependency groups came with pip 25.1; a Python brings the pip of its own day.
    session.run(*pip, "--upgrade", "pip>=25.1")
    session.run(*pip, "--editable", ".", *as_options(groups))


def as_options(groups: tuple[str, ...]) -> list[str]:
    """The groups as options of pip and uv alike."""
    return [option for group in groups for option in ("--group", group)]


def fingerprint(groups: tuple[str, ...], python: str, resolution: str | None) -> str:
    """What an environment depends on, hashed; settings of tools in pyproject.toml do not count."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = (
        pyproject["project"],
        pyproject["dependency-groups"],
        pyproject["build-system"],
        groups,
        python,
        resolution,
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def starts(environment: Path) -> bool:
    """Whether its interpreter still runs: the Python it was made from may be gone."""
    try:
        return subprocess.run([program(environment, "python"), "-c", ""], check=False).returncode == 0
    except OSError:
        return False


def suitable_python() -> str:
    """The Python that runs nox where it is a supported one, else a range for uv to find or fetch one."""
    low, high = SUPPORTED
    if low <= sys.version_info < high:
        return sys.executable
    return f">={low[0]}.{low[1]},<{high[0]}.{high[1]}"


def find_uv() -> str | None:
    """The uv on the path, or the one installed beside nox."""
    if found := shutil.which("uv"):
        return found
    if importlib.util.find_spec("uv") is None:
        return None
    import uv

    try:
        return os.fspath(uv.find_uv_bin())
    except FileNotFoundError:
        return None


def program(environment: Path, name: str) -> str:
    """The path of a program in the environment."""
    return str(environment / ("Scripts" if os.name == "nt" else "bin") / name)
