"""BaseRegularization: a term of the loss that depends on parameters alone.

The total loss is task + sum_k Lambda_k R_k; a regularization is one R_k with its Lambda_k.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from netbuild.regularization.arguments import bounded, refuse_unknown
from netbuild.regularization.parameters import GivenTensors, NamedParameters, Params, Places


class BaseRegularization(nn.Module):
    """A penalty on some parameters: `regularization()` is `Lambda * regularization.forward()`.

    A subclass defines `term`, the penalty of one parameter, or overrides `forward` whole.
    Parameters that are frozen (`requires_grad=False`) are left out of the sum; with none left
    it is a zero that can be backpropagated. Hooks of `nn.Module` see the raw term.

    Args:
        params: an iterable of tensors, a dict of them by name, or `NamedParameters`. They are
            never registered: neither `parameters()` nor `state_dict()` lists them.
        Lambda: the weight of the term in the loss, >= 0.
        optimizer: steps on this term alone in `on_optimization_end`; needed only there.

    Raises:
        TypeError: params are not floating-point tensors, or Lambda is not a number.
        ValueError: Lambda is negative or not finite.
    """

    _zero: Tensor
    # True: forward takes the network's activity, and the steps of its trials (None: all count).
    needs_activity: ClassVar[bool] = False
    more_words: ClassVar[tuple[str, ...]] = ()  # what the constructor takes as **keywords

    def __init__(
        self, params: Params, Lambda: float = 1.0, optimizer: torch.optim.Optimizer | None = None
    ) -> None:
        super().__init__()
        self._source = params if isinstance(params, NamedParameters) else GivenTensors(params)
        self.Lambda = bounded("Lambda", Lambda, 0.0, math.inf)
        self.optimizer = optimizer
        like = next(iter(self.get_params()), torch.empty(()))
        # What a sum over no parameter at all is made like; it follows .to() as weights do.
        self.register_buffer("_zero", like.new_zeros(()), persistent=False)

    @classmethod
    def from_dict(cls, struct: Mapping[str, Any], params: Params | None = None) -> Self:
        """The regularization that `{"type": "DaleLawL2", "alpha": 0.8, ...}` describes.

        Args:
            struct: the constructor's own words; `type`, which may be left out, is the class's
                name.
            params: used when the struct has none.

        Raises:
            ValueError: a wrong type, an unknown word (the nearest right one is named), no params.
        """
        words = dict(struct)
        if words.pop("type", cls.__name__) != cls.__name__:
            raise ValueError(f"{cls.__name__}.from_dict was given the type {struct['type']!r}")
        refuse_unknown(words, cls.words(), cls.__name__)
        takes_params = "params" in cls.words()
        if takes_params and words.get("params") is None:
            words["params"] = params
        if takes_params and words["params"] is None:
            raise ValueError(f"{cls.__name__} needs params, in the dict or beside it")
        return cls(**words)

    @classmethod
    def words(cls) -> tuple[str, ...]:
        """The words that the constructor, and with it `from_dict`, understands."""
        named = inspect.signature(cls).parameters.values()
        return tuple(p.name for p in named if p.kind is not p.VAR_KEYWORD) + cls.more_words

    @classmethod
    def default_name(cls) -> str:
        """The class's name in snake case: `DaleLawL2` is `dale_law_l2`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    @property
    def param_names(self) -> tuple[str, ...]:
        """One name per parameter, for messages: its own, its key in the dict, or `params[0]`."""
        return self._source.names

    def get_params(self) -> list[Tensor]:
        """All parameters as the term reads them, in the order given, frozen ones among them."""
        return self._source.read()

    def learnable(self) -> list[tuple[int, Tensor]]:
        """The position and the value of each parameter that is not frozen."""
        return self._source.learnable()

    def entries(self, index: int) -> int:
        """How many entries parameter number `index` has, those included that sparse storage leaves
        out."""
        return self._source.entries(index)

    def places(self, index: int) -> Places | None:
        """Where its entries stand in its matrix, if sparse storage keeps only some of them."""
        return self._source.places(index)

    def term(self, index: int, weight: Tensor) -> Tensor:
        """The penalty of parameter number `index`, whose value is `weight`; a 0-d tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define term or forward")

    def forward(self) -> Tensor:
        """The raw term, without Lambda: the sum over all parameters that are learnt; 0-d."""
        terms = [self.term(index, weight) for index, weight in self.learnable()]
        return sum(terms[1:], terms[0]) if terms else self.zero()

    def raw(self, *args: Any) -> Tensor:
        """The raw term as `forward` gives it, with the hooks of `nn.Module` run."""
        result: Tensor = super().__call__(*args)
        return result

    def __call__(self, *args: Any) -> Tensor:
        """`Lambda` times the raw term: a 0-d tensor that can be backpropagated."""
        return self.Lambda * self.raw(*args)

    def zero(self) -> Tensor:
        """A 0-d zero of the parameters' device and dtype that can be backpropagated."""
        like = next(iter(self.get_params()), self._zero)
        return torch.zeros((), dtype=like.dtype, device=like.device, requires_grad=True)

    def on_optimization_end(self, trainer: object) -> None:
        """Take one step of the term's own optimizer on it; without an optimizer, do nothing."""
        step_on(self, self.optimizer)

    def on_pbar_update(self, trainer: object) -> dict[str, Any]:
        """What a progress bar may show: the weighted term, by the regularization's name."""
        with torch.no_grad():
            return {self.default_name(): self().item()}

    def extra_repr(self) -> str:
        """Lambda and the number of parameters, for `print`."""
        return f"Lambda={self.Lambda:g}, params={len(self.param_names)}"


def step_on(loss: nn.Module, optimizer: torch.optim.Optimizer | None) -> None:
    """One step of `optimizer` on `loss()`, which leaves no gradient behind."""
    if optimizer is None:
        return
    optimizer.zero_grad()
    # Only into what this optimizer owns: other gradients belong to the task's own step.
    own = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
    if own:
        loss().backward(inputs=own)
        optimizer.step()
        optimizer.zero_grad()
