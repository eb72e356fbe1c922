"""Everything that a report shows, gathered from a study's store as plain values; knows no markup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.datasets import Say
from benchmark.family_studies import family_studies
from benchmark.leaderboard import Leaderboard
from benchmark.records import Entrant, Split
from benchmark.report.chart import Chart
from benchmark.report.entrants import EntrantView, entrant_views
from benchmark.report.families import FamilyView, family_views
from benchmark.report.missing import Missing
from benchmark.report.pictures import DataView, Evidence, data_view, evidence_of, thumbnails
from benchmark.report.search import MOST_TRIALS, curves_chart, looks_by_family, progress_charts, shown_trials
from benchmark.report.standing import Standing, standing_of
from benchmark.report.training import Training, training_of
from benchmark.store import StudyStore
from benchmark.study import leaderboard_of
from benchmark.study_data import StudyImages


@dataclass(frozen=True)
class Pictures:
    """Whatever needs the images themselves."""

    thumbnails: Mapping[int, str]
    """By row of test, as data URIs."""
    evidence: Evidence | Missing
    data: DataView


@dataclass(frozen=True, eq=False)
class Report:
    """A study in parts; `Missing` where there is nothing to show one of."""

    board: Leaderboard
    standing: Standing
    looks: Mapping[str, int]
    """Families and the indices of their looks."""
    progress: tuple[Chart, ...] | Missing
    curves: Chart | Missing
    families: tuple[FamilyView, ...]
    training: Training | Missing
    left_out: int
    """Trials that no chart shows, for their number."""
    entrants: tuple[EntrantView, ...]
    pictures: Pictures | Missing


def make_report(store: StudyStore, images: StudyImages | Missing, say: Say = lambda _: None) -> Report:
    """Gather a report; without `images` it is one without pictures. Raises BenchError without a complete trial."""
    board = leaderboard_of(store)
    trials = shown_trials(board.trials)
    looks = looks_by_family(board.trials)
    labels = store.labels(Split.TEST)
    entrants = entrant_views(board, labels)
    importances = {one.family: one for one in board.importances}
    unreported = Missing("No trial has reported while it trained.")
    return Report(
        board=board,
        standing=standing_of(board),
        looks=looks,
        progress=progress_charts(board.trials, looks) or Missing("No complete trial is known by its time."),
        curves=curves_chart(trials, looks) or unreported,
        families=family_views(board.summary.families, family_studies(store), importances, looks, MOST_TRIALS),
        training=training_of(trials, store.curves(), len(board.winner.classes)) or unreported,
        left_out=len(board.trials) - len(trials),
        entrants=entrants,
        pictures=images if isinstance(images, Missing) else _pictures(store, board, entrants, images, say),
    )


def _pictures(
    store: StudyStore, board: Leaderboard, entrants: Sequence[EntrantView], images: StudyImages, say: Say
) -> Pictures:
    test = images.images(Split.TEST)
    return Pictures(
        thumbnails=thumbnails(test, _rows(board, entrants)),
        evidence=evidence_of(store, _to_explain(board), images),
        data=data_view(store, images, say),
    )


def _to_explain(board: Leaderboard) -> list[Entrant]:
    """The recommended entrant; the smallest not told from it; the best single model: the first that can be asked."""
    by_name = {row.entrant.name: row.entrant for row in board.rows}
    as_good = board.winner.name if board.recommendation is None else board.recommendation.smallest
    names = (board.winner.name, as_good, board.best_single.entrant.name)
    return [by_name[name] for name in dict.fromkeys(names)]


def _rows(board: Leaderboard, entrants: Sequence[EntrantView]) -> Iterator[int]:
    """Rows of test that are worth a thumbnail, those of the recommended entrant first."""
    for view in sorted(entrants, key=lambda view: view.row.entrant.name != board.winner.name):
        yield from (pair.rows[0] for pair in view.pairs)
        beside = () if view.beside is None else (*view.beside.repaired, *view.beside.broken)
        yield from (mistake.row for mistake in (*view.mistakes, *beside))
