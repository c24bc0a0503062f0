"""Going on with a run that has not come to its end, to the same bits as if it had never stopped."""

from __future__ import annotations

import json
import os
import re
import shlex
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch

from netbuild.builder import build, build_optimizer, change_optimizer, device_of
from netbuild.durable import digest, read_file
from netbuild.errors import Exit, NetbuildError
from netbuild.files.door import project_root
from netbuild.folders import ForeignEntryError
from netbuild.language import Spec, load
from netbuild.language.check_start import START
from netbuild.language.compose import standing
from netbuild.language.context import GivenStart
from netbuild.rundir import LATEST
from netbuild.runs.about import ENDED
from netbuild.runs.checkpoint import (
    Checkpoint,
    NotNowError,
    checkpoints,
    load_network,
    open_checkpoint,
    read_weights,
    refuse_not_finite,
    refuse_violations,
    set_aside,
)
from netbuild.runs.environment import environment, environment_changes
from netbuild.runs.lock import take_lock
from netbuild.runs.recorder import Training, Watcher, carry_out
from netbuild.runs.run import Run, open_run, refuse_own_task
from netbuild.runs.session import train
from netbuild.runs.sources import changed, is_below, place, roots
from netbuild.runs.writer import (
    Logged,
    OtherLogError,
    RunWriter,
    copy_log,
    logged_of,
    now,
    refuse_other_log,
    reopen,
    rewind,
)
from netbuild.tasks import Task
from netbuild.training.course import Point, parts_of
from netbuild.training.optimizer_state import load_optimizer
from netbuild.training.trainer import Trainer
from netbuild.wording import one_line

LARGEST_TEXT = 1 << 26  # bytes of a spec or a `run.json`
Warn = Callable[[str], None]
_STARTS = re.compile(r"\s*start_from\b")  # what a new run does not take over from another
IfChanged = Literal["refuse", "ignore"]


def resume(
    run: str | Path,
    task: Task | None = None,
    *,
    if_changed: IfChanged = "refuse",
    data_root: str | Path | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    watch_start: Callable[[Trainer], None] | None = None,
    warn: Warn | None = None,
) -> Run:
    """Go on with the training of a run from its newest valid checkpoint; returns the run.

    The metrics have no gap and no duplicate, and the weights, the optimizer and the metrics end
    with the bits of a run that was never interrupted, on the same machine with the same versions
    and number of threads. A checkpoint that is damaged is renamed `corrupt-...`, with a warning,
    and the one before it is used; a run that had saved none yet begins again from its initial
    weights.

    The run's own copies of its spec and files are used. Where the originals are there and have
    changed since, `if_changed="refuse"` raises, and "ignore" does not look. They are looked for in
    the project of the run and in that of the working directory, and in `data_root`: what a
    `run.json` names elsewhere is not read. `task` is the object
    that it was trained on, where that was not the spec's own. `device` replaces the one that it
    was trained on, which changes the last bits. A run that has ended is returned as it is.

    Threads and determinism are the caller's: `warn` (default `warnings.warn`) is called with a
    line where they, the versions or the machine are not those of the start.

    Raises NetbuildError: exit 5 for a run that is damaged or whose files have changed, 6 where
    another process trains it, 7 where nothing can be written, 8 when the loss diverges.
    """
    opened = open_run(run, task, verify=False)
    if has_ended(opened):
        return opened
    warn = warn or default_warn
    if if_changed == "refuse":
        refuse_changes(opened, data_root)
        _warn_of_lost_root(opened, data_root, warn)
    writer = reopen(opened.path)
    try:
        opened = open_run(run, task, verify=False)  # another process may just have finished it
        if has_ended(opened):
            return opened
        training, size = restored(opened, device, warn)
        _note(writer, training, warn)
        with _writing(writer.path):
            rewind(writer, size)
        path = carry_out(training, lambda: writer, watch=watch, watch_start=watch_start)
    finally:
        writer.close()
    return Run(path, task)


def unfinished(out: Path, spec: Spec) -> Path | None:
    """The newest run below `out` of a spec's name and hash that has not come to an end.

    One that diverged would do so again, and is not gone on with.
    """
    return _newest(out, spec, same=True)


def finished(out: Path, spec: Spec) -> Path | None:
    """The newest run below `out` of a spec's name and hash that has come to its own end."""
    return _newest(out, spec, same=True, ended=True)


def of_another_spec(out: Path, spec: Spec) -> Path | None:
    """As `unfinished`, of the same name and another hash: what it may be taken for."""
    return _newest(out, spec, same=False)


def _newest(out: Path, spec: Spec, *, same: bool, ended: bool = False) -> Path | None:
    found = []
    for path in (out / spec.model.name).glob("*/run.json"):
        try:
            about = json.loads(read_file(path, LARGEST_TEXT))
            order = str(about["started"]), path.parent.name
            status = about["status"]
            fits = status in ENDED if ended else status not in (*ENDED, "diverged")
            if fits and _is_of(about, spec) is same:
                found.append((order, path.parent))
        except (OSError, NetbuildError):
            continue  # it is no run, or not one that may be gone on with
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return max(found)[1] if found else None


def _is_of(about: dict[str, Any], spec: Spec) -> bool:
    """Whether a run is of a spec, even if the run that both start from has other weights now."""
    if about.get("own_task"):
        return False
    start = about["inputs"].get(START)
    return bool(about["spec_hash"] == (spec.hash_from(start["sha256"]) if start else spec.hash))


def refuse_own_latest(spec: Spec) -> None:
    """Raise NetbuildError (exit 2) for a spec that starts from the newest run of its own name.

    That would be the very run that is to be gone on with.
    """
    words = spec.model.start_from
    if words is not None and words.run.rstrip("/").split("/")[-2:] == [spec.model.name, LATEST]:
        what = (
            f"`start_from: {{run: {words.run}}}` may be the very run that `--resume` goes on with"
        )
        raise NetbuildError(what, Exit.USAGE, "name the run that is meant")


@contextmanager
def only_one(out: Path, spec: Spec) -> Iterator[None]:
    """A lock on starting or resuming this spec below `out`.

    So that of two processes that both find no run only one starts it. Raises NetbuildError.
    """
    folder = out / spec.model.name
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write {folder}: {reason}", Exit.IO) from None
    name = spec.hash_from("") if START in spec.files else spec.hash
    lock = take_lock(folder / f".{name}.lock", f"{spec.model.name} below {out}")
    try:
        yield
    finally:
        os.close(lock)


def fork(
    run: str | Path,
    out: str | Path,
    task: Task | None = None,
    *,
    spec: str | Path | None = None,
    set: Sequence[str] = (),
    data_root: str | Path | None = None,
    device: str | None = None,
    watch: Watcher | None = None,
    watch_start: Callable[[Trainer], None] | None = None,
    warn: Warn | None = None,
) -> Run:
    """Start a new run below `out` from the newest weights of another, with its spec as it is today.

    `spec` replaces the file that the run was started from; `set` holds overrides beside those that
    it was started with. What the spec names lies in the spec's project, or in `data_root`, which
    is named anew for a run that was started with one. `warn` (default `warnings.warn`) is called
    with a line for each checkpoint that is damaged, and passed over. Raises SpecError and
    NetbuildError.
    """
    checked = forked_spec(run, spec, set, warn, task, data_root)
    return train(checked, out, task, device=device, watch=watch, watch_start=watch_start)


def forked_spec(
    run: str | Path,
    spec: str | Path | None = None,
    set: Sequence[str] = (),
    warn: Warn | None = None,
    task: Task | None = None,
    data_root: str | Path | None = None,
) -> Spec:
    """The spec of a run as it is today, which starts from the run's newest whole weights."""
    opened = open_run(run, task, verify=False)
    refuse_own_task(opened)
    path = _own_spec(opened, data_root) if spec is None else Path(spec)
    if path is None or not path.is_file():
        what = f"the spec that {run} was started from is not where it was"
        raise NetbuildError(what, Exit.RUN, "name the spec of the new run: `--spec SPEC`")
    lost = _lost_root(opened, (project_root(path.parent),), data_root)
    if lost is not None:
        what = f"{run} was started with a data root outside of the project of its spec"
        raise NetbuildError(what, Exit.USAGE, f"name it again: `--data-root {quoted(lost)}`")
    step = _newest_whole(opened, warn or default_warn)
    start = GivenStart(Path(os.path.realpath(opened.path)), step)
    kept = [each for each in opened.about["overrides"] if not _STARTS.match(each)]
    unset = [each for each in opened.about["unset"] if not _STARTS.match(each)]
    kept, unset = standing(kept, unset, set)
    return load(path, [*kept, *set], unset=unset, data_root=data_root, start=start)


def _own_spec(run: Run, data_root: str | Path | None) -> Path | None:
    """The spec that a run was started from, None where it does not say.

    Raises NetbuildError (exit 5) for one that a `run.json` cannot be trusted to name.
    """
    name = (run.about.get("sources") or {}).get("spec")
    if not name:
        return None
    path = place(run.path, name)
    if not is_below(path, roots(run.path, data_root)):
        what = f"{run.path} says that it was started from {one_line(str(path))}, outside of its"
        hint = "name the spec of the new run: `--spec SPEC`"
        raise NetbuildError(f"{what} project", Exit.RUN, hint)
    return path


def quoted(path: Path) -> str:
    """A path as a shell reads it, fit for a terminal."""
    return shlex.quote(one_line(str(path)))


def _lost_root(run: Run, allowed: Iterable[Path], data_root: str | Path | None) -> Path | None:
    """The data root that a run was started with, where that is needed and not named anew."""
    name = (run.about.get("sources") or {}).get("data_root")
    if name is None or data_root is not None:
        return None
    path = place(run.path, name)
    return None if is_below(path, allowed) else path


def _warn_of_lost_root(run: Run, data_root: str | Path | None, warn: Warn) -> None:
    """Warn where files that a run was made from may have changed, and are not looked at."""
    lost = _lost_root(run, roots(run.path), data_root)
    if lost is not None:
        warn(
            f"files in the data root of {run.path} are not compared with what they were: "
            f"`--data-root {quoted(lost)}` compares them"
        )


def _newest_whole(run: Run, warn: Warn) -> int:
    """The step of the newest checkpoint that is whole; raises NetbuildError where none is."""
    first = None
    for path in reversed(checkpoints(run.path / "checkpoints")):
        try:
            return open_checkpoint(path)[0].step
        except (NotNowError, ForeignEntryError):
            raise
        except NetbuildError as error:
            warn(f"{error}; the one before is used")
            first = first or error
    if first is not None:
        raise first
    return run.step  # which says that there is none


def has_ended(run: Run) -> bool:
    """Whether a run's training has come to its own end."""
    return run.about.get("status") in ENDED


def refuse_changes(run: Run, data_root: str | Path | None = None) -> None:
    """Raise NetbuildError (exit 5) where a file that a run was made from holds something else."""
    found = changed(run.path, run.about.get("sources") or {}, data_root)
    if found:
        one = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        what = f"{one_line(str(one.file))} has changed since {run.path} was started{more}: "
        what += f"sha256 {one.then[:16]} then, {one.now[:16]} now"
        inputs = {each["sha256"] for each in run.about["inputs"].values()}
        if any(each.then in inputs for each in found):
            hint = (
                "`--as-started` goes on with the run's own copies; `--fork` starts a new run from"
            )
            hint += " its weights with the files as they are now, and needs the same masks"
        else:
            hint = "`--fork` starts a new run from the run's weights with the files as they are"
            hint += " now; `--as-started` goes on with the run's own copies"
        raise NetbuildError(what, Exit.RUN, hint)


def restored(run: Run, device: str | None, warn: Warn) -> tuple[Training, int]:
    """A training as it was at its newest valid checkpoint, and the bytes of its log then.

    A checkpoint whose log is not the run's is as little use as a damaged one. Nothing is renamed
    unless there is one to go on from. Raises NetbuildError.
    """
    refuse_damage(run)
    refuse_own_task(run)
    place = device_of(device or str(run.about["environment"]["device"]))
    damaged: dict[Path, NetbuildError] = {}
    for path in reversed(checkpoints(run.path / "checkpoints")):
        training = fresh(run, place)
        try:
            logged = load_into(training, path, run.about["id"])
            refuse_other_log(run.path, logged)
        except (NotNowError, ForeignEntryError):
            raise
        except NetbuildError as error:
            damaged[path] = error
            continue
        _put_away(run, damaged, warn)  # not before one is found to go on from
        return training, logged.size
    if damaged:
        raise _nothing_left(run, list(damaged.values()))
    step = run.about.get("step", 0)
    if step:
        with _writing(run.path):
            copy_log(run.path)
        warn(
            f"no checkpoint is left of {run.path}, which had taken {step:,} steps: it begins again"
        )
    return fresh(run, place), 0


def _put_away(run: Run, damaged: Mapping[Path, NetbuildError], warn: Warn) -> None:
    """Rename what cannot be used, newest first; of a log that will be cut there stays a copy."""
    with _writing(run.path):
        if any(isinstance(error, OtherLogError) for error in damaged.values()):
            copy_log(run.path)
        for bad, why in damaged.items():
            what = str(why).partition("\n")[0]
            aside = set_aside(bad).name
            warn(f"{what}; {bad.name} is now {aside}, and the one before is used")


def _nothing_left(run: Run, errors: list[NetbuildError]) -> NetbuildError:
    """What to say where no checkpoint can be gone on from; `errors` are newest first."""
    logs = [error for error in errors if isinstance(error, OtherLogError)]
    if logs:  # a checkpoint is whole, and nothing but its log is missing
        return logs[0]
    what = str(errors[0]).partition("\n")[0]
    hint = f"to begin again from the initial weights, remove {run.path / 'checkpoints'}"
    what = f"no checkpoint of {run.path} is whole: {what}"
    return NetbuildError(what, errors[0].exit_code, hint)


def fresh(run: Run, place: torch.device) -> Training:
    """A run's training before its first step, from the weights that it started from."""
    task = run.given_task
    spec = run.spec if task is not None else run.trained_spec
    initial = run.initial
    network = build(spec, device="cpu")
    data = read_weights(run.path / "initial.safetensors")
    load_network(network, data, str(run.path / "initial.safetensors"))
    network = network.to(place)
    optimizer = build_optimizer(spec.model.training, network)
    return Training(spec, network, optimizer, initial, task)


def load_into(training: Training, path: Path, run: str) -> Logged:
    """Bring a fresh training to a checkpoint; returns how far the log was at that time.

    Raises NetbuildError for one that is damaged, hostile, or another run's.
    """
    checkpoint, files = open_checkpoint(path)
    parts = parts_of(training.spec)
    point, logged = _point_of(checkpoint, run, len(parts))
    network, where = training.network, str(path)
    change_optimizer(parts[point.stage][1].model.training, training.optimizer)
    load_network(network, files["network.safetensors"], where)
    refuse_not_finite(network, Exit.RUN, f"in {where}")
    refuse_violations(network.verify(training.initial), Exit.RUN)
    about = checkpoint.state["optimizer"]
    load_optimizer(network, training.optimizer, files["optimizer.safetensors"], about, where)
    training.point = point
    return logged


def _point_of(checkpoint: Checkpoint, run: str, stages: int) -> tuple[Point, Logged]:
    state = checkpoint.state
    try:
        if state["run"] != run:
            raise NetbuildError(f"{checkpoint.path} is of another run", Exit.RUN)
        point = Point.from_data(state)
        if point.stage >= stages:
            raise ValueError("a stage that there is not")
        return point, logged_of(checkpoint)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:80]
        what = f"{checkpoint.path} does not tell where the training stood ({reason})"
        raise NetbuildError(what, Exit.RUN) from None


def refuse_damage(run: Run) -> None:
    """Raise NetbuildError (exit 5) where a run's own spec or files are not what it wrote down."""
    for name, key in (("resolved.yaml", "resolved_sha256"), ("spec.yaml", "spec_sha256")):
        path = run.path / name
        try:
            found = digest(read_file(path, LARGEST_TEXT))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NetbuildError(f"{path} cannot be read: {reason}", Exit.RUN) from None
        if found != run.about.get(key, found):  # earlier versions did not write it down
            raise NetbuildError(f"{path} does not have the digest written down", Exit.RUN)
    for where, record in run.spec.files.items():
        known = run.about.get("inputs", {}).get(where, {}).get("sha256")
        if record.sha256 != known:
            what = f"{record.path} does not have the digest written down"
            raise NetbuildError(what, Exit.RUN)
    if run.about["seed"] != run.spec.model.seed:
        what = f"{run.path / 'run.json'} says seed {run.about['seed']}"
        raise NetbuildError(f"{what}, resolved.yaml {run.spec.model.seed}", Exit.RUN)


def _note(writer: RunWriter, training: Training, warn: Warn) -> None:
    """Write down that the run goes on, and tell where its environment is another one."""
    here = environment(next(training.network.parameters()).device, training.spec)
    differences = environment_changes(writer.about.get("environment", {}), here)
    if differences:
        shown = ", ".join(f"{name} {then} then, {now} now" for name, then, now in differences[:4])
        warn(f"the last bits may differ: {shown}")
    resumed = {"step": training.point.step, "time": now(), "argv": here["argv"]}
    resumed |= {"environment": {name: new for name, _, new in differences}} if differences else {}
    writer.about.pop("error", None)
    writer.about["resumed"] = [*writer.about.get("resumed", []), resumed]
    writer.about["step"] = training.point.step
    with _writing(writer.path):
        writer.status("running")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What the disk refuses is one error, of exit 7."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write {path}: {reason}", Exit.IO) from None


def default_warn(message: str) -> None:
    """A RuntimeWarning."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)
