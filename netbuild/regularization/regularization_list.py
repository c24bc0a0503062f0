"""The regularizers of a network, by name, and the weighted sum of their terms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from typing import Any, Self

import torch
from torch import Tensor, nn

from netbuild.regularization.arguments import bounded, did_you_mean
from netbuild.regularization.base import LAMBDA, BaseRegularization, Optimizer, step_on
from netbuild.regularization.regularizers import REGULARIZATIONS, Activity
from netbuild.regularization.targets import Params


class RegularizationList(nn.Module):
    """sum_k Lambda Lambda_k R_k, each R_k with a name; an empty list is a zero.

    Args:
        regularizations: an iterable of them, a dict by name, or another list. A name is a word
            without dots; one that is not given is the class's in snake case, numbered from the
            second on: `l1`, `l1_2`.
        Lambda: multiplies the whole sum, >= 0; each keeps its own Lambda_k besides.
        optimizer: steps on the whole sum in `on_optimization_end`. Without one, each
            regularization steps by its own, if it has one.
    """

    _zero: Tensor

    def __init__(
        self,
        regularizations: Iterable[BaseRegularization] | Mapping[str, BaseRegularization] = (),
        Lambda: float = LAMBDA,
        optimizer: Optimizer = None,
    ) -> None:
        super().__init__()
        self.Lambda = bounded("Lambda", Lambda, 0.0, math.inf)
        self.optimizer = optimizer
        self.regularizations = nn.ModuleDict()
        self.register_buffer("_zero", torch.zeros(()), persistent=False)
        self.extend(regularizations)

    @classmethod
    def from_dict(
        cls,
        structs: Iterable[Mapping[str, Any]],
        params: Params | None = None,
        Lambda: float = LAMBDA,
    ) -> Self:
        """The list that `[{"type": "DaleLawL2", "alpha": 0.8, "name": ...}, ...]` describes.

        Args:
            structs: each has a `type` of `REGULARIZATIONS`, may have a `name`, and the options
                of that class's constructor.
            params: used for each struct that has none.
            Lambda: of the list.

        Raises:
            ValueError: no or an unknown type, an unknown argument, no params, a name twice.
        """
        result = cls(Lambda=Lambda)
        # A generator is read once, but several structs may need its parameters.
        given = list(params) if isinstance(params, Iterator) else params
        for struct in structs:
            options = dict(struct)
            name, kind = options.pop("name", None), options.get("type")
            if kind not in REGULARIZATIONS:
                hint, known = did_you_mean(str(kind), REGULARIZATIONS), ", ".join(REGULARIZATIONS)
                raise ValueError(
                    f"no regularization has the type {kind!r}{hint} (there are: {known})"
                )
            result.append(REGULARIZATIONS[kind].from_dict(options, given), name)
        return result

    def append(self, regularization: BaseRegularization, name: str | None = None) -> None:
        """Add one at the end.

        Raises:
                TypeError: it is not a `BaseRegularization`.
            ValueError: the name is taken, or cannot be the name of a submodule.
        """
        if not isinstance(regularization, BaseRegularization):
            kind = type(regularization).__name__
            raise TypeError(f"a RegularizationList holds regularizations, not {kind}")
        if name is None:
            default = regularization.default_name()
            numbered = (f"{default}_{number}" for number in count(2))
            name = next(n for n in chain([default], numbered) if n not in self.regularizations)
        if name in self.regularizations:
            raise ValueError(f"two regularizations are called {name!r}")
        if not name.isidentifier() or hasattr(self.regularizations, name):
            raise ValueError(f"{name!r} cannot be the name of a regularization")
        self.regularizations[name] = regularization

    def extend(
        self, regularizations: Iterable[BaseRegularization] | Mapping[str, BaseRegularization]
    ) -> None:
        """Add several at the end; of a dict, or of another list, the names are kept."""
        if isinstance(regularizations, (Mapping, RegularizationList)):
            for name, regularization in regularizations.items():
                self.append(regularization, name)
        else:
            for regularization in regularizations:
                self.append(regularization)

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return list(self.regularizations)

    def items(self) -> list[tuple[str, BaseRegularization]]:
        """The names and their regularizations, in order."""
        return list(self.regularizations.items())  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.regularizations)

    def __iter__(self) -> Iterator[BaseRegularization]:
        return iter(self.regularizations.values())  # type: ignore[arg-type]

    def __getitem__(self, key: int | str) -> BaseRegularization:
        name = self.names[key] if isinstance(key, int) else key
        return self.regularizations[name]  # type: ignore[return-value]

    @property
    def needs_activity(self) -> bool:
        """Whether any of them reads the network's activity."""
        return any(item.needs_activity for item in self)

    def weight(self, name: str) -> float:
        """The factor of the raw term called `name`: Lambda of the list times its own."""
        return self.Lambda * self[name].Lambda

    def raw_terms(
        self, activity: Activity | None = None, steps: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Each R_k by name, without any Lambda.

        Args:
            activity: {layer name: (batch, time, unit) or (batch, unit)}, as a network returns
                it; goes to those regularizations that need it.
            steps: (batch,) integers: how many steps each trial has, as `Batch.steps` tells; what
                follows in the activity is padding. None: all steps count.

        Raises:
            ValueError: one needs the activity, and there is none.
        """
        found = {}
        for name, item in self.items():
            if item.needs_activity and activity is None:
                raise ValueError(f"{name} needs the activity: network.regularizers(activity)")
            # Without steps, the `forward` of a user's class may take the activity alone.
            given = (activity,) if steps is None else (activity, steps)
            found[name] = item.raw(*given) if item.needs_activity else item.raw()
        return found

    def total(self, raw_terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of what `raw_terms` returned: bit for bit what `forward` gives.

        A training loop that logs the raw terms of a step calls the two in turn.
        """
        total: Tensor | None = None
        for name, raw in raw_terms.items():
            weight = self.weight(name)
            # A product and a sum in one operation: these are scalars, and only calls cost.
            total = raw * weight if total is None else torch.add(total, raw, alpha=weight)
        return torch.zeros_like(self._zero, requires_grad=True) if total is None else total

    def forward(self, activity: Activity | None = None, steps: Tensor | None = None) -> Tensor:
        """sum_k Lambda Lambda_k R_k: a 0-d tensor that can be backpropagated; see `raw_terms`."""
        return self.total(self.raw_terms(activity, steps))

    def on_optimization_end(self, trainer: object) -> None:
        """Step by the list's optimizer on the sum, or by each regularization's own on its term."""
        if self.optimizer is not None:
            step_on(self, self.optimizer)
            return
        for regularization in self:
            regularization.on_optimization_end(trainer)

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """What a progress bar may show: each weighted term by name (those of activity left out)."""
        with torch.no_grad():
            return {
                name: (item.raw() * self.weight(name)).item()
                for name, item in self.items()
                if not item.needs_activity
            }
