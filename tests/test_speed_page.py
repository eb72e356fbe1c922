"""The comparison's page and the numbers under it: statistics by hand, tables whole, and what is missing is named."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filled_study import fill
from PIL import Image

from benchmark.definition import load_study
from benchmark.errors import BenchError
from benchmark.records import Budget, Images, TrialRecord, TrialState
from studies.speed import __main__ as command_line
from studies.speed import hundred, pipeline
from studies.speed.baseline import ArraysAsCIFAR10, Setting, UserScript, training_loader
from studies.speed.crew import Crew, CrewError
from studies.speed.hundred import Interval, intervals_of, lanes_of, time_of
from studies.speed.page import to_markdown
from studies.speed.parts import PARTS, part_named
from studies.speed.plan import Plan, device_slug, quick_plan
from studies.speed.recipes import CPU_RECIPES, CPU_STUDY, GPU_RECIPES, Recipe, config_of, plain_cnn, study_default
from studies.speed.results import Measured, origin_of, read_results, write_result
from studies.speed.spread import best_of, mean_and_deviation, ratios, spread
from studies.speed.tables import TABLES
from studies.speed.time_to_80 import SETTINGS, Side, _worth_repeating, take_turns
from studies.speed.training import NESTEROV_SGD

ORIGIN: Mapping[str, Any] = {
    "command": "python -m studies.speed pipeline",
    "commit": "0123456789ab",
    "device": "A processor",
    "device_type": "cpu",
    "cores": 2,
    "threads": 2,
    "load_before": 0.1,
    "dataset": "cifar10",
    "split_seed": 0,
    "val_rows": 5000,
    "repeats": 3,
    "quick": False,
    "versions": {"torch": "2.15.0"},
    "date": "2026-01-01T00:00:00+00:00",
}
RATES = {"script, 0 workers": [10.0, 20.0, 40.0], "script, 2 workers": [5.0, 5.0, 50.0], "bench": [50.0, 120.0, 160.0]}
RUN = {"accuracies": [0.81], "train_seconds": 40.0, "seconds": 50.0, "seeds": [0], "candidate": "sgd 0.2", "epochs": 4}
PAIR = RUN | {"accuracies": [0.82, 0.805], "train_seconds": 8.0, "seconds": 10.0, "seeds": [0, 100], "epochs": 0.5}
TRAINED = {"seed": 0, "train_seconds": 109.0, "seconds": 112.0, "images_seen": 1e5, "petaflop": 0.07}
SCORES = {"val_accuracy": 0.9, "trials": {"complete": 1}, "recommended": "a mixture", "seconds": 599.6}
THEIRS = {"epochs": 9, "parameters": 145_000, "versions": {"autokeras": "3.0.0"}, "backend": "tensorflow"}
RATE = {"median": 2000.0, "low": 1900.0, "high": 2100.0, "repeats": 5}
SPENT = {"training_share": 0.9, "evaluation_seconds": 100.0, "overhead_seconds_per_trial": 0.25}
NUMBERS: Mapping[str, Mapping[str, Any]] = {
    "families": {
        "study": "cifar10-cpu",
        "threads": 1,
        "seconds": 2.0,
        "peaks": [{"precision": "float32", "size": 512, "peak_tflops": 0.2, "median_tflops": 0.1, "repeats": 9}],
        "families": [
            {
                "family": "cnn",
                "parameters": 1_000_000,
                "macs": 50_000_000,
                "batch_size": 512,
                "precision": "float32",
                "data_images_per_second": RATE,
                "training_images_per_second": RATE,
                "inference_images_per_second": RATE,
                "training_share_of_peak": 0.25,
                "inference_share_of_peak": 0.125,
            }
        ],
    },
    "pipeline": {"batch_size": 128, "window_seconds": 12.0, "images_per_second": RATES},
    "training": {
        "network": "a network",
        "optimizer": "some optimizer",
        "batch_size": 128,
        "processes": 2,
        "window_seconds": 12.0,
        "images_per_second": RATES,
    },
    "time-to-80": {
        "target": 0.8,
        "val_rows": 5000,
        "networks": {"script": "a small one", "bench": "another one"},
        "script_workers": 1,
        "settings_tried": [
            {"setting": "sgd 0.2", "reached": True, "stopped": False, "epochs": 4, "seconds": 50.0},
            {"setting": "adam 0.01", "reached": False, "stopped": True, "epochs": 5, "seconds": 50.1},
        ],
        "sides": {
            "script": {"runs": [RUN], "missed": []},
            "bench": {"runs": [PAIR], "missed": []},
            "bench, none": {"runs": [], "missed": [RUN]},
        },
    },
    "ten-minutes": {
        "minutes": 10.0,
        "study": "cifar10-cpu",
        "network": "a small one",
        "searched": {"sgd": [0.03, 1.0], "adam": [0.0005, 0.02]},
        "processes": 2,
        "tried": [{"what": "search, trials of 3 epochs", "val_accuracy": 0.8, "trials": {"complete": 4, "cut off": 2}}],
        "epochs_per_trial": 3,
        "one_run": "sgd 0.1, one cycle of 11 epochs",
        "script_workers": 0,
        "sides": {
            "script, search": [
                SCORES | {"test_accuracy": 0.80, "trials": {"complete": 4, "pruned": 1}},
                SCORES | {"test_accuracy": 0.70, "trials": {"complete": 6}},
            ],
            "script, one run": [SCORES | {"test_accuracy": 0.84}, SCORES | {"test_accuracy": 0.88}],
            "bench run": [SCORES | {"test_accuracy": 0.92}, SCORES | {"test_accuracy": 0.90}],
            "bench run, best model": [SCORES | {"test_accuracy": 0.91}],
        },
    },
    "installed": {
        "minutes": 10.0,
        "study": "cifar10-cpu",
        "sides": {
            "AutoKeras": [
                SCORES | THEIRS | {"test_accuracy": 0.7},
                SCORES | THEIRS | {"test_accuracy": 0.6, "epochs": 7},
            ],
            "bench run": [SCORES | {"test_accuracy": 0.9}, SCORES | {"test_accuracy": 0.9}],
        },
    },
    "time-to-accuracy": {
        "processes": 2,
        "recipes": [
            {
                "name": "110 core-seconds",
                "target": 0.835,
                "record": "a record",
                "budget": "110 s",
                "augmentations": ["flip"],
                "parameters": {"cnn.width": 48},
            }
        ],
        "groups": [
            {
                "recipe": "110 core-seconds",
                "precision": "auto",
                "runs": [TRAINED | {"accuracy": 0.83}, TRAINED | {"accuracy": 0.85}],
            }
        ],
    },
    "hundred": {
        "study": "cifar10-cpu",
        "trials": 100,
        "searches": {
            "on": {
                "pruner": "halving",
                "command": "bench search a",
                "states": {"complete": 60, "pruned": 40},
                "workers": 2,
                "seconds": 1000.0,
                "trials_per_hour": 360.0,
                **SPENT,
                "pauses": 0,
                "best_after": [[60, None], [120, 0.7], [1000.0, 0.85]],
            },
            "off": {
                "pruner": "none",
                "command": "bench search b",
                "states": {"complete": 100},
                "workers": 2,
                "seconds": 110.0,
                "trials_per_hour": 180.0,
                **SPENT,
                "pauses": 0,
                "best_after": [[60, 0.6], [110.0, 0.8]],
            },
        },
    },
    "workers-per-gpu": {
        "study": "cifar10",
        "mps": "measured",
        "images_per_second": {"without MPS": {"cnn": {"1": [10.0], "2": [15.0], "4": [20.0]}}},
    },
}


def measured(part: str, **origin: Any) -> Measured:
    return Measured(part, "a-processor-2-cores", {**ORIGIN, **origin}, NUMBERS[part])


def test_median_and_range_by_hand() -> None:
    found = spread([3.0, 1.0, 4.0])
    assert (found.median, found.low, found.high, found.repeats) == (3.0, 1.0, 4.0, 3)
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_mean_and_deviation_by_hand() -> None:
    found = mean_and_deviation([1.0, 3.0])
    assert (found.mean, found.runs) == (2.0, 2)
    assert found.deviation == pytest.approx(2**0.5)
    assert np.isnan(mean_and_deviation([1.0]).deviation)


def test_ratios_are_of_neighbours_and_a_side_is_its_best_form() -> None:
    assert ratios([10.0, 30.0], [5.0, 10.0]) == [2.0, 3.0]
    assert best_of(RATES) == "bench"
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


@pytest.mark.parametrize(
    ("name", "cores", "slug"),
    [
        ("Intel(R) Xeon(R) Processor", 2, "intel-xeon-processor-2-cores"),
        ("NVIDIA H200", None, "nvidia-h200"),
        ("../x", 1, "x-1-core"),
    ],
)
def test_a_device_has_a_folder(name: str, cores: int | None, slug: str) -> None:
    assert device_slug(name, cores) == slug


def test_every_part_has_a_module_and_a_table() -> None:
    assert set(TABLES) == {part.name for part in PARTS} == set(NUMBERS)
    assert all(importlib.util.find_spec(f"studies.speed.{part.module}") for part in PARTS)


@pytest.mark.parametrize("part", NUMBERS)
@pytest.mark.parametrize("device_type", ["cpu", "cuda"])
def test_tables_are_whole(part: str, device_type: str) -> None:
    paragraphs = TABLES[part](Measured(part, "x", {**ORIGIN, "device_type": device_type}, NUMBERS[part]))
    tables = [lines for text in paragraphs if len(lines := [x for x in text.splitlines() if x.startswith("|")]) > 0]
    assert tables
    for lines in tables:
        assert len(lines) > 2
        assert len({line.count("|") for line in lines}) == 1


def test_a_ratio_compares_with_the_best_form_of_the_script_in_the_same_repeat() -> None:
    page = to_markdown([measured("pipeline")])
    # 50/10, 120/20 and 160/40, although the other number of workers was once faster.
    assert "| bench | 120 (50.0–160) | 3 | **5.00 (4.00–6.00)**, aim 5: reached |" in page
    assert "| script, 0 workers | 20.0 (10.0–40.0) | 3 | 1, compared with |" in page


def test_time_to_80_shares_the_machine_between_runs_side_by_side() -> None:
    page = to_markdown([measured("time-to-80")])
    # Two networks in 10 s are 5 s each: 10 times as fast as one in 50 s.
    row = next(line for line in page.splitlines() if line.startswith("| bench | 0.5 epochs"))
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[3:5] == ["2", "80.50"]
    assert cells[-4:-1] == ["5.00 (5.00–5.00)", "10.0 (10.0–10.0)", "10.0 (10.0–10.0)"]
    assert "none reached it (tried sgd 0.2)" in page
    assert "- script: a small one.\n- bench: another one." in page


def test_time_to_80_compares_with_the_script_in_the_form_that_takes_least() -> None:
    whole = measured("time-to-80")
    both = RUN | {"accuracies": [0.81, 0.82], "train_seconds": 60.0, "seconds": 64.0, "seeds": [0, 100]}
    sides = {**whole.numbers["sides"], "script, one run per core": {"runs": [both], "missed": []}}
    rows = to_markdown([replace(whole, numbers={**whole.numbers, "sides": sides})]).splitlines()
    # Two networks in 64 s are 32 s each.
    assert next(row for row in rows if row.startswith("| script, one run")).endswith("| 1, compared with |")
    assert next(row for row in rows if row.startswith("| script | ")).endswith("| – | – |")
    assert next(row for row in rows if row.startswith("| bench |")).endswith("| 7.50 (7.50–7.50) | 6.40 (6.40–6.40) |")


def test_ten_minutes_are_compared_by_test_errors_within_a_round() -> None:
    page = to_markdown([measured("ten-minutes")])
    # 20 errors beside 8, and 30 beside 10.
    assert (
        "| script, search | 2 | 90.00 ± 0.00 | 75.00 ± 7.07 | 70.00 | 10 complete, 1 pruned | 2.75 (2.50–3.00) |"
        in page
    )
    assert "| script, one run | 2 | 90.00 ± 0.00 | 86.00 ± 2.83 | 84.00 | 2 complete | 1.60 (1.20–2.00) |" in page
    assert "| bench run | 2 | 90.00 ± 0.00 | 91.00 ± 1.41 | 90.00 | 2 complete | – |" in page
    # A round without a long run has no neighbour to be compared with.
    assert "| bench run, best model | 1 | 90.00 ± – | 91.00 ± – | 91.00 | 1 complete | – |" in page
    assert "the whole command, at most 600 s." in page
    assert "It recommended a mixture." in page


def test_an_installed_tool_is_compared_by_test_errors_within_a_round() -> None:
    page = to_markdown([measured("installed")])
    assert "| AutoKeras | 2 | 90.00 ± 0.00 | 65.00 ± 7.07 | 60.00 | 2 complete | 3.50 (3.00–4.00) |" in page
    assert "(autokeras 3.0.0, tensorflow)" in page
    assert "of 9 or 7 that ended in time. That network has 145 k parameters." in page


def test_time_to_accuracy_tells_mean_and_deviation() -> None:
    page = to_markdown([measured("time-to-accuracy")])
    assert "| 110 core-seconds | auto | 2 | 84.00 ± 1.41 | 83.00 | 109 (109–109) | 112 (112–112) |" in page
    assert "a record" in page


@pytest.mark.parametrize(
    ("seconds", "accuracy", "verdict"),
    [
        (112.0, 0.84, "reached, but not in time (110 core-seconds, 84.00 % in up to 112 s)"),
        (110.0, 0.84, "reached (110 core-seconds, 84.00 % in up to 110 s)"),
        (50.0, 0.83, "not reached"),
    ],
)
def test_an_aim_is_reached_within_its_seconds_or_not_at_all(seconds: float, accuracy: float, verdict: str) -> None:
    whole = measured("time-to-accuracy")
    runs = [TRAINED | {"accuracy": accuracy, "seconds": seconds}]
    groups = [{"recipe": "110 core-seconds", "precision": "auto", "runs": runs}]
    page = to_markdown([replace(whole, numbers={**whole.numbers, "groups": groups})])
    assert f"- 83.5 % within 110 s. auto: {verdict}.\n" in page


def test_the_best_score_is_told_until_the_search_has_ended() -> None:
    page = to_markdown([measured("hundred")])
    assert "| 60 | – | 60.00 |" in page
    assert "| 110 | – | 80.00 |" in page
    assert "| 120 | 70.00 | – |" in page


@pytest.mark.parametrize(
    ("share", "seconds", "verdicts"),
    [
        (0.85, 0.299, ("85.00, reached", "0.299, reached", "0.224, reached")),
        (0.849, 0.3, ("84.90, not reached", "0.300, not reached", "0.225, reached")),
    ],
)
def test_the_aims_of_the_hundred_have_their_verdicts(share: float, seconds: float, verdicts: tuple[str, ...]) -> None:
    whole = measured("hundred")
    overheads = {"overhead_seconds_per_trial": seconds, "warm_overhead_seconds_per_trial": 0.75 * seconds}
    search = {**whole.numbers["searches"]["on"], "training_share": share, **overheads}
    page = to_markdown([replace(whole, numbers={**whole.numbers, "searches": {"on": search}})])
    for verdict in verdicts:
        assert f" | {verdict} |" in page


def test_a_machine_that_was_not_idle_is_marked() -> None:
    idle = measured("pipeline")
    assert "0.10 processes |" in to_markdown([idle])
    busy = replace(idle, origin={**idle.origin, "load_before": 1.25})
    assert "1.25 processes (not idle) |" in to_markdown([busy])


def test_a_search_of_the_hundred_that_was_not_run_is_named() -> None:
    whole = measured("hundred")
    assert "not measured" not in to_markdown([whole]).partition("## Not measured")[0]
    only = {"searches": {"on": whole.numbers["searches"]["on"]}}
    page = to_markdown([replace(whole, numbers={**whole.numbers, **only})])
    assert "With pruning off: not measured." in page
    assert "bench search b" not in page


def test_a_search_that_ended_early_or_was_there_before_is_told() -> None:
    whole = measured("hundred")
    assert "ended after" not in to_markdown([whole])
    assert "was there before" not in to_markdown([whole])
    cut_off = {"states": {"complete": 52, "pruned": 44, "running": 4}, "read": True}
    searches = {"on": {**whole.numbers["searches"]["on"], **cut_off}}
    page = to_markdown([replace(whole, numbers={**whole.numbers, "searches": searches})])
    assert "With pruning on: ended after 96 trials of 100." in page
    assert "With pruning on: a search that was there before;" in page


def test_a_recipe_that_was_changed_after_a_test_result_says_so() -> None:
    whole = measured("time-to-accuracy")
    assert "On the way here" not in to_markdown([whole])
    recipes = [{**whole.numbers["recipes"][0], "history": "it had missed"}]
    page = to_markdown([replace(whole, numbers={**whole.numbers, "recipes": recipes})])
    assert "On the way here:\n\n- 110 core-seconds: it had missed.\n" in page


def test_workers_that_shared_a_gpu_through_mps_are_told() -> None:
    whole = measured("hundred")
    assert "| Workers | 2 | 2 |" in to_markdown([whole])
    searches = {name: {**one, "mps": name == "on"} for name, one in whole.numbers["searches"].items()}
    assert "| Workers | 2, under MPS | 2 |" in to_markdown(
        [replace(whole, numbers={**whole.numbers, "searches": searches})]
    )


def test_one_of_the_two_searches_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def search(root: Path, name: str, trials: int) -> bool:
        searched.append((root, name, trials))
        return True

    searched: list[tuple[Path, str, int]] = []
    monkeypatch.setattr(hundred, "_is_searched", search)
    monkeypatch.setattr(hundred, "facts_of", lambda root, name: {"read": name})
    plan = Plan("cpu", 2, pruning=("off",))
    found = hundred.measure(plan)["searches"]
    assert searched == [(plan.scratch, f"{CPU_STUDY}-none", 100)]
    assert isinstance(found, dict)
    assert list(found) == ["off"]


def test_what_is_missing_is_named() -> None:
    page = to_markdown([measured("pipeline"), measured("training")])
    missing = page.partition("## Not measured")[2]
    assert "- A processor: A hundred trials (`python -m studies.speed hundred`)." in missing
    assert "speed pipeline`" not in missing
    assert "- On a GPU: nothing has been measured (families, " in missing
    assert "On a CPU" not in missing
    assert to_markdown([]).count("nothing has been measured") == 2
    numbers = NUMBERS["hundred"]
    without = {**numbers, "searches": {"on": numbers["searches"]["on"]}}
    page = to_markdown([replace(measured("hundred"), numbers=without)])
    missing = page.partition("## Not measured")[2]
    assert "- A processor: a hundred trials with pruning off (`python -m studies.speed hundred --prun" in missing
    assert "with pruning on" not in missing


def test_only_a_gpu_has_kernels_to_wait_for() -> None:
    searches = {
        name: {**one, "preparing_seconds_per_trial": 0.615} for name, one in NUMBERS["hundred"]["searches"].items()
    }
    searched = Measured("hundred", "x", {**ORIGIN, "device_type": "cuda"}, {**NUMBERS["hundred"], "searches": searches})
    row = "| Of it until kernels were there, s |"
    assert f"{row} 0.615 |" in to_markdown([searched])
    assert row not in to_markdown([replace(searched, origin=ORIGIN)])


def test_several_devices_stand_apart() -> None:
    gpu = Measured("pipeline", "nvidia-x", {**ORIGIN, "device": "NVIDIA X", "device_type": "cuda"}, NUMBERS["pipeline"])
    page = to_markdown([gpu, measured("pipeline")])
    assert page.index("## A processor, 2 cores") < page.index("## NVIDIA X") < page.index("## Not measured")
    assert "- NVIDIA X: Several workers on one GPU" in page


def test_numbers_of_a_quick_try_are_marked() -> None:
    assert "quick try" in to_markdown([measured("pipeline", quick=True)])
    assert "quick try" not in to_markdown([measured("pipeline")])


def test_numbers_are_written_and_read_with_their_origin(tmp_path: Path) -> None:
    origin = origin_of(Plan("cpu", 2), "python -m studies.speed pipeline", 0.25)
    path = write_result(tmp_path, "pipeline", origin, NUMBERS["pipeline"])
    (found,) = read_results(tmp_path)
    assert path.name == "pipeline.json"
    assert path.parent.name == found.slug
    assert found.origin == origin
    assert found.numbers == NUMBERS["pipeline"]
    assert {"commit", "device", "cores", "threads", "versions", "date"} <= set(origin)
    path.write_text("[]")
    with pytest.raises(BenchError, match=r"pipeline\.json"):
        read_results(tmp_path)


def test_the_scripts_images_are_pil_with_our_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    dataset = ArraysAsCIFAR10(Images(pixels, np.arange(6)), transform=None)
    image, label = dataset[4]
    assert isinstance(image, Image.Image)
    assert np.array_equal(np.asarray(image), pixels[4])
    assert (len(dataset), label) == (6, 4)


def test_the_scripts_batches_are_cropped_and_normalised() -> None:
    pixels = np.full((130, 32, 32, 3), 255, np.uint8)
    loader = training_loader(Images(pixels, np.zeros(130, np.int64)), 0, pinned=False)
    batch, labels = next(iter(loader))
    assert batch.shape == (128, 3, 32, 32)
    assert labels.shape == (128,)
    # White in the middle whatever the crop, black where the padding came in.
    assert torch.allclose(batch[:, 0, 16, 16], torch.tensor((1 - 0.4914) / 0.2470))
    assert batch.min() < 0


def test_the_script_ends_when_it_has_reached_its_target_or_spent_its_budget(tmp_path: Path) -> None:
    script = UserScript(quick_plan("cpu", 1, tmp_path), Setting("sgd", 0.1, 1), workers=0, seed=0)
    reached = script.run_until(0.0, Setting("adam", 1e-3), seed=0, max_epochs=2, max_seconds=60)
    assert (reached.reached, reached.stopped, reached.epochs) == (True, False, 1)
    assert 0 < reached.train_seconds < reached.seconds
    missed = script.run_until(1.1, Setting("sgd", 0.1, 1), seed=0, max_epochs=2, max_seconds=60)
    assert (missed.reached, missed.stopped, missed.epochs) == (False, False, 1)
    stopped = script.run_until(0.5, Setting("sgd", 0.1, 1), seed=0, max_epochs=2, max_seconds=0)
    assert (stopped.reached, stopped.stopped) == (False, True)


def test_a_candidate_that_misses_once_gives_way_and_all_sides_begin_again() -> None:
    order: list[tuple[str, int, int]] = []

    def attempt(side: str, candidate: int, seed: int) -> dict[str, Any]:
        order.append((side, candidate, seed))
        return {"reached": candidate == 3 or (candidate == 2 and seed == 0), "seed": seed}

    picky = Side("picky", [1, 2, 3], lambda candidate, seed: attempt("picky", candidate, seed))
    easy = Side("easy", [3], lambda candidate, seed: attempt("easy", candidate, seed))
    never = Side("never", [], lambda candidate, seed: attempt("never", candidate, seed))
    take_turns([picky, never, easy], 3)
    in_turn = [(side, 3, seed) for seed in range(3) for side in ("picky", "easy")]
    assert order == [("picky", 1, 0), ("picky", 2, 0), ("easy", 3, 0), ("picky", 2, 1), *in_turn]
    assert [(run["candidate"], run["seed"]) for run in picky.kept] == [("3", 0), ("3", 1), ("3", 2)]
    assert [(run["candidate"], run["seed"]) for run in picky.missed] == [("1", 0), ("2", 0), ("2", 1)]
    assert [run["seed"] for run in easy.kept] == [0, 1, 2]
    assert (easy.missed, never.kept, never.missed) == ([], [], [])


def test_sides_that_can_not_reach_the_target_end() -> None:
    hopeless = Side("hopeless", [1, 2], lambda candidate, seed: {"reached": False})
    take_turns([hopeless], 3)
    assert (hopeless.kept, len(hopeless.missed)) == ([], 2)


@pytest.mark.parametrize(("cores", "expected"), [(1, (0, 1)), (2, (0, 1, 2)), (4, (0, 1, 2, 4)), (16, (0, 4, 8, 16))])
def test_the_script_tries_several_numbers_of_workers(cores: int, expected: tuple[int, ...]) -> None:
    assert Plan("cpu", cores).loader_workers == expected


def test_the_script_has_several_processes_where_ours_has() -> None:
    assert [Plan(*machine).script_processes for machine in (("cpu", 1), ("cpu", 2), ("cuda", 16))] == [0, 2, 0]


def test_settings_that_ended_without_the_target_are_not_repeated() -> None:
    tried: Sequence[dict[str, Any]] = [
        {"number": 0, "reached": False, "stopped": False, "seconds": 1.0},
        {"number": 1, "reached": True, "stopped": False, "seconds": 9.0},
        {"number": 2, "reached": True, "stopped": False, "seconds": 8.0},
        {"number": 3, "reached": False, "stopped": True, "seconds": 8.1},
    ]
    assert _worth_repeating(tried) == [SETTINGS[2], SETTINGS[1], SETTINGS[3]]


def test_where_the_time_of_a_study_went_by_hand() -> None:
    trials = [
        Interval(0.0, 10.0, 8.0, 1.0, 0.5, preparing_seconds=0.25),
        Interval(0.0, 4.0, 3.0, 0.5, None, preparing_seconds=0.5),
        Interval(4.5, 12.0, 7.0, 0.0, 0.7, counts=False, preparing_seconds=0.5),
        Interval(10.0, 12.0, 2.0, 0.0, 0.6, preparing_seconds=0.0),
    ]
    assert [len(lane) for lane in lanes_of(trials)] == [2, 2]
    facts = time_of(trials)
    assert facts["workers"] == 2
    assert facts["trials_per_hour"] == 3600 * 3 / 12
    assert facts["worker_seconds"] == 24.0
    assert facts["training_share"] == pytest.approx(20 / 24)
    assert facts["preparing_seconds_per_trial"] == 0.25
    assert time_of([*trials, Interval(12.0, 13.0, 1.0, 0.0, 0.6)])["preparing_seconds_per_trial"] is None
    # Of the failed trial half a second is neither.
    assert facts["failed_seconds"] == pytest.approx(0.5)
    assert facts["overhead_seconds_per_trial"] == pytest.approx((24 - 20 - 1.5 - 0.5) / 3)
    # After the first trial of each: nothing, and half a second before the failed one.
    assert facts["warm_overhead_seconds_per_trial"] == pytest.approx(0.5)
    assert facts["best_after"] == [[12.0, 0.7]]


def test_a_pause_between_two_searches_is_left_out() -> None:
    def trial(start: float, state: TrialState, accuracy: float | None = None) -> TrialRecord:
        begun = datetime(2026, 1, 1) + timedelta(seconds=start)
        return TrialRecord(0, state, "cnn", False, {}, accuracy, None, None, 10.0, "", 9.0, 0.75, started=begun)

    later = [trial(3610, TrialState.FAILED), trial(3620, TrialState.RUNNING)]
    found, pauses = intervals_of([*later, trial(0, TrialState.COMPLETE, 0.5)])
    assert pauses == 1
    assert found == [Interval(0.0, 10.0, 9.0, 0.75, 0.5), Interval(10.0, 20.0, 9.0, 0.75, None, counts=False)]


def test_a_studys_database_tells_its_time(tmp_path: Path) -> None:
    fill(tmp_path)
    facts = hundred.facts_of(tmp_path, "tiny")
    assert facts["states"] == {"complete": 3, "failed": 1}
    assert facts["training_seconds"] == 3 * 1.5
    assert (facts["devices"], facts["pauses"], facts["seed"]) == (["a processor"], 0, 0)
    assert str(facts["begun"]).startswith(f"{datetime.now():%Y-}")
    assert hundred._is_searched(tmp_path, "tiny", 3)
    assert not hundred._is_searched(tmp_path, "tiny", 4)
    assert not hundred._is_searched(tmp_path, "other", 1)


def test_the_hundred_trials_are_the_shipped_study_with_another_pruner(tmp_path: Path) -> None:
    hundred._define(tmp_path, CPU_STUDY, "copy", "none")
    copy, shipped = load_study("copy", tmp_path).identity(), load_study(CPU_STUDY, tmp_path).identity()
    assert {key: value for key, value in copy.items() if shipped.get(key) != value} == {"search.pruner": "none"}


@pytest.mark.parametrize("recipe", [*CPU_RECIPES, *GPU_RECIPES], ids=lambda recipe: recipe.name)
def test_recipes_are_of_the_space(recipe: Recipe) -> None:
    config = config_of(recipe, seed=3, precision="float32")
    assert (config.seed, config.precision, config.reports) == (3, "float32", 1)
    assert config.budget == recipe.budget
    for name, value in recipe.parameters.items():
        if name.startswith("cnn."):
            assert config.architecture.params[name.removeprefix("cnn.")] == value


def test_both_sides_train_the_same_network() -> None:
    config = plain_cnn(width=32, depth=2, stem_stride=1, batch_size=128, seed=0, precision="auto", dataset="cifar10")
    plain = {"variant": "plain", "width": 32, "widening": "1-2-4", "depth": 2, "stem_stride": 1}
    assert dict(config.architecture.params) == plain
    # On images of the same size, without anything that the script does not do.
    assert (config.start_size, config.averaging.name, config.label_smoothing) == (1.0, "none", 0.0)
    assert config.optimizer.name == NESTEROV_SGD.optimizer == "sgd"
    assert {choice.name: dict(choice.params) for choice in config.augmentations}["crop"] == {"pixels": 4}
    default = study_default("cnn", CPU_STUDY, Budget(epochs=0.5), seed=1)
    assert (default.architecture.params["variant"], default.budget.epochs) == ("whitening", 0.5)


def prepare_to_fail(member: int, message: str) -> Callable[[], None]:
    def task() -> None:
        raise ValueError(f"{message} {member}")

    return task


@pytest.mark.slow
def test_an_error_inside_a_crew_is_told() -> None:
    with Crew(1, 1, prepare_to_fail, "broken in") as crew, pytest.raises(CrewError, match="broken in 0"):
        crew.run()


def prepare_to_count(member: int) -> Callable[[str], tuple[int, str, int]]:
    done: list[str] = []

    def task(order: str) -> tuple[int, str, int]:
        done.append(order)
        return member, order, len(done)

    return task


@pytest.mark.slow
def test_some_members_of_a_crew_work_while_the_others_wait() -> None:
    with Crew(2, 1, prepare_to_count) as crew:
        assert crew.run("a", members=1) == [(0, "a", 1)]
        assert crew.run("b") == [(0, "b", 2), (1, "b", 1)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pipeline"], "python -m studies.speed pipeline"),
        (["training", "--window", "2"], "python -m studies.speed training --window 2"),
        (
            ["time-to-accuracy", "--recipe", "94 %", "--repeats", "3"],
            'python -m studies.speed time-to-accuracy --repeats 3 --recipe "94 %"',
        ),
        (["workers-per-gpu", "--no-mps"], "python -m studies.speed workers-per-gpu --no-mps"),
        (["pipeline", "--no-mps", "--recipe", "94 %"], "python -m studies.speed pipeline"),
    ],
)
def test_a_command_has_the_options_that_change_its_numbers(words: list[str], expected: str) -> None:
    assert command_line._command(words[0], command_line._parser().parse_args(words)) == expected


def test_a_shorter_window_has_a_shorter_warm_up() -> None:
    plan = command_line._plan(command_line._parser().parse_args(["--window", "3", "--device", "cpu"]))
    assert (plan.window_seconds, plan.warm_seconds) == (3.0, Plan.warm_seconds / 4)


@pytest.mark.slow
def test_the_pipeline_part_runs_on_a_tiny_data_set(tmp_path: Path) -> None:
    numbers = pipeline.measure(quick_plan("cpu", 1, tmp_path))
    rates = numbers["images_per_second"]
    assert isinstance(rates, dict)
    assert list(rates) == ["script, 0 workers", "script, 1 workers", "bench, 1 process"]
    assert all(len(values) == 2 and min(values) > 0 for values in rates.values())
    assert part_named("pipeline").devices == ("cpu", "cuda")
