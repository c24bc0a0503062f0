"""The git commit of a run, and the patch; no program that a repository names is run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import netbuild
from netbuild.runs import git
from netbuild.runs.git import GitState, git_state

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run_git(folder: Path, *arguments: object) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    command = ["git", "-C", str(folder), *who, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(small: Path) -> Path:
    """The folder of a spec and its data, all of it committed."""
    run_git(small.parent, "init", "-q", ".")
    run_git(small.parent, "add", "-A")
    run_git(small.parent, "commit", "-qm", "first")
    return small.parent


# Each names a program in the repository's own configuration or attributes; git runs it in some
# command. The marker is made by whatever runs.
HOSTILE: dict[str, tuple[tuple[str, str], ...]] = {
    "clean filter": (("filter.x.clean", "touch {marker}; cat"),),
    "smudge filter": (("filter.x.smudge", "touch {marker}; cat"),),
    "filter process": (("filter.x.process", "touch {marker}"), ("filter.x.required", "true")),
    "text conversion": (("diff.x.textconv", "touch {marker}; cat"),),
    "difference driver": (("diff.x.command", "touch {marker}"),),
    "external difference": (("diff.external", "touch {marker}"),),
    "file system monitor": (("core.fsmonitor", "touch {marker}"),),
    "pager": (("core.pager", "touch {marker}; cat"), ("pager.diff", "touch {marker}; cat")),
    "alias": (("alias.rev-parse", "!touch {marker}"), ("alias.cat-file", "!touch {marker}")),
    "merge driver": (("merge.x.driver", "touch {marker}"),),
    "promised objects": (
        ("core.repositoryformatversion", "1"),
        ("extensions.partialclone", "origin"),
        ("remote.origin.url", "ext::touch {marker}"),
        ("remote.origin.promisor", "true"),
        ("protocol.ext.allow", "always"),
    ),
}
HOOKS = ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman")


def make_hostile(project: Path, kind: str, marker: Path) -> None:
    """Configure a repository so that some git command makes the marker."""
    (project / ".git" / "info" / "attributes").write_text("* filter=x diff=x merge=x\n")
    for key, value in HOSTILE.get(kind, ()):
        run_git(project, "config", key, value.format(marker=marker))
    if kind == "hooks":
        for name in HOOKS:
            hook = project / ".git" / "hooks" / name
            hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
            hook.chmod(0o755)
    if kind == "promised objects":  # the blob of the spec is one that git would fetch
        blob = run_git(project, "rev-parse", "HEAD:small.yaml")
        (project / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


@pytest.mark.parametrize("kind", [*HOSTILE, "hooks"])
def test_nothing_that_a_repository_names_is_run(project: Path, tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "marker"
    make_hostile(project, kind, marker)
    marker.unlink(missing_ok=True)
    spec = project / "small.yaml"
    spec.write_text(spec.read_text().replace("lr: 1e-2", "lr: 1e-3"))
    files = {spec: spec.read_bytes(), project / "data.npz": (project / "data.npz").read_bytes()}
    found = git_state(project, files)
    assert not marker.exists()
    assert found.commit == run_git(project, "rev-parse", "HEAD")
    if kind != "promised objects":
        assert "+  optimizer: {type: Adam, lr: 1e-3" in (found.difference or "")


def test_a_git_that_fetches_all_the_same_may_not(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_hostile(project, "promised objects", tmp_path / "marker")
    monkeypatch.setattr(git, "_FETCHES", "^nothing$")
    spec = project / "small.yaml"
    git_state(project, {spec: spec.read_bytes() + b"\n"})
    assert not (tmp_path / "marker").exists()


def test_git_would_run_what_the_hostile_repositories_name(project: Path, tmp_path: Path) -> None:
    """The traps of the test above are real ones."""
    traps = {
        "clean filter": ("diff", "HEAD"),
        "external difference": ("diff", "HEAD"),
        "file system monitor": ("status",),
        "promised objects": ("cat-file", "blob", "HEAD:small.yaml"),
    }
    for kind, command in traps.items():
        name = kind.replace(" ", "-")
        copy, marker = tmp_path / "copies" / name, tmp_path / name
        shutil.copytree(project, copy, ignore=shutil.ignore_patterns("copies"))
        make_hostile(copy, kind, marker)
        (copy / "small.yaml").write_text("netbuild: 1\n")
        subprocess.run(["git", "-C", copy, *command], capture_output=True, check=False)
        assert marker.exists(), kind


@pytest.mark.parametrize("kind", ["clean filter", "file system monitor"])
def test_training_and_forking_run_nothing_and_take_no_secrets(
    project: Path, tmp_path: Path, cli: Any, kind: str
) -> None:
    marker = tmp_path / "marker"
    make_hostile(project, kind, marker)
    (project / "secrets.env").write_text("TOKEN=old\n")
    run_git(project, "add", "-f", "secrets.env")
    run_git(project, "commit", "-qm", "second")
    (project / "secrets.env").write_text("TOKEN=sk-live-0000\n")
    text = (project / "small.yaml").read_text()
    (project / "small.yaml").write_text(text.replace("steps: 24", "steps: 8"))
    marker.unlink(missing_ok=True)
    run = netbuild.train(project / "small.yaml", tmp_path / "runs")
    assert cli("resume", run.path, "--fork", "--quiet").code == 0
    assert not marker.exists()
    for each in run.path.parent.iterdir():
        everything = b"".join(p.read_bytes() for p in each.rglob("*") if p.is_file())
        assert b"TOKEN" not in everything
        patch = (each / "git.diff").read_text()
        assert "-  steps: 24\n+  steps: 8\n" in patch
        assert netbuild.open_run(each).about["git"]["changed"]


def test_the_patch_is_one_that_git_applies(project: Path, tmp_path: Path) -> None:
    spec = project / "small.yaml"
    then, now = spec.read_text(), spec.read_text().replace("seed: 3", "seed: 4").rstrip("\n")
    found = git_state(project, {spec: now.encode()})
    (tmp_path / "patch").write_text(found.difference or "")
    run_git(project, "apply", tmp_path / "patch")
    assert spec.read_text() == now != then


def test_without_a_change_there_is_no_difference(project: Path, small: Path) -> None:
    spec = project / "small.yaml"
    assert git_state(project, {spec: spec.read_bytes()}).difference == ""
    windows = spec.read_bytes().replace(b"\n", b"\r\n")  # which git is told to convert, there
    assert git_state(project, {spec: windows}).difference == ""
    (project / "new.yaml").write_text("a: 1\n")
    (project.parent / "beyond.yaml").write_text("a: 1\n")
    others = {project / "new.yaml": b"a: 1\n", project.parent / "beyond.yaml": b"a: 1\n"}
    assert git_state(project, others).difference == ""


def test_what_git_lfs_keeps_elsewhere_is_no_difference(project: Path) -> None:

    data = os.urandom(100)
    digest = hashlib.sha256(data).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 100\n"
    (project / "large.npz").write_text(pointer)
    run_git(project, "add", "large.npz")
    run_git(project, "commit", "-qm", "large")
    assert git_state(project, {project / "large.npz": data}).difference == ""
    other = git_state(project, {project / "large.npz": data + b"."}).difference
    assert (other or "").startswith("# large.npz differs: blob ")


def test_what_is_large_or_no_text_is_named_in_a_line(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary, text = b"\0" * 10, "1,2\n" * 3000
    (project / "binary.csv").write_bytes(binary)
    (project / "large.csv").write_text(text * 50)
    (project / "text.csv").write_text(text)
    run_git(project, "add", "-A")
    run_git(project, "commit", "-qm", "data")
    files = {
        project / "binary.csv": binary + b"1",
        project / "large.csv": text.encode() * 50 + b"3,4\n",
        project / "text.csv": text.encode() + b"3,4\n",
    }
    difference = git_state(project, files).difference or ""
    assert [line.split()[1] for line in difference.splitlines() if line.startswith("#")] == [
        "binary.csv",
        "large.csv",
    ]
    assert "+3,4\n" in difference
    monkeypatch.setattr(git, "LARGEST_DIFFERENCE", 10)
    assert "+3,4\n" not in (git_state(project, files).difference or "")


def test_outside_of_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    assert git_state(tmp_path, {}) == GitState(None, None)
    assert git_state(tmp_path / "nowhere", {}) == GitState(None, None)
