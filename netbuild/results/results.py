"""Results: all that is known of what a network did, each part computed once and then kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.builder import build
from netbuild.language import Spec
from netbuild.layers import Network
from netbuild.results.activity import Activity
from netbuild.results.maps import LabelledMap, labelled_maps
from netbuild.results.run import Run
from netbuild.results.units import unusable
from netbuild.runs.run import Which

Array = NDArray[Any]
Trials = Mapping[str, Array]  # {variable: (trial,)}
Lines = Iterable[Mapping[str, Any]]  # of a run's log


class Results:
    """A network and what it did: its activity, trials, maps and log.

    They come from a run, from the initial network of a spec, or are given. Readers ask for a part,
    and never where the part comes from. A missing part raises NetbuildError (exit 2) with `hint`.
    """

    def __init__(
        self,
        run: Run | None = None,
        *,
        checkpoint: Which = None,
        spec: Spec | None = None,
        maps: Mapping[str, LabelledMap] | None = None,
        activity: Activity | None = None,
        trials: Trials | None = None,
        log: Lines | None = None,
        hint: str = "",
    ) -> None:
        self.run = run
        self._checkpoint = checkpoint
        self._initial = spec
        self._hint = hint
        self._maps, self._activity, self._trials, self._log = maps, activity, trials, log
        self._activities: dict[int, Activity] = {}
        self._tables: dict[int | None, Trials] = {}

    @property
    def spec(self) -> Spec | None:
        """The spec of the network, where it is known."""
        return self._initial if self.run is None else self.run.spec

    @cached_property
    def network(self) -> Network:
        """The network: of a run with the weights of its checkpoint, else with the initial ones."""
        if self._initial is not None:
            return build(self._initial)
        return self._run("network").network(checkpoint=self._checkpoint)

    @cached_property
    def maps(self) -> Mapping[str, LabelledMap]:
        """The effective weights of every map, by its name."""
        if self._maps is not None:
            return self._maps
        spec = self.spec or self._run("weights").spec
        return labelled_maps(self.network, spec.plan.layers)

    def activity(self, trials: int = 500) -> Activity:
        """The rate of every unit in the first `trials` test trials, or the activity given."""
        if self._activity is not None:
            return self._activity
        if trials not in self._activities:
            run = self._run("activity")
            self._activities[trials] = run.activity(trials, checkpoint=self._checkpoint)
        return self._activities[trials]

    def trials(self, count: int | None = None) -> Trials:
        """The variables of the test trials, and the network's answers, as in `Activity.trials`.

        The trials are those that were scored, or the first `count` of them.
        """
        if self._trials is not None:
            return self._trials
        if count not in self._tables:
            self._tables[count] = _arrays(self._run("activity").trials(count))
        return self._tables[count]

    @property
    def log(self) -> Lines:
        """The lines of the log, oldest first."""
        return self._run("learning curve").records() if self._log is None else self._log

    def _run(self, part: str) -> Run:
        if self.run is None:
            whose = "these data have" if self._initial is None else "a spec has"
            raise unusable(f"{whose} no {part}; name a run", self._hint)
        return self.run


def results_of(
    source: Results | Run | Activity | LabelledMap | Mapping[str, Any] | Lines,
) -> Results:
    """The results that a figure is drawn from: those of a run, or of data.

    Data are an activity, a map, maps or trials by their names, or the lines of a log.
    """
    if isinstance(source, Results):
        return source
    if isinstance(source, Run):
        return Results(source)
    if isinstance(source, Activity):
        return Results(activity=source, trials=source.trials)
    if isinstance(source, LabelledMap):
        return Results(maps={"": source})
    if not isinstance(source, Mapping):
        return Results(log=source)
    given: Mapping[str, Any] = source
    maps = all(isinstance(value, LabelledMap) for value in given.values())
    return Results(maps=given) if maps else Results(trials=given)


def _arrays(frame: Any) -> dict[str, Array]:
    """The columns of a table of trials; `correct` is 1 or 0, NaN where no choice is right."""
    found = {}
    for name in frame.columns:
        column = frame[name].cast(float) if name == "correct" else frame[name]
        values = column.to_numpy()
        found[name] = values.astype(np.str_) if values.dtype.kind == "O" else values
    return found
