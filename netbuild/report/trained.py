"""Parts of a report that runs and experiments share: how choices were made, files, machine."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

from netbuild.durable import is_there, read_file, reading
from netbuild.report.cells import Block, Cell, Code, Line, Note, Row, Table, number, pairs
from netbuild.runs.schema import RunInfo
from netbuild.yamltree.document import MAX_BYTES

CHOSEN = {
    "validation": Note(
        "Every choice (the best step, an early end) was made on validation trials. The test trials"
        " were scored once, at the end, and no choice has looked at them.",
        "good",
    ),
    "test": Note(
        "Choices were made on the test set (NB607): the best step, or an early end, was chosen by"
        " the very trials that the test scores are of. The scores are therefore too good for unseen"
        " samples."
    ),
    "training": Note(
        "All samples were trained on, and choices were made on them. The scores say nothing about"
        " unseen samples."
    ),
}
NOTHING_CHOSEN = Note(
    "Nothing was chosen by a score: the training had one evaluation, at its end, and the weights"
    " are those of its last step.",
    "good",
)
OLD = Note(
    "This run was written in an older format, in which evaluations scored the test trials: choices"
    " by a score, if any were made, were made on the test set."
)


def choice_note(info: RunInfo) -> Note:
    """On which trials the choices of a run were made, said plainly."""
    if not info.has_separate_test:
        return OLD
    return NOTHING_CHOSEN if info.selected_on is None else CHOSEN[info.selected_on]


def data_table(info: RunInfo) -> Table:
    """The files that a run read, with their digests."""
    rows: list[Row] = [
        (Code(where), Code(read.file), number(read.bytes), Code(read.sha256))
        for where, read in info.inputs.items()
    ]
    head = ("Key of the spec", "File", "Bytes", "SHA-256")
    return Table("Files that were read", head, rows, (0.25, 0.2, 0.12, 0.43))


def machine_table(info: RunInfo) -> Table:
    """The machine and the versions that a run was trained with."""
    machine = info.environment
    packages = ", ".join(f"{name} {v}" for name, v in machine.packages.items() if v is not None)
    commit: Cell = "none" if info.git.commit is None else Code(info.git.commit)
    if info.git.commit is not None and info.git.changed:
        commit = [
            Code(info.git.commit),
            ("with changes: ", Code("git.diff"), " in the run's folder"),
        ]
    kernels: list[Line] = [(Code(name), f": {kernel}") for name, kernel in info.kernels.items()]
    resumed: list[Line] = [
        f"at step {each.step:,}, {each.time}"
        + (f"; changed: {', '.join(each.environment)}" if each.environment else "")
        for each in info.resumed
    ]
    return pairs(
        "Machine and versions",
        [
            ("Python", machine.python),
            ("Packages", packages),
            ("Platform", machine.platform),
            ("Processor", f"{machine.cpu or 'unknown'} ({machine.cpu_capability})"),
            ("Device", machine.device),
            ("Threads", f"{machine.threads}"),
            ("Deterministic algorithms", "on" if machine.deterministic else "off"),
            ("Kernels of recurrences", kernels),
            ("Git commit", commit),
            ("Seed", f"{info.seed}"),
            ("Hash of the resolved spec", Code(info.spec_hash)),
            ("Began", info.started),
            ("Resumed", resumed),
        ],
    )


def text_in(folder: Path, name: str) -> str:
    """The text of a file in a folder, "" without it; raises NetbuildError."""
    if not is_there(folder / name, within=folder):
        return ""
    with reading(folder / name):
        return read_file(folder / name, MAX_BYTES, within=folder).decode("utf-8", "replace")


def command(words: Iterable[str]) -> str:
    """A command line that can be typed into a shell."""
    return shlex.join(["netbuild", *words])


def as_started(info: RunInfo) -> list[str]:
    """The command line that began the training, unless that was a program in Python."""
    program, *words = info.environment.argv or [""]
    parts = program.replace("\\", "/").split("/")
    if parts[-1] not in ("netbuild", "netbuild.exe") and parts[-2:] != ["netbuild", "__main__.py"]:
        return ["# The training was started by a program in Python."]
    return ["# As the training was started:", command(words)]


def with_changes(info: RunInfo, file: str) -> str:
    """The command that trains a spec with the overrides that a run had."""
    changes = [word for each in info.overrides for word in ("--set", each)]
    changes += [word for each in info.unset for word in ("--unset", each)]
    return command(["train", file, *changes])


def score_cells(score: Mapping[str, float | None]) -> tuple[Cell, Cell]:
    """The loss and the accuracy of a row."""
    return number(score.get("loss")), number(score.get("accuracy"))


def blocks_of(*blocks: Block | None) -> list[Block]:
    """Blocks that are there; a table without rows is not."""
    return [b for b in blocks if b is not None and not (isinstance(b, Table) and not b.rows)]
