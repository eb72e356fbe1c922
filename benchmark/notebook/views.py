"""Results as a notebook shows them: tables as data frames, figures as pictures; computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.columns import COLUMNS, Section, columns_of
from benchmark.figures.style import settings
from benchmark.leaderboard import Leaderboard, figure_of, pictures_of
from benchmark.mistakes import EntrantMistakes, mistakes_picture, pairs_picture, repairs_picture
from benchmark.study_data import StudyImages

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image


@dataclass(frozen=True, eq=False)
class Picture:
    """A figure that a notebook shows by itself; `figure` is matplotlib's, to be changed or saved."""

    figure: Figure

    def _repr_png_(self) -> bytes:
        drawn = BytesIO()
        with settings():
            self.figure.savefig(drawn, format="png", dpi=100)
        return drawn.getvalue()


@dataclass(frozen=True, eq=False)
class Board:
    """A study's leaderboard: a table in a notebook, `frame` as numbers, `figure` for its pictures."""

    board: Leaderboard

    @property
    def frame(self) -> pd.DataFrame:
        """One row per entrant in order of rank, all columns under their keys, numbers unrounded, shares in [0, 1]."""
        cells = [
            {key: value for column in COLUMNS for key, value in column.plain(row).items()} for row in self.board.rows
        ]
        return pd.DataFrame(cells, index=pd.RangeIndex(1, len(cells) + 1, name="rank"))

    @property
    def recommended(self) -> str:
        """The name of the recommended entrant."""
        return self.board.recommended.entrant.name

    @property
    def figures(self) -> list[str]:
        """Names for `figure`, as the files in results/ have them."""
        return [picture.name for picture in pictures_of(self.board)]

    def figure(self, name: str) -> Picture:
        """One of the page's figures. Raises UnknownNameError."""
        return Picture(figure_of(self.board, name))

    def _repr_html_(self) -> str:
        columns = columns_of(Section.SHORT)
        shown = pd.DataFrame(
            [[column.text(row) for column in columns] for row in self.board.rows],
            columns=[column.heading() for column in columns],
            index=range(1, len(self.board.rows) + 1),
        )
        html: str = shown.to_html(escape=True)
        return html


@dataclass(frozen=True, eq=False)
class Mistakes:
    """What an entrant gets wrong, alone and beside another: tables as data frames, and pictures of the images."""

    found: EntrantMistakes
    images: StudyImages

    @property
    def by_class(self) -> pd.DataFrame:
        """Precision, recall and F1 in [0, 1], and numbers of images, a row per class.

        Beside another entrant also how many of its mistakes are repaired, and how many are made instead.
        """
        scores, beside = self.found.scores, self.found.beside
        columns = {"precision": scores.precision, "recall": scores.recall, "f1": scores.f1, "images": scores.support}
        if beside is not None:
            columns |= {"repaired": beside.repairs.by_class.repaired, "broken": beside.repairs.by_class.broken}
        return pd.DataFrame(columns, index=pd.Index(self.found.classes, name="class"))

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts (K, K): a row per label, a column per predicted class."""
        names = pd.Index(self.found.classes, name="label")
        return pd.DataFrame(self.found.confusion, index=names, columns=self.found.classes)

    @property
    def pairs(self) -> pd.DataFrame:
        """The most confused pairs of classes, with the share of the label's images."""
        classes = self.found.classes
        rows = [(classes[one.label], classes[one.predicted], one.count, one.share) for one in self.found.pairs]
        return pd.DataFrame(rows, columns=["label", "predicted", "count", "share"])

    @property
    def repairs(self) -> pd.DataFrame:
        """Mistakes of the other that are repaired, and those that are made instead: at most `count` of either.

        Rows are numbers in the published part, confidences those of whoever is wrong, after temperature.
        """
        found, beside = self.found, self.found.beside
        outcomes = () if beside is None else (("repaired", beside.repaired), ("broken", beside.broken))
        rows = [
            (outcome, found.numbers[one.row], found.classes[one.label], found.classes[one.predicted], one.confidence)
            for outcome, mistakes in outcomes
            for one in mistakes
        ]
        return pd.DataFrame(rows, columns=["outcome", "row", "label", "predicted", "confidence"])

    def most_confident(self) -> Image | None:
        """The most confident mistakes as one picture; None where there is none."""
        return mistakes_picture(self.found, self.images)

    def confused_pairs(self) -> Image | None:
        """Examples of the most confused pairs as one picture; None where there is none."""
        return pairs_picture(self.found, self.images)

    def repaired_and_broken(self) -> Image | None:
        """What is repaired beside the other and what is broken, as one picture; None where there is neither."""
        return repairs_picture(self.found, self.images)

    def _repr_html_(self) -> str:
        html: str = self.by_class.to_html(float_format=lambda share: f"{share:.3f}")
        return html
