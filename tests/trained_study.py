"""A study whose trials were really trained, for a moment, and whose weights are kept: for what asks networks again."""

from __future__ import annotations

from pathlib import Path

from filled_study import spec

from benchmark.artifacts import Artifacts
from benchmark.records import Cost, Predictions, Split, TrialConfig, as_jsonable
from benchmark.sampling import PerFamilySampler
from benchmark.search.keeping import FileKeeper
from benchmark.search.suggesting import configure
from benchmark.space import Space
from benchmark.store import Claim, StudyLocation, StudyStore
from benchmark.study import ensembles_of, note_command, open_for_search, place_of_files, set_total
from benchmark.training import TrainingRun, predict, weights_to_bytes
from benchmark.workers import WorkerSetup
from benchmark.workers.child import load_data


def train_study(root: Path, name: str = "tiny", trials: int = 4, *, ensembles: bool = True) -> StudyStore:
    """A study of digits in `root` with so many complete trials of `cnn` and `vgg`, the defaults first.

    Every trial trains one epoch on one thread: about a second.
    """
    given = spec(name)
    store = open_for_search(given, StudyLocation(name, root), None, lambda _: None)
    set_total(store, trials)
    note_command(store, f"bench search {name}")
    space = Space(given)
    sampler = PerFamilySampler(space, "random", given.seed)
    store.study.sampler = sampler
    place = place_of_files(store)
    keeper, artifacts = FileKeeper(store, place, given.search), Artifacts(place)
    data = load_data(WorkerSetup("digits", None, given.split.val, given.split.seed, "cpu", 1))
    for _ in range(trials):
        configs: list[TrialConfig] = []

        def prepare(claim: Claim, configs: list[TrialConfig] = configs) -> None:
            configs.append(configure(claim, space, sampler))

        claim = store.queue.claim(trials, prepare)
        assert isinstance(claim, Claim)
        (config,) = configs
        weights, _ = keeper.announce(claim.trial.number)
        run, curve = TrainingRun(config, data), []
        run.open()
        for record in run.reports():
            curve.append(as_jsonable(record))
            store.queue.report(claim.trial, record.step, record.val_accuracy)
        trained = run.trained()
        val, test = (
            predict(trained.model, data, part, views=config.views, precision=config.precision).cpu().numpy()
            for part in (data.val, data.test)
        )
        keeper.note(claim.trial.number, artifacts.write(weights, weights_to_bytes(trained.model)))
        predictions = (Predictions(Split.VAL, val), Predictions(Split.TEST, test))
        accuracy = float((val.argmax(axis=1) == store.labels(Split.VAL)).mean())
        cost = Cost(sum(one.numel() for one in trained.model.parameters()), 1000, trained.train_seconds, 0.1, None, 0.2)
        assert store.queue.complete(
            claim.trial, accuracy, predictions, {"cost": cost, "device": "a processor", "curve": curve}
        )
    if ensembles:
        ensembles_of(store)
    return store
