"""Train a spec into a run directory: what `netbuild train` and `netbuild.train` do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from netbuild.builder import build, build_optimizer
from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec, load
from netbuild.runs.recorder import Training, Watcher, carry_out
from netbuild.runs.run import Run, parameters_of
from netbuild.runs.writer import start_run
from netbuild.tasks import Task
from netbuild.training.trainer import Trainer


def train(
    spec: Spec | str | Path | Mapping[str, Any],
    out: str | Path = "runs",
    task: Task | None = None,
    *,
    device: str | None = None,
    watch: Watcher | None = None,
    watch_start: Callable[[Trainer], None] | None = None,
) -> Run:
    """Train a spec and return its run, written below `out`.

    `task` is any object with a `batch` method, in place of the spec's own. `watch` is called with
    every record and the trainer, whose `stop` it may set, `watch_start` with the trainer before its
    first step. Threads and determinism are the caller's: this records them and changes nothing of
    the process. Raises SpecError for a bad spec and NetbuildError when the loss diverges or the
    run cannot be written.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    if task is None and spec.model.task is None:
        what = f"{spec.path or 'the spec'} has no `task` to train on"
        hint = "write `task:`; one of your own is given in Python: netbuild.train(spec, task=...)"
        raise NetbuildError(what, Exit.SPEC, hint)
    network = build(spec, device=device)
    place = next(network.parameters()).device
    optimizer = build_optimizer(spec.model.training, network)
    training = Training(spec, network, optimizer, parameters_of(network), task)
    more = {"own_task": True} if task is not None else {}
    start = partial(start_run, spec, Path(out), network, place, **more)
    path = carry_out(training, start, watch=watch, watch_start=watch_start)
    return Run(path, task)
