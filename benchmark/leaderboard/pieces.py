"""Pieces of markdown that every page is made of: tables, cells and numbers with a sign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


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
