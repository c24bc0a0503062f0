"""`netbuild inspect masks` and `netbuild convert`, as a user meets them."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_lists import read_connectome

from netbuild.cli.connectomes import CURE
from netbuild.errors import Exit

NEURONS = "name,kind,nt\nA,sensory,ACH\nB,inter,GABA\nC,motor,ACH\nD,motor,5HT\n"
EDGES = """\
pre,post,weight,Type
A,B,3,chemical
B,C,2,chemical
C,A,1,chemical
A,C,4,electrical
C,C,2,chemical
A,B,1,chemical
B,A,0,chemical
"""
SIGNS = ("--set", "signs={ACH: 1, GABA: -1}")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "edges.csv").write_text(EDGES)
    (tmp_path / "neurons.csv").write_text(NEURONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(text: str) -> dict[str, str]:
    """The table of what is printed, by the words in its first column."""
    cells = [line.strip("│ ").split("│") for line in text.splitlines() if line.startswith("│")]
    return {cell[0].strip(): cell[1].strip() for cell in cells}


def test_what_a_file_holds_is_printed(cli: Any, folder: Path) -> None:
    result = cli("inspect", "masks", "edges.csv", "--neurons", "neurons.csv", *SIGNS)
    assert (result.code, result.err) == (0, "")
    found = rows(result.out)
    assert found["n"] == "4"
    assert found["edges"] == "5"
    assert found["density"] == "0.3125"
    assert found["self_connections"] == "1"
    assert found["reciprocity"] == "0.5"
    assert found["indegree"] == "min 0, median 1, mean 1.25, max 3"
    assert found["isolated"] == "1"
    assert (found["excitatory"], found["inhibitory"], found["free"]) == ("2", "1", "1")
    lines = result.out.splitlines()
    assert lines[0] == f"edges: edges.csv, {len(EDGES)} bytes"
    assert lines[1].split() == ["sha256", digest(folder / "edges.csv")]
    assert lines[2].startswith("  columns pre: pre, post: post, weight: weight")
    assert lines[-5:] == [
        "7 rows read",
        "  1 left out: weight 0",
        "  1 merged with another of the same pair (sum)",
        "  6 rows of chemical",
        "  1 rows of electrical",
    ]


def digest(path: Path) -> str:
    return read_connectome(path, None).report.files["edges"].sha256


def test_as_json_it_is_the_report_and_nothing_else(cli: Any, folder: Path) -> None:
    command = ["inspect", "masks", "edges.csv", "--neurons", "neurons.csv", *SIGNS]
    result = cli(*command, "--format", "json")
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found["wiring"]["edges"] == 5
    assert found["wiring"]["isolated"] == 1
    assert found["policies"]["signs"] == {"ACH": 1, "GABA": -1}
    assert found["columns"]["neurons"] == {"name": "name", "sign": "nt"}
    assert str(folder) not in result.out
    before = Path("edges.csv").stat().st_mtime_ns, sorted(path.name for path in folder.iterdir())
    assert cli(*command, "--format", "json").out == result.out
    assert before == (
        Path("edges.csv").stat().st_mtime_ns,
        sorted(path.name for path in folder.iterdir()),
    )


@pytest.mark.parametrize(
    ("changes", "edges", "line"),
    [
        (["min_weight=3"], 2, "  3 connections removed: min_weight"),
        (["self_connections=no"], 0, ""),
        (["self_connections=false"], 4, "  1 connections removed: self_connections"),
        (["symmetrize=max"], 7, "  2 connections added the other way round"),
        (["where={Type: chemical}"], 4, "  1 left out: Type is not chemical"),
        (["where.Type=chemical"], 4, "  1 left out: Type is not chemical"),
        (["duplicates=max"], 5, "  1 merged with another of the same pair (max)"),
        (["edges.weight=weight", "min_weight=4"], 2, "  3 connections removed: min_weight"),
        (["edges.pre=post", "edges.post=pre"], 5, "  1 left out: weight 0"),
    ],
)
def test_policies_are_keys_of_a_spec(
    cli: Any, folder: Path, changes: list[str], edges: int, line: str
) -> None:
    words = [word for change in changes for word in ("--set", change)]
    result = cli("inspect", "masks", "edges.csv", *words)
    if not edges:  # `no` is text
        assert result.code == Exit.USAGE
        assert result.err.startswith("error: --set self_connections=no: ")
        return
    assert rows(result.out)["edges"] == str(edges)
    assert line in result.out.splitlines()


USAGE, DATA, IO = Exit.USAGE, Exit.DATA, Exit.IO
WRONG: list[tuple[list[str], int, str]] = [
    (["nope.csv"], DATA, "error: nope.csv: [NB202] there is no file nope.csv"),
    (["typo.csv", "--neurons", "neurons.csv"], DATA, "names Bb, which neurons.csv does not have"),
    (["alike.csv.gz"], Exit.RESOURCES, "[NB901] alike.csv.gz has 3,000,001 rows in"),
    (["edges.csv", "--neurons", "nope.csv"], DATA, "there is no file nope.csv"),
    (["edges.csv", "--set", "where.Tipe=x"], DATA, "[NB211] edges.csv has no column Tipe"),
    (
        ["edges.csv", "--set", "edges.rows=pre"],
        4,
        "error: edges.csv: [NB211] edges.csv is an edge list, and `rows` is about matrices",
    ),
    (["edges.csv", "--set", "min_wieght=3"], USAGE, "--set min_wieght=3: unknown key `min_wieght`"),
    (["edges.csv", "--set", "edges.wieght=3"], USAGE, "--set edges.wieght=3: unknown key `wieght`"),
    (["edges.csv", "--set", "min_weight=-1"], USAGE, "--set min_weight=-1: "),
    (["edges.csv", "--set", "min_weight"], USAGE, "--set min_weight is not KEY=VALUE"),
    (["edges.csv", "--set", "=3"], USAGE, "--set =3 is not KEY=VALUE"),
    (["edges.csv", "--set", "a..b=3"], USAGE, "--set a..b=3: `a..b` is not a path"),
    (
        ["edges.csv", "--set", "edges.file.x=3"],
        USAGE,
        "`x` is a key, but it stands under",
    ),
    (["edges.csv", "--set", "edges=other.csv"], USAGE, "the files are those of the command"),
    (["edges.csv", "--set", "edges.file=other.csv"], USAGE, "the files are those of the command"),
    (["edges.csv", "--set", "neurons.file=n.csv"], USAGE, "the files are those of the command"),
    (["edges.csv", "--set", "signs={a: 1, A: -1}"], USAGE, "A has two signs"),
    (["edges.csv", "--set", "signs={ACH: 5}"], USAGE, "--set signs={ACH: 5}: "),
    (["edges.csv", "--set", "control={rewire: er}"], USAGE, "`control` and `learn` are of a net"),
    (["edges.csv", "--set", "learn=nothing"], USAGE, "`control` and `learn` are of a network"),
    (["edges.csv", "--set", "min_weight=[1"], USAGE, "--set min_weight=[1: this `[` is not closed"),
]


@pytest.mark.parametrize(("arguments", "code", "words"), WRONG)
@pytest.mark.parametrize("command", ["inspect", "convert"])
def test_what_is_wrong_is_told_in_a_line(
    cli: Any, folder: Path, command: str, arguments: list[str], code: int, words: str
) -> None:
    (folder / "typo.csv").write_text(EDGES.replace("B,C", "Bb,C"))
    if "alike.csv.gz" in arguments:
        (folder / "alike.csv.gz").write_bytes(gzip.compress(b"pre,post\n" + b"1,2\n" * 3_000_000))
    rest = ["masks"] if command == "inspect" else ["-o", "out.npz"]
    result = cli(command, *rest, *arguments)
    assert result.code == code, result.err
    assert words in result.err
    if code:
        assert result.out == ""
        assert len(result.err.splitlines()) <= 4
        assert "Traceback" not in result.err
        assert not (folder / "out.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["convert", "edges.csv", "-o", "x.csv"], USAGE, "x.csv: a connectome ends in .npz"),
        (["convert", "edges.csv", "-o", "no/x.npz"], IO, "there is no folder no"),
        (["convert", "edges.csv"], USAGE, "Missing option"),
        (["convert", "-o", "x.npz"], USAGE, "Missing argument"),
        (["inspect", "masks"], USAGE, "masks is neither a spec nor a run"),
        (["inspect", "spec.yaml", "edges.csv"], USAGE, "only `netbuild inspect masks FILE` takes"),
        (
            ["inspect", "spec.yaml", "--neurons", "neurons.csv"],
            USAGE,
            "only `netbuild inspect masks FILE`",
        ),
    ],
)
def test_arguments_that_do_not_go_together(
    cli: Any, folder: Path, arguments: list[str], code: int, words: str
) -> None:
    result = cli(*arguments)
    assert result.code == code
    assert words in " ".join(result.err.split())


def test_errors_as_json(cli: Any, folder: Path) -> None:
    result = cli("inspect", "masks", "nope.csv", "--format", "json")
    assert result.code == DATA
    (found,) = json.loads(result.out or result.err)["problems"]
    assert "there is no file nope.csv" in found["message"]


def test_the_native_form_is_the_same_connectome(cli: Any, folder: Path) -> None:
    (folder / "edges.csv.gz").write_bytes(gzip.compress(EDGES.encode()))
    out = folder / "worm.npz"
    arguments = ["edges.csv.gz", "--neurons", "neurons.csv", *SIGNS, "--set", "duplicates=max"]
    result = cli("convert", *arguments, "-o", "worm.npz")
    assert result.code == 0
    assert result.out == (f"worm.npz: 4 neurons, 5 connections, {out.stat().st_size:,} bytes\n")
    found = read_connectome(out, None)
    wanted = np.zeros((4, 4))
    wanted[0, 1], wanted[1, 2], wanted[2, 0], wanted[0, 2], wanted[2, 2] = 3, 2, 1, 4, 2
    np.testing.assert_array_equal(found.wiring.matrix(found.counts), wanted)
    assert found.neurons.columns["kind"].tolist() == ["sensory", "inter", "motor", "motor"]
    assert found.signs is not None
    assert found.signs.tolist() == [1, -1, 1, 0]
    content = out.read_bytes()
    assert cli("convert", *arguments, "-o", "worm.npz", "-q", "--force") == (0, "", "")
    assert out.read_bytes() == content
    printed = cli("inspect", "masks", "worm.npz")
    assert rows(printed.out)["edges"] == "5"
    assert rows(printed.out)["inhibitory"] == "1"
    again = json.loads(cli("inspect", "masks", "worm.npz", "--format", "json").out)
    assert again["origin"]["files"]["edges"]["name"] == "edges.csv.gz"
    assert again["origin"]["policies"]["duplicates"] == "max"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["m.npy"], "say `rows: pre` where entry [i, j] is the connection from i to j,"),
        (["two.npz", "--set", "edges.rows=pre"], "say which one: `array: NAME`"),
        (["edges.csv", "--neurons", "few.csv"], "`unmatched: drop` leaves such edges out;"),
        (["worm.npz", "--neurons", "few.csv"], "leave `neurons` out"),
    ],
)
def test_a_hint_that_names_keys_says_how_the_command_takes_them(
    cli: Any, folder: Path, arguments: list[str], words: str
) -> None:
    np.save("m.npy", np.eye(3))
    np.savez("two.npz", a=np.eye(3), b=np.eye(3))
    Path("few.csv").write_text("name,kind\nA,sensory\nB,inter\n")
    cli("convert", "edges.csv", "-o", "worm.npz", "-q")
    result = cli("inspect", "masks", *arguments)
    assert result.code == DATA
    hint = result.err.partition("help: ")[2]
    assert words in hint
    assert hint.endswith(f"{CURE}\n")


def test_a_spec_reads_the_native_form(cli: Any, folder: Path) -> None:
    cli("convert", "edges.csv", "--neurons", "neurons.csv", *SIGNS, "-o", "worm.npz", "-q")
    layer = "name: a, type: ctrnn, input_dim: 2, alpha: 0.1, connectome: {edges: worm.npz}"
    (folder / "spec.yaml").write_text(f"netbuild: 1\nlayers: [{{{layer}}}]\n")
    result = cli("inspect", "spec.yaml", "--format", "json")
    assert result.code == 0
    assert json.loads(result.out)["layers"]["a.recurrent"]["n_connections"] == 5


def test_files_of_another_folder(cli: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = folder / "a folder"
    other.mkdir()
    monkeypatch.chdir(other)
    (folder / "pyproject.toml").touch()
    result = cli("inspect", "masks", "../edges.csv", "--neurons", folder / "neurons.csv", *SIGNS)
    assert result.out.startswith("edges: edges.csv, ")
    assert cli("convert", "../edges.csv", "-o", "../x.npz", "-q").code == 0
    assert (folder / "x.npz").is_file()
    assert not any(other.iterdir())


def test_a_file_that_is_there_stays_when_writing_fails(cli: Any, folder: Path) -> None:
    (folder / "x.npz").write_bytes(b"old")
    (folder / "bad.csv").write_text("pre,post,weight\nA,B,nan\n")
    assert cli("convert", "bad.csv", "-o", "x.npz", "--force").code == DATA
    assert (folder / "x.npz").read_bytes() == b"old"
    result = cli("convert", "edges.csv", "-o", "x.npz")
    assert (result.code, result.out) == (USAGE, "")
    assert result.err == (
        "error: x.npz exists already\n   help: name another with -o, or replace it by --force\n"
    )
    assert (folder / "x.npz").read_bytes() == b"old"
    (folder / "folder.npz").mkdir()
    result = cli("convert", "edges.csv", "-o", "folder.npz", "--force")
    assert (result.code, result.err) == (IO, "error: folder.npz is a folder\n")
    assert cli("convert", "edges.csv", "-o", "x.npz", "--force").code == 0
    assert len(read_connectome(folder / "x.npz", None).wiring) == 5
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


PROGRAM = "import sys; from netbuild.cli import main; sys.argv[0] = 'netbuild'; main()"


def piped(folder: Path, *arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": str(columns), "PATH": ""},
    )


@pytest.mark.parametrize("columns", [20, 40])
def test_a_narrow_terminal_loses_no_number(folder: Path, columns: int) -> None:
    result = piped(folder, "inspect", "masks", "edges.csv", columns=columns)
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    table = [line for line in result.stdout.splitlines() if line[:1] in "│┌└"]
    assert all(len(line) <= columns for line in table)
    assert digest(folder / "edges.csv") in result.stdout.split()
    assert "7 rows read" in result.stdout
    assert "0.5556" in result.stdout


def test_torch_is_not_loaded_and_a_reader_may_leave(folder: Path) -> None:
    program = (
        "import sys; from netbuild.cli import main; sys.argv[0] = 'netbuild'\n"
        "try: main()\nfinally: print('torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, "inspect", "masks", "edges.csv"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == "False\n"
    process.stderr.close()
    assert process.wait() == 0
