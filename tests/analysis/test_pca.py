"""Principal components."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from netbuild.analysis import (
    pca,
)


def test_principal_components_are_those_of_numpy() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6)) + 3)
    found = pca(x, 3)
    _, s, v = np.linalg.svd(x.numpy() - x.numpy().mean(0), full_matrices=False)
    assert np.allclose(np.abs(found.components.numpy() @ v[:3].T), np.eye(3), atol=1e-9)
    assert np.allclose(found.explained.numpy(), (s**2 / (s**2).sum())[:3])
    assert (found.components.max(1).values == found.components.abs().max(1).values).all()
    assert np.allclose(found.project(x).mean(0), 0)
    with pytest.raises(ValueError, match="7 components of 6 units"):
        pca(x, 7)


def test_states_that_are_not_finite_have_no_principal_components() -> None:
    with pytest.raises(ValueError, match="NaN or Inf"):
        pca(torch.tensor([[0.0, 1.0], [float("nan"), 2.0]]))


def test_principal_components_of_more_units_than_states() -> None:
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(8, 40)) * rng.normal(size=40))
    found, both = pca(x, 3), pca(torch.cat([x] * 6), 3)  # the same directions, from 48 states
    for one, other in zip(found, both, strict=True):
        torch.testing.assert_close(one, other)
    flat = pca(torch.ones(5, 40, dtype=torch.float64), 2)
    torch.testing.assert_close(flat.components @ flat.components.T, torch.eye(2).double())
    assert flat.explained.tolist() == [0, 0]
