"""Eigenvalues of a recurrent weight."""

from __future__ import annotations

import numpy as np
import pytest

import netbuild
from netbuild import plots
from netbuild.results.maps import LabelledMap
from netbuild.results.units import Units


def test_eigenvalues_of_a_known_matrix() -> None:
    turn = np.array([[0.0, -2.0], [2.0, 0.0]])
    units = Units(np.array(["a_0", "a_1"]), np.array(["", ""]), np.zeros(2, np.int8))
    one = LabelledMap(turn, np.zeros(2), None, units, units)
    figure, data = plots.eigenvalues({"a.recurrent": one})
    assert sorted(data["imaginary"].tolist()) == pytest.approx([-2.0, 2.0])
    assert data["real"].tolist() == pytest.approx([0.0, 0.0], abs=1e-12)
    (ax,) = figure.axes
    assert "spectral radius 2" in ax.get_title()
    circle = ax.lines[2].get_xydata()
    assert np.allclose(np.linalg.norm(circle, axis=1), 1)
    assert ax.get_xlim()[1] > 2
    for wrong in ({"a": one}, {}):
        with pytest.raises(netbuild.NetbuildError, match="there is none") as caught:
            plots.eigenvalues(wrong)
        assert caught.value.exit_code == 2
    broken = {"a.recurrent": one._replace(weight=turn * np.nan)}
    with pytest.raises(netbuild.NetbuildError, match="holds NaN or Inf"):
        plots.eigenvalues(broken)
