"""Pieces of markdown that every page is made of: tables, cells and numbers as a person says them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.columns import significant


def duration(seconds: float) -> str:
    """A time span as a person says it: `42.0 s`, `12 min 05 s`, `3 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{significant(seconds)} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def signed(value: float) -> str:
    """Four decimals with a sign: `+0.0021`, `−0.0004`."""
    return f"{value:+.4f}".replace("-", "−")


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] = ()) -> str:
    """A table in pipe form; `right` says which columns align right, none by default."""
    rules = ["---:" if at_right else ":---" for at_right in right] or [":---"] * len(headings)
    lines = [[cell(heading) for heading in headings], rules, *([cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text that cannot end a cell or open a tag."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
