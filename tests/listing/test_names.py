"""A run by its folder, a beginning of its name, its spec, or `latest`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import START, make_run

import netbuild
from netbuild.errors import NetbuildError
from netbuild.listing import find_run


def test_a_run_by_its_names(here: Path) -> None:
    one = make_run(here, 1, name="ei-decision")
    two = make_run(here, 2, name="digits")
    three = make_run(here, 3, name="digits")
    for target, path in {
        str(one): one,
        f"{one}/": one,
        str(one.absolute()): one.absolute(),
        one.name: one,
        one.name[:13]: one,
        "ei-decision": one,
        "ei-decision/": one,
        "ei": one,
        "ei-decision/latest": one,
        "runs/ei-decision/latest": one,
        "runs/ei-decision": one,
        "ei-decision/2026": one,
        "digits/latest": three,
        "runs/latest": three,
        "latest": three,
        "0002beef": two,
        "02ab": two,
    }.items():
        assert find_run(target) == path, target


def test_latest_is_the_newest_start_that_has_a_checkpoint(here: Path) -> None:
    newest, oldest = make_run(here, 0, started=START.format(50)), make_run(here, 3)
    assert find_run("latest") == newest
    (newest / "checkpoints" / "step-00000020" / "state.json").unlink()
    (newest / "checkpoints" / "step-00000020").rmdir()
    assert find_run("latest") == oldest
    (oldest / "run.json").write_text("{")  # damaged, and still the only one that was saved
    assert find_run("latest") == oldest


def test_runs_elsewhere(here: Path, tmp_path: Path) -> None:
    path = make_run(tmp_path / "out", 4)
    assert find_run(f"{tmp_path}/out/latest") == path
    assert find_run("out/small/latest") == Path("out") / "small" / path.name
    assert find_run("out/small/20261122T0604") == Path("out") / "small" / path.name
    Path("sma").mkdir()
    make_run(here, 6)
    with pytest.raises(NetbuildError, match="sma is not a run directory"):
        find_run("sma")  # a folder is no beginning of a name
    mine = make_run(here, 5, name="out")  # a folder that is no folder of runs is not in the way
    Path("out").rename("other")
    Path("out").mkdir()
    assert find_run("out/latest") == mine
    assert find_run("out") == mine


def test_a_name_of_several_runs_lists_them(cli: Any, here: Path) -> None:
    paths = [make_run(here, number) for number in range(10)]
    result = cli("inspect", "2026")
    assert result.code == 5
    lines = result.err.splitlines()
    assert lines[0] == "error: 10 runs begin with 2026, newest first:"
    assert lines[1] == f"  {paths[9]}  finished, step 24, accuracy 0.9000"
    assert lines[8] == f"  {paths[2]}  finished, step 24, accuracy 0.2000"
    assert lines[9] == "  ... and 2 more"
    assert lines[10] == "   help: write more of the name, or `small/latest`"
    assert "10 runs are of small, newest first" in cli("inspect", "small").err
    make_run(here, 11, name="smaller")
    several = cli("inspect", "sma").err
    assert "11 runs are of specs that begin with sma" in several
    assert "or `latest`" in several


@pytest.mark.parametrize(
    ("target", "code", "what", "hint"),
    [
        ("smal/latest", 5, "there is no run of `smal`", "did you mean `small`?"),
        ("qqq/latest", 5, "there is no run of `qqq`", "looked below runs/qqq"),
        ("smll", 2, "smll is neither a spec nor a run", "did you mean `small`?"),
        ("zzzz", 2, "zzzz is neither a spec nor a run", "looked for below runs"),
        ("runs", 5, "runs is not a run directory", "below it are 2 runs; the newest is runs/l"),
        ("empty", 5, "empty is not a run directory", "no run is below it"),
        ("gone.yaml", 3, "cannot read the spec", ""),
        ("a\x1bb", 2, "a\\x1bb is neither a spec nor a run", ""),
    ],
)
def test_what_names_no_run(
    cli: Any, here: Path, target: str, code: int, what: str, hint: str
) -> None:
    make_run(here), make_run(here, 1)
    Path("empty").mkdir()
    result = cli("inspect", target)
    assert (result.code, result.out) == (code, "")
    assert what in result.err
    assert hint in result.err


@given(st.text(max_size=12))
def test_any_text_names_a_run_or_is_told(text: str) -> None:
    with contextlib.suppress(NetbuildError):
        assert find_run(text, Path("no such folder")) is None


def test_latest_is_the_newest_of_one_second(cli: Any, small: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(small.parent)
    for seed in range(6):
        run = netbuild.train(netbuild.load(small, [f"seed={seed}", "training.steps=1"]))
        assert find_run("latest") == Path("runs") / run.path.relative_to("runs")


def test_commands_take_a_run_by_its_names(
    cli: Any, small: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("inspect", "latest").code == 5
    run = netbuild.train(small)
    for name in ("latest", "small/latest", run.path.name, run.path.name[:-2], str(run.path)):
        assert cli("inspect", name).code == 0, name
    netbuild.train(small)
    ambiguous = cli("inspect", run.path.name[:4])
    assert ambiguous.code == 5
    assert "2 runs begin with" in ambiguous.err
    assert cli("inspect", "runs").code == 5
    assert cli("inspect", "nothing-here.yaml").code == 3
