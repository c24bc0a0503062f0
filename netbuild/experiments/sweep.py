"""Carries an experiment out: which runs are still to be trained, in which order, and until when."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence, Sized
from dataclasses import dataclass, field

from netbuild.errors import NetbuildError
from netbuild.experiments import folder as folders
from netbuild.experiments.backend import Backend
from netbuild.experiments.folder import About, ExperimentFolder, PointInfo
from netbuild.experiments.job import Job, Outcome
from netbuild.experiments.rows import Row, Rows, mean_of, score_at
from netbuild.language.experiment import Halving
from netbuild.language.points import Point, Points

WAIT = 0.2  # seconds until signals are looked for again


@dataclass
class Status:
    """How a sweep stands, for those who watch it."""

    total: int  # runs
    done: int = 0  # that need no more training, the failed and diverged ones included
    running: int = 0
    waiting: int = 0  # that the back end has, and does not train yet
    failed: int = 0
    diverged: int = 0
    trained: float = 0.0  # runs that this sweep has trained, parts of them included
    left: float = 0.0  # runs, parts of them included
    best: float | None = None
    best_of: str = ""  # the condition and parameters of the best
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds_left(self) -> float | None:
        """The time that is left, from the runs that were trained so far."""
        if self.trained < 0.02:
            return None
        return (time.monotonic() - self.began) / self.trained * self.left


Told = Callable[[Status], None]


class Sweep:
    """The runs of an experiment, and the back end that trains them.

    `stop` may be set at any time, for instance by a signal handler: then every run that is being
    trained is saved, and no other begins. `saving` is there for the handler, and always false.
    """

    def __init__(
        self,
        folder: ExperimentFolder,
        points: Points,
        backend: Backend,
        *,
        fail_fast: bool = False,
        told: Told = lambda status: None,
    ) -> None:
        self.folder, self.points, self.backend = folder, points, backend
        self.fail_fast, self.told = fail_fast, told
        self.stop = self.saving = False
        self.failures: dict[str, Outcome] = {}  # of this sweep, by hash
        self.rows = Rows(folder)
        self.about: About
        self.status = Status(0)
        self._parts: dict[str, float] = {}  # of each run that is being trained, how much is done

    def run(self) -> None:
        """Train all that is left; raises NetbuildError where the folder cannot be written."""
        try:
            self.carry_out()
        finally:
            self.backend.close()
            self.rows.save()

    def carry_out(self) -> None:
        """Train the points of the experiment, which are all known."""
        self.about = folders.write(self.folder, self.points)
        self.status = self.begun(self.about.points)
        rule = self.points.experiment.model.stop_early
        if rule is None:
            self.train(self.points.points)
        else:
            self._halve(rule)

    # Jobs

    def train(self, points: Iterable[Point], until: int | None = None) -> None:
        """Train these points to their ends, or until a step; first the first seed of each."""
        seeds = self.points.experiment.seeds
        order = {seed: place for place, seed in enumerate(seeds)}
        unique = {point.hash: point for point in sorted(points, key=lambda p: order[p.seed])}
        waiting = [point for point in unique.values() if self._is_left(point.hash, until)]
        waiting.reverse()
        running: dict[str, Job] = {}
        stopped = False
        while waiting or running:
            if self.stop and not stopped:
                self.backend.stop()
                stopped = True
            while waiting and not self.stop and len(running) < self.backend.slots:
                job = self._job(waiting.pop(), until)
                self.backend.submit(job, str(self.folder.log(job.hash).absolute()))
                running[job.hash] = job
            if not running:
                break
            self._count(running)
            for event in self.backend.events(WAIT):
                if event.outcome is not None:
                    running.pop(event.job.hash, None)
                    self._ended(event.job, event.outcome)
                elif event.steps:
                    self._parts[event.job.hash] = event.step / event.steps
            self._count(running)
            self._tell()

    def _count(self, running: Sized) -> None:
        self.status.waiting = self.backend.waiting
        self.status.running = len(running) - self.status.waiting

    def _is_left(self, identity: str, until: int | None) -> bool:
        row = self.rows.of(identity)
        if row.is_settled or identity in self.failures:
            return False
        return until is None or row.step is None or row.step < until

    def _job(self, point: Point, until: int | None) -> Job:
        experiment = self.points.experiment
        return Job(
            hash=point.hash,
            spec=str(experiment.spec.absolute()),
            overrides=point.overrides,
            unset=experiment.unset,
            data_root=None if experiment.data_root is None else str(experiment.data_root),
            runs=str((self.folder.path / folders.RUNS).absolute()),
            files=point.files,
            until=until if point.steps is None or until is None or until < point.steps else None,
        )

    def _ended(self, job: Job, outcome: Outcome) -> None:
        part = self._parts.pop(job.hash, 0.0)
        if outcome.exit_code:
            if outcome.is_failure:
                self.failures[job.hash] = outcome
                self.status.failed += 1
            else:
                self.status.diverged += 1
            self.stop = self.stop or self.fail_fast
        row = self.rows.of(job.hash)
        if outcome.exit_code or row.is_settled:
            self.status.done += 1
            self.status.trained += 1
            self.status.left -= 1
            self._note_best(job.hash, row)
        else:
            self.status.trained += part

    # What those who watch see

    def begun(self, points: Sequence[PointInfo], trials: int = 0) -> Status:
        """How the sweep stands before it goes on; an estimator has points of so many `trials`."""
        unique = {point.hash for point in points}
        status = Status(total=len(unique))
        if trials:
            last = max((point.trial or 0 for point in points), default=0) + 1
            status.total = len(unique) * trials // last
            status.trained, status.began = self.status.trained, self.status.began
            status.failed = len(self.failures)
        for identity in unique:
            row = self.rows.of(identity)
            status.done += row.is_settled
            status.diverged += row.status == "diverged"
        status.left = float(status.total - status.done)
        self.status = status
        for identity in unique:
            self._note_best(identity, self.rows.of(identity))
        return status

    def _note_best(self, identity: str, row: Row) -> None:
        value = row.score(self.about.score)
        if value is None:
            return
        best = self.status.best
        if best is None or (value < best if self.about.minimizes else value > best):
            self.status.best = value
            self.status.best_of = next(
                (label_of(p) for p in self.about.points if p.hash == identity), ""
            )

    def _tell(self) -> None:
        parts = sum(self._parts.values())
        self.status.trained += parts
        self.status.left -= parts
        self.told(self.status)
        self.status.trained -= parts
        self.status.left += parts

    # Successive halving

    def _halve(self, rule: Halving) -> None:
        """Train all settings a little, then the best of each condition longer, and so on."""
        alive = {point.setting: point for point in self.points.points}
        at, longest = rule.min_steps, max(p.steps or 0 for p in self.points.points)
        while at < longest and not self.stop:
            self.train((p for p in self.points.points if p.setting in alive), until=at)
            if self.stop:
                return
            kept = self._kept(list(alive.values()), at, rule.keep)
            for setting in [setting for setting in alive if setting not in kept]:
                del alive[setting]
                self._drop(setting, at)
            self.folder.write_about(self.about)
            at = max(round(at / rule.keep), at + 1)
        self.train(p for p in self.points.points if p.setting in alive)

    def _kept(self, settings: Sequence[Point], at: int, keep: float) -> set[object]:
        """The settings that continue: in each condition, those with the best mean score."""
        found: set[object] = set()
        arms = {(point.condition, point.draw) for point in settings}
        for arm in arms:
            own = [point for point in settings if (point.condition, point.draw) == arm]
            scores = {point.setting: self._mean_at(point, at) for point in own}
            order = sorted(scores, key=lambda each: self._badness(scores[each]))
            found |= set(order[: max(math.ceil(keep * len(own)), 1)])
        return found

    def _badness(self, score: float | None) -> float:
        if score is None:
            return math.inf
        return score if self.about.minimizes else -score

    def _mean_at(self, setting: Point, at: int) -> float | None:
        """The mean score of a setting's replicates; None where one of them has none."""
        own = [point for point in self.points.points if point.setting == setting.setting]
        return mean_of(
            None
            if self.rows.of(point.hash).status in ("diverged", "failed")
            else score_at(self.folder.run(point.hash), self.about.metric, at)
            for point in own
        )

    def _drop(self, setting: object, at: int) -> None:
        hashes = {point.hash for point in self.points.points if point.setting == setting}
        for info in self.about.points:
            if info.hash in hashes and not self.rows.of(info.hash).is_settled:
                info.dropped = at
        dropped = sum(not self.rows.of(identity).is_settled for identity in hashes)
        self.status.total -= dropped
        self.status.left -= dropped


def label_of(point: PointInfo | Point) -> str:
    """A setting in a few words."""
    draw = [] if point.draw is None else [f"draw {point.draw}"]
    values = [f"{path}={value}" for path, value in point.parameters.items()]
    return ", ".join([*([point.condition] if point.condition else []), *draw, *values])


def first_failure(failures: Iterable[Outcome]) -> NetbuildError | None:
    """The failure with the lowest exit code."""
    found = sorted(failures, key=lambda each: each.exit_code)
    return NetbuildError(found[0].error, found[0].exit_code) if found else None  # type: ignore[arg-type]
