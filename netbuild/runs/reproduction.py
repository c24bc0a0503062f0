"""A finished training done again from the run's own files, and compared bit by bit."""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from netbuild.builder import build, device_of
from netbuild.compare import CLOCK, KINDS, differences
from netbuild.durable import digest, is_there, read_file
from netbuild.errors import NetbuildError
from netbuild.rundir import STATE, step_of, unsealed
from netbuild.runs.checkpoint import (
    FILES,
    checkpoints,
    initial_tensors,
    open_checkpoint,
    pack,
    pack_initial,
    unpack,
)
from netbuild.runs.log import NotNowError, OtherLogError, line_of, refuse_other_log
from netbuild.runs.provenance import environment, environment_changes
from netbuild.runs.resuming import Warn, default_warn, first_training, refuse_damage
from netbuild.runs.run import LARGEST_TABLE, Run, open_run, refuse_own_task
from netbuild.runs.schema import State, without_nan
from netbuild.runs.writer import (
    TRIALS,
    Watcher,
    end_of,
    pack_training,
    trial_table,
)
from netbuild.tasks import Task
from netbuild.training.loop import Record, Trainer


@dataclass(frozen=True)
class Comparison:
    """How a training that was done again compares with the run."""

    steps: int  # that were taken again
    checkpoints: int  # that were compared, each by the digests of weights and optimizer
    lines: int  # of the log that were compared
    difference: str = ""  # the first one, and where; "" where all bits are the same

    @property
    def same(self) -> bool:
        """Whether every bit is the same."""
        return not self.difference


def reproduce(
    run: str | Path,
    task: Task | None = None,
    *,
    watch: Watcher | None = None,
    warn: Warn | None = None,
) -> Comparison:
    """Train a run again, from its own spec, files and initial weights, and compare every bit.

    Compared are the initial weights, drawn or taken again; each line of the log but for what the
    clock says; weights, optimizer and the state of the training in each checkpoint that was kept;
    and of a training that has ended, how, its scores in `run.json` and its table of test trials. It
    ends at the first difference, and where the run's newest checkpoint and log do. Nothing is
    written. Threads and determinism are the caller's, `task` and `warn` as `netbuild.resume` has
    them.

    Raises NetbuildError: exit 5 for a run that is damaged or has no checkpoint.
    """
    opened = open_run(run, task, verify=False)
    refuse_damage(opened)
    refuse_own_task(opened)
    opened.verify()
    device = _device(opened)
    here = environment(device, opened.training_spec)
    for name, then, now in environment_changes(opened.info.environment, here)[:4]:
        (warn or default_warn)(f"the last bits may differ: {name} {then} then, {now} now")
    if different := _other_start(opened):
        return Comparison(0, 0, 0, different)
    again = _Again(opened, first_training(opened, device))
    with closing(again.trainer.records()) as records:
        for record in records:
            again.compare(record)
            if watch is not None:
                watch(record, again.trainer)
            if again.difference or again.is_done:
                break
    return again.result()


def _device(run: Run) -> torch.device:
    """That of the first time; raises NetbuildError where it is not there."""
    try:
        return device_of(run.info.environment.device)
    except NetbuildError as error:
        hint = "a training is done again on the device that it was done on"
        raise NetbuildError(str(error), error.exit_code, hint) from None


def _other_start(run: Run) -> str:
    """How the weights that are drawn today differ from those that the run started with."""
    network = build(run.training_spec)
    if digest(pack_initial(run.training_spec, network)) == run.info.initial_sha256:
        return ""
    name = _first_difference(run.initial, initial_tensors(network))
    return f"the initial weights differ, in `{name}` first"


class _Again:
    """The training done again, beside what the run has of the first time."""

    def __init__(self, run: Run, trainer: Trainer) -> None:
        self.run, self.trainer = run, trainer
        self.kept = {
            step_of(path.name) or 0: path for path in checkpoints(run.path / "checkpoints")
        }
        self.trainer.saves = frozenset(self.kept)
        self.known = [_timeless(line) for line in run.records() if line["kind"] in KINDS]
        self.lines = self.compared = 0
        self.difference = ""
        self.last = max(self.kept)
        self.awaits_end = run.info.has_ended  # there is an end to compare with

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compare with."""
        whole = self.compared == len(self.kept) and self.lines == len(self.known)
        return whole and not self.awaits_end

    def compare(self, record: Record) -> None:
        """Compare one record with what the run has of it."""
        if record.kind in KINDS:
            self._compare_line(json.loads(line_of(record.kind, record.step, record.values)))
            return
        if record.step in self.kept:
            self._compare_checkpoint(record.step)
        if record.kind == "end" and self.awaits_end and not self.difference:
            self._compare_end(record.values["reason"])
            self.awaits_end = False

    def _compare_line(self, now: dict[str, Any]) -> None:
        if self.lines == len(self.known):
            if now["step"] <= self.last:
                self.difference = f"the log has no {now['kind']} line of step {now['step']}"
            elif self.awaits_end:
                status = self.run.info.status
                self.difference = f"the run {status} after step {self.last}, and goes on now"
            return
        then, now = self.known[self.lines], _timeless(now)
        if then != now:
            key, before, after = differences(then, now)[0]
            where = f"{now['kind']} line of step {now['step']}"
            self.difference = f"{where}: {key} {before} then, {after} now"
            return
        self.lines += 1

    def _compare_checkpoint(self, step: int) -> None:
        """Weights and optimizer, by digest; where these differ, the first tensor that does."""
        try:
            saved, files = open_checkpoint(self.kept[step])
        except NotNowError:
            raise
        except NetbuildError:
            if os.path.lexists(self.kept[step]):
                raise
            del self.kept[step]  # the run is trained, and has pruned it
            return
        self.compared += 1
        then = saved.state
        again = pack_training(
            self.trainer,
            self.run.initial,
            run=then.run,
            metrics=then.metrics,
            metrics_sha256=then.metrics_sha256,
        )
        now = State.model_validate(unsealed(again[STATE]))
        for name in FILES:
            if now.sha256[name] != then.sha256[name]:
                tensor = _first_difference(unpack(files[name], name), unpack(again[name], name))
                self.difference = f"the checkpoint of step {step}: `{tensor}` in {name}"
                return
        if what := self._other_state(then, now):
            self.difference = f"the checkpoint of step {step}: {what}"

    def _other_state(self, then: State, now: State) -> str:
        """How it differs where the training stood, or how far the log was; "" if in nothing."""
        if then.run != self.run.info.id:
            return "`run` in state.json"
        if found := differences(*(without_nan(each.model_dump()) for each in (then, now))):
            return f"`{found[0][0]}` in state.json"
        try:
            refuse_other_log(self.run.path, then)
        except OtherLogError as error:
            return str(error)
        return ""

    def _compare_end(self, reason: str) -> None:
        """How the training ended, its scores, and the answers to the test trials."""
        info = self.run.info
        now = info.model_copy(update={"status": reason, **end_of(self.trainer)})
        if found := differences(info.to_data(), now.to_data()):
            key, before, after = found[0]
            self.difference = f"run.json: {key} {before} then, {after} now"
            return
        path = self.run.path / TRIALS
        if not is_there(path, within=self.run.path):
            self.difference = f"there is no {TRIALS}"
            return
        table = read_file(path, LARGEST_TABLE, within=self.run.path)
        if digest(table) != digest(trial_table(self.trainer)):
            self.difference = f"the answers in {TRIALS}"

    def result(self) -> Comparison:
        """What was found."""
        if not self.difference and not self.is_done:
            rest = f"{len(self.known) - self.lines} lines and {len(self.kept) - self.compared}"
            self.difference = f"the training ended before {rest} checkpoints of the run"
        return Comparison(self.trainer.step, self.compared, self.lines, self.difference)


def _timeless(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in CLOCK}


def _first_difference(then: dict[str, torch.Tensor], now: dict[str, torch.Tensor]) -> str:
    """The first name, in order, whose tensors are not the same bits."""
    for name in sorted(then.keys() | now.keys()):
        if name not in then or name not in now:
            return name
        one, other = then[name].cpu(), now[name].cpu()
        if one.dtype != other.dtype or pack({"x": one}, {}) != pack({"x": other}, {}):
            return name
    return "its metadata"
