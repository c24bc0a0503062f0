"""What layers have in common: their name, what they read, their units and their activation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from netbuild.language.base import Fraction, Model, Name, OneOf, Positive, Size, key
from netbuild.language.connectome import Connectome
from netbuild.language.context import Here
from netbuild.language.plan import LayerPlan, Site
from netbuild.language.shorthand import Shorthand, text
from netbuild.language.units import Selection, Units

if TYPE_CHECKING:  # which reads files that few specs name
    from netbuild.language.connectome import Wired


class Power(Model):
    """f(v) = max(v, 0)^n."""

    type: Literal["power"]
    n: Positive = key(2.0, "the exponent", 2)


class Named(Model):
    """An activation without arguments."""

    type: Literal["linear", "relu", "tanh", "sigmoid", "softplus", "retanh"]


Activation = Annotated[
    Named | Power,
    OneOf("type"),
    Shorthand(
        text("type"), {"enum": ["linear", "relu", "tanh", "sigmoid", "softplus", "retanh", "power"]}
    ),
]

Excitatory = Annotated[
    Fraction | None,
    key(
        ...,
        "round-half-up(excitatory x units) units are excitatory, the rest"
        " inhibitory; every map that reads them obeys the signs",
        0.8,
    ),
]
LINEAR = Named.model_construct(type="linear")
RELU = Named.model_construct(type="relu")


class AnyLayer(Model):
    """What every layer has, and what every type of layer answers."""

    passes_on: ClassVar[bool] = False  # whether its units are those that it reads
    needs_time: ClassVar[bool] = False  # whether what it reads must be sequences
    values_per_unit: ClassVar[int] = 0  # that may learn, beside its maps
    wired: ClassVar[str] = ""  # the name of the map whose connections a connectome says

    name: Name
    from_: Selection | None = key(
        None,
        "the units that this layer reads: `input`; an earlier layer or one of its areas, or only"
        " the excitatory or inhibitory units of these (`V1`, `hidden.excitatory`); or units chosen"
        " by columns of a node table (`{layer: hidden, kind: motor}`). The previous layer when left"
        " out",
        "hidden.excitatory",
        also="pre source",
        alias="from",
    )

    def gives(self, here: Here, reads: Units | None) -> Units | None:
        """The units of the layer; None with a problem noted, here or where `reads` began."""
        raise NotImplementedError

    def sites(self, here: Here, plan: LayerPlan) -> dict[str, Site]:
        """Its maps by name, before their arrays are known."""
        return {}

    def check(self, here: Here, plan: LayerPlan) -> LayerPlan | None:
        """The plan with its maps; None, with a problem noted, where these cannot be told."""
        return plan


class LayerOfUnits(AnyLayer):
    """The keys of every layer that has units, with weights on its inputs."""

    foreign: ClassVar[dict[str, str]] = {
        "dropout": "dropout is a separate layer: `- {name: drop, type: dropout, p: 0.1}`"
    }

    input_dim: Size | None = key(
        None,
        "units read; known from the layer before or the task",
        64,
        also="in_features input_size inputs",
    )
    connectome: Connectome | None = key(
        None,
        "real wiring from files: it says the layer's units, their signs and which"
        " connections exist",
        {"edges": "edges.csv", "neurons": "neurons.csv"},
        also="connectivity wiring edge_list",
    )
    excitatory: Excitatory = None

    def own_units(self, here: Here) -> Units | None:
        """The units that the keys of this type of layer mean; None with a problem noted."""
        raise NotImplementedError

    def gives(self, here: Here, reads: Units | None) -> Units | None:
        """The neurons of the connectome, or the units that the layer's own keys mean."""
        if self.connectome is None:
            return self.own_units(here)
        from netbuild.language.connectome import neurons_of

        return neurons_of(here, self)

    def wiring(self, here: Here) -> Wired | None:
        """The layer's connectome, which `gives` has read."""
        found: Wired | None = here.context.connectomes.get(int(here.location[1]))
        return found
