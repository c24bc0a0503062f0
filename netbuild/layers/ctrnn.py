"""CTRNNLayer: leaky rate units in continuous time, with input and recurrent maps under masks.

B batch, T time, I inputs, N units, G groups of units that share one alpha.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from netbuild import kernels
from netbuild.kernels import (
    FORMULATIONS,
    InputMap,
    SparseWeight,
    State,
    autocast,
    sparse_linear,
    traced,
)
from netbuild.layers import arguments
from netbuild.layers.arguments import array, dimension, known_keys, one_of, value_and_learn
from netbuild.layers.initial import StartError
from netbuild.layers.linear import LinearLayer
from netbuild.layers.spectrum import spectral_radius
from netbuild.streams import seed_of

SCALINGS = ("euler_maruyama", "nn4n", "none")
KERNELS = ("auto", "compiled", "fused", "reference")
FEW_UNITS = 1024  # for up to so many, the compiled kernel is as fast as the fused one or faster
QUICK = 2_000_000  # values of the largest weight whose spectral radius is always computed
SMALLEST_ALPHA = 1e-4  # to which a learnt alpha is clamped: a time constant of 10,000 steps


class Parameters(NamedTuple):
    """The parameters of one step of a layer; weights are effective ones."""

    input_weight: Tensor | SparseWeight  # (N, I)
    recurrent_weight: Tensor | SparseWeight  # (N, N)
    bias: Tensor  # (N,), of both maps
    alpha: Tensor | float  # (), (N,)


class Noise(NamedTuple):
    """Gaussian noise of strength sigma, and how it depends on the step's alpha."""

    sigma: float
    scaling: str = "euler_maruyama"

    def factor(self, alpha: Tensor | float) -> Tensor | float:
        """The factor of N(0, 1), as this noise is added to W r + ..., which alpha then scales.

        `euler_maruyama`: sqrt(2 / alpha) sigma, with which a unit without input has a stationary
        standard deviation of sigma sqrt(2 / (2 - alpha)), whatever dt is.
        """
        if self.scaling == "nn4n":
            return self.sigma
        if self.scaling == "none":
            return self.sigma / alpha
        share = 2 / alpha
        root = share.sqrt() if isinstance(share, Tensor) else math.sqrt(share)
        return root * self.sigma


class CTRNNLayer(nn.Module):
    """Leaky rate units: Euler's method with the leak alpha = dt / tau.

    With x[t] = W_rec r[t-1] + b_rec + W_in u[t] + b_in + n[t], where n[t] is the noise of a step, a
    step is, in the formulation

    - `current`: v[t] = (1 - alpha) v[t-1] + alpha x[t], r[t] = f(v[t])
      (Song, Yang & Wang 2016, eq. 3);
    - `rate`: r[t] = (1 - alpha) r[t-1] + alpha f(x[t]) (Wilson & Cowan 1972);
    - `update`: r[t] = f((1 - alpha) r[t-1] + alpha x[t]) (Yang et al. 2019).

    The state before the first step is v = r = 0, or the given one.
    `input` and `recurrent` are LinearLayers, so that signs, wiring and plasticity hold for them as
    for any other: attach the layer, or its network, to the optimizer. A learnt alpha then
    stays within [1e-4, 1].

    Args:
        input_dim: number of inputs.
        size: number of units.
        alpha: leak of a step in (0, 1]: a number, an array (size,), or (G,) with `groups`, or
            `{value: ..., learn: bool}` of these. A number or an array alone is not learnt.
        tau, dt: in place of alpha, which is dt / tau; both in the same unit of time.
        groups: (size,) whole numbers from 0 to G - 1: the group of each unit. All units of a group
            share one alpha.
        formulation: `current`, `rate` or `update`.
        activation: f, by name or as `{type: ..., ...}`.
        initial_state: `zero`; or a number or an array (size,), or `{value: ..., learn: bool}`: the
            v before the first step, where r = f(v); in `rate` and `update` the r.
        noise: on the pre-activation: sigma, or `{sigma: ..., scaling: ...}`. n[t] is N(0, 1) times
            sqrt(2 / alpha) sigma in the scaling `euler_maruyama` (the default), sigma in `nn4n`,
            and sigma / alpha in `none`.
        rate_noise: standard deviation of noise on the rates; later layers, and the next step of
            this one, read the noisy rates.
        input_noise: noise on the input of the layer, which after W_in is as strong as `noise`:
            sqrt(2 / alpha) sigma N(0, 1) in `euler_maruyama`, which needs one alpha that is not
            learnt; sigma N(0, 1) in the other scalings.
        input, recurrent: the arguments of `LinearLayer` without the sizes, e.g. `{weight: normal}`.
        kernel: what computes the recurrence: `compiled`, loops in machine code, for dense weights
            on the CPU in float32 or float64; `fused`, torch's operations with gradients by hand;
            `reference`, a plain loop over `step`, whose gradient can be differentiated again; or
            `auto`: `compiled` where it runs and the layer has at most 1,024 units, else `fused`.
            Under autocast, and while torch compiles, exports or transforms (`torch.func`), the
            layer always runs the plain loop.
        seed: of initial values (`input` and `recurrent` may have their own) and noise. None: the
            initial values come from torch's global generator, the noise from seed 0.
        name: of the layer; layers with noise and the same seed need different names. A `Network`
            names the layers that have none.

    Noise is drawn in training only. After `set_step` it is a function of (seed, name, step), until
    then it comes from torch's global generator, as that of `torch.nn.Dropout` does.

    Raises:
        ValueError: a wrong size, shape, word or key; alpha outside (0, 1]; negative sigma;
            neither or both of alpha and tau.
    """

    alpha: Tensor  # (), (N,) or (G,)
    groups: Tensor | None  # (N,)
    initial_state: Tensor | None  # () or (N,)
    bounded_parameters: ClassVar[Mapping[str, tuple[float, float]]] = {
        "alpha": (SMALLEST_ALPHA, 1.0)
    }

    def __init__(
        self,
        input_dim: int,
        size: int,
        *,
        alpha: Any = None,
        tau: Any = None,
        dt: float | None = None,
        groups: Any = None,
        formulation: str = "current",
        activation: str | Mapping[str, Any] = "relu",
        initial_state: Any = "zero",
        noise: Any = None,
        rate_noise: float | None = None,
        input_noise: Any = None,
        input: Mapping[str, Any] | None = None,
        recurrent: Mapping[str, Any] | None = None,
        kernel: str = "auto",
        seed: int | None = None,
        name: str = "",
    ) -> None:
        super().__init__()
        self.input_dim = dimension("input_dim", input_dim)
        self.size = self.output_dim = dimension("size", size)
        self.formulation = one_of("formulation", formulation, FORMULATIONS)
        self.kernel = one_of("kernel", kernel, KERNELS)
        self.activation = arguments.activation(activation)
        groups = None if groups is None else _groups(groups, self.size)
        self.register_buffer("groups", groups)
        self._register("alpha", *_alpha(alpha, tau, dt, groups, self.size))
        self._register("initial_state", *_initial_state(initial_state, self.size))
        self.noise = _noise("noise", noise)
        self.rate_noise = 0.0 if rate_noise is None else _sigma("rate_noise", rate_noise)
        self.input_noise = _noise("input_noise", input_noise)
        euler = self.input_noise is not None and self.input_noise.scaling == "euler_maruyama"
        if euler and (self.alpha.ndim or self.alpha.requires_grad):
            raise ValueError(
                "input_noise scaled by 'euler_maruyama' needs one alpha for all units, which does "
                "not learn, because its strength depends on alpha; use scaling 'none'"
            )
        self.input = self._map("input", input, self.input_dim, seed)
        self.recurrent = self._map("recurrent", recurrent, self.size, seed)
        self.seed = seed or 0
        self.name = name
        self.step_number: int | str | None = None

    @classmethod
    def from_dict(cls, layer_struct: Mapping[str, Any]) -> Self:
        """A layer from a mapping whose keys are the constructor's words.

        Raises ValueError for a missing `input_dim` or `size` and for an unknown key.
        """
        return arguments.made_from(cls, "a ctrnn layer", layer_struct, ("input_dim", "size"))

    # Computation

    @property
    def draws(self) -> bool:
        """Whether a forward pass in training mode draws random numbers."""
        return bool(self.noise or self.rate_noise or self.input_noise)

    def set_step(self, step: int | str | None) -> None:
        """Draw the noise of `step` in every forward pass until it is set again.

        A forward pass does not count steps: running one twice, as activation checkpointing does,
        draws the same noise twice. A text names a stream that is no step's. None: noise comes from
        torch's global generator.
        """
        self.step_number = step

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, input) to the rates, (batch, time, unit).

        The memory of the result is time-major.
        """
        if x.ndim != 3:
            raise ValueError(
                f"a ctrnn layer reads (batch, time, {self.input_dim}); got {tuple(x.shape)}"
            )
        u = x.transpose(0, 1).contiguous()  # (T, B, I)
        parameters = self.parameters_of_step()
        noise = rate_noise = None
        if self.training and self.draws:
            u, noise, rate_noise = self._draw_noise(u, parameters.alpha)
        plain = self.kernel == "reference" or traced() or autocast(u.device)
        run = self._run_steps if plain else self._run_kernel
        return run(u, parameters, noise, rate_noise).transpose(0, 1)

    def kernel_in_use(self) -> str:
        """The kernel that computes the recurrence here: `kernel`, or what `auto` chooses."""
        return self._kernel(self.recurrent.factor)

    def why_not_compiled(self) -> str:
        """Why the compiled kernel cannot run here; empty where it can."""
        return kernels.compiled.why_not(self.recurrent.factor)

    def _kernel(self, weight: Tensor | SparseWeight) -> str:
        if self.kernel != "auto":
            return self.kernel
        is_small = self.size <= FEW_UNITS
        return "compiled" if is_small and kernels.compiled.runs(weight) else "fused"

    def step(
        self,
        u: Tensor,
        state: State,
        params: Parameters,
        noise: Tensor | float = 0.0,
        rate_noise: Tensor | float = 0.0,
    ) -> State:
        """One step, as a pure function: the state after reading u, (..., I).

        Args:
            state: rate (..., N), and in the formulation `current` the potential v, (..., N).
            params: as `parameters_of_step` gives them.
            noise: n[t], a part of x[t], (..., N).
            rate_noise: added to the rates, (..., N).
        """
        alpha = params.alpha
        x = _product(state.rate, params.recurrent_weight, params.bias)
        x = x + _product(u, params.input_weight) + noise
        if self.formulation == "rate":
            rate = (1 - alpha) * state.rate + alpha * self.activation(x)
            return State(rate + rate_noise)
        if self.formulation == "update":
            rate = self.activation((1 - alpha) * state.rate + alpha * x)
            return State(rate + rate_noise)
        assert state.potential is not None
        potential = (1 - alpha) * state.potential + alpha * x
        return State(self.activation(potential) + rate_noise, potential)

    def initial(self, *shape: int) -> State:
        """The state before the first step, as a view of shape (*shape, N)."""
        given = self.initial_state
        first = self.recurrent.weight.new_zeros(()) if given is None else given
        if self.formulation != "current":
            return State(first.expand(*shape, self.size))
        # Without an initial state v = r = 0, even where f(0) is not 0.
        rate = first if given is None else self.activation(first)
        return State(rate.expand(*shape, self.size), first.expand(*shape, self.size))

    def parameters_of_step(self) -> Parameters:
        """The effective weights, the sum of the biases, and alpha for each unit."""
        alpha: Tensor | float = self.alpha
        if self.groups is not None:
            alpha = self.alpha[self.groups]
        elif not (self.alpha.ndim or self.alpha.requires_grad or traced()) and self.alpha.is_cpu:
            alpha = self.alpha.item()  # a plain number spares the kernel a tensor
        bias = self.recurrent.bias + self.input.bias
        return Parameters(self.input.factor, self.recurrent.factor, bias, alpha)

    def _run_kernel(
        self, u: Tensor, params: Parameters, noise: Tensor | None, rate_noise: Tensor | None
    ) -> Tensor:
        drive, inputs = noise, None
        if isinstance(params.input_weight, Tensor):
            inputs = InputMap(u, params.input_weight, params.bias)
        else:
            drive = _product(u, params.input_weight, params.bias)
            drive = drive if noise is None else drive + noise
        rates, _ = kernels.recurrence(
            drive,
            params.recurrent_weight,
            params.alpha,
            self.initial(u.shape[1]),
            formulation=self.formulation,
            activation=self.activation,
            inputs=inputs,
            rate_noise=rate_noise,
            kernel=self._kernel(params.recurrent_weight),
        )
        return rates

    def _run_steps(
        self, u: Tensor, params: Parameters, noise: Tensor | None, rate_noise: Tensor | None
    ) -> Tensor:
        state, rates = self.initial(u.shape[1]), []
        for t in range(len(u)):
            n = 0.0 if noise is None else noise[t]
            m = 0.0 if rate_noise is None else rate_noise[t]
            state = self.step(u[t], state, params, n, m)
            rates.append(state.rate)
        return torch.stack(rates)

    def _draw_noise(
        self, u: Tensor, alpha: Tensor | float
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The input with its noise, and the noise of all steps, (T, B, N) each."""
        noise = rate_noise = None
        if self.input_noise:
            follows_alpha = self.input_noise.scaling == "euler_maruyama"
            strength = self.input_noise.factor(alpha) if follows_alpha else self.input_noise.sigma
            u = u + self._normal("input", u.shape, u) * strength
        shape = torch.Size((*u.shape[:2], self.size))
        if self.noise:
            factor, noise = self.noise.factor(alpha), self._normal("potential", shape, u)
            noise = noise * factor if isinstance(factor, Tensor) else noise.mul_(factor)
        if self.rate_noise:
            rate_noise = self._normal("rate", shape, u).mul_(self.rate_noise)
        return u, noise, rate_noise

    def _normal(self, what: str, shape: torch.Size, like: Tensor) -> Tensor:
        """N(0, 1), a function of (seed, name, step) alone once the step is set."""
        generator = None
        if self.step_number is not None:
            seed = seed_of(self.seed, "noise", self.name, what, self.step_number)
            if kernels.noise.draws(like):
                return kernels.noise.normal(shape, seed)
            generator = torch.Generator(like.device).manual_seed(seed)
        return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)

    # Descriptions

    @torch.no_grad()
    def equation(self) -> dict[str, Any]:
        """The formulation, alpha of each unit (N,), and the state and rate before the first step.

        The initial state is v in the formulation `current`, and r in the others.
        """
        alpha = torch.as_tensor(self.parameters_of_step().alpha, dtype=torch.float32)
        first = self.initial()
        return {
            "formulation": self.formulation,
            "alpha": alpha.expand(self.size),
            "initial_state": first.rate if first.potential is None else first.potential,
            "initial_rate": first.rate,
        }

    def get_specs(self, *, spectrum: bool = False) -> dict[str, int | float | bool | None]:
        """Sizes, the range of alpha, and the spectral radius of the effective recurrent weight.

        `isolated_units` have no recurrent connection with another unit. The radius is None where
        it takes seconds, above QUICK values, unless `spectrum` asks for it.
        """
        alpha = self.alpha.detach()
        quick = spectrum or self.recurrent.weight.numel() <= QUICK
        return {
            "input_dim": self.input_dim,
            "size": self.size,
            "alpha_learnable": self.alpha.requires_grad,
            "alpha_min": alpha.min().item(),
            "alpha_max": alpha.max().item(),
            "initial_state_learnable": self.initial_state is not None
            and self.initial_state.requires_grad,
            "spectral_radius": spectral_radius(self.recurrent.matrix()) if quick else None,
            "isolated_units": self._isolated_units(),
        }

    def _isolated_units(self) -> int:
        if not self.recurrent.is_wired:
            return int(self.size == 1)
        pre, post, _ = self.recurrent.connections()
        met = np.zeros(self.size, bool)
        for ends in (pre, post):
            met[ends[pre != post]] = True
        return int((~met).sum())

    def extra_repr(self) -> str:
        """Sizes and the equation."""
        return f"input_dim={self.input_dim}, size={self.size}, formulation={self.formulation!r}"

    # How it is made

    def _map(
        self, what: str, words: Mapping[str, Any] | None, input_dim: int, seed: int | None
    ) -> LinearLayer:
        words = dict(words or {})
        for key in ("input_dim", "output_dim"):
            if key in words:
                raise ValueError(f"the sizes of `{what}` are the layer's; take {key!r} away")
        if seed is not None:
            words.setdefault("seed", seed_of(seed, what))
        try:
            return LinearLayer.from_dict({"input_dim": input_dim, "output_dim": self.size} | words)
        except StartError as error:
            error.map = what
            raise

    def _register(self, name: str, values: Tensor | None, learn: bool) -> None:
        """A parameter where it learns, else a buffer."""
        if learn and values is not None:
            self.register_parameter(name, nn.Parameter(values))
        else:
            self.register_buffer(name, values)


def _product(x: Tensor, weight: Tensor | SparseWeight, bias: Tensor | None = None) -> Tensor:
    """x Wᵀ + b, (..., input) to (..., output)."""
    if isinstance(weight, SparseWeight):
        return sparse_linear(x, weight.values, weight.pattern, bias)
    return functional.linear(x, weight, bias)


def _values(what: str, given: Any, count: int) -> tuple[Tensor, bool]:
    """Numbers (float64), () or (count,), and whether they learn.

    `given` is these numbers, which then do not learn, or `{value: ..., learn: ...}`.
    """
    given, learn = value_and_learn(what, given, learn=False)
    if given is None:
        raise ValueError(f"{what} needs `value`")
    if isinstance(given, bool):
        raise TypeError(f"{what} must be a number or an array; got {given!r}")
    values = array(what, given)
    if values.shape not in ((), (count,)):
        raise ValueError(f"{what} is {tuple(values.shape)}; expected a number or ({count},)")
    return values, learn


def _groups(given: Any, size: int) -> Tensor:
    groups = array("groups", given).to(torch.long)
    if groups.shape != (size,) or groups.min() < 0:
        raise ValueError(f"groups must be {size} whole numbers from 0")
    return groups


def _alpha(
    alpha: Any, tau: Any, dt: float | None, groups: Tensor | None, size: int
) -> tuple[Tensor, bool]:
    """Alpha, (), (size,) or one for each group, and whether it learns."""
    if (alpha is None) == (tau is None):
        raise ValueError("a ctrnn layer needs either alpha, or tau and dt")
    if (tau is None) != (dt is None):
        raise ValueError("a ctrnn layer needs both tau and dt, or neither: alpha = dt / tau")
    count = size if groups is None else int(groups.max()) + 1
    values, learn = _values("alpha", alpha, count) if tau is None else _values("tau", tau, count)
    if dt is not None:
        values = dt / values
    if groups is not None:
        values = values.expand(count).clone()
    if not bool(((values > 0) & (values <= 1)).all()):
        raise ValueError(
            f"alpha must lie in (0, 1]; got {values.min():g} to {values.max():g}"
            + ("" if dt is None else ": tau must not be below dt")
        )
    return values.to(torch.get_default_dtype()), learn


def _initial_state(given: Any, size: int) -> tuple[Tensor | None, bool]:
    """The state before the first step, () or (size,), None for zero; and whether it learns."""
    if isinstance(given, str):
        one_of("initial_state", given, ("zero",))
        return None, False
    values, learn = _values("initial_state", given, size)
    values = values.to(torch.get_default_dtype())
    return (values.expand(size).clone() if learn else values), learn  # each unit learns its own


def _noise(what: str, given: Any) -> Noise | None:
    if given is None:
        return None
    words = dict(given) if isinstance(given, Mapping) else {"sigma": given}
    known_keys(what, words, Noise._fields)
    if "sigma" not in words:
        raise ValueError(f"{what} needs `sigma`")
    sigma = _sigma(what, words["sigma"])
    scaling = one_of(f"scaling of {what}", words.get("scaling", "euler_maruyama"), SCALINGS)
    return Noise(sigma, scaling) if sigma else None


def _sigma(what: str, given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"{what} must be a number; got {given!r}")
    if not 0 <= given < math.inf:
        raise ValueError(f"{what} must not be negative, and finite; got {given!r}")
    return float(given)
