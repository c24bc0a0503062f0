"""Paths in a spec reach regular files of the project, and nothing else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import TESTS

from netbuild.errors import DataFileError, Exit
from netbuild.files.door import locate, nearest_file, project_root


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a spec folder, a mask, and a secret beside the project."""
    root = tmp_path / "project"
    (root / "examples" / "masks").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    (root / "examples" / "masks" / "Plastic.npy").write_bytes(b"1")
    (root / "shared.npy").write_bytes(b"2")
    (tmp_path / "secret.npy").write_bytes(b"3")
    return root


def refusal(reference: str, root: Path) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        locate(reference, root / "examples", root)
    assert caught.value.exit_code is Exit.DATA
    assert "\n" not in caught.value.what
    assert len(caught.value.what) < 400
    return caught.value


def test_finds_files_of_the_project(project: Path) -> None:
    folder = project / "examples"
    mask = folder / "masks" / "Plastic.npy"
    assert locate("masks/Plastic.npy", folder, project) == mask
    assert locate("./masks/../masks/Plastic.npy", folder, project) == mask
    assert locate("../shared.npy", folder, project) == project / "shared.npy"
    assert locate(str(mask), folder, project) == mask
    assert locate("../examples/masks/Plastic.npy", folder, folder) == mask


def test_follows_links_that_stay_inside(project: Path) -> None:
    (project / "examples" / "link.npy").symlink_to(project / "shared.npy")
    found = locate("link.npy", project / "examples", project)
    assert found == project / "shared.npy"
    assert not found.is_symlink()


def test_accepts_unusual_names(project: Path) -> None:
    for name in ("with space.npy", "naïve-Δ.npy", "a:b.npy", "x~.npy", "$HOME.npy", "-o.npy"):
        (project / "examples" / name).write_bytes(b"")
        assert locate(name, project / "examples", project).name == name


@pytest.mark.parametrize(
    "reference",
    [
        "../../secret.npy",
        "../../no-such-file",
        "../../../../../../../../etc/passwd",
        "/etc/passwd",
        "/dev/zero",
        "/proc/self/environ",
        "http://example.org/m.npy",
        "https://example.org/m.npy",
        "s3://bucket/m.npy",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:/etc/passwd",
        "data:,1",
        "~/m.npy",
        "~root/m.npy",
        "m\0.npy",
        "m\n.npy",
        "\x1b[2J.npy",
        "",
        "  ",
        "\ud800.npy",
        ".",
        "masks",
    ],
)
def test_refuses(reference: str, project: Path) -> None:
    assert refusal(reference, project).code == "NB203"


def test_outside_is_refused_whether_it_exists_or_not(project: Path) -> None:
    real, imagined = refusal("../../secret.npy", project), refusal("../../secreT.npy", project)
    assert real.what.replace("secret.npy", "secreT.npy") == imagined.what
    assert real.hint == imagined.hint


def test_refuses_links_that_leave(project: Path) -> None:
    (project / "examples" / "out.npy").symlink_to(project.parent / "secret.npy")
    (project / "examples" / "up").symlink_to(project.parent)
    assert refusal("out.npy", project).code == "NB203"
    assert refusal("up/secret.npy", project).code == "NB203"


def test_refuses_what_is_not_a_regular_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "examples")  # a socket's path must be short
    os.mkfifo("pipe.npy")
    assert "a FIFO" in refusal("pipe.npy", project).what
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.npy")
        assert "a socket" in refusal("s.npy", project).what
    assert "a folder" in refusal("masks", project).what


def test_a_device_is_refused_where_the_root_would_allow_it() -> None:
    with pytest.raises(DataFileError, match="a device") as caught:
        locate("zero", Path("/dev"), Path("/dev"))
    assert caught.value.code == "NB203"


def test_a_missing_file_suggests_the_nearest_name(project: Path) -> None:
    error = refusal("masks/plastik.npy", project)
    assert error.code == "NB202"
    assert error.what == "there is no file masks/plastik.npy"
    assert error.hint == "did you mean masks/Plastic.npy?"
    assert refusal("masks/zzz", project).hint == ""


def test_a_missing_file_suggests_the_path_from_the_right_folder(project: Path) -> None:
    hint = refusal("shared.npy", project).hint
    assert hint.endswith("say ../shared.npy")
    hint = refusal("examples/masks/Plastic.npy", project).hint
    assert hint.endswith("say masks/Plastic.npy")


def test_suggestions_never_tell_of_files_outside(project: Path) -> None:
    (project.parent / "x").mkdir()
    (project.parent / "x" / "secret.npy").touch()
    (project / "examples" / "x").symlink_to(project.parent / "x")
    (project.parent / "x" / "secrets.npy").symlink_to(project / "missing.npy")
    assert refusal("x/secrets.npy", project).code == "NB202"  # the link leads back inside
    for reference in ("x/secrets.npy", "x/secretz.npy", "../secret.npy", "../secrets.npy"):
        assert "secret.npy" not in refusal(reference, project).hint


@pytest.mark.parametrize(
    "reference",
    ["nowhere/m.npy", "masks/Plastic.npy/m.npy", "loop.npy", "n" * 300 + ".npy", "q", "d/" * 5000],
)
def test_missing_and_unreachable(reference: str, project: Path) -> None:
    (project / "examples" / "loop.npy").symlink_to("loop.npy")
    assert refusal(reference, project).code == "NB202"


def test_messages_are_fit_for_a_terminal(project: Path) -> None:
    error = refusal("\x1b]0;owned\x07" + "a" * 10_000, project)
    assert error.what.isprintable()
    assert refusal("\u202egnp.npy", project).what.isprintable()


@given(st.text(max_size=60) | st.text("./~:\\abs\0", max_size=20))
def test_whatever_is_written_stays_inside(reference: str) -> None:
    root = TESTS
    try:
        path = locate(reference, root, root)
    except DataFileError as refused:
        error = refused
    else:
        assert path.is_relative_to(root)
        return
    assert error.code in ("NB202", "NB203")
    assert error.what.isprintable()


def test_project_root(project: Path, tmp_path: Path) -> None:
    assert project_root(project / "examples" / "masks") == project
    (project / "examples" / ".git").touch()  # a file in a linked worktree
    assert project_root(project / "examples" / "masks") == project / "examples"
    bare = tmp_path / "bare"
    bare.mkdir()
    if project_root(tmp_path.parent) == tmp_path.parent:  # no project around the tests
        assert project_root(bare) == bare
    (tmp_path / "link").symlink_to(project / "examples" / "masks")
    assert project_root(tmp_path / "link") == project / "examples"


def test_a_spec_is_never_suggested_for_a_data_file_nor_the_reverse() -> None:
    assert nearest_file("h.npy", ["h.yaml", "h2.yml"]) == ""
    assert nearest_file("h.npy", ["h.yaml", "h.csv"]) == "h.csv"
    assert nearest_file("bsae.yaml", ["base.npy", "base.yml"]) == "base.yml"


def test_only_close_stems_are_suggested() -> None:
    names = ["ok.npy", "wiring.csv", "wiring.npy", "Plastic.npy"]
    assert nearest_file("nope.npy", names) == ""
    assert nearest_file("wirng.npy", names) == "wiring.npy"
    assert nearest_file("wirng.csv", names) == "wiring.csv"
    assert nearest_file("plastic.csv", names) == "Plastic.npy"
