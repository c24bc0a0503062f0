"""Where words meet maths: a checked spec becomes a network, a task and an optimizer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.language import Spec, load
from netbuild.language import layers as words
from netbuild.language.arrays_task import Arrays, ArraysPlan
from netbuild.language.base import Model
from netbuild.language.neurogym_task import Neurogym
from netbuild.language.plan import LayerPlan, MapPlan, NeurogymPlan, RegularizerPlan
from netbuild.language.regularizers import ActivityRegularizer, DrawnReference
from netbuild.language.training import Training
from netbuild.layers import CTRNNLayer, Dropout, LinearLayer, Network, Source
from netbuild.layers.initial import StartError
from netbuild.layers.spectrum import SpectrumError
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
        units = None if plan.reads.whole else tuple(plan.reads.indices.tolist())
        sources[name] = Source(plan.reads.layer, units)
        modules[name] = build_layer(spec, layer, plan)
        learnt = {f"{name}.{own}" for own, p in modules[name].named_parameters() if p.requires_grad}
        assert learnt <= plan.parameters().keys()  # else neither regularized nor started from a run
        if hasattr(layer, "activation") and not hasattr(modules[name], "activation"):
            activations[name] = layer.activation.model_dump()  # which the network then applies
    network = Network(
        modules, input_dim=spec.plan.input_dim, sources=sources, activations=activations
    )
    with torch.no_grad():
        for key, values in spec.plan.start.items():  # which begin as another run has them
            network.get_parameter(key).copy_(torch.from_numpy(values.copy()))
    network.regularizers = build_regularizers(spec, network)
    network = network.to(place)
    refuse_missing_kernels(network)
    return network


def refuse_missing_kernels(network: Network) -> None:
    """Raise NetbuildError (exit 10) where a layer's compiled kernel cannot run."""
    for name, layer in network.recurrent_layers().items():
        if layer.kernel == "compiled" and (why := layer.why_not_compiled()):
            what = f"layers[{name}].kernel: `compiled` cannot run: {why}"
            hint = "`kernel: auto` takes the compiled kernel where it runs, and `fused` elsewhere"
            raise NetbuildError(what, Exit.MISSING, hint)


def build_layer(spec: Spec, layer: words.Layer, plan: LayerPlan) -> nn.Module:
    """One layer of a spec; NetbuildError (exit 3) where it cannot start from its initial values.

    No check can foresee some of these, as a spectral radius of 0 after `ei_balance`. Where a radius
    is scaled, the layer is that of the first draw that has one.
    """
    for draw in range(max((each.draws for each in plan.maps.values()), default=1)):
        maps = {
            key: _map_arguments(each, min(draw, each.draws - 1)) for key, each in plan.maps.items()
        }
        own = maps.pop("", {})  # of a linear layer, which is its map
        try:
            return LAYERS[layer.type](**plan.arguments, **own, **maps)
        except SpectrumError as error:
            map, what = error.map, error.args[0]
        except StartError as error:
            place = f"layers[{layer.name}]" + (f".{error.map}" if error.map else "")
            raise NetbuildError(f"{place}: {error.args[0]}", Exit.SPEC) from None
    at = ("layers", spec.model.layers.index(layer), map, "spectral_radius")
    raise SpecError([spec.problem("NB308", at, what, "remove it")])


LAYERS: Mapping[str, Callable[..., nn.Module]] = {
    "linear": LinearLayer,
    "ctrnn": CTRNNLayer,
    "dropout": Dropout,
}


def _map_arguments(plan: MapPlan, draw: int) -> dict[str, Any]:
    """The arguments of `LinearLayer` for one map, without its sizes.

    The weight of a map with projections is made of theirs, which are drawn as separate maps.
    """
    arguments = plan.arguments(draw)
    if plan.blocks:
        whole = torch.zeros(plan.output_dim, plan.input_dim)
        for block in plan.blocks:
            sizes = block.input_dim, block.output_dim
            drawn = LinearLayer(*sizes, **_map_arguments(block, draw))
            whole[block.where] = drawn.weight.detach()
        weight = {"value": whole, "learn": plan.weight_learns}
        arguments |= {"weight": weight, "ei_balance": "none"}
    return arguments


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
            train=task.fractions[0],
            validation=task.fractions[1],
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


# How many devices of each kind that a network can be on this machine has.
DEVICES: dict[str, Callable[[], int]] = {
    "cpu": lambda: 1,
    "cuda": lambda: torch.cuda.device_count() if torch.cuda.is_available() else 0,
}


def device_of(name: str) -> torch.device:
    """The device that a spec names; raises NetbuildError where this machine has none such."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in DEVICES or not re.fullmatch(r"cpu|[a-z]+(:[0-9]{1,3})?", name):
        raise NetbuildError(f"no device is called {name}", Exit.USAGE, "auto, cpu, cuda or cuda:N")
    count = DEVICES[kind]()
    if int(index or 0) >= count:
        what = f"device {name} is not there: {kind.upper()} has {count} devices on this machine"
        raise NetbuildError(what, Exit.MISSING, "`--device cpu` or `--device auto`")
    return torch.device(name)
