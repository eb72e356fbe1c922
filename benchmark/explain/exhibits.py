"""What a picture of an explanation shows: which members' maps, and the words; draws nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.explain.maps import Explanation
from benchmark.figures.evidence import Exhibit
from benchmark.inference import LoadedEntrant, LoadedModel

MEMBERS_SHOWN = 3


def run_name(model: LoadedModel) -> str:
    """Which training made the model: a trial of the search, or a confirming run."""
    return f"{'run' if model.part else 'trial'} {model.number}"


def exhibits_of(
    explanation: Explanation,
    loaded: LoadedEntrant,
    pixels: NDArray[np.uint8],
    sources: Sequence[str],
    labels: Sequence[int | None],
    classes: Sequence[str],
) -> tuple[list[Exhibit], list[str]]:
    """For each image (N) what to show and say of it, and the headings of the maps.

    An ensemble's map comes first, then those of the 3 members that vote most. `sources` (N,) say where each image is
    from, `labels` (N,) are class numbers where they are known, and `classes` (K,) names.
    """
    members = _members_shown(explanation)
    headings = [_heading(explanation, loaded, member) for member in members]
    heats = explanation.member_heats[members]
    if len(loaded.members) > 1:
        headings.insert(0, f"ensemble\nof {len(loaded.members)} members")
        heats = np.concatenate([explanation.heat[None], heats])
    exhibits = [
        Exhibit(_lines(explanation, row, sources[row], labels[row], classes), pixels[row], heats[:, row])
        for row in range(len(pixels))
    ]
    return exhibits, headings


def _members_shown(explanation: Explanation) -> list[int]:
    by_votes = np.argsort(-np.array(explanation.votes), kind="stable")
    return [int(member) for member in by_votes[:MEMBERS_SHOWN] if explanation.votes[member] > 0]


def _heading(explanation: Explanation, loaded: LoadedEntrant, member: int) -> str:
    model, (height, width) = loaded.members[member], explanation.map_sizes[member]
    vote = f", {100 * explanation.votes[member]:.0f} %" if len(loaded.members) > 1 else ""
    return f"{run_name(model)}{vote}\n{model.family}\nfrom a {height} x {width} map"


def _lines(
    explanation: Explanation, row: int, source: str, label: int | None, classes: Sequence[str]
) -> tuple[str, ...]:
    predicted, explained = int(explanation.predicted[row]), int(explanation.classes[row])
    said = f"→ {classes[predicted]} ({100 * explanation.confidence[row]:.0f} %)"
    lines = [source, *([] if label is None else [classes[label]]), said]
    if explained != predicted:
        lines.append(f"map: {classes[explained]} ({100 * explanation.probs[row, explained]:.0f} %)")
    if not explanation.heat[row].any():
        lines.append("no evidence found")
    return tuple(lines)
