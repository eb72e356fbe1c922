"""README.md and docs/ keep their word: their commands are the ones that are run and parse, and their files exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from benchmark.cli import app
from benchmark.errors import BenchError
from studies.refresh_readme import MARKER, PAGE, main_table, refresh_between_markers

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FIRST_SCREEN = README.partition("\n## ")[0]


def fenced(text: str, language: str) -> list[str]:
    """The lines inside the fenced blocks of a language, without comments and blank lines."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip() and not line.startswith("#")]


DEMO_AND_TESTS = fenced(FIRST_SCREEN, "sh")
PAGES = [README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))]
BENCH_LINES = sorted({line for page in PAGES for line in fenced(page, "sh") if line.startswith("bench ")})


def nox_sessions() -> set[str]:
    """The names of the functions that noxfile.py makes sessions of."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    return {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator).startswith("nox.session") for decorator in node.decorator_list)
    }


def test_the_first_screen_gives_the_demo_and_the_tests_and_nothing_else() -> None:
    assert len(DEMO_AND_TESTS) == 2
    assert FIRST_SCREEN.count("```") == 2 * 2
    sessions = [command.rpartition("nox -s ")[2] for command in DEMO_AND_TESTS]
    assert sessions == ["demo", "tests"]
    assert set(sessions) <= nox_sessions()


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert script[-1] == DEMO_AND_TESTS[1]


def test_every_session_that_readme_names_exists() -> None:
    assert set(re.findall(r"nox -s (\w+)", README)) <= nox_sessions()


def test_every_path_of_the_file_tree_exists() -> None:
    (tree,) = re.findall(r"^```text\n(benchmark/.*?)^```", README, re.MULTILINE | re.DOTALL)
    folders: list[str] = []
    for line in tree.splitlines():
        name = line.split()[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [name]
        path = ROOT.joinpath(*folders)
        assert path.is_dir() if name.endswith("/") else path.is_file(), f"README's file tree has {'/'.join(folders)}"


def test_relative_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("line", BENCH_LINES)
def test_every_bench_line_parses(line: str) -> None:
    words = shlex.split(line, comments=True)
    command, words = typer.main.get_command(app), words[1:]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{line!r}: there is no command {words[0]!r}"
        command, words = command.commands[words[0]], words[1:]
    # An unknown option, a missing argument or a value of the wrong type raises.
    command.make_context(line, words)


def test_readme_shows_every_command() -> None:
    shown = {shlex.split(line)[1] for line in fenced(README, "sh") if line.startswith("bench ")}
    assert shown == set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


def test_the_table_is_the_one_of_the_committed_leaderboard() -> None:
    page = ROOT / PAGE
    if not page.is_file():
        pytest.skip(f"{PAGE} has not been made")
    table = main_table(page.read_text(encoding="utf-8"))
    assert refresh_between_markers(README, MARKER, table) == README, "run: nox -s readme"


def test_the_tables_place_is_marked() -> None:
    assert "| a |" in refresh_between_markers(README, MARKER, "| a |")


def test_main_table_is_the_first_table_alone() -> None:
    page = "# A page\n\n| a |\n| --- |\n| 1 |\n\nwords\n\n| b |\n| --- |\n| 2 |\n"
    assert main_table(page) == "| a |\n| --- |\n| 1 |"
    with pytest.raises(BenchError, match="no table"):
        main_table("# Nothing\n\nhere\n")


def test_refresh_between_markers() -> None:
    page = "before\n\n<!-- results -->\nold\n<!-- /results -->\n\nafter\n"
    fresh = refresh_between_markers(page, "results", "| new |\n")
    assert fresh == "before\n\n<!-- results -->\n\n| new |\n\n<!-- /results -->\n\nafter\n"
    assert refresh_between_markers(fresh, "results", "| new |") == fresh


@pytest.mark.parametrize(
    "page", ["no markers", "<!-- /m --> <!-- m -->", "<!-- m -->", "<!-- m --><!-- m --><!-- /m -->"]
)
def test_refresh_without_clear_markers_is_refused(page: str) -> None:
    with pytest.raises(BenchError, match="<!-- m -->"):
        refresh_between_markers(page, "m", "table")


def test_the_examples_of_extending_work(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    modules = re.findall(r'^```python\n("""A.*?|"""Taking.*?)^```', page, re.MULTILINE | re.DOTALL)
    assert len(modules) == 2
    for number, module in enumerate(modules):
        (tmp_path / f"example_{number}.py").write_text(module, encoding="utf-8")
    # A process of its own: what is registered here stays out of the other tests.
    program = """
import torch
import example_0, example_1
from benchmark.architectures import ARCHITECTURES
from benchmark.augmentations import AUGMENTATIONS, Batch
from benchmark.records import ImageShape

images = torch.rand(6, 3, 8, 8)
assert ARCHITECTURES["mlp"].build(ImageShape(3, 8, 8), 10)(images).shape == (6, 10)
batch = Batch(images, torch.eye(6), torch.arange(6), 0, torch.zeros(3), torch.Generator().manual_seed(0))
gray = AUGMENTATIONS["grayscale"].build(share=0.5)(batch).images
assert 0 < sum(torch.equal(image[0], image[2]) for image in gray) < 6
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
