"""Options that several commands share, and what users may write for durations and numbers of models."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.errors import BenchError, UnknownNameError

if TYPE_CHECKING:
    from benchmark.records import Split

Root = Annotated[Path, typer.Option("--root", help="Folder with studies/ and results/; made where missing.")]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        envvar="BENCH_STORAGE",
        help="Database URL instead of studies/NAME.db, e.g. postgresql://host/db; a password is best given by the"
        " variable.",
    ),
]
ArtifactsPlace = Annotated[
    str | None,
    typer.Option(
        "--artifacts",
        help="Where weights and checkpoints go: s3://bucket/prefix, or a folder; remembered by the study.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Worker processes; default: one per GPU (up to four under MPS), or one per CPU core."),
]
Timeout = Annotated[str | None, typer.Option(help="Stop after so long: 90s, 30m, 2h.")]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="A folder with a published form of the data set; for the data set folder, that of your images.",
    ),
]
StudyToSearch = Annotated[
    str | None, typer.Argument(help="The study; default: cifar10 with a GPU, cifar10-cpu without.", metavar="[STUDY]")
]
StudyToRead = Annotated[
    str | None, typer.Argument(help="The study; default: the one used last in this folder.", metavar="[STUDY]")
]


def seconds_of(text: str) -> float:
    """Seconds that a duration such as 90, 90s, 30m or 1.5h stands for. Raises BenchError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if match is None or not 0 < float(match[1]) < math.inf:
        raise BenchError(f"{text!r} is not a duration; write 90s, 30m or 2h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def split_of(text: str) -> Split:
    """The part of the data that predictions are stored of: test or val. Raises UnknownNameError."""
    from benchmark.records import Split

    if text not in (Split.TEST, Split.VAL):
        raise UnknownNameError("split", text, [Split.TEST, Split.VAL])
    return Split(text)


def sizes_of(text: str | None) -> list[int]:
    """Numbers of models: 5 is [5], 1..20 is [1, 2, ..., 20], None is []. Raises BenchError."""
    if text is None:
        return []
    match = re.fullmatch(r"(\d{1,6})(?:\.\.(\d{1,6}))?", text.strip())
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= low <= high:
        raise BenchError(f"{text!r} is no number of models; write 5, or 1..20 for a range")
    return list(range(low, high + 1))
