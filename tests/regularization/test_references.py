"""References: checked copies of the caller's, and drawn signs that obey Dale's law."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netbuild.regularization import (
    DaleHinge,
    DaleLaw,
    DaleLawL2,
    WeightsDistance,
    draw_dale_reference,
)
from netbuild.splits import round_half_up

shapes = st.lists(st.integers(0, 6), min_size=0, max_size=3).map(tuple)
ratios = st.floats(0, 1)


def test_references_are_copies_in_buffers():
    param = torch.ones(2, 2, requires_grad=True)
    given = torch.full((2, 2), -3.0)
    for kind, kept in ((DaleLawL2, -1.0), (WeightsDistance, -3.0), (DaleHinge, -1.0)):
        term = kind([param], reference_weights=[given])
        assert list(term.state_dict()) == ["reference_0"]
        assert term.reference_weights[0].data_ptr() != given.data_ptr()
        assert term.reference(0).tolist() == [[kept, kept], [kept, kept]]
        assert term.to("meta").reference(0).is_meta
    array = np.full((2, 2), -3.0, dtype=np.float32)
    array.flags.writeable = False
    assert WeightsDistance([param], [array[::-1]])().item() == 16
    assert WeightsDistance([param], [[[0, 0], [1, 1]]])().item() == 2


def test_references_may_be_matched_by_name():
    params = {"a": torch.ones(1, 2), "b": torch.ones(3)}
    term = WeightsDistance(params, {"b": torch.zeros(3), "a": torch.zeros(1, 2)})
    assert [tuple(r.shape) for r in term.reference_weights] == [(1, 2), (3,)]
    with pytest.raises(ValueError, match="nothing for b"):
        WeightsDistance(params, {"a": torch.zeros(1, 2)})
    with pytest.raises(ValueError, match="does not know 'c'"):
        WeightsDistance({}, {"c": torch.zeros(1)})


@pytest.mark.parametrize(
    ("references", "error", "message"),
    [
        ([], ValueError, "1 parameters, 0 reference_weights"),
        ([np.ones((2, 3))] * 2, ValueError, "1 parameters, 2 reference_weights"),
        ([np.ones((3, 2))], ValueError, r"\(3, 2\), its parameter \(2, 3\); it looks transposed"),
        ([np.ones(3)], ValueError, r"params\[0\] has shape \(3,\), its parameter \(2, 3\)$"),
        ([1.0], ValueError, r"has shape \(\)"),
        ([np.full((2, 3), np.nan)], ValueError, "holds NaN or infinity"),
        (np.ones((1, 2, 3)), TypeError, "not a single array"),
        (torch.ones(1, 2, 3), TypeError, "not a single array"),
    ],
)
@pytest.mark.parametrize("kind", [DaleLawL2, DaleLaw, DaleHinge, WeightsDistance])
def test_bad_references_are_refused(kind, references, error, message):
    with pytest.raises(error, match=message):
        kind([torch.ones(2, 3)], reference_weights=references)


@settings(deadline=None, max_examples=100)
@given(shapes, ratios, ratios, st.booleans(), st.integers(-(2**70), 2**70))
def test_drawn_references_obey_dales_law(shape, inh_ratio, rho, inh_first, seed):
    drawn_twice = [draw_dale_reference(shape, inh_ratio, rho, inh_first, seed) for _ in range(2)]
    signs = drawn_twice[0]
    assert torch.equal(*drawn_twice)
    assert signs.shape == shape
    assert set(signs.flatten().tolist()) <= {-1.0, 0.0, 1.0}
    assert int(signs.count_nonzero()) == round_half_up(rho, signs.numel())
    columns = signs.reshape(math.prod(shape[:-1]), shape[-1] if shape else 1)
    assert not bool(((columns > 0).any(0) & (columns < 0).any(0)).any())


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(1, 40), ratios, st.booleans(), st.integers(0, 99))
def test_the_inhibitory_units_are_counted_by_rounding_half_up(rows, units, ratio, first, seed):
    inhibitory = draw_dale_reference((rows, units), ratio, 1.0, first, seed)[0] < 0
    count = round_half_up(ratio, units)
    assert int(inhibitory.sum()) == count
    if first:
        assert bool(inhibitory[:count].all())


@pytest.mark.parametrize(("units", "inhibitory"), [(100, 29), (50, 15)])  # 14.5 is rounded up
def test_29_percent_are_of_the_decimal_that_is_written(units, inhibitory):
    assert int((draw_dale_reference((1, units), 0.29, 1.0)[0] < 0).sum()) == inhibitory
    signed = draw_dale_reference((units,), 0.5, rho=0.29).count_nonzero()
    assert int(signed) == inhibitory


def test_units_are_shuffled_and_seeds_differ():
    def units(seed: int) -> list[float]:
        return draw_dale_reference((2, 64), 0.5, 1.0, inh_first=False, seed=seed)[0].tolist()

    assert units(0) != units(1)
    assert units(0) != sorted(units(0))
    generators = [np.random.default_rng(5) for _ in range(2)]
    pair = [draw_dale_reference((9, 9), 0.5, 0.5, False, generator=g) for g in generators]
    assert torch.equal(*pair)


def test_drawn_references_of_one_regularization_differ_between_parameters():
    params = [torch.empty(8, 8, dtype=torch.float64) for _ in range(2)]
    term = DaleLawL2(params, rho=0.5, seed=4)
    first, second = term.reference_weights
    assert not torch.equal(first, second)
    assert torch.equal(first, draw_dale_reference((8, 8), rho=0.5, seed=4).double())
    assert torch.equal(first, DaleHinge(params, rho=0.5, seed=4).reference(0))


@pytest.mark.parametrize("kind", [DaleLawL2, DaleLaw, DaleHinge])
def test_bad_dale_words_are_refused(kind):
    param = torch.ones(2, 2)
    with pytest.raises(TypeError, match="seed: for drawn references only"):
        kind([param], reference_weights=[param], seed=1)
    with pytest.raises(ValueError, match="does not know 'inh_ration'; did you mean 'inh_ratio'"):
        kind([param], inh_ration=0.2)
    for words in ({"inh_ratio": 1.1}, {"rho": -0.1}, {"rho": math.nan}):
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            kind([param], **words)
    for seed in (None, 1.0, True):
        with pytest.raises(TypeError, match="seed must be an integer"):
            kind([param], seed=seed)
