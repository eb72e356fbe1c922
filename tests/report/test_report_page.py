"""The page itself, parsed: everything is on it, nothing on it is taken for markup, and it needs nothing beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from page_tree import Element, parsed
from reported_study import noise, planted

from benchmark.columns import COLUMNS
from benchmark.errors import BenchError
from benchmark.figures.style import look
from benchmark.report import MOST_BYTES, Missing, Report, make_report, to_html, write_report
from benchmark.report.looks import page_look
from benchmark.report.making import Pictures
from benchmark.report.pictures import MOST_SHEET_BYTES, MOST_THUMBNAIL_BYTES, DataView, Evidence, Explained, data_uri
from benchmark.store import StudyStore
from benchmark.study import leaderboard_of
from benchmark.tiles import thumbnail_png

NASTY = "<b>&\"'</b><script>alert(1)</script>{{ 7*7 }}"
SECTIONS = ("leaderboard", "search", "training", "entrants", "evidence", "data", "origin")
LOADING = {"src", "href", "srcset", "data", "poster", "action", "background"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> StudyStore:
    return planted(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="module")
def report(store: StudyStore) -> Report:
    return make_report(store, Missing("they were left out."))


@pytest.fixture(scope="module")
def page(report: Report) -> Element:
    return parsed(to_html(report))


@pytest.fixture(scope="module")
def pictured(report: Report) -> Report:
    """The report with pictures of noise for every row that it shows."""
    uri = data_uri(thumbnail_png(noise(32, 32), 32))
    rows = {mistake.row for view in report.entrants for mistake in view.mistakes}
    explained = Explained(3, 1, 2, 0.5, uri, uri)
    pictures = Pictures(
        dict.fromkeys(sorted(rows), uri),
        Evidence("an entrant", "The map has 4 x 4 places.", (explained,)),
        DataView(("Identical images: 2 groups.", "- within train 1 pair"), uri, uri, ("Suspect labels:",), uri),
    )
    return replace(report, pictures=pictures)


def test_every_part_is_there_and_can_be_reached(page: Element) -> None:
    assert [one.attributes["id"] for one in page.one("main").all("section")] == list(SECTIONS)
    links = [one.attributes["href"] for one in page.one("nav").all("a")]
    assert links == [f"#{name}" for name in SECTIONS]
    assert page.one("a", class_="skip").attributes["href"] == "#main"


def test_ids_are_unique_and_every_link_leads_somewhere(page: Element) -> None:
    ids = [one.attributes["id"] for one in page.everything() if "id" in one.attributes]
    assert len(set(ids)) == len(ids)
    for one in page.everything():
        target = one.attributes.get("href", "")
        if target.startswith("#"):
            assert target[1:] in ids
        if "for" in one.attributes:
            assert one.attributes["for"] in ids


def test_the_verdict_says_what_the_leaderboard_says(report: Report, page: Element) -> None:
    verdict = page.one("p", class_="verdict").text
    best = report.board.recommended
    assert report.board.winner.name in verdict
    assert f"{100 * best.test.accuracy.value:.2f} %" in verdict
    assert f"{100 * best.test.accuracy.low:.2f}–{100 * best.test.accuracy.high:.2f}" in verdict
    assert "points beyond the best single model" in verdict


def test_the_leaderboard_has_all_columns_with_a_value_and_all_rows_in_order(report: Report, page: Element) -> None:
    columns = [column for column in COLUMNS if column.is_known(report.board.rows)]
    assert "latency_ms" not in {column.key for column in columns}
    table = page.one("div", class_="screen").one("table")
    heads = [one.text for one in table.one("thead").all("th")]
    assert heads[0] == "#"
    assert [head for head in heads[1:] if head != "on one scale"] == [column.heading() for column in columns]
    rows = table.one("tbody").all("tr")
    assert [row.one("th").one("a").text for row in rows] == [row.entrant.name for row in report.board.rows]
    for row, shown in zip(report.board.rows, rows, strict=True):
        cells = [one.text for one in shown.all("td") if "picture" not in one.classes]
        assert cells[1:] == [" ".join(column.text(row).split()) for column in columns[1:]]
    (best,) = [row for row in rows if "best" in row.classes]
    assert best.one("span", class_="badge").text == "recommended"


def test_numbers_are_aligned_and_sort_by_their_value(report: Report, page: Element) -> None:
    table = page.one("div", class_="screen").one("table")
    heads = table.one("thead").all("th")
    for number, head in enumerate(heads):
        for row in table.one("tbody").all("tr"):
            cell = row.all("td") and [one for one in row.children if isinstance(one, Element)][number]
            assert isinstance(cell, Element)
            assert ("number" in cell.classes) == ("number" in head.classes)
            if "number" in head.classes and cell.attributes["data-sort"]:
                float(cell.attributes["data-sort"])
    (sorted_by,) = [head for head in heads if "aria-sort" in head.attributes]
    assert sorted_by.text == "Val. acc. %"
    values = [float(row.all("td")[3].attributes["data-sort"]) for row in table.one("tbody").all("tr")]
    assert values == sorted(values, reverse=True)


def test_every_heading_that_sorts_is_a_button(page: Element) -> None:
    for table in page.all("table", class_="sortable"):
        for head in table.one("thead").all("th"):
            assert len(head.all("button")) == 1 or "picture" in head.classes


def test_every_entrant_can_be_chosen_and_has_its_part(report: Report, page: Element) -> None:
    options = page.one("select", id="entrant").all("option")
    articles = page.all("article", class_="entrant")
    assert [one.attributes["value"] for one in options] == [one.attributes["id"] for one in articles]
    for row, option, article in zip(report.board.rows, options, articles, strict=True):
        assert row.entrant.name in option.text
        assert article.one("h3").text.startswith(row.entrant.name)
        for heading in ("Confusion", "Reliability", "Class by class", "Most confused", "Most confident mistakes"):
            assert heading in [one.text for one in article.all("h4")]
    chosen = [one for one in options if "selected" in one.attributes]
    assert [report.board.winner.name in one.text for one in chosen] == [True]


def test_every_trial_is_told_with_its_state(report: Report, page: Element) -> None:
    table = next(one for one in page.one("section", id="search").all("table", class_="sortable"))
    rows = table.one("tbody").all("tr")
    assert [row.all("td")[0].text for row in rows] == [str(trial.number) for trial in report.board.trials]
    assert [row.all("td")[1].text for row in rows] == [str(trial.state) for trial in report.board.trials]
    assert "out of memory" in table.text
    options = page.one("select", id="trial").all("option")
    assert [one.attributes["value"] for one in options] == [str(trial.number) for trial in report.board.trials]


def test_only_the_best_trials_training_is_shown_at_first(report: Report, page: Element) -> None:
    section = page.one("section", id="training")
    shown = {one.attributes["data-run"] for one in section.everything() if "data-run" in one.attributes}
    visible = {
        one.attributes["data-run"]
        for one in section.everything()
        if "data-run" in one.attributes and "hidden" not in one.attributes
    }
    best = max(report.board.trials, key=lambda trial: trial.val_accuracy or 0)
    assert shown == {str(trial.number) for trial in report.board.trials}
    assert visible == {str(best.number)}


def test_families_can_be_filtered_without_a_script(report: Report, page: Element) -> None:
    style = page.one("style").text
    for family, index in report.looks.items():
        box = page.one("input", id=f"family-{index}")
        assert box.attributes["type"] == "checkbox"
        assert f".search:has(#family-{index}:not(:checked)) .filtered .k{index}" in style
        assert family in page.one("fieldset", class_="chips").text


def test_looks_are_those_of_figures(page: Element) -> None:
    style = page.one("style").text
    for index in range(20):
        found = page_look(index)
        assert found.color == look(index).color
    assert f"light-dark({look(0).color}, color-mix(in oklab, {look(0).color} 78%, white))" in style
    assert "light-dark(#000000, #FFFFFF)" in style


def test_every_chart_is_named_and_says_what_its_marks_are(page: Element) -> None:
    plots = page.all("svg", class_="plot")
    assert len(plots) > 10
    for plot in plots:
        assert plot.attributes["role"] == "img"
        assert plot.attributes["aria-label"]
        for mark in (*plot.all("polyline"), *plot.all("use"), *plot.all("rect")):
            assert mark.one("title").text
        assert not re.search(r"\b(nan|inf)\b", " ".join(str(one.attributes) for one in plot.everything()))


def test_nothing_is_loaded_from_anywhere(pictured: Report) -> None:
    page = to_html(pictured)
    for one in parsed(page).everything():
        for name in LOADING & set(one.attributes):
            assert one.attributes[name].startswith(("#", "data:")), (one.tag, one.attributes[name])
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", page)
    policy = parsed(page).one("meta", http_equiv="Content-Security-Policy").attributes["content"]
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_only_the_pages_own_script_runs(report: Report) -> None:
    import base64
    import hashlib

    page = to_html(report)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert not any(name.startswith("on") for one in parsed(page).everything() for name in one.attributes)


def test_names_are_shown_as_they_are_wherever_they_stand(tmp_path: Path) -> None:
    store = planted(tmp_path, ensembles=False)
    store.set_fact("classes", [NASTY, *map(str, range(1, 10))])
    board = leaderboard_of(store)
    ensemble = replace(board.rows[0].entrant, name=NASTY, kind="ensemble", members=(0, 1), weights=(0.5, 0.5))
    store.save_ensembles([ensemble])
    store.add_to_fact("commands", f"bench search {NASTY}")
    found = make_report(store, Missing(f"the data set {NASTY} is not here."))
    trials = tuple(replace(trial, reason=NASTY) for trial in found.board.trials)
    page = parsed(to_html(replace(found, board=replace(found.board, trials=trials))))
    assert len(page.all("script")) == 1
    assert "alert(1)" not in page.one("script").text
    expected = " ".join(NASTY.split())
    article = next(one for one in page.all("article") if one.one("h3").text.startswith(expected))
    assert expected in [one.text for one in article.one("table", class_="matrix").all("th")]
    assert expected in [one.text for one in article.all("table", class_="sortable")[0].all("th")]
    for where in (page.one("section", id="search"), page.one("section", id="data"), page.one("section", id="origin")):
        assert expected in where.text
    assert expected in page.one("select", id="entrant").text


def test_the_same_study_gives_the_same_page(store: StudyStore, report: Report) -> None:
    assert to_html(make_report(store, Missing("they were left out."))) == to_html(report)


def test_what_is_missing_is_said_with_its_reason(report: Report, page: Element) -> None:
    for section in ("entrants", "evidence", "data"):
        assert "they were left out." in page.one("section", id=section).text
    bare = replace(
        report, progress=Missing("no progress."), curves=Missing("no curves."), training=Missing("no training.")
    )
    text = parsed(to_html(bare)).one("main").text
    for reason in ("no progress.", "no curves.", "no training."):
        assert reason in text


def test_thumbnails_are_on_the_page_once_each_and_say_what_they_show(pictured: Report) -> None:
    page = parsed(to_html(pictured))
    assert not isinstance(pictured.pictures, Missing)
    images = page.one("svg", class_="defs").all("image")
    assert len(images) == len(pictured.pictures.thumbnails)
    thumbs = page.all("svg", class_="thumb")
    assert len(thumbs) > len(images)
    assert all(one.attributes["aria-label"].startswith("test image ") for one in thumbs)
    for image in page.all("img"):
        assert image.attributes["alt"]


def test_a_hundred_trials_with_all_pictures_are_below_the_limit(tmp_path: Path) -> None:
    report = make_report(planted(tmp_path, trials=100, ensembles=False), Missing("none."))
    assert len(report.board.trials) > 100
    entrants = (report.entrants * 30)[:30]
    thumbnails = {row: data_uri(bytes(6900)) for row in range(MOST_THUMBNAIL_BYTES // 9222)}
    sheet = data_uri(bytes(MOST_SHEET_BYTES))
    large = data_uri(thumbnail_png(noise(32, 32), 32))
    explained = tuple(Explained(row, 0, 1, 0.5, large, large) for row in range(8))
    pictures = Pictures(thumbnails, Evidence("it", "", explained), DataView((), sheet, sheet, (), sheet))
    assert len(to_html(replace(report, entrants=entrants, pictures=pictures)).encode()) < MOST_BYTES


def test_a_page_that_is_too_large_is_not_written(report: Report, tmp_path: Path) -> None:
    sheet = "data:image/png;base64," + "A" * MOST_BYTES
    pictures = Pictures({}, Missing("none."), DataView((), sheet, None, (), None))
    with pytest.raises(BenchError, match=r"would have 10\.\d MB, more than 10; leave the pictures out: --no-images"):
        write_report(replace(report, pictures=pictures), tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_page_that_would_be_too_large_has_fewer_thumbnails(report: Report, tmp_path: Path) -> None:
    thumbnails = {row: data_uri(bytes([row]) * 1_000_000) for row in range(10)}
    pictures = Pictures(thumbnails, Missing("none."), DataView((), "", None, (), None))
    path = write_report(replace(report, pictures=pictures), tmp_path / "results")
    page = path.read_text(encoding="utf-8")
    assert [f'id="image-{row}"' in page for row in range(10)] == [True] * 7 + [False] * 3
    assert 0.9 * MOST_BYTES < len(page.encode()) <= MOST_BYTES


def test_it_is_written_under_the_studys_name(report: Report, tmp_path: Path) -> None:
    path = write_report(report, tmp_path / "results")
    assert path == tmp_path / "results" / "tiny.html"
    assert path.read_text(encoding="utf-8") == to_html(report)
