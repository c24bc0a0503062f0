"""Which trackers there are, and what is said of one whose package is missing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import get_args

import pytest
from places import ROOT

from netbuild.errors import NetbuildError
from netbuild.tracking.trackers import TRACKERS, Name, is_missing, refuse_missing


def test_every_name_of_the_language_is_a_tracker_and_an_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert set(get_args(Name)) == set(TRACKERS) <= set(extras)


def test_a_folder_of_the_name_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nowhere").mkdir()
    (tmp_path / "somewhere.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert is_missing("nowhere")
    assert not is_missing("somewhere")


def test_a_missing_package_is_refused_with_the_line_that_installs_it() -> None:
    refuse_missing(["json"])
    with pytest.raises(NetbuildError) as caught:
        refuse_missing(["json", "nowhere"])
    assert caught.value.exit_code == 10
    assert caught.value.hint == "pip install 'netbuild[nowhere]'"
