"""One study as a notebook or a script works with it: each method is the command of the same name; decides nothing."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console

from benchmark.confirmation import ConfirmSpec
from benchmark.corruptions import SEVERITIES
from benchmark.definition import check_study_name, load_study
from benchmark.ensemble import EnsembleSpec
from benchmark.errors import BenchError
from benchmark.evaluation import (
    USUAL_ENTRANTS,
    load_entrants,
    predict_again,
    predict_corrupted,
    report_corruptions,
    rows_to_ask,
)
from benchmark.explain import ShownImages, exhibits_of, explain, telling_rows
from benchmark.figures import evidence_figure, trial_curves
from benchmark.importance import importances
from benchmark.inference import load_entrant, load_study_data
from benchmark.label_check import SUSPECT_COLUMNS, check_labels, in_rows
from benchmark.leaderboard import draw, write, write_index
from benchmark.local import search_here
from benchmark.mistakes import mistakes_of, other_of
from benchmark.notebook.data import Data
from benchmark.notebook.views import Board, Mistakes, Picture
from benchmark.records import ProgressRecord, Split, count_complete, deciding
from benchmark.report import make_report, write_report
from benchmark.robustness import MadeImages, note_accuracies
from benchmark.store import StudyLocation, StudyStore, open_study
from benchmark.study import (
    ensembles_of,
    find_entrant,
    leaderboard_of,
    note_command,
    note_scored,
    open_for_search,
    open_to_confirm,
    set_total,
)
from benchmark.study_data import StudyImages, load_study_images
from benchmark.temperature import apply_temperature, temperature_of
from benchmark.trial_report import TrialReport
from benchmark.workers import devices


class Study:
    """One study of a folder: its definition, its trials, and all that is made of them.

    `name` is a shipped study (cifar10, cifar10-cpu, digits) or one of `root`/studies; `storage` a database URL instead
    of the study's SQLite file; `data` a folder with a copy of the data set.
    """

    def __init__(
        self, name: str, root: Path | str = ".", *, storage: str | None = None, data: Path | str | None = None
    ) -> None:
        self._location = StudyLocation(check_study_name(name), Path(root), storage)
        self._data = None if data is None else Path(data)
        self._console = Console()

    @property
    def name(self) -> str:
        """The study's name."""
        return self._location.name

    @property
    def store(self) -> StudyStore:
        """The study's database, to read what has no method here. Raises MissingStudyError before the first search."""
        return open_study(self._location, to_read=True)

    def data(self) -> Data:
        """The study's data set, with validation as a part of its own. See bench data show --study."""
        images = self._images()
        return Data(images.dataset, images.rows)

    def search(
        self, trials: int | None = None, *, timeout: float | None = None, workers: int | None = None
    ) -> pd.DataFrame:
        """Search until the study has `trials` in total, or for `timeout` seconds; all trials. See bench search."""
        spec = load_study(self.name, self._location.root)
        store = open_for_search(spec, self._location, self._data, self._say)
        total = trials or spec.search.trials
        set_total(store, total)
        note_command(store, self._call("search", total, timeout=timeout, workers=workers))
        search_here(
            spec, store, devices(), self._console, workers=workers, total=total, timeout=timeout, data=self._data
        )
        return self.trials

    def confirm(
        self,
        top: int = 5,
        seeds: int = 3,
        *,
        epochs: float | None = None,
        train_on: str = "train",
        workers: int | None = None,
    ) -> Board:
        """Train the best models again with other seeds; the leaderboard. See bench confirm."""
        store = open_study(self._location)
        asked = ConfirmSpec(top, seeds, epochs=epochs, train_on=train_on)
        spec, part, plan = open_to_confirm(store, asked, self._data, self._say)
        note_command(store, self._call("confirm", top, seeds, epochs=epochs, train_on=train_on, workers=workers))
        search_here(spec, part, devices(), self._console, workers=workers, data=self._data, plan=plan)
        return self.leaderboard()

    def ensemble(self, top: int | None = None, **options: Any) -> Board:
        """Build ensembles of the stored models; the leaderboard with them. `options` are fields of EnsembleSpec."""
        store = open_study(self._location)
        most = max(2, count_complete(store.trials()))
        wanted = EnsembleSpec(top or min(EnsembleSpec.top, most), **options)
        ensembles_of(store, None if top is None and not options else wanted)
        note_command(store, self._call("ensemble", top=top, **options))
        return self.leaderboard()

    def _call(self, method: str, *given: Any, **options: Any) -> str:
        """A call as it would be written, without options that are None."""
        named = [f"{name}={value!r}" for name, value in options.items() if value is not None]
        return f"Study({self.name!r}).{method}({', '.join([*map(repr, given), *named])})"

    def leaderboard(self, *, written: bool = False) -> Board:
        """Everything ranked and scored; `written` also writes the page's files and figures. See bench leaderboard."""
        board = leaderboard_of(self.store)
        if written:
            write(board, self._results)
            draw(board, self._results)
            write_index(self._results)
        return Board(board)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial, under its number: state, scores, costs, and a column for every parameter."""
        facts = (
            "state",
            "family",
            "is_default",
            "val_accuracy",
            "seconds",
            "train_seconds",
            "peak_memory_bytes",
            "reason",
            "device",
        )
        trials = self.store.trials_to_show()
        rows = [{key: getattr(trial, key) for key in facts} | dict(trial.parameters) for trial in trials]
        return pd.DataFrame(rows, index=pd.Index([trial.number for trial in trials], name="trial")).convert_dtypes()

    def curve(self, number: int) -> pd.DataFrame:
        """The reports of one trial, one row each, as records.ProgressRecord has them. Raises BenchError."""
        reports = self.store.trial(number).curve
        names = [field.name for field in dataclasses.fields(ProgressRecord)]
        return pd.DataFrame([vars(report) for report in reports], columns=names).set_index("step")

    def draw_curve(self, number: int) -> Picture:
        """Losses, accuracy and learning rate of one trial while it trained. Raises BenchError. See bench trial."""
        store = self.store
        report = TrialReport(self.name, "", store.trial(number), store.fact("rows")["train"])
        if not report.trial.curve:
            raise BenchError(f"no curve of trial {number} is stored")
        return Picture(trial_curves(report.trial, epoch_images=report.epoch_images, subject=report.subject))

    def importances(self) -> pd.DataFrame:
        """Share of the variance of validation accuracy that each parameter explains, by family."""
        found = [
            {"family": family, "parameter": name, "share": share, "chance": of_family.chance}
            for family, of_family in importances(self.store).items()
            for name, share in of_family.shares.items()
        ]
        return pd.DataFrame(found, columns=["family", "parameter", "share", "chance"])

    def mistakes(
        self, entrant: str = "recommended", against: str | None = None, *, split: str = "test", count: int = 12
    ) -> Mistakes:
        """What an entrant gets wrong, with images, and what it repairs beside another. See bench mistakes.

        The other one is by default the best single model, where the entrant is an ensemble.
        """
        store, images, part = self.store, self._images(), Split(split)
        chosen = find_entrant(store, entrant)
        other = other_of(chosen, against, partial(find_entrant, store))
        found = mistakes_of(chosen, other, images, split=part, count=count)
        if part is Split.TEST:
            note_scored(store, [one.test for one in (chosen, other) if one is not None])
        return Mistakes(found, images)

    def suspects(self) -> pd.DataFrame:
        """Labels of validation and test that the study's models contradict, the most suspicious first.

        Rows are numbers in the published part; probabilities and agreement are shares. See bench data show --study.
        """
        dataset = self._images().dataset
        rows = in_rows(check_labels(self.store, dataset), dataset.classes)
        return pd.DataFrame(rows, columns=list(SUSPECT_COLUMNS))

    def evaluate(self, *entrants: str, images: int | None = None, device: str = "auto") -> pd.DataFrame:
        """What stored networks say of test images now, beside what is stored; a row per entrant. See bench evaluate.

        Without names: the recommended entrant and the best single model. On a CPU of 2,000 images, if not told.
        """
        store = self.store
        data = load_study_data(store, device, self._data, self._say)
        loaded = load_entrants(store, entrants or USUAL_ENTRANTS, data)
        found = predict_again(loaded, data, rows_to_ask(data, images), lambda _: None)
        return pd.DataFrame([vars(one) for one in found]).set_index("entrant")

    def corruptions(
        self, *entrants: str, images: int | None = None, seed: int = 0, device: str = "auto"
    ) -> pd.DataFrame:
        """Accuracy of entrants on corrupted test images, a row per corruption and severity, a column per entrant.

        The leaderboard has their means from then on. See bench evaluate --corruptions, which also writes a page.
        """
        store = self.store
        data = load_study_data(store, device, self._data, self._say)
        made = MadeImages(data.dataset.test, rows_to_ask(data, images), seed)
        loaded = load_entrants(store, [*(entrants or USUAL_ENTRANTS), "best"], data)
        answers = predict_corrupted(loaded, data, made, lambda _: None)
        said = f"Study({self.name!r}).corruptions({', '.join(map(repr, entrants))})"
        report = report_corruptions(store, loaded, data, made, answers, said)
        if store.is_writable:
            note_command(store, said)
            note_accuracies(store, [one.entrant for one in loaded], report)
        places = pd.MultiIndex.from_product([report.corruptions, SEVERITIES], names=["corruption", "severity"])
        return pd.DataFrame({one.entrant: one.accuracy.ravel() for one in report.scores}, index=places)

    def explain(
        self,
        entrant: str = "recommended",
        *,
        count: int = 8,
        pixels: NDArray[np.uint8] | None = None,
        device: str = "auto",
    ) -> Picture:
        """Which places of an image spoke for what the entrant says of it, by Grad-CAM. See bench explain.

        Of `count` telling test images, or of `pixels` uint8 (N, H, W, C) of the study's size.
        """
        store = self.store
        chosen = find_entrant(store, entrant)
        data = load_study_data(store, device, self._data, self._say)
        temperature = temperature_of(deciding(chosen.val), store.labels(Split.VAL))
        if pixels is None:
            note_scored(store, [chosen.test])
            stated = apply_temperature(chosen.test.log_probs, temperature)
            rows = telling_rows(stated, store.labels(Split.TEST), count)
            shown = ShownImages.of_rows(data, Split.TEST, rows.tolist())
        else:
            sources = tuple(f"image {number}" for number in range(len(pixels)))
            shown = ShownImages(pixels, sources, (None,) * len(pixels))
        loaded = load_entrant(store, chosen, data.on_device)
        explanation = explain(loaded, shown.pixels, temperature=temperature)
        exhibits, headings = exhibits_of(explanation, loaded, shown, store.fact("classes"))
        subject = f"{self.name}, {chosen.name}"
        return Picture(evidence_figure(exhibits, headings, about="the predicted class", subject=subject))

    def predict(self, pixels: NDArray[np.uint8], entrant: str = "recommended", *, device: str = "auto") -> pd.DataFrame:
        """Probabilities of images, one row each and one column per class, by a stored entrant.

        `pixels`: uint8 (N, H, W, C) of the size that the study's images have, which `image_size` may have made smaller.
        """
        store = self.store
        data = load_study_data(store, device, self._data, self._say)
        loaded = load_entrant(store, find_entrant(store, entrant), data.on_device)
        return pd.DataFrame(np.exp(loaded.log_probs(pixels)), columns=store.fact("classes"))

    def report(self) -> Path:
        """Write results/NAME.html, the whole study on one page; its path. See bench report."""
        return write_report(make_report(self.store, self._images(), self._say), self._results)

    @property
    def _results(self) -> Path:
        return self._location.root / "results"

    def _images(self) -> StudyImages:
        return load_study_images(self.store, self._data, self._say)

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False, highlight=False)
