"""Warnings as a user meets them: in every form, in every command, and never in the results."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from netbuild.errors import Place, Problem
from netbuild.render import problem_text

SPEC = """\
netbuild: 1
name: warned
task: {type: arrays, file: data.npz, inputs: x, targets: y}
layers:
  - {name: hidden, type: linear, output_dim: 12, activation: relu}
  - {name: readout, type: linear, output_dim: 3, sparsity_mask: {file: m.csv, rows: pre}}
training: {steps: 4, batch_size: 8}
"""
WHAT = "1 of 3 units of `readout` receives no connection: 1"
MASK = "1,0,1\n" * 12


@pytest.fixture
def spec(small: Path) -> Path:
    (small.parent / "m.csv").write_text(MASK)
    small.write_text(SPEC)
    return small


def test_validate_prints_a_located_line_and_passes(cli: Any, spec: Path) -> None:
    code, out, err = cli("validate", spec)
    assert (code, out) == (0, f"{spec}: ok\n")
    first, excerpt, marks, hint = err.splitlines()
    assert first == f"{spec}:6:65: warning[NB602] layers[readout].sparsity_mask: {WHAT}"
    start = marks.index("^")
    assert excerpt[start : start + marks.count("^")] == "{file: m.csv, rows: pre}"
    assert hint.startswith("   help: units count from 0; fill the matrix")


def test_as_json_they_are_records_among_the_problems(cli: Any, spec: Path) -> None:
    code, out, err = cli("validate", spec, "--format", "json")
    record = json.loads(out)
    assert (code, err, record["exit_code"]) == (0, "", 0)
    (warning,) = record["problems"]
    assert (warning["severity"], warning["code"], warning["message"]) == ("warning", "NB602", WHAT)
    assert (warning["line"], warning["column"], warning["file"]) == (6, 65, str(spec))
    code, out, err = cli("validate", spec, "--set", "seed=-1", "--format", "json")
    record = json.loads(err)
    assert (code, out, record["exit_code"]) == (3, "", 3)
    assert [p["severity"] for p in record["problems"]] == ["error", "warning"]


def test_for_github_they_are_annotations(cli: Any, spec: Path) -> None:
    code, out, err = cli("validate", spec, "--format", "github")
    assert (code, out) == (0, "")
    where = f"file={spec},line=6,col=65,endColumn=89,title=NB602"
    assert err.startswith(f"::warning {where}::layers[readout].sparsity_mask: {WHAT} (units")
    assert err.count("\n") == 1
    err = cli("validate", spec, "--set", "seed=-1", "--format", "github")[2]
    assert [line.partition(" ")[0] for line in err.splitlines()] == ["::error", "::warning"]


def test_names_in_annotations_are_escaped(cli: Any, spec: Path) -> None:
    odd = spec.with_name("a,b:c%.yaml")
    odd.write_text(SPEC)
    assert "/a%2Cb%3Ac%25.yaml,line=6" in cli("validate", odd, "--format", "github")[2]
    gone = cli("validate", spec.with_name("gone.yaml"), "--format", "github")[2]
    assert re.match(r"::error file=[^,]*gone.yaml,title=NB001::cannot read the spec: ", gone)


def test_several_specs_and_quiet(cli: Any, spec: Path) -> None:
    right = spec.with_name("right.yaml")
    right.write_text(SPEC.replace(", sparsity_mask: {file: m.csv, rows: pre}", ""))
    wrong = spec.with_name("wrong.yaml")
    wrong.write_text(SPEC.replace("output_dim: 12", "output_dim: 0"))
    code, out, err = cli("validate", right, spec, wrong)
    assert (code, out) == (3, f"{right}: ok\n{spec}: ok\n")
    assert [word in err for word in ("error[NB104]", "warning[NB602]")] == [True, True]
    assert cli("validate", right) == (0, f"{right}: ok\n", "")
    assert cli("validate", spec, "--quiet") == (0, "", "")


@pytest.mark.parametrize("command", ["inspect", "config", "build", "train"])
def test_every_command_that_reads_a_spec_tells_them(
    cli: Any, spec: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spec.parent)
    rest = ["-o", "network.safetensors"] if command == "build" else []
    code, out, err = cli(command, "small.yaml", *rest)
    assert (code, err.count("warning[NB602]")) == (0, 1)
    assert "NB602" not in out
    if command in ("build", "train"):
        _, out, err = cli(command, "small.yaml", *rest, "--quiet")
        assert err == ""
    else:
        _, out, err = cli(command, "small.yaml", "--format", "json")
        assert json.loads(err)["problems"][0]["code"] == "NB602"
        assert "problems" not in json.loads(out)


def lines_on_a_terminal(command: str, spec: Path, **environment: str) -> list[str]:
    """What a command prints of a spec, from its folder, on a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    code = "from netbuild.cli import main; main()"
    variables = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-c", code, command, spec.name],
        cwd=spec.parent,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=variables | {"TERM": "xterm", "COLUMNS": "80"} | environment,
    )
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 4096):
            written += part
    except OSError:  # on Linux the end of a terminal is an error
        pass
    os.close(ours)
    assert process.wait() == 0
    return written.decode().replace("\r\n", "\n").splitlines()


def test_on_a_terminal_lines_fit_and_colours_can_be_had_off(spec: Path) -> None:
    spec.write_text(SPEC.replace("output_dim: 12", "output_dim: 12" + ", bias: zero" + " " * 60))
    plain = re.compile(r"\x1b\[[0-9;]*m")
    lines = lines_on_a_terminal("validate", spec)
    assert any("\x1b[1;33mwarning" in line for line in lines)
    assert all(len(plain.sub("", line)) <= 80 for line in lines)
    colours = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert not any(
        colours.search(line) for line in lines_on_a_terminal("validate", spec, NO_COLOR="1")
    )


@settings(max_examples=60, derandomize=True, deadline=None)
@given(
    st.integers(40, 120),
    st.text(
        st.characters(codec="utf-8", exclude_categories=("C", "Z", "M")), min_size=1, max_size=300
    ),
    st.data(),
)
def test_an_excerpt_underlines_what_it_shows(width: int, line: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(line) - 1))
    end = data.draw(st.integers(start + 1, len(line)))
    place = Place("spec.yaml", 7, start + 1, end + 1, line)
    problem = Problem("NB601", "what " * 40, "layers[a].density", place, "hint " * 40)
    out = Console(file=io.StringIO(), force_terminal=True, width=width)
    lines = problem_text(problem, out).split("\n", allow_blank=True)
    (at,) = [i for i, each in enumerate(lines) if re.match(r" +\| +\^+$", each.plain)]
    excerpt, marks = lines[at - 1], lines[at].plain
    assert all(each.cell_len <= width for each in lines[: at - 1] + lines[at + 1 :])
    first = marks.index("^")
    before = next(i for i in range(len(excerpt.plain)) if excerpt[:i].cell_len == first)
    shown = excerpt.plain[before:]
    assert shown.startswith(line[start:end][: len(shown)])
    assert excerpt.cell_len <= width
    assert excerpt.cell_len >= min(width, 8 + len(line)) - width // 2 - 2 or excerpt.plain.endswith(
        line[-1]
    )


def test_what_is_warned_of_while_it_trains_is_one_line(
    cli: Any, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netbuild.training import loop

    found = loop.Trainer.trials

    def trials(self: Any, of: Any) -> Any:
        warnings.warn("the process that prepares trials\nhas ended", RuntimeWarning, stacklevel=1)
        return found(self, of)

    monkeypatch.setattr(loop.Trainer, "trials", trials)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, _, err = cli("train", small, "--out", small.parent / "runs")
    assert code == 0
    lines = [line for line in err.splitlines() if "prepares" in line]
    assert lines == ["warning: the process that prepares trials has ended"]
