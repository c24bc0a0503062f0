"""What makes an array a mask, and what the errors say of the arrays that are none."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from netbuild.errors import DataFileError
from netbuild.language.values import as_plasticity, as_signs, as_sparsity, finite

MATRIX = np.arange(12.0).reshape(3, 4)
dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64)),
)


def fault(call: Callable[[], object]) -> tuple[str, str, str]:
    with pytest.raises(DataFileError) as caught:
        call()
    return caught.value.code, caught.value.what, caught.value.hint


@given(hnp.arrays(dtypes, hnp.array_shapes(max_dims=3)))
def test_finite(array: np.ndarray) -> None:
    if np.isfinite(array).all():
        assert finite(array) is array
    else:
        assert fault(lambda: finite(array))[0] == "NB205"


def test_not_finite_is_located() -> None:
    array = MATRIX.copy()
    array[1, 2], array[2, 0] = np.nan, np.inf
    assert fault(lambda: finite(array))[1] == (
        "2 of 12 values are NaN or infinite, the first at row 2, column 3"
    )
    for use in (as_sparsity, as_signs, as_plasticity, lambda a: as_sparsity(a, 0.5)):
        assert fault(lambda use=use: use(array))[0] == "NB205"


@given(hnp.arrays(dtypes, hnp.array_shapes(max_dims=3), elements={"min_value": 0, "max_value": 1}))
def test_sparsity_is_zero_or_one(array: np.ndarray) -> None:
    if np.isin(array, (0, 1)).all():
        mask = as_sparsity(array)
        assert mask.dtype == np.bool_
        assert (mask == (array == 1)).all()
        assert not np.shares_memory(mask, array)
    else:
        assert fault(lambda: as_sparsity(array))[0] == "NB205"
    assert (as_sparsity(array, 0.5) == (array > 0.5)).all()


def test_other_values_of_a_sparsity_mask_are_counted() -> None:
    array = np.array([[1, 0, 0.5], [-1, 255, 0.25]])
    assert fault(lambda: as_sparsity(array)) == (
        "NB205",
        "a sparsity mask holds 0 and 1, and 4 of 6 values are neither "
        "(1 negative, 2 between 0 and 1, 1 above 1); the smallest is -1 at row 2, column 1",
        "`threshold: 0` makes a connection of every value above 0",
    )
    assert "1 of 2 values is neither (1 above 1)" in fault(lambda: as_sparsity(np.array([2, 0])))[1]
    assert as_sparsity(array, 0).tolist() == [[True, False, True], [False, True, True]]


@given(hnp.arrays(dtypes, hnp.array_shapes(max_dims=3), elements={"min_value": 0, "max_value": 9}))
def test_signs_of_what_is_not_negative(array: np.ndarray) -> None:
    signs = as_signs(array)
    assert signs.dtype == np.int8
    assert (signs == (array != 0)).all()


def test_signs() -> None:
    array = np.array([-0.0, -5, 1e-300, 3, 0, -1e-300])
    assert as_signs(array).tolist() == [0, -1, 1, 1, 0, -1]
    assert as_signs(np.array([-128], dtype=np.int8)).tolist() == [-1]


def test_plasticity() -> None:
    array = np.array([[0, 0.5, 1]])
    plasticity = as_plasticity(array)
    assert plasticity.dtype == np.float32
    assert plasticity.tolist() == array.tolist()
    assert as_plasticity(np.array([True, False])).tolist() == [1.0, 0.0]
    assert not np.shares_memory(as_plasticity(plasticity), plasticity)
    code, what, _ = fault(lambda: as_plasticity(np.array([[0, 1.5], [-0.1, 1]])))
    assert code == "NB205"
    assert what == (
        "a plasticity mask holds values from 0 to 1, and 2 of 4 values are outside; "
        "the smallest is -0.1 at row 2, column 1"
    )


@pytest.mark.parametrize("use", [as_sparsity, as_signs, as_plasticity])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.float32, np.float64])
def test_a_mask_is_copied_once(use: Callable[[np.ndarray], np.ndarray], dtype: type) -> None:
    array = np.eye(1000, dtype=dtype)
    tracemalloc.start()
    try:
        found = use(array.T)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not np.shares_memory(found, array)
    assert peak < found.nbytes + array.size + 300_000  # itself, and one array of booleans
