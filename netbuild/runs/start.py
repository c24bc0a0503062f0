"""Start a new run: its first trainer, and its directory with the first files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from netbuild import durable
from netbuild.builder import build, build_optimizer
from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec
from netbuild.language.context import FileRecord
from netbuild.language.dump import dump_yaml
from netbuild.language.plan import NeurogymPlan
from netbuild.layers import Network
from netbuild.rundir import METRICS, RUN_FORMAT
from netbuild.runs.checkpoint import INITIAL, pack_initial, refuse_bad_weights
from netbuild.runs.git import GitState, git_state
from netbuild.runs.lock import take_lock
from netbuild.runs.provenance import environment, sources
from netbuild.runs.schema import Git, Input, RunInfo, now
from netbuild.runs.writer import FOLDERS, RunWriter, json_bytes
from netbuild.tasks import Task
from netbuild.tracking.trackers import refuse_missing
from netbuild.training.loop import Trainer

LONGEST_NAME = 200  # bytes of the name of a copied file; file systems allow 255 with the digest
LONGEST_ENDING = 20
STATES = 3  # a parameter, and at most two tensors of its size that an optimizer keeps


def new_trainer(spec: Spec, task: Task | None = None, device: str | None = None) -> Trainer:
    """A training before its first step.

    Raises NetbuildError where there is nothing to train on, and (exit 10) where a package of its
    trackers is missing.
    """
    refuse_missing(spec.model.training.track or ())
    if task is None and spec.model.task is None:
        what = f"{spec.path or 'the spec'} has no `task` to train on"
        hint = "write `task:`, or give a task in Python: netbuild.train(spec, task=...)"
        raise NetbuildError(what, Exit.SPEC, hint)
    network = build(spec, device=device)
    return Trainer.of(spec, network, build_optimizer(spec.model.training, network), task=task)


def start_run(
    spec: Spec,
    out: Path,
    trainer: Trainer,
    *,
    own_task: bool = False,
    name: str = "",
    git: GitState | None = None,
) -> RunWriter:
    """Make `out/<name>/<utc>-<hash>-<random>/`, never an existing folder, and lock it.

    With `name` it is `out/name/`, as the runs of an experiment are called by their identity. `git`
    is the state of the repository where the files of the spec are copies outside of it.

    Its `run.json` is written last: a folder without it is not a run. Raises NetbuildError (exit 7)
    where the run cannot be written, or the disk has no room for two checkpoints.
    """
    network = trainer.network
    parameters = {name: p.detach().clone() for name, p in network.named_parameters()}
    refuse_bad_weights(network, None, Exit.DIVERGED, Exit.BUG, "before the first step")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    own = f"{stamp}-{spec.hash[:8]}-{secrets.token_hex(2)}"
    path = out / name if name else out / spec.model.name / own
    files, commit = _first_files(spec, network, git)
    info = _first_info(spec, path, trainer, files, commit)
    if own_task:
        info.own_task = True
    with durable.io_errors(f"cannot write the run directory {path}"):
        needed = sum(map(len, files.values())) + 2 * STATES * len(files[INITIAL])
        folder = next(each for each in path.absolute().parents if each.is_dir())
        durable.require_space(folder, needed, "free some, or name another folder: `--out DIR`")
        durable.make_folders(path)
        lock = take_lock(path / ".lock", str(path))
        return _fill(RunWriter(path, info, lock, parameters), files)


def _first_files(
    spec: Spec, network: Network, git: GitState | None
) -> tuple[dict[str, bytes], Git]:
    """The files that a run begins with, except `run.json`, and the git commit."""
    read = _inputs(spec)
    if git is None:
        own = {path: text.encode() for path, text in spec.texts.items()}
        own |= {Path(record.path): data for record, data in read}
        git = git_state(spec.path.parent if spec.path else Path.cwd(), own)
    files = {
        "spec.yaml": spec.text.encode(),
        **{input_name(record): data for record, data in read},
        "resolved.yaml": _resolved(spec).encode(),
        INITIAL: pack_initial(spec, network),
        "specs.json": json_bytes(network.get_specs()),
        METRICS: b"",
    }
    if git.difference:
        files["git.diff"] = git.difference.encode()
    return files, Git(commit=git.commit, changed=bool(git.difference))


def _first_info(
    spec: Spec, path: Path, trainer: Trainer, files: Mapping[str, bytes], git: Git
) -> RunInfo:
    """The first contents of `run.json`."""
    task = spec.plan.task
    return RunInfo(
        format=RUN_FORMAT,
        id=secrets.token_hex(16),
        name=spec.model.name,
        status="running",
        spec_hash=spec.hash,
        spec_sha256=durable.digest(files["spec.yaml"]),
        initial_sha256=durable.digest(files[INITIAL]),
        resolved_sha256=durable.digest(files["resolved.yaml"]),
        seed=spec.model.seed,
        overrides=list(spec.overrides),
        unset=list(spec.unset),
        inputs={
            where: Input(file=record.reference, sha256=record.sha256, bytes=record.size)
            for where, record in spec.files.items()
        },
        git=git,
        task_widths=task.to_data() if isinstance(task, NeurogymPlan) else None,
        environment=environment(trainer.device, spec),
        kernels=trainer.network.kernels(),
        selected_on=trainer.selected_on,
        started=now(),
        sources=sources(spec, path),
    )


def _fill(writer: RunWriter, files: Mapping[str, bytes]) -> RunWriter:
    """Write the first files of a run; if that fails, the folder is removed."""
    try:
        for name in FOLDERS:
            os.mkdir(writer.path / name)
        for name, data in files.items():
            durable.replace_file(writer.path / name, data, within=writer.path)
        writer.status("running")
        for folder in (writer.path / "inputs", writer.path, writer.path.parent):
            durable.steady(durable.sync_folder)(folder)
    except BaseException:
        writer.close()
        with suppress(OSError):
            durable.remove(writer.path)
        raise
    return writer


def _inputs(spec: Spec) -> list[tuple[FileRecord, bytes]]:
    """The files that a spec names, and their bytes; raises NetbuildError if one has changed."""
    found = []
    for record in spec.files.values():
        data = durable.read_file(Path(record.path))
        if durable.digest(data) != record.sha256:
            what = f"{record.reference} has changed since the spec was loaded"
            raise NetbuildError(what, Exit.DATA)
        found.append((record, data))
    return found


def input_name(record: FileRecord) -> str:
    """The run's own copy of a file, relative to the run."""
    return f"inputs/{record.sha256[:16]}-{_short(Path(record.path).name)}"


def _short(name: str) -> str:
    """A file's name, shortened to LONGEST_NAME bytes; the extension is kept.

    Files whose names begin alike differ in the digest, which stands before the name.
    """
    if len(os.fsencode(name)) <= LONGEST_NAME:
        return name
    ending = "".join(Path(name).suffixes[-2:])  # such as `.csv.gz`
    ending = ending if len(os.fsencode(ending)) <= LONGEST_ENDING else ""
    kept = os.fsencode(name)[: LONGEST_NAME - len(os.fsencode(ending))]
    return kept.decode("utf-8", "ignore") + ending


def _resolved(spec: Spec) -> str:
    """The resolved spec, with the run's own copies of its files, so that it stands alone."""
    head = "# Written by netbuild: the whole spec, defaults included, with the run's own inputs.\n"
    return head + dump_yaml(spec.data_with(input_name))
