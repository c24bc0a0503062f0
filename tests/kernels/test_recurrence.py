"""The recurrence against a plain loop under autograd, and against finite differences.

Each law holds for the fused kernel with a dense weight and with one that has values on its
connections only, and for the compiled kernel.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import (
    ACTIVATIONS,
    FORMULATIONS,
    Pattern,
    SparseWeight,
    State,
    activation,
    pattern,
    recurrence,
)

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda v: v,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "retanh": lambda v: torch.tanh(torch.relu(v)),
    "power": lambda v: torch.relu(v) ** 2,
}
SMOOTH = ["linear", "tanh", "sigmoid", "softplus"]
ALPHAS = ["number", "scalar", "unit", "one"]
STORED = ["dense", "sparse", "compiled"]


@dataclass
class Case:
    """The arguments of a recurrence."""

    drive: Tensor  # (time, ..., batch, unit)
    weight: Tensor  # or with a pattern the values (connection,)
    alpha: float | Tensor
    rate: Tensor
    potential: Tensor | None
    rate_noise: Tensor | None
    formulation: str
    name: str
    pattern: Pattern | None = None
    kernel: str = "fused"

    def tensors(self) -> dict[str, Tensor]:
        """Those that may have a gradient, by name."""
        return {name: each for name, each in vars(self).items() if isinstance(each, Tensor)}

    def with_gradients(self) -> Case:
        leaves = {name: t.detach().clone().requires_grad_() for name, t in self.tensors().items()}
        return replace(self, **leaves)


def draw(
    formulation: str,
    name: str,
    *,
    time: int = 6,
    batch: int = 3,
    units: int = 4,
    ensemble: tuple[int, ...] = (),
    alpha: str = "number",
    rate_noise: bool = True,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Case:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=dtype)

    state = (*ensemble, batch, units)
    share = torch.rand(*ensemble, units, generator=generator, dtype=dtype) * 0.8 + 0.1
    alphas = {"number": 0.3, "one": 1.0, "scalar": torch.tensor(0.3, dtype=dtype), "unit": share}
    return Case(
        drive=normal(time, *state),
        weight=normal(*ensemble, units, units) / units**0.5,
        alpha=alphas[alpha],
        rate=normal(*state).abs(),
        potential=normal(*state) if formulation == "current" else None,
        rate_noise=normal(time, *state) * 0.3 if rate_noise else None,
        formulation=formulation,
        name=name,
    )


def sparse(case: Case, density: float = 0.5) -> Case:
    """The same on a random wiring, of a weight without ensemble axes."""
    mask = torch.rand(case.weight.shape, generator=torch.Generator().manual_seed(2)) < density
    rows = functional.pad(mask.sum(1).cumsum(0), (1, 0))
    where = pattern(rows, mask.nonzero()[:, 1], mask.shape[1])
    return replace(case, weight=case.weight[mask], pattern=where)


def stored_as(stored: str, case: Case, density: float = 0.5) -> Case:
    """The same with a dense weight for either kernel, or with a sparse weight."""
    if stored == "compiled":
        return replace(case, kernel=stored)
    return sparse(case, density) if stored == "sparse" else case


def weight_of(case: Case) -> Tensor | SparseWeight:
    return case.weight if case.pattern is None else SparseWeight(case.weight, case.pattern)


def ours(case: Case) -> tuple[Tensor, State]:
    return recurrence(
        case.drive,
        weight_of(case),
        case.alpha,
        State(case.rate, case.potential),
        formulation=case.formulation,
        activation=activation(case.name),
        rate_noise=case.rate_noise,
        kernel=case.kernel,
    )


def plain(case: Case) -> tuple[Tensor, State]:
    """The equations, one step after the other."""
    f, r, v = FUNCTIONS[case.name], case.rate, case.potential
    weight = case.weight
    if case.pattern is not None:
        posts = torch.arange(len(case.pattern.rows) - 1)
        posts = posts.repeat_interleave(case.pattern.rows.diff())
        places = (posts, case.pattern.columns.long())
        weight = weight.new_zeros(case.pattern.shape).index_put(places, weight)
    a: Any = case.alpha
    if isinstance(a, Tensor) and a.dim() > 0:
        a = a.unsqueeze(-2)
    rates = []
    for t in range(len(case.drive)):
        m = 0 if case.rate_noise is None else case.rate_noise[t]
        current = r @ weight.mT + case.drive[t]
        if case.formulation == "current":
            assert v is not None
            v = (1 - a) * v + a * current
            r = f(v) + m
        elif case.formulation == "rate":
            r = (1 - a) * r + a * f(current) + m
        else:
            r = f((1 - a) * r + a * current) + m
        rates.append(r)
    return torch.stack(rates), State(r, v)


def outcome(run: Callable[[Case], tuple[Tensor, State]], case: Case) -> dict[str, Tensor]:
    """All results, and the gradients of all tensors for a loss that reads all results."""
    case = case.with_gradients()
    rates, last = run(case)
    generator = torch.Generator().manual_seed(1)
    results = {"rates": rates, "last rate": last.rate}
    if last.potential is not None:
        results["last potential"] = last.potential
    loss = torch.zeros((), dtype=rates.dtype)
    for result in results.values():
        loss = loss + (result * torch.randn(result.shape, generator=generator).to(result)).sum()
    tensors = case.tensors()
    gradients = torch.autograd.grad(loss, list(tensors.values()))
    named = {f"gradient of {n}": g for n, g in zip(tensors, gradients, strict=True)}
    return {name: value.detach() for name, value in {**results, **named}.items()}


def assert_equal_to_plain(case: Case) -> None:
    single = case.drive.dtype == torch.float32
    precise = replace(case, **{name: tensor.double() for name, tensor in case.tensors().items()})
    found, expected = outcome(ours, case), outcome(plain, precise)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # Sums whose terms cancel are as precise as their terms: absolute in the largest entry.
        largest = max(1.0, value.abs().max().item() if value.numel() else 0)
        absolute = (1e-5 if single else 1e-10) * largest
        torch.testing.assert_close(
            found[name],
            value.to(case.drive.dtype),
            rtol=1e-5 if single else 1e-10,
            atol=absolute,
            msg=lambda text, name=name: f"{name}: {text}",
        )


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_values_and_all_gradients_are_those_of_the_plain_loop(
    formulation: str, name: str, alpha: str
) -> None:
    for dtype in (torch.float32, torch.float64):
        for noisy in (False, True):
            case = draw(formulation, name, alpha=alpha, rate_noise=noisy, dtype=dtype)
            for stored in STORED:
                assert_equal_to_plain(stored_as(stored, case))


@settings(max_examples=60, deadline=None)
@given(
    formulation=st.sampled_from(list(FORMULATIONS)),
    name=st.sampled_from(list(ACTIVATIONS)),
    alpha=st.sampled_from(ALPHAS),
    time=st.integers(1, 5),
    batch=st.integers(1, 4),
    units=st.integers(1, 5),
    ensemble=st.sampled_from([(), (1,), (3,), (2, 3)]),
    rate_noise=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_any_shape(**words: Any) -> None:
    assert_equal_to_plain(draw(**words))
    if not words["ensemble"]:
        assert_equal_to_plain(replace(draw(**words), kernel="compiled"))
        for density in (0, 0.3, 1):
            assert_equal_to_plain(sparse(draw(**words), density))


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("alpha", ["number", "scalar", "unit"])
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_gradients_are_those_of_finite_differences(
    formulation: str, name: str, alpha: str, stored: str
) -> None:
    case = draw(formulation, name, time=3, batch=2, units=3, alpha=alpha)
    if name not in SMOOTH:
        case = away_from_the_kink(case)
    case = (stored_as(stored, case, 0.7)).with_gradients()
    names, leaves = list(case.tensors()), list(case.tensors().values())

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        rates, last = ours(replace(case, **dict(zip(names, tensors, strict=True))))
        return (rates,) if last.potential is None else (rates, last.potential)

    assert torch.autograd.gradcheck(function, leaves)


def away_from_the_kink(case: Case) -> Case:
    """The same with a drive that puts every potential at least .3 above or below 0."""
    up = torch.where(torch.arange(case.drive.shape[-1]) % 2 == 0, 1.0, -1.0).to(case.drive)
    quiet = {"weight": case.weight * 0.1, "rate": case.rate.clamp(max=1) * (up > 0)}
    assert case.rate_noise is not None
    quiet["rate_noise"] = case.rate_noise * 0.1
    drive = up * (3 + case.drive.clamp(-1, 1))
    potential = None if case.potential is None else up * (case.potential.abs() + 1)
    return replace(case, **quiet, drive=drive, potential=potential)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_only_what_is_asked_for_has_a_gradient(formulation: str, stored: str) -> None:
    case = draw(formulation, "tanh", alpha="unit")
    case = stored_as(stored, case)
    expected = outcome(plain, case)
    for name in case.tensors():
        leaf = getattr(case, name).clone().requires_grad_()
        rates, last = ours(replace(case, **{name: leaf}))
        loss = torch.zeros((), dtype=rates.dtype)
        generator = torch.Generator().manual_seed(1)
        for result in (rates, last.rate, last.potential):
            if result is not None:
                weights = torch.randn(result.shape, generator=generator).to(result)
                loss = loss + (result * weights).sum()
        loss.backward()
        torch.testing.assert_close(leaf.grad, expected[f"gradient of {name}"])


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_two_calls_in_a_row_are_one(formulation: str, stored: str) -> None:
    case = draw(formulation, "softplus", time=7)
    case = stored_as(stored, case).with_gradients()
    whole, last = ours(case)
    assert case.rate_noise is not None
    state, parts = State(case.rate, case.potential), []
    for steps in (slice(0, 3), slice(3, 7)):
        rates, state = recurrence(
            case.drive[steps],
            weight_of(case),
            case.alpha,
            state,
            formulation=formulation,
            activation=activation("softplus"),
            rate_noise=case.rate_noise[steps],
            kernel=case.kernel,
        )
        parts.append(rates)
    torch.testing.assert_close(torch.cat(parts), whole)
    leaves = list(case.tensors().values())
    both = [torch.autograd.grad(r.square().sum(), leaves) for r in (torch.cat(parts), whole)]
    torch.testing.assert_close(*both)
    torch.testing.assert_close(state.rate, last.rate)
    torch.testing.assert_close(state.potential, last.potential)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("alpha", ["number", "unit"])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_same_bits_each_time_and_without_gradients(
    formulation: str, alpha: str, stored: str
) -> None:
    words: dict[str, Any] = {"time": 9, "batch": 5, "units": 33, "dtype": torch.float32}
    for noisy in (False, True):
        case = draw(formulation, "relu", alpha=alpha, rate_noise=noisy, **words)
        case = stored_as(stored, case).with_gradients()
        first, second = outcome(ours, case), outcome(ours, case)
        assert all(torch.equal(first[name], second[name]) for name in first)
        with one_thread():
            first = outcome(ours, case)
            with torch.no_grad():
                rates, last = ours(case)
            with torch.inference_mode():
                again = ours(case)[0]
        assert torch.equal(rates, first["rates"])
        assert torch.equal(again, rates)
        assert torch.equal(last.rate, first["last rate"])
        if last.potential is not None:
            assert torch.equal(last.potential, first["last potential"])


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, on which the bits of a product do not depend on where its result lies.

    With two, MKL divides the work by the address on some processors (seen on AMD EPYC, AVX2), and
    without gradients the rates of a step lie elsewhere than with them.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_arguments_stay_as_they_are(formulation: str, stored: str) -> None:
    case = draw(formulation, "relu", alpha="unit")
    case = stored_as(stored, case).with_gradients()
    before = {name: tensor.detach().clone() for name, tensor in case.tensors().items()}
    rates, _ = ours(case)
    grad = torch.randn_like(rates)
    kept = grad.clone()
    rates.backward(grad, retain_graph=True)
    once = case.weight.grad
    assert once is not None
    once = once.clone()
    rates.backward(grad)  # the same graph again: nothing saved was overwritten
    torch.testing.assert_close(case.weight.grad, 2 * once)
    assert torch.equal(grad, kept)
    assert all(torch.equal(tensor, before[name]) for name, tensor in case.tensors().items())


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_layouts_do_not_matter(formulation: str) -> None:
    case = draw(formulation, "tanh", alpha="unit")
    expected = outcome(ours, case)
    batch_first = {
        name: getattr(case, name).transpose(0, 1).contiguous().transpose(0, 1)
        for name in ("drive", "rate_noise")
    }
    other = replace(case, weight=case.weight.mT.contiguous().mT, **batch_first).with_gradients()
    rates, _ = ours(other)
    assert rates.is_contiguous()
    torch.testing.assert_close(rates, expected["rates"])
    leaves = list(other.tensors().values())  # the drive, the weight, ...
    gradients = [
        torch.autograd.grad(rates, leaves, weights.to(rates), retain_graph=True)
        for weights in (torch.ones(()).expand(rates.shape), torch.ones(rates.shape))
    ]
    for each, contiguous in zip(*gradients, strict=True):
        assert torch.equal(each, contiguous)
    (mean,) = torch.autograd.grad(rates.mean(), other.weight)
    torch.testing.assert_close(mean, gradients[0][1] / rates.numel())


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_layouts_do_not_matter_to_sparse_weights(formulation: str) -> None:
    case = sparse(draw(formulation, "tanh", alpha="unit"))
    expected = outcome(ours, case)
    for order in [(0, 2, 1), (1, 0, 2), (2, 0, 1), (2, 1, 0)]:
        back = torch.argsort(torch.tensor(order)).tolist()
        steps = {
            name: getattr(case, name).permute(order).contiguous().permute(back)
            for name in ("drive", "rate_noise")
        }
        state = {"rate": case.rate.mT.contiguous().mT}
        other = outcome(ours, replace(case, **steps, **state))
        assert all(torch.equal(other[name], value) for name, value in expected.items())
    rates, _ = ours(case)
    assert rates.mT.is_contiguous()


@pytest.mark.parametrize("time", [1, 4])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_sparse_networks_that_start_at_rest(formulation: str, time: int) -> None:
    """Their first product is left out; the rates before it may want a gradient all the same."""
    case = draw(formulation, "softplus", alpha="unit", time=time)
    assert_equal_to_plain(sparse(replace(case, rate=torch.zeros_like(case.rate))))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_sparse_weights_give_the_same_bits_under_deterministic_algorithms(
    formulation: str, threads: int
) -> None:
    case = sparse(draw(formulation, "relu", alpha="unit", batch=5, units=300, dtype=torch.float32))
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    try:
        first, *others = (outcome(ours, case) for _ in range(3))
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
    for other in others:
        assert all(torch.equal(other[name], value) for name, value in first.items())


@pytest.mark.parametrize("stored", STORED)
def test_states_broadcast_and_so_do_their_gradients(stored: str) -> None:
    case = draw("current", "tanh")
    case = stored_as(stored, case)
    rate = torch.rand(4, dtype=torch.float64, requires_grad=True)
    potential = torch.zeros((), dtype=torch.float64, requires_grad=True)
    narrow = replace(case, rate=rate, potential=potential)
    wide = replace(narrow, rate=rate.expand(3, 4), potential=potential.expand(3, 4))
    found, expected = (
        torch.autograd.grad(run(each)[0].square().sum(), [rate, potential])
        for run, each in ((ours, narrow), (plain, wide))
    )
    torch.testing.assert_close(found, expected)


def test_one_alpha_for_an_ensemble_collects_the_gradients_of_all() -> None:
    for alpha in (torch.tensor(0.4), torch.tensor([0.2, 0.4, 0.6, 0.8])):
        case = draw("current", "tanh", ensemble=(2, 3))
        assert_equal_to_plain(replace(case, alpha=alpha.double()))


def test_an_ensemble_is_its_networks() -> None:
    case = draw("current", "relu", ensemble=(3,), alpha="unit")
    together, last = ours(case)
    for k in range(3):
        own = {name: getattr(case, name)[k] for name in ("weight", "alpha", "rate", "potential")}
        steps = {name: getattr(case, name)[:, k] for name in ("drive", "rate_noise")}
        alone, state = ours(replace(case, **own, **steps))
        torch.testing.assert_close(together[:, k], alone)
        assert last.potential is not None
        torch.testing.assert_close(last.potential[k], state.potential)


def test_nothing_is_kept_without_gradients_and_no_alpha_no_potentials() -> None:
    case = draw("current", "relu", rate_noise=False)
    assert ours(case)[0].grad_fn is None
    rates, _ = ours(replace(case, weight=case.weight.requires_grad_()))
    node = recurrence_node(rates)
    kept = [tensor for tensor in node.saved_tensors if tensor is not None]
    assert sum(tensor.shape == rates.shape for tensor in kept) == 1  # the rates alone


def recurrence_node(rates: Tensor) -> Any:
    node: Any = rates.grad_fn
    while not hasattr(node, "saved_tensors"):
        node = node.next_functions[0][0]
    return node


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_the_memory_goes_with_the_results(formulation: str, stored: str) -> None:
    """No circle holds a graph until the garbage collector comes by."""
    gc.disable()
    try:
        case = draw(formulation, "relu", alpha="unit")
        case = stored_as(stored, case).with_gradients()
        result = ours(case)
        gone = [weakref.ref(case.drive), weakref.ref(recurrence_node(result[0]))]
        del case, result
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_differentiating_twice_is_reours() -> None:
    case = draw("update", "tanh").with_gradients()
    rates, _ = ours(case)
    (gradient,) = torch.autograd.grad(rates.square().sum(), case.weight, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_shapes_on_the_meta_device(formulation: str) -> None:
    case = draw(formulation, "power", alpha="unit", ensemble=(2,))
    there = {name: tensor.to("meta") for name, tensor in case.tensors().items()}
    case = replace(case, **there).with_gradients()
    rates, _ = ours(case)
    assert rates.shape == case.drive.shape
    gradients = torch.autograd.grad(rates.sum(), list(case.tensors().values()))
    assert [g.shape for g in gradients] == [t.shape for t in case.tensors().values()]


@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_shapes_of_sparse_weights_on_the_meta_device(formulation: str) -> None:
    case = sparse(draw(formulation, "power", alpha="unit"))
    assert case.pattern is not None
    there: dict[str, Any] = {name: tensor.to("meta") for name, tensor in case.tensors().items()}
    case = replace(case, **there, pattern=case.pattern.to("meta")).with_gradients()
    rates, _ = ours(case)
    assert rates.shape == case.drive.shape
    gradients = torch.autograd.grad(rates.sum(), list(case.tensors().values()))
    assert [g.shape for g in gradients] == [t.shape for t in case.tensors().values()]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_cuda_and_the_processor_agree(formulation: str, name: str, stored: str) -> None:
    case = draw(formulation, name, alpha="unit")
    case = stored_as(stored, case)
    there = replace(case, **{n: tensor.cuda() for n, tensor in case.tensors().items()})
    if case.pattern is not None:
        there = replace(there, pattern=case.pattern.to("cuda"))
    found, expected = outcome(ours, there), outcome(ours, case)
    for key, value in expected.items():
        torch.testing.assert_close(found[key].cpu(), value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"formulation": "euler"}, r"one of current, rate, update; got 'euler'"),
        ({"alpha": 0.0}, r"alpha must be in \(0, 1\]; got 0.0"),
        ({"alpha": 1.5}, r"alpha must be in \(0, 1\]; got 1.5"),
        ({"alpha": torch.ones(3).double()}, r"alpha must broadcast to \(4,\); got shape \(3,\)"),
        ({"weight": torch.ones(4, 3)}, r"weight must be \(..., unit, unit\); got shape \(4, 3\)"),
        ({"weight": torch.ones(4, 4)}, r"drive must be torch.float32 on cpu, as the weight"),
        ({"weight": torch.ones(4, 4).int()}, r"weight must be floating-point; got torch.int32"),
        (
            {"drive": torch.ones(6, 3, 5)},
            r"drive must be \(time >= 1, batch, 4\); got shape \(6, 3, 5\)",
        ),
        ({"drive": torch.ones(0, 3, 4)}, r"drive must be \(time >= 1, batch, 4\)"),
        (
            {"weight": torch.ones(2, 4, 4)},
            r"drive must be \(time >= 1, 2, batch, 4\); got shape \(6, 3, 4\)",
        ),
        ({"rate": torch.ones(2, 4).double()}, r"rate must broadcast to \(3, 4\)"),
        ({"rate_noise": torch.ones(6, 1, 4).double()}, r"rate_noise must be shaped like the drive"),
        ({"potential": None}, r"belongs to formulation 'current', and to it alone"),
        ({"formulation": "rate"}, r"belongs to formulation 'current', and to it alone"),
    ],
)
def test_what_does_not_fit_is_reours(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours(replace(draw("current", "relu"), **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": torch.ones(15).double()}, r"values must be \(16,\), one for each connection"),
        ({"weight": torch.ones(16).half()}, r"values must be float32 or float64; got"),
        ({"weight": torch.ones(16)}, r"drive must be torch.float32 on cpu, as the weight"),
        ({"drive": torch.ones(6, 2, 3, 4).double()}, r"drive must be \(time >= 1, batch, 4\)"),
        (
            {"pattern": pattern(torch.arange(17), torch.zeros(16).int(), 4)},
            r"the pattern must be \(unit, unit\); got shape \(16, 4\)",
        ),
    ],
)
def test_sparse_weights_that_do_not_fit_are_reours(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours(replace(sparse(draw("current", "relu"), 1), **change))
