"""A finished training done again from the run's own files, and compared bit by bit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from netbuild.builder import build, device_of
from netbuild.durable import digest, is_there, read_file
from netbuild.errors import NetbuildError
from netbuild.results.table import trial_table
from netbuild.runs.checkpoint import (
    FILES,
    Checkpoint,
    NotNowError,
    checkpoints,
    initial_tensors,
    open_checkpoint,
    pack_initial,
    step_of,
)
from netbuild.runs.environment import environment, environment_changes
from netbuild.runs.recorder import TRIALS, Training, Watcher, end_of, pack_training
from netbuild.runs.resuming import Warn, default_warn, fresh, has_ended, refuse_damage
from netbuild.runs.run import LARGEST_TABLE, Run, open_run, refuse_own_task
from netbuild.runs.tensors import pack, unpack
from netbuild.runs.writer import OtherLogError, json_bytes, line_of, logged_of, refuse_other_log
from netbuild.tasks import Task
from netbuild.training.course import Happening, follow, parts_of
from netbuild.training.stopping import still_needed
from netbuild.training.trainer import Trainer

CLOCK = ("steps_per_second",)  # of a line of the log


@dataclass(frozen=True)
class Comparison:
    """What a training done again was found to be."""

    steps: int  # that were taken again
    checkpoints: int  # that were compared, each by the digests of weights and optimizer
    lines: int  # of the log that were compared
    difference: str = ""  # the first one, and where; "" where all bits are the same

    @property
    def same(self) -> bool:
        """Whether every bit is."""
        return not self.difference


def reproduce(
    run: str | Path,
    task: Task | None = None,
    *,
    watch: Watcher | None = None,
    watch_start: Callable[[Trainer], None] | None = None,
    warn: Warn | None = None,
) -> Comparison:
    """Train a run again, from its own spec, files and initial weights, and compare every bit.

    That is: the initial weights, drawn or taken anew; each line of the log but for what the clock
    says; weights, optimizer and the state of the training in each checkpoint that was kept; and of
    a training that has ended, how, its scores in `run.json` and its table of test trials. It ends
    at the first difference, and where the run's newest checkpoint and log do. Nothing is written.
    Threads and determinism are the caller's, `task` and `warn` as `netbuild.resume` has them.

    Raises NetbuildError: exit 5 for a run that is damaged or has no checkpoint.
    """
    opened = open_run(run, task, verify=False)
    refuse_damage(opened)
    refuse_own_task(opened)
    opened.network()  # which verifies the newest weights
    place = _device(opened)
    here = environment(place, opened.spec if opened.given_task else opened.trained_spec)
    for name, then, now in environment_changes(opened.about["environment"], here)[:4]:
        (warn or default_warn)(f"the last bits may differ: {name} {then} then, {now} now")
    if different := _start(opened):
        return Comparison(0, 0, 0, different)
    replay = _Replay(opened, fresh(opened, place))
    with closing(replay.happenings(watch_start)) as course:
        for happening in course:
            replay.compare(happening)
            if watch is not None:
                watch(happening.record, happening.trainer)
            if replay.difference or replay.is_done:
                break
    return replay.result()


def _device(run: Run) -> torch.device:
    """That of the first time; raises NetbuildError where it is not there."""
    try:
        return device_of(str(run.about["environment"]["device"]))
    except NetbuildError as error:
        hint = "a training is done again on the device that it was done on"
        raise NetbuildError(str(error), error.exit_code, hint) from None


def _start(run: Run) -> str:
    """How the weights that are drawn today differ from those that the run started with."""
    spec = run.trained_spec if run.given_task is None else run.spec
    network = build(spec)
    if digest(pack_initial(spec, network)) == run.about["initial_sha256"]:
        return ""
    then, now = run.initial, initial_tensors(network)
    name = _first(then, now)
    return f"the initial weights differ, in `{name}` first"


class _Replay:
    """The training again, beside what is left of the first time."""

    def __init__(self, run: Run, training: Training) -> None:
        self.run, self.training = run, training
        self.kept = {step_of(path): path for path in checkpoints(run.path / "checkpoints")}
        self.known = [self._without_clock(line) for line in run.records() if _is_kept(line)]
        self.lines = self.compared = 0
        self.difference = ""
        self.last = max(self.kept)
        self.awaits_end = has_ended(run)  # there is an end to compare with

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to compare with."""
        whole = self.compared == len(self.kept) and self.lines == len(self.known)
        return whole and not self.awaits_end

    def happenings(self, watch_start: Callable[[Trainer], None] | None) -> Generator[Happening]:
        """The records of the training, with a checkpoint at each step that has one."""

        def begin(trainer: Trainer) -> None:
            trainer.saves = frozenset(self.kept)
            if watch_start is not None:
                watch_start(trainer)

        training = self.training
        words = training.spec, training.network, training.optimizer, training.point
        return follow(*words, task=training.task, begin=begin)

    def compare(self, happening: Happening) -> None:
        """Compare one record with what the run has of it."""
        record = happening.record
        if record.kind in ("train", "evaluation"):
            text = line_of(record.kind, record.step, record.values)
            self._compare_line(self._without_clock(json.loads(text)))
        elif record.kind == "checkpoint" and record.step in self.kept:
            self._compare_checkpoint(record.step)
        elif record.kind == "end" and self.awaits_end:
            self._compare_end(happening)
            self.awaits_end = False

    def _compare_line(self, now: dict[str, Any]) -> None:
        if self.lines == len(self.known):
            if now["step"] <= self.last:
                self.difference = f"the log has no {now['kind']} line of step {now['step']}"
            elif self.awaits_end:
                status = self.run.about["status"]
                self.difference = f"the run {status} after step {self.last}, and goes on now"
            return
        then = self.known[self.lines]
        if then != now:
            keys = [
                k for k in {**then, **now} if k not in then or k not in now or then[k] != now[k]
            ]
            values = f"{then.get(keys[0])} then, {now.get(keys[0])} now"
            self.difference = f"{now['kind']} line of step {now['step']}: {keys[0]} {values}"
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
        training = self.training
        packed = pack_training(training, run=self.run.about["id"])
        state = json.loads(packed.files["state.json"])
        for name in FILES:
            if state["sha256"][name] != saved.state["sha256"][name]:
                tensor = _first(unpack(files[name], name), unpack(packed.files[name], name))
                self.difference = f"the checkpoint of step {step}: `{tensor}` in {name}"
                return
        if what := self._other_state(saved.state, state) or self._other_log(saved):
            self.difference = f"the checkpoint of step {step}: {what}"

    def _other_state(self, then: dict[str, Any], now: dict[str, Any]) -> str:
        """How it differs where the training stood: its stage, the evaluations that count."""
        seen = then.get("evaluations")
        if isinstance(seen, list) and len(seen) > len(now["evaluations"]):
            part = parts_of(self.training.spec)[self.training.point.stage][1]
            # An earlier version kept all of them.
            then = then | {"evaluations": still_needed(part.model.training.stop_when, seen)}
        odd = (key for key in now if key not in ("digest", "sha256") and then.get(key) != now[key])
        key = next(odd, "")
        return f"`{key}` in state.json" if key else ""

    def _other_log(self, saved: Checkpoint) -> str:
        """How the log differs from the one that a checkpoint knows."""
        try:
            refuse_other_log(self.run.path, logged_of(saved))
        except (OtherLogError, ValueError) as error:
            return str(error)
        return ""

    def _compare_end(self, happening: Happening) -> None:
        """How the training ended, what it was worth, and the answers to the test trials."""
        about, trainer = self.run.about, happening.trainer
        ending = end_of(happening, self.training.point)
        for key, now in json.loads(json_bytes(ending)).items():
            if about.get(key) != now:
                self.difference = f"run.json: {key} {about.get(key)} then, {now} now"
                return
        path = self.run.path / TRIALS
        table = trial_table(trainer.network, trainer.evaluation(), trainer.training.loss)
        if not is_there(path, within=self.run.path):
            self.difference = f"there is no {TRIALS}"
        elif digest(read_file(path, LARGEST_TABLE, within=self.run.path)) != digest(table):
            self.difference = f"the answers in {TRIALS}"

    def result(self) -> Comparison:
        """What was found."""
        if not self.difference and not self.is_done:
            rest = f"{len(self.known) - self.lines} lines and {len(self.kept) - self.compared}"
            self.difference = f"the training ended before {rest} checkpoints of the run"
        return Comparison(self.training.point.step, self.compared, self.lines, self.difference)

    @staticmethod
    def _without_clock(line: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in line.items() if key not in CLOCK}


def _is_kept(line: dict[str, Any]) -> bool:
    return line["kind"] in ("train", "evaluation")


def _first(then: dict[str, torch.Tensor], now: dict[str, torch.Tensor]) -> str:
    """The first name, in order, whose tensors are not the same bits."""
    for name in sorted(then.keys() | now.keys()):
        if name not in then or name not in now:
            return name
        one, other = then[name].cpu(), now[name].cpu()
        if one.dtype != other.dtype or pack({"x": one}, {}) != pack({"x": other}, {}):
            return name
    return "its metadata"
