"""The folder of trained weights beside a study's database: named by trial, kept for the best; opens none of them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path


class WeightsFolder:
    """safetensors files `trial-NNNNN.safetensors`; a file being written has the ending `.partial`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, number: int) -> Path:
        """Where the weights of a trial are, or would be."""
        return self.folder / f"trial-{number:05d}.safetensors"

    def partial(self, number: int) -> Path:
        """Where a trial's weights are written before it is known whether they are kept."""
        return self.path(number).with_suffix(".partial")

    def publish(self, number: int) -> None:
        """The trial is complete: its weights are whole."""
        self.partial(number).replace(self.path(number))

    def discard(self, number: int) -> None:
        """Remove what an unfinished trial wrote."""
        self.partial(number).unlink(missing_ok=True)

    def keep_only(self, numbers: Collection[int]) -> None:
        """Remove the weights of all other trials, and what they left half-written."""
        kept = {path for number in numbers for path in (self.path(number), self.partial(number))}
        for path in self.folder.glob("trial-*"):
            if path not in kept:
                path.unlink(missing_ok=True)
