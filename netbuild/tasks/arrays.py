"""A task from arrays: samples that are shuffled anew in every epoch, and a test set."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from netbuild.masks import round_half_up
from netbuild.streams import seed_of
from netbuild.tasks.task import Batch


class ArraysTask:
    """Inputs (sample, input) and targets (sample,) or (sample, output), split once.

    `train` is the fraction of samples trained on, chosen by `split_seed`; the rest are the test
    set, or with `train=1` the training samples serve as that too. The order of epoch e is a
    permutation seeded by (`seed`, "order", e): any batch can be had without those before it.
    Raises ValueError when the arrays differ in length or nothing is left to train on.
    """

    def __init__(
        self, inputs: Any, targets: Any, *, train: float = 0.8, split_seed: int = 0, seed: int = 0
    ) -> None:
        inputs, targets = torch.as_tensor(inputs), torch.as_tensor(targets)
        if len(inputs) != len(targets):
            raise ValueError(f"{len(targets)} targets for {len(inputs)} samples")
        count = round_half_up(train, len(inputs))
        if not 0 < count <= len(inputs):
            raise ValueError(f"{count} of {len(inputs)} samples to train on (train={train})")
        order = torch.randperm(len(inputs), generator=_generator(split_seed, "split"))
        self.train_indices, self.test_indices = order[:count], order[count:]
        if not len(self.test_indices):
            self.test_indices = self.train_indices
        self.seed = seed
        self._train = inputs[self.train_indices], targets[self.train_indices]
        self._test = inputs[self.test_indices], targets[self.test_indices]
        self._order: tuple[int, Tensor] = (-1, self.train_indices)

    def to(self, device: torch.device | str) -> ArraysTask:
        """The same task with its samples on a device; they are moved once, not in every step."""
        moved = copy(self)
        moved._train = self._train[0].to(device), self._train[1].to(device)
        moved._test = self._test[0].to(device), self._test[1].to(device)
        moved._order = (-1, self._order[1])
        return moved

    def steps_per_epoch(self, size: int) -> int:
        """How many batches of `size` an epoch has; the last one may be smaller."""
        return -(-len(self.train_indices) // size)

    def batch(self, step: int, size: int, rng: np.random.Generator | None = None) -> Batch:
        """The batch of one step: inputs (batch, input) and their targets."""
        epoch, position = divmod(step, self.steps_per_epoch(size))
        inputs, targets = self._train
        if self._order[0] != epoch:
            order = torch.randperm(len(inputs), generator=_generator(self.seed, "order", epoch))
            self._order = epoch, order.to(inputs.device)
        chosen = self._order[1][position * size : (position + 1) * size]
        return Batch(inputs.index_select(0, chosen), targets.index_select(0, chosen))

    def evaluation(self) -> Batch:
        """The whole test set; `trials` tells which samples of the file they are."""
        return Batch(*self._test, trials={"sample": self.test_indices.numpy()})


def _generator(seed: int, *names: str | int) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(seed, *names))
