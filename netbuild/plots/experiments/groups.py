"""What figures of experiments share: settings with their runs, and bands of mean and interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netbuild.drawing import panels
from netbuild.drawing.look import name_of
from netbuild.drawing.table import Columns
from netbuild.errors import Exit, NetbuildError
from netbuild.experiments import statistics
from netbuild.experiments.experiment import Experiment
from netbuild.experiments.folder import PointInfo
from netbuild.experiments.table import key_of
from netbuild.wording import near, show

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_GROUPS = len(panels.PALETTE)  # of curves that are told apart by their colours
Array = NDArray[Any]


@dataclass
class Group:
    """Replicates: the points that a setting, or one value of a parameter, has."""

    key: dict[str, Any]
    points: list[PointInfo] = field(default_factory=list)

    @property
    def label(self) -> str:
        """What it is called in a figure."""
        named = len(self.key) > 1
        parts = [
            f"{short(path)} {text(value)}" if named and path != "condition" else text(value)
            for path, value in self.key.items()
        ]
        return ", ".join(parts) or "all"


def short(path: str) -> str:
    """The end of a path, which tells what it is about: `hidden.size`."""
    return ".".join(path.replace("[", ".").replace("]", "").split(".")[-2:])


def text(value: Any) -> str:
    """A value in a figure."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def groups_of(experiment: Experiment, by: str | None = None) -> list[Group]:
    """The settings of an experiment with their points, or the values of the columns in `by`.

    `by` is a column, or several with commas between them. Raises NetbuildError (exit 2).
    """
    about = experiment.about
    columns = [column_of(experiment, each) for each in by.split(",")] if by else []
    found: dict[str, Group] = {}
    for point in about.points:
        key = {k: v for k, v in key_of(about, point, columns).items() if _varies(experiment, k)}
        found.setdefault(repr(key), Group(key)).points.append(point)
    return list(found.values())


def _varies(experiment: Experiment, column: str) -> bool:
    about = experiment.about
    if column == "condition":
        return True
    return len({repr(point.parameters.get(column)) for point in about.points}) > 1


def column_of(experiment: Experiment, text_: str) -> str:
    """The parameter, or "condition", that a word means; raises NetbuildError (exit 2)."""
    about = experiment.about
    known = [*(["condition"] if about.conditions else []), *about.parameters]
    wanted = short(text_.strip())
    for column in known:
        if column == text_.strip() or short(column) == wanted:
            return column
    what = f"the experiment does not vary `{show(text_)}`"
    raise NetbuildError(what, Exit.USAGE, near(text_, known))


def scores_of(experiment: Experiment, group: Group) -> list[tuple[PointInfo, float]]:
    """The points of a group whose runs have the score that is compared, with it."""
    rows, name = experiment.rows, experiment.about.score
    found = ((point, rows.of(point.hash).score(name)) for point in group.points)
    return [(point, value) for point, value in found if value is not None]


def need_scores(experiment: Experiment, groups: Sequence[Group]) -> None:
    """Raise NetbuildError (exit 2) where no run has the score that is compared."""
    if not any(scores_of(experiment, group) for group in groups):
        what = f"no run of {experiment.path} has a {experiment.about.score} yet"
        raise NetbuildError(what, Exit.USAGE, "`netbuild sweep` trains what is left")


def few(groups: Sequence[Group]) -> None:
    """Raise NetbuildError (exit 2) for more groups than colours."""
    if len(groups) > MOST_GROUPS:
        what = f"{len(groups):,} settings are too many for one figure"
        hint = f"`--by PATH` gathers them; there are colours for {MOST_GROUPS}"
        raise NetbuildError(what, Exit.USAGE, hint)


def curve(
    ax: Axes, group: Group, colour: Any, name: str, values: Mapping[float, Sequence[float]]
) -> Columns:
    """Draw the mean of a group with its 95 % interval, of the values at each x.

    Returns a row for each x, which is called `name`: setting, x, n, mean, low, high.
    """
    x, columns = np.array(list(values)), list(values.values())
    mean, low, high = band(ax, x, columns, colour, name_of(group.label, 60), group.label)
    return {
        "setting": np.full(len(x), group.label),
        name: x,
        "n": np.array([len(column) for column in columns]),
        "mean": mean,
        "low": low,
        "high": high,
    }


def band(
    ax: Axes, x: Array, columns: Sequence[Sequence[float]], colour: Any, label: str, *names: str
) -> tuple[Array, Array, Array]:
    """Draw the mean of each column with its 95 % interval; returns mean, low and high.

    The interval is NaN, and is not drawn, where there are fewer than three values.
    """
    mean = np.array([np.mean(column) if len(column) else np.nan for column in columns])
    ends = [statistics.interval(np.asarray(c, float), *names, i) for i, c in enumerate(columns)]
    low, high = (np.array([e[side] for e in ends], float) for side in (0, 1))
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.plot(x, mean, color=colour, linewidth=1.6, label=label)
    return mean, low, high
