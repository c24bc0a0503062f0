"""Resume an unfinished run, to the same bits as if the run had never stopped."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from netbuild.builder import (
    build,
    build_optimizer,
    change_optimizer,
    device_of,
    refuse_missing_kernels,
)
from netbuild.durable import digest, io_errors, read_file, reading
from netbuild.errors import Exit, NetbuildError
from netbuild.folders import ForeignEntryError
from netbuild.layers import Network
from netbuild.rundir import LARGEST_JSON, OPTIMIZER
from netbuild.runs.checkpoint import (
    INITIAL,
    checkpoints,
    load_network,
    load_verified,
    open_checkpoint,
    set_aside,
)
from netbuild.runs.log import NotNowError, OtherLogError, copy_log, refuse_other_log
from netbuild.runs.provenance import (
    changed,
    environment,
    environment_changes,
    is_below,
    is_newer,
    place,
    roots,
)
from netbuild.runs.run import RunFolder
from netbuild.runs.schema import Resumed, State, now
from netbuild.runs.writer import RunWriter, reopen
from netbuild.tracking.trackers import refuse_missing
from netbuild.training.loop import Trainer, stages_of
from netbuild.training.optimizer_state import load_optimizer
from netbuild.training.progress import Progress
from netbuild.wording import one_line

Warn = Callable[[str], None]


def resumed(
    run: RunFolder,
    *,
    if_changed: str = "refuse",
    data_root: str | Path | None = None,
    device: str | None = None,
    track: Sequence[str] | None = (),
    warn: Warn,
) -> tuple[Trainer, RunWriter] | None:
    """The training of a run from its newest valid checkpoint on; None for a run that has ended.

    The run is locked until the writer is closed. Options and errors are those of `netbuild.resume`.
    """
    if run.info.has_ended:
        return None
    refuse_missing(track or ())
    if if_changed == "refuse":
        _refuse_changes(run, data_root, warn)
    writer = reopen(run.path)
    try:
        if writer.info.has_ended:  # another process has just finished the training
            writer.close()
            return None
        run.info = writer.info  # another process may have trained the run in between
        trainer, logged = _restored(run, device, warn)
        writer.initial, writer.track = run.initial, track
        with io_errors(f"cannot write {run.path}"):
            writer.rewind(logged)
            _note(writer, trainer, run, warn)
    except BaseException:
        writer.close()
        raise
    return trainer, writer


def _refuse_changes(run: RunFolder, data_root: str | Path | None, warn: Warn) -> None:
    """Raise NetbuildError (exit 5) where a file that a run was made from holds something else.

    Warns of files that may have changed, but lie in folders that must not be read.
    """
    found, unread = changed(run.path, run.info.sources, data_root)
    if not found:
        lost = lost_root(run, roots(run.path), data_root)
        if lost is not None:
            what = f"files in the data root of {run.path} are not compared with what they were"
            warn(f"{what}: `--data-root {quoted(lost)}` compares them")
        elif recent := [path for path in unread if is_newer(path, run.info.started)]:
            what = f"{quoted(recent[0])} was modified after the start of {run.path}"
            warn(
                f"{what}, and is not checked for changes: `--data-root DIR` checks files below DIR"
            )
        return
    one = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    what = f"{one_line(str(one.file))} has changed since {run.path} was started{more}: "
    what += f"sha256 {one.then[:16]} then, {one.now[:16]} now"
    inputs = {each.sha256 for each in run.info.inputs.values()}
    same = "`--as-started` resumes with the run's own copies"
    fork = "`--fork` starts a new run from the run's weights with the files as they are now"
    if any(each.then in inputs for each in found):
        hint = f"{same}; {fork}, and needs the same masks"
    else:
        hint = f"{fork}; {same}"
    raise NetbuildError(what, Exit.RUN, hint)


def lost_root(run: RunFolder, allowed: Iterable[Path], data_root: str | Path | None) -> Path | None:
    """The data root of a run if it is outside the allowed folders and `data_root` is not given."""
    name = run.info.sources.data_root
    if name is None or data_root is not None:
        return None
    path = place(run.path, name)
    return None if is_below(path, allowed) else path


def quoted(path: Path) -> str:
    """A path, quoted for a shell and safe to print."""
    return shlex.quote(one_line(str(path)))


def _restored(run: RunFolder, device: str | None, warn: Warn) -> tuple[Trainer, int]:
    """The training at its newest valid checkpoint, and the length of its log there, in bytes.

    A checkpoint of another log is treated as a damaged one. Damaged checkpoints are renamed only
    if there is a checkpoint to resume from. Raises NetbuildError.
    """
    refuse_damage(run)
    run.refuse_missing_task()
    where = device_of(device or run.info.environment.device)
    damaged: dict[Path, NetbuildError] = {}
    for path in reversed(checkpoints(run.path / "checkpoints")):
        network, optimizer = _built(run, where)  # an error here says nothing of the checkpoint
        try:
            state = _load_state(run, path, network, optimizer)
            refuse_other_log(run.path, state)
        except (NotNowError, ForeignEntryError):
            raise
        except NetbuildError as error:
            damaged[path] = error
            continue
        progress = Progress.model_validate(state.model_dump(include=set(Progress.model_fields)))
        trainer = _trainer(run, network, optimizer, progress)
        _put_away(run, damaged, warn)
        return trainer, state.metrics
    if damaged:
        raise _nothing_left(run, list(damaged.values()))
    if step := run.info.step:
        with io_errors(f"cannot write {run.path}"):
            copy_log(run.path)
        warn(f"{run.path} had taken {step:,} steps and has no checkpoint left: it begins again")
    return first_training(run, where), 0


def _put_away(run: RunFolder, damaged: Mapping[Path, NetbuildError], warn: Warn) -> None:
    """Rename damaged checkpoints, newest first; an odd log, which will be cut, is copied first."""
    with io_errors(f"cannot write {run.path}"):
        if any(isinstance(error, OtherLogError) for error in damaged.values()):
            copy_log(run.path)
        for bad, why in damaged.items():
            what = str(why).partition("\n")[0]
            aside = set_aside(bad).name
            warn(f"{what}; {bad.name} is now {aside}, and the one before is used")


def _nothing_left(run: RunFolder, errors: list[NetbuildError]) -> NetbuildError:
    """The error where no checkpoint can be resumed from; `errors` are newest first."""
    for error in errors:
        if isinstance(error, OtherLogError):  # the checkpoint is whole, only its log is missing
            return error
    what = str(errors[0]).partition("\n")[0]
    hint = f"to begin again from the initial weights, remove {run.path / 'checkpoints'}"
    what = f"no checkpoint of {run.path} is intact: {what}"
    return NetbuildError(what, errors[0].exit_code, hint)


def first_training(run: RunFolder, device: torch.device) -> Trainer:
    """The training of a run before its first step, from the weights that the run started from."""
    return _trainer(run, *_built(run, device))


def _trainer(
    run: RunFolder,
    network: Network,
    optimizer: torch.optim.Optimizer,
    progress: Progress | None = None,
) -> Trainer:
    return Trainer.of(
        run.training_spec,
        network,
        optimizer,
        task=run.given_task,
        progress=progress,
        separate_test=run.info.has_separate_test,
    )


def _built(run: RunFolder, device: torch.device) -> tuple[Network, torch.optim.Optimizer]:
    """The network of a run, with the weights that the run started from, and its optimizer."""
    spec = run.training_spec
    network = build(spec, device="cpu")
    load_network(network, run.initial, str(run.path / INITIAL))
    network = network.to(device)
    try:
        network.use_kernels(run.info.kernels)
    except ValueError as error:
        raise NetbuildError(f"{run.path / 'run.json'}: {error}", Exit.RUN) from None
    refuse_missing_kernels(network)
    return network, build_optimizer(spec.model.training, network)


def _load_state(
    run: RunFolder, path: Path, network: Network, optimizer: torch.optim.Optimizer
) -> State:
    """Load a checkpoint into a run's network and optimizer; returns its state.

    Raises NetbuildError for a checkpoint that is damaged, hostile, or another run's.
    """
    found = open_checkpoint(path)
    state, stages = found.state, stages_of(run.training_spec)
    if state.run != run.info.id:
        raise NetbuildError(f"{path} is of another run", Exit.RUN)
    if state.stage >= len(stages):
        raise NetbuildError(f"{path} is of a stage that the spec does not have", Exit.RUN)
    change_optimizer(stages[state.stage][1].model.training, optimizer)
    load_verified(network, found, run.initial)
    load_optimizer(network, optimizer, found.tensors(OPTIMIZER), state.optimizer, str(path))
    return state


def refuse_damage(run: RunFolder) -> None:
    """Raise NetbuildError (exit 5) where a run's own spec or files have been changed."""
    digests = {"resolved.yaml": run.info.resolved_sha256, "spec.yaml": run.info.spec_sha256}
    for name, known in digests.items():
        path = run.path / name
        with reading(path):
            found = digest(read_file(path, LARGEST_JSON))
        if found != known:
            raise NetbuildError(f"{path} does not match its recorded digest", Exit.RUN)
    for where, record in run.spec.files.items():
        own = run.info.inputs.get(where)
        if own is None or record.sha256 != own.sha256:
            raise NetbuildError(f"{record.path} does not match its recorded digest", Exit.RUN)
    if run.info.seed != run.spec.model.seed:
        what = f"{run.path / 'run.json'} says seed {run.info.seed}"
        raise NetbuildError(f"{what}, resolved.yaml {run.spec.model.seed}", Exit.RUN)


def _note(writer: RunWriter, trainer: Trainer, run: RunFolder, warn: Warn) -> None:
    """Record in `run.json` that the run is resumed, and warn where its environment has changed."""
    info = writer.info
    here = environment(trainer.device, run.training_spec)
    differences = environment_changes(info.environment, here)
    if differences:
        shown = ", ".join(f"{name} {then} then, {now} now" for name, then, now in differences[:4])
        warn(f"the last bits may differ: {shown}")
    resumed = Resumed(step=trainer.step, time=now(), argv=here.argv)
    if differences:
        resumed.environment = {name: new for name, _, new in differences}
    info.step, info.error, info.resumed = trainer.step, None, [*info.resumed, resumed]
    info.model_fields_set.discard("error")  # so that the file has no such key
    writer.status("running")
