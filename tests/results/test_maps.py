"""Maps: effective weights, their units, and the signs that constrain them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars
import pytest

import netbuild
from netbuild import plots
from netbuild.layers import LinearLayer
from netbuild.results.maps import _bound_signs, labelled_maps


def test_units_whose_weights_have_other_signs_show_none() -> None:
    signs, wired = [[1, 1], [1, -1], [-1, -1]], [[1, 1], [1, 0], [1, 1]]
    layer = LinearLayer(3, 2, ei_mask=signs, seed=0)
    sparse = LinearLayer(3, 2, storage="sparse", ei_mask=signs, sparsity_mask=wired, seed=0)
    units = np.array([1, 1, 1], np.int8)
    assert _bound_signs(layer, units).tolist() == [1, 0, 0]
    assert _bound_signs(sparse, units).tolist() == [1, 1, 0]  # its other connection is absent
    assert _bound_signs(LinearLayer(3, 2), units).tolist() == [0, 0, 0]


def test_maps_have_the_effective_weights(decision: netbuild.Run, small: Path) -> None:
    for name, one in decision.maps().items():
        assert np.array_equal(one.weight, decision.weights(name).numpy())
    with pytest.raises(KeyError, match=r"several maps; name one of cortex.input, cortex.recurrent"):
        decision.weights("cortex")
    readout = decision.maps()["readout"]
    assert readout.pre.name.tolist() == ["PFC_0", "PFC_1", "PFC_2"]
    spec = netbuild.load(small, ["layers[readout].dale=abs"])
    network = netbuild.build(spec)
    one = labelled_maps(network, spec.plan.layers)["readout"]
    assert (one.weight[:, one.pre.sign == 1] >= 0).all()
    assert (one.weight[:, one.pre.sign == -1] <= 0).all()
    assert one.pre.name[0] == "drop_0"
    assert polars.DataFrame(dict(plots.weights(decision).data)).height == 16 * 3 + 256 + 9
