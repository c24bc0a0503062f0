"""An experiment as Python sees it: its tables, and its runs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from netbuild.experiments import table as tables
from netbuild.experiments.folder import About, ExperimentFolder, PointInfo, need_experiment
from netbuild.experiments.rows import Rows

if TYPE_CHECKING:
    import polars

    from netbuild.results.run import Run  # which loads torch


class Experiment:
    """An experiment and its runs, as `open_experiment` returns it.

    Every method raises NetbuildError (exit 5) where the folder is damaged. Runs that are trained
    meanwhile are seen as they were when they were first asked for.
    """

    def __init__(self, folder: ExperimentFolder) -> None:
        self.folder = folder
        self.path = folder.path
        self.rows = Rows(folder)

    @cached_property
    def about(self) -> About:
        """The points of the experiment, and what they are compared by."""
        return self.folder.about()

    def table(self) -> polars.DataFrame:
        """A row for each run: condition, parameters, seed, status, scores, best step, time, path.

        `score` is the one that is compared; the others are called `test_accuracy`,
        `validation_loss_best` and the like. `seconds` are those of training alone, and `path` is
        relative to the experiment's folder.
        """
        found = tables.table(self.about, self.rows)
        self.rows.save()
        return found

    def summary(self, by: tuple[str, ...] = ()) -> polars.DataFrame:
        """A row for each setting and score: n, n_diverged, mean, sd, sem, median, 95 % interval."""
        return tables.summary(self.about, self.rows, by)

    def comparisons(self) -> polars.DataFrame | None:
        """A row for each setting that is compared with the baseline; None without a baseline."""
        return tables.comparisons(self.about, self.rows)

    def points(
        self,
        *,
        condition: str | None = None,
        draw: int | None = None,
        seed: int | None = None,
        **parameters: object,
    ) -> Iterator[PointInfo]:
        """The points that fit, in the order of the experiment.

        A parameter is named by its whole path: `**{"layers.hidden.size": 50}`.
        """
        for point in self.about.points:
            if condition is not None and point.condition != condition:
                continue
            if draw is not None and point.draw != draw:
                continue
            if seed is not None and point.seed != seed:
                continue
            if all(point.parameters.get(path) == value for path, value in parameters.items()):
                yield point

    def runs(
        self,
        *,
        condition: str | None = None,
        draw: int | None = None,
        seed: int | None = None,
        **parameters: object,
    ) -> Iterator[Run]:
        """The runs of the points that fit and that have begun; options are those of `points`."""
        from netbuild.results.run import Run

        for point in self.points(condition=condition, draw=draw, seed=seed, **parameters):
            path = self.folder.run(point.hash)
            if (path / "run.json").is_file():
                yield Run.open(path)


def open_experiment(path: str | Path) -> Experiment:
    """An experiment's folder, or the name of one below `experiments`.

    Raises NetbuildError: exit 2 where there is none, exit 5 where it is damaged.
    """
    found = Experiment(need_experiment(path))
    _ = found.about
    return found
