"""The run directory: everything that a training wrote, and how it is read again."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from netbuild.builder import build, build_task, device_of
from netbuild.durable import digest, is_there, read_file, reading
from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.folders import ForeignEntryError, TooLargeError, check_file, check_files
from netbuild.language import Spec, load
from netbuild.language.plan import NeurogymPlan
from netbuild.layers import Check, Network, linear_maps
from netbuild.results.activity import Activity, activity_of, compute_rates
from netbuild.results.maps import LabelledMap, labelled_maps
from netbuild.results.units import units_of
from netbuild.rundir import NETWORK, step_of
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
from netbuild.runs.log import METRICS, NotNowError, records
from netbuild.runs.schema import RunInfo, read_info
from netbuild.tasks import Batch, Task, evaluation_batch
from netbuild.training.loop import stages_of
from netbuild.training.losses import answers
from netbuild.training.trials import trial_columns, trial_frame
from netbuild.yamltree.document import MAX_BYTES

LARGEST_TABLE = 1 << 32  # bytes of a table of trials
Which = int | Literal["best", "last"] | None  # a checkpoint


@dataclass
class Run:
    """A run directory, as `train` and `open_run` return it.

    Everything that reads it raises NetbuildError (exit 5) for files that are damaged.
    """

    path: Path
    given_task: Task | None = field(default=None, repr=False)

    @cached_property
    def info(self) -> RunInfo:
        """What `run.json` says, as a model."""
        return read_info(self.path / "run.json")

    @cached_property
    def about(self) -> dict[str, Any]:
        """What `run.json` says: status, step, scores, versions, threads, git commit, times."""
        return self.info.to_data()

    @cached_property
    def spec(self) -> Spec:
        """The run's resolved spec, with its own copies of the inputs."""
        widths = self.info.task_widths
        with reading(self.path / "run.json", KeyError, TypeError, AttributeError):
            known = None if widths is None else NeurogymPlan.from_data(widths)
        with reading(self.path / "resolved.yaml"):
            self._check_files()
            return load(self.path / "resolved.yaml", data_root=self.path, widths=known)

    def _check_files(self) -> None:
        """Raise ForeignEntryError where what the spec is read from is no file of the run's own.

        And TooLargeError for a spec that is far too large.
        """
        path = self.path / "resolved.yaml"
        size = check_file(path).st_size
        if size > MAX_BYTES:
            raise TooLargeError(path, size, MAX_BYTES)
        check_files(self.path / "inputs", within=self.path)

    @cached_property
    def task(self) -> Task:
        """The task that the run was trained on; of several stages that of the newest checkpoint.

        Raises NetbuildError where neurogym is missing, and for one that was given in Python.
        """
        return self.task_of(self.part()[1])

    def task_of(self, part: Spec) -> Task:
        """The task of one stage, which `part` returns; raises as `task` does."""
        refuse_own_task(self)
        return self.given_task if self.given_task is not None else build_task(part)

    def part(self, found: Checkpoint | None = None) -> tuple[str, Spec]:
        """The stage that a checkpoint is of: its name, "" without stages, and its own whole spec.

        The checkpoint is the newest one unless `saved` has returned another. Raises NetbuildError
        where neurogym is missing.
        """
        stages = stages_of(self.training_spec)
        if len(stages) == 1:
            return stages[0]
        stage = (found or self.saved()[0]).state.stage
        if stage >= len(stages):
            what = f"{self.path}: its checkpoint is of no stage of its spec"
            raise NetbuildError(what, Exit.RUN)
        return stages[stage]

    @cached_property
    def training_spec(self) -> Spec:
        """The spec with what makes trials; raises NetbuildError where neurogym is missing.

        With a task given in Python nothing more than `spec` is needed.
        """
        task = self.spec.plan.task
        if self.given_task is not None or getattr(task, "recipe", task) is not None:
            return self.spec
        try:
            return load(self.path / "resolved.yaml", data_root=self.path)
        except SpecError as error:
            first = error.problems[0]
            raise NetbuildError(first.what, error.exit_code, first.hint) from None

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of `metrics.jsonl`, oldest first; a torn last line is left out."""
        return list(self.records())

    def records(
        self, kind: str | None = None, *, newest_first: bool = False
    ) -> Iterator[dict[str, Any]]:
        """As `metrics`, or those of one kind, one by one: a log may have millions of lines."""
        path = self.path / METRICS
        with reading(path):
            yield from records(path, kind, newest_first=newest_first)

    @property
    def final(self) -> dict[str, Any]:
        """The last evaluation: step, loss, and accuracy where there is one; {} before the first."""
        return next(self.records("evaluation", newest_first=True), {})

    @property
    def step(self) -> int:
        """The step of the newest checkpoint."""
        return int(self.checkpoint().name.removeprefix("step-"))

    @property
    def best(self) -> dict[str, Any]:
        """The best evaluation that the newest checkpoint knows of: its step, metric and value.

        The metric is that of `stop_when`, else the accuracy, else the loss; {} before the first.
        """
        best = self.saved()[0].state.best
        return {} if best is None else best.model_dump()

    @cached_property
    def initial(self) -> dict[str, Tensor]:
        """What the training started from, as it was saved; frozen weights keep it for ever."""
        path = self.path / INITIAL
        with reading(path):
            data = read_weights(path)
            if digest(data) != self.info.initial_sha256:
                raise ValueError("another digest than the one written down")
        return unpack(data, str(path))

    def network(
        self, *, device: str = "cpu", verified: bool = True, checkpoint: Which = None
    ) -> Network:
        """The network with the newest weights, their digests and constraints verified.

        `checkpoint` is "best", "last", or the step of one that was kept. Without `verified`,
        weights that violate a constraint are returned too. Raises NetbuildError for damaged files,
        for a step without a checkpoint, and for a device that is not there.
        """
        return self.network_of(*self.saved(checkpoint), device=device, verified=verified)

    def network_of(
        self,
        found: Checkpoint,
        files: Mapping[str, bytes],
        *,
        device: str = "cpu",
        verified: bool = True,
    ) -> Network:
        """The network with the weights of a checkpoint, as `saved` returns it; raises as above."""
        place = device_of(device)
        network = build(self.spec, device="cpu")
        if verified:
            load_verified(network, files[NETWORK], self.initial, str(found.path))
        else:
            load_network(network, files[NETWORK], str(found.path))
        return network.to(place)

    def verify(self) -> list[Check]:
        """What was verified of the newest weights; raises NetbuildError where it does not hold."""
        found, files = self.saved()
        network = build(self.spec, device="cpu")
        return load_verified(network, files[NETWORK], self.initial, str(found.path))

    def checkpoint(self, which: Which = None) -> Path:
        """The folder of a checkpoint: of a step, "best", or "last", which None is too.

        Raises NetbuildError where there is none.
        """
        found = checkpoints(self.path / "checkpoints")
        if not found:
            what = f"{self.path} has no checkpoint; its status is {self.info.status}"
            raise NetbuildError(what, Exit.RUN)
        if which is None or which == "last":
            return found[-1]
        steps = {step_of(path.name): path for path in found}
        best = self.best if which == "best" else {}
        if which == "best" and not best:
            raise NetbuildError(f"{self.path} has no evaluation yet", Exit.RUN)
        step = int(best["step"]) if which == "best" else which
        if step not in steps:
            what = f"{self.path} has no checkpoint of step {step}"
            raise NetbuildError(what, Exit.RUN, f"there are those of {', '.join(map(str, steps))}")
        return steps[step]

    def saved(self, which: Which = None) -> tuple[Checkpoint, dict[str, bytes]]:
        """A checkpoint and the bytes of its files, their digests verified.

        While the run is trained, the one that was the newest may be gone when it is opened; then
        the newest is looked for again. Raises NetbuildError.
        """
        while True:
            folder = self.checkpoint(which)
            try:
                return open_checkpoint(folder)
            except (NotNowError, ForeignEntryError):  # it may be there all the same
                raise
            except NetbuildError:
                if os.path.lexists(folder):
                    raise

    def weights(self, name: str) -> Tensor | Any:
        """The effective weights of one map, e.g. "readout" or "hidden.recurrent".

        Or any other parameter by its whole name, e.g. "readout.bias". A map in sparse storage is a
        scipy.sparse CSR array (post, pre). Raises KeyError, which lists the maps, for other names.
        """
        network = self.network()
        names = dict(network.named_parameters())
        known = name if name in names else f"{name}.weight"
        if known not in names:
            weights = [n.removesuffix(".weight") for n in names if n.endswith(".weight")]
            own = [n for n in weights if n.startswith(f"{name}.")]
            what = f"{name!r} has several maps" if own else f"there is no map {name!r}"
            raise KeyError(f"{what}; name one of {', '.join(own or weights)}")
        path, _, leaf = known.rpartition(".")
        maps = linear_maps(network)
        if leaf == "weight" and path in maps:
            return maps[path].matrix()
        return network.effective_parameter(known).detach()

    def batch(self, trials: int | None = None, *, part: Spec | None = None) -> Batch:
        """The trials that the run is scored on, or the first `trials` of them.

        Of a training in stages they are those of the newest checkpoint's stage, or of the stage
        whose spec `part` is.
        """
        part = part or self.part()[1]
        count = part.model.training.evaluate.trials if trials is None else trials
        batch = evaluation_batch(self.task_of(part), part.model.seed, count)
        return batch if trials is None else batch.first(trials)

    def activity(self, trials: int = 500, *, checkpoint: Which = None) -> Activity:
        """What every unit does in the first `trials` test trials, without noise or dropout.

        They are the same trials, and the same bits, every time. `checkpoint` is the step of the
        weights; None: the newest. The trials are those of its stage of the training.
        """
        found, files = self.saved(checkpoint)
        part = self.part(found)[1]
        batch = self.batch(trials, part=part)
        rates = compute_rates(self.network_of(found, files), batch.inputs)
        model, plans = part.model, self.spec.plan.layers
        outputs = torch.from_numpy(rates[list(rates)[-1]])
        columns = trial_columns(outputs, batch, model.training.loss)
        units = {name: units_of(plan.gives, plans) for name, plan in plans.items()}
        return activity_of(rates, batch, columns, units=units, dt=model.dt)

    def trials(self, count: int | None = None) -> Any:
        """One row a test trial, as a polars DataFrame: its variables, and what the network made
        of it.

        As they were scored at the end of the training; of a run that has not come to its end, or
        when `count` says how many, as the newest weights answer them.
        """
        import polars

        path = self.path / "evaluation" / "trials.parquet"
        if count is None and (is_there(path, within=self.path) or self.info.status == "finished"):
            with reading(path, polars.exceptions.PolarsError):
                return polars.read_parquet(read_file(path, LARGEST_TABLE, within=self.path))
        found, files = self.saved()
        part = self.part(found)[1]
        batch = self.batch(count, part=part)
        outputs = answers(self.network_of(found, files), batch.inputs)
        return trial_frame(trial_columns(outputs, batch, part.model.training.loss))

    def maps(self, *, checkpoint: Which = None) -> dict[str, LabelledMap]:
        """The effective weights of every map, with their units: {"hidden.recurrent": ...}."""
        return labelled_maps(self.network(checkpoint=checkpoint), self.spec.plan.layers)


def open_run(path: str | Path, task: Task | None = None, *, verify: bool = True) -> Run:
    """A run directory, verified: its files are there and its newest weights hold the constraints.

    `task` is the object that it was trained on, where that was not the spec's own. With
    `verify=False` the weights are read when they are asked for. No link, FIFO or device in the
    folder is followed. Raises NetbuildError (exit 5; exit 9 for a file that is far too large).
    """
    path = Path(path)
    missing = [n for n in ("run.json", "resolved.yaml", METRICS) if not is_there(path / n)]
    if missing:
        raise NetbuildError(f"{path} is not a run directory: no {missing[0]}", Exit.RUN)
    run = Run(path, task)
    _ = run.info
    if verify:
        run.network()
    return run


def refuse_own_task(run: Run) -> None:
    """Raise NetbuildError (exit 5) where a run's task was an object, and none is given again."""
    if run.info.own_task and run.given_task is None:
        what = f"{run.path} was trained on a task given in Python"
        raise NetbuildError(what, Exit.RUN, "in Python: `task=...`, here as there")
