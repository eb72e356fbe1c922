"""The arrows between modules: who may import whom, and what each import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "benchmark"

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    # Values.
    ("records", "seeds"),
    # Plain functions and files.
    (
        "artifacts",
        "cache",
        "cuda_graphs",
        "files",
        "folds",
        "metrics",
        "origin",
        "parameters",
        "picture_files",
        "processes",
        "registry",
        "splits",
        "tiles",
    ),
    ("comparisons", "confidences", "diversity", "fanova", "temperature", "wording"),
    ("preflight",),
    # What is registered, what is asked, and what is stored.
    (
        "architectures",
        "augmentations",
        "averaging",
        "columns",
        "corruptions",
        "datasets",
        "definition",
        "ensemblers",
        "optimizers",
        "schedules",
        "store",
    ),
    ("family_studies", "space", "study_data", "training"),
    ("fidelity", "importance", "variation", "workers"),
    ("sampling",),
    # The stages of the pipeline.
    ("dataset_export", "display", "ensemble", "explore", "figures", "search", "speed", "trial_report"),
    ("confirmation", "leaderboard", "mistakes"),
    ("robustness",),
    ("dashboard", "study", "verify"),
    ("deadline", "inference", "label_check", "local", "ray_engine"),
    ("evaluation", "explain"),
    ("report",),
    ("notebook",),
    ("cli",),
)
"""A module imports from earlier rows, and from its own package where it is one. Later rows know more."""

ONLY_IN: dict[str, frozenset[str]] = {
    "torch": frozenset(
        {
            "architectures",
            "augmentations",
            "averaging",
            "cuda_graphs",
            "explain",
            "inference",
            "optimizers",
            "speed",
            "training",
            "workers",
        }
    ),
    # Data sets take its download function, inside their own, and training checks its version.
    "torchvision": frozenset({"datasets", "training"}),
    "captum": frozenset({"explain"}),
    "jinja2": frozenset({"report"}),
    "timm": frozenset({"architectures"}),
    "sqlalchemy": frozenset({"store"}),
    "sqlite3": frozenset({"store"}),
    "typer": frozenset({"cli"}),
    "boto3": frozenset({"artifacts"}),
    "optuna_dashboard": frozenset({"dashboard"}),
    "ray": frozenset({"ray_engine"}),
}
"""Libraries that no other module may name."""

LAYER = {module: number for number, modules in enumerate(LAYERS) for module in modules}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def module_of(path: Path) -> str:
    """The module or package of benchmark that a file belongs to: "records", "architectures", ..."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of everything that a file imports, inside functions as well."""
    here = ("benchmark", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else ()
            source = ".".join((*base, *filter(None, [node.module])))
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}"


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_a_module_imports_lower_layers_only(path: Path) -> None:
    module = module_of(path)
    assert module in LAYER, f"benchmark.{module} has no place yet: put it into LAYERS in {Path(__file__).name}"
    for line, name in imports(path):
        parts = name.split(".")
        # `from benchmark import __version__` takes from the package itself, which loads nothing.
        if parts[0] != "benchmark" or len(parts) < 2 or parts[1].startswith("__") or parts[1] == module:
            continue
        assert parts[1] in LAYER, f"{relative(path)}:{line} imports {name}, which has no place in LAYERS"
        assert LAYER[parts[1]] < LAYER[module], (
            f"{relative(path)}:{line} imports {name}: layer {LAYER[module]} may not know layer {LAYER[parts[1]]}"
        )


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_torch_sql_and_typer_stay_where_they_belong(path: Path) -> None:
    for line, name in imports(path):
        library = name.split(".")[0]
        allowed = ONLY_IN.get(library)
        assert allowed is None or module_of(path) in allowed, (
            f"{relative(path)}:{line} imports {library}, which only {', '.join(sorted(allowed or ()))} may"
        )


def test_the_package_itself_loads_nothing_before_it_is_asked() -> None:
    assert not {name for name in loaded_after("import benchmark") if name.startswith("benchmark.")}


def test_every_layered_module_exists() -> None:
    assert set(LAYER) == {module_of(path) for path in FILES}


def loaded_after(statements: str) -> set[str]:
    """The modules that a fresh interpreter has loaded once it has run the statements."""
    report = "import sys; print('\\nloaded:', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{report}"], capture_output=True, text=True, check=True, timeout=120
    )
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_what_reads_stored_predictions_and_data_loads_no_torch() -> None:
    read = (
        "dataset_export",
        "ensemble",
        "explore",
        "label_check",
        "leaderboard",
        "mistakes",
        "store",
        "study_data",
    )
    loaded = loaded_after("import " + ", ".join(f"benchmark.{module}" for module in read))
    assert not loaded & {"torch", "torchvision", "timm"}


def test_a_search_starts_without_what_only_ensembles_and_pictures_need() -> None:
    loaded = loaded_after(
        "import benchmark.deadline, benchmark.local, benchmark.training\nfrom benchmark.datasets import digits"
    )
    assert "torch" in loaded
    assert not loaded & {"sklearn", "scipy.stats", "pandas", "matplotlib"}
    assert not loaded & {"torchvision", "timm", "triton"}


def test_help_answers_without_torch_and_optuna() -> None:
    loaded = loaded_after(
        "import sys\n"
        "from benchmark.cli import main\n"
        "sys.argv = ['bench', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
    )
    assert "typer" in loaded
    assert not loaded & {"torch", "torchvision", "timm", "optuna", "sklearn", "pandas"}
