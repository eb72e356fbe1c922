"""Training: exact by seed, within its budget, best weights, and blind to the test part."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_runs import CONFIG, assert_same_run, halves, run, same_weights, to_the_end
from torch import Tensor, nn

from benchmark.errors import BenchError
from benchmark.records import Budget, Choice
from benchmark.training import BatchStream, DeviceData, DivergedError, Stepper, TrainingRun, loop, predict

MUON = Choice("muon", {"lr": 0.1, "momentum": 0.6})
NONE, EMA = Choice("none"), Choice("ema", {"decay": 0.5})


@pytest.fixture(scope="module")
def data() -> DeviceData:
    return halves(8)


@pytest.fixture(scope="module")
def growing() -> DeviceData:
    """Images with room to grow: 12 x 12 pixels."""
    return halves(12)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"architecture": Choice("cnn", {"variant": "whitening", "width": 16}), "optimizer": MUON, "averaging": EMA},
        {"averaging": Choice("lookahead"), "start_size": 0.5},
        {"optimizer": Choice("adamw"), "schedule": Choice("cosine"), "clip_norm": 1.0, "label_smoothing": 0.1},
    ],
)
def test_same_seed_same_result(growing: DeviceData, change: dict[str, Any]) -> None:
    config = replace(CONFIG, **change)
    assert_same_run(run(config, growing), run(config, growing))


def test_another_seed_another_result(data: DeviceData) -> None:
    assert not same_weights(run(CONFIG, data)[1].model, run(replace(CONFIG, seed=6), data)[1].model)


@pytest.mark.parametrize(
    ("epochs", "images", "steps"), [(2, 128, [2, 4, 6, 8]), (0.5, 32, [1, 2]), (1.3, 83, [1, 2, 4, 5]), (0.01, 1, [1])]
)
def test_a_budget_in_epochs_is_whole_batches(data: DeviceData, epochs: float, images: int, steps: list[int]) -> None:
    config = replace(CONFIG, budget=Budget(epochs=epochs))
    assert TrainingRun(config, data).open() == images
    records, trained = run(config, data)
    assert [record.images_seen // 16 for record in records] == steps
    assert [record.step for record in records] == list(range(1, len(steps) + 1))
    assert trained.images_seen == 16 * steps[-1]
    assert trained.train_seconds == records[-1].train_seconds > 0


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_run_of_one_step_learns(data: DeviceData, schedule: str) -> None:
    """A schedule may begin at a rate of 0, and this run has no other step."""
    choice = Choice(schedule, {"warmup": 0.1})
    config = replace(CONFIG, schedule=choice, averaging=Choice("none"), start_size=1.0, budget=Budget(epochs=0.01))
    (record,), _ = run(config, data)
    assert record.learning_rate > 0


def test_learns_what_can_be_learned(data: DeviceData) -> None:
    records, _ = run(replace(CONFIG, augmentations=(), budget=Budget(epochs=10)), data)
    assert records[-1].train_loss < 0.5 * records[0].train_loss
    assert max(record.val_accuracy for record in records) > 0.8


@pytest.mark.parametrize("accumulation", [1, 2])
def test_training_accuracy_is_that_of_the_batches_of_the_report(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch, accumulation: int
) -> None:
    config = replace(CONFIG, accumulation=accumulation, augmentations=(Choice("mixup"),))
    running = TrainingRun(config, data)
    running.open()
    logits: list[Tensor] = []
    targets: list[Tensor] = []

    def noted_batch(stream: object) -> tuple[Tensor, Tensor]:
        images, of_batch = batch(stream)
        targets.append(of_batch)
        return images, of_batch

    def note_logits(model: nn.Module, inputs: object, output: Tensor) -> None:
        if model.training:
            logits.append(output.detach())

    batch = BatchStream.__next__
    monkeypatch.setattr(BatchStream, "__next__", noted_batch)
    running.stepper.model.register_forward_hook(note_logits)
    for record in running.reports():
        right = torch.cat(logits).argmax(1) == torch.cat(targets).argmax(1)
        assert len(logits) == accumulation * len(targets)
        assert record.train_accuracy == pytest.approx(right.float().mean().item())
        logits.clear()
        targets.clear()


def test_the_rate_follows_the_schedule(data: DeviceData) -> None:
    config = replace(CONFIG, schedule=Choice("linear", {"warmup": 0.0}))
    # Reports follow steps 2, 4, 6 and 8 of 8; the last step of each was taken at shares 1/8, 3/8, 5/8 and 7/8.
    assert [record.learning_rate for record in run(config, data)[0]] == pytest.approx(
        [0.1 * share / 8 for share in (7, 5, 3, 1)]
    )


@pytest.mark.parametrize("start_size", [0.5, 1.0])
@pytest.mark.parametrize("averaging", [NONE, EMA, Choice("lookahead", {"decay": 0.9})])
@pytest.mark.parametrize("seconds", [0.001, 0.15])
def test_a_budget_in_seconds_can_be_repeated_exactly(
    growing: DeviceData, seconds: float, averaging: Choice, start_size: float
) -> None:
    config = replace(CONFIG, budget=Budget(seconds=seconds), averaging=averaging, start_size=start_size)
    timed = TrainingRun(config, growing)
    images = timed.open()
    measured = to_the_end(timed)
    assert measured[1].images_seen == images > 0
    assert images % 16 == 0
    assert_same_run(measured, run(config, growing, images))


class Clock:
    """A clock that only steps move, each by what its image size costs in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[tuple[int, int], float]) -> None:
        self.now = 0.0
        self.sizes: list[tuple[int, int]] = []
        step = Stepper.step

        def timed_step(stepper: Stepper, share: float, size: tuple[int, int] | None = None) -> Tensor:
            done = step(stepper, share, size)
            self.now += seconds[stepper.size]
            self.sizes.append(stepper.size)
            return done

        monkeypatch.setattr(Stepper, "step", timed_step)
        monkeypatch.setattr(loop.time, "perf_counter", lambda: self.now)


def change_after(clock: Clock, monkeypatch: pytest.MonkeyPatch, seconds: float, factor: float) -> None:
    """From then on, every step takes so many times as long."""
    timed_step = Stepper.step

    def changed_step(stepper: Stepper, share: float, size: tuple[int, int] | None = None) -> Tensor:
        before = clock.now
        done = timed_step(stepper, share, size)
        if before >= seconds:
            clock.now = before + factor * (clock.now - before)
        return done

    monkeypatch.setattr(Stepper, "step", changed_step)


def test_seconds_become_images_by_the_measured_speed(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, {(8, 8): 0.25})
    running = TrainingRun(replace(CONFIG, budget=Budget(seconds=10)), data)
    assert running.open() == 10 * 4 * 16
    records, trained = to_the_end(running)
    # The opening steps are part of the budget.
    assert clock.now == trained.train_seconds == 10
    assert records[-1].images_seen == trained.images_seen == 10 * 4 * 16


def test_a_long_budget_is_planned_from_more_steps(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first five steps are slowed down, as where other workers start: they decide in a short run alone."""
    clock = Clock(monkeypatch, {(8, 8): 1.0})
    timed_step = Stepper.step

    def slow_at_first(stepper: Stepper, share: float, size: tuple[int, int] | None = None) -> Tensor:
        clock.now += len(clock.sizes) < 5
        return timed_step(stepper, share, size)

    monkeypatch.setattr(Stepper, "step", slow_at_first)
    assert TrainingRun(replace(CONFIG, budget=Budget(seconds=90)), data).open() == (5 + 40) * 16
    clock.sizes.clear()
    assert TrainingRun(replace(CONFIG, budget=Budget(seconds=900)), data).open() == (900 - 5) * 16


@pytest.mark.parametrize("paused_in", [0, 1, 3])
def test_a_pause_in_the_opening_leaves_the_budget(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch, paused_in: int
) -> None:
    """As of Ctrl-Z: an hour in one of the first five steps, which take a quarter of a second each."""
    clock = Clock(monkeypatch, {(8, 8): 0.25})
    timed_step = Stepper.step

    def paused_once(stepper: Stepper, share: float, size: tuple[int, int] | None = None) -> Tensor:
        clock.now += 3600 * (len(clock.sizes) == paused_in)
        return timed_step(stepper, share, size)

    monkeypatch.setattr(Stepper, "step", paused_once)
    running = TrainingRun(replace(CONFIG, budget=Budget(seconds=99)), data)
    assert running.open() >= 74 * 4 * 16
    assert running.seconds[0] <= 25


@pytest.mark.parametrize(("seconds", "start_size", "steps"), [(19.0, 1.0, 3), (29.0, 1.0, 4), (15.0, 0.625, 3)])
def test_steps_that_are_most_of_a_budget_are_not_timed_again_and_again(
    growing: DeviceData, monkeypatch: pytest.MonkeyPatch, seconds: float, start_size: float, steps: int
) -> None:
    """As of photographs on a CPU, ten seconds each: two steps at the least tell that, and one more is trained."""
    clock = Clock(monkeypatch, {(side, side): 10.0 for side in (8, 10, 12)})
    config = replace(CONFIG, budget=Budget(seconds=seconds), start_size=start_size)
    first = TrainingRun(config, growing)
    images = first.open()
    assert images == 16 * steps
    ended = to_the_end(first)
    assert clock.now == 10 * steps
    assert_same_run(ended, run(config, growing, images))


def test_seconds_of_growing_images(growing: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    """8 and 10 pixels a side take 64 and 100 thousandths of a second, and full images 144."""
    pixels = {(side, side): side**2 / 1000 for side in (8, 10, 12)}
    clock = Clock(monkeypatch, pixels)
    running = TrainingRun(replace(CONFIG, budget=Budget(seconds=50), start_size=0.625), growing)
    images = running.open()
    opening = len(clock.sizes)
    assert clock.sizes == [(8, 8)] * (opening // 2) + [(12, 12)] * (opening // 2)
    left = 50 - clock.now
    assert images // 16 == opening + round(left / ((0.064 + 0.1 + 0.144) / 3))
    to_the_end(running)
    # Opening steps count as shares of the budget, and most of them are of its first third.
    assert clock.now == pytest.approx(50, rel=0.02)
    assert list(dict.fromkeys(clock.sizes[opening:])) == [(8, 8), (10, 10), (12, 12)]


@pytest.mark.parametrize("later", [0.5, 1.0, 3.0])
def test_an_adapting_budget_keeps_its_seconds_when_the_speed_changes(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch, later: float
) -> None:
    """After a third of the time a step takes `later` seconds, before it one."""
    clock = Clock(monkeypatch, {(8, 8): 1.0})
    change_after(clock, monkeypatch, 100, later)
    running = TrainingRun(replace(CONFIG, budget=Budget(seconds=300, adapts=True)), data)
    assert running.open() == 300 * 16
    records, trained = to_the_end(running)
    assert clock.now == trained.train_seconds == pytest.approx(300, abs=3 * later)
    steps = 100 + 200 / later
    assert trained.images_seen == trained.images_planned == pytest.approx(16 * steps, rel=0.02)
    assert [record.step for record in records] == [1, 2, 3, 4]
    # The schedule ends where the budget does.
    assert records[-1].learning_rate == pytest.approx(0, abs=0.02 * max(record.learning_rate for record in records))


def test_a_budget_that_does_not_adapt_has_the_steps_that_it_opened_with(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, {(8, 8): 1.0})
    change_after(clock, monkeypatch, 100, 0.5)
    running = TrainingRun(replace(CONFIG, budget=Budget(seconds=300)), data)
    images = running.open()
    assert to_the_end(running)[1].images_seen == images == 300 * 16
    assert clock.now == 200


def test_an_adapting_budget_with_growing_images(growing: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Larger images are slower, which is no change of speed; that everything takes twice as long is one."""
    pixels = {(side, side): side**2 / 100 for side in (8, 10, 12)}
    config = replace(CONFIG, budget=Budget(seconds=300, adapts=True), start_size=0.625)
    clock = Clock(monkeypatch, pixels)
    running = TrainingRun(config, growing)
    images = running.open()
    assert to_the_end(running)[1].images_seen == pytest.approx(images, rel=0.03)
    assert clock.now == pytest.approx(300, rel=0.01)
    clock.now = 0.0
    change_after(clock, monkeypatch, 100, 2.0)
    running = TrainingRun(config, growing)
    images = running.open()
    assert to_the_end(running)[1].images_seen < 0.75 * images
    assert clock.now == pytest.approx(300, rel=0.01)


def test_an_adapting_budget_goes_on_from_a_checkpoint(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(CONFIG, budget=Budget(seconds=300, adapts=True))
    results = []
    for interrupted in (False, True):
        clock = Clock(monkeypatch, {(8, 8): 1.0})
        change_after(clock, monkeypatch, 120, 0.5)
        running = TrainingRun(config, data)
        running.open()
        reports = running.reports()
        records = [next(reports), next(reports)]
        if interrupted:
            state = running.state_dict()
            running = TrainingRun(config, data)
            running.resume(state)
            reports = running.reports()
        rest, trained = list(reports), running.trained()
        results.append(([*records, *rest], trained))
        monkeypatch.undo()
    (expected, whole), (found, resumed) = results
    assert [vars(record) for record in found] == [vars(record) for record in expected]
    assert resumed.images_seen == whole.images_seen
    assert same_weights(resumed.model, whole.model)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"reports_made": None}, "another release, without reports_made"), ({"device": "cuda"}, "of a run on cuda")],
)
def test_a_checkpoint_of_another_release_or_device_changes_nothing(
    data: DeviceData, change: dict[str, str | None], message: str
) -> None:
    running = TrainingRun(CONFIG, data)
    running.open()
    next(running.reports())
    state = running.state_dict() | change
    state = {name: value for name, value in state.items() if value is not None}
    fresh = TrainingRun(CONFIG, data)
    before = {name: value.clone() for name, value in fresh.stepper.model.state_dict().items()}
    with pytest.raises(BenchError, match=message):
        fresh.resume(state)
    assert all(torch.equal(value, before[name]) for name, value in fresh.stepper.model.state_dict().items())


def test_a_budget_smaller_than_its_opening_is_one_step_more(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[float] = []
    step = Stepper.step
    monkeypatch.setattr(Stepper, "step", lambda *given: steps.append(given[1]) or step(*given))
    running = TrainingRun(replace(CONFIG, budget=Budget(seconds=1e-6), reports=1), data)
    images = running.open()
    (record,), trained = to_the_end(running)
    assert record.images_seen == trained.images_seen == images == 16 * len(steps)
    *opening, last = steps
    assert set(opening) == {loop._OPENING_SHARE}
    assert last == len(opening) / len(steps)


def test_reports_see_images_as_large_as_training_does(growing: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def noting(*given: Any, **rest: Any) -> Tensor:
        seen.append(rest["size"])
        return predict(*given, **rest)

    monkeypatch.setattr(loop, "predict", noting)
    run(replace(CONFIG, budget=Budget(epochs=3), start_size=0.625, reports=3), growing)
    assert seen == [(8, 8), (10, 10), (12, 12)]


def test_a_run_with_growing_images_learns(growing: DeviceData) -> None:
    records, _ = run(replace(CONFIG, augmentations=(), budget=Budget(epochs=12), start_size=0.625), growing)
    assert records[-1].val_accuracy > 0.8


class Scripted:
    """A validation that follows a script, and what the network was at each report."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, script: list[tuple[float, float]]) -> None:
        self.states: list[dict[str, Tensor]] = []
        answers = iter(script)

        def validate(running: Any) -> tuple[float, float]:
            self.states.append({key: value.clone() for key, value in running.stepper.answering.state_dict().items()})
            return next(answers)

        monkeypatch.setattr(TrainingRun, "validate", validate)


@pytest.mark.parametrize("averaging", [NONE, EMA])
@pytest.mark.parametrize(
    ("script", "best"),
    [
        ([(0.5, 1.0), (0.9, 1.0), (0.7, 0.5), (0.6, 0.4)], 2),
        ([(0.5, 1.0), (0.9, 1.0), (0.9, 0.8), (0.9, 0.9)], 3),
        ([(0.5, 1.0), (0.5, 1.0), (0.5, 1.0), (0.5, 1.0)], 1),
        ([(0.1, 1.0), (0.2, 1.0), (0.3, 1.0), (0.4, 1.0)], 4),
    ],
)
def test_the_best_weights_are_returned(
    data: DeviceData, monkeypatch: pytest.MonkeyPatch, script: list[tuple[float, float]], best: int, averaging: Choice
) -> None:
    scripted = Scripted(monkeypatch, script)
    _, trained = run(replace(CONFIG, averaging=averaging), data)
    assert trained.best_step == best
    assert not trained.model.training
    returned = trained.model.state_dict()
    assert all(torch.equal(returned[key], value) for key, value in scripted.states[best - 1].items())
    other = scripted.states[0 if best != 1 else -1]
    assert not all(torch.equal(returned[key], value) for key, value in other.items())


@pytest.mark.parametrize(("patience", "reports"), [(0, 4), (1, 2), (2, 3), (3, 4)])
def test_patience_ends_a_run(data: DeviceData, monkeypatch: pytest.MonkeyPatch, patience: int, reports: int) -> None:
    Scripted(monkeypatch, [(0.9, 1.0), (0.8, 1.0), (0.7, 1.0), (0.6, 1.0)])
    records, trained = run(replace(CONFIG, patience=patience), data)
    assert len(records) == reports
    assert trained.best_step == 1
    assert trained.images_seen == reports * 32


def test_patience_counts_from_the_best(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    Scripted(monkeypatch, [(0.8, 1.0), (0.7, 1.0), (0.9, 1.0), (0.6, 1.0)])
    assert len(run(replace(CONFIG, patience=2), data)[0]) == 4


def test_a_loss_that_is_not_finite_is_an_error(data: DeviceData) -> None:
    wild = replace(
        CONFIG,
        architecture=Choice("cnn", {"variant": "whitening", "width": 16}),
        optimizer=Choice("sgd", {"lr": 1e30}),
        schedule=Choice("linear", {"warmup": 0.0}),
        budget=Budget(epochs=4),
    )
    with pytest.raises(DivergedError, match=r"diverged at step \d+: the training loss was not finite") as error:
        run(wild, data)
    # The very step, and not the report after it, which here comes every fourth.
    stepper = Stepper(wild, data)
    losses = [stepper.step(0.0)[0].item() for _ in range(16)]
    first = next(step for step, loss in enumerate(losses, 1) if not math.isfinite(loss))
    assert f"at step {first}:" in str(error.value)


def test_a_validation_loss_that_is_not_finite_is_an_error(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    Scripted(monkeypatch, [(0.5, 1.0), (0.5, float("inf"))])
    with pytest.raises(DivergedError, match="diverged at step 4: the validation loss was not finite"):
        run(CONFIG, data)


def test_the_average_answers(data: DeviceData) -> None:
    """The first update of the average copies, the second mixes."""
    config = replace(CONFIG, averaging=Choice("ema", {"decay": 0.75}))
    averaged = Stepper(config, data)
    averaged.step(0.5)
    first = next(averaged.model.parameters()).detach().clone()
    averaged.step(0.5)
    second = next(averaged.model.parameters()).detach()
    answer = next(averaged.answering.parameters())
    # Of the first keeps what a young average keeps.
    torch.testing.assert_close(answer, 2 / 11 * first + 9 / 11 * second)
    assert not torch.equal(answer, second)


def test_without_an_average_the_network_itself_answers(data: DeviceData) -> None:
    plain = Stepper(CONFIG, data)
    assert plain.answering is plain.model


def test_clipping_bounds_the_step(data: DeviceData) -> None:
    def first_step(clip_norm: float) -> float:
        optimizer = Choice("sgd", {"lr": 1.0, "momentum": 0.0001, "weight_decay": 0.0})
        stepper = Stepper(
            replace(CONFIG, optimizer=optimizer, clip_norm=clip_norm, schedule=Choice("linear", {"warmup": 0.0})), data
        )
        before = [parameter.detach().clone() for parameter in stepper.model.parameters()]
        stepper.step(0.0)
        moved = zip(stepper.model.parameters(), before, strict=True)
        return sum((now - then).square().sum().item() for now, then in moved) ** 0.5

    assert first_step(0.01) == pytest.approx(0.01, rel=1e-3)
    assert first_step(0.0) > 0.05


def test_training_never_looks_at_the_test_part(data: DeviceData) -> None:
    class Sealed:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"training asked the test part for {name}")

    sealed = replace(data, test=Sealed())  # type: ignore[arg-type]
    for budget in (Budget(epochs=1), Budget(seconds=0.01)):
        config = replace(CONFIG, budget=budget)
        run(config, sealed)
        run(config, sealed, images=64)
    assert same_weights(run(CONFIG, sealed, 64)[1].model, run(CONFIG, data, 64)[1].model)


def test_reports_look_at_their_share_of_validation(data: DeviceData, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def counting(model: nn.Module, data: DeviceData, part: Any, **rest: Any) -> Tensor:
        seen.append(len(part))
        return predict(model, data, part, **rest)

    monkeypatch.setattr(loop, "predict", counting)
    run(replace(CONFIG, report_share=0.25), data)
    assert seen == [8, 8, 8, 8]


def test_with_validation_rows_in_training_all_rows_train_and_the_last_report_counts(data: DeviceData) -> None:
    joined = data.with_val_in_train()
    assert len(joined.train) == len(data.train) + len(data.val)
    assert torch.equal(joined.train.labels[-len(data.val) :], data.val.labels)
    assert torch.equal(joined.train.pixels[: len(data.train)], data.train.pixels)
    everything = joined.train.pixels.double() / 255
    assert joined.mean.double() == pytest.approx(everything.mean(dim=(0, 2, 3)), abs=1e-6)
    # Epochs are passes over what trains.
    assert TrainingRun(replace(CONFIG, budget=Budget(epochs=1)), joined).open() == len(joined.train)
    # A rate so high that the first report is the best.
    hot = replace(CONFIG, optimizer=Choice("sgd", dict(CONFIG.optimizer.params) | {"lr": 0.0}), patience=0)
    assert run(hot, data, 256)[1].best_step == 1
    assert run(hot, joined, 256)[1].best_step == CONFIG.reports


def test_closing_ends_a_run(data: DeviceData) -> None:
    running = TrainingRun(CONFIG, data)
    running.open(128)
    reports = running.reports()
    assert next(reports).step == 1
    reports.close()
    with pytest.raises(StopIteration):
        next(reports)
