"""`netbuild report`: where the page is written, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def copy(run: Any, tmp_path: Path) -> Path:
    """A copy of a run that a test may write into."""
    return Path(shutil.copytree(run.path, tmp_path / "copied" / run.path.name))


def test_the_page_is_written_into_the_run(cli: Any, copy: Path) -> None:
    result = cli("report", copy, "--tex")
    assert result.code == 0, result.err
    assert result.out.split("\n")[:2] == [str(copy / "report.html"), str(copy / "report.tex")]
    assert (copy / "report.html").read_bytes().startswith(b"<!doctype html>")
    assert rb"\begin{longtable}" in (copy / "report.tex").read_bytes()
    assert cli("resume", copy).code == 0, "the run is still a run"


def test_an_output_that_is_there_is_replaced_at_once(cli: Any, copy: Path, tmp_path: Path) -> None:
    output = tmp_path / "page.html"
    output.write_text("old")
    result = cli("report", copy, "-o", output, "--quiet")
    assert (result.code, result.out) == (0, "")
    assert "<h1>small</h1>" in output.read_text()
    assert [path.name for path in tmp_path.glob("page*")] == ["page.html"]
    assert not (copy / "report.html").exists()


def test_what_is_refused_before_anything_is_read(cli: Any, copy: Path, tmp_path: Path) -> None:
    for output, code in (("page.pdf", 2), ("no/such/page.html", 7)):
        assert cli("report", copy, "-o", tmp_path / output).code == code
    assert cli("report", "no-such-thing").code == 2


def test_a_damaged_run_is_not_reported(cli: Any, copy: Path) -> None:
    newest = max(copy.glob("checkpoints/step-*"))
    (newest / "network.safetensors").write_bytes(b"damage")
    result = cli("report", copy)
    assert result.code == 5
    assert not (copy / "report.html").exists()
