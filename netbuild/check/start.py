"""`start_from`: which run and checkpoint it means, and whether its weights fit this network."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild import masks, system
from netbuild.check.context import Context, FileRecord
from netbuild.check.plan import LayerPlan, MapPlan
from netbuild.check.targets import parameter_shapes
from netbuild.errors import DataFileError
from netbuild.masks.tensors import TensorsFile, read_tensors
from netbuild.spec.nodes import Location
from netbuild.spec.start import StartFrom

Array: TypeAlias = NDArray[Any]
HERE: Location = ("start_from",)
START = "start_from.run"  # of the files that a spec names
NETWORK = "network.safetensors"
LATEST = "latest"
MOST_BYTES = 1 << 26  # of a file of JSON
FOLLOW = "copy the layer and its masks, or the `seed` that draws them, from the run's resolved.yaml"


def check_start(context: Context, plans: dict[int, LayerPlan]) -> dict[str, Array]:
    """The parameters that `start_from` takes, by name, each in its parameter's own shape."""
    words = context.parsed.start_from
    if not isinstance(words, StartFrom):
        return {}
    key = ("start_from", words.run, str(words.checkpoint))
    if key not in context.kept:  # what the stages of a training all ask for
        context.kept[key] = context.attempt((*HERE, "run"), lambda: _read(context, words))
    if context.kept[key] is None:
        return {}
    found, path = context.kept[key]
    context.files[START] = FileRecord(words.run, str(path), found.sha256, found.size)
    if len(plans) < len(context.parsed.layers):
        return {}  # what is wrong with the others comes first
    shapes = _shapes(context, plans)
    names = _matched(context, words, shapes)
    taken = {name: found.arrays[name] for name in names if _fits(context, name, shapes, found)}
    by_layer = {plan.name: plan for plan in plans.values()}
    for name, values in taken.items():
        layer, *inner, last = name.split(".")
        plan = by_layer[layer].maps.get(inner[0] if inner else "")
        if last == "weight" and plan is not None:
            _check_map(context, name.removesuffix(".weight"), plan, found.arrays)
            _check_signs(context, name, plan, values, by_layer[layer])
    return taken


def _shapes(context: Context, plans: dict[int, LayerPlan]) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter, as it is stored."""
    shapes = parameter_shapes(list(context.parsed.layers), plans)
    for plan in plans.values():
        for key, each in plan.maps.items():
            if each.wiring is not None:
                shapes[".".join(filter(None, (plan.name, key, "weight")))] = (len(each.wiring),)
    return shapes


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


def _check_map(context: Context, path: str, plan: MapPlan, arrays: Mapping[str, Array]) -> None:
    """Each mask of the map must be the run's own."""
    for word, mine, theirs in _masks(path, plan, arrays):
        if mine.shape == theirs.shape and bool((mine == theirs).all()):
            continue
        count = int((mine != theirs).sum()) if mine.shape == theirs.shape else None
        more = "" if count is None else f": {count:,} of {mine.size:,} entries differ"
        what = f"the {word} of `{path}` is not that of the run{more}"
        context.problem("NB305", (*HERE, "params"), what, FOLLOW)


def _masks(path: str, plan: MapPlan, arrays: Mapping[str, Array]) -> list[tuple[str, Array, Array]]:
    """Each mask of a map, as this spec has it and as the run does; (output_dim, input_dim)."""
    if plan.wiring is not None:
        nothing = np.zeros(0, np.int32)
        starts, sources = (arrays.get(f"{path}.{k}", nothing) for k in ("starts", "sources"))
        found = [
            ("wiring", plan.wiring.starts, starts),
            ("wiring", plan.wiring.sources, sources),
        ]
        shape: tuple[int, ...] = (len(plan.wiring),)
    else:
        shape = (plan.output_dim, plan.input_dim)
        here = None if plan.connected is None else plan.connected.T > 0
        there = arrays.get(f"{path}.connected")
        found = [("sparsity mask", _filled(here, shape, 1), _filled(there, shape, 1))]
    signs = None if plan.signs is None else np.sign(_as_stored(plan.signs, plan))
    plastic = None
    if plan.plasticity is not None:
        plastic = _as_stored(plan.plasticity, plan).astype(np.float32)
    for word, key, mine, default in (
        ("ei_mask", "sign", signs, 0),
        ("plasticity mask", "plasticity", plastic, 1),
    ):
        theirs = arrays.get(f"{path}.{key}")
        found.append((word, _filled(mine, shape, default), _filled(theirs, shape, default)))
    return found


def _as_stored(values: Array, plan: MapPlan) -> Array:
    """A mask of a plan in the order of the stored weight."""
    if plan.wiring is None:
        return values if values.ndim == 1 else values.T
    if len(values) == len(plan.wiring) and values.ndim == 1 and values is not plan.signs:
        return values
    if values.ndim == 1:
        return np.asarray(values[plan.wiring.sources])
    return plan.wiring.of(values)


def _filled(values: Array | None, shape: tuple[int, ...], default: int) -> Array:
    if values is None:
        return np.broadcast_to(np.float32(default), shape)
    return np.broadcast_to(values, shape) if values.ndim <= len(shape) else values


def _check_signs(
    context: Context, name: str, plan: MapPlan, values: Array, layer: LayerPlan
) -> None:
    """Weights that were not held to their signs cannot begin where they are."""
    index = next(
        i for i, p in enumerate(context.parsed.layers) if getattr(p, "name", "") == layer.name
    )
    words: Any = context.parsed.layers[index]
    inner = name.removesuffix(".weight").removeprefix(layer.name).strip(".")
    words = getattr(words, inner) if inner else words
    if plan.signs is None or words.dale != "project":
        return
    signs = np.sign(_as_stored(plan.signs, plan))
    wrong = int((values * signs < 0).sum())
    if wrong:
        what = f"{wrong:,} weights of `{name}` in the run have the wrong sign for this spec"
        context.problem("NB305", (*HERE, "params"), what, "see `dale` there and here")


# Which file is meant


def _read(context: Context, words: StartFrom) -> tuple[TensorsFile, Path]:
    """The weights that are named; raises DataFileError."""
    if words.run.endswith(".safetensors"):
        path = context.locate((*HERE, "run"), words.run)
        return read_tensors(path), path
    run = _run(context, words.run)
    steps = _steps(context, run)
    step = steps[-1]
    if words.checkpoint == "best":
        best = _state(context, f"{run}/checkpoints/step-{step:08d}").get("best")
        if not isinstance(best, dict) or best.get("step") not in steps:
            raise DataFileError("NB202", f"{run} has no best checkpoint", "`checkpoint: last`")
        step = best["step"]
    elif words.checkpoint != "last":
        step = int(words.checkpoint)
    if step not in steps:
        listed = ", ".join(map(str, steps[-8:]))
        raise DataFileError(
            "NB202", f"{run} has no checkpoint of step {step}", f"there are those of {listed}"
        )
    folder = f"{run}/checkpoints/step-{step:08d}"
    state = _state(context, folder)
    path = context.locate((*HERE, "run"), f"{folder}/{NETWORK}")
    found = read_tensors(path)
    digests = state.get("sha256")
    if not isinstance(digests, dict) or digests.get(NETWORK) != found.sha256:
        raise DataFileError("NB204", f"{folder}/{NETWORK} does not have the digest written down")
    return found, path


def _run(context: Context, reference: str) -> str:
    """The run's folder, relative to the spec that names it; raises DataFileError."""
    parent, _, last = reference.rstrip("/").rpartition("/")
    if last != LATEST:
        _json(context, f"{reference}/run.json")
        return reference.rstrip("/")
    started = {}
    for name in _names(context, parent or "."):
        run = f"{parent or '.'}/{name}"
        try:
            if _steps(context, run):
                started[run] = (str(_json(context, f"{run}/run.json").get("started")), name)
        except DataFileError:
            continue
    if not started:
        raise DataFileError("NB202", f"there is no run with a checkpoint in {parent or '.'}")
    return max(started, key=lambda run: started[run])


def _steps(context: Context, run: str) -> list[int]:
    """The steps that a run has checkpoints of, in order; raises DataFileError for none."""
    steps = []
    for name in _names(context, f"{run}/checkpoints"):
        digits = name.removeprefix("step-")
        if digits.isdecimal() and digits.isascii() and name == f"step-{int(digits[:18]):08d}":
            steps.append(int(digits))
    if not steps:
        raise DataFileError("NB202", f"{run} has no checkpoint")
    return sorted(steps)


def _names(context: Context, reference: str) -> list[str]:
    """What is in a folder of the project; raises DataFileError."""
    node = context.parsed.tree.at((*HERE, "run"))
    source = node.place.source if node else context.parsed.document.source
    folder = context.parsed.folders.get(source, context.parsed.document.folder)
    root = context.locator.data_root or masks.project_root(folder)
    masks.refuse_what_is_no_path(reference)
    try:
        path = Path(os.path.realpath(folder / reference))
        if not path.is_relative_to(os.path.realpath(root)):
            raise DataFileError("NB203", f"{reference} is outside the project")
        return sorted(os.listdir(path))
    except (OSError, ValueError):
        raise DataFileError(
            "NB202", f"there is no run {reference.removesuffix('/checkpoints')}"
        ) from None


def _state(context: Context, folder: str) -> dict[str, Any]:
    """What a checkpoint says of itself; raises DataFileError unless it has its own digest."""
    found = _json(context, f"{folder}/state.json")
    state = {key: value for key, value in found.items() if key != "digest"}
    text = json.dumps(state, indent=1) + "\n"
    if hashlib.sha256(text.encode()).hexdigest() != found.get("digest"):
        what = f"{folder}/state.json does not have the digest written down"
        raise DataFileError("NB204", what)
    return state


def _json(context: Context, reference: str) -> dict[str, Any]:
    path = context.locate((*HERE, "run"), reference)
    try:
        descriptor = os.open(path, os.O_RDONLY | system.O_NONBLOCK | system.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError
            found = json.loads(file.read(MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        raise DataFileError("NB204", f"{reference} cannot be read") from None
    if not isinstance(found, dict):
        raise DataFileError("NB204", f"{reference} cannot be read")
    return found
