"""What is said about a machine's speed: whole, positive and consistent, whatever the machine; no figure is judged."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from filled_study import spec
from rich.console import Console

from benchmark import cli, speed
from benchmark.errors import BenchError, UnknownNameError
from benchmark.records import ImageShape
from benchmark.space import Space
from benchmark.speed import FamilySpeed, MatrixPeak, Rate, SpeedReport, device_named, measure_speed, rate_of
from benchmark.training import choose_device

TINY = 0.01
"""Seconds for one measurement."""
RATE = Rate(median=2000.0, low=1900.0, high=2200.0, repeats=5)
FAMILY = FamilySpeed(
    family="cnn",
    parameters=1000,
    macs=2000,
    batch_size=64,
    precision="float32",
    augmentations=("flip", "crop"),
    data_images_per_second=RATE,
    training_images_per_second=RATE,
    inference_images_per_second=RATE,
    training_share_of_peak=0.123,
    inference_share_of_peak=0.25,
)
PEAK = MatrixPeak(precision="float32", size=256, peak_tflops=0.5, median_tflops=0.25, repeats=5)
REPORT = SpeedReport(
    study="[red]tiny",
    dataset="digits",
    image_shape=ImageShape(1, 8, 8),
    device="a processor",
    threads=1,
    workers=2,
    seconds=TINY,
    commit="unknown",
    versions={"torch": "2.11.0"},
    peaks=(PEAK,),
    families=(FAMILY, replace(FAMILY, family="vgg", augmentations=())),
)


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def report(_threads: None) -> SpeedReport:
    return measure_speed(spec(), "cpu", None, seconds=TINY)


def test_every_family_of_the_study_is_measured_at_its_default(report: SpeedReport) -> None:
    assert [row.family for row in report.families] == ["cnn", "vgg"]
    for row in report.families:
        assert row.batch_size == Space(spec()).expert(row.family)["batch_size"] == 64
        assert row.precision in ("float32", "bfloat16")
        assert row.augmentations == ("crop",)
        assert 0 < row.training_share_of_peak <= 1.5
        assert 0 < row.inference_share_of_peak <= 1.5


def test_shares_follow_from_the_figures_beside_them(report: SpeedReport) -> None:
    peaks = {peak.precision: peak.peak_tflops * 1e12 for peak in report.peaks}
    assert list(peaks) == ["float32", "bfloat16"]
    for row in report.families:
        per_image = 2 * row.macs / peaks[row.precision]
        assert row.training_share_of_peak == pytest.approx(3 * per_image * row.training_images_per_second.median)
        assert row.inference_share_of_peak == pytest.approx(per_image * row.inference_images_per_second.median)


def test_one_worker_is_measured_as_a_search_starts_it(report: SpeedReport) -> None:
    assert report.threads == torch.get_num_threads() == 1
    assert report.workers >= 1
    assert (report.study, report.dataset, report.image_shape) == ("tiny", "digits", ImageShape(1, 8, 8))
    assert report.device == choose_device("cpu").name
    assert report.versions["torch"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_measured_too() -> None:
    (row,) = measure_speed(spec(), "cuda:0", None, families=("cnn",), seconds=0.5).families
    assert 0 < row.training_share_of_peak <= 1.5
    assert 0 < row.inference_share_of_peak <= 1.5


def test_only_the_families_that_are_asked_for_and_each_once() -> None:
    told: list[str] = []
    once = measure_speed(spec(), "cpu", None, families=("vgg", "vgg"), seconds=TINY, say=told.append)
    assert [row.family for row in once.families] == ["vgg"]
    assert told[-1] == "measuring vgg"


def test_the_studys_precision_decides_which_peak_counts() -> None:
    plain = replace(spec(), precision="float32")
    (row,) = measure_speed(plain, "cpu", None, families=("cnn",), seconds=TINY).families
    assert row.precision == "float32"


def test_products_leave_the_settings_as_they_were(report: SpeedReport) -> None:
    assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_time_that_is_none(seconds: float) -> None:
    with pytest.raises(BenchError, match="more than 0 seconds"):
        measure_speed(spec(), "cpu", None, seconds=seconds)


def test_a_family_that_the_study_has_not() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown family of study 'tiny' 'vgf'; did you mean 'vgg'\?"):
        measure_speed(spec(), "cpu", None, families=("cnn", "vgf"), seconds=TINY)


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed.measuring, "devices", lambda: ["cuda:0", "cuda:1"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_named(name) for name in ("auto", "cpu", "cuda:1")] == ["cuda:0", "cpu", "cuda:1"]
    monkeypatch.setattr(speed.measuring, "devices", lambda: ["cpu"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert [device_named(name) for name in ("auto", "cpu")] == ["cpu", "cpu"]
    with pytest.raises(UnknownNameError, match="unknown device 'cuda:0'; known: auto, cpu"):
        device_named("cuda:0")


def test_a_rate_counts_units_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now, calls = [0.0], [0]
    monkeypatch.setattr(speed.measuring.time, "perf_counter", lambda: now[0])

    def work() -> None:
        # The first call prepares; later ones take a quarter of a second, those of the last repeat twice as long.
        calls[0] += 1
        now[0] += 8.0 if calls[0] == 1 else 0.25 if calls[0] <= 3 + 4 * 8 else 0.5

    rate = rate_of(work, 100, 10.0, choose_device("cpu"))
    assert calls[0] == 3 + 5 * 8
    assert rate == Rate(median=400.0, low=200.0, high=400.0, repeats=5)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rate(median=2.0, low=3.0, high=4.0, repeats=5),
        lambda: Rate(median=2.0, low=0.0, high=4.0, repeats=5),
        lambda: Rate(median=math.nan, low=1.0, high=4.0, repeats=5),
        lambda: replace(PEAK, precision="float16"),
        lambda: replace(PEAK, median_tflops=1.0),
        lambda: replace(FAMILY, macs=0),
        lambda: replace(FAMILY, training_share_of_peak=math.nan),
        lambda: replace(REPORT, families=()),
    ],
)
def test_figures_that_cannot_be(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"not|at least"):
        wrong()  # type: ignore[operator]


def test_json_holds_every_figure(report: SpeedReport) -> None:
    whole = json.loads(speed.to_json(report))
    assert set(whole) == set(SpeedReport.__dataclass_fields__)
    assert [set(row) for row in whole["families"]] == [set(FamilySpeed.__dataclass_fields__)] * 2
    assert set(whole["families"][0]["training_images_per_second"]) == {"median", "low", "high", "repeats"}


@pytest.mark.parametrize("width", [80, 200])
def test_a_terminal_shows_every_family_and_how_to_read_it(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(speed.to_rich(REPORT))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("[red]tiny on digits", "cnn", "1.00 k", "2,000", "-5…+10 %", "12.3 %", "25.0 %", "one worker of 2"):
        assert shown in text
    assert "cnn flip, crop; vgg as they are" in " ".join(text.split())


def test_the_command_prints_json_alone_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["speed", "digits", "--device", "cpu", "--family", "cnn", "--seconds", str(TINY), "--json"]
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    out, err = capfd.readouterr()
    assert [row["family"] for row in json.loads(out)["families"]] == ["cnn"]
    assert "measuring cnn" in err
    assert list(tmp_path.iterdir()) == []
