"""`netbuild runs` and RUN by name: what is listed, sorted, filtered, and what is only damaged."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import netbuild
from netbuild.errors import NetbuildError
from netbuild.listing import Entry, entries, entry, find_run, is_locked
from netbuild.listing.filters import SpecValues, parse_condition

START = "2026-11-22T06:{:02d}:00.000+00:00"


def make_run(root: Path, number: int = 0, *, name: str = "small", **about: Any) -> Path:
    """A run's folder with a `run.json` and a checkpoint's state, and nothing that takes long."""
    path = root / name / f"20261122T06{number:02d}00Z-{number:04x}beef-{number:02x}ab"
    (path / "checkpoints" / "step-00000020").mkdir(parents=True)
    best = {"step": 20, "stage": 0, "metric": "accuracy", "value": 0.75}
    state = {"step": 20, "best": best, "evaluations": [{"loss": 0.5, "accuracy": 0.75}]}
    (path / "checkpoints" / "step-00000020" / "state.json").write_text(json.dumps(state))
    (path / "metrics.jsonl").write_text("")
    (path / ".lock").touch()
    whole = {
        "format": 1,
        "name": name,
        "spec_hash": f"{number:04x}beef00000000",
        "seed": number,
        "git": {"commit": f"{number:x}" * 40, "changed": bool(number % 2)},
        "started": START.format(number),
        "status": "finished",
        "step": 24,
        "loss": 1 / (number + 1),
        "accuracy": number / 10,
        "best": best | {"value": 0.9},
    }
    (path / "run.json").write_text(json.dumps(whole | about))
    rate = 10.0 ** -(number % 3)
    text = "layers:\n- name: hidden\n  type: linear\n  activation: {type: relu}\n"
    text += f"training:\n  lr: {rate!r}\n"
    (path / "resolved.yaml").write_text(text)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `runs` of an empty working directory."""
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    return Path("runs")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another holder of a run's lock."""
    descriptor = os.open(path / ".lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def listed(cli: Any, *arguments: object) -> list[dict[str, Any]]:
    result = cli("runs", *arguments, "--format", "json")
    assert (result.code, result.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


# What is listed


def test_a_trained_run_is_listed_as_it_says(cli: Any, small: Path, here: Path) -> None:
    run = netbuild.train(small)
    (found,) = listed(cli)
    assert found == {
        "run": run.path.name,
        "path": str(run.path),
        "status": "finished",
        "name": "small",
        "step": 24,
        "accuracy": run.final["accuracy"],
        "loss": run.final["loss"],
        "best": max(x["accuracy"] for x in run.metrics if x["kind"] == "evaluation"),
        "seed": 3,
        "spec": run.about["spec_hash"],
        "commit": run.about["git"]["commit"],
        "changed": run.about["git"]["changed"],
        "started": run.about["started"],
        "problem": "",
    }


def test_runs_are_in_order_of_their_start_the_newest_last(cli: Any, here: Path) -> None:
    paths = [make_run(here, number, name=name) for number, name in ((2, "a"), (0, "c"), (1, "b"))]
    assert [row["seed"] for row in listed(cli)] == [0, 1, 2]
    assert cli("runs", "-q").out.splitlines() == [str(paths[i]) for i in (1, 2, 0)]


def test_the_table_is_plain_and_whole_in_a_pipe(cli: Any, here: Path) -> None:
    make_run(here, 1)
    make_run(here, 0, status="interrupted")
    result = cli("runs")
    assert result.err == ""
    head, first, second = result.out.splitlines()
    assert head.split() == [
        *("name", "run", "status", "step", "accuracy", "loss", "best", "seed", "spec", "commit"),
        "started",
    ]
    assert first.split() == [
        *("small", "20261122T060000Z-0000beef-00ab", "interrupted", "24", "0.0000", "1.0000"),
        *("0.9000", "0", "0000beef", "0000000", "2026-11-22", "06:00:00"),
    ]
    assert "1111111+" in second
    assert len({line.index("2026-11-22 06") for line in (first, second)}) == 1


def test_without_runs_it_says_so(cli: Any, here: Path) -> None:
    assert cli("runs").out == "no run below runs\n"
    make_run(here)
    assert cli("runs", "--filter", "seed=9").out == (
        "no run below runs passes the filters, of 1\n"
    )
    here.rename("elsewhere")
    assert cli("runs").out == "no run below runs\n"
    assert listed(cli) == []
    missing = cli("runs", "nowhere")
    assert (missing.code, missing.out) == (7, "")


def test_hidden_folders_links_and_what_a_run_holds_are_no_runs(here: Path) -> None:
    path = make_run(here)
    make_run(here / ".hidden", 1)
    make_run(path / "figures", 2)
    (here / "again").symlink_to("small", target_is_directory=True)
    (here / "loop").symlink_to(".", target_is_directory=True)
    assert len(entries(here)) == 1
    assert [each.path for each in entries(path)] == [path]


# How runs stand


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
        ('{"format": 2}', "it was written by a newer version of netbuild"),
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


def test_control_characters_do_not_reach_the_terminal(cli: Any, here: Path) -> None:
    make_run(here, status="\x1b[2Jfinished\nrunning")
    result = cli("runs")
    assert "\x1b" not in result.out
    assert len(result.out.splitlines()) == 2


# Sorting and filtering


@pytest.mark.parametrize(
    ("key", "order"),
    [
        ("seed", [0, 1, 2, 3]),
        ("-seed", [3, 2, 1, 0]),
        ("loss", [3, 2, 1, 0]),
        ("accuracy", [0, 1, 2, 3]),
        ("run", [0, 1, 2, 3]),
        ("training.lr", [2, 1, 0, 3]),
        ("-training.lr", [0, 3, 1, 2]),
        ("layers[hidden].activation", [0, 1, 2, 3]),
    ],
)
def test_sorting_by_columns_and_paths(cli: Any, here: Path, key: str, order: list[int]) -> None:
    for number in range(4):
        make_run(here, number)
    rows = listed(cli, "--sort", key)
    assert [row["seed"] for row in rows] == order
    if "." in key:
        assert key.removeprefix("-") in rows[0]
        assert key.removeprefix("-") in cli("runs", "--sort", key).out.splitlines()[0].split()


def test_what_is_missing_is_sorted_first(cli: Any, here: Path) -> None:
    for number in range(3):
        make_run(here, number, accuracy=None if number == 1 else 0.5)
    assert [row["seed"] for row in listed(cli, "--sort", "accuracy")] == [1, 0, 2]


@pytest.mark.parametrize(
    ("filters", "seeds"),
    [
        (["seed=2"], [2]),
        (["seed!=2"], [0, 1, 3]),
        (["seed>=1", "seed<3"], [1, 2]),
        (["accuracy>0.15"], [2, 3]),
        (["status=finished"], [0, 1, 3]),
        (["status=stopped early"], [2]),
        (["status=*ed*"], [0, 1, 2, 3]),
        (["name=small"], [0, 1, 2, 3]),
        (["name=s*l"], [0, 1, 2, 3]),
        (["name=smal"], []),
        (["spec=0003"], [3]),
        (["spec=0000beef"], [0]),
        (["commit=22"], [2]),
        (["changed=true"], [1, 3]),
        (["changed=1"], []),
        (["seed=true"], []),
        (["started>=2026-11-22T06:02"], [2, 3]),
        (["best=null"], []),
        (["training.lr=0.01"], [2]),
        (["training.lr=1e-2"], [2]),
        (["training.lr>0.01"], [0, 1, 3]),
        (["training.lr=0.01", "seed=0"], []),
        (["layers[hidden].activation=relu"], [0, 1, 2, 3]),
        (["layers[hidden].activation={type: relu}"], [0, 1, 2, 3]),
        (["layers[hidden].activation=tanh"], []),
        (["layers[0].name=hid*"], [0, 1, 2, 3]),
        (["training.clip_grad_norm=null"], [0, 1, 2, 3]),
    ],
)
def test_filters(cli: Any, here: Path, filters: list[str], seeds: list[int]) -> None:
    for number in range(4):
        make_run(here, number, **({"status": "stopped early"} if number == 2 else {}))
    options = [word for each in filters for word in ("--filter", each)]
    assert [row["seed"] for row in listed(cli, *options)] == seeds


@pytest.mark.parametrize(
    ("option", "text", "what", "hint"),
    [
        ("--filter", "seed", "a filter is KEY=VALUE; got `seed`", "write for example"),
        ("--filter", "statsu=finished", "there is no key `statsu`", "did you mean `status`?"),
        ("--filter", "training.rl=1", "there is no key `rl`", "it can only be `lr`"),
        ("--filter", "layers[hiden].name=x", "no item is named `hiden`", "`hidden`?"),
        ("--filter", "seed=[1", "--filter seed=[1: ", ""),
        ("--filter", "a..b=1", "`a..b` is not a path", "keys are joined by dots"),
        ("--sort", "training.rl", "there is no key `rl`", "it can only be `lr`"),
        ("--sort", "", "an empty path", ""),
    ],
)
def test_what_cannot_be_sorted_or_filtered_by_is_a_usage_error(
    cli: Any, here: Path, option: str, text: str, what: str, hint: str
) -> None:
    make_run(here)
    result = cli("runs", option, text)
    assert (result.code, result.out) == (2, "")
    assert what in result.err
    assert hint in result.err


def test_a_shared_spec_is_read_once_and_a_damaged_one_fits_nothing(here: Path) -> None:
    paths = [make_run(here, number, spec_hash="same") for number in range(3)]
    (paths[0] / "resolved.yaml").write_text("layers: [")
    condition, specs = parse_condition("training.lr>0"), SpecValues()
    assert [condition.holds(each, specs) for each in entries(here)] == [False, True, True]
    (paths[2] / "resolved.yaml").unlink()
    assert condition.holds(entry(paths[2]), specs)


def test_hundreds_of_runs_are_listed(here: Path, cli: Any) -> None:
    for number in range(300):
        make_run(here, number % 60, name=f"name{number}")
    assert len(cli("runs").out.splitlines()) == 301


def test_torch_is_not_waited_for(here: Path) -> None:
    make_run(here)
    program = "import sys; from netbuild.cli import main\ntry: main()\nfinally: "
    program += "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    command = [sys.executable, "-c", program, "runs", "--filter", "training.lr=1"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert len(result.stdout.splitlines()) == 2
    assert "yaml" in result.stderr.split()
    assert not {"torch", "polars", "scipy", "matplotlib"} & set(result.stderr.split())


def test_a_narrow_terminal_leaves_columns_out(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild import render
    from netbuild.cli.runs import DISPENSABLE

    row = {"run": "r" * 30, "name": "n" * 10, "status": "finished", "commit": "c" * 8, "best": "1"}

    def narrow(stream: Any = None) -> Console:
        out = stream or sys.stdout
        return Console(file=out, force_terminal=True, width=60, color_system=None)

    monkeypatch.setattr(render, "console", narrow)
    render.run_table([row], dict.fromkeys(row, False), DISPENSABLE)
    captured = capsys.readouterr()
    assert "n" * 10 in captured.out
    assert "cccccccc" not in captured.out
    assert captured.err == "no room for commit; --format json has them\n"


# RUN by its name


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


def test_an_entry_names_its_folder() -> None:
    assert Entry(Path("runs/small/abc"), "finished").run == "abc"
