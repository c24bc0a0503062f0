"""run.json and state.json as models: what a damaged or hostile one leads to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from resuming import begun, stopped_at

import netbuild
from netbuild import rundir
from netbuild.errors import Exit, NetbuildError
from netbuild.runs.schema import read_info


@pytest.mark.parametrize("depth", [500, 700, 5000])
def test_what_is_nested_too_deep_is_damage(small: Path, tmp_path: Path, depth: int) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(10)) / "run.json"
    info = json.loads(path.read_text())
    text = json.dumps(info | {"task_widths": "HERE"})
    path.write_text(text.replace('"HERE"', '{"a":' * depth + "0" + "}" * depth))
    with pytest.raises(NetbuildError) as caught:
        read_info(path)
    assert caught.value.exit_code == Exit.RUN


def test_a_state_that_is_nested_too_deep_is_not_whole() -> None:
    for depth in range(100, 1100, 7):
        text = json.dumps({"digest": ""})[:-1] + ', "a": ' + '{"a":' * depth + "0" + "}" * depth
        with pytest.raises(ValueError, match=r"digest|deep"):
            rundir.unsealed((text + "}").encode())


def test_a_resumed_run_no_longer_tells_why_it_had_stopped(small: Path, tmp_path: Path) -> None:
    path = begun(small, tmp_path / "runs", stopped_at(10))
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | {"error": "the power was lost"}))
    netbuild.resume(path)
    assert "error" not in json.loads((path / "run.json").read_text())


def test_the_final_scores_of_others_are_checked(run: netbuild.Run) -> None:
    path = run.path / "run.json"
    info, score = json.loads(path.read_text()), {"step": 24, "loss": None}
    assert read_info(path).has_separate_test
    for odd in (
        {"validation": {"last": score}},
        {"test": {"best": score}},
        {"test": {"last": score | {"step": "24"}}},
        {"train": {"last": score}},
        [],
    ):
        path.write_text(json.dumps(info | {"scores": odd}))
        with pytest.raises(NetbuildError, match="damaged: see `"):
            read_info(path)
    path.write_text(json.dumps(info | {"selected_on": "the test set"}))
    with pytest.raises(NetbuildError, match="damaged: see `selected_on`"):
        read_info(path)
