"""A report as one HTML file that needs nothing beside it, from templates; gathers and computes nothing."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from benchmark.errors import BenchError
from benchmark.figures.style import shown
from benchmark.files import replace_files
from benchmark.leaderboard.board import states_in_words
from benchmark.leaderboard.details import votes
from benchmark.records import TrialState
from benchmark.report.looks import page_look
from benchmark.report.making import Report
from benchmark.report.missing import Missing
from benchmark.report.pictures import first_that_fit
from benchmark.wording import count, duration, percent, plural, points, points_with_interval, significant

MOST_BYTES = 10_000_000
_FEWEST_LOOKS = 7
"""Of series that are no families."""


def to_html(report: Report) -> str:
    """The whole page, the same text for the same report."""
    environment = _environment()
    looks = [page_look(index) for index in range(max(_FEWEST_LOOKS, len(report.looks)))]
    script, style = (_text(environment, name) for name in ("page.js", "page.css"))
    # Names are escaped; should one ever not be, nothing but this script would run all the same.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return environment.get_template("page.html").render(
        report=report, board=report.board, looks=looks, script=script, script_digest=digest, style=style
    )


def write_report(report: Report, folder: Path) -> Path:
    """Write STUDY.html into `folder`, made where missing; with fewer thumbnails where it would be too large.

    Raises BenchError where it cannot be written, or is too large all the same.
    """
    content = to_html(report).encode()
    if len(content) > MOST_BYTES and not isinstance(report.pictures, Missing):
        room = len("".join(report.pictures.thumbnails.values())) - (len(content) - MOST_BYTES)
        fewer = replace(report.pictures, thumbnails=first_that_fit(report.pictures.thumbnails.items(), room))
        content = to_html(replace(report, pictures=fewer)).encode()
    if len(content) > MOST_BYTES:
        raise BenchError(
            f"the report of {report.board.origin.study} would have {len(content) / 1e6:.1f} MB, more than "
            f"{MOST_BYTES / 1e6:.0f}; leave the pictures out: --no-images"
        )
    (path,) = replace_files({folder / f"{report.board.origin.study}.html": content}, "the report")
    return path


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("benchmark.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "percent": percent,
        "plural": plural,
        "points": points,
        "points_with_interval": points_with_interval,
        "shown": shown,
        "significant": significant,
        "states_in_words": states_in_words,
        "duration": duration,
        "votes": votes,
    }
    environment.tests["missing"] = lambda value: isinstance(value, Missing)
    environment.globals["states"] = tuple(TrialState)
    return environment


def _text(environment: Environment, name: str) -> Any:
    """A file of the templates as it is."""
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])
