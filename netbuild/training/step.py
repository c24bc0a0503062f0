"""One training step: a learning rule that changes a network's weights by one batch of trials.

Numbers that are not finite are found before they reach a weight; `guard` traces them.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from netbuild.errors import Exit, NetbuildError
from netbuild.language.training import Training
from netbuild.layers import Network, computed_once, linear_maps
from netbuild.regularization import RegularizationList
from netbuild.tasks import Batch
from netbuild.training.guard import are_finite, bad_gradient, clip, diverged, first_bad, total_norm
from netbuild.training.losses import accuracy, has_accuracy, task_loss


class Learner(Protocol):
    """A learning rule: it changes a network by one batch after another."""

    def step(self, step: int, batch: Batch, *, factor: float, logged: bool) -> dict[str, Any]:
        """Take the step of this number, with the learning rate multiplied by `factor`.

        Returns what is logged of the step; nothing unless `logged`. A step of which a number is not
        finite changes no weight. It raises NetbuildError (exit 8), if not now, then at the next
        step with `logged` or from `bad_step`; no step in between changes a weight.
        """

    def bad_step(self) -> int | None:
        """The first step that has changed nothing because of such a number, and has not raised."""


class BackPropagation:
    """Gradient descent on the task's loss and the regularizers, by an optimizer of torch.

    The schedule multiplies the learning rates that the optimizer has when this object is made.

    On the CPU each step raises its own error. To read a number from a GPU means to wait for it, so
    that there a step that is not logged reads one number; with a fused optimizer it reads none, and
    the optimizer's own kernel leaves the step out, as it does for `torch.amp.GradScaler`.
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
        self._raw_maps = [each for each in linear_maps(network).values() if each.is_raw]
        # () int64 on the GPU: the first step that was not taken, or -1; None: each step is read.
        self._not_taken: Tensor | None = None
        skips = getattr(optimizer, "_step_supports_amp_scaling", False)  # as GradScaler asks
        if skips and not any(parameter.is_cpu for parameter in self._learnt):
            self.delay()

    def delay(self) -> None:
        """From here on tell of a bad step when `bad_step` is asked, or a step is logged.

        The optimizer must be able to leave out a step by its `found_inf`, as fused ones are.
        """
        self._not_taken = torch.full((), -1, dtype=torch.int64, device=self._learnt[0].device)

    def bad_step(self) -> int | None:
        """The first step that was not taken and has not raised; waits for the GPU."""
        found = -1 if self._not_taken is None else int(self._not_taken)
        return found if found >= 0 else None

    def step(self, step: int, batch: Batch, *, factor: float, logged: bool) -> dict[str, Any]:
        """Take a step; logs loss, regularizers, accuracy, learning rate and gradient norm."""
        if not all(module.training for module in self._modules):  # a callback evaluated it
            self.network.train()
        for set_step in self._set_step:  # as `network.set_step`, without a look at every module
            set_step(step)
        if self.training.optimizer.schedule is not None:
            self._set_rates(step, factor)
        with computed_once(self._raw_maps):
            output, raw = self._forward(batch)
        loss = total = task_loss(self.training.loss, output, batch)
        if raw:
            total = loss + self.regularizers.total(raw)
        total.backward()  # type: ignore[no-untyped-call]
        norm = None
        if logged or self._not_taken is None:
            norm = self._finite_norm(step, total, batch)
            if norm is not None:
                clip(self._learnt, self._largest, norm)
            self.optimizer.step()
        else:
            self._step_unless_bad(step, total, self._not_taken)
        for parameter in self._learnt:  # as `zero_grad`, which also talks to the profiler
            parameter.grad = None
        return self._logged(loss, total, raw, norm, output, batch) if logged else {}

    def _forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The network's answers, and the raw terms of the regularizers by name."""
        if self._needs_activity:
            output, activity = self.network(batch.inputs, return_activity=True)
            return output, self.regularizers.raw_terms(activity, batch.steps)
        output = self.network(batch.inputs)
        return output, self.regularizers.raw_terms() if len(self.regularizers) else {}

    def _set_rates(self, step: int, factor: float) -> None:
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
            if not math.isfinite(group["lr"]):
                what = f"the learning rate is {group['lr']} at step {step}"
                hint = "the `schedule` of the optimizer grows; write a `factor` below 1"
                raise NetbuildError(what, Exit.DIVERGED, hint)

    @property
    def _largest(self) -> float:
        """The norm to which gradients are clipped; Inf where the training does not clip."""
        largest = self.training.clip_grad_norm
        return math.inf if largest is None else largest

    def _size(self) -> Tensor:
        """A number that is finite where the gradient is, (): its norm, if it is to be clipped."""
        return total_norm(self._learnt, math.inf if self._largest == math.inf else 2.0)

    def _finite_norm(self, step: int, total: Tensor, batch: Batch) -> Tensor | None:
        """The norm of the gradient, None where the training does not clip.

        Raises NetbuildError where it, or the loss, is not finite.
        """
        clips = self._largest < math.inf
        norm = None if total.is_cpu else self._size()
        if norm is not None and bool(total.isfinite() & norm.isfinite()):  # the only wait
            return norm if clips else None
        if not math.isfinite(total.item()):
            found = first_bad(self.network, batch, step) or "a regularizer"
            what = f"the loss is {total.item()} at step {step}; first found in {found}"
            raise diverged(what, at_start=step == 0)
        if not clips and are_finite(p.grad for p in self._learnt if p.grad is not None):
            return None
        norm = total_norm(self._learnt)
        if clips and math.isfinite(norm.item()):
            return norm
        found = bad_gradient(self.network)
        where = f"; first found in that of `{found}`" if found else ""
        what = f"the norm of the gradient is {norm.item()} at step {step}{where}"
        raise diverged(what, at_start=step == 0)

    def _step_unless_bad(self, step: int, total: Tensor, not_taken: Tensor) -> None:
        """Take the step, unless a number of it or of an earlier step is not finite; read nothing.

        The steps after a bad one are left out too, so that it finds the weights as it left them
        when it is told.
        """
        size = self._size()
        good = total.isfinite() & size.isfinite() | (not_taken >= 0)
        self._not_taken = not_taken = torch.where(good, not_taken, step)
        if self._largest < math.inf:
            clip(self._learnt, self._largest, size)
        optimizer: Any = self.optimizer
        optimizer.grad_scale, optimizer.found_inf = None, (not_taken >= 0).float()
        try:
            optimizer.step()
        finally:
            del optimizer.grad_scale, optimizer.found_inf

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
