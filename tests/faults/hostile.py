"""R24: runs that come from somebody else: what stands in place of their files and folders.

Each entry of a run is replaced by a symbolic link, a hard link, a FIFO, a device or a file with a
hole of 40 GB, and each command is given that run. What the links lead to must stay as it is.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from faults import end
from faults.lab import Counts, Lab, cleared, spread, train
from faults.specs import SHORT

HOLE = 40 << 30  # bytes
MEMORY = 512 << 20  # bytes that a command may take more than before
DOCUMENTED = (0, 2, 3, 4, 5, 6, 7, 9)
REFUSED = (2, 3, 4, 5, 6, 7, 9)  # exit codes after which the run must be as it was

# The entries of a run; "data" is the first of its inputs, "step" its newest checkpoint.
FILES = (
    *("run.json", "spec.yaml", "resolved.yaml", "metrics.jsonl", "initial.safetensors"),
    *("specs.json", ".lock", "inputs/data", "evaluation/trials.parquet", "figures/learning.png"),
    *("checkpoints/step/network.safetensors", "checkpoints/step/optimizer.safetensors"),
    *("checkpoints/step/state.json", "weights.npz"),
)
FOLDERS = ("inputs", "checkpoints", "checkpoints/step", "evaluation", "figures")

COMMANDS: dict[str, tuple[str, ...]] = {
    "inspect": ("inspect", "RUN"),
    "evaluate": ("evaluate", "RUN"),
    "export": ("export", "RUN"),
    "export activity": ("export", "RUN", "--activity", "--trials", "4"),
    "plot": ("plot", "RUN", "--kind", "learning"),
    "plot weights": ("plot", "RUN"),
    "analyze": ("analyze", "RUN"),
    "diff": ("diff", "RUN", "OTHER"),
    "runs": ("runs", "OUT"),
    "runs by a value": ("runs", "OUT", "--filter", "training.steps>1"),
    "reproduce": ("reproduce", "RUN", "--quiet"),
    "resume": ("resume", "RUN", "--quiet"),
    "resume as started": ("resume", "RUN", "--as-started", "--quiet"),
    "fork": ("resume", "RUN", "--fork", "--quiet"),
    "train again": ("train", "SPEC", "--out", "OUT", "--resume", "--quiet"),
}
WRITES = ("resume", "resume as started", "train again")  # that take a run which has not ended


def _remove(entry: Path) -> None:
    if entry.is_dir():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def _moved(entry: Path, victim: Path) -> None:
    """A link to what the entry was, which now lies with somebody else."""
    shutil.move(entry, victim / entry.name)
    entry.symlink_to(victim / entry.name)


def _dangling(entry: Path, victim: Path) -> None:
    _remove(entry)
    entry.symlink_to(victim / "nothing")


def _to_a_folder(entry: Path, victim: Path) -> None:
    _remove(entry)
    (victim / "folder").mkdir()
    entry.symlink_to(victim / "folder")


def _hard(entry: Path, victim: Path) -> None:
    os.link(entry, victim / entry.name)


def _fifo(entry: Path, victim: Path) -> None:
    _remove(entry)
    os.mkfifo(entry)


def _socket(entry: Path, victim: Path) -> None:
    _remove(entry)
    here = os.open(entry.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{entry.name}")  # its whole path may be too long
    os.close(here)


def _to_a_device(entry: Path, victim: Path) -> None:
    _remove(entry)
    entry.symlink_to("/dev/zero")


def _device(entry: Path, victim: Path) -> None:
    _remove(entry)
    os.mknod(entry, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # that of /dev/zero


def _hole(entry: Path, victim: Path) -> None:
    if not entry.exists():
        entry.touch()
    os.truncate(entry, HOLE)


Replace = Callable[[Path, Path], None]
KINDS: dict[str, tuple[Replace, tuple[str, ...]]] = {
    "a link": (_moved, FILES + FOLDERS),
    "a link to nothing": (_dangling, FILES + FOLDERS),
    "a link to a folder": (_to_a_folder, FILES + FOLDERS),
    "a hard link": (_hard, FILES),
    "a FIFO": (_fifo, FILES + FOLDERS),
    "a socket": (_socket, FILES),
    "a link to a device": (_to_a_device, FILES),
    "a device": (_device, FILES),
    "a hole": (_hole, FILES),
}


def kinds() -> list[str]:
    """The kinds that can be made here: only the superuser makes devices."""
    return [kind for kind in KINDS if kind != "a device" or os.geteuid() == 0]


class Case(NamedTuple):
    """An entry of a run, what it is replaced by, and the command that the run is given to."""

    entry: str
    kind: str
    command: str


def every_case() -> list[Case]:
    """All of them."""
    return [
        Case(entry, kind, command)
        for command in COMMANDS
        for kind in kinds()
        for entry in KINDS[kind][1]
    ]


def entry_of(run: Path, name: str) -> Path:
    """The entry of a run that goes by a name of `FILES` or `FOLDERS`."""
    if name == "inputs/data":
        return sorted((run / "inputs").iterdir())[0]
    if name.startswith("checkpoints/step"):
        return end.checkpoints(run)[-1] / name.removeprefix("checkpoints/step").lstrip("/")
    return run / name


def make_hostile(run: Path, case: Case, victim: Path) -> None:
    """Replace an entry of a run, and make room for what links lead to."""
    victim.mkdir()
    (victim / "kept").write_text("somebody's own")
    if case.command in WRITES:
        about = end.about(run) | {"status": "running"}
        (run / "run.json").write_text(json.dumps(about))
        shutil.rmtree(end.checkpoints(run)[-1])  # so that lines are cut, and written again
    entry = entry_of(run, case.entry)
    if not entry.exists():
        entry.write_text("made before")
    KINDS[case.kind][0](entry, victim)


def tree(folder: Path) -> dict[str, object]:
    """All that is in a folder, links not followed: kinds, targets, and the bytes of files."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        name = str(path.relative_to(folder))
        if stat.S_ISLNK(status.st_mode):
            found[name] = os.readlink(path)
        elif stat.S_ISREG(status.st_mode) and status.st_size < HOLE:
            found[name] = path.read_bytes()
        else:
            found[name] = stat.S_IFMT(status.st_mode), status.st_size
    return found


def foreign_entries(lab: Lab, most: int | None = None) -> Counts:
    """R24: every entry, every kind, every command."""
    counts = Counts(
        "R24", "an entry of a run replaced by a link, FIFO, device or hole; all commands"
    )
    (lab.folder / "pyproject.toml").touch()  # runs and specs are of one project
    spec = lab.spec("ctrnn", **SHORT)
    begun = lab.new()
    outcome = lab.run(*train(spec, begun), healthy=True)
    assert outcome.code == 0, outcome.said
    (other,) = end.runs_in(begun)

    def check(case: Case) -> list[str]:
        out, victim = lab.new(), lab.new()
        shutil.copytree(begun, out)
        (run,) = end.runs_in(out)
        make_hostile(run, case, victim)
        words = {"RUN": run, "OTHER": other, "OUT": out, "SPEC": spec}
        argv = [words.get(word, word) for word in COMMANDS[case.command]]
        before, theirs = tree(run), tree(victim)
        outcome = lab.run(*argv, memory=True)
        found = judged(outcome.code, outcome.said)
        if tree(victim) != theirs:
            found.append("what belongs to somebody else was changed")
        after = tree(run)
        for each in (before, after):
            each.pop(".lock", None)  # which tells who had it last
        if outcome.code in REFUSED and after != before:
            odd = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            found.append(f"the run was changed, though it was refused: {odd[0]}")
        if outcome.values.get("memory", 0) > MEMORY:
            found.append(f"took {outcome.values['memory']:,} bytes of memory")
        counts.add(refused=int(outcome.code in REFUSED))
        cleared(out)
        cleared(victim)
        return found

    lab.each(counts, spread(every_case(), most), check)
    counts.demand("refused", 1 / 3)
    return counts


def judged(code: int, said: str) -> list[str]:
    """What is wrong with how a command ended."""
    if code not in DOCUMENTED:
        return [f"exit {code}: {said.strip()[-300:]}"]
    if code and ("Traceback" in said or not said.strip()):
        return [f"exit {code} without a message: {said.strip()[-300:]}"]
    return []
