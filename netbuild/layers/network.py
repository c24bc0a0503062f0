"""Network: named layers in order, each reading an earlier one, with constraints and activity.

B batch, T time, N units.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netbuild.kernels import Activation
from netbuild.layers import constraints
from netbuild.layers.arguments import activation, dimension, one_of, unknown
from netbuild.layers.constraints import Check
from netbuild.layers.ctrnn import KERNELS, CTRNNLayer
from netbuild.layers.linear import LinearLayer, linear_maps

INPUT = "input"  # the source that is not a layer


class Source(NamedTuple):
    """The source of a layer: an earlier layer (or "input"), and which of its units (None: all)."""

    layer: str
    units: tuple[int, ...] | slice | None = None


@runtime_checkable
class Recurrent(Protocol):
    """A layer that several kernels can compute."""

    kernel: str

    def kernel_in_use(self) -> str:
        """The kernel that computes the layer on this machine."""

    def why_not_compiled(self) -> str:
        """Why the compiled kernel cannot run; empty where it can."""


class _Step(NamedTuple):
    """One layer of the forward pass, with everything looked up that it needs."""

    name: str
    source: str
    units: slice | str | None  # a str names the buffer that holds the indices
    activate: Activation | None


class Network(nn.Module):
    """Layers that run in order; the last one's activity is the output.

    Args:
        layers: name to module, in order; parameters are named `<layer>.weight` and so on.
        input_dim: number of input channels.
        sources: layer name to its source. The default is the layer before; the first layer
            reads "input". Only earlier layers can be read.
        activations: layer name to its activation, by name or as `{type: ..., ...}`.
        regularizers: a module that returns the sum of its terms when it is called with an
            `activity` (None, or as `forward` returns it) and the `steps` of its trials (None, or
            (batch,) integers). None: no regularizer.

    Layers without a name whose random numbers depend on one (`CTRNNLayer`, `Dropout`)
    are given the name that they have here.

    Raises:
        ValueError: no layers; a layer name that is malformed or that modules use themselves; a
            source or activation of no such layer; units that do not exist; widths that do not
            fit each other; two layers that would draw the same random numbers.
    """

    regularizers: Callable[..., Any]
    output_dim: int | None = None  # units of the last layer; None where it does not say it

    def __init__(
        self,
        layers: Mapping[str, nn.Module],
        *,
        input_dim: int,
        sources: Mapping[str, Source] | None = None,
        activations: Mapping[str, str | Mapping[str, Any]] | None = None,
        regularizers: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if not layers:
            raise ValueError("a network needs at least one layer")
        self.input_dim = dimension("input_dim", input_dim)
        sources, activations = sources or {}, activations or {}
        for name in (*sources, *activations):
            if name not in layers:
                raise unknown("layer", name, layers)
        self._plan: list[_Step] = []
        widths: dict[str, int | None] = {INPUT: self.input_dim}
        before = INPUT
        for name, layer in layers.items():
            self._check_name(name)
            source = sources.get(name, Source(before))
            units, count = self._resolve(name, source, widths)
            widths[name] = _width_after(name, layer, count)
            given = activations.get(name, "linear")
            activate = None if given == "linear" else activation(given)
            self._plan.append(_Step(name, source.layer, units, activate))
            self.add_module(name, layer)
            before = name
        self.output_dim = widths[before]
        _separate_streams(layers)
        self.regularizers = _no_regularizers if regularizers is None else regularizers

    def forward(
        self, x: Tensor, return_activity: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Run the layers.

        Args:
            x: (batch, input_dim) or (batch, time, input_dim).
            return_activity: also return {layer name: (..., unit)}, after the activations.

        Returns:
            The last layer's activity, (batch, output_dim) or (batch, time, output_dim); with
            `return_activity` a pair of this activity and the dictionary.
        """
        activity = {INPUT: x}
        modules = cast(dict[str, nn.Module], self._modules)  # none of them is None
        for name, source, units, activate in self._plan:
            x, module = activity[source], modules[name]
            if isinstance(units, str):
                x, units = x.index_select(-1, self.get_buffer(units)), None
            if units is None:
                x = module(x)
            elif getattr(module, "takes_units", False):
                x = module(x, units)
            else:
                x = module(x[..., units])  # a view
            if activate is not None:
                x = activate(x)
            activity[name] = x
        if not return_activity:
            return x
        del activity[INPUT]
        return x, activity

    def attach(self, optimizer: Optimizer) -> None:
        """Make the constraints hold after every step of `optimizer`; see `constraints.attach`."""
        constraints.attach(self, optimizer)

    def verify(self, initial: Mapping[str, Tensor] | None = None) -> list[Check]:
        """Count the weights that violate each constraint; see `constraints.verify`."""
        return constraints.verify(self, initial)

    def set_step(self, step: int | None) -> None:
        """Set the step of every layer that draws random numbers.

        Its noise and dropout are then a function of (seed, layer, step). Call it before the forward
        pass of each step: a forward pass counts nothing. None, as at the beginning: random numbers
        come from torch's global generator.
        """
        for module in self.modules():
            if module is not self and callable(setter := getattr(module, "set_step", None)):
                setter(step)

    def recurrent_layers(self) -> dict[str, Recurrent]:
        """{layer name: layer} of the layers that have a choice of kernels."""
        return {n: layer for n, layer in self.named_children() if isinstance(layer, Recurrent)}

    def kernels(self) -> dict[str, str]:
        """{layer name: kernel in use} of the recurrent layers.

        Where that is the compiled one, it has been compiled or loaded when this returns.
        """
        return {name: layer.kernel_in_use() for name, layer in self.recurrent_layers().items()}

    def use_kernels(self, kernels: Mapping[str, str]) -> None:
        """Use the kernels that `kernels()` has returned for an equal network.

        Raises ValueError for a layer or a kernel that does not exist.
        """
        layers = self.recurrent_layers()
        for name, kernel in kernels.items():
            if name not in layers:
                raise unknown("recurrent layer", name, layers)
            layers[name].kernel = one_of("kernel", kernel, KERNELS)

    def get_specs(
        self, *, spectrum: bool = False
    ) -> dict[str, dict[str, int | float | bool | None]]:
        """{path: specs} of every layer, and every map inside a layer, that has them.

        With `spectrum` also the spectral radius of recurrent weights whose radius takes seconds.
        """
        return {
            path: getter(spectrum=True) if spectrum and isinstance(module, CTRNNLayer) else getter()
            for path, module in self.named_modules()
            if module is not self and callable(getter := getattr(module, "get_specs", None))
        }

    def effective_weights(self) -> dict[str, Tensor]:
        """{"<layer>.effective_weight": tensor} of the layers whose parameter is raw."""
        return {
            f"{path}.effective_weight": map.effective_weight
            for path, map in linear_maps(self).items()
            if map.is_raw
        }

    def effective_parameter(self, name: str) -> Tensor:
        """The tensor that regularizers and plots use for a parameter.

        It is the parameter itself, or, for the weight of a layer whose parameter is raw
        (`dale="abs"`, or with scales), the weight that the forward pass uses; of sparse storage
        (connection,).

        Raises:
            ValueError: no parameter has that name; the nearest one is named.
        """
        path, _, leaf = name.rpartition(".")
        try:
            module = self.get_submodule(path)
        except AttributeError:
            module = self
        if leaf not in module._parameters or not path:
            raise unknown("parameter", name, (n for n, _ in self.named_parameters()))
        if leaf == "weight" and isinstance(module, LinearLayer):
            return module.effective_weight
        return module.get_parameter(leaf)

    def _check_name(self, name: object) -> None:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise ValueError(f"layer name {name!r} must match [a-z][a-z0-9_]*")
        if name in (INPUT, "regularizers") or hasattr(self, name):
            raise ValueError(f"a layer cannot be called {name!r}: a network uses that name itself")

    def _resolve(
        self, name: str, source: Source, widths: Mapping[str, int | None]
    ) -> tuple[slice | str | None, int | None]:
        """The selection as a slice where possible, else as a buffer of indices; and its size.

        The size is None where it is not known.
        """
        if source.layer not in widths:
            raise unknown(f"source of layer {name}, which can read", source.layer, widths)
        units, width = source.units, widths[source.layer]
        if units is None:
            return None, width
        if isinstance(units, slice):
            return units, None if width is None else len(range(*units.indices(width)))
        if not units or (width is not None and not all(0 <= u < width for u in units)):
            raise ValueError(
                f"layer {name} reads units {units} of {source.layer}, which has {width}"
            )
        first, count = units[0], len(units)
        if first >= 0 and units == tuple(range(first, first + count)):
            return slice(first, first + count), count
        buffer = f"_{name}_units"
        self.register_buffer(buffer, torch.tensor(units, device="cpu"), persistent=False)
        return buffer, count


def _no_regularizers(
    activity: Mapping[str, Tensor] | None = None, steps: Tensor | None = None
) -> Tensor:
    """The sum of no terms, which can be backpropagated."""
    return torch.zeros((), requires_grad=True)


@contextmanager
def evaluating(network: nn.Module, *, noise: str | None = None) -> Iterator[None]:
    """Every module in its evaluation mode, without gradients, and back in its own mode after.

    With `noise`, recurrent layers keep their noise, drawn from the stream of this name; dropout is
    off.
    """
    modes = [(module, module.training) for module in network.modules()]
    noisy = [m for m, _ in modes if isinstance(m, CTRNNLayer) and m.draws and noise is not None]
    steps = [layer.step_number for layer in noisy]
    network.eval()
    for layer in noisy:
        layer.training = True
        layer.set_step(noise)
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for layer, step in zip(noisy, steps, strict=True):
            layer.set_step(step)


def _separate_streams(layers: Mapping[str, nn.Module]) -> None:
    """Name the unnamed layers that draw random numbers; ValueError where two would draw the same.

    The stream of random numbers of a layer follows from its type, its seed and its name.
    """
    streams: dict[tuple[str, int, str], str] = {}
    for name, layer in layers.items():
        for path, module in layer.named_modules(prefix=name):
            if not hasattr(module, "draws"):
                continue
            module.name = module.name or path
            if not module.draws:
                continue
            stream = (type(module).__name__, module.seed, module.name)
            if (other := streams.setdefault(stream, path)) != path:
                raise ValueError(
                    f"the layers {other} and {path} have the same seed {module.seed} and the same "
                    f"name {module.name!r}, so they would draw the same random numbers; give them "
                    "different names"
                )


def _width_after(name: str, layer: nn.Module, width: int | None) -> int | None:
    """The width of a layer's activity, given that of its source; ValueError if they do not fit."""
    if getattr(layer, "keeps_width", False):
        return width
    reads = getattr(layer, "input_dim", None)
    if isinstance(reads, int) and width is not None and reads != width:
        raise ValueError(f"layer {name} has input_dim {reads}; it reads {width} units")
    gives = getattr(layer, "output_dim", None)
    return gives if isinstance(gives, int) else None
