"""The continuous-time recurrent layer: its units, their time constants, noise and areas."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from netbuild.language import weights
from netbuild.language.base import Model, NonNegative, OneOf, Size, key
from netbuild.language.context import Here
from netbuild.language.layer import RELU, Activation, Excitatory, LayerOfUnits
from netbuild.language.maps import InputMap, RecurrentMap, check_wired, vector_of
from netbuild.language.plan import LayerPlan, MapPlan, Matrix, Shapes, Site
from netbuild.language.projections import check_projected
from netbuild.language.shorthand import NUMBERS, Shorthand, number, per_unit
from netbuild.language.spectrum import check_radius
from netbuild.language.units import Units, units_of_areas
from netbuild.language.values import LARGEST
from netbuild.language.weights import Array, FileName
from netbuild.wording import show

AREA = r"^[A-Za-z][A-Za-z0-9_]*$"  # the name of an area
SMALLEST_LEARNT = 1e-4  # alpha, below which training clamps none
BOUNDED = ("tanh", "sigmoid", "retanh")  # activations whose rates cannot grow for ever
LARGEST_START = 1.5  # spectral radius from which a warning is due; 1 is the edge for relu

LearnToo = Annotated[bool, key(..., "whether training changes these values", True)]


class Same(Model):
    """The same value for every unit."""

    value: float = key(..., "the value", 100)
    learn: LearnToo = False


class PerUnit(Model):
    """A value for each unit, written into the spec."""

    values: list[float] = key(..., "one value a unit", [20, 100], min_length=1)
    learn: LearnToo = False


class PerUnitFile(Model):
    """A value for each unit, from a file."""

    file: FileName
    array: Array = None
    learn: LearnToo = False


class ZeroState(Model):
    """v = 0 and r = 0 before the first step."""

    init: Literal["zero"]


_NUMBER = {"type": "number", "description": "the same for every unit"}
_NUMBERS = NUMBERS | {"description": "one value a unit"}
_FILE = {"type": "string", "pattern": "[./]", "description": "a file with one value a unit"}

UnitValues = Annotated[
    Same | PerUnit | PerUnitFile,
    OneOf("init"),
    Shorthand(per_unit, _NUMBER, _NUMBERS, _FILE),
]
InitialState = Annotated[
    ZeroState | Same | PerUnit | PerUnitFile,
    OneOf("init"),
    Shorthand(per_unit, {"enum": ["zero"]}, _NUMBER, _NUMBERS, _FILE),
]
Alpha = Annotated[
    UnitValues | None,
    key(..., "the leak of one step, dt / tau, in (0, 1]", 0.2),
]


class Noise(Model):
    """Gaussian noise, new at each step of each trial in training; none in evaluation."""

    sigma: NonNegative = key(..., "its strength", 0.15, also="std strength")
    scaling: Literal["euler_maruyama", "nn4n", "none"] = key(
        "euler_maruyama",
        "what is added to alpha (W_rec r + W_in u): sqrt(2 alpha) sigma N(0, 1)"
        " (`euler_maruyama`: the stationary spread does not depend on dt), alpha sigma N(0, 1)"
        " (`nn4n`), or sigma N(0, 1) (`none`)",
        "euler_maruyama",
    )


class RateNoise(Model):
    """Gaussian noise on the rates, sigma N(0, 1), in training; none in evaluation."""

    sigma: NonNegative = key(..., "its standard deviation", 0.05)


class Area(Model):
    """One area of a layer: units that stand together."""

    size: Size = key(..., "units of this area", 60)
    excitatory: Excitatory = None
    tau: UnitValues | None = key(
        None,
        "time constant, in ms; the layer's when left out. All areas learn theirs, or none does",
        20,
    )
    alpha: Alpha = None


class CTRNN(LayerOfUnits):
    """Leaky rate units in continuous time, by Euler's method, with the leak alpha = dt / tau."""

    needs_time: ClassVar[bool] = True
    values_per_unit: ClassVar[int] = 2  # alpha and the initial state
    wired: ClassVar[str] = "recurrent"

    checked: ClassVar[set[str]] = LayerOfUnits.model_fields.keys() | {
        *("type", "size", "areas", "tau", "alpha", "initial_state", "rate_noise"),
        *("input", "recurrent"),
    }

    type: Literal["ctrnn"]
    size: Size | None = key(
        None,
        "units of this layer; `areas` or a `connectome` say it where there are some",
        50,
        also="dim hidden_dim hidden_size n_units neurons num_neurons num_units output_dim units",
    )
    areas: dict[str, Area] | None = key(
        None,
        "the areas of which the layer consists, by name, in order",
        {"V1": {"size": 60, "excitatory": 0.8}, "PFC": {"size": 40}},
        min_length=1,
        max_length=1000,
        json_schema_extra={"propertyNames": {"pattern": AREA, "maxLength": 64}},
    )
    formulation: Literal["current", "rate", "update"] = key(
        "current",
        "the equation of a step, where x[t] = W_rec r[t-1] + b_rec + W_in u[t] + b_in."
        " `current`: v[t] = (1 - alpha) v[t-1] + alpha x[t], r[t] = f(v[t]). `rate`:"
        " r[t] = (1 - alpha) r[t-1] + alpha f(x[t]). `update`:"
        " r[t] = f((1 - alpha) r[t-1] + alpha x[t])",
        "current",
    )
    activation: Activation = key(RELU, "f", "tanh", also="nonlinearity")
    tau: UnitValues | None = key(None, "time constant, in ms; alpha = dt / tau, in (0, 1]", 100)
    alpha: Alpha = None
    initial_state: InitialState = key(
        ZeroState.model_construct(init="zero"),
        "before the first step: v = r = 0 (`zero`), or values of v, where r = f(v);"
        " in the formulations `rate` and `update` values of r",
        "zero",
        also="h0 hidden_init init_state x0",
    )
    noise: Annotated[Noise | None, Shorthand(number("sigma"), {"type": "number"})] = key(
        None,
        "noise on the pre-activation",
        0.15,
        also="noise_std preact_noise recurrent_noise sigma_rec",
    )
    rate_noise: Annotated[RateNoise | None, Shorthand(number("sigma"), {"type": "number"})] = key(
        None, "noise on the rates, which are read and fed back with it", 0.05, also="postact_noise"
    )
    input_noise: Annotated[Noise | None, Shorthand(number("sigma"), {"type": "number"})] = key(
        None,
        "noise on what the layer reads, scaled as `noise` would be: sqrt(2 / alpha)"
        " sigma N(0, 1) (`euler_maruyama`), or sigma N(0, 1)",
        0.01,
        also="sigma_in",
    )
    input: InputMap = key(
        InputMap.model_construct(), "the map from what the layer reads", {"weight": "normal"}
    )
    recurrent: RecurrentMap = key(
        RecurrentMap.model_construct(),
        "the map from the layer to itself",
        {"weight": "normal", "self_connections": False},
    )
    kernel: Literal["auto", "compiled", "fused", "reference"] = key(
        "auto",
        "how the recurrence is computed: `compiled`, loops in machine code, for dense weights on"
        " the CPU; `fused`, torch's operations with gradients by hand; `reference`, a plain loop,"
        " slower by much; or `auto`: `compiled` for up to 1,024 units where it runs, else `fused`",
        "fused",
    )

    def own_units(self, here: Here) -> Units | None:
        """The units of its areas, or as many as `size` says."""
        if self.areas is None:
            if self.size is None:
                hint = "how many units it has; for example `size: 50`, or `areas`"
                here.problem("NB102", "the key `size` is missing", hint)
                return None
            return units_of_areas(self.name, [("", self.size, self.excitatory)])
        for name in self.areas:
            if not re.fullmatch(AREA, name) or len(name) > 64:
                what = f"`{show(name)}` does not fit here"
                hint = "the name of an area: letters, digits and `_`, beginning with a letter"
                here["areas"][name].problem("NB106", what, hint, key=True)
                return None
        total = sum(area.size for area in self.areas.values())
        if self.size not in (None, total):
            what = f"size is {self.size}, but the areas have {total} units together"
            here["size"].problem("NB301", what, "leave `size` out")
        return units_of_areas(
            self.name,
            (
                (name, area.size, self.excitatory if area.excitatory is None else area.excitatory)
                for name, area in self.areas.items()
            ),
        )

    def sites(self, here: Here, plan: LayerPlan) -> dict[str, Site]:
        """The map from what it reads, and the map to itself."""
        both = (("input", plan.reads), ("recurrent", plan.gives))
        return {
            key: Site(here[key], f"{self.name}.{key}", getattr(self, key), reads, plan.gives)
            for key, reads in both
        }

    def check(self, here: Here, plan: LayerPlan) -> LayerPlan | None:
        """The plan with its maps and its units' values."""
        here["activation"].numbers_fit(self.activation)
        for name in ("noise", "rate_noise", "input_noise"):
            if (noise := getattr(self, name)) is not None:
                here[name].numbers_fit(noise)
        sites = self.sites(here, plan)
        own, wired = sites["recurrent"], self.wiring(here)
        recurrent = check_wired(own, wired) if wired else check_projected(own)
        maps = {"input": check_projected(sites["input"]), "recurrent": check_radius(recurrent)}
        check_growth(self, maps["recurrent"])
        units, learnt = check_units(here, self, plan.gives.size)
        arguments = self.model_dump(exclude=self.checked) | units
        arguments |= {
            "input_dim": plan.reads.size,
            "size": plan.gives.size,
            "rate_noise": self.rate_noise.sigma if self.rate_noise else None,
            "seed": here.context.parsed.seed,
            "name": self.name,
        }
        return replace(plan, maps=maps, arguments=arguments, own=learnt)


def check_units(here: Here, layer: CTRNN, size: int) -> tuple[dict[str, Any], Shapes]:
    """The arguments of the units' alpha and initial state, and the shape of each that learns."""
    arguments: dict[str, Any] = {}
    learnt: Shapes = {}
    if (found := _alphas(here, layer, size)) is not None:
        alpha, learns, groups = found
        arguments |= {"alpha": {"value": alpha, "learn": learns}, "groups": groups}
        learnt |= {"alpha": alpha.shape} if learns else {}
    start = layer.initial_state
    if not isinstance(start, ZeroState):
        values = _read(here["initial_state"], start, "initial state", size)
        arguments |= {"initial_state": {"value": values, "learn": start.learn}}
        learnt |= {"initial_state": (size,)} if start.learn else {}
    return arguments, learnt


# The time constants


def _alphas(here: Here, layer: CTRNN, size: int) -> tuple[Matrix, bool, Matrix | None] | None:
    """Alpha, which is (), (group,) or (unit,), whether it learns, and the group of each unit.

    There are groups where areas have one alpha each. The layer's own time constant is that of the
    areas without one.
    """
    areas = layer.areas or {}
    if any(map(_has_alpha, areas.values())):
        found, stop = [], 0
        for name, area in areas.items():
            start, stop = stop, stop + area.size
            place = here["areas"][name]
            if _has_alpha(area):
                found.append(_alpha(place, area, area.size))
            else:
                found.append(_alpha(here, layer, size, place, slice(start, stop)))
    else:
        found = [_alpha(here, layer, size)]
    known = [alpha for alpha in found if alpha is not None]
    if len(known) < len(found):
        return None
    alphas, learns = [alpha for alpha, _ in known], known[0][1]
    if any(learn != learns for _, learn in known):
        what = "the time constants of some areas learn, and those of others do not"
        here["areas"].problem(
            "NB308", what, "either all areas learn theirs, or none does", key=True
        )
        return None
    _check_input_noise(here, layer, alphas, learns)
    if len(alphas) == 1:
        return alphas[0], learns, None
    sizes = [area.size for area in areas.values()]
    if all(alpha.ndim == 0 for alpha in alphas):
        return np.array(alphas), learns, np.repeat(np.arange(len(sizes)), sizes)
    each = [np.broadcast_to(alpha, (n,)) for alpha, n in zip(alphas, sizes, strict=True)]
    return np.concatenate(each), learns, None


def _has_alpha(words: Area) -> bool:
    """Whether an area has a time constant."""
    return words.tau is not None or words.alpha is not None


def _alpha(
    here: Here,
    words: CTRNN | Area,
    size: int,
    area: Here | None = None,
    units: slice = slice(None),
) -> tuple[Matrix, bool] | None:
    """The alpha that a section gives its `size` units, () or (unit,), and whether it learns.

    A layer may give it for the `units` of an `area` that has none.
    """
    if words.tau is not None and words.alpha is not None:
        what = "`tau` and `alpha` say the same: alpha = dt / tau"
        here["alpha"].problem("NB308", what, "remove one of them", key=True)
        return None
    key = "tau" if words.tau is not None else "alpha"
    source = words.tau if words.tau is not None else words.alpha
    dt = here.context.parsed.dt
    if source is None:
        hint = "write `tau: 100`, with the spec's `dt`, or `alpha: 0.2`"
        if area is None:
            here.problem("NB102", "one of the keys `tau`, `alpha` is missing", hint)
        else:
            what = "this area has no time constant, and its layer has none for it"
            area.problem("NB102", what, f"{hint}, here or for the layer", key=True)
        return None
    if key == "tau" and dt is None:
        if not here.context.at("dt").given:  # else the problem of `dt` is reported
            hint = "write `dt: 20`, in ms, at the top of the spec"
            here["tau"].problem("NB102", "a time constant needs the spec's `dt`", hint)
        return None
    values = _read(here[key], source, "time constant", size)
    if values is None:
        return None
    if wrong := _out_of_range(key, float(values.min()), float(values.max()), dt, source.learn):
        here[key].problem("NB104", *wrong)
        return None
    alpha = dt / values.astype(np.float64) if key == "tau" and dt is not None else values
    return (alpha[units] if alpha.ndim else alpha).astype(np.float64), source.learn


def _out_of_range(
    key: str, least: float, most: float, dt: float | None, learns: bool
) -> tuple[str, str] | None:
    """What is wrong with time constants, or alphas, between these, and a hint."""
    hint = "alpha = dt / tau lies in (0, 1]"
    if least <= 0:
        return f"must be more than 0, found {least:g}", hint if key == "alpha" else "it is in ms"
    if key == "alpha" and most > 1:
        return f"must be at most 1, found {most:g}", f"{hint}; a time constant in ms is `tau`"
    if key == "alpha" or dt is None:
        slowest, other = least, "a larger `alpha`"
    elif least >= dt:
        slowest, other = dt / most, "a smaller `tau`"
    else:
        if least == most and 1000 * least >= dt:
            hint = f"it is in ms; for {least:g} s write `tau: {1000 * least:g}`"
        return f"a time constant of {least:g} ms is below dt, {dt:g} ms", hint
    bound = SMALLEST_LEARNT if learns else 1 / LARGEST
    if slowest >= bound:
        return None
    what = f"alpha = dt / tau is {slowest:g}, and {'one that learns ' if learns else ''}must be"
    return f"{what} at least {bound:g}", other + (", or `learn: false`" if learns else "")


def _read(here: Here, source: Any, what: str, size: int) -> Matrix | None:
    """A value (), or one for each unit (unit,)."""
    if isinstance(source, Same):
        return np.array(source.value) if here.fits(source.value) else None
    return here.attempt(lambda: vector_of(here, source, what, "size", size))


def _check_input_noise(here: Here, layer: CTRNN, alphas: list[Matrix], learns: bool) -> None:
    """An input reaches units of every alpha, so one alpha that does not learn scales its noise."""
    noise = layer.input_noise
    if noise is None or noise.scaling != "euler_maruyama" or not noise.sigma:
        return
    if learns or len(alphas) > 1 or alphas[0].ndim:
        what = "this noise is scaled by one alpha for all units, which must not learn"
        hint = "write `scaling: none`: each input then has noise of this sigma"
        here["input_noise"].problem("NB308", what, hint)


def check_growth(layer: CTRNN, plan: MapPlan) -> None:
    """Warn where drawn weights under signs make rates that nothing bounds grow from the start.

    The mean of the weights gives the matrix one eigenvalue, about density x (excitatory -
    inhibitory units) x mean magnitude (Rajan & Abbott 2006).
    """
    words = layer.recurrent
    balanced = words.ei_balance != "none" or words.spectral_radius is not None
    if balanced or words.projections is not None or words.dale == "none":
        return
    if words.dale_init != "abs" or layer.activation.type in BOUNDED:
        return
    if plan.signs is None or plan.signs.ndim > 1:
        return
    magnitude = weights.mean_magnitude(words.weight, plan.input_dim)
    radius = plan.connections.density * float(plan.signs.sum()) * magnitude
    if radius > LARGEST_START:
        what = (
            f"at the start excitation outweighs inhibition: a spectral radius of about {radius:.2g}"
        )
        hint = "write `ei_balance: row` or `spectral_radius: 1`, or the rates may explode"
        plan.here.problem("NB603", what, hint, key=True)
