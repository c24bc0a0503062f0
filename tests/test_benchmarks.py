"""Benchmarks still run: what only prints figures would break unseen."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import torch
from places import ROOT

NAMES = sorted({path.stem for path in (ROOT / "benchmarks").glob("[a-z]*.py")} - {"timing"})


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    for name in [name for name in sys.modules if name.startswith("benchmarks")]:
        del sys.modules[name]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_command(name: str) -> None:
    assert callable(import_module(f"benchmarks.{name}").main)


def test_a_durable_step_is_taken_beside_a_bare_one(capsys: pytest.CaptureFixture[str]) -> None:
    durability = import_module("benchmarks.durability")
    ours = durability.ours(durability.specification(durability.DIGITS))
    ours()
    assert (durability.OUT / "digits-dale").is_dir()
    durability.bare_digits()()
    durability.stall()
    assert "a checkpoint of" in capsys.readouterr().out
    assert torch.get_deterministic_debug_mode() == 0
