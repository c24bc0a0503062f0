"""Drawn optimizers and training loops in Python, whose constraints are judged after every step.

A case is a number: it draws layers, an optimizer with its settings, and what somebody does between
the steps. A step ends with every constraint kept, or it raises a ValueError before it has changed
anything, and then there was a reason.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from netbuild.layers import CTRNNLayer, LinearLayer, Network, attach

STEPS = 6
UNITS = 7
Settings = dict[str, list[Any]]
DECAY: Settings = {"weight_decay": [0, 0.1]}
OPTIMIZERS: dict[type[optim.Optimizer], Settings] = {
    optim.SGD: DECAY | {"momentum": [0, 0.9], "nesterov": [False], "maximize": [False, True]},
    optim.Adam: DECAY | {"amsgrad": [False, True], "eps": [1e-8, 0.0], "betas": [(0.9, 0.9)]},
    optim.AdamW: DECAY | {"amsgrad": [False, True]},
    optim.NAdam: DECAY | {"decoupled_weight_decay": [False, True]},
    optim.RAdam: DECAY,
    optim.Adamax: DECAY,
    optim.RMSprop: DECAY | {"momentum": [0, 0.9], "centered": [False, True], "eps": [1e-8, 0.0]},
    optim.Adagrad: DECAY | {"lr_decay": [0, 0.1]},
    optim.Adadelta: DECAY,
    optim.Adafactor: DECAY,
    optim.ASGD: DECAY,
    optim.Rprop: {},
    optim.LBFGS: {"max_iter": [3], "line_search_fn": [None, "strong_wolfe"]},
}
FUSED = (optim.SGD, optim.Adam, optim.AdamW, optim.Adagrad)
FOREACH = (*FUSED, optim.NAdam, optim.RAdam, optim.Adamax, optim.RMSprop, optim.ASGD, optim.Rprop)


class Loop:
    """One case: a network, its optimizers, and a generator of what is done to them."""

    def __init__(self, number: int) -> None:
        self.random = random.Random(number)
        self.draw = torch.Generator().manual_seed(number)
        self.net = self.network()
        self.optimizers = self.made()
        self.average: AveragedModel | None = None
        if self.random.random() < 0.3:
            self.average = AveragedModel(self.net)
        self.may_refuse = False
        self.done: list[str] = []

    # What is drawn

    def one_of(self, *given: Any) -> Any:
        return self.random.choice(given)

    def masks(self, inputs: int, outputs: int) -> dict[str, Any]:
        """The words of a constrained map."""
        words: dict[str, Any] = {"seed": self.random.randrange(100)}
        words["dale"] = self.one_of("project", "project", "abs", "none")
        if self.random.random() < 0.8:
            signs = torch.randint(-1, 2, (inputs,), generator=self.draw)
            words["ei_mask"] = signs.numpy()
        words["storage"] = self.one_of("dense", "dense", "sparse")
        if words["storage"] == "sparse" or self.random.random() < 0.6:
            density = self.one_of(0.3, 0.7, 1.0)
            mask = torch.rand((inputs, outputs), generator=self.draw) < density
            mask[0, 0] = True
            words["sparsity_mask"] = mask.numpy()
        levels = self.one_of(None, [0.0, 1.0], [0.0, 0.3, 1.0], [0.5])
        if levels is not None:
            which = torch.randint(0, len(levels), (inputs, outputs), generator=self.draw)
            words["plasticity_mask"] = torch.tensor(levels)[which].numpy()
        return words

    def network(self) -> Network:
        if self.random.random() < 0.5:
            alpha = {"value": 0.5, "learn": True}
            own = self.masks(UNITS, UNITS)
            first: nn.Module = CTRNNLayer(3, UNITS, alpha=alpha, seed=1, noise=0.1, recurrent=own)
        else:
            first = LinearLayer.from_dict(
                {"input_dim": 3, "output_dim": UNITS} | self.masks(3, UNITS)
            )
        readout = LinearLayer(UNITS, 2, **self.masks(UNITS, 2))
        return Network({"first": first, "readout": readout}, input_dim=3)

    def optimizer(self, parameters: list[nn.Parameter]) -> optim.Optimizer:
        kind = self.random.choice(list(OPTIMIZERS))
        words = {key: self.random.choice(values) for key, values in OPTIMIZERS[kind].items()}
        if kind is optim.SGD:
            words["nesterov"] = words["momentum"] > 0 and self.random.random() < 0.5
        # Fused SGD with momentum cannot take a parameter whose first gradient comes later.
        late = kind is optim.SGD and words["momentum"] > 0
        if kind in FUSED and not late and self.random.random() < 0.4:
            words["fused"] = True
        elif kind in FOREACH and self.random.random() < 0.4:
            words["foreach"] = True
        made: optim.Optimizer = kind(parameters, lr=self.one_of(1e-2, 0.1), **words)
        return made

    def made(self) -> list[optim.Optimizer]:
        """Optimizers that are attached: one, or two that own a part each."""
        parameters = list(self.net.parameters())
        parts = [parameters]
        if self.random.random() < 0.2:
            parts = [parameters[::2], parameters[1::2]]
        made = [self.optimizer(part) for part in parts]
        for each in made:
            attach(self.net, each)
        return made

    def layers(self) -> list[LinearLayer]:
        return [module for module in self.net.modules() if isinstance(module, LinearLayer)]

    # What is done between two steps

    def attach_again(self) -> None:
        for optimizer in self.optimizers:
            attach(self.net, optimizer)

    def copy_all(self) -> None:
        pruned = any(layer.stored_weight is not layer.weight for layer in self.layers())
        if pruned or any(isinstance(each, optim.LBFGS) for each in self.optimizers):
            return  # torch cannot copy them
        self.net, self.optimizers = copy.deepcopy((self.net, self.optimizers))
        self.attach_again()

    def load_states(self) -> None:
        self.net.load_state_dict(copy.deepcopy(self.net.state_dict()))
        for optimizer in self.optimizers:
            optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))

    def edit_weights(self) -> None:
        with torch.no_grad():
            for layer in self.layers():
                weight = layer.stored_weight
                if weight is not None:
                    weight.copy_(self.one_of(-weight, weight * 0, -weight * 0, weight + 0.1))

    def edit_masks(self) -> None:
        self.average = None  # its weights are means of what other masks allowed
        layer = self.random.choice(self.layers())
        if layer.plasticity is not None:
            layer.plasticity.mul_(self.one_of(0.0, 0.5))
        if layer.sign is not None:
            layer.sign.neg_()
        if layer.connected is not None:
            layer.connected[0] = False

    def prune(self) -> None:
        self.average = None
        layer = self.random.choice(self.layers())
        if "weight" in layer._parameters:
            prune.l1_unstructured(layer, "weight", 1)

    def parametrize(self) -> None:
        self.average, self.may_refuse = None, True
        layer = self.random.choice(self.layers())
        if "weight" in layer._parameters and layer.weight.ndim == 2:
            parametrizations.weight_norm(layer)

    def replace(self, given: bool) -> None:
        layer = self.random.choice(self.layers())
        if "weight" not in layer._parameters:
            return
        old = layer.weight
        layer.weight = nn.Parameter(old.detach().clone(), old.requires_grad)
        self.may_refuse = self.may_refuse or not given
        for optimizer in self.optimizers if given else ():
            for group in optimizer.param_groups:
                if isinstance(optimizer, optim.LBFGS):  # it keeps a list of its own
                    self.may_refuse = True
                    continue
                group["params"] = [layer.weight if p is old else p for p in group["params"]]
            optimizer.state.pop(old, None)

    def replace_all(self) -> None:
        self.may_refuse = True
        state = {name: value.clone() for name, value in self.net.state_dict().items()}
        self.net.load_state_dict(state, assign=True)
        if self.random.random() < 0.5:
            self.optimizers, self.may_refuse = self.made(), False

    def add_group(self) -> None:
        """A weight that comes late: replaced, and given to the optimizer as a group of its own."""
        optimizer = self.random.choice(self.optimizers)
        layer = self.random.choice(self.layers())
        if "weight" not in layer._parameters or isinstance(optimizer, optim.LBFGS):
            return
        optimizer.state.pop(layer.weight, None)
        layer.weight = nn.Parameter(layer.weight.detach().clone(), layer.weight.requires_grad)
        optimizer.add_param_group({"params": [layer.weight]})
        self.may_refuse = self.may_refuse or len(self.optimizers) > 1  # the other one has the old

    def new_optimizers(self) -> None:
        self.optimizers = self.made()

    def freeze(self) -> None:
        readout = self.layers()[-1]
        readout.freeze() if self.random.random() < 0.5 else readout.unfreeze()

    def something(self) -> None:
        """One of these, by chance."""
        what: dict[str, tuple[float, Callable[[], None]]] = {
            "nothing": (6, lambda: None),
            "attach again": (1, self.attach_again),
            "deepcopy": (1, self.copy_all),
            "state dicts": (1, self.load_states),
            "edit weights": (1.5, self.edit_weights),
            "edit masks": (1, self.edit_masks),
            "prune": (0.7, self.prune),
            "parametrize": (0.3, self.parametrize),
            "replace and tell": (1, lambda: self.replace(True)),
            "replace": (0.3, lambda: self.replace(False)),
            "assign": (0.5, self.replace_all),
            "add a group": (1, self.add_group),
            "new optimizers": (0.5, self.new_optimizers),
            "freeze": (0.5, self.freeze),
        }
        [name] = self.random.choices(list(what), [weight for weight, _ in what.values()])
        self.done.append(name)
        what[name][1]()

    # A step, and what is judged

    def backward(self) -> Tensor:
        x = torch.randn((4, 3, 3), generator=self.draw)
        loss: Tensor = (self.net(x) - 1).square().mean()
        loss.backward()
        return loss

    def step(self) -> None:
        """One step of each optimizer, in one of the ways in which loops take it."""
        way = self.one_of("plain", "accumulate", "clip", "closure")
        for optimizer in self.optimizers:

            def closure(optimizer: optim.Optimizer = optimizer) -> Tensor:
                optimizer.zero_grad(set_to_none=self.random.random() < 0.5)
                return self.backward()

            if way == "closure" or isinstance(optimizer, optim.LBFGS):
                optimizer.step(closure)
                continue
            closure()
            if way == "accumulate":
                self.backward()
            if way == "clip":
                nn.utils.clip_grad_norm_(self.net.parameters(), 0.1)
            optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.net)

    def stored(self) -> list[Tensor]:
        """Copies of what the optimizers may change."""
        return [parameter.detach().clone() for parameter in self.net.parameters()]

    def run(self) -> list[str]:
        """What was wrong in this case; the constraints are found from the masks alone."""
        for step in range(STEPS):
            try:
                self.something()
                before = self.stored()
                weights = {layer: _stored(layer) for layer in self.layers()}
                self.step()
            except ValueError as error:
                return self.refused(step, error, before)
            if not all(p.isfinite().all() for p in self.net.parameters()):
                return []  # it diverged, as a loop may
            found = [fault for layer in self.layers() for fault in faults(layer, weights[layer])]
            if self.average is not None:
                found += [f"average: {f}" for m in self.average.modules() for f in _effects(m)]
            if found:
                return [f"step {step} after {', '.join(self.done)}: {fault}" for fault in found]
        return []

    def refused(self, step: int, error: ValueError, before: list[Tensor]) -> list[str]:
        where = f"step {step} after {', '.join(self.done)}"
        if not self.may_refuse:
            return [f"{where}: refused without a reason: {error}"]
        if len(self.optimizers) == 1 and len(before) == len(self.stored()):
            same = all(map(torch.equal, before, self.stored()))
            return [] if same else [f"{where}: refused after something had changed"]
        return []


def _stored(layer: LinearLayer) -> Tensor | None:
    weight = layer.stored_weight
    return None if weight is None else weight.detach().clone()


def _effects(module: nn.Module) -> list[str]:
    """Absent connections and wrong signs of what a layer computes with."""
    if not isinstance(module, LinearLayer):
        return []
    weight, found = module.effective_weight.detach(), []
    if module.connected is not None and bool(weight[~module.connected].any()):
        found.append("an absent connection")
    if module.sign is not None and module.dale != "none" and bool((weight * module.sign < 0).any()):
        found.append("a wrong sign")
    return found


def faults(layer: LinearLayer, before: Tensor | None) -> list[str]:
    """The constraints of a layer that a step has violated; `before` is its parameter before it."""
    found, now = _effects(layer), layer.stored_weight
    if layer.plasticity is None or now is None or before is None:
        return found
    frozen = layer.plasticity == 0
    if layer.connected is not None:
        frozen &= layer.connected
    if layer.sign is not None and layer.dale == "project":
        frozen &= before * layer.sign >= 0  # the others were wrong, and are now 0
    moved = now.detach().view(torch.int32) != before.view(torch.int32)
    if bool((frozen & moved).any()):
        found.append("a frozen weight")
    return found


def run(number: int) -> list[str]:
    """What was wrong in the case of that number."""
    return Loop(number).run()
