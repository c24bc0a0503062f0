"""Products with weights on a pattern: against the matrix, and against finite differences."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from netbuild.kernels import Pattern, SparseWeight, pattern, sparse, sparse_linear
from netbuild.kernels.sparse import WIDTH, back_matrix, matrix, sampled_product, sum_onto

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def pattern_of(mask: Tensor) -> Pattern:
    """The pattern of a matrix of booleans (output_dim, input_dim)."""
    rows = functional.pad(mask.sum(1).cumsum(0), (1, 0))
    return pattern(rows, mask.nonzero()[:, 1], mask.shape[1])


def random_mask(shape: tuple[int, int], density: float = 0.4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator) < density


def normal(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def assert_near(ours: Tensor, expected: Tensor) -> None:
    """Equal in the largest entry's precision: sums whose terms cancel are no better."""
    assert ours.shape == expected.shape
    largest = expected.abs().max().item() if expected.numel() else 0
    tolerance = TOLERANCE[expected.dtype]
    torch.testing.assert_close(ours, expected, rtol=tolerance, atol=tolerance * max(1, largest))


masks = st.builds(
    random_mask,
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    density=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    seed=st.integers(0, 2**31),
)


@given(mask=masks)
def test_a_pattern_and_its_transpose_are_the_masks(mask: Tensor) -> None:
    where = pattern_of(mask)
    assert where.shape == tuple(mask.shape)
    assert len(where) == mask.sum()
    assert all(each.dtype == torch.int32 for each in vars(where).values())
    values = torch.arange(1.0, 1 + len(where))
    weight = SparseWeight(values, where)
    expected = torch.zeros(mask.shape).masked_scatter(mask, values)
    assert torch.equal(matrix(weight).to_dense(), expected)
    assert torch.equal(back_matrix(weight).to_dense(), expected.mT)


def test_rows_of_a_transpose_are_in_order() -> None:
    where = pattern_of(random_mask((40, 30)))
    for start, end in zip(where.back_rows[:-1], where.back_rows[1:], strict=True):
        assert (where.back_columns[start:end].diff() > 0).all()


@settings(max_examples=60, deadline=None)
@given(
    mask=masks,
    leading=st.lists(st.integers(0, 4), max_size=3).map(tuple),
    biased=st.booleans(),
    dtype=st.sampled_from(list(TOLERANCE)),
)
def test_values_and_gradients_are_those_of_the_matrix(
    mask: Tensor, leading: tuple[int, ...], biased: bool, dtype: torch.dtype
) -> None:
    outputs, inputs = mask.shape
    full = (normal(outputs, inputs, dtype=dtype) * mask).requires_grad_()
    values = full.detach()[mask].requires_grad_()
    x = normal(*leading, inputs, dtype=dtype, seed=1).requires_grad_()
    bias = normal(outputs, dtype=dtype, seed=2).requires_grad_() if biased else None
    ours = sparse_linear(x, values, pattern_of(mask), bias)
    expected = functional.linear(x, full, bias)
    assert_near(ours, expected)
    grad = normal(*leading, outputs, dtype=dtype, seed=3)
    wanted = (x,) if bias is None else (x, bias)
    mine = torch.autograd.grad(ours, (*wanted, values), grad)
    theirs = torch.autograd.grad(expected, (*wanted, full), grad)
    for one, other in zip(mine, (*theirs[:-1], theirs[-1][mask]), strict=True):
        assert_near(one, other)


def test_gradients_are_those_of_finite_differences() -> None:
    mask = random_mask((5, 4))
    mask[1], mask[:, 2] = False, False  # a unit that receives nothing, one that sends nothing
    where = pattern_of(mask)
    given = [normal(3, 2, 4), normal(len(where), seed=1), normal(5, seed=2)]
    for each in given:
        each.requires_grad_()

    def function(x: Tensor, values: Tensor, bias: Tensor) -> Tensor:
        return sparse_linear(x, values, where, bias)

    assert torch.autograd.gradcheck(function, given)


def test_only_what_is_asked_for_has_a_gradient() -> None:
    where = pattern_of(random_mask((5, 4)))
    given = [normal(3, 4), normal(len(where), seed=1), normal(5, seed=2)]

    def gradients(chosen: list[int]) -> list[Tensor | None]:
        leaves = [t.clone().requires_grad_(i in chosen) for i, t in enumerate(given)]
        x, values, bias = leaves
        sparse_linear(x, values, where, bias).square().sum().backward()
        return [leaf.grad for leaf in leaves]

    together = gradients([0, 1, 2])
    for chosen in range(3):
        alone = gradients([chosen])
        assert [i for i, grad in enumerate(alone) if grad is not None] == [chosen]
        torch.testing.assert_close(alone[chosen], together[chosen])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0)])
def test_layouts_do_not_matter(order: tuple[int, ...]) -> None:
    mask = random_mask((6, 4))
    values = normal(int(mask.sum())).requires_grad_()
    x = normal(3, 2, 4, seed=1)
    back = torch.argsort(torch.tensor(order)).tolist()
    other = x.permute(order).contiguous().permute(back)
    expected = functional.linear(x, matrix(SparseWeight(values, pattern_of(mask))).to_dense())
    output = sparse_linear(other, values, pattern_of(mask))
    assert_near(output, expected)
    assert output.movedim(-1, 0).is_contiguous()
    ones = torch.ones(())
    gradients = [
        torch.autograd.grad(output, values, grad.to(output), retain_graph=True)[0]
        for grad in (ones.expand(output.shape), torch.ones(output.shape))
    ]
    assert torch.equal(*gradients)


@pytest.mark.parametrize(
    "widths", [[1], [WIDTH], [WIDTH + 1], [40, 40, 40], [20, 40, 7], [250, 3], [0, 5]]
)
def test_sampled_products_of_any_width(widths: list[int]) -> None:
    """Narrow factors go together, wide ones in pieces."""
    mask = random_mask((6, 5))
    pairs = [(normal(6, k, seed=k), normal(5, k, seed=k + 1)) for k in widths]
    expected = sum((post @ pre.mT for post, pre in pairs), torch.zeros(6, 5))[mask]
    where = pattern_of(mask)
    weight = SparseWeight(torch.full((len(where),), torch.nan).double(), where)
    strided = [(post.mT.contiguous().mT, pre.mT.contiguous().mT) for post, pre in pairs]
    for factors in (pairs, strided):
        assert_near(sampled_product(weight, factors), expected)


def test_sums_onto_units() -> None:
    mask = random_mask((6, 5))
    mask[2] = False
    full = normal(6, 5) * mask
    assert_near(sum_onto(pattern_of(mask), full[mask]), full.sum(1))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_same_bits_each_time(threads: int, deterministic: bool) -> None:
    mask = random_mask((400, 300), 0.2)
    where, x = pattern_of(mask), normal(50, 300, dtype=torch.float32)
    values = normal(len(where), dtype=torch.float32, seed=1)
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    try:
        first, *others = (step(x, values, where) for _ in range(4))
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def step(x: Tensor, values: Tensor, where: Pattern) -> list[Tensor]:
    """The output of a layer, and the gradients."""
    leaves = [x.clone().requires_grad_(), values.clone().requires_grad_()]
    output = sparse_linear(leaves[0], leaves[1], where)
    return [output.detach(), *torch.autograd.grad(output.square().sum(), leaves)]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 39, 41, 1000])
def test_values_are_arranged_on_all_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, count: int
) -> None:
    monkeypatch.setattr(sparse, "PIECE", 10)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    values = torch.arange(count, dtype=torch.float64)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).int()
    assert torch.equal(sparse.arranged(values, order), values[order])
    weight = values.clone().requires_grad_()  # in a thread of its own, too, nothing is recorded
    assert torch.equal(sparse.arranged(weight.detach(), order), values[order])


def test_nobody_hears_of_the_beta_state_of_sparse_tensors() -> None:
    """In a process of its own: torch warns once in each."""
    code = """
import torch
from netbuild.kernels import pattern, sparse_linear
where = pattern(torch.tensor([0, 1]), torch.tensor([0]), 1)
sparse_linear(torch.ones(1, 1), torch.ones(1, requires_grad=True), where).sum().backward()
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_products_leave_other_warnings_alone() -> None:
    """A warning that is shown once stays shown once, whatever is multiplied in between."""
    where = pattern_of(random_mask((5, 4)))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("default")
        for _ in range(3):
            warnings.warn("once", stacklevel=1)
            step(normal(3, 4), normal(len(where)), where)
    assert len(heard) == 1


def test_autocast_leaves_the_precision_of_sparse_products() -> None:
    where = pattern_of(random_mask((5, 4)))
    x, values = normal(3, 4, dtype=torch.float32), normal(len(where), dtype=torch.float32)
    bias = normal(5, dtype=torch.float32)
    expected = sparse_linear(x, values, where, bias)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(sparse_linear(x, values, where, bias), expected)
        rounded = sparse_linear(x.bfloat16(), values, where, bias.bfloat16())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, expected, rtol=0.02, atol=0.05)


@pytest.mark.filterwarnings("ignore:Using backward:UserWarning")
def test_differentiating_twice_is_refused() -> None:
    where = pattern_of(random_mask((5, 4)))
    values = normal(len(where)).requires_grad_()
    output = sparse_linear(normal(3, 4), values, where).square().sum()
    (gradient,) = torch.autograd.grad(output, values, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        gradient.sum().backward()


def test_shapes_on_the_meta_device() -> None:
    there = pattern_of(random_mask((5, 4))).to("meta")
    given = [torch.ones(each, device="meta") for each in ((3, 2, 4), (len(there),), (5,))]
    for each in given:
        each.requires_grad_()
    output = sparse_linear(given[0], given[1], there, given[2])
    assert output.shape == (3, 2, 5)
    gradients = torch.autograd.grad(output.sum(), given)
    assert [each.shape for each in gradients] == [each.shape for each in given]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_and_the_processor_agree() -> None:
    where, x = pattern_of(random_mask((50, 40))), normal(7, 40)
    values = normal(len(where), seed=1)
    there = step(x.cuda(), values.cuda(), where.to("cuda"))
    for ours, expected in zip(there, step(x, values, where), strict=True):
        assert_near(ours.cpu(), expected)


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([1, 2], [0, 1], "rows must rise from 0 to the number of columns, 2"),
        ([0, 1], [0, 1], "rows must rise from 0 to the number of columns, 2"),
        ([0, 2, 1, 2], [0, 1], "rows must rise from 0 to the number of columns, 2"),
        ([0, 2], [0, 3], "columns must be in 0 to 2"),
        ([0, 2], [-1, 2], "columns must be in 0 to 2"),
        ([], [], r"rows and columns must be \(output_dim \+ 1,\) and \(connection,\); got shapes"),
        ([[0, 1]], [0], r"got shapes \(1, 2\) and \(1,\)"),
    ],
)
def test_what_is_no_pattern_is_refused(rows: list[Any], columns: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pattern(torch.tensor(rows).long(), torch.tensor(columns).long(), 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": torch.ones(3, 5)}, r"x must be \(..., 4\); got shape \(3, 5\)"),
        ({"x": torch.ones(())}, r"x must be \(..., 4\); got shape \(\)"),
        ({"x": torch.ones(3, 4).double()}, r"x must be torch.float32 on cpu, as the values"),
        ({"bias": torch.ones(4)}, r"bias must be \(5,\); got shape \(4,\)"),
        ({"values": torch.ones(20, 1)}, r"values must be \(20,\), one for each connection; got"),
        ({"values": torch.ones(20).half()}, r"values must be float32 or float64; got"),
        ({"values": torch.ones(20, device="meta")}, r"on one device; got meta and cpu"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    words: dict[str, Any] = {
        "x": torch.ones(3, 4),
        "values": torch.ones(20),
        "where": pattern_of(torch.ones(5, 4).bool()),
        "bias": torch.ones(5),
    }
    with pytest.raises(ValueError, match=message):
        sparse_linear(**{**words, **change})
