"""Text of others moves no terminal: names, paths, logs, and the run.json of a received folder."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import netbuild
from netbuild.render import console
from netbuild.wording import near, nearest, printable, show

RED = "\x1b[31m\x9b0m\x07\r"  # colours, a bell, and the beginning of the line again
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_control_characters_are_escaped_and_nothing_else() -> None:
    assert printable(RED) == "\\u001b[31m\\u009b0m\\u0007\\u000d"
    assert printable("\udc9b") == "\\udc9b"
    kept = "a\tb\nc ä \u3000 \N{SNOWMAN} \udcff"
    assert printable(kept) == kept
    text = json.dumps({"name": RED}, ensure_ascii=False)
    assert json.loads(printable(text)) == {"name": RED}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\tb\x1b[31m", "a\\tb\\x1b[31m"),
        ("\udcff", "\\udcff"),
        ("x" * 80, "x" * 80),
        ("ab" * 99, "ab" * 19 + "a…" + "ab" * 20),
        ("\x1b" * 10**6, "\\x1b" * 9 + "\\x1…" + "\\x1b" * 10),
    ],
)
def test_what_is_shown_is_short_and_safe_to_print(text: str, shown: str) -> None:
    assert show(text) == shown
    assert len(shown) <= 80


@pytest.mark.parametrize(
    ("word", "words", "hint"),
    [
        ("outptu", ["output", "input"], "did you mean `output`?"),
        ("ADAM", ["Adam", "SGD"], "did you mean `Adam`?"),
        ("xyz", ["b", "a"], "one of `a`, `b`"),
        ("xyz", ["a"], "it can only be `a`"),
        ("xyz", [], ""),
        ("xyz", [str(i) for i in range(13)], ""),
    ],
)
def test_near(word: str, words: list[str], hint: str) -> None:
    assert near(word, words) == hint


@given(st.text(), st.lists(st.text()))
def test_the_nearest_word_is_one_of_them(word: str, words: list[str]) -> None:
    assert nearest(word, words) in ("", *words)
    if word and word in words:
        assert nearest(word, words).casefold() == word.casefold()


def test_the_nearest_of_thousands_is_found_whatever_the_order() -> None:
    words = [f"l{i}" for i in range(9000)]
    assert nearest("L4321", words) == "l4321"
    assert near("m4321", words) == "did you mean `l4321`?"
    assert near("l43210", words) == "did you mean `l4321`?"


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
