"""BaseRegularization: a term of the loss, with its weight and the parameters that it reads.

The total loss is the task's plus sum_k Lambda Lambda_k R_k. A `BaseRegularization` is one R_k with
its Lambda_k; a `RegularizationList` holds them by name, with a Lambda for all.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeAlias

import torch
from torch import Tensor, nn

from netbuild.regularization.arguments import (
    DRAW_OPTIONS,
    NEEDED,
    arguments,
    checked,
    refuse_unknown,
)
from netbuild.regularization.references import given_references, reference_signs
from netbuild.regularization.targets import GivenTensors, NamedParameters, Params, Places

LAMBDA = 1.0  # the weight of a term that is given none
Optimizer: TypeAlias = torch.optim.Optimizer | None


class BaseRegularization(nn.Module):
    """A penalty on some parameters: `regularization()` is `Lambda * regularization.forward()`.

    A subclass lists the arguments of its constructor in `takes`; each becomes an attribute. It
    defines `term`, the penalty of one parameter, or overrides `forward`, which sums over
    `learnable()`. Parameters that are frozen (`requires_grad=False`) are left out of the sum;
    with none left it is a zero that can be backpropagated. Hooks of `nn.Module` see the raw term.

    A subclass that takes `reference_weights` has one reference per parameter, of its shape: the
    buffers reference_0 and so on, which move with `.to()`, are saved by `state_dict()`, and are
    never the caller's memory. One that takes `draw_options` too keeps only the signs of these
    references (0 is no reference sign), and draws them where none are given.

    Args:
        params: an iterable of tensors, a dict of them by name, or `NamedParameters`. They are
            never registered: neither `parameters()` nor `state_dict()` lists them.
        Lambda: the weight of the term in the loss, >= 0.
        optimizer: steps on this term alone in `on_optimization_end`; needed only there.
        reference_weights: one per parameter, of its shape, or a dict by the parameters' names.
        draw_options: `inh_ratio`, `rho`, `inh_first`, `seed` of `draw_dale_reference`, for drawn
            references only.

    Raises:
        TypeError: an argument that is missing or unknown; params are not floating-point tensors;
            Lambda is not a number; references and options for drawing them together.
        ValueError: Lambda is negative or not finite; an unknown option for drawing; a ratio, the
            number of references or a shape is out of bounds.
    """

    takes: ClassVar[inspect.Signature] = arguments(params=NEEDED, Lambda=LAMBDA, optimizer=None)
    __signature__: ClassVar[inspect.Signature | None] = takes  # what `help` shows
    # True: forward takes the network's activity, and the steps of its trials (None: all count).
    needs_activity: ClassVar[bool] = False
    Lambda: float
    optimizer: Optimizer = None
    _zero: Tensor

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        has_own = cls.__init__ is not BaseRegularization.__init__
        cls.__signature__ = None if has_own else cls.takes

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__()
        try:
            bound = self.takes.bind(*values, **named)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from None
        bound.apply_defaults()
        given = bound.arguments
        params, references = given.pop("params", ()), given.pop("reference_weights", None)
        draw_options = given.pop("draw_options", None)
        self.targets = params if isinstance(params, NamedParameters) else GivenTensors(params)
        for name, value in given.items():
            setattr(self, name, checked(name, value))
        self.prepare()
        if "reference_weights" in self.takes.parameters:
            self._hold(references, draw_options)
        like = next(iter(self.get_params()), torch.empty(()))
        # A buffer, so that the zero of a sum over no parameter follows `.to()` as weights do.
        self.register_buffer("_zero", like.new_zeros(()), persistent=False)

    def prepare(self) -> None:
        """Complete the arguments of a subclass, or refuse what `arguments.checked` lets pass."""

    def _hold(self, references: Any, draw_options: Mapping[str, Any] | None) -> None:
        if draw_options is None:
            found = given_references(self.targets, references)
        else:
            owner = type(self).__name__
            found = reference_signs(self.targets, references, draw_options, owner)
        for index, reference in enumerate(found):
            self.register_buffer(f"reference_{index}", reference)

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any], params: Params | None = None) -> Self:
        """The regularization that `{"type": "DaleLawL2", "alpha": 0.8, ...}` describes.

        Args:
            struct: the constructor's arguments; `type`, which may be left out, is the class's
                name.
            params: used when the struct has none.

        Raises:
            ValueError: a wrong type, an unknown argument (with the nearest known one), no params.
        """
        given, known = dict(struct), cls.options()
        if given.pop("type", cls.__name__) != cls.__name__:
            raise ValueError(f"{cls.__name__}.from_dict was given the type {struct['type']!r}")
        refuse_unknown(given, known, cls.__name__)
        if "params" in known:
            if given.get("params") is None:
                given["params"] = params
            if given["params"] is None:
                raise ValueError(f"{cls.__name__} needs params, in the dict or beside it")
        return cls(**given)

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """The names of all arguments of the constructor, and so of `from_dict`."""
        names = list(inspect.signature(cls).parameters)
        if "draw_options" in names:
            names[-1:] = DRAW_OPTIONS
        return tuple(names)

    @classmethod
    def default_name(cls) -> str:
        """The class's name in snake case: `DaleLawL2` is `dale_law_l2`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def param_names(self) -> tuple[str, ...]:
        """One name per parameter, for messages: its own, its key in the dict, or `params[0]`."""
        return self.targets.names

    def get_params(self) -> list[Tensor]:
        """All parameters as the term reads them, in the order given, frozen ones among them."""
        return self.targets.read()

    def learnable(self) -> list[tuple[int, Tensor]]:
        """The position and the value of each parameter that is not frozen."""
        return self.targets.learnable()

    def entries(self, index: int) -> int:
        """How many entries parameter number `index` has, absent connections included."""
        return self.targets.entries(index)

    def places(self, index: int) -> Places | None:
        """Where its entries stand in its matrix, if sparse storage keeps only some of them."""
        return self.targets.places(index)

    def reference(self, index: int) -> Tensor:
        """The reference of parameter number `index`, of the parameter's shape."""
        return self._buffers[f"reference_{index}"]  # type: ignore[return-value]

    @property
    def reference_weights(self) -> list[Tensor]:
        """All references, in the parameters' order."""
        return [self.reference(index) for index in range(len(self.param_names))]

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The penalty of parameter number `index`, whose value is `weight`; a 0-d tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define term or forward")

    def forward(self) -> Tensor:
        """The raw term, without Lambda: the sum over all parameters that learn; 0-d."""
        found = [self.term(index, weight) for index, weight in self.learnable()]
        return sum(found[1:], found[0]) if found else self.zero()

    def raw(self, *args: Any) -> Tensor:
        """The raw term as `forward` gives it, with the hooks of `nn.Module` run."""
        result: Tensor = super().__call__(*args)
        return result

    def __call__(self, *args: Any) -> Tensor:
        """`Lambda` times the raw term: a 0-d tensor that can be backpropagated."""
        return self.Lambda * self.raw(*args)

    def zero(self) -> Tensor:
        """A 0-d zero that can be backpropagated."""
        return torch.zeros_like(self._zero, requires_grad=True)

    def on_optimization_end(self, trainer: object) -> None:
        """Take one step of the term's own optimizer on it; without an optimizer, do nothing."""
        step_on(self, self.optimizer)

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """What a progress bar may show: the weighted term, by the regularization's name."""
        with torch.no_grad():
            return {self.default_name(): self().item()}

    def extra_repr(self) -> str:
        """The constructor's arguments that are numbers or text, and the number of parameters."""
        values = {name: getattr(self, name, None) for name in self.options()}
        shown = [
            f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
            for name, value in values.items()
            if isinstance(value, (bool, float, str, tuple))
        ]
        return ", ".join([*shown, f"params={len(self.param_names)}"])


def step_on(loss: nn.Module, optimizer: Optimizer) -> None:
    """One step of `optimizer` on `loss()`, which leaves no gradient behind."""
    if optimizer is None:
        return
    optimizer.zero_grad()
    # Only into the parameters of this optimizer: other gradients belong to the task's own step.
    own = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if own:
        loss().backward(inputs=own)
        optimizer.step()
        optimizer.zero_grad()
