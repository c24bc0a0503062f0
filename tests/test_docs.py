"""What is documented is true: commands and code run, and written pages are current."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from places import ROOT

README = (ROOT / "README.md").read_text()
# What differs between two runs: times, rates, scores in their last digits, and a run's own folder.
VOLATILE = re.compile(r"\d+\.\d+ s\b|\d{8}T\d{6}Z-\w{8}-\w{4}|\b0\.\d{4}\b")


def module(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    found = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(found)
    return found


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


PAGES = [ROOT / "README.md", ROOT / "docs" / "python.md", ROOT / "docs" / "analysis.md"]
PYTHON = [block for page in PAGES for block in blocks("python", page.read_text())]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the examples, as somebody who has cloned the project has them."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", blocks("console"))
def test_commands_print_what_the_readme_shows(block: str, project: Path, cli: Any) -> None:
    command, _, expected = block.removeprefix("$ ").partition("\n")
    arguments = shlex.split(command)
    assert arguments.pop(0) == "netbuild"
    result = cli(*arguments)
    assert result.code in (0, 3, 4), result.err
    shown = result.err if result.code else result.out
    assert VOLATILE.sub("#", shown) == VOLATILE.sub("#", expected)


@pytest.mark.parametrize("block", PYTHON, ids=range(len(PYTHON)))
def test_python_runs(block: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "block", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out


def lines(text: str) -> list[str]:
    stripped = (re.sub(r"\s*#.*", "", line) for line in text.splitlines())
    return [line for line in stripped if line.strip()]


def test_the_specs_shown_are_the_examples() -> None:
    first, *parts = blocks("yaml")
    assert lines(first) == lines((ROOT / "examples" / "digits_dale.yaml").read_text())
    for part in parts:
        name = re.match(r"# (examples/[\w/]+\.yaml)", part)
        assert name is not None
        left = iter(lines((ROOT / name[1]).read_text()))
        assert all(line in left for line in lines(part)), "some of its lines, in their order"


def test_every_command_and_option_of_the_readme_exists(capsys: pytest.CaptureFixture[str]) -> None:
    from netbuild.cli.main import app

    commands = {command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"^\| `netbuild (\w+)", README, re.MULTILINE)) == commands


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *ROOT.glob("*/README.md")]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_the_page_of_keys_is_current() -> None:
    page = module(ROOT / "docs" / "make_spec.py")
    assert (ROOT / "docs" / "spec.md").read_text() == page.text(), "python docs/make_spec.py"


def test_the_page_of_keys_is_complete() -> None:
    page = module(ROOT / "docs" / "make_spec.py")
    from netbuild.language.schema import json_schema

    listed = {name for _, files in page.SECTIONS for name in page.models_of(files)}
    assert listed == {*json_schema()["$defs"], "SpecFile"}


def test_the_changelog_and_the_version_agree() -> None:
    import netbuild

    project = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{netbuild.__version__}"' in project
    assert "## Unreleased" in (ROOT / "CHANGELOG.md").read_text()


def test_what_holds_a_promise_is_there() -> None:
    table = README.partition("\n## Trust\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in table.splitlines() if "tests/" in line]
    assert len(rows) >= 10
    for row in rows:
        assert re.search(r"`tests/[\w/]+\.py`", row), row
        for names, path in re.findall(r"((?:`\w+`(?:, )?)*)(?: in )?`(tests/[\w/]+\.py)`", row):
            text = (ROOT / path).read_text()
            assert "def test_" in text or names, f"{path} holds nothing by itself"
            for name in re.findall(r"\w+", names):
                assert f"def {name}(" in text, f"no {name} in {path}"
