"""What docs/experiments.md says is true: its file, its commands, its keys and its code."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from places import EXAMPLES, ROOT

from netbuild.language.design import load_experiment
from netbuild.language.experiment import ExperimentFile
from netbuild.language.grammar import BACKEND
from netbuild.language.options import load_options
from netbuild.language.points import points_of

PAGE = (ROOT / "docs" / "experiments.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def lines(text: str) -> list[str]:
    stripped = (re.sub(r"\s*#.*", "", line) for line in text.splitlines())
    return [line for line in stripped if line.strip()]


def test_the_file_is_the_example() -> None:
    shown = blocks("yaml")[0]
    assert lines(shown) == lines((EXAMPLES / "experiments" / "sizes.yaml").read_text())


@pytest.mark.parametrize("name", ["sizes", "worm", "ei_decision"])
def test_the_examples_are_right(name: str) -> None:
    found = points_of(load_experiment(EXAMPLES / "experiments" / f"{name}.yaml"))
    assert len(found.points) == {"sizes": 40, "worm": 63, "ei_decision": 5}[name]


def test_every_key_is_told() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert set(ExperimentFile.model_fields) - {"netbuild"} <= told


def test_the_options_of_back_ends_are_told_and_right(tmp_path: Path) -> None:
    for number, shown in enumerate(blocks("yaml")[1:]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(shown)
        load_options(path)
    assert BACKEND.choice is not None
    for model in BACKEND.choice.models:
        assert all(f"`{name}`" in PAGE for name in set(model.model_fields) - {"backend"})


def test_the_commands_exist() -> None:
    import typer

    from netbuild.cli.main import app

    command: Any = typer.main.get_command(app)
    for line in blocks("sh")[0].splitlines():
        words = shlex.split(line)
        assert words[0] == "netbuild"
        options = {name for each in command.commands[words[1]].params for name in each.opts}
        assert {word for word in words if word.startswith("--")} <= options


def test_the_code_runs(
    swept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(swept, tmp_path / "experiments" / "sizes")
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], "block", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out
