"""What a run was made from and on: its files, their git commit, versions and the machine."""

from __future__ import annotations

import difflib
import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch

from netbuild.compare import Difference, differences, flat
from netbuild.durable import LARGEST, digest, hash_beginning
from netbuild.errors import NetbuildError
from netbuild.files.door import project_root
from netbuild.language import Spec
from netbuild.language.neurogym_task import Neurogym
from netbuild.runs.schema import Environment, Sources

RUNS = "runs"  # the folder that runs are written below unless somebody names another

# Versions, processor, threads

# What the libraries that multiply choose their code, and the order of their sums, by.
_VARIABLES = ("MKL_", "ONEDNN_", "DNNL_", "ATEN_", "OMP_NUM_THREADS")
# Whatever may take part in a training: polars and scipy read connectomes and sparse matrices.
_PACKAGES = (
    *("netbuild", "torch", "numpy", "pydantic", "pyyaml", "safetensors"),
    *("polars", "scipy"),
)
_OF_NEUROGYM = ("neurogym", "gymnasium")  # which make the trials of a neurogym task
# The last bits do not depend on these.
_BESIDE = ("argv", "omp_wait_policy", "platform", "packages.pydantic")


def environment(device: torch.device, spec: Spec) -> Environment:
    """Versions, processor, threads and what libraries read of the process.

    The versions are of the packages that a training of `spec` uses; none of them is imported.
    """
    tasks = [part.model.task for part in (spec, *spec.stages)]
    more = _OF_NEUROGYM if any(isinstance(task, Neurogym) for task in tasks) else ()
    return Environment(
        python=platform.python_version(),
        packages={name: _version(name) for name in _PACKAGES + more},
        platform=platform.platform(),
        cpu=processor(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        threads=torch.get_num_threads(),
        omp_wait_policy=os.environ.get("OMP_WAIT_POLICY"),
        variables={
            name: os.environ[name] for name in sorted(os.environ) if name.startswith(_VARIABLES)
        },
        device=str(device),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        argv=sys.argv,
    )


def _version(package: str) -> str | None:
    """The version of an installed package; None for one that is not, as of a bare checkout."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def environment_changes(then: Environment, now: Environment) -> list[Difference]:
    """What of an environment may change the last bits, and has changed.

    A package whose version was not recorded then is not compared.
    """
    one, other = flat(then.model_dump()), flat(now.model_dump())
    return [
        (name, before, after)
        for name, before, after in differences(one, other)
        if name not in _BESIDE and (name in one or not name.startswith("packages."))
    ]


def processor() -> str | None:
    """The model of the processor and a digest of what it can do, where the system says so."""
    try:
        text = Path("/proc/cpuinfo").read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return platform.processor() or None
    pairs = (line.partition(":") for line in text.splitlines())
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    flags = " ".join(sorted((facts.get("flags") or facts.get("Features") or "").split()))
    name = facts.get("model name") or platform.machine()
    return f"{name} ({hashlib.sha256(flags.encode()).hexdigest()[:8]})"


# The files of a run


class Changed(NamedTuple):
    """A file that is no longer what a run was started from."""

    file: Path
    then: str  # SHA-256
    now: str


def sources(spec: Spec, run: Path) -> Sources:
    """The spec, what it extends and the files that it names, relative to the run, with digests.

    A run that was copied elsewhere finds none of them there, and needs none.
    """
    files = {os.path.realpath(path): digest(text.encode()) for path, text in spec.texts.items()}
    files |= {record.path: record.sha256 for record in spec.files.values()}
    own = None if spec.path is None else _relative(os.path.realpath(spec.path), run)
    root = spec.options.data_root
    return Sources(
        spec=own,
        data_root=None if root is None else _relative(str(root), run),
        files={_relative(path, run): sha256 for path, sha256 in files.items()},
    )


def _relative(path: str, run: Path) -> str:
    return Path(os.path.relpath(path, os.path.realpath(run))).as_posix()


def place(run: Path, name: str) -> Path:
    """Where a file lies that `sources` has named relative to a run; links are resolved."""
    return Path(os.path.realpath(os.path.realpath(run) + "/" + name))


def roots(run: Path, data_root: str | Path | None = None) -> tuple[Path, ...]:
    """The folders whose files may be read because a run's `run.json` names them.

    A run may come from anybody, so its `run.json` is not trusted. Files are read only in folders
    that the user chose: the project of the run, which of a run in `FOLDER/runs/NAME/` is that of
    FOLDER, the project of the working directory, and `data_root`.
    """
    home = Path(os.path.realpath(run))
    beside = len(home.parents) > 2 and home.parents[1].name == RUNS
    found = [project_root(home.parents[2] if beside else home), project_root(Path.cwd())]
    return (*found, Path(os.path.realpath(data_root))) if data_root is not None else tuple(found)


def is_below(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a path, with links resolved, is one of the folders or lies in one."""
    return any(path.is_relative_to(folder) for folder in folders)


def changed(run: Path, known: Sources, data_root: str | Path | None = None) -> list[Changed]:
    """The files of `known` that are there and hold something else.

    Files outside of `roots(run, data_root)` are not looked at.
    """
    found, allowed = [], roots(run, data_root)
    for name, then in known.files.items():
        try:
            path = place(run, name)
            if not is_below(path, allowed):
                continue
            now = hash_beginning(path, LARGEST).hexdigest()
        except (OSError, ValueError, NetbuildError):  # it has gone; the run has its own copy
            continue
        if now != then:
            found.append(Changed(path, then, now))
    return found


# The git commit
#
# A repository can come from anybody, and its configuration may name programs: filters, hooks,
# drivers, a file system monitor, a remote that is a command. So git is asked for nothing here but
# which commit is checked out, and what its files hold; files are compared in Python. Nothing of the
# repository except the run's own files is read.

LARGEST_TEXT = 1 << 18  # bytes of a file whose lines are compared
MOST_LINES = 4000
LARGEST_DIFFERENCE = 1 << 20  # bytes
PATIENCE = 10  # seconds
# Settings of a partial clone, in which git runs a command to fetch missing objects.
_FETCHES = r"^(extensions\.partialclone|remote\..*\.(promisor|partialclonefilter))$"
_NAME = "[0-9a-f]{40}|[0-9a-f]{64}"  # of a commit or a blob
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


class GitState(NamedTuple):
    """The commit that is checked out, and the difference of some files from it, as a patch.

    Both are None outside of a repository; the difference is None in a partial clone too.
    """

    commit: str | None = None
    difference: str | None = None


def git_state(folder: Path, files: Mapping[Path, bytes]) -> GitState:
    """The commit of a folder's repository, and how these files (with their bytes) differ from it.

    Files that the commit does not have are left out. A file that is no text, or too large, is named
    in one line with its digests.
    """
    answer = _git(folder, "rev-parse", "HEAD")
    head = "" if answer is None else answer.decode(errors="replace").strip()
    if not re.fullmatch(_NAME, head):
        return GitState()
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or _git(folder, "config", "--get-regexp", _FETCHES) is not None:
        return GitState(head)
    root = Path(os.fsdecode(top.removesuffix(b"\n")))
    named = {name: data for path, data in files.items() if (name := _name(path, root))}
    return GitState(head, _difference(folder, head, named))


def _name(path: Path, root: Path) -> str | None:
    """A file's name in the repository; None for one outside, or that one line cannot hold."""
    place = Path(os.path.realpath(path))
    if not place.is_relative_to(root):
        return None
    name = place.relative_to(root).as_posix()
    return name if name.isprintable() else None


def _difference(folder: Path, commit: str, files: Mapping[str, bytes]) -> str | None:
    """The patch that leads from the commit's files to these."""
    blobs = _blobs(folder, commit, files)
    if blobs is None:
        return None
    changed = {name: blob for name, blob in blobs.items() if blob[0] != _blob_id(files[name], blob)}
    small = [name for name, (_, size) in changed.items() if size <= LARGEST_TEXT]
    contents = _contents(folder, [changed[name][0] for name in small])
    texts = dict(zip(small, contents, strict=True)) if contents is not None else {}
    parts, left = [], LARGEST_DIFFERENCE
    for name in changed:
        part = _part(name, changed[name], texts.get(name), files[name])
        if len(part) > left:
            part = _line(name, changed[name], files[name])
        parts.append(part)
        left -= len(part)
    return "".join(parts)


def _part(name: str, blob: tuple[str, int], then: bytes | None, now: bytes) -> str:
    """The patch of one file; empty if only its line ends or its Git LFS storage differ."""
    if then is not None and (_lines(then) == _lines(now) or _points_to(then, now)):
        return ""
    if then is None or not (_is_text(then) and _is_text(now)):
        return _line(name, blob, now)
    return "".join(_patch(name, then.decode(), now.decode()))


def _line(name: str, blob: tuple[str, int], now: bytes) -> str:
    digest = hashlib.sha256(now).hexdigest()
    return (
        f"# {name} differs: blob {blob[0]}, {blob[1]:,} bytes, in the commit; "
        f"SHA-256 {digest}, {len(now):,} bytes, here\n"
    )


def _patch(name: str, then: str, now: str) -> Iterator[str]:
    one, other = (re.findall(r"[^\n]*\n|[^\n]+\Z", text) for text in (then, now))
    for line in difflib.unified_diff(one, other, f"a/{name}", f"b/{name}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    fair = len(data) <= LARGEST_TEXT and data.count(b"\n") <= MOST_LINES
    return fair and b"\0" not in data


def _lines(data: bytes) -> bytes:
    """The bytes with LF for CRLF."""
    return data.replace(b"\r\n", b"\n")


def _points_to(then: bytes, now: bytes) -> bool:
    """Whether a commit has, in place of a file, what Git LFS keeps of it."""
    digest = hashlib.sha256(now).hexdigest()
    return then.startswith(_POINTER) and f"sha256:{digest}\n".encode() in then


def _blob_id(data: bytes, blob: tuple[str, int]) -> str:
    """The object id of these bytes, by the algorithm of `blob`."""
    algorithm = "sha1" if len(blob[0]) == 40 else "sha256"
    found = hashlib.new(algorithm, b"blob %d\0" % len(data), usedforsecurity=False)
    found.update(data)
    return found.hexdigest()


def _blobs(
    folder: Path, commit: str, names: Mapping[str, bytes]
) -> dict[str, tuple[str, int]] | None:
    """What git calls each file of a commit, and its size; files that it lacks are left out."""
    asked = "".join(f"{commit}:{name}\n" for name in names)
    answer = _git(folder, "cat-file", "--batch-check", given=asked.encode())
    if answer is None:
        return None
    found = {}
    for name, line in zip(names, answer.decode(errors="replace").split("\n"), strict=False):
        match = re.fullmatch(rf"({_NAME}) blob (\d{{1,18}})", line)
        if match:
            found[name] = (match[1], int(match[2]))
    return found


def _contents(folder: Path, blobs: list[str]) -> list[bytes] | None:
    """The bytes of some blobs."""
    answer = _git(folder, "cat-file", "--batch", given="".join(f"{b}\n" for b in blobs).encode())
    if answer is None:
        return None
    found = []
    for blob in blobs:
        head, _, answer = answer.partition(b"\n")
        match = re.fullmatch(rb"[0-9a-f]+ blob (\d+)", head)
        if match is None or not head.startswith(blob.encode()):
            return None
        size = int(match[1])
        found.append(answer[:size])
        answer = answer[size + 1 :]
    return found


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """What git prints, None where it fails. Only commands that read no filter, hook or driver."""
    environment = {
        **os.environ,
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # so that an older git, which fetches all the same, cannot
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_PAGER": "cat",
    }
    try:
        found = subprocess.run(
            ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *arguments],
            input=given,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            env=environment,
        )
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found.stdout if found.returncode == 0 else None
