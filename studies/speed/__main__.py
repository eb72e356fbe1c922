"""The command line of these benchmarks: `python -m studies.speed [PART ...]`; measures and renders nothing itself."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from benchmark.errors import BenchError
from studies import speed
from studies.speed.page import to_markdown
from studies.speed.parts import PARTS, part_named
from studies.speed.plan import Plan, quick_plan
from studies.speed.results import IDLE_LOAD, origin_of, read_results, write_result

PAGE = "page"
_NAMES = (*(part.name for part in PARTS), PAGE)
QUICK_FOLDER = Path("build/speed-quick")


def main(words: list[str] | None = None) -> None:
    """Measure the parts that were asked for, then write the page from all numbers that are there."""
    options = _parser().parse_args(words)
    plan = _plan(options)
    folder = QUICK_FOLDER if plan.quick else Path("results")
    # Taken once: a part leaves a load of its own behind.
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > IDLE_LOAD:
        print(f"The machine is not idle (load {load:.1f}): what shares it slows the user's script most, unfairly.")
    for name in options.parts or [part.name for part in PARTS]:
        if name == PAGE:
            continue
        part = part_named(name)
        if plan.device not in part.devices:
            print(f"{name}: needs {' or '.join(part.devices)}, and this machine has {plan.device}; not measured")
            continue
        print(f"{name}: measuring on {plan.device} ...", flush=True)
        started = time.perf_counter()
        origin = origin_of(plan, _command(name, options), load)
        path = write_result(folder, name, origin, part.measure(plan))
        print(f"{name}: {time.perf_counter() - started:.0f} s, {path}", flush=True)
    page = folder / "speed.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(to_markdown(read_results(folder)), encoding="utf-8")
    print(page)


def _plan(options: argparse.Namespace) -> Plan:
    import torch
    from joblib import cpu_count

    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if options.quick:
        return quick_plan(device, cpu_count(), QUICK_FOLDER)
    pruning = (options.pruning,) if options.pruning else Plan.pruning
    shorter = options.window / Plan.window_seconds
    return Plan(
        device,
        cpu_count(),
        repeats=options.repeats,
        window_seconds=options.window,
        warm_seconds=Plan.warm_seconds * shorter,
        data_folder=options.data,
        pruning=pruning,
        recipes=tuple(options.recipe),
        mps=options.mps,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m studies.speed", description=speed.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    # Not `choices`: before Python 3.12 argparse refuses an empty list of words that have choices.
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"{', '.join(_NAMES)}; default: all")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the GPU where there is one")
    parser.add_argument("--repeats", type=int, default=Plan.repeats, help="turns of each side, default %(default)s")
    parser.add_argument(
        "--window", type=float, default=Plan.window_seconds, help="seconds that a rate is measured, default %(default)g"
    )
    parser.add_argument("--pruning", choices=("on", "off"), help="of part hundred only this search, default both")
    parser.add_argument(
        "--recipe", action="append", default=[], help="of part time-to-accuracy only this recipe; may be given again"
    )
    parser.add_argument("--no-mps", dest="mps", action="store_false", help="workers on a GPU without MPS only")
    parser.add_argument("--data", type=Path, help="a folder with a copy of CIFAR-10")
    parser.add_argument("--quick", action="store_true", help=f"try out the code on digits, into {QUICK_FOLDER}")
    return parser


def _part(name: str) -> str:
    if name not in _NAMES:
        raise argparse.ArgumentTypeError(f"no part {name!r}; choose from {', '.join(_NAMES)}")
    return name


def _command(name: str, options: argparse.Namespace) -> str:
    """The command that measures this part alone, with the options that change its numbers."""
    words = ["python -m studies.speed", name]
    words += [f"--device {options.device}"] if options.device else []
    words += [f"--repeats {options.repeats}"] if options.repeats != Plan.repeats else []
    words += [f"--window {options.window:g}"] if options.window != Plan.window_seconds else []
    words += [f"--pruning {options.pruning}"] if options.pruning and name == "hundred" else []
    words += [f'--recipe "{recipe}"' for recipe in options.recipe if name == "time-to-accuracy"]
    words += ["--no-mps"] if not options.mps and name == "workers-per-gpu" else []
    words += ["--quick"] if options.quick else []
    return " ".join(words)


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(str(error))
