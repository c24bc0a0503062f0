"""What options that commands share are turned into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import netbuild
from netbuild.cli.options import load_spec, located_in, run_unless_spec, which_checkpoint
from netbuild.errors import NetbuildError, Place, Problem, SpecError


@pytest.mark.parametrize(("text", "which"), [("best", "best"), ("last", "last"), ("007", 7)])
def test_a_checkpoint_is_named_or_a_step(text: str, which: Any) -> None:
    assert which_checkpoint(text) == which


@pytest.mark.parametrize("text", ["", "first", "-1", "1.0", "٣", "9" * 19])
def test_other_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(NetbuildError, match="best, last or a step") as caught:
        which_checkpoint(text)
    assert caught.value.exit_code == 2


def test_the_device_is_the_last_override(small: Path) -> None:
    spec = load_spec(str(small), ["device=cuda", "seed=9"], ["name"], "cpu")
    assert (spec.model.device, spec.model.seed) == ("cpu", 9)
    assert spec.model.name == "network"


def test_problems_of_a_command_line_name_the_spec(small: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(str(small), ["seed=-1"])
    (problem,) = caught.value.problems
    assert problem.place is not None
    assert (problem.place.source, problem.place.spec) == ("--set #1", str(small))
    inside = Problem("NB101", "unknown key", place=Place("other.yaml", 3))
    with pytest.raises(SpecError) as caught, located_in("x.yaml"):
        raise SpecError([inside])
    assert caught.value.problems == (inside,)


def test_warnings_are_printed_unless_none_are_wanted(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (small.parent / "m.csv").write_text("1,0,1\n" * 12)  # one unit receives nothing
    change = ["layers[readout].sparsity_mask={file: m.csv, rows: pre}"]
    assert len(load_spec(str(small), change, warn=None).warnings) == 2
    assert capsys.readouterr().err == ""
    load_spec(str(small), change, warn="github")
    assert capsys.readouterr().err.startswith("::warning ")


def test_only_a_spec_takes_overrides(run: netbuild.Run, small: Path) -> None:
    assert run_unless_spec(str(small), ["seed=1"], ["name"]) is None
    assert run_unless_spec(str(run.path), [], None) == run.path
    for changes, unset in ((["seed=1"], None), (None, ["name"])):
        with pytest.raises(NetbuildError, match="is a run; --set and --unset change a spec"):
            run_unless_spec(str(run.path), changes, unset)
