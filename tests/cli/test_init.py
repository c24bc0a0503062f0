"""`netbuild init`: templates that validate, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_init_names_the_file_that_it_writes(cli: Any, tmp_path: Path) -> None:
    for name, shown in (("d.yaml", "d.yaml"), ("a\nb: 1 .yaml", "digits.yaml")):
        path = tmp_path / name
        assert cli("init", "digits", "-o", path).code == 0
        shown = str(path) if shown == name else shown
        assert f"`netbuild train {shown}`" in path.read_text()
        (tmp_path / "digits.npz").unlink()


@pytest.mark.parametrize("template", ["digits", "nn4n"])
def test_init_writes_a_spec_that_validates_and_overwrites_nothing(
    cli: Any, tmp_path: Path, monkeypatch: Any, template: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written = cli("init", template).out.split()
    assert f"{template}.yaml" in written
    assert cli("validate", f"{template}.yaml").code == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    again = cli("init", template)
    assert again.code == 2
    assert "exists already" in again.err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
