"""The real trackers: what they have of a run is what its log has, also after kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import small_spec
from resuming import begun, killed_at
from stores import EACH, assert_complete, logged, offline, stored

import netbuild

LONG = """\
  steps: 1000000
  log_every: 50
  evaluate: {every: 100}
  checkpoint: {every: 400}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in offline(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("tracker", EACH)
def test_the_history_is_whole_after_a_cut(tracker: str, place: Path) -> None:
    spec = netbuild.load(small_spec(place), [f"training.track={tracker}", "training.log_every=1"])
    path = begun(spec, place / "runs", killed_at(17))
    first = stored(tracker, path, place)
    assert 10 < len(first["train/loss"]) < 24
    run = netbuild.resume(path)
    assert run.about["status"] == "finished"
    found = stored(tracker, path, place)
    assert_complete(found, path)
    assert "final/test/last/accuracy" in found
    assert "train/regularizers/dale/weighted" in found


@pytest.mark.parametrize("tracker", EACH)
def test_a_run_that_has_ended_is_sent_once(cli: Any, tracker: str, place: Path) -> None:
    path = netbuild.train(small_spec(place), place / "runs").path
    for _ in range(2):
        assert cli("resume", path, "--track", tracker, "-q").code == 0
    assert_complete(stored(tracker, path, place), path)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
@pytest.mark.parametrize("tracker", EACH)
def test_the_history_is_whole_after_kills(tracker: str, place: Path) -> None:
    text = small_spec(place).read_text()
    head, _, tail = text.partition("  steps: 24\n")
    tail = "".join(
        line + "\n"
        for line in tail.splitlines()
        if "evaluate" not in line and "checkpoint" not in line and "schedule" not in line
    )
    (place / "small.yaml").write_text(head + LONG + tail)
    start = command("train", "small.yaml", "--track", tracker, "-q")
    again = command("resume", "latest", "-q")
    for number, (line, kill) in enumerate([(start, one), (again, tree), (again, None)], 1):
        with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
            try:
                path = followed(place, tracker, number, process)
                if kill is None:
                    process.send_signal(signal.SIGINT)
                    assert process.wait(120) == 130
                else:
                    kill(process.pid)
                    assert process.wait(60) == -signal.SIGKILL
            finally:
                process.kill()
    found = stored(tracker, path, place)
    assert len(found["train/loss"]) > 120
    assert_complete(found, path)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "netbuild", *map(str, arguments)]


def followed(place: Path, tracker: str, times: int, process: subprocess.Popen[bytes]) -> Path:
    """The run that a process trains, once the tracker has followed it for a while."""
    wait_for(lambda: any(place.glob("runs/small/*/tracking/*.log")), process)
    (path,) = {each.parent.resolve() for each in place.glob("runs/small/*/run.json")}
    said = path / "tracking" / f"{tracker}.log"
    wait_for(lambda: said.read_text().count("begins after") == times, process)
    rows = len(logged(path)["train/loss"])
    wait_for(lambda: len(logged(path)["train/loss"]) > rows + 40, process)
    time.sleep(2)
    return path


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 300
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)


def one(process: int) -> None:
    """Kill a process; those that it has started learn it."""
    os.kill(process, signal.SIGKILL)


def tree(process: int) -> None:
    """Kill a process with all that it has started, as a loss of power does."""
    for each in [process, *below(process)]:
        os.kill(each, signal.SIGKILL)


def below(process: int) -> Iterator[int]:
    for path in Path("/proc", str(process), "task").glob("*/children"):
        for child in path.read_text().split():
            yield int(child)
            yield from below(int(child))
