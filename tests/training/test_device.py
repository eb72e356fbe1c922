"""In which precision a network trains, by processor and network; and whether torch and torchvision are of one pair."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark.cache import VARIABLE
from benchmark.errors import BenchError, UnknownNameError
from benchmark.training import check_libraries, choose_device, device

DENSE = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(2))
DEPTHWISE = nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.Flatten(), nn.LazyLinear(2))


def made_for(monkeypatch: pytest.MonkeyPatch, *, amx: bool, avx512_bf16: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)


def type_of_logits(network: nn.Module, precision: str) -> torch.dtype:
    with choose_device("cpu").autocast(precision, network):
        return network(torch.zeros(1, 3, 4, 4)).dtype


@pytest.mark.parametrize(("amx", "avx512_bf16"), [(True, True), (True, False), (False, True)])
def test_a_dense_network_trains_in_bfloat16_where_the_processor_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512_bf16: bool
) -> None:
    made_for(monkeypatch, amx=amx, avx512_bf16=avx512_bf16)
    assert type_of_logits(DENSE, "auto") is torch.bfloat16


def test_depthwise_networks_and_other_processors_stay_with_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    made_for(monkeypatch, amx=True, avx512_bf16=True)
    assert type_of_logits(DEPTHWISE, "auto") is torch.float32
    made_for(monkeypatch, amx=False, avx512_bf16=False)
    assert type_of_logits(DENSE, "auto") is torch.float32


@pytest.mark.parametrize("fast", [True, False])
def test_what_is_asked_for_counts_more(monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    made_for(monkeypatch, amx=fast, avx512_bf16=fast)
    assert type_of_logits(DENSE, "float32") is torch.float32
    assert type_of_logits(DEPTHWISE, "bfloat16") is torch.bfloat16


def test_bfloat16_is_refused_on_a_gpu_that_emulates_it() -> None:
    old = device.DeviceChoice(torch.device("cuda"), "Tesla V100", has_fast_bfloat16=False)
    with pytest.raises(BenchError, match="Tesla V100 has no bfloat16"):
        old.autocast("bfloat16", DENSE)


@pytest.mark.parametrize("name", ["mps", "cuda:99", "gpu", "cp"])
def test_a_device_that_is_not_here_is_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"device '{name}'"):
        choose_device(name)


def test_a_pair_that_fits_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(device, "_installed", lambda *packages: "-".join(packages))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    check_libraries()
    # Whatever imports it from now on fails.
    monkeypatch.setitem(sys.modules, "torchvision", None)
    check_libraries()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "another"))
    with pytest.raises(BenchError, match=r"does not fit torch .*install both from one index"):
        check_libraries()
    assert not (tmp_path / "another").exists()


def test_what_is_installed_again_has_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for package in ("first_of_pair", "second_of_pair"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    version = tmp_path / "second_of_pair" / "version.py"
    version.write_text("__version__ = '2.1+cpu'")
    monkeypatch.syspath_prepend(tmp_path)
    name = device._installed("first_of_pair", "second_of_pair")
    assert device._installed("first_of_pair", "second_of_pair") == name
    version.write_text("__version__ = '2.1+gpu'")
    assert device._installed("first_of_pair", "second_of_pair") != name
    assert device._installed("first_of_pair", "third_of_pair") != name
