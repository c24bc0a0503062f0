"""Recurrent layers: areas, time constants, the initial state, the spectral radius."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from netbuild.language import weights
from netbuild.language.check_maps import Matrix, Site, vector_of, wired_by
from netbuild.language.context import LARGEST, Context, fits, numbers_fit
from netbuild.language.ctrnn import AREA, CTRNN, Area, PerUnit, PerUnitFile, Same, ZeroState
from netbuild.language.plan import LayerPlan, MapPlan, UnitsPlan
from netbuild.language.population import Population, units
from netbuild.language.projections import check_projected
from netbuild.language.spectrum import check_radius
from netbuild.yamltree.nodes import Location, show

SMALLEST_LEARNT = 1e-4  # alpha, to which the layer holds one that learns
BOUNDED = ("tanh", "sigmoid", "retanh")  # activations whose rates cannot grow for ever
LARGEST_START = 1.5  # spectral radius from which a warning is due; 1 is the edge for relu


def population_of(context: Context, i: int, layer: CTRNN) -> Population | None:
    """The units of a recurrent layer, or None with a problem noted."""
    here: Location = ("layers", i)
    if layer.areas is None:
        if layer.size is None:
            hint = "how many units it has; for example `size: 50`, or `areas`"
            context.problem("NB102", here, "the key `size` is missing", hint)
            return None
        return units(layer.name, [("", layer.size, layer.excitatory)])
    for name in layer.areas:
        if not re.fullmatch(AREA, name) or len(name) > 64:
            what = f"`{show(name)}` does not fit here"
            hint = "the name of an area: letters, digits and `_`, beginning with a letter"
            context.problem("NB106", (*here, "areas", name), what, hint, key=True)
            return None
    total = sum(area.size for area in layer.areas.values())
    if layer.size not in (None, total):
        what = f"size is {layer.size}, but the areas have {total} units together"
        context.problem("NB301", (*here, "size"), what, "leave `size` out")
    return units(
        layer.name,
        (
            (name, area.size, layer.excitatory if area.excitatory is None else area.excitatory)
            for name, area in layer.areas.items()
        ),
    )


def check_ctrnn(context: Context, i: int, layer: CTRNN, plan: LayerPlan) -> LayerPlan:
    """The plan of a recurrent layer with its maps and its units' values."""
    maps: dict[str, MapPlan] = {}
    for key in ("noise", "rate_noise", "input_noise"):
        if (noise := getattr(layer, key)) is not None:
            numbers_fit(context, ("layers", i, key), noise)
    for key, reads in (("input", plan.reads), ("recurrent", plan.gives)):
        words = getattr(layer, key)
        name = f"{layer.name}.{key}"
        own = wired_by(context, i, layer, reads) if key == "recurrent" else None
        site = Site(("layers", i, key), name, words, reads, plan.gives, own)
        maps[key] = check_projected(context, site)
        if key == "recurrent":
            maps[key] = check_radius(context, site, maps[key])
            _check_start(context, i, layer, maps[key])
    return replace(plan, maps=maps, units=_units(context, i, layer, plan.gives))


def _units(context: Context, i: int, layer: CTRNN, population: Population) -> UnitsPlan | None:
    found = _alphas(context, i, layer, population.size)
    start: Matrix | None = None
    learns = False
    if not isinstance(layer.initial_state, ZeroState):
        location = ("layers", i, "initial_state")
        start = _read(context, location, layer.initial_state, "initial state", population.size)
        learns = layer.initial_state.learn
        if start is None:
            return None
    return replace(found, initial_state=start, learns_initial_state=learns) if found else None


def _alphas(context: Context, i: int, layer: CTRNN, size: int) -> UnitsPlan | None:
    """The alpha of the layer, of each of its areas, or of each unit."""
    parts = list(_parts(layer, size))
    found = [_alpha(context, i, part) for part in parts]
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        return None
    alphas, learn = [alpha for alpha, _ in known], {learns for _, learns in known}
    if len(learn) > 1:
        what = "the time constants of some areas learn, and those of others do not"
        hint = "all of a layer's learn, or none"
        context.problem("NB308", ("layers", i, "areas"), what, hint, key=True)
        return None
    learns = learn == {True}
    _check_input_noise(context, i, layer, alphas, learns)
    if len(alphas) == 1:
        return UnitsPlan(alphas[0], learns)
    sizes = [part.span.stop - part.span.start for part in parts]
    if all(alpha.ndim == 0 for alpha in alphas):
        return UnitsPlan(np.array(alphas), learns, np.repeat(np.arange(len(sizes)), sizes))
    each = [np.broadcast_to(alpha, (size,)) for alpha, size in zip(alphas, sizes, strict=True)]
    return UnitsPlan(np.concatenate(each), learns)


@dataclass(frozen=True)
class Part:
    """Units with a time constant: where it is written, by what, and for how many units there."""

    where: Location
    words: CTRNN | Area
    size: int
    span: slice  # the part's units among these
    area: str = ""  # for which the layer says it


def _parts(layer: CTRNN, total: int) -> Iterator[Part]:
    """What has a time constant: the layer, or each area that says one, else the layer for it."""
    areas = layer.areas or {}
    own = {name for name, area in areas.items() if area.tau is not None or area.alpha is not None}
    if not own:
        yield Part((), layer, total, slice(0, total))
        return
    start = 0
    for name, area in areas.items():
        if name in own:
            yield Part(("areas", name), area, area.size, slice(0, area.size))
        else:
            yield Part((), layer, total, slice(start, start + area.size), name)
        start += area.size


def _alpha(context: Context, i: int, units: Part) -> tuple[Matrix, bool] | None:
    """The alpha of one part, (), or (unit,), and whether it learns."""
    here: Location = ("layers", i, *units.where)
    part = units.words
    if part.tau is not None and part.alpha is not None:
        what = "`tau` and `alpha` say the same: alpha = dt / tau"
        context.problem("NB308", (*here, "alpha"), what, "take one away", key=True)
        return None
    key = "tau" if part.tau is not None else "alpha"
    source = part.tau if part.tau is not None else part.alpha
    if source is None:
        _no_time_constant(context, here, units)
        return None
    dt = context.parsed.dt
    if key == "tau" and dt is None:
        if not context.given(("dt",)):  # else it has a problem of its own
            hint = "write `dt: 20`, in ms, at the top of the spec"
            context.problem("NB102", (*here, "tau"), "a time constant needs the spec's `dt`", hint)
        return None
    values = _read(context, (*here, key), source, "time constant", units.size)
    if values is None:
        return None
    if wrong := _not_a_leak(key, float(values.min()), float(values.max()), dt):
        context.problem("NB104", (*here, key), *wrong)
        return None
    alpha = dt / values.astype(np.float64) if key == "tau" and dt is not None else values
    if wrong := _too_slow(key, float(alpha.min()), source.learn):
        context.problem("NB104", (*here, key), *wrong)
        return None
    return (alpha[units.span] if alpha.ndim else alpha).astype(np.float64), source.learn


def _no_time_constant(context: Context, here: Location, units: Part) -> None:
    hint = "write `tau: 100`, with the spec's `dt`, or `alpha: 0.2`"
    if not units.area:
        context.problem("NB102", here, "one of the keys `tau`, `alpha` is missing", hint)
        return
    what = "this area has no time constant, and its layer has none for it"
    hint = f"{hint}, here or for the layer"
    context.problem("NB102", (*here, "areas", units.area), what, hint, key=True)


def _not_a_leak(key: str, least: float, most: float, dt: float | None) -> tuple[str, str] | None:
    """What is wrong with time constants, or alphas, between these."""
    hint = "alpha = dt / tau lies in (0, 1]"
    if least <= 0:
        return f"must be more than 0, found {least:g}", hint if key == "alpha" else "it is in ms"
    if key == "alpha" and most > 1:
        return f"must be at most 1, found {most:g}", f"{hint}; a time constant in ms is `tau`"
    if key == "tau" and dt is not None and least < dt:
        if least == most and 1000 * least >= dt:
            hint = f"it is in ms; for {least:g} s write `tau: {1000 * least:g}`"
        return f"a time constant of {least:g} ms is below dt, {dt:g} ms", hint
    return None


def _too_slow(key: str, least: float, learns: bool) -> tuple[str, str] | None:
    """What is wrong with units that hardly change, of which this is the smallest alpha."""
    bound = SMALLEST_LEARNT if learns else 1 / LARGEST
    if least >= bound:
        return None
    what = f"alpha = dt / tau is {least:g}, and {'one that learns ' if learns else ''}must be"
    hint = ("a smaller `tau`" if key == "tau" else "a larger `alpha`") + (
        ", or `learn: false`" if learns else ""
    )
    return f"{what} at least {bound:g}", hint


def _read(context: Context, location: Location, source: Any, what: str, size: int) -> Matrix | None:
    """A value (), or one a unit (unit,)."""
    if isinstance(source, Same):
        return np.array(source.value) if fits(context, location, source.value) else None
    assert isinstance(source, (PerUnit, PerUnitFile))
    return context.attempt(
        location, lambda: vector_of(context, location, source, what, "size", size)
    )


def _check_input_noise(
    context: Context, i: int, layer: CTRNN, alphas: list[Matrix], learns: bool
) -> None:
    """An input reaches units of every alpha, so its noise is scaled by one that does not change."""
    noise = layer.input_noise
    if noise is None or noise.scaling != "euler_maruyama" or not noise.sigma:
        return
    if learns or len(alphas) > 1 or alphas[0].ndim:
        what = "noise of the input is scaled by one alpha that does not learn"
        hint = "write `scaling: none`: each input then has noise of this sigma"
        context.problem("NB308", ("layers", i, "input_noise"), what, hint)


def _check_start(context: Context, i: int, layer: CTRNN, plan: MapPlan) -> None:
    """Warn where drawn weights under signs make rates that nothing bounds grow from the start.

    The mean of the weights gives the matrix one eigenvalue, about density x (excitatory -
    inhibitory units) x mean magnitude (Rajan & Abbott 2006).
    """
    words = layer.recurrent
    balanced = words.ei_balance != "none" or words.spectral_radius is not None
    if balanced or words.projections is not None or words.dale == "none":
        return
    if words.dale_init != "abs" or layer.activation.type in BOUNDED or plan.signs is None:
        return
    magnitude = _mean_magnitude(words.weight, plan.input_dim)
    density = 1.0 if plan.connected is None else float(plan.connected.mean())
    density = density if plan.wiring is None else plan.wiring.density
    radius = density * float(plan.signs.sum()) * magnitude if plan.signs.ndim == 1 else 0.0
    if radius > LARGEST_START:
        what = "at the start excitation outweighs inhibition: a spectral radius of about"
        hint = "write `ei_balance: row` or `spectral_radius: 1`, or the rates may explode"
        context.problem("NB603", ("layers", i, "recurrent"), f"{what} {radius:.2g}", hint, key=True)


def _mean_magnitude(source: weights.Weight, inputs: int) -> float:
    """E|w| of an init, where it is simple; else 0."""
    if isinstance(source, weights.Uniform) and source.low is None:
        return 0.5 / math.sqrt(inputs)
    if isinstance(source, weights.Normal) and source.mean == 0:
        std = 1 / math.sqrt(inputs) if source.std is None else source.std
        return std * math.sqrt(2 / math.pi)
    return 0.0


def check_sequences(context: Context, task: object) -> None:
    """A recurrent layer needs a task that has time."""
    shape = getattr(task, "shape", None)
    if shape is None or len(shape) == 3:
        return
    for i, layer in enumerate(context.parsed.layers):
        if isinstance(layer, CTRNN):
            what = f"a recurrent layer reads sequences, and the task's inputs are {shape}"
            hint = "the inputs of such a task are (trial, time, input)"
            context.problem("NB301", ("layers", i), what, hint)
