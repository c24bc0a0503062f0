"""What is known of each run below a folder, of running and of damaged ones too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import listed, locked, make_run

from netbuild.listing import Entry, entries, entry, is_locked


def test_hidden_folders_links_and_what_a_run_holds_are_no_runs(here: Path) -> None:
    path = make_run(here)
    make_run(here / ".hidden", 1)
    make_run(path / "figures", 2)
    (here / "again").symlink_to("small", target_is_directory=True)
    (here / "loop").symlink_to(".", target_is_directory=True)
    assert len(entries(here)) == 1
    assert [each.path for each in entries(path)] == [path]


def test_a_run_that_says_running_is_so_while_its_lock_is_held(cli: Any, here: Path) -> None:
    path = make_run(here, status="running", step=3, accuracy=0.1)
    lines = [
        {"step": 20, "kind": "evaluation", "loss": 0.4, "accuracy": 0.8},
        {"step": 22, "kind": "train", "loss": 0.3},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text + '{"step": 23, "ki')
    with locked(path):
        (row,) = listed(cli)
        shown = ("status", "step", "accuracy", "loss", "best")
        assert [row[key] for key in shown] == ["running", 22, 0.8, 0.4, 0.75]
    (row,) = listed(cli)
    assert [row[key] for key in shown] == ["interrupted", 20, 0.75, 0.5, 0.75]
    (path / ".lock").unlink()
    assert listed(cli)[0]["status"] == "interrupted"


def test_only_the_end_of_a_long_log_is_read(here: Path) -> None:
    path = make_run(here, status="running")
    line = json.dumps({"step": 7, "kind": "train", "loss": 0.3}) + "\n"
    (path / "metrics.jsonl").write_text("not JSON at all" * 9000 + "\n" + line)
    with locked(path):
        assert entry(path).step == 7


def test_looking_at_a_lock_does_not_hold_it(here: Path) -> None:
    path = make_run(here)
    assert is_locked(path) is False
    with locked(path):
        assert is_locked(path) is True
    with locked(path):  # nothing of ours holds it
        pass


def test_a_run_that_is_only_being_made(here: Path) -> None:
    path = make_run(here)
    (path / "run.json").unlink()
    (path / "inputs").mkdir()
    with locked(path):
        assert [each.status for each in entries(here)] == ["running"]
    (found,) = entries(here)
    assert (found.status, found.problem) == (
        "damaged",
        "no run.json: it ended before it began",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "run.json is not that of a run"),
        ('{"format": 1', "run.json is not that of a run"),
        ("\xff\xfe", "run.json is not that of a run"),
        ("[" * 100_000, "run.json is not that of a run"),
        ("[1]", "run.json is not that of a run"),
        ('{"name": "small"}', "run.json is not that of a run"),
        ('{"format": 3}', "it was written by a newer version of netbuild"),
        ('{"format": 0}', "it was written by an older version of netbuild"),
    ],
)
def test_damaged_runs_are_listed_beside_the_others(
    cli: Any, here: Path, text: str, problem: str
) -> None:
    path, _ = make_run(here), make_run(here, 1)
    (path / "run.json").write_text(text, encoding="latin-1")
    result = cli("runs")
    assert result.code == 0
    assert [line.split()[2] for line in result.out.splitlines()[1:]] == ["damaged", "finished"]
    assert result.err == f"{path}: {problem}\n"
    first, second = listed(cli)
    assert (first["status"], first["problem"], second["seed"]) == ("damaged", problem, 1)


def test_what_is_no_file_is_not_waited_for(here: Path) -> None:
    path = make_run(here)
    (path / "run.json").unlink()
    os.mkfifo(path / "run.json")
    assert entry(path).problem == "run.json is not a regular file of fair size"
    path = make_run(here, 1, status="running")
    (path / "metrics.jsonl").unlink()
    os.mkfifo(path / "metrics.jsonl")
    with locked(path):
        assert (entry(path).status, entry(path).step) == ("running", 20)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


STATES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("step", "kind", "best", "evaluations"), VALUES)
)


KEYS = ("name", "seed", "spec_hash", "git", "started", "status", "step", "loss", "best")


@given(st.dictionaries(st.sampled_from(KEYS), VALUES | st.just("running")), STATES | VALUES)
def test_whatever_a_run_says_it_is_listed(
    tmp_path_factory: pytest.TempPathFactory, about: dict[str, Any], state: Any
) -> None:
    root = tmp_path_factory.mktemp("runs")
    path = make_run(root)
    whole = json.loads((path / "run.json").read_text()) | about
    (path / "run.json").write_text(json.dumps(whole))
    (path / "checkpoints" / "step-00000020" / "state.json").write_text(json.dumps(state))
    (path / "metrics.jsonl").write_text(f"{json.dumps(state)}\n")
    with locked(path):
        found = entry(path)
    json.dumps({**vars(found), "path": ""}, allow_nan=False)
    status = whole["status"]
    assert found.status == (status if isinstance(status, str) and status else "unknown")


def test_an_entry_names_its_folder() -> None:
    assert Entry(Path("runs/small/abc"), "finished").run == "abc"
