"""What a picture of an explanation shows: which members' maps, and the words; draws nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.explain.choosing import ShownImages
from benchmark.explain.maps import Explanation
from benchmark.figures.evidence import Exhibit
from benchmark.inference import LoadedEntrant, LoadedModel
from benchmark.wording import plural

MEMBERS_SHOWN = 3


def whence(explanation: Explanation, loaded: LoadedEntrant) -> list[str]:
    """For each member a sentence on what its maps are of and what they count, and how all are made."""
    sentences = []
    for model, layer, size, vote in zip(
        loaded.members, explanation.layers, explanation.map_sizes.tolist(), explanation.votes, strict=True
    ):
        said = f"map of {size[0]} x {size[1]} places, layer {layer}" if layer else "left out: no layer has a map"
        share = f"; {100 * vote:.0f} % of the ensemble's" if layer and _has_votes(loaded) else ""
        sentences.append(f"{member_name(model)}: {said}{share}")
    if len(loaded.members) > 1 and not _has_votes(loaded):
        sentences.append(f"{loaded.entrant.method} has no votes: the members' maps count the same")
    return [
        *sentences,
        "maps: float32, one view of each image, enlarged bilinearly; predictions: as the study makes them",
    ]


def member_name(model: LoadedModel) -> str:
    """Which training made the model, and of what family it is."""
    return f"{_run(model)} ({model.family})"


def exhibits_of(
    explanation: Explanation, loaded: LoadedEntrant, images: ShownImages, classes: Sequence[str]
) -> tuple[list[Exhibit], list[str]]:
    """For each image (N) what to show and say of it, and the headings of the maps; `classes` (K,) are names.

    An ensemble's map comes first, then those of the 3 members that vote most; its heading says how many are not shown.
    """
    members = _members_shown(explanation)
    headings = [_heading(explanation, loaded, member) for member in members]
    heats = explanation.member_heats[members]
    if len(loaded.members) > 1:
        headings.insert(0, _heading_of_all(loaded, members))
        heats = np.concatenate([explanation.heat[None], heats])
    exhibits = [
        Exhibit(_lines(explanation, images, row, classes), images.pixels[row], heats[:, row])
        for row in range(len(images.pixels))
    ]
    return exhibits, headings


def _members_shown(explanation: Explanation) -> list[int]:
    by_votes = np.argsort(-np.array(explanation.votes), kind="stable")
    return [int(member) for member in by_votes[:MEMBERS_SHOWN] if explanation.votes[member] > 0]


def _heading_of_all(loaded: LoadedEntrant, shown: Sequence[int]) -> str:
    if len(shown) == len(loaded.members):
        return f"ensemble\nof {len(shown)} members"
    lines = [f"ensemble of {len(loaded.members)},", f"{plural(len(shown), 'member')} shown"]
    if _has_votes(loaded):
        lines.append(f"{100 * sum(loaded.votes[member] for member in shown):.0f} % of the vote")
    return "\n".join(lines)


def _heading(explanation: Explanation, loaded: LoadedEntrant, member: int) -> str:
    model, (height, width) = loaded.members[member], explanation.map_sizes[member]
    vote = f", {100 * explanation.votes[member]:.0f} %" if _has_votes(loaded) else ""
    return f"{_run(model)}{vote}\n{model.family}\nfrom a {height} x {width} map"


def _lines(explanation: Explanation, images: ShownImages, row: int, classes: Sequence[str]) -> tuple[str, ...]:
    label, predicted, explained = images.labels[row], explanation.predicted[row], explanation.classes[row]
    lines = [images.sources[row], *([] if label is None else [f"label {classes[label]}"])]
    lines.append(f"says {classes[predicted]}, {100 * explanation.confidence[row]:.1f} %")
    if explained != predicted:
        lines.append(f"map: {classes[explained]}, {100 * explanation.probs[row, explained]:.1f} %")
    if not explanation.heat[row].any():
        lines.append("no evidence found")
    return tuple(lines)


def _run(model: LoadedModel) -> str:
    """A trial of the search, or a confirming run."""
    return f"{'run' if model.part else 'trial'} {model.number}"


def _has_votes(loaded: LoadedEntrant) -> bool:
    """Not of a single model, nor of an ensemble by stacking."""
    return len(loaded.members) > 1 and loaded.entrant.weights is not None
