"""Trials that run out of memory, diverge or hang, in real worker processes: each is told, and the study goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from crowd import assert_whole, crowd

from benchmark.records import TrialState

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("_whole_machine")]

GONE_WRONG = """
    import time
    import torch
    from benchmark.training import Stepper

    backward, begin = Stepper._backward, Stepper.__init__
    made, passes = [], []

    def counted(stepper, config, *given):
        made.append(config)
        passes.clear()
        begin(stepper, config, *given)

    def gone_wrong(stepper, images, targets):
        passes.append(stepper)
        if {when} and len(passes) > 2:
            {what}
        return backward(stepper, images, targets)

    Stepper.__init__, Stepper._backward = counted, gone_wrong
"""
FIRST_IN_ITS_PROCESS = "len(made) == 1"


def gone_wrong(when: str, what: str) -> str:
    return GONE_WRONG.format(when=when, what=what)


def test_a_trial_that_needs_too_much_memory_is_trained_in_parts(tmp_path: Path) -> None:
    patch = gone_wrong("stepper._part_size > 32", 'raise torch.OutOfMemoryError("9 GB wanted")')
    with crowd(tmp_path / "root", trials=2, patch=patch) as found:
        found.start("search", "mine", "--workers", "1")
        (said,) = found.finish()
        store = assert_whole(found)
        assert [trial.state for trial in store.trials()] == [TrialState.COMPLETE] * 2
        assert [trial.user_attrs["accumulation"] for trial in store.study.trials] == [4, 4]
        assert said.count("out of memory: again with batches in 2") == 2


def test_a_trial_that_diverges_is_told_with_its_step(tmp_path: Path) -> None:
    patch = gone_wrong(FIRST_IN_ITS_PROCESS, "images = images * float('nan')")
    with crowd(tmp_path / "root", trials=2, patch=patch) as found:
        found.start("search", "mine", "--workers", "1")
        (said,) = found.finish()
        first, *rest = assert_whole(found).trials()
        assert (first.state, first.val_accuracy) == (TrialState.FAILED, None)
        assert first.reason == "diverged at step 3: the training loss was not finite"
        assert first.reason in said
        assert [trial.state for trial in rest] == [TrialState.COMPLETE] * 2


def test_a_hung_trial_is_ended_at_its_time_limit(tmp_path: Path) -> None:
    # A busy machine may take 20 s for what an idle one does in one, and that is no hang.
    # The second process of this study, and every later one, has the mark of the first.
    patch = gone_wrong("not __import__('os').path.exists(MARK)", "open(MARK, 'w').close(); time.sleep(1000)")
    patch = f"    MARK = {str(tmp_path / 'hung')!r}\n{patch}"
    with crowd(tmp_path / "root", trials=2, patch=patch, search="trial_timeout = 45") as found:
        found.start("search", "mine", "--workers", "1")
        found.finish()
        first, *rest = assert_whole(found).trials()
        assert (first.state, first.reason) == (TrialState.FAILED, "timed out after 45 s")
        assert first.seconds < 90
        assert [trial.state for trial in rest] == [TrialState.COMPLETE] * 2
