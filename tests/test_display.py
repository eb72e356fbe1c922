"""What a user sees of a running search, for scripted events: lines without a terminal, a live table on one."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from benchmark import display
from benchmark.display import SearchDisplay
from benchmark.records import ProgressRecord, TrialRecord, TrialState


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(display.time, "monotonic", lambda: now[0])
    return now


def report(step: int, accuracy: float) -> ProgressRecord:
    return ProgressRecord(step, 64 * step, 1.0, 1.0, accuracy, 0.1, 0.5, 0.1, 4321.0)


def stored(number: int, state: TrialState, accuracy: float | None = None) -> TrialRecord:
    return TrialRecord(number, state, "vgg", False, {}, accuracy, None, None, 1.0, "cpu")


def play(shown: SearchDisplay, clock: list[float], before: list[TrialRecord], total: int) -> None:
    """One trial of each outcome, ten seconds each, after those of before."""
    trials = list(before)
    for number, (family, state, score, reason) in enumerate(
        [
            ("cnn", TrialState.COMPLETE, 0.75, None),
            ("resnet", TrialState.PRUNED, 0.9, None),
            ("vgg", TrialState.FAILED, None, "out of memory: [red]8 GB[/red]"),
            ("vgg", TrialState.COMPLETE, 0.5, None),
        ]
    ):
        shown.started(number, family, number == 0, None)
        shown.reported(number, 4, report(2, 0.3))
        clock[0] += 10
        shown.ended(number, state, score, reason)
        val_accuracy = score if state is TrialState.COMPLETE else None
        trials.append(replace(stored(number, state, val_accuracy), family=family, is_default=number == 0))
        shown.standing(trials, total)


def lines_of(clock: list[float], before: list[TrialRecord], total: int = 6, timeout: float | None = None) -> list[str]:
    text = io.StringIO()
    with SearchDisplay(Console(file=text, width=60), "tiny", before, total, timeout) as shown:
        play(shown, clock, before, total)
    return text.getvalue().splitlines()


def test_without_a_terminal_every_trial_is_a_plain_line(clock: list[float]) -> None:
    lines = lines_of(clock, [])
    assert len(lines) == 12
    assert "\x1b" not in "".join(lines)
    assert lines[0] == "trial    0  started   cnn (default)"
    assert lines[1] == "trial    0  complete  cnn (default)           75.00 %    10.0 s  4,321 images/s"
    assert lines[4].split() == ["trial", "1", "pruned", "resnet", "90.00", "%", "10.0", "s"]
    assert lines[7].endswith("10.0 s  out of memory: [red]8 GB[/red]"), "a reason is no markup"


def test_counts_best_and_time_left(clock: list[float]) -> None:
    lines = lines_of(clock, [])
    assert lines[2].strip() == (
        "1/6 trials (1 complete, 0 pruned, 0 failed); best 75.00 % (cnn (default), trial 0); about 50.0 s left"
    )
    # Three places of six are filled after 40 s, the failed one's time included; a pruned score is never the best.
    assert lines[-1].strip() == (
        "3/6 trials (2 complete, 1 pruned, 1 failed); best 75.00 % (cnn (default), trial 0); about 40.0 s left"
    )


def test_earlier_trials_count_and_an_abandoned_one_does_not(clock: list[float]) -> None:
    before = [stored(0, TrialState.COMPLETE, 0.95), stored(1, TrialState.RUNNING), stored(2, TrialState.PRUNED)]
    last = lines_of(clock, before)[-1]
    assert last.strip().startswith("5/6 trials (3 complete, 2 pruned, 1 failed); best 95.00 % (vgg, trial 0)")
    assert last.endswith("about 13.3 s left"), "the pace is of this call alone: 3 in 40 s"


def test_a_timeout_shortens_the_time_left(clock: list[float]) -> None:
    assert lines_of(clock, [], total=600, timeout=3700.0)[-1].endswith("about 1 h 01 min left")


def test_on_a_terminal_running_trials_are_a_table(clock: list[float]) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100, height=20, force_terminal=True, color_system=None)
    with SearchDisplay(console, "tiny", [], 6, None) as shown:
        play(shown, clock, [], 6)
        shown.started(4, "resnet", True, None)
        shown.reported(4, 4, report(3, 0.625))
    screen = text.getvalue()
    assert "study tiny: 3/6 trials (2 complete, 1 pruned, 1 failed)" in screen
    table = screen[screen.rindex("images/s") :]
    for cell in ("resnet (default)", "3/4", "62.50 %", "4,321"):
        assert cell in table
    assert "\x1b[?25h" in screen, "the cursor is given back"


def test_a_search_that_has_not_begun_says_what_it_waits_for(clock: list[float]) -> None:
    text = io.StringIO()
    with SearchDisplay(Console(file=text, force_terminal=True, color_system=None), "tiny", [], 6, None) as shown:
        shown.tick()
    assert "study tiny: 0/6 trials" in text.getvalue()
    assert "starting workers" in text.getvalue()


def test_trials_of_other_processes_are_told_where_there_are_none_of_its_own(clock: list[float]) -> None:
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True)
    with SearchDisplay(console, "tiny", [], 6, None, elsewhere=True) as shown:
        shown.standing([stored(0, TrialState.COMPLETE, 0.5), stored(1, TrialState.RUNNING)], 6)
    assert "1 trial at work in other processes" in text.getvalue()
