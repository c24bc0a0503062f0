"""Layers: what `layers:` may hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticKnownError

from netbuild.language.base import OneOf, Size, key
from netbuild.language.context import Here
from netbuild.language.ctrnn import CTRNN
from netbuild.language.layer import LINEAR, Activation, AnyLayer, LayerOfUnits
from netbuild.language.maps import Map, check_wired
from netbuild.language.plan import LayerPlan, Site
from netbuild.language.projections import check_projected
from netbuild.language.units import Units, units_of_areas


def _said_once(value: int | None, info: ValidationInfo) -> int | None:
    """The number of units is missing where no connectome says it."""
    if value is None and info.data.get("connectome", True) is None:
        raise PydanticKnownError("missing")
    return value


class Linear(LayerOfUnits, Map):
    """y = f(W x + b)."""

    model_config = ConfigDict(
        json_schema_extra={"anyOf": [{"required": [key]} for key in ("output_dim", "connectome")]}
    )

    checked: ClassVar[set[str]] = (
        Map.checked | LayerOfUnits.model_fields.keys() | {"type", "output_dim", "activation"}
    )

    type: Literal["linear"]
    output_dim: Annotated[
        Size | None,
        AfterValidator(_said_once),
        WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 10**12}),
    ] = key(
        None,
        "units of this layer",
        128,
        also="dim n_units neurons num_units out_features size units width",
        validate_default=True,
    )
    activation: Activation = key(LINEAR, "f", "relu")

    def own_units(self, here: Here) -> Units | None:
        """As many units as `output_dim` says."""
        assert self.output_dim is not None  # else a connectome says it
        return units_of_areas(self.name, [("", self.output_dim, self.excitatory)])

    def sites(self, here: Here, plan: LayerPlan) -> dict[str, Site]:
        """Its one map."""
        return {"": Site(here, self.name, self, plan.reads, plan.gives)}

    def check(self, here: Here, plan: LayerPlan) -> LayerPlan | None:
        """The plan with its map."""
        here["activation"].numbers_fit(self.activation)
        site = self.sites(here, plan)[""]
        wired = self.wiring(here)
        arguments = {"input_dim": plan.reads.size, "output_dim": plan.gives.size}
        if wired is None:
            return replace(plan, maps={"": check_projected(site)}, arguments=arguments)
        from netbuild.language.connectome import fits_connectome

        if not fits_connectome(here["connectome"], plan.reads, wired):
            return None
        return replace(plan, maps={"": check_wired(site, wired)}, arguments=arguments)


class Dropout(AnyLayer):
    """Each value is 0 with probability p in training, and the others are divided by 1 - p."""

    passes_on: ClassVar[bool] = True

    type: Literal["dropout"]
    p: float = key(..., "probability of 0", 0.1, also="dropout prob probability rate", ge=0, lt=1)

    def gives(self, here: Here, reads: Units | None) -> Units | None:
        """The units that it reads."""
        return None if reads is None else reads.passed_on(self.name)

    def check(self, here: Here, plan: LayerPlan) -> LayerPlan | None:
        """The plan with the probability, and the stream of random numbers."""
        stream = {"seed": here.context.parsed.seed, "name": self.name}
        return replace(plan, arguments={"p": self.p} | stream)


Layer = Annotated[
    Linear | CTRNN | Dropout,
    OneOf("type"),
]
