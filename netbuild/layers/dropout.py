"""Dropout whose masks can be a function of (seed, name, step), so that nothing needs saving."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from netbuild.streams import seed_of


class Dropout(nn.Module):
    """Sets each unit to 0 with probability p in training, and scales the rest by 1/(1 - p).

    In evaluation it is the identity (Srivastava et al. 2014, "inverted"). After `set_step` the mask
    is drawn on the input's device from a separate stream: the same seed, name, step, shape and
    device give the same mask, whatever else was drawn before. Until then it comes from torch's
    global generator, as masks of `torch.nn.Dropout` do.

    Args:
        p: probability of a zero, in [0, 1).
        seed: of the masks.
        name: of the layer; layers of one seed need different names. A `Network` names the layers
            that have none.

    Raises:
        ValueError: p outside [0, 1).
    """

    keeps_width: ClassVar[bool] = True  # it gives as many units as it reads

    def __init__(self, p: float, *, seed: int = 0, name: str = "") -> None:
        super().__init__()
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
            raise ValueError(f"p of dropout must lie in [0, 1); got {p!r}")
        self.p = float(p)
        self.seed = seed
        self.name = name
        self.step: int | None = None

    @property
    def draws(self) -> bool:
        """Whether a forward pass in training mode draws random numbers."""
        return self.p > 0

    def set_step(self, step: int | None) -> None:
        """Draw the mask of `step` in every forward pass until it is set again.

        A forward pass does not count steps. None: masks come from torch's global generator.
        """
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        """The input with zeros, in training; the input itself in evaluation. Any shape."""
        if not self.training or not self.draws:
            return x
        generator = None
        if self.step is not None:
            seed = seed_of(self.seed, "dropout", self.name, self.step)
            generator = torch.Generator(x.device).manual_seed(seed)
        mask = torch.empty_like(x).bernoulli_(1 - self.p, generator=generator)
        return x * mask.div_(1 - self.p)

    def extra_repr(self) -> str:
        """The probability, and which stream it is."""
        return f"p={self.p:g}, seed={self.seed}, name={self.name!r}"
