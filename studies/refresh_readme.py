"""The table of results/cifar10-cpu.md, copied into README.md: `nox -s readme`."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import BenchError

README, PAGE, MARKER = Path("README.md"), Path("results/cifar10-cpu.md"), "leaderboard:cifar10-cpu"


def main_table(markdown: str) -> str:
    """The first table of a leaderboard's markdown, without a newline at its end."""
    lines: list[str] = []
    for line in markdown.splitlines():
        if line.startswith("|"):
            lines.append(line)
        elif lines:
            break
    if not lines:
        raise BenchError("this is no leaderboard: there is no table in it")
    return "\n".join(lines)


def refresh_between_markers(text: str, marker: str, table: str) -> str:
    """`text` with what lies between `<!-- marker -->` and `<!-- /marker -->` replaced by `table`.

    Raises BenchError unless each marker is there once, in that order.
    """
    start, end = f"<!-- {marker} -->", f"<!-- /{marker} -->"
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise BenchError(f"the page needs the line {start} once and, after it, the line {end} once")
    before, rest = text.split(start)
    return f"{before}{start}\n\n{table.strip()}\n\n{end}{rest.split(end)[1]}"


def main() -> None:
    """Write README.md anew."""
    table = main_table(PAGE.read_text(encoding="utf-8"))
    README.write_text(refresh_between_markers(README.read_text(encoding="utf-8"), MARKER, table), encoding="utf-8")


if __name__ == "__main__":
    main()
