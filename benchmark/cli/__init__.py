"""The command `bench`: parse, call one function, say where the result is. Knows no method and no storage format.

Heavy imports happen inside the commands, so that `bench --help` answers at once.
"""

from benchmark.cli import (  # noqa: I001 - the order of `bench --help`
    searching,
    reading,
    trial,
    mistakes,
    explaining,
    evaluating,
    reporting,
    dashboard,
    machine,
    data,
)
from benchmark.cli.app import app, main
from benchmark.cli.options import seconds_of, sizes_of

__all__ = [
    "app",
    "dashboard",
    "data",
    "evaluating",
    "explaining",
    "machine",
    "main",
    "mistakes",
    "reading",
    "reporting",
    "searching",
    "seconds_of",
    "sizes_of",
    "trial",
]
