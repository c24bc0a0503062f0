"""Lp, L1, L2: norms of weights, entry by entry unless the matrix norm is asked for."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from netbuild.regularization.arguments import bounded
from netbuild.regularization.base import BaseRegularization
from netbuild.regularization.parameters import Params

Norm: TypeAlias = Literal["entrywise", "matrix"]
Reduction: TypeAlias = Literal["sum", "mean"]


def lp_norm(
    weight: Tensor, p: float = 1, squared: bool = False, mean: bool = False, entries: int = 0
) -> Tensor:
    """The entrywise norm (sum_ij |w_ij|^p)^(1/p) of one parameter of any shape; 0-d.

    `mean` takes the mean over the entries in place of the sum (p=1: the mean magnitude; p=2: the
    root mean square); `squared` squares the result (p=2: the sum, or mean, of squares). The
    gradient at w = 0 is 0, also for the root. An empty parameter has norm 0. `entries` is how many
    there are where `weight` has only some, the others being 0.
    """
    count = max(entries or weight.numel(), 1) if mean else 1
    if p == 2 and squared:
        return weight.square().sum() / count
    # On the CPU vector_norm takes longer over a small L1 than the two operations do.
    is_sum = p == 1 or not weight.numel()
    norm: Tensor = weight.abs().sum() if is_sum else torch.linalg.vector_norm(weight, p)
    if count > 1 and p != math.inf:
        norm = norm * count ** (-1 / p)
    return norm.square() if squared else norm


def matrix_norm(weight: Tensor, p: float = 1, squared: bool = False) -> Tensor:
    """The induced norm of a matrix, max |W x|_p / |x|_p, as `torch.linalg.norm` computes it; 0-d.

    p=1 is the largest column sum of magnitudes, p=2 the largest singular value, p=inf the largest
    row sum. A parameter with leading axes counts as that many matrices; one with fewer than two
    axes has its vector norm.
    """
    if weight.dim() < 2 or not weight.numel():
        return lp_norm(weight, p, squared)
    norm: Tensor = torch.linalg.matrix_norm(weight, p)
    return (norm.square() if squared else norm).sum()


class Lp(BaseRegularization):
    """sum_k ||W_k||_p over the parameters W_k.

    Args:
        params: see `BaseRegularization`.
        Lambda: the weight of the term, >= 0.
        p: the order, >= 1; `math.inf` is the largest magnitude.
        norm: "entrywise" (default) or "matrix", the norm induced on 2-D parameters (p = 1, 2 or
            inf), which moves only one column (p=1), one singular direction (p=2) or one row.
        squared: square each norm.
        reduction: "sum" over the entries of each parameter, or their "mean" (entrywise only), so
            that Lambda need not follow the size of the layer. The mean is over the whole matrix,
            absent connections included, in dense and in sparse storage.
        optimizer: see `BaseRegularization`.

    Raises:
        ValueError: p < 1, an unknown norm or reduction, a mean of a matrix norm, or a matrix norm
            of a weight in sparse storage.
    """

    def __init__(
        self,
        params: Params,
        Lambda: float = 1.0,
        p: float = 1,
        norm: Norm = "entrywise",
        squared: bool = False,
        reduction: Reduction = "sum",
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__(params, Lambda, optimizer)
        self.p, self.norm, self.reduction = check_norm(p, norm, reduction)
        self.squared = squared
        for index, name in enumerate(self.param_names if norm == "matrix" else ()):
            if self.places(index) is not None:
                raise ValueError(
                    f"{name} is stored for its connections alone, and norm='matrix' needs the "
                    "whole matrix; use norm='entrywise', or dense storage"
                )

    def measure(self, index: int, weight: Tensor) -> Tensor:
        """The norm of parameter number `index` that this regularization was told to take; 0-d."""
        if self.norm == "matrix":
            return matrix_norm(weight, self.p, self.squared)
        if self.reduction == "sum":
            return lp_norm(weight, self.p, self.squared)
        return lp_norm(weight, self.p, self.squared, True, self.entries(index))

    def term(self, index: int, weight: Tensor) -> Tensor:
        """||W||_p of one parameter."""
        return self.measure(index, weight)

    def extra_repr(self) -> str:
        """The order and the kind of norm, for `print`."""
        kind = f"{self.norm}, {'squared, ' if self.squared else ''}{self.reduction}"
        return f"p={self.p:g}, {kind}, {super().extra_repr()}"


class L1(Lp):
    """The sum of magnitudes, sum_k sum_ij |w_ij|: the lasso, which drives weights to zero."""

    def __init__(
        self,
        params: Params,
        Lambda: float = 1.0,
        norm: Norm = "entrywise",
        squared: bool = False,
        reduction: Reduction = "sum",
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__(params, Lambda, 1, norm, squared, reduction, optimizer)


class L2(Lp):
    """The Euclidean length, sum_k sqrt(sum_ij w_ij^2); `squared=True` is the sum of squares.

    Only the squared one is weight decay: its gradient is 2 W, that of the length is W / ||W||.
    """

    def __init__(
        self,
        params: Params,
        Lambda: float = 1.0,
        norm: Norm = "entrywise",
        squared: bool = False,
        reduction: Reduction = "sum",
        optimizer: torch.optim.Optimizer | None = None,
    ) -> None:
        super().__init__(params, Lambda, 2, norm, squared, reduction, optimizer)


def check_norm(p: float, norm: Norm, reduction: Reduction) -> tuple[float, Norm, Reduction]:
    """The same three, once they are known to go together."""
    order = math.inf if p == math.inf else bounded("p", p, 1.0, math.inf)
    for name, value, known in (("norm", norm, Norm), ("reduction", reduction, Reduction)):
        if value not in get_args(known):
            raise ValueError(f"{name} must be one of {', '.join(get_args(known))}, not {value!r}")
    if norm == "matrix" and order not in (1, 2, math.inf):
        raise ValueError(f"a matrix norm has p = 1, 2 or inf, not {order:g}")
    if norm == "matrix" and reduction == "mean":
        raise ValueError("a matrix norm has no mean over entries; use reduction='sum'")
    return order, norm, reduction
