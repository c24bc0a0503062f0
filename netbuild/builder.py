"""Where words meet maths: a checked spec becomes a network, a task and an optimizer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netbuild.check import Spec, load
from netbuild.check.plan import MapPlan, RegularizerPlan
from netbuild.errors import Exit, NetbuildError
from netbuild.layers import Dropout, LinearLayer, Network, Source
from netbuild.regularization import (
    REGULARIZATIONS,
    BaseRegularization,
    NamedParameters,
    RegularizationList,
)
from netbuild.spec import layers as words
from netbuild.spec.base import Model
from netbuild.spec.regularizers import DrawnReference
from netbuild.spec.task import Arrays
from netbuild.spec.training import Training
from netbuild.streams import seed_of
from netbuild.tasks import ArraysTask, Task


def build(spec: Spec | str | Path | Mapping[str, Any], *, device: str | None = None) -> Network:
    """The initial network of a spec: parameters are `<layer>.weight`, `<layer>.bias`.

    The same spec gives the same bits on the same machine. `device` replaces the spec's own.
    Raises SpecError for a spec with problems, NetbuildError for a device that is not there.
    """
    spec = spec if isinstance(spec, Spec) else load(spec)
    place = device_of(device or spec.model.device)
    plans = spec.plan.layers
    modules: dict[str, nn.Module] = {}
    sources: dict[str, Source] = {}
    activations: dict[str, Any] = {}
    for layer in spec.model.layers:
        plan = plans[layer.name]
        units = slice(*plan.reads.units) if plan.reads.units else None
        sources[layer.name] = Source(plan.reads.layer, units)
        if isinstance(layer, words.Linear):
            assert plan.map is not None
            modules[layer.name] = LinearLayer.from_dict(layer_struct(spec, layer, plan.map))
            activations[layer.name] = layer.activation.model_dump()
        else:
            modules[layer.name] = Dropout(layer.p, seed=spec.model.seed, name=layer.name)
    first = next(iter(plans.values()))
    network = Network(modules, input_dim=first.reads.size, sources=sources, activations=activations)
    network.regularizers = build_regularizers(spec, network)
    return network.to(place)


def layer_struct(spec: Spec, layer: words.Linear, plan: MapPlan) -> dict[str, Any]:
    """The words of `LinearLayer.from_dict` for one layer of a spec."""
    seed = layer.seed if layer.seed is not None else spec.model.seed
    return {
        "input_dim": plan.input_dim,
        "output_dim": plan.output_dim,
        "weight": _initial(layer.weight, plan.weight),
        "bias": None if layer.bias is None else _initial(layer.bias, plan.bias),
        "ei_mask": plan.signs,
        "sparsity_mask": plan.connected,
        "plasticity_mask": plan.plasticity,
        "dale_init": layer.dale_init,
        "ei_balance": layer.ei_balance,
        "dale": layer.dale,
        "seed": seed_of(seed, "init", layer.name),
    }


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
    reference = getattr(regularizer, "reference", None)
    arguments = regularizer.model_dump(exclude={"type", "name", "params", "reference"})
    if plan.references is not None:
        arguments["reference_weights"] = [torch.from_numpy(r.copy()) for r in plan.references]
    elif isinstance(reference, DrawnReference):
        arguments |= reference.model_dump()
        if reference.seed is None:
            arguments["seed"] = seed_of(spec.model.seed, "reference", plan.name)
    return REGULARIZATIONS[kind](NamedParameters(network, plan.params), **arguments)


def build_task(spec: Spec) -> Task:
    """The task of a spec; raises NetbuildError when it has none."""
    task, data = spec.model.task, spec.plan.task
    if not isinstance(task, Arrays) or data is None:
        what = f"{spec.path or 'the spec'} has no `task` to train on"
        hint = "write `task: {type: arrays, file: ..., inputs: ..., targets: ...}`"
        raise NetbuildError(what, Exit.SPEC, hint)
    seed = spec.model.seed
    return ArraysTask(
        data.inputs,
        data.targets,
        train=task.split.train,
        split_seed=seed if task.split.seed is None else task.split.seed,
        seed=seed,
    )


OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "Adam": torch.optim.Adam,
    "AdamW": torch.optim.AdamW,
    "RMSprop": torch.optim.RMSprop,
    "Adagrad": torch.optim.Adagrad,
}
# Those whose step torch has as one fused kernel, on the CPU and on CUDA.
_FUSED = {"SGD", "Adam", "AdamW", "Adagrad"}


def build_optimizer(training: Training, network: Network) -> torch.optim.Optimizer:
    """The spec's optimizer over all that learns, attached, so that the constraints hold."""
    words_of = training.optimizer
    arguments = words_of.model_dump(exclude={"type", "schedule"})
    if "betas" in arguments:
        arguments["betas"] = tuple(arguments["betas"])
    if words_of.type in _FUSED:
        arguments["fused"] = True
    learnt = [p for p in network.parameters() if p.requires_grad]
    if not learnt:
        raise NetbuildError("nothing in this network learns", Exit.SPEC)
    optimizer = OPTIMIZERS[words_of.type](learnt, **arguments)
    network.attach(optimizer)
    return optimizer


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
