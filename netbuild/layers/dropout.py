"""Dropout whose masks are a function of (seed, name, step), so that nothing needs saving."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netbuild.streams import seed_of


class Dropout(nn.Module):
    """Sets each unit to 0 with probability p in training, and scales the rest by 1/(1 - p).

    In evaluation it is the identity (Srivastava et al. 2014, "inverted"). The mask of a step is
    drawn on the input's device from a stream of its own: the same seed, name, step, shape and
    device give the same mask, whatever else was drawn before.

    Args:
        p: probability of a zero, in [0, 1).
        seed: of the masks.
        name: of the layer; layers of one seed need different ones.

    Raises:
        ValueError: p outside [0, 1).
    """

    def __init__(self, p: float, *, seed: int = 0, name: str = "") -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
            raise ValueError(f"p of dropout must lie in [0, 1); got {p!r}")
        self.p = float(p)
        self.seed = seed
        self.name = name
        self.step = 0

    def set_step(self, step: int) -> None:
        """Make the next training-mode forward pass that of `step`; each one adds 1."""
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """The input with zeros, in training; the input itself in evaluation. Any shape."""
        if not self.training:
            return x
        seed = seed_of(self.seed, "dropout", self.name, self.step)
        self.step += 1
        if self.p == 0:
            return x
        generator = torch.Generator(x.device).manual_seed(seed)
        mask = torch.empty_like(x).bernoulli_(1 - self.p, generator=generator)
        return x * mask.div_(1 - self.p)

    def extra_repr(self) -> str:
        """The probability, and which stream it is."""
        return f"p={self.p:g}, seed={self.seed}, name={self.name!r}"
