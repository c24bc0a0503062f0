"""`start_from`: which run and checkpoint it means, and whether its weights fit this network."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild.errors import DataFileError
from netbuild.files.locate import project_root, refuse_what_is_no_path, shown
from netbuild.files.tensors import TensorsFile, read_tensors
from netbuild.folders import check_file, entered
from netbuild.language.check_splits import Split, refuse_leaks
from netbuild.language.context import Context, FileRecord
from netbuild.language.plan import LayerPlan, MapPlan
from netbuild.language.start import StartFrom
from netbuild.language.targets import parameter_shapes, weights_of
from netbuild.yamltree.nodes import Location

Array: TypeAlias = NDArray[Any]
HERE: Location = ("start_from",)
START = "start_from.run"  # of the files that a spec names
NETWORK = "network.safetensors"
LATEST = "latest"
MOST_BYTES = 1 << 26  # of a file of JSON
FOLLOW = "copy the layer and its masks, or the `seed` that draws them, from the run's resolved.yaml"


def check_start(
    context: Context, plans: dict[int, LayerPlan], split: Split | None = None
) -> tuple[dict[str, Array], tuple[Split, ...]]:
    """The parameters that `start_from` takes, by name, each in its parameter's own shape.

    And the samples that these weights were trained on, none of which `split` may test on.
    """
    words = context.parsed.start_from
    if not isinstance(words, StartFrom):
        return {}, ()
    key = ("start_from", words.run, str(words.checkpoint))
    if key not in context.kept:  # what the stages of a training all ask for
        context.kept[key] = context.attempt((*HERE, "run"), lambda: _read(context, words))
    if context.kept[key] is None:
        return {}, ()
    found, path, trained_on = context.kept[key]
    context.files[START] = FileRecord(words.run, str(path), found.sha256, found.size)
    refuse_leaks(context, (*HERE, "run"), "the run", trained_on, split)
    if len(plans) < len(context.parsed.layers):
        return {}, trained_on  # what is wrong with the others comes first
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
    """Each mask of the map must be the run's own."""
    for word, mine, theirs in _masks(plan, arrays):
        if mine.shape == theirs.shape and bool((mine == theirs).all()):
            continue
        count = int((mine != theirs).sum()) if mine.shape == theirs.shape else None
        more = "" if count is None else f": {count:,} of {mine.size:,} entries differ"
        what = f"the {word} of `{plan.name}` is not that of the run{more}"
        context.problem("NB305", (*HERE, "params"), what, FOLLOW)


def _masks(plan: MapPlan, arrays: Mapping[str, Array]) -> list[tuple[str, Array, Array]]:
    """Each mask of a map, as this spec has it and as the run does, in the weight's layout."""
    kept, wiring = plan.connections, plan.connections.wiring

    def theirs(key: str, default: Array) -> Array:
        return arrays.get(f"{plan.name}.{key}", default)

    if wiring is not None:
        nothing = np.zeros(0, np.int32)
        found: list[tuple[str, Array, Array]] = [
            ("wiring", wiring.starts, theirs("starts", nothing)),
            ("wiring", wiring.sources, theirs("sources", nothing)),
        ]
    else:
        whole = np.ones(kept.shape, bool)
        found = [("sparsity mask", kept.whole(), theirs("connected", whole))]
    signs, plastic = plan.signs_there(), plan.plasticity
    for word, key, mine, default in (
        ("ei_mask", "sign", None if signs is None else np.sign(signs), 0),
        ("plasticity mask", "plasticity", plastic, 1),
    ):
        same = np.broadcast_to(np.float32(default), kept.shape)
        found.append((word, same if mine is None else mine, theirs(key, same)))
    return found


def _check_signs(context: Context, name: str, plan: MapPlan, values: Array) -> None:
    """Weights that were not held to their signs cannot begin where they are."""
    signs = plan.signs_there()
    if signs is None or plan.words.dale != "project":
        return
    wrong = int((values * np.sign(signs) < 0).sum())
    if wrong:
        what = f"{wrong:,} weights of `{name}` in the run have the wrong sign for this spec"
        context.problem("NB305", (*HERE, "params"), what, "see `dale` there and here")


# Which file is meant


Weights: TypeAlias = tuple[TensorsFile, Path, tuple[Split, ...]]


def _read(context: Context, words: StartFrom) -> Weights:
    """The weights that are named, and the samples that they were trained on.

    Raises DataFileError, and of a given run NetbuildError.
    """
    given = context.parsed.given
    if given is not None:
        return _checkpoint(_Given(given.run), given.checkpoint)
    if words.run.endswith(".safetensors"):
        path = context.locate((*HERE, "run"), words.run)
        found = read_tensors(path)
        return found, path, _trained_on(found, path)
    run = _run(context, words.run)
    steps = run.steps()
    step = steps[-1]
    if words.checkpoint == "best":
        best = run.state(step).get("best")
        if not isinstance(best, dict) or best.get("step") not in steps:
            raise DataFileError("NB202", f"{run.name} has no best checkpoint", "`checkpoint: last`")
        step = best["step"]
    elif words.checkpoint != "last":
        step = int(words.checkpoint)
    if step not in steps:
        listed = ", ".join(map(str, steps[-8:]))
        raise DataFileError(
            "NB202", f"{run.name} has no checkpoint of step {step}", f"there are those of {listed}"
        )
    return _checkpoint(run, step)


def _checkpoint(run: _Run, step: int) -> Weights:
    """The weights of a run's checkpoint; returns and raises as `_read` does."""
    state = run.state(step)
    name = f"{_folder_of(step)}/{NETWORK}"
    path = run.file(name)
    found = read_tensors(path)
    digests = state.get("sha256")
    if not isinstance(digests, dict) or digests.get(NETWORK) != found.sha256:
        raise DataFileError("NB204", f"{run.name}/{name} does not have the digest written down")
    return found, path, _trained_on(found, path)


def _trained_on(found: TensorsFile, path: Path) -> tuple[Split, ...]:
    """The splits that a file of weights tells of; raises DataFileError for anything else there."""
    try:
        about = json.loads(found.metadata.get("netbuild", "{}"))
        return tuple(Split.from_data(each) for each in about.get("trained_on", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        what = f"{shown(path.name)} does not tell which samples its weights were trained on"
        raise DataFileError("NB204", what) from None


def _folder_of(step: int) -> str:
    return f"checkpoints/step-{step:08d}"


class _Run:
    """A run that a spec names, in the spec's project."""

    def __init__(self, context: Context, name: str) -> None:
        self.name = name  # relative to the file that names it
        self._context = context

    def file(self, name: str) -> Path:
        """The path of a regular file of the run, which no link in the run leads to."""
        path = self._context.locate((*HERE, "run"), f"{self.name}/{name}")
        if path != self._folder("") / name:
            what = f"{self.name}/{name} is, or leads through, a symbolic link"
            raise DataFileError("NB203", what, "put the file itself into the run")
        return path

    def steps(self) -> list[int]:
        """The steps that it has checkpoints of, in order; raises DataFileError for none."""
        steps = []
        for name in self._names("checkpoints"):
            digits = name.removeprefix("step-")
            if digits.isdecimal() and digits.isascii() and name == f"step-{int(digits[:18]):08d}":
                steps.append(int(digits))
        if not steps:
            raise DataFileError("NB202", f"{self.name} has no checkpoint")
        return sorted(steps)

    def state(self, step: int) -> dict[str, Any]:
        """What a checkpoint says of itself; raises DataFileError unless it has its own digest."""
        name = f"{_folder_of(step)}/state.json"
        found = self.json(name)
        state = {key: value for key, value in found.items() if key != "digest"}
        text = json.dumps(state, indent=1) + "\n"
        if hashlib.sha256(text.encode()).hexdigest() != found.get("digest"):
            what = f"{self.name}/{name} does not have the digest written down"
            raise DataFileError("NB204", what)
        return state

    def json(self, name: str) -> dict[str, Any]:
        """The data in a file of JSON; raises DataFileError."""
        path, what = self.file(name), f"{self.name}/{name} cannot be read"
        try:
            with entered(path.parent) as folder:
                descriptor = folder.open(path.name)
            with os.fdopen(descriptor, "rb") as file:
                size = os.fstat(descriptor).st_size
                if size > MOST_BYTES:
                    raise DataFileError("NB901", f"{what}: it has {size:,} bytes")
                found = json.loads(file.read(MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            raise DataFileError("NB204", what) from None
        if not isinstance(found, dict):
            raise DataFileError("NB204", what)
        return found

    def names(self) -> list[str]:
        """What is in it; raises DataFileError."""
        return self._names("")

    def _folder(self, name: str) -> Path:
        """A folder of the run, links resolved."""
        node = self._context.parsed.tree.at((*HERE, "run"))
        source = node.place.source if node else self._context.parsed.document.source
        own = self._context.parsed.document.folder
        folder = self._context.parsed.folders.get(source, own)
        root = self._context.locator.data_root or project_root(folder)
        refuse_what_is_no_path(self.name)
        path = Path(os.path.realpath(folder / self.name / name))
        if not path.is_relative_to(os.path.realpath(root)):
            raise DataFileError("NB203", f"{self.name} is outside the project")
        return path

    def _names(self, name: str) -> list[str]:
        try:
            return sorted(os.listdir(self._folder(name)))
        except (OSError, ValueError):
            raise DataFileError("NB202", f"there is no run {self.name}") from None


class _Given(_Run):
    """A run that somebody named who trains, wherever it is."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = shown(str(path)), path

    def file(self, name: str) -> Path:
        path = self._path / name
        check_file(path, within=self._path)
        return path


def _run(context: Context, reference: str) -> _Run:
    """The run that a spec names; raises DataFileError."""
    parent, _, last = reference.rstrip("/").rpartition("/")
    if last != LATEST:
        run = _Run(context, reference.rstrip("/"))
        run.json("run.json")
        return run
    started = {}
    for name in _Run(context, parent or ".").names():
        run = _Run(context, f"{parent or '.'}/{name}")
        try:
            if run.steps():
                started[run] = (str(run.json("run.json").get("started")), name)
        except DataFileError:
            continue
    if not started:
        raise DataFileError("NB202", f"there is no run with a checkpoint in {parent or '.'}")
    return max(started, key=lambda run: started[run])
