"""Result files in a folder, each replaced whole or not at all; knows nothing of what is in them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from benchmark.errors import BenchError

LONGEST_NAME = 60
_PLAIN = re.compile("[a-z0-9]+(?:,? [a-z0-9]+)*")
"""Names of which ", " and " " are the only other signs: written as "_" and "-", they stay apart."""


def file_name_of(name: str) -> str:
    """A file name for any name, of a-z, 0-9, "-" and "_" alone: `soft-voting_top-5` for "soft voting, top 5".

    Different names have different ones: one with other signs, or a long one, ends in 8 digits of its SHA-256.
    """
    if _PLAIN.fullmatch(name) and len(name) <= LONGEST_NAME:
        return name.replace(", ", "_").replace(" ", "-")
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    readable = re.sub("[^a-z0-9]+", "-", name.lower())[: LONGEST_NAME - 1 - len(digest)]
    return f"{readable}-{digest}".replace("--", "-").lstrip("-")


def replace_files(contents: Mapping[Path, bytes], what: str) -> list[Path]:
    """Write the files of one folder, made where missing, and none before all are on disk; their paths.

    Raises BenchError where the folder cannot be written; the message calls the files `what`.
    """
    folder = next(iter(contents)).parent
    drafts = {path: folder / f".{path.name}.{os.getpid()}.tmp" for path in contents}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, draft in drafts.items():
            draft.write_bytes(contents[path])
        for path, draft in drafts.items():
            draft.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BenchError(f"cannot write {what} into {folder}: {reason}; name a folder that can be written") from error
    finally:
        for draft in drafts.values():
            # Where the folder refuses, the error that matters is already on its way.
            with suppress(OSError):
                draft.unlink(missing_ok=True)
    return list(contents)
