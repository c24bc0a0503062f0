"""A run directory as it is read: what its files say, and its network at each checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor

from netbuild.builder import build, device_of
from netbuild.durable import digest, is_there, reading
from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.folders import ForeignEntryError, TooLargeError, check_file, check_files
from netbuild.language import Spec, load
from netbuild.language.plan import NeurogymPlan
from netbuild.layers import Check, Network
from netbuild.rundir import METRICS, NETWORK, step_of
from netbuild.runs.checkpoint import (
    INITIAL,
    Checkpoint,
    checkpoints,
    load_network,
    load_verified,
    open_checkpoint,
    read_weights,
    unpack,
)
from netbuild.runs.log import NotNowError, records
from netbuild.runs.schema import RunInfo, read_info
from netbuild.tasks import Task
from netbuild.training.loop import Stage, stages_of
from netbuild.yamltree.document import MAX_BYTES

LARGEST_TABLE = 1 << 32  # bytes of a table of trials
Which = int | Literal["best", "last"] | None  # a checkpoint; None is the last one


@dataclass
class RunFolder:
    """A run directory, whose contents are not trusted.

    Every method and property raises NetbuildError (exit 5) for damaged files.
    """

    path: Path
    given_task: Task | None = field(default=None, repr=False)  # given in Python

    @classmethod
    def open(cls, path: str | Path, task: Task | None = None, *, verify: bool = False) -> Self:
        """A run directory whose files are there; with `verify`, its newest weights are verified.

        Raises NetbuildError: exit 5 for a damaged run, exit 9 for a file that is far too large.
        """
        run = cls(Path(path), task)
        for name in ("run.json", "resolved.yaml", METRICS):
            if not is_there(run.path / name):
                raise NetbuildError(f"{run.path} is not a run directory: no {name}", Exit.RUN)
        _ = run.info
        if verify:
            run.network()
        return run

    @cached_property
    def info(self) -> RunInfo:
        """The contents of `run.json`, as a model."""
        return read_info(self.path / "run.json")

    @cached_property
    def about(self) -> dict[str, Any]:
        """The contents of `run.json`: status, step, scores, versions, threads, commit, times."""
        return self.info.to_data()

    @cached_property
    def spec(self) -> Spec:
        """The run's resolved spec, with the run's own copies of the inputs."""
        widths, path = self.info.task_widths, self.path / "resolved.yaml"
        with reading(self.path / "run.json", KeyError, TypeError, AttributeError):
            known = None if widths is None else NeurogymPlan.from_data(widths)
        with reading(path):
            size = check_file(path).st_size
            if size > MAX_BYTES:
                raise TooLargeError(path, size, MAX_BYTES)
            check_files(self.path / "inputs", within=self.path)
            return load(path, data_root=self.path, widths=known)

    @cached_property
    def training_spec(self) -> Spec:
        """The spec with what makes its trials; raises NetbuildError where neurogym is missing.

        For a task that was given in Python, `spec` is enough.
        """
        task = self.spec.plan.task
        if self.given_task is not None or getattr(task, "recipe", task) is not None:
            return self.spec
        try:
            return load(self.path / "resolved.yaml", data_root=self.path)
        except SpecError as error:
            first = error.problems[0]
            raise NetbuildError(first.what, error.exit_code, first.hint) from None

    def part(self, found: Checkpoint | None = None) -> Stage:
        """The stage of a checkpoint, by default the newest: its name and its spec.

        The name is "" for a training without stages. Raises NetbuildError without neurogym.
        """
        stages = stages_of(self.training_spec)
        if len(stages) == 1:
            return stages[0]
        stage = (found or self.saved()).state.stage
        if stage >= len(stages):
            what = f"{self.path}: its checkpoint belongs to a stage that the spec does not have"
            raise NetbuildError(what, Exit.RUN)
        return stages[stage]

    def refuse_missing_task(self) -> None:
        """Raise NetbuildError (exit 5) if the task was given in Python, and is not given again."""
        if self.info.own_task and self.given_task is None:
            what = f"{self.path} was trained on a task given in Python"
            raise NetbuildError(what, Exit.RUN, "give the same task again in Python: `task=...`")

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, oldest first; an incomplete last line is left out."""
        return list(self.records())

    def records(
        self, kind: str | None = None, *, newest_first: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The lines of `metrics.jsonl` one after another, or only those of one kind."""
        path = self.path / METRICS
        with reading(path):
            yield from records(path, kind, newest_first=newest_first)

    @property
    def final(self) -> dict[str, Any]:
        """The last evaluation: step, loss, and perhaps accuracy; {} before the first.

        It is of validation trials where the run has any, and then has `"on": "validation"`.
        """
        return next(self.records("evaluation", newest_first=True), {})

    @property
    def scores(self) -> dict[str, Any]:
        """The final scores, as {"test": {"last": {"step": ..., "loss": ...}, "best": ...}, ...}.

        There are those of "validation" trials beside "test" where the run has any. {} before the
        end, and for a run from before there were validation trials.
        """
        return dict(self.about.get("scores", {}))

    @property
    def step(self) -> int:
        """The step of the newest checkpoint."""
        return int(self.checkpoint().name.removeprefix("step-"))

    @property
    def best(self) -> dict[str, Any]:
        """The best evaluation that the newest checkpoint knows: its step, metric and value.

        The metric is that of `stop_when`, else the accuracy, else the loss; {} before the first.
        """
        best = self.saved().state.best
        return {} if best is None else best.model_dump()

    @cached_property
    def initial(self) -> dict[str, Tensor]:
        """The tensors that the training started from; frozen weights keep these values."""
        path = self.path / INITIAL
        with reading(path):
            data = read_weights(path)
            if digest(data) != self.info.initial_sha256:
                raise ValueError("it does not match its recorded digest")
        return unpack(data, str(path))

    def network(
        self, *, device: str = "cpu", verified: bool = True, checkpoint: Which = None
    ) -> Network:
        """The network with the newest weights, whose digests and constraints are verified.

        `checkpoint` is "best", "last", or the step of a checkpoint that was kept. Without
        `verified`, weights that violate a constraint are returned too. Raises NetbuildError for
        damaged files, for a step without a checkpoint, and for a missing device.
        """
        return self.network_of(self.saved(checkpoint), device=device, verified=verified)

    def network_of(
        self, found: Checkpoint, *, device: str = "cpu", verified: bool = True
    ) -> Network:
        """The network with the weights of a checkpoint; otherwise as `network`."""
        place = device_of(device)
        network = build(self.spec, device="cpu")
        if verified:
            load_verified(network, found, self.initial)
        else:
            load_network(network, found.tensors(NETWORK), str(found.path))
        return network.to(place)

    def verify(self) -> list[Check]:
        """The checks of the newest weights; raises NetbuildError where a constraint is violated."""
        return load_verified(build(self.spec, device="cpu"), self.saved(), self.initial)

    def checkpoint(self, which: Which = None) -> Path:
        """The folder of a checkpoint: of a step, "best", or "last", which None means too.

        Raises NetbuildError where there is no such checkpoint.
        """
        found = checkpoints(self.path / "checkpoints")
        if not found:
            what = f"{self.path} has no checkpoint; its status is {self.info.status}"
            raise NetbuildError(what, Exit.RUN)
        if which is None or which == "last":
            return found[-1]
        steps = {step_of(path.name): path for path in found}
        step = self.best.get("step") if which == "best" else which
        if step is None:
            raise NetbuildError(f"{self.path} has no evaluation yet", Exit.RUN)
        if step not in steps:
            what = f"{self.path} has no checkpoint of step {step}"
            hint = f"it has checkpoints of the steps {', '.join(map(str, steps))}"
            raise NetbuildError(what, Exit.RUN, hint)
        return steps[step]

    def saved(self, which: Which = None) -> Checkpoint:
        """A checkpoint with the bytes of its files, whose digests are verified.

        While the run is being trained, the newest checkpoint may be pruned before it can be opened;
        then the newest checkpoint is looked for again. Raises NetbuildError.
        """
        while True:
            folder = self.checkpoint(which)
            try:
                return open_checkpoint(folder)
            except (NotNowError, ForeignEntryError):
                raise
            except NetbuildError:
                if os.path.lexists(folder):
                    raise
