"""A part of a report that cannot be shown, and why; knows no other part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Missing:
    """Stands where a part would be; `why` is a sentence for the reader."""

    why: str
