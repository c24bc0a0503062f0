"""`netbuild validate`: every problem of every file, in every form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from places import files_below


def test_validate_tells_all_problems_of_all_files(cli: Any, small: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(small.read_text().replace("output_dim: 12", "outptu_dim: 12"))
    worse = tmp_path / "worse.yaml"
    worse.write_text("netbuild: 1\nlayers: [")
    before = files_below(tmp_path)
    result = cli("validate", small, bad, worse)
    assert result.code == 3
    assert result.out == f"{small}: ok\n"
    line = bad.read_text().splitlines()[9]
    column = line.index("outptu_dim") + 1
    assert f"{bad}:10:{column}: error[NB101] layers[hidden].outptu_dim: unknown key" in result.err
    assert "did you mean `output_dim`?" in result.err
    assert f"{worse}:3:1: error[NB003]" in result.err or f"{worse}:2:" in result.err
    assert files_below(tmp_path) == before


def test_the_excerpt_underlines_the_span(cli: Any, small: Path) -> None:
    small.write_text(small.read_text().replace("type: linear, output_dim: 12", "type: liner"))
    err = cli("validate", small).err.splitlines()
    line, marks = err[1], err[2]
    start = marks.index("^")
    assert line[start : start + marks.count("^")] == "liner"


def test_validate_as_json(cli: Any, small: Path) -> None:
    (warning,) = json.loads(cli("validate", small, "--format", "json").out)["problems"]
    assert (warning["code"], warning["severity"]) == ("NB607", "warning")
    result = cli("validate", small, "--set", "training.lr=3", "--format", "json")
    record = json.loads(result.err)
    assert (record["schema_version"], record["exit_code"]) == (1, 3)
    (problem,) = record["problems"]
    assert problem["code"] == "NB101"
    assert problem["file"] == "--set #1"


def test_validate_for_github(cli: Any, small: Path) -> None:
    result = cli("validate", small, "--set", "seed=-1", "--format", "github")
    assert result.err.startswith(f"::error file={small},title=NB104::--set #1, column 6: seed: ")
    result = cli("validate", small, "--unset", "sede", "--format", "github")
    assert result.err.startswith(f"::error file={small},title=NB110::--unset #1, column 1: ")
