"""A new run: the network is built, the run directory made, and the training carried out."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from netbuild.builder import build, build_optimizer
from netbuild.durable import (
    digest,
    io_errors,
    make_folders,
    read_file,
    remove,
    replace_file,
    require_space,
    steadily,
    sync_folder,
)
from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec, load
from netbuild.language.context import FileRecord
from netbuild.language.dump import dump_yaml
from netbuild.language.plan import NeurogymPlan
from netbuild.rundir import FORMAT
from netbuild.runs.checkpoint import INITIAL, pack_initial, refuse_bad_weights
from netbuild.runs.lock import take_lock
from netbuild.runs.log import METRICS
from netbuild.runs.provenance import environment, git_state, sources
from netbuild.runs.run import Run
from netbuild.runs.schema import Git, Input, RunInfo, now
from netbuild.runs.writer import (
    FOLDERS,
    RunWriter,
    Watcher,
    carry_out,
    json_bytes,
    parameters_of,
)
from netbuild.tasks import Task
from netbuild.training.loop import Trainer

LONGEST_NAME = 200  # bytes of the name of a copied file; file systems take 255 with what is added
LONGEST_ENDING = 20
STATES = 3  # a parameter, and the two tensors of its size that an optimizer keeps at most


def train(
    spec: Spec | str | Path | Mapping[str, Any],
    out: str | Path = "runs",
    task: Task | None = None,
    *,
    device: str | None = None,
    watch: Watcher | None = None,
) -> Run:
    """Train a spec and return its run, written below `out`.

    `task` is any object with a `batch` method, in place of the spec's own. `watch` is called with
    every record and the trainer, whose `stop` it may set. Threads and determinism are the caller's:
    this records them and changes nothing of the process. Raises SpecError for a bad spec and
    NetbuildError when the loss diverges or the run cannot be written.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    trainer = new_trainer(spec, task, device)
    writer = start_run(spec, Path(out), trainer, own_task=task is not None)
    carry_out(trainer, writer, watch)
    return Run(writer.path, task)


def new_trainer(spec: Spec, task: Task | None = None, device: str | None = None) -> Trainer:
    """A training before its first step; raises NetbuildError where there is nothing to train on."""
    if task is None and spec.model.task is None:
        what = f"{spec.path or 'the spec'} has no `task` to train on"
        hint = "write `task:`; one of your own is given in Python: netbuild.train(spec, task=...)"
        raise NetbuildError(what, Exit.SPEC, hint)
    network = build(spec, device=device)
    return Trainer.of(spec, network, build_optimizer(spec.model.training, network), task=task)


def start_run(spec: Spec, out: Path, trainer: Trainer, *, own_task: bool = False) -> RunWriter:
    """Make `out/<name>/<utc>-<hash>-<random>/`, never an existing one, and lock it.

    Its `run.json` is written last: a folder without it is no run. Raises NetbuildError (exit 7)
    where the run cannot be written, or the disk has no room for two checkpoints.
    """
    read, network = _inputs(spec), trainer.network
    parameters = parameters_of(network)
    refuse_bad_weights(network, None, Exit.DIVERGED, Exit.BUG, "before the first step")
    initial, resolved = pack_initial(spec, network), _resolved(spec).encode()
    own = {path: text.encode() for path, text in spec.texts.items()}
    own |= {Path(record.path): data for record, data in read}
    git = git_state(spec.path.parent if spec.path else Path.cwd(), own)
    files = {
        "spec.yaml": spec.text.encode(),
        **{input_name(record): data for record, data in read},
        "resolved.yaml": resolved,
        INITIAL: initial,
        "specs.json": json_bytes(network.get_specs()),
        METRICS: b"",
    }
    if git.difference:
        files["git.diff"] = git.difference.encode()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = out / spec.model.name / f"{stamp}-{spec.hash[:8]}-{secrets.token_hex(2)}"
    widths = spec.plan.task if isinstance(spec.plan.task, NeurogymPlan) else None
    info = RunInfo(
        format=FORMAT,
        id=secrets.token_hex(16),
        name=spec.model.name,
        status="running",
        spec_hash=spec.hash,
        spec_sha256=digest(files["spec.yaml"]),
        initial_sha256=digest(initial),
        resolved_sha256=digest(resolved),
        seed=spec.model.seed,
        overrides=list(spec.overrides),
        unset=list(spec.unset),
        inputs={
            where: Input(file=record.reference, sha256=record.sha256, bytes=record.size)
            for where, record in spec.files.items()
        },
        git=Git(commit=git.commit, changed=bool(git.difference)),
        task_widths=None if widths is None else widths.to_data(),
        environment=environment(trainer.device, spec),
        started=now(),
        sources=sources(spec, path),
    )
    if own_task:
        info.own_task = True
    with io_errors(f"cannot write the run directory {path}"):
        needed = sum(map(len, files.values())) + 2 * STATES * len(initial)
        folder = next(each for each in path.absolute().parents if each.is_dir())
        require_space(folder, needed, "free some, or name another folder: `--out DIR`")
        make_folders(path)
        lock = take_lock(path / ".lock", str(path))
        return _fill(RunWriter(path, info, lock, parameters), files)


def _fill(writer: RunWriter, files: Mapping[str, bytes]) -> RunWriter:
    """Put a run's first files in place; a run that cannot be begun is removed."""
    try:
        for name in FOLDERS:
            os.mkdir(writer.path / name)
        for name, data in files.items():
            replace_file(writer.path / name, data, within=writer.path)
        writer.status("running")
        for folder in (writer.path / "inputs", writer.path, writer.path.parent):
            steadily(partial(sync_folder, folder))
    except BaseException:
        writer.close()
        with suppress(OSError):
            remove(writer.path)
        raise
    return writer


def _inputs(spec: Spec) -> list[tuple[FileRecord, bytes]]:
    """The files that a spec names, and their bytes; raises NetbuildError if one has changed."""
    found = []
    for record in spec.files.values():
        data = read_file(Path(record.path))
        if digest(data) != record.sha256:
            what = f"{record.reference} has changed since the spec was loaded"
            raise NetbuildError(what, Exit.DATA)
        found.append((record, data))
    return found


def input_name(record: FileRecord) -> str:
    """The run's own copy of a file, relative to the run."""
    return f"inputs/{record.sha256[:16]}-{_short(Path(record.path).name)}"


def _short(name: str) -> str:
    """A file's name, of at most LONGEST_NAME bytes; a longer one keeps its beginning and extension.

    The digest before it distinguishes files whose names begin alike.
    """
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    ending = "".join(Path(name).suffixes[-2:])  # `.csv.gz` is one
    ending = ending if len(os.fsencode(ending)) <= LONGEST_ENDING else ""
    kept = os.fsencode(name)[: LONGEST_NAME - len(os.fsencode(ending))]
    return kept.decode("utf-8", "ignore") + ending


def _resolved(spec: Spec) -> str:
    """The resolved spec, with the run's own copies of its files, so that it stands alone."""
    head = "# Written by netbuild: the whole spec, defaults included, with the run's own inputs.\n"
    return head + dump_yaml(spec.data_with(input_name))
