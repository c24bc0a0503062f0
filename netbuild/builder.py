"""Where words meet maths: a checked spec becomes a network, a task and an optimizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.language import Spec, load
from netbuild.language import layers as words
from netbuild.language.arrays_task import Arrays, ArraysPlan
from netbuild.language.base import Model
from netbuild.language.ctrnn import CTRNN
from netbuild.language.neurogym_task import Neurogym
from netbuild.language.plan import LayerPlan, MapPlan, NeurogymPlan, RegularizerPlan
from netbuild.language.regularizers import ActivityRegularizer, DrawnReference
from netbuild.language.training import Training
from netbuild.language.units import Units
from netbuild.layers import (
    CTRNNLayer,
    Dropout,
    LinearLayer,
    Network,
    PerConnection,
    Source,
)
from netbuild.layers.initial import StartError
from netbuild.layers.spectrum import SpectrumError
from netbuild.layers.start import MapArguments, draw_map
from netbuild.regularization import (
    REGULARIZATIONS,
    BaseRegularization,
    NamedParameters,
    RegularizationList,
)
from netbuild.streams import seed_of
from netbuild.tasks import ArraysTask, NeurogymTask, Task


def build(spec: Spec | str | Path | Mapping[str, Any], *, device: str | None = None) -> Network:
    """The initial network of a spec: parameters are `<layer>.weight`, `<layer>.bias`.

    The same spec gives the same bits on the same machine. `device` replaces the spec's own.
    Raises SpecError for a spec with problems, NetbuildError for a device that is not there.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    place = device_of(device or spec.model.device)
    modules: dict[str, nn.Module] = {}
    sources: dict[str, Source] = {}
    activations: dict[str, Any] = {}
    for layer in spec.model.layers:
        name, plan = layer.name, spec.plan.layers[layer.name]
        sources[name] = Source(plan.reads.layer, _units_read(plan.reads))
        modules[name] = build_layer(spec, layer, plan)
        learnt = {f"{name}.{own}" for own, p in modules[name].named_parameters() if p.requires_grad}
        assert learnt <= plan.parameters().keys()  # else neither regularized nor started from a run
        if hasattr(layer, "activation") and not hasattr(modules[name], "activation"):
            activations[name] = layer.activation.model_dump()  # which the network then applies
    network = Network(
        modules, input_dim=spec.plan.input_dim, sources=sources, activations=activations
    )
    _copy_start(network, spec.plan.start)
    network.regularizers = build_regularizers(spec, network)
    return network.to(place)


@torch.no_grad()
def _copy_start(network: Network, start: Mapping[str, NDArray[Any]]) -> None:
    """Copy the parameters that begin with the values of another run."""
    for name, values in start.items():
        network.get_parameter(name).copy_(torch.from_numpy(values.copy()))


def build_layer(spec: Spec, layer: words.Layer, plan: LayerPlan) -> nn.Module:
    """One layer of a spec; NetbuildError (exit 3) where it cannot start from its initial values.

    No check can foresee some of these, as a spectral radius of 0 after `ei_balance`. Where a radius
    is scaled, the layer is that of the first draw that has one.
    """
    for draw in range(max((each.draws for each in plan.maps.values()), default=1)):
        try:
            return LAYERS[layer.type](spec, layer, plan, draw)
        except SpectrumError as error:
            map, what = error.map, error.args[0]
        except StartError as error:
            place = f"layers[{layer.name}]" + (f".{error.map}" if error.map else "")
            raise NetbuildError(f"{place}: {error.args[0]}", Exit.SPEC) from None
    at = ("layers", spec.model.layers.index(layer), map, "spectral_radius")
    raise SpecError([spec.problem("NB308", at, what, "remove it")])


def _dropout(spec: Spec, layer: words.Dropout, plan: LayerPlan, draw: int) -> Dropout:
    return Dropout(layer.p, seed=spec.model.seed, name=layer.name)


def _linear(spec: Spec, layer: words.Linear, plan: LayerPlan, draw: int) -> LinearLayer:
    return LinearLayer(plan.reads.size, plan.gives.size, **_maps(spec, plan, draw)[""])


def _ctrnn(spec: Spec, layer: CTRNN, plan: LayerPlan, draw: int) -> CTRNNLayer:
    units = plan.units
    assert units is not None
    state: Any = "zero"
    if units.initial_state is not None:
        state = {"value": units.initial_state, "learn": units.learns_initial_state}
    same = {"formulation", "activation", "noise", "input_noise", "kernel"}  # in words and maths
    return CTRNNLayer(
        plan.reads.size,
        plan.gives.size,
        alpha={"value": units.alpha, "learn": units.learns_alpha},
        groups=units.groups,
        initial_state=state,
        rate_noise=layer.rate_noise.sigma if layer.rate_noise else None,
        seed=spec.model.seed,
        name=layer.name,
        **_maps(spec, plan, draw),
        **layer.model_dump(include=same),
    )


LAYERS: Mapping[str, Callable[[Spec, Any, LayerPlan, int], nn.Module]] = {
    "linear": _linear,
    "ctrnn": _ctrnn,
    "dropout": _dropout,
}


def _units_read(units: Units) -> slice | tuple[int, ...] | None:
    if units.whole:
        return None
    if len(units.spans) == 1:
        return slice(*units.spans[0])
    return tuple(units.indices.tolist())


def _maps(spec: Spec, plan: LayerPlan, draw: int) -> dict[str, Any]:
    """The arguments of every map of a layer by its name; only some maps are drawn again."""
    return {
        key: _map_arguments(spec, each, min(draw, each.draws - 1))
        for key, each in plan.maps.items()
    }


def _map_arguments(spec: Spec, plan: MapPlan, draw: int = 0) -> dict[str, Any]:
    """The arguments of `LinearLayer` for one map of a spec, without its sizes.

    `draw` above 0 takes the initial values from another stream than the first.
    """
    section, connections = plan.words, plan.connections
    again = ("again", draw) if draw else ()
    seed = section.seed if section.seed is not None else spec.model.seed
    weight = _initial(section.weight, _in_layout(plan.weight))
    if plan.blocks:
        weight = {"value": _weight_of_blocks(spec, plan, draw)}
    mask = None if connections.matrix is None else connections.matrix.T
    return {
        "weight": weight | {"learn": plan.weight_learns},
        "bias": None if section.bias is None else _initial(section.bias, plan.bias),
        "ei_mask": None if plan.signs is None else plan.signs.T,
        "sparsity_mask": connections.wiring if connections.is_sparse else mask,
        "storage": "sparse" if connections.is_sparse else "dense",
        "plasticity_mask": _mask(plan.plasticity),
        "scale_groups": _mask(plan.groups),
        "dale": section.dale,
        "dale_init": section.dale_init,
        "ei_balance": "none" if plan.blocks else section.ei_balance,
        "spectral_radius": getattr(section, "spectral_radius", None),
        "seed": seed_of(seed, "init", plan.name, *again),
    }


def _in_layout(array: Any) -> Any:
    """An array of a plan as a layer takes it: (connection,) is one value for each connection."""
    return PerConnection(array) if array is not None and array.ndim == 1 else array


def _mask(array: Any) -> Any:
    """The same, of a mask, which a layer takes as (input_dim, output_dim)."""
    return None if array is None else _in_layout(array.T)


def _weight_of_blocks(spec: Spec, plan: MapPlan, draw: int) -> torch.Tensor:
    """(output_dim, input_dim): the initial weights of each projection in its place."""
    whole = torch.zeros(plan.output_dim, plan.input_dim)
    for block in plan.blocks:
        sizes = block.plan.input_dim, block.plan.output_dim
        drawn = draw_map(MapArguments(*sizes, **_map_arguments(spec, block.plan, draw)))
        whole[block.where] = drawn.weight
    return whole


def _initial(source: Model, array: Any) -> dict[str, Any]:
    """An init with the arguments that were given, or an array; and whether it learns."""
    if array is not None:
        return {"value": array, "learn": source.learn}  # type: ignore[attr-defined]
    return source.model_dump(exclude_none=True)


def build_regularizers(spec: Spec, network: Network) -> RegularizationList:
    """The list of a spec's regularizers, each on the network's parameters that it names."""
    plans = spec.plan.regularizers
    return RegularizationList(
        {
            plan.name: _regularizer(spec, network, words_of, plan)
            for words_of, plan in zip(spec.model.regularizers, plans, strict=True)
        }
    )


def _regularizer(
    spec: Spec, network: Network, regularizer: Model, plan: RegularizerPlan
) -> BaseRegularization:
    kind = regularizer.type  # type: ignore[attr-defined]
    if isinstance(regularizer, ActivityRegularizer):
        arguments = regularizer.model_dump(exclude={"type", "name", "units"})
        if plan.units is not None:
            arguments["units"] = plan.units
        return REGULARIZATIONS[kind].from_dict(arguments)
    reference = getattr(regularizer, "reference", None)
    apart = {"type", "name", "params", "reference", "from_", "to"}
    arguments = regularizer.model_dump(exclude=apart)
    if plan.references is not None:
        arguments["reference_weights"] = [torch.from_numpy(r.copy()) for r in plan.references]
    elif isinstance(reference, DrawnReference):
        arguments |= reference.model_dump()
        if reference.seed is None:
            arguments["seed"] = seed_of(spec.model.seed, "reference", plan.name)
    some = [(torch.from_numpy(one.index), one.pairs) for one in plan.among or ()]
    named = NamedParameters(network, plan.params, among=some or None)
    return REGULARIZATIONS[kind](named, **arguments)


def build_task(spec: Spec) -> Task:
    """The task of a spec; raises NetbuildError when it has none."""
    task, plan, seed = spec.model.task, spec.plan.task, spec.model.seed
    if isinstance(task, Neurogym) and isinstance(plan, NeurogymPlan) and plan.recipe is not None:
        own = seed if task.seed is None else task.seed
        return NeurogymTask(plan.recipe, seed=own, evaluation=plan.evaluation)
    if isinstance(task, Arrays) and isinstance(plan, ArraysPlan):
        return ArraysTask(
            plan.samples,
            plan.targets,
            train=task.split.train,
            split_seed=plan.split.seed,
            seed=seed,
            loss_mask=plan.loss_mask,
            variables=plan.variables,
        )
    what = f"{spec.path or 'the spec'} has no `task` to train on"
    hint = "write `task: {type: arrays, file: ..., inputs: ..., targets: ...}`"
    raise NetbuildError(what, Exit.SPEC, hint)


# Fused where torch has the whole step as one kernel, on the CPU and on CUDA.
OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": partial(torch.optim.SGD, fused=True),
    "Adam": partial(torch.optim.Adam, fused=True),
    "AdamW": partial(torch.optim.AdamW, fused=True),
    "RMSprop": torch.optim.RMSprop,
    "Adagrad": partial(torch.optim.Adagrad, fused=True),
}


def build_optimizer(training: Training, network: Network) -> torch.optim.Optimizer:
    """The spec's optimizer over all that learns, attached, so that the constraints hold."""
    learnt = [p for p in network.parameters() if p.requires_grad]
    if not learnt:
        raise NetbuildError("nothing in this network learns", Exit.SPEC)
    optimizer = OPTIMIZERS[training.optimizer.type](learnt, **_optimizer_arguments(training))
    network.attach(optimizer)
    return optimizer


def change_optimizer(training: Training, optimizer: torch.optim.Optimizer) -> None:
    """Give a running optimizer the numbers of a stage of the training; its state stays."""
    for group in optimizer.param_groups:
        group |= _optimizer_arguments(training)


def _optimizer_arguments(training: Training) -> dict[str, Any]:
    arguments = training.optimizer.model_dump(exclude={"type", "schedule"})
    if "betas" in arguments:
        arguments["betas"] = tuple(arguments["betas"])
    return arguments


def device_of(name: str) -> torch.device:
    """The device that a spec names; raises NetbuildError where this machine has none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", name):
        raise NetbuildError(f"no device is called {name}", Exit.USAGE, "auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            what = f"device {name} is not there: CUDA has {count} devices on this machine"
            raise NetbuildError(what, Exit.MISSING, "`--device cpu` or `--device auto`")
    return device
