"""`start_from`: a training that begins with the weights of another run.

Below the keys: whether those weights fit this network, and which run and checkpoint the words name.
"""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from netbuild.durable import read_file
from netbuild.errors import DataFileError
from netbuild.files.door import project_root, refuse_what_is_no_path
from netbuild.files.tensors import TensorsFile, read_tensors
from netbuild.folders import ForeignEntryError, TooLargeError, check_file, entered
from netbuild.language.base import Model, WordOrNumber, key
from netbuild.language.context import LONGEST_RUN, Context, FileRecord
from netbuild.language.plan import LayerPlan, MapPlan
from netbuild.language.shorthand import Names
from netbuild.language.targets import parameter_shapes, weights_of
from netbuild.language.training import refuse_leaks
from netbuild.rundir import (
    CHECKPOINTS,
    LARGEST_JSON,
    LATEST,
    NETWORK,
    RUN,
    STATE,
    as_object,
    checkpoint_name,
    steps_in,
    unsealed,
)
from netbuild.splits import SampleSplit
from netbuild.wording import show
from netbuild.yamltree.nodes import Location

Array: TypeAlias = NDArray[Any]
HERE: Location = ("start_from",)
START = "start_from.run"  # of the files that a spec names
FOLLOW = "copy the layer and its masks, or the `seed` that draws them, from the run's resolved.yaml"


class StartFrom(Model):
    """Parameters that begin with the values of another run, in place of their inits.

    The masks of the maps whose weights are taken must be those of the run. A frozen weight keeps
    the value that was taken.
    """

    run: Annotated[
        str,
        key(
            ...,
            "a run's folder, relative to this file and in its project; `NAME/latest` is"
            " the newest run in the folder NAME; or the file `network.safetensors` of a checkpoint",
            "runs/ei-decision/latest",
            min_length=1,
            max_length=LONGEST_RUN,
        ),
    ]
    checkpoint: Annotated[
        Literal["last", "best"] | Annotated[int, Field(ge=0, le=10**15)], WordOrNumber()
    ] = key(
        "last", "which of its checkpoints: the last one, the best one, or that of a step", "best"
    )
    params: Names = key(
        ["*"],
        "the parameters that are taken, as `<layer>.weight`; `*` matches anything, dots included",
        "hidden.*",
        min_length=1,
        max_length=100,
    )


# Whether its weights fit


def check_start(
    context: Context, plans: dict[int, LayerPlan], split: SampleSplit | None = None
) -> tuple[dict[str, Array], tuple[SampleSplit, ...]]:
    """The parameters that `start_from` takes, by name, and the samples they were trained on.

    `split` may test on none of these samples.
    """
    words = context.parsed.start_from
    if not isinstance(words, StartFrom):
        return {}, ()
    key = ("start_from", words.run, str(words.checkpoint))
    if key not in context.kept:  # every stage of a training asks for it
        context.kept[key] = context.at(*HERE, "run").attempt(lambda: _read(context, words))
    if context.kept[key] is None:
        return {}, ()
    found, path, trained_on = context.kept[key]
    context.files[START] = FileRecord(words.run, str(path), found.sha256, found.size)
    refuse_leaks(context.at(*HERE, "run"), "the run", trained_on, split)
    if len(plans) < len(context.parsed.layers):
        return {}, trained_on  # the problems of the other layers come first
    maps = weights_of(plans)
    shapes = parameter_shapes(plans) | {name: each.connections.shape for name, each in maps.items()}
    names = _matched(context, words, shapes)
    taken = {name: found.arrays[name] for name in names if _fits(context, name, shapes, found)}
    for name, values in taken.items():
        if name in maps:
            _check_map(context, maps[name], found.arrays)
            _check_signs(context, name, maps[name], values)
    return taken, trained_on


def _matched(context: Context, words: StartFrom, shapes: Mapping[str, Any]) -> list[str]:
    """The parameters of this network that are to be taken, in its order."""
    names: set[str] = set()
    for i, pattern in enumerate(words.params):
        fitting = [pattern] if pattern in shapes else fnmatch.filter(shapes, pattern)
        if not fitting:
            what = f"no parameter of this network is named `{pattern}`"
            context.problem("NB304", (*HERE, "params", i), what, context.near(pattern, shapes))
        names.update(fitting)
    return [name for name in shapes if name in names]


def _fits(
    context: Context, name: str, shapes: Mapping[str, tuple[int, ...]], found: TensorsFile
) -> bool:
    values = found.arrays.get(name)
    what = ""
    if values is None:
        what = f"the run has no `{name}`"
    elif values.shape != shapes[name]:
        what = f"`{name}` is {values.shape} in the run, and {shapes[name]} here"
    elif values.dtype != np.float32 or not np.isfinite(values).all():
        what = f"`{name}` of the run does not hold finite float32"
    if what:
        hint = 'name the parameters that are to be taken: `params: "hidden.*"`'
        context.problem("NB305", (*HERE, "params"), what, hint)
    return not what


# The masks of a map, which come with its weights


def _check_map(context: Context, plan: MapPlan, arrays: Mapping[str, Array]) -> None:
    """Each mask of the map must be the mask that the run has."""
    for word, mine, theirs in _masks(plan, arrays):
        if not np.array_equal(mine, theirs):
            what = f"the {word} of `{plan.name}` is not that of the run"
            if mine.shape == theirs.shape:
                what += f": {int((mine != theirs).sum()):,} of {mine.size:,} entries differ"
            context.problem("NB305", (*HERE, "params"), what, FOLLOW)


def _masks(plan: MapPlan, arrays: Mapping[str, Array]) -> list[tuple[str, Array, Array]]:
    """The name of each mask of a map, and the mask of this spec and of the run, as weights lie."""
    shape, wiring, signs = plan.connections.shape, plan.connections.wiring, plan.signs_there()
    free, plastic = (np.broadcast_to(np.float32(value), shape) for value in (0, 1))
    rows: list[tuple[str, str, Array | None, Array]] = [
        ("ei_mask", "sign", None if signs is None else np.sign(signs), free),
        ("plasticity mask", "plasticity", plan.plasticity, plastic),
    ]
    if wiring is None:
        whole = np.ones(shape, bool)
        rows.insert(0, ("sparsity mask", "connected", plan.connections.whole(), whole))
    else:
        nothing = np.zeros(0, np.int32)
        rows.insert(0, ("wiring", "starts", wiring.starts, nothing))
        rows.insert(1, ("wiring", "sources", wiring.sources, nothing))
    return [
        (word, default if mine is None else mine, arrays.get(f"{plan.name}.{buffer}", default))
        for word, buffer, mine, default in rows
    ]


def _check_signs(context: Context, name: str, plan: MapPlan, values: Array) -> None:
    """Weights that were trained without signs cannot be the start where signs hold."""
    signs = plan.signs_there()
    if signs is None or plan.section.dale != "project":
        return
    wrong = int((values * np.sign(signs) < 0).sum())
    if wrong:
        what = f"{wrong:,} weights of `{name}` in the run have the wrong sign for this spec"
        context.problem("NB305", (*HERE, "params"), what, "compare `dale` in both specs")


# Which run and which checkpoint the keys name


Weights: TypeAlias = tuple[TensorsFile, Path, tuple[SampleSplit, ...]]


@dataclass(frozen=True)
class _Run:
    """A run directory, whose contents are not trusted, and its name in messages."""

    name: str
    path: Path  # absolute, links resolved

    @contextmanager
    def reading(self, name: str) -> Iterator[None]:
        """Raise DataFileError for what goes wrong while a file or folder of the run is read."""
        what = f"{self.name}/{name}"
        try:
            yield
        except ForeignEntryError as error:
            raise DataFileError("NB203", str(error), error.hint) from None
        except TooLargeError as error:
            raise DataFileError("NB901", str(error)) from None
        except (FileNotFoundError, NotADirectoryError):
            raise DataFileError("NB202", f"there is no file {what}") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DataFileError("NB204", f"{what} cannot be read ({reason})") from None

    def read(self, name: str, read: Callable[[bytes], dict[str, Any]]) -> dict[str, Any]:
        """What a file of the run holds; raises DataFileError, for a ValueError of `read` too."""
        try:
            with self.reading(name):
                return read(read_file(self.path / name, LARGEST_JSON, self.path))
        except ValueError:
            raise DataFileError("NB204", f"{self.name}/{name} is damaged") from None

    def steps(self) -> list[int]:
        """The steps of its checkpoints, in order; raises DataFileError where there are none."""
        with self.reading(CHECKPOINTS), entered(self.path / CHECKPOINTS, self.path) as folder:
            steps = steps_in(folder.names())
        if not steps:
            raise DataFileError("NB202", f"{self.name} has no checkpoint")
        return steps

    def state(self, step: int) -> dict[str, Any]:
        """The state of a checkpoint; raises DataFileError unless its seal is right."""
        return self.read(f"{CHECKPOINTS}/{checkpoint_name(step)}/{STATE}", unsealed)

    def weights(self, step: int) -> Weights:
        """The weights of a checkpoint; raises DataFileError."""
        name = f"{CHECKPOINTS}/{checkpoint_name(step)}/{NETWORK}"
        digests = self.state(step).get("sha256")
        with self.reading(name):
            check_file(self.path / name, within=self.path)
        found = read_tensors(self.path / name)
        if not isinstance(digests, dict) or digests.get(NETWORK) != found.sha256:
            what = f"{self.name}/{name} does not have the digest that the checkpoint records"
            raise DataFileError("NB204", what)
        return found, self.path / name, _trained_on(found, self.path / name)


def _read(context: Context, words: StartFrom) -> Weights:
    """The weights that are named, and the samples that they were trained on.

    Raises DataFileError.
    """
    given = context.parsed.given
    if given is not None:
        return _Run(show(str(given.run)), given.run).weights(given.checkpoint)
    if words.run.endswith(".safetensors"):
        path = context.at(*HERE, "run").locate(words.run)
        found = read_tensors(path)
        return found, path, _trained_on(found, path)
    run = _run(context, words.run.rstrip("/"))
    steps = run.steps()
    step: Any = words.checkpoint
    if step == "last":
        step = steps[-1]
    elif step == "best":
        best = run.state(steps[-1]).get("best")
        step = best.get("step") if isinstance(best, dict) else None
        if step not in steps:
            raise DataFileError("NB202", f"{run.name} has no best checkpoint", "`checkpoint: last`")
    if step not in steps:
        what = f"{run.name} has no checkpoint of step {step}"
        hint = f"it has those of the steps {', '.join(map(str, steps[-8:]))}"
        raise DataFileError("NB202", what, hint)
    return run.weights(step)


def _trained_on(found: TensorsFile, path: Path) -> tuple[SampleSplit, ...]:
    """The splits that a file of weights tells of; raises DataFileError for anything else there."""
    try:
        about = json.loads(found.metadata.get("netbuild", "{}"))
        return tuple(SampleSplit.from_data(each) for each in about.get("trained_on", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        what = f"{show(path.name)} does not tell which samples its weights were trained on"
        raise DataFileError("NB204", what) from None


def _run(context: Context, name: str) -> _Run:
    """The run that a spec names, in the spec's project; raises DataFileError."""
    parent, _, last = name.rpartition("/")
    if last != LATEST:
        context.at(*HERE, "run").locate(f"{name}/{RUN}")  # raises where there is no such run
        run = _Run(name, _folder(context, name))
        run.read(RUN, as_object)
        return run
    parent = parent or "."
    try:
        names = os.listdir(_folder(context, parent))
    except (OSError, ValueError):
        raise DataFileError("NB202", f"there is no run {parent}") from None
    started = {}
    for own in names:
        with suppress(DataFileError):
            run = _Run(f"{parent}/{own}", _folder(context, f"{parent}/{own}"))
            run.steps()
            started[run] = str(run.read(RUN, as_object).get("started")), own
    if not started:
        raise DataFileError("NB202", f"there is no run with a checkpoint in {parent}")
    return max(started, key=lambda run: started[run])


def _folder(context: Context, name: str) -> Path:
    """A folder of the spec's project, links resolved; raises DataFileError for one outside."""
    own = context.at(*HERE, "run").folder
    root = context.locator.data_root or project_root(own)
    refuse_what_is_no_path(name)
    path = Path(os.path.realpath(own / name))
    if not path.is_relative_to(os.path.realpath(root)):
        raise DataFileError("NB203", f"{name} is outside the project")
    return path
