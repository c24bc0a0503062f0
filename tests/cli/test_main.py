"""Every command as a user meets it: output, exit code, and nothing written that was not asked."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from places import ROOT

import netbuild


def test_help_lists_every_command(cli: Any) -> None:
    result = cli("--help")
    assert result.code == 0
    for command in (
        "init",
        "validate",
        "config",
        "build",
        "inspect",
        "train",
        "plot",
        "diff",
        "schema",
        "explain",
        "analyze",
        "export",
        "runs",
        "evaluate",
    ):
        assert f" {command} " in result.out
        assert cli(command, "--help").code == 0
    assert cli("--version").out.strip() == netbuild.__version__


@pytest.mark.parametrize(
    "arguments",
    [["trian"], ["train"], ["train", "a.yaml", "--sett", "x=1"], ["plot", "x", "--kind", "?"]],
)
def test_usage_errors_are_two(cli: Any, arguments: list[str]) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert "Traceback" not in result.err


def single_valued() -> list[tuple[str, str]]:
    """Every option of every command that takes one value, as (command, option)."""
    from typer.main import get_command

    from netbuild.cli.main import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    return [
        (name, option.opts[0])
        for name, command in commands.items()
        for option in command.params
        if option.param_type_name == "option" and not option.multiple and not option.is_flag
    ]


@pytest.mark.parametrize(("command", "option"), single_valued())
def test_an_option_of_one_value_is_not_given_twice(cli: Any, command: str, option: str) -> None:
    result = cli(command, "x.yaml", f"{option}=1", option, "2")
    assert result == (2, "", f"error: {option} is given more than once, and it takes one value\n")


def test_options_of_lists_and_flags_may_be_repeated(cli: Any, small: Path) -> None:
    changes = ("--set", "training.steps=3", "--set", "training.batch_size=4", "-q", "-q")
    assert cli("build", small, "-o", small.with_suffix(".safetensors"), *changes).code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plot", "x", "--kind", "accuracy"], "'--kind': 'accuracy' is not one of"),
        (["plot", "x", "--trials", "many"], "'--trials': `many` is not a whole number"),
        (["plot", "x", "--trials", "0"], "'--trials': it must be at least 1; got 0"),
        (["export", "x", "--checkpoint", "first"], "--checkpoint is best, last or a step"),
    ],
)
def test_a_word_that_is_no_choice_is_told_in_words_of_the_command_line(
    cli: Any, arguments: list[str], words: str
) -> None:
    result = cli(*arguments)
    assert result.code == 2
    assert words in " ".join(result.err.replace("│", " ").split())


def test_schema_is_the_one_in_the_project(cli: Any, tmp_path: Path) -> None:
    text = (ROOT / "schemas" / "netbuild-1.json").read_text()
    assert cli("schema").out == text
    cli("schema", "-o", tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_text() == text


def test_a_bug_of_ours_leaves_a_report_and_no_traceback(
    cli: Any, small: Path, monkeypatch: Any
) -> None:
    from netbuild.language import checked

    monkeypatch.setattr(checked, "run_checks", lambda *_: 1 / 0)
    result = cli("validate", small)
    assert result.code == 70
    assert "Traceback" not in result.err
    report = Path(result.err.strip().rpartition(" ")[2])
    assert "ZeroDivisionError" in report.read_text()
    report.unlink()


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("metrics.jsonl", "{\n"),
        ("resolved.yaml", "netbuild: ["),
        ("run.json", "{"),
        ("run.json", '{"format": 3}'),
        ("initial.safetensors", "x"),
        ("checkpoints/step-00000024/state.json", '{"sha256": {}, "step": 24}'),
    ],
)
def test_damaged_runs_are_five(cli: Any, run: Any, name: str, spoil: str) -> None:
    (run.path / name).write_text(spoil)
    arguments = (
        ["plot", run.path, "--kind", "learning"] if "metrics" in name else ["inspect", run.path]
    )
    result = cli(*arguments)
    assert result.code == 5
    assert (
        name.rpartition("/")[2].partition(".")[0] in result.err
        or "newer" in result.err
        or "checkpoint" in result.err
    )


def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from netbuild.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("command", ["config", "inspect"])
def test_a_closed_pipe_is_no_failure(small: Path, command: str) -> None:
    process = start(command, small, "--set", "training.evaluate.every=null")  # without a warning
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


def test_paths_are_relative_to_the_spec_from_any_folder(small: Path, tmp_path: Path) -> None:
    folder = tmp_path / "some where"
    folder.mkdir()
    environment = os.environ | {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "dumb"}
    process = start("validate", f"../{small.name}", cwd=folder, env=environment)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.startswith(f"../{small.name}:4:1: warning[NB607] task.split: ")
    assert out == f"../{small.name}: ok\n"


def test_two_processes_train_to_the_same_bits(small: Path, tmp_path: Path) -> None:
    digests = []
    for number in (1, 2):
        folder = tmp_path / f"elsewhere{number}"
        folder.mkdir()
        environment = os.environ | {"PYTHONHASHSEED": str(number)}
        process = start("train", small, "--quiet", cwd=folder, env=environment)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        run = netbuild.open_run(folder / out.strip())
        digests.append([p.read_bytes() for p in sorted(run.checkpoint().glob("*.safetensors"))])
    assert digests[0] == digests[1]
