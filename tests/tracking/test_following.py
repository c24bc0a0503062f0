"""Whatever a tracker does, the training ends with the same bits, and one line tells of it.

The trackers here are a stand-in for the package trackio that misbehaves, so that they run wherever
the package is missing.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from conftest import small_spec
from resuming import assert_same, begun, stopped_at

import netbuild
from netbuild.tracking import following
from netbuild.tracking.following import followed_before

PACKAGE = """\
import os, time
def forever():
    while True:
        time.sleep(1)
class Run:
    _next_step = 0
    logged = 0
    def log(self, values, step):
        self.logged += 1
        if self.logged == 2:
            IN_THE_MIDDLE
    def finish(self):
        AT_THE_END
def init(**options):
    AT_THE_START
    return Run()
"""
PLACES = ("AT_THE_START", "IN_THE_MIDDLE", "AT_THE_END")
RAISES, DIES, HANGS = "raise OSError('no route')", "os._exit(3)", "forever()"
MISDEEDS = [
    ("AT_THE_START", RAISES, "OSError: no route"),
    ("IN_THE_MIDDLE", RAISES, "OSError: no route"),
    ("AT_THE_END", RAISES, "OSError: no route"),
    ("IN_THE_MIDDLE", DIES, "its process ended with code 3"),
    ("AT_THE_START", HANGS, "it did not come to an end"),
    ("AT_THE_END", HANGS, "it did not come to an end"),
    ("AT_THE_END", "pass", ""),
]


@pytest.fixture(scope="module")
def untracked(tmp_path_factory: pytest.TempPathFactory) -> netbuild.Run:
    folder = tmp_path_factory.mktemp("untracked")
    return netbuild.train(small_spec(folder), folder / "runs")


def pretend(folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, deed: str) -> None:
    """Let `trackio` be a package that does something at a place."""
    text = PACKAGE
    for each in PLACES:
        text = text.replace(each, deed if each == place else "pass")
    (folder / "trackio.py").write_text(text)
    monkeypatch.syspath_prepend(folder)
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.mark.parametrize(("place", "deed", "said"), MISDEEDS)
def test_a_tracker_that_fails_ends_no_training(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    untracked: netbuild.Run,
    place: str,
    deed: str,
    said: str,
) -> None:
    pretend(tmp_path, monkeypatch, place, deed)
    monkeypatch.setattr(following, "PATIENCE", 1.0 if deed == HANGS else 60.0)
    spec = netbuild.load(small_spec(tmp_path), ["training.track=trackio"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = netbuild.train(spec, tmp_path / "runs")
    told = [str(each.message) for each in caught]
    if said:
        assert len(told) == 1
        assert told[0].startswith("tracker trackio failed, and the training goes on without it")
        assert said in told[0]
    else:
        assert told == []
    assert_same(run, untracked)
    assert run.info.spec_hash == untracked.info.spec_hash
    assert netbuild.reproduce(run.path).same
    assert followed_before(run.path) == ["trackio"]


def test_a_tracker_ends_no_training_where_warnings_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untracked: netbuild.Run
) -> None:
    pretend(tmp_path, monkeypatch, "AT_THE_START", RAISES)
    spec = netbuild.load(small_spec(tmp_path), ["training.track=trackio"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = netbuild.train(spec, tmp_path / "runs")
    assert_same(run, untracked)


def test_a_run_goes_on_without_its_trackers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untracked: netbuild.Run
) -> None:
    pretend(tmp_path, monkeypatch, "AT_THE_END", "pass")
    spec = netbuild.load(small_spec(tmp_path), ["training.track=trackio"])
    path = begun(spec, tmp_path / "runs", stopped_at(10))
    said = (path / "tracking" / "trackio.log").read_text()
    assert_same(netbuild.resume(path, track=None), untracked)
    assert (path / "tracking" / "trackio.log").read_text() == said


def test_a_run_whose_trackers_have_no_folder_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, untracked: netbuild.Run
) -> None:
    pretend(tmp_path, monkeypatch, "AT_THE_END", "pass")
    (tmp_path / "elsewhere").mkdir()

    def stop(record: netbuild.training.Record, trainer: netbuild.training.Trainer) -> None:
        trainer.stop = True

    spec = netbuild.load(small_spec(tmp_path))
    run = netbuild.train(spec, tmp_path / "runs", watch=stop)
    (run.path / "tracking").symlink_to(tmp_path / "elsewhere")
    with pytest.warns(RuntimeWarning, match="is a symbolic link"):
        assert_same(netbuild.resume(run.path, track=["trackio"]), untracked)
    assert list((tmp_path / "elsewhere").iterdir()) == []
