"""What a preflight finds, as values; finds nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.records import Split


@dataclass(frozen=True)
class Place:
    """An image: its row in the published training part for train and val, in the test part for test; and its label."""

    split: Split
    row: int
    label: int


@dataclass(frozen=True)
class Pair:
    """Two images that are `identical`, or nearly the same: correlation in [-1, 1], with one mirrored if `mirrored`."""

    first: Place
    second: Place
    correlation: float
    mirrored: bool = False
    identical: bool = False

    @property
    def conflicting(self) -> bool:
        """Whether their labels contradict each other."""
        return self.first.label != self.second.label


@dataclass(frozen=True)
class Duplicates:
    """Pairs of an image of one part and an image of another, or of the same; at least one pair.

    `conflicting`: pairs with contradicting labels. `images`: those of the second part that are in a pair. `examples`:
    some of the pairs, contradicting ones first, then by correlation.
    """

    splits: tuple[Split, Split]
    pairs: int
    conflicting: int
    images: int
    examples: tuple[Pair, ...]


@dataclass(frozen=True)
class ClassRows:
    """How many rows of a class a part has."""

    name: str
    split: Split
    rows: int


@dataclass(frozen=True)
class Findings:
    """What `preflight` found; empty tuples where nothing is wrong.

    `sizes`: rows of each part. `groups`: sets of identical images. `near`: pairs of a correlation of at least `least`
    that are not identical; None where they were not looked for, for the reason in `near_unknown`. `exhibits`: pairs to
    look at, identical ones first, then the nearest, then the least near. `empty`: classes without any image. `scarce`:
    other classes that a part lacks or has few of, by part.
    """

    sizes: tuple[tuple[Split, int], ...]
    groups: int
    identical: tuple[Duplicates, ...]
    least: float
    near: tuple[Duplicates, ...] | None
    near_unknown: str
    exhibits: tuple[Pair, ...]
    constant: tuple[Place, ...]
    empty: tuple[str, ...]
    scarce: tuple[ClassRows, ...]


@dataclass(frozen=True)
class SuspectLabel:
    """An image whose label models contradict: the class they suggest, and how sure of it they are.

    `probability` and `label_probability`: of the suggested class and of the label, in [0, 1], mean of the models.
    `agreement`: share of the models that put the suggested class first.
    """

    place: Place
    suggested: int
    probability: float
    label_probability: float
    agreement: float

    @property
    def margin(self) -> float:
        """How much less probable the label is than the suggested class, in [-1, 0); the lower, the more suspicious."""
        return self.label_probability - self.probability
