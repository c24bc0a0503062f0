"""The curves in a run's log, gathered line by line into columns of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from netbuild.errors import Exit, NetbuildError
from netbuild.plots.drawing import Array, Columns
from netbuild.plots.panels import Span

OF = {"train": "training", "evaluation": "evaluation"}  # kinds of lines, in the order of the table
Points: TypeAlias = "tuple[array[int], array[float]]"  # steps, and the values at them


@dataclass
class Log:
    """What a figure of a log needs: 16 bytes a point, however many lines there are."""

    stages: list[Span] = field(default_factory=list)  # from the step before the first to the last
    _points: dict[tuple[str, str, str], Points] = field(default_factory=dict)

    def curves(self, panel: str) -> list[Columns]:
        """The curves of one panel that have points, of training before those of evaluations."""
        names = dict.fromkeys(name for where, name, _ in self._points if where == panel)
        keys = ((panel, name, kind) for name in names for kind in OF)
        return [_columns(key, self._points[key]) for key in keys if key in self._points]

    def take(self, line: Mapping[str, Any]) -> None:
        """Add what one line says; NetbuildError (exit 5) where its numbers are none."""
        kind, step = line["kind"], line["step"]
        if type(step) is not int or not 0 <= step < 1 << 62:
            raise NetbuildError(f"the log has a line whose step is {step!r:.40}", Exit.RUN)
        self._take_stage(line.get("stage", ""), step)
        if kind not in OF:
            return
        for panel, name, value in _values(line):
            if value is not None:
                key = panel, name, kind
                steps, values = self._points.setdefault(key, (array("q"), array("d")))
                steps.append(step)
                values.append(_number(value, name, step))

    def _take_stage(self, name: str, step: int) -> None:
        stages = self.stages
        if stages and stages[-1].name == name:
            stages[-1] = stages[-1]._replace(end=step)
        else:
            stages.append(Span(name, stages[-1].end if stages else 0, step))


def log_of(lines: Iterable[Mapping[str, Any]]) -> Log:
    """What the lines of a log say, oldest first; raises TypeError for what is no line."""
    log = Log()
    for line in lines:
        if not isinstance(line, Mapping):
            what = type(line).__name__
            raise TypeError(f"`source` is one run, or the lines of its log, not a list of {what}")
        log.take(line)
    return log


def _values(line: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """The panel, the name and the value of each number in a line."""
    for name in ("loss", "accuracy"):
        yield name, name, line.get(name)
    terms = line.get("regularizers")
    for name, term in terms.items() if isinstance(terms, Mapping) else ():
        yield "regularizers", name, term.get("weighted") if isinstance(term, Mapping) else None


def _number(value: object, name: str, step: int) -> float:
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
    except OverflowError:
        pass
    what = f"the log has no number for `{name}` in step {step:,}"
    raise NetbuildError(what, Exit.RUN)


def _columns(key: tuple[str, str, str], points: Points) -> Columns:
    panel, name, kind = key
    steps, values = (np.array(each) for each in points)
    label = name if panel != "regularizers" else f"regularizers/{name}"

    def same(text: str) -> Array:
        return np.broadcast_to(np.array(text), len(steps))

    return {"step": steps, "curve": same(label), "of": same(OF[kind]), "value": values}
