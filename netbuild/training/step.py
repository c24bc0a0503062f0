"""One training step: a learning rule that changes a network's weights by one batch of trials.

Numbers that are not finite are found before they reach a weight, and traced to their origin.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from netbuild.errors import Exit, NetbuildError
from netbuild.language.training import Training
from netbuild.layers import Network
from netbuild.regularization import RegularizationList
from netbuild.tasks import Batch
from netbuild.training.losses import accuracy, has_accuracy, task_loss


class Learner(Protocol):
    """A learning rule: it changes a network by one batch after another."""

    def step(self, step: int, batch: Batch, *, factor: float, logged: bool) -> dict[str, Any]:
        """Take the step of this number, with the learning rate multiplied by `factor`.

        Returns what is logged of the step; nothing unless `logged`. Raises NetbuildError (exit 8)
        where a number is not finite, before the step has changed a weight.
        """


class BackPropagation:
    """Gradient descent on the task's loss and the regularizers, by an optimizer of torch.

    The schedule multiplies the learning rates that the optimizer has when this object is made.
    """

    def __init__(
        self, network: Network, optimizer: torch.optim.Optimizer, training: Training
    ) -> None:
        own = network.regularizers
        self.network, self.optimizer, self.training = network, optimizer, training
        self.regularizers = own if isinstance(own, RegularizationList) else RegularizationList()
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._learnt = [p for group in optimizer.param_groups for p in group["params"]]
        self._modules = list(network.modules())
        setters = (getattr(module, "set_step", None) for module in self._modules[1:])
        self._set_step = [setter for setter in setters if setter is not None]
        self._needs_activity = self.regularizers.needs_activity

    def step(self, step: int, batch: Batch, *, factor: float, logged: bool) -> dict[str, Any]:
        """Take a step; logs loss, regularizers, accuracy, learning rate and gradient norm."""
        if not all(module.training for module in self._modules):  # a callback evaluated it
            self.network.train()
        for set_step in self._set_step:  # as `network.set_step`, without a look at every module
            set_step(step)
        if self.training.optimizer.schedule is not None:
            self._set_rates(step, factor)
        activity: dict[str, Tensor] | None = None
        if self._needs_activity:
            output, activity = self.network(batch.inputs, return_activity=True)
        else:
            output = self.network(batch.inputs)
        loss = total = task_loss(self.training.loss, output, batch)
        raw: dict[str, Tensor] = {}
        if len(self.regularizers):
            raw = self.regularizers.raw_terms(activity, batch.steps)
            total = loss + self.regularizers.total(raw)
        total.backward()  # type: ignore[no-untyped-call]
        if not math.isfinite(total.item()):
            found = first_bad(self.network, batch, step) or "a regularizer"
            what = f"the loss is {total.item()} at step {step}; first found in {found}"
            raise diverged(what, at_start=step == 0)
        norm = self._clip(step)
        self.optimizer.step()
        for parameter in self._learnt:  # as `zero_grad`, which also talks to the profiler
            parameter.grad = None
        return self._logged(loss, total, raw, norm, output, batch) if logged else {}

    def _set_rates(self, step: int, factor: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
            if not math.isfinite(group["lr"]):
                what = f"the learning rate is {group['lr']} at step {step}"
                hint = "the `schedule` of the optimizer grows; write a `factor` below 1"
                raise NetbuildError(what, Exit.DIVERGED, hint)

    def _clip(self, step: int) -> Tensor | None:
        """Clip the gradient and return its norm before; None where the training does not clip."""
        largest = self.training.clip_grad_norm
        if largest is None and are_finite(p.grad for p in self._learnt if p.grad is not None):
            return None
        norm = total_norm(self._learnt)
        if largest is not None and math.isfinite(norm.item()):
            torch.nn.utils.clip_grads_with_norm_(self._learnt, largest, norm)
            return norm
        found = bad_gradient(self.network)
        where = f"; first found in that of `{found}`" if found else ""
        what = f"the norm of the gradient is {norm.item()} at step {step}{where}"
        raise diverged(what, at_start=step == 0)

    def _logged(
        self,
        loss: Tensor,
        total: Tensor,
        raw: dict[str, Tensor],
        norm: Tensor | None,
        output: Tensor,
        batch: Batch,
    ) -> dict[str, Any]:
        values: dict[str, Any] = {"loss": loss.item(), "total": total.item()}
        values["regularizers"] = {
            name: {"raw": term.item(), "weighted": term.item() * self.regularizers.weight(name)}
            for name, term in raw.items()
        }
        if has_accuracy(self.training.loss, batch):
            values["accuracy"] = accuracy(output, batch)
        values["lr"] = self.optimizer.param_groups[0]["lr"]
        if norm is not None:
            values["grad_norm"] = norm.item()
        return values


def diverged(what: str, *, at_start: bool = False) -> NetbuildError:
    """The error (exit 8) of a training whose numbers are no longer finite."""
    hint = "a smaller `lr`, or `clip_grad_norm`, may help"
    if at_start:  # no step has been taken, so the learning rate is not the cause
        hint = (
            "the initial network explodes; `recurrent: {ei_balance: row}` or `{spectral_radius: 1}`"
            " may help, or smaller weights"
        )
    return NetbuildError(what, Exit.DIVERGED, hint)


def total_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The norm of all gradients together, (); NaN or Inf if one of them holds NaN or Inf."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether tensors hold no NaN and no Inf.

    The tensors are summed in one fast pass. A sum that is not finite may also come from large
    values, so every value is looked at then.
    """
    values = list(tensors)
    sums = [tensor.sum() for tensor in values]
    if not values or all(tensor.is_cpu for tensor in values):
        finite = math.isfinite(sum(each.item() for each in sums))
    else:  # wait for the GPU once
        finite = math.isfinite(torch.stack(sums).sum().item())
    return finite or not any(_is_bad(tensor) for tensor in values)


def bad_gradient(network: Network) -> str:
    """The first parameter whose gradient is not finite; "" if there is none.

    There may be none although the norm is infinite, since the squares of large values overflow.
    """
    gradients = ((name, p.grad) for name, p in network.named_parameters())
    return next((name for name, grad in gradients if grad is not None and _is_bad(grad)), "")


@torch.no_grad()
def first_bad(network: Network, batch: Batch, step: int) -> str:
    """The first place, in the order of computation, with a number that is not finite, or "".

    The forward pass of the step is computed again, with the same noise.
    """
    found = (what for what, values in _in_order(network, batch, step) if _is_bad(values))
    return next(found, "")


def _in_order(network: Network, batch: Batch, step: int) -> Iterator[tuple[str, Tensor]]:
    yield "the inputs", batch.inputs
    yield "the targets", batch.targets
    if batch.loss_mask is not None:
        yield "the loss mask", batch.loss_mask
    for name, parameter in network.named_parameters():
        yield f"`{name}`", parameter
    network.set_step(step)
    _, activity = network(batch.inputs, return_activity=True)
    for name, values in activity.items():
        yield f"the activity of `{name}`", values


def _is_bad(values: Tensor) -> bool:
    return values.is_floating_point() and not bool(values.isfinite().all())
