"""Each part's raw numbers as paragraphs and tables of markdown: the only place that knows what the parts write."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmark.leaderboard.pieces import table
from benchmark.wording import count, percent, significant
from studies.speed.plan import Plan
from studies.speed.results import Measured
from studies.speed.spread import MeanAndDeviation, Spread, best_of, mean_and_deviation, ratios, spread

Numbers = Mapping[str, Any]

_NOTHING = "–"
_OURS = "bench run"
"""The side that others are compared with after the same time."""


def families(measured: Measured) -> list[str]:
    """Rates of every family's default on one worker, and the peaks that they are shares of."""
    numbers = measured.numbers
    rows = [
        [
            one["family"],
            count(one["parameters"]),
            count(one["macs"]),
            str(one["batch_size"]),
            one["precision"],
            *(_range(Spread(**one[f"{what}_images_per_second"])) for what in ("data", "training", "inference")),
            percent(one["training_share_of_peak"]),
            percent(one["inference_share_of_peak"]),
        ]
        for one in numbers["families"]
    ]
    headings = [
        "Family", "Parameters", "MACs per image", "Batch", "Precision", "Batches alone, images/s",
        "Training, images/s", "Inference, images/s", "Training, % of peak", "Inference, % of peak",
    ]  # fmt: skip
    peaks = "; ".join(
        f"{significant(peak['peak_tflops'])} TFLOP/s in {peak['precision']} (median "
        f"{significant(peak['median_tflops'])}, {peak['size']} × {peak['size']})"
        for peak in numbers["peaks"]
    )
    return [
        f"Defaults of `{numbers['study']}` on one worker of {_count(numbers['threads'], 'thread', 'threads')}, alone; "
        f"{numbers['seconds']:g} s a measurement, median (lowest–highest). The peak is the best square matrix product: "
        f"{peaks}; in float32 as convolutions compute it, which is TF32 on a GPU that has it. Shares count two "
        "operations per multiply-accumulate and three forward passes per training image, at full image size; batches "
        "and optimizer count as time, not as work.",
        table(headings, rows, right=[False] + [True] * 3 + [False] + [True] * 5),
    ]


def pipeline(measured: Measured) -> list[str]:
    """Batches per second of both sides."""
    numbers = measured.numbers
    return [
        f"Batches of {numbers['batch_size']} images, mirrored, shifted by up to 4 pixels and normalised, on their way "
        f"to no network; {numbers['window_seconds']:g} s a measurement. The script: PIL images, `RandomCrop`, "
        "`RandomHorizontalFlip`, `ToTensor`, `Normalize` and a `DataLoader`. Ours: the trainer's own batches.",
        _rates(numbers["images_per_second"], aim=5.0),
    ]


def training(measured: Measured) -> list[str]:
    """Training images per second of both sides."""
    numbers = measured.numbers
    return [
        f"{numbers['network']}; batches of {numbers['batch_size']}, mirrored and shifted, forward, backward and step "
        f"of {numbers['optimizer']}; {numbers['window_seconds']:g} s a measurement. The script trains in float32, in "
        "one process with torch's own number of threads, or in several of one thread and no `DataLoader` workers. "
        f"Ours: {_count(numbers['processes'], 'process', 'processes')} of one thread each, in the precision that the "
        "product chooses (auto) and in float32.",
        _rates(numbers["images_per_second"], aim=5.0 if measured.is_gpu else 1.3),
    ]


def time_to_80(measured: Measured) -> list[str]:
    """Seconds to the target accuracy of both sides, and what the script tried."""
    numbers = measured.numbers
    sides: Mapping[str, Numbers] = numbers["sides"]
    script = _best_form([side["runs"] for name, side in sides.items() if name.startswith("script")])
    rows = [_side_row(name, side, script) for name, side in sides.items()]
    headings = [
        "Side", "Recipe", "Runs", "Val. acc. %, lowest", "Training s", "With evaluation s",
        "Machine s per run", "Times faster, training", "Times faster, with evaluation",
    ]  # fmt: skip
    aim = "" if measured.is_gpu else " Aim: at least 5 times faster."
    tried = [
        [
            one["setting"],
            "yes" if one["reached"] else "stopped" if one["stopped"] else "no",
            str(one["epochs"]),
            significant(one["seconds"]),
        ]
        for one in numbers["settings_tried"]
    ]
    return [
        f"Until {100 * numbers['target']:g} % of {numbers['val_rows']:,} validation images are right. Seconds are "
        "wall-clock and begin when the data are loaded: training steps with their batches alone, and with making the "
        "network and every evaluation. The script scores after every epoch, ours once, at the end of its budget. "
        "Each side has the whole machine in its turn; where it trains several networks at once, the machine's seconds "
        "are shared out between them. Ours is compared with the form of the script that takes the least of them, here "
        f"with {_loader_workers(numbers['script_workers'])} where it runs alone "
        f"and none where it does not.{aim}",
        "\n".join(f"- {side}: {network}." for side, network in numbers["networks"].items()),
        table(headings, rows, right=[False, False] + [True] * 7),
        _tried(
            "One run each with a seed that does not count; a run that takes longer than the fastest so far is stopped.",
            table(["Setting", "Reached", "Epochs begun", "Seconds"], tried, right=[False, False, True, True]),
        ),
    ]


def ten_minutes(measured: Measured) -> list[str]:
    """Accuracy of every side after the same time, and what the script tried."""
    numbers = measured.numbers
    sides: Mapping[str, Sequence[Numbers]] = numbers["sides"]
    ours = sides[_OURS]
    minutes = f"{numbers['minutes']:g}"
    ranges = " or ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in numbers["searched"].items())
    tried = [[one["what"], percent(one["val_accuracy"]), _states(one["trials"])] for one in numbers["tried"]]
    return [
        f"All of the machine for {minutes} minutes, the time limit of Optuna's own PyTorch example. No choice looks at "
        "the test set. The script's time begins when all is imported and its data are loaded, any epoch that ends in "
        "time counts, and its test scores come after the time. Ours is that of the whole command, at most "
        f"{max(run['seconds'] for run in ours):,.0f} s.",
        f"- script, search: Optuna with its default sampler and the median pruner, in "
        f"{_count(numbers['processes'], 'process', 'processes')} of one thread on one database; the optimizer and its "
        f"highest rate ({ranges}) in one cycle of {numbers['epochs_per_trial']} epochs of all rows. With so few trials "
        "neither sampler nor pruner has much to go by.\n"
        f"- script, one run: no search; {numbers['one_run']}, about as long as the time allows, with torch's own "
        f"number of threads and {_loader_workers(numbers['script_workers'])}.\n"
        f"- Both train the same network: {numbers['network']}.\n"
        f"- bench run: `bench run {numbers['study']} --timeout {minutes}m`. It begins with defaults that were chosen "
        "on validation rows of this data set before, as the script's rates were. It recommended "
        f"{'; '.join(dict.fromkeys(run['recommended'] for run in ours))}. Its best model is the single one among its "
        "long runs' configurations that validation prefers.",
        *_minutes_table(sides),
        _tried(
            f"{minutes} minutes each, with a seed that does not count.",
            table(["Form", "Val. acc. %", "Trials"], tried, right=[False, True, False]),
        ),
    ]


def installed(measured: Measured) -> list[str]:
    """Accuracy of AutoKeras and of ours after the same time."""
    numbers = measured.numbers
    sides: Mapping[str, Sequence[Numbers]] = numbers["sides"]
    ours, theirs = sides[_OURS], sides["AutoKeras"]
    minutes = f"{numbers['minutes']:g}"
    versions = ", ".join(f"{name} {version}" for name, version in theirs[0]["versions"].items())
    return [
        f"All of the machine for {minutes} minutes. No choice looks at the test set.",
        f"- AutoKeras: `ImageClassifier().fit(...)` with the same training and validation rows, all else as it comes "
        f"({versions}, {theirs[0]['backend']}). It knows no limit of time, so that its search is cut off; its time "
        "begins when all is imported and its data are loaded, and the epoch with the best score on validation counts, "
        f"of {_each_once(theirs, 'epochs', str)} that ended in time. That network has "
        f"{_each_once(theirs, 'parameters', count)} parameters.\n"
        f"- bench run: `bench run {numbers['study']} --timeout {minutes}m`, the whole command, at most "
        f"{max(run['seconds'] for run in ours):,.0f} s.",
        *_minutes_table(sides),
    ]


def time_to_accuracy(measured: Measured) -> list[str]:
    """Test accuracy, seconds and work of the fixed recipes."""
    numbers = measured.numbers
    recipes = {recipe["name"]: recipe for recipe in numbers["recipes"]}
    rows = [_group_row(recipes[group["recipe"]], group) for group in numbers["groups"]]
    aims = [_aim(recipe, numbers["groups"]) for recipe in recipes.values() if recipe["target"] is not None]
    headings = [
        "Recipe", "Precision", "Runs", "Test acc. %, mean ± s.d.", "Lowest", "Training s", "In all s", "Images seen",
        "PFLOP",
    ]  # fmt: skip
    beside = [f"- {recipe['name']}: {recipe['record']}." for recipe in recipes.values() if recipe["record"]]
    history = [f"- {recipe['name']}: {recipe['history']}." for recipe in recipes.values() if recipe.get("history")]
    changes = [[name, recipe["budget"], _parameters(recipe)] for name, recipe in recipes.items()]
    is_gpu = measured.is_gpu
    return [
        "Every training image trains, and the test set is scored once per run. Between recipes was chosen on "
        "validation rows. "
        f"{_count(numbers['processes'], 'process', 'processes')} side by side"
        f"{' of one thread each' if not is_gpu else ''}. Training is the time inside training steps of one "
        "run; in all adds making the network and scoring it. A short run of every recipe "
        f"went before and is not counted: {'kernels and graphs are loaded' if is_gpu else 'the whitening is computed'} "
        "once per process. PFLOP: six operations per multiply-accumulate and image seen, at full image size.",
        table(headings, rows, right=[False, False] + [True] * 7),
        *(["Aims, of the mean accuracy and the longest run in all:\n\n" + "\n".join(aims)] if aims else []),
        *(["On the way here:\n\n" + "\n".join(history)] if history else []),
        *(["Public records beside it:\n\n" + "\n".join(beside)] if beside else []),
        table(["Recipe", "Budget", "Changes to the default `cnn`"], changes),
    ]


def searches_to_come(numbers: Numbers) -> list[str]:
    """Of a hundred trials, how those searches prune that have not been made."""
    return [name for name in Plan.pruning if name not in numbers["searches"]]


def hundred(measured: Measured) -> list[str]:
    """Where the time of two studies went, and the best score by then."""
    numbers = measured.numbers
    searches: Mapping[str, Numbers] = numbers["searches"]
    kernels = (("Of it until kernels were there, s", lambda one: significant(one.get("preparing_seconds_per_trial"))),)
    facts: tuple[tuple[str, Callable[[Numbers], str]], ...] = (
        ("Trials by state", lambda one: _states(one["states"])),
        ("Workers", lambda one: f"{one['workers']}{', under MPS' if one.get('mps') else ''}"),
        ("Seconds", lambda one: f"{one['seconds']:,.0f}"),
        ("Trials per hour", lambda one: significant(one["trials_per_hour"])),
        ("Share of worker time inside training steps, % (aim: 85)", _training_share),
        ("Evaluation, worker seconds", lambda one: significant(one["evaluation_seconds"])),
        ("Failed trials, s beside their reports", lambda one: significant(one.get("failed_seconds"))),
        ("Overhead per trial, s (aim: below 0.3)", lambda one: _overhead(one["overhead_seconds_per_trial"])),
        *(kernels if measured.is_gpu else ()),
        (
            "Of a warm worker, that is without its first trial, s (aim: below 0.3)",
            lambda one: _overhead(one.get("warm_overhead_seconds_per_trial")),
        ),
        ("Pauses left out", lambda one: str(one["pauses"])),
        ("Commit", lambda one: ", ".join(f"`{commit}`" for commit in one.get("commits") or ["unknown"])),
        ("First trial begun", lambda one: one.get("begun", _NOTHING)),
    )
    headings = ["", *(f"pruning {name} ({one['pruner']})" for name, one in searches.items())]
    right = [False] + [True] * len(searches)
    marks = sorted({mark for one in searches.values() for mark, _ in one["best_after"]})
    missing = [f"With pruning {name}: not measured." for name in searches_to_come(numbers)]
    missing += [
        f"With pruning {name}: ended after {_done(one)} trials of {numbers['trials']}."
        for name, one in searches.items()
        if _done(one) < numbers["trials"]
    ]
    missing += [
        f"With pruning {name}: a search that was there before; what is said below of load and time is of its reading."
        for name, one in searches.items()
        if one.get("read")
    ]
    best = [[f"{mark:,.0f}", *(_best_at(one["best_after"], mark) for one in searches.values())] for mark in marks]
    commands = "\n".join(str(one["command"]) for one in searches.values())
    return [
        f"The shipped study `{numbers['study']}`, {numbers['trials']} trials. Overhead is what of a worker's time, "
        "from its first trial's start to its last one's end, is neither training nor evaluation. What "
        "failed trials took beside their reports has a row of its own; a dash there means that it is in the overhead.",
        table(headings, [[name, *(tell(one) for one in searches.values())] for name, tell in facts], right=right),
        *missing,
        "Best validation accuracy, %, among the trials complete by then:",
        table(["Seconds", *headings[1:]], best, right=[True] * len(headings)),
        "What is run, after the definition of a study with another pruner was written under its root:",
        f"```sh\n{commands}\n```",
    ]


def _training_share(search: Numbers) -> str:
    return f"{percent(search['training_share'])}, {_verdict(search['training_share'] >= 0.85)}"


def _overhead(seconds: float | None) -> str:
    return _NOTHING if seconds is None else f"{significant(seconds)}, {_verdict(seconds < 0.3)}"


def _done(search: Numbers) -> int:
    """Trials that have a place among the hundred and have ended."""
    return sum(search["states"].get(state, 0) for state in ("complete", "pruned"))


def _verdict(is_reached: bool) -> str:
    return "reached" if is_reached else "not reached"


def workers_per_gpu(measured: Measured) -> list[str]:
    """Images per second of one GPU by number of workers."""
    numbers = measured.numbers
    rows = []
    for mode, families in numbers["images_per_second"].items():
        for family, by_size in families.items():
            alone = by_size["1"]
            cells = [
                f"{_range(spread(rates))} ({_range(spread(ratios(rates, alone)))} ×)" if size != "1"
                else _range(spread(rates))
                for size, rates in by_size.items()
            ]  # fmt: skip
            rows.append([family, mode, *cells])
    sizes = list(next(iter(next(iter(numbers["images_per_second"].values())).values())))
    headings = ["Family", "Mode", *(f"{_count(int(size), 'worker', 'workers')}, images/s" for size in sizes)]
    return [
        f"Defaults of `{numbers['study']}`, images per second of all workers together, and times one worker. "
        f"MPS: {numbers['mps']}.",
        table(headings, rows, right=[False, False] + [True] * len(sizes)),
    ]


TABLES: Mapping[str, Callable[[Measured], list[str]]] = {
    "families": families,
    "pipeline": pipeline,
    "training": training,
    "time-to-80": time_to_80,
    "ten-minutes": ten_minutes,
    "installed": installed,
    "time-to-accuracy": time_to_accuracy,
    "hundred": hundred,
    "workers-per-gpu": workers_per_gpu,
}


def _rates(rates: Mapping[str, Sequence[float]], aim: float) -> str:
    """Rates of both sides; ours as ratios to the best form of the script, repeat by repeat."""
    script = {name: values for name, values in rates.items() if name.startswith("script")}
    best = best_of(script)
    rows = []
    for name, values in rates.items():
        if name in script:
            compared = "1, compared with" if name == best else _NOTHING
        else:
            found = spread(ratios(values, rates[best]))
            compared = f"**{_range(found)}**, aim {aim:g}: {_verdict(found.median >= aim)}"
        rows.append([name, _range(spread(values)), str(len(values)), compared])
    headings = ["Side", "Images/s, median (lowest–highest)", "Repeats", "Times the script, median (lowest–highest)"]
    return table(headings, rows, right=[False, True, True, True])


def _side_row(name: str, side: Numbers, script: Sequence[Numbers]) -> list[str]:
    runs: Sequence[Numbers] = side["runs"]
    if not runs:
        tried = ", ".join(dict.fromkeys(run["candidate"] for run in side["missed"]))
        return [name, f"none reached it (tried {tried or 'none'})", "0", *[_NOTHING] * 6]
    faster = ["1, compared with" if runs is script else _NOTHING] * 2
    if not name.startswith("script") and len(script) == len(runs):
        faster = [
            _range(spread(ratios([_shared(run, key) for run in script], [_shared(run, key) for run in runs])))
            for key in ("train_seconds", "seconds")
        ]
    recipe = runs[0]["candidate"] if name.startswith("script") else f"{runs[0]['epochs']:g} epochs"
    return [
        name,
        recipe,
        str(sum(len(run["seeds"]) for run in runs)),
        percent(min(min(run["accuracies"]) for run in runs)),
        _range(spread([run["train_seconds"] for run in runs])),
        _range(spread([run["seconds"] for run in runs])),
        _range(spread([_shared(run, "seconds") for run in runs])),
        *faster,
    ]


def _minutes_table(sides: Mapping[str, Sequence[Numbers]]) -> list[str]:
    """Accuracy of every side of a comparison after the same time, and how its test errors are compared."""
    headings = [
        "Side", "Runs", "Val. acc. %, mean ± s.d.", "Test acc. %, mean ± s.d.", "Lowest", "Trials of all runs",
        f"Test errors, times those of {_OURS}",
    ]  # fmt: skip
    rows = [_minutes_row(name, runs, sides[_OURS]) for name, runs in sides.items()]
    return [
        table(headings, rows, right=[False] + [True] * 6),
        "Test errors are compared within a round: median (lowest–highest).",
    ]


def _minutes_row(name: str, runs: Sequence[Numbers], ours: Sequence[Numbers]) -> list[str]:
    if not runs:
        return [name, "0", *[_NOTHING] * 5]
    test = [run["test_accuracy"] for run in runs]
    trials: Counter[str] = sum((Counter(run.get("trials", {})) for run in runs), Counter())
    is_paired = runs is not ours and len(runs) == len(ours)
    return [
        name,
        str(len(runs)),
        _mean(mean_and_deviation([run["val_accuracy"] for run in runs])),
        _mean(mean_and_deviation(test)),
        percent(min(test)),
        _states(trials) or _NOTHING,
        _range(spread(ratios(_errors(runs), _errors(ours)))) if is_paired else _NOTHING,
    ]


def _each_once(runs: Sequence[Numbers], what: str, told: Callable[[Any], str]) -> str:
    return " or ".join(dict.fromkeys(told(run[what]) for run in runs))


def _errors(runs: Sequence[Numbers]) -> list[float]:
    return [1.0 - run["test_accuracy"] for run in runs]


def _best_form(forms: Sequence[Sequence[Numbers]]) -> Sequence[Numbers]:
    """The runs of the form that takes least of the machine per run; none where no form reached the target."""
    there = [runs for runs in forms if runs]
    return min(there, key=lambda runs: spread([_shared(run, "seconds") for run in runs]).median, default=())


def _shared(run: Numbers, key: str) -> float:
    """The machine's seconds for each of the networks that it trained at once."""
    return float(run[key]) / len(run["seeds"])


def _group_row(recipe: Numbers, group: Numbers) -> list[str]:
    runs: Sequence[Numbers] = group["runs"]
    accuracy = mean_and_deviation([run["accuracy"] for run in runs])
    return [
        recipe["name"],
        group["precision"],
        str(accuracy.runs),
        _mean(accuracy),
        percent(min(run["accuracy"] for run in runs)),
        _range(spread([run["train_seconds"] for run in runs])),
        _range(spread([run["seconds"] for run in runs])),
        f"{spread([run['images_seen'] for run in runs]).median:,.0f}",
        significant(spread([run["petaflop"] for run in runs]).median),
    ]


def _aim(recipe: Numbers, groups: Sequence[Numbers]) -> str:
    """Whether some recipe reaches the one's aim within its seconds, by precision, and the fastest that does."""
    number, unit = recipe["budget"].split()
    limit = float(number) if unit == "s" else math.inf
    verdicts = []
    for precision in dict.fromkeys(group["precision"] for group in groups):
        fastest: dict[float, str] = {}
        for group in groups:
            accuracy = mean_and_deviation([run["accuracy"] for run in group["runs"]]).mean
            longest = max(run["seconds"] for run in group["runs"])
            if group["precision"] == precision and accuracy >= recipe["target"]:
                fastest[longest] = f"{group['recipe']}, {percent(accuracy)} % in up to {significant(longest)} s"
        if not fastest:
            verdicts.append(f"{precision}: not reached")
        else:
            reached = "reached" if min(fastest) <= limit else "reached, but not in time"
            verdicts.append(f"{precision}: {reached} ({fastest[min(fastest)]})")
    within = "" if limit == math.inf else f" within {limit:g} s"
    return f"- {100 * recipe['target']:g} %{within}. {'; '.join(verdicts)}."


def _best_at(best_after: Sequence[tuple[float, float | None]], mark: float) -> str:
    """The last score by then; nothing after the search has ended."""
    if mark > best_after[-1][0]:
        return _NOTHING
    scores = [score for seconds, score in best_after if seconds <= mark]
    return _NOTHING if not scores or scores[-1] is None else percent(scores[-1])


def _parameters(recipe: Numbers) -> str:
    changes = [f"{name} {value}" for name, value in recipe["parameters"].items()]
    return "; ".join([*changes, f"augmentations {', '.join(recipe['augmentations'])}"])


def _tried(how: str, settings: str) -> str:
    """What the script tried before, folded away."""
    return f"<details>\n<summary>What the script tried</summary>\n\n{how}\n\n{settings}\n\n</details>"


def _states(trials: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in trials.items() if number)


def _loader_workers(number: int) -> str:
    return _count(number, "`DataLoader` worker", "`DataLoader` workers")


def _range(found: Spread) -> str:
    return f"{significant(found.median)} ({significant(found.low)}–{significant(found.high)})"


def _mean(found: MeanAndDeviation) -> str:
    deviation = percent(found.deviation) if found.runs > 1 else _NOTHING
    return f"{percent(found.mean)} ± {deviation}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
