"""Text of others moves no terminal: names, paths, logs, and the run.json of a received folder."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import netbuild
from netbuild.render import console
from netbuild.wording import printable

RED = "\x1b[31m\x9b0m\x07\r"  # colours, a bell, and the beginning of the line again
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_control_characters_are_escaped_and_nothing_else() -> None:
    assert printable(RED) == "\\u001b[31m\\u009b0m\\u0007\\u000d"
    assert printable("\udc9b") == "\\udc9b"
    kept = "a\tb\nc ä \u3000 \N{SNOWMAN} \udcff"
    assert printable(kept) == kept
    text = json.dumps({"name": RED}, ensure_ascii=False)
    assert json.loads(printable(text)) == {"name": RED}


def test_rich_prints_text_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    console().print(f"[bold]a[/red] :smile: {RED[:-2]}", soft_wrap=True)
    assert capsys.readouterr().out == f"[bold]a[/red] :smile: {printable(RED[:-2])}\n"


@pytest.fixture
def hostile(small: Path, tmp_path: Path) -> Path:
    """A finished run in a folder, with a name and with values that hold control characters."""
    run = netbuild.train(small, tmp_path / "runs").path
    path = tmp_path / "received" / f"run{RED}[bold]"
    path.parent.mkdir()
    run.rename(path)
    about = json.loads((path / "run.json").read_text())
    about["name"] = f"small{RED}[/red]"
    about["environment"]["cpu"] = f"cpu{RED}"
    about["overrides"] = [f"seed=3{RED}"]
    (path / "run.json").write_text(json.dumps(about))
    log = path / "metrics.jsonl"
    lines = log.read_text().splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), "loss": RED})
    log.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["resume"],
        ["resume", "--format", "json"],
        ["reproduce"],
        ["evaluate"],
        ["evaluate", "--format", "json"],
        ["inspect"],
        ["plot"],
        ["export"],
        ["runs"],
        ["runs", "--quiet"],
        ["runs", "--format", "json"],
        ["diff", "other"],
        ["plot", "--kind", "nothing"],
    ],
    ids=" ".join,
)
def test_no_command_prints_the_control_characters_of_a_run(
    cli: Any, hostile: Path, small: Path, words: list[str]
) -> None:
    name, *rest = words
    target = hostile.parent if name == "runs" else hostile
    rest = [str(small) if word == "other" else word for word in rest]
    result = cli(name, target, *rest)
    assert result.code in (0, 2, 5)
    assert result.out + result.err
    assert not CONTROL.search(result.out + result.err)


def test_a_spec_in_a_hostile_folder_is_checked(cli: Any, small: Path) -> None:
    folder = small.parent / f"folder{RED}"
    folder.mkdir()
    bad = folder / "bad.yaml"
    bad.write_text("netbuild: 1\nlayers: 3\n")
    for form in ("text", "json", "github"):
        result = cli("validate", bad, "--format", form)
        assert result.code == 3
        assert not CONTROL.search(result.err)


def test_odd_letters_in_names_are_drawn_without_a_warning(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("pre,post,weight\na,b,1\nb,a,1\n")
    (tmp_path / "neurons.csv").write_text(f"name,kind\na,x{RED[:2]}\nb,\U000e0041\n")
    spec = tmp_path / "named.yaml"
    spec.write_text(
        "netbuild: 1\nname: named\nlayers:\n"
        "  - {name: hidden, type: ctrnn, alpha: 0.5, input_dim: 1,"
        " connectome: {edges: edges.csv, neurons: neurons.csv}}\n"
    )
    words = ["--layer", "hidden.recurrent", "--by", "kind", "-o", tmp_path / "w.png"]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = cli("plot", spec, *words)
    assert result.code == 0, result.err
    assert result.err == ""
