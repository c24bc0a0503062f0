"""Where a regularizer finds its parameters: tensors it was given, or names in a network.

Neither registers the parameters with the regularizer: `state_dict()` would list them twice, which
safetensors refuses to save, and `.to("meta")` would make two parameters of one.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor, nn

from netbuild.regularization.arguments import did_you_mean


class Places(NamedTuple):
    """Where the entries of a parameter in sparse storage stand in its matrix."""

    rows: Tensor  # (connection,): postsynaptic units
    columns: Tensor  # (connection,): presynaptic units
    shape: tuple[int, int]  # (output_dim, input_dim)


class GivenTensors:
    """Tensors that the caller owns, in the order given; a dict gives them names."""

    def __init__(self, params: Iterable[Tensor] | Mapping[str, Tensor]) -> None:
        if isinstance(params, (Tensor, nn.Module)):
            raise TypeError(
                f"params must be a list or a dict of tensors, not one {type(params).__name__}"
            )
        if not isinstance(params, Mapping):
            params = {f"params[{index}]": param for index, param in enumerate(params)}
        self.names: tuple[str, ...] = tuple(params)
        self._tensors: tuple[Tensor, ...] = tuple(params.values())
        for name, tensor in params.items():
            _check_tensor(name, tensor)

    def read(self) -> list[Tensor]:
        """All tensors, frozen ones among them."""
        return list(self._tensors)

    def learnable(self) -> list[tuple[int, Tensor]]:
        """The position and the tensor of each one that requires a gradient."""
        return [(i, tensor) for i, tensor in enumerate(self._tensors) if tensor.requires_grad]

    def entries(self, index: int) -> int:
        """How many entries parameter number `index` has."""
        return self._tensors[index].numel()

    def places(self, index: int) -> Places | None:
        """None: a given tensor is never in sparse storage."""
        return None


class NamedParameters:
    """Parameters of a network by name, looked up at each call.

    So a regularizer reads the current parameters after `.to()` has replaced them, after a layer was
    exchanged, and in a `copy.deepcopy` of the network. The `weight` of a layer with an
    `effective_weight` property (a layer that learns magnitudes and fixes the signs) is the
    effective weight, which the forward pass uses.

    Args:
        owner: the network. It is neither registered as a submodule nor kept alive: a network that
            its own regularizers kept alive would only be freed by the garbage collector. To
            pickle a regularizer, pickle its network with it.
        names: dotted names as `owner.named_parameters()` spells them, each once.
        among: for each parameter the positions of the entries that are regularized in the
            flattened parameter (entry,), and the number of these entries, including those that
            sparse storage leaves out. None: all entries of all parameters.

    Raises:
        ValueError: a name that the owner does not have, with the nearest one, or a name twice.
    """

    def __init__(
        self,
        owner: nn.Module,
        names: Sequence[str],
        among: Sequence[tuple[Tensor, int]] | None = None,
    ) -> None:
        if isinstance(names, str):
            raise TypeError(f"names must be a list of names, not the string {names!r}")
        self.names: tuple[str, ...] = tuple(names)
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"names must be different, but are {', '.join(self.names)}")
        self._among = among
        self._placed: dict[int, Tensor] = {}  # the positions on the device of their parameter
        if among is not None and len(among) != len(self.names):
            raise ValueError(f"`among` is of {len(among)} parameters, `names` of {len(self.names)}")
        self._owner = weakref.ref(owner)
        self._paths = tuple(tuple(name.split(".")) for name in self.names)
        known = [name for name, _ in owner.named_parameters(remove_duplicate=False)]
        for name in self.names:
            if name not in known:
                owns = type(owner).__name__
                raise ValueError(f"{owns} has no parameter {name!r}{did_you_mean(name, known)}")
            _check_tensor(name, owner.get_parameter(name))

    def read(self) -> list[Tensor]:
        """All parameters (effective weights where the layer has them), frozen ones among them."""
        return [self._value(i, *found) for i, found in enumerate(self._lookup())]

    def learnable(self) -> list[tuple[int, Tensor]]:
        """The position and the (effective) tensor of each parameter that learns."""
        return [
            (i, self._value(i, module, leaf, param))
            for i, (module, leaf, param) in enumerate(self._lookup())
            if param.requires_grad or (leaf == "weight" and _scale_learns(module))
        ]

    def entries(self, index: int) -> int:
        """How many entries parameter number `index` has, absent connections included."""
        if self._among is not None:
            return self._among[index][1]
        where = self.places(index)
        return self._lookup()[index][2].numel() if where is None else math.prod(where.shape)

    def places(self, index: int) -> Places | None:
        """Where the entries of parameter number `index` stand, if it is in sparse storage."""
        module, leaf, _ = self._lookup()[index]
        if self._among is not None or not _is_sparse(module, leaf):
            return None
        shape = int(module.output_dim), int(module.input_dim)  # type: ignore[arg-type]
        return Places(module.targets, module.sources, shape)  # type: ignore[arg-type]

    def _value(self, index: int, module: nn.Module, leaf: str, param: nn.Parameter) -> Tensor:
        whole: Tensor = param
        # Asked of the class: a failing getattr on a Module itself costs a microsecond.
        if leaf == "weight" and hasattr(type(module), "effective_weight"):
            whole = module.effective_weight  # type: ignore[assignment]
        if self._among is None:
            return whole
        positions = self._placed.get(index)
        if positions is None or positions.device != whole.device:  # moved once, not in every step
            positions = self._placed[index] = self._among[index][0].to(whole.device)
        return whole.flatten()[positions]

    @property
    def owner(self) -> nn.Module:
        """The network; ReferenceError where it is gone."""
        owner = self._owner()
        if owner is None:
            raise ReferenceError("the network of these parameters is gone: keep it beside them")
        return owner

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_owner": self.owner}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_owner": weakref.ref(state["_owner"])})

    def __deepcopy__(self, memo: dict[int, Any]) -> NamedParameters:
        """In a copy of the network, the copy's parameters; else those of the same network."""
        twin = object.__new__(type(self))
        twin.__setstate__(vars(self) | {"_owner": memo.get(id(self.owner), self.owner)})
        return twin

    def _lookup(self) -> list[tuple[nn.Module, str, nn.Parameter]]:
        # Down the modules' own dictionaries: about 0.2 microseconds a name, where get_parameter
        # takes ten times as long, and no remembered parameter can be out of date.
        found, owner = [], self.owner
        for *modules, leaf in self._paths:
            module = owner
            for name in modules:
                module = module._modules[name]  # type: ignore[assignment]
            param = module._parameters[leaf]
            if param is None:
                raise ValueError(f"{'.'.join((*modules, leaf))} is not a parameter any more")
            found.append((module, leaf, param))
        return found


Targets: TypeAlias = GivenTensors | NamedParameters
Params: TypeAlias = Iterable[Tensor] | Mapping[str, Tensor] | NamedParameters


def _is_sparse(module: nn.Module, leaf: str) -> bool:
    """Whether a parameter is the weight of a layer in sparse storage, which alone has `sources`."""
    return leaf == "weight" and getattr(module, "sources", None) is not None


def _scale_learns(module: nn.Module) -> bool:
    """Whether a weight that does not learn itself is multiplied with scales that learn."""
    scale = module._parameters.get("scale")
    return scale is not None and scale.requires_grad


def _check_tensor(name: str, tensor: Tensor) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(tensor).__name__}")
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, not {tensor.dtype}")
