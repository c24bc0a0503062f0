"""A task from arrays: samples shuffled in every epoch, validation samples and a test set."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netbuild.splits import split_of
from netbuild.streams import seed_of
from netbuild.tasks.task import Batch


class ArraysTask:
    """Inputs (sample, input) and targets (sample,) or (sample, output), split once.

    Of trials, inputs are (trial, time, input) and targets (trial, time) or (trial, time, output);
    `loss_mask` (trial, time) says how much each step counts. `variables` are arrays of one value a
    sample or trial, which every batch has beside it.

    `train` is the fraction of samples trained on, and `validation` that of those that choices are
    made on, both drawn by `split_seed`; the rest are the test set, or with `train=1` the training
    samples serve as that too. The order of epoch e is a
    permutation seeded by (`seed`, "order", e): any batch can be had without those before it.
    Floating-point numbers are taken in torch's default precision, as layers have it.
    Raises ValueError when the arrays differ in length or a part of the split gets no sample.
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        *,
        loss_mask: Any = None,
        variables: Mapping[str, Any] | None = None,
        train: float = 0.8,
        validation: float = 0.0,
        split_seed: int = 0,
        seed: int = 0,
    ) -> None:
        inputs, targets = _in_precision(inputs), _in_precision(targets)
        if len(inputs) != len(targets):
            raise ValueError(f"{len(targets)} targets for {len(inputs)} samples")
        mask = None if loss_mask is None else _in_precision(loss_mask)
        if mask is not None and mask.shape != inputs.shape[:2]:
            wanted = f"(trial, time) = {tuple(inputs.shape[:2])}"
            raise ValueError(f"a loss mask is {wanted}, not {tuple(mask.shape)}")
        self.variables = {name: np.asarray(array) for name, array in (variables or {}).items()}
        for name, array in self.variables.items():
            if len(array) != len(inputs):
                raise ValueError(f"{len(array)} values of {name} for {len(inputs)} samples")
        parts = map(torch.from_numpy, split_of(len(inputs), train, split_seed, validation))
        self.train_indices, self.validation_indices, self.test_indices = parts
        self.seed = seed
        samples = Batch(inputs, targets, mask)
        self._train, self._test = map(samples.at, (self.train_indices, self.test_indices))
        self._validation = samples.at(self.validation_indices)
        # An epoch, and its order on the samples' device and on the CPU.
        self._order: tuple[int, Tensor, Tensor] = (-1, self.train_indices, self.train_indices)

    def to(self, device: torch.device | str) -> ArraysTask:
        """The same task with its samples on a device; they are moved once, not in every step."""
        moved = copy(self)
        moved._train, moved._test = self._train.to(device), self._test.to(device)
        moved._validation = self._validation.to(device)
        moved._order = (-1, *self._order[1:])
        return moved

    @property
    def targets(self) -> tuple[Tensor, Tensor]:
        """The targets of the samples that are trained on, and of the test set."""
        return self._train.targets, self._test.targets

    def steps_per_epoch(self, size: int) -> int:
        """How many batches of `size` an epoch has; the last one may be smaller."""
        return -(-len(self.train_indices) // size)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The batch of one step: inputs (batch, input) and their targets."""
        epoch, position = divmod(step, self.steps_per_epoch(size))
        if self._order[0] != epoch:
            generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
            order = torch.randperm(len(self.train_indices), generator=generator)
            device = self._train.inputs.device
            self._order = epoch, order.to(device, non_blocking=device.type != "cpu"), order
        chosen, rows = (order[position * size : (position + 1) * size] for order in self._order[1:])
        trials = self._rows(self.train_indices[rows]) if self.variables else None
        return self._train.at(chosen)._replace(trials=trials)

    def evaluation(self) -> Batch:
        """The whole test set; `trials` tells which samples of the file they are."""
        return self._with_rows(self._test, self.test_indices)

    def validation(self) -> Batch | None:
        """All validation samples, as `evaluation` gives the test set; None without any."""
        indices = self.validation_indices
        return self._with_rows(self._validation, indices) if len(indices) else None

    def _with_rows(self, samples: Batch, indices: Tensor) -> Batch:
        return samples._replace(trials={"sample": indices.numpy(), **self._rows(indices)})

    def _rows(self, indices: Tensor) -> dict[str, Any]:
        return {name: array[indices.numpy()] for name, array in self.variables.items()}


def _in_precision(values: Any) -> Tensor:
    """The values as a tensor, floating-point ones in torch's default precision."""
    tensor = torch.as_tensor(values)
    return tensor.to(torch.get_default_dtype()) if tensor.is_floating_point() else tensor
