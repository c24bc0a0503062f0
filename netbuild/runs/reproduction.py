"""A training done again from the run's own files, and compared bit by bit."""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from torch import Tensor

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
    snapshot,
    unpack,
)
from netbuild.runs.log import NotNowError, OtherLogError, line_of, refuse_other_log
from netbuild.runs.provenance import environment, environment_changes
from netbuild.runs.resuming import Warn, first_training, refuse_damage
from netbuild.runs.run import LARGEST_TABLE, RunFolder
from netbuild.runs.schema import State, without_nan
from netbuild.runs.writer import TRIALS, end_of, trial_table
from netbuild.training.loop import Record


@dataclass(frozen=True)
class Comparison:
    """How a training that was done again compares with the run."""

    steps: int  # optimizer steps that were taken again
    checkpoints: int  # compared checkpoints: digests of weights and optimizer, and the state
    lines: int  # compared lines of the log
    difference: str = ""  # the first difference, and where it is; "" where all bits are the same

    @property
    def same(self) -> bool:
        """Whether every bit is the same."""
        return not self.difference


class Reproduction:
    """The training of a run done again, beside what the run has of the first time.

    Iterate over `records()`; then `result()` has the comparison. Raises the errors of
    `netbuild.reproduce`.
    """

    def __init__(self, run: RunFolder, warn: Warn) -> None:
        refuse_damage(run)
        run.refuse_missing_task()
        run.verify()
        try:
            device = device_of(run.info.environment.device)
        except NetbuildError as error:
            hint = "a training is reproduced on the device that it was done on"
            raise NetbuildError(str(error), error.exit_code, hint) from None
        here = environment(device, run.training_spec)
        for name, then, now in environment_changes(run.info.environment, here)[:4]:
            warn(f"the last bits may differ: {name} {then} then, {now} now")
        self.run = run
        self.difference = _other_start(run)
        self.trainer = first_training(run, device)
        paths = checkpoints(run.path / "checkpoints")
        self.kept = {step_of(path.name) or 0: path for path in paths}
        self.trainer.saves = frozenset(self.kept)
        self.known = [_timeless(line) for line in run.records() if line["kind"] in KINDS]
        self.lines = self.compared = 0
        self.last = max(self.kept)
        self.awaits_end = run.info.has_ended  # there is an end to compare with

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compare with."""
        whole = self.compared == len(self.kept) and self.lines == len(self.known)
        return whole and not self.awaits_end

    def records(self) -> Generator[Record]:
        """Train again; each record has been compared with the run when it is yielded.

        The training ends at the first difference, and where nothing is left to compare with.
        """
        if self.difference:
            return
        with closing(self.trainer.records()) as records:
            for record in records:
                self.difference = self._difference(record)
                yield record
                if self.difference or self.is_done:
                    return

    def result(self) -> Comparison:
        """What was found."""
        if not self.difference and not self.is_done:
            rest = f"{len(self.known) - self.lines} lines and {len(self.kept) - self.compared}"
            self.difference = f"the training ended before {rest} checkpoints of the run"
        return Comparison(self.trainer.step, self.compared, self.lines, self.difference)

    def _difference(self, record: Record) -> str:
        """How a record differs from what the run has of it; "" where it does not differ."""
        if record.kind in KINDS:
            return self._in_line(json.loads(line_of(record.kind, record.step, record.values)))
        found = self._in_checkpoint(record.step) if record.step in self.kept else ""
        if record.kind == "end" and self.awaits_end and not found:
            self.awaits_end = False
            return self._in_end(record.values["reason"])
        return found

    def _in_line(self, now: dict[str, Any]) -> str:
        if self.lines == len(self.known):
            if now["step"] <= self.last:
                return f"the log has no {now['kind']} line of step {now['step']}"
            if self.awaits_end:
                return f"the run {self.run.info.status} after step {self.last}, and continues now"
            return ""
        then, now = self.known[self.lines], _timeless(now)
        if then != now:
            key, before, after = differences(then, now)[0]
            return f"{now['kind']} line of step {now['step']}: {key} {before} then, {after} now"
        self.lines += 1
        return ""

    def _in_checkpoint(self, step: int) -> str:
        """Weights and optimizer are compared by digest; the first tensor that differs is named."""
        try:
            saved = open_checkpoint(self.kept[step])
        except NotNowError:
            raise
        except NetbuildError:
            if os.path.lexists(self.kept[step]):
                raise
            del self.kept[step]  # the run is being trained, and has pruned this checkpoint
            return ""
        self.compared += 1
        then, where = saved.state, f"the checkpoint of step {step}"
        log: dict[str, Any] = {"metrics": then.metrics, "metrics_sha256": then.metrics_sha256}
        again = snapshot(self.trainer, self.run.initial, run=then.run, **log).packed()
        now = State.model_validate(unsealed(again[STATE]))
        for name in FILES:
            if now.sha256[name] != then.sha256[name]:
                tensor = _first_difference(saved.tensors(name), unpack(again[name], name))
                return f"{where}: `{tensor}` in {name}"
        if then.run != self.run.info.id:
            return f"{where}: `run` in state.json"
        if found := differences(*(without_nan(each.model_dump()) for each in (then, now))):
            return f"{where}: `{found[0][0]}` in state.json"
        try:
            refuse_other_log(self.run.path, then)
        except OtherLogError as error:
            return f"{where}: {error}"
        return ""

    def _in_end(self, reason: str) -> str:
        """How the training ended, its scores, and the answers to the test trials."""
        info = self.run.info
        end = end_of(self.trainer, reason, self.run.path)
        now = info.model_copy(update={"status": reason, **end})
        if found := differences(info.to_data(), now.to_data()):
            key, before, after = found[0]
            return f"run.json: {key} {before} then, {after} now"
        path = self.run.path / TRIALS
        if not is_there(path, within=self.run.path):
            return f"there is no {TRIALS}"
        table = read_file(path, LARGEST_TABLE, within=self.run.path)
        same = digest(table) == digest(trial_table(self.trainer))
        return "" if same else f"the answers in {TRIALS}"


def _other_start(run: RunFolder) -> str:
    """How the weights that are drawn today differ from those that the run started with."""
    network = build(run.training_spec)
    if digest(pack_initial(run.training_spec, network)) == run.info.initial_sha256:
        return ""
    name = _first_difference(run.initial, initial_tensors(network))
    return f"the initial weights differ, in `{name}` first"


def _timeless(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in CLOCK}


def _first_difference(then: dict[str, Tensor], now: dict[str, Tensor]) -> str:
    """The first name, in order, whose tensors are not the same bits."""
    for name in sorted(then.keys() | now.keys()):
        if name not in then or name not in now:
            return name
        one, other = then[name].cpu(), now[name].cpu()
        if one.dtype != other.dtype or pack({"x": one}, {}) != pack({"x": other}, {}):
            return name
    return "its metadata"
