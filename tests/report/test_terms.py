"""The formulas of regularizers: as the language describes them, for each of their options."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from netbuild.language.regularizers import RegularizerSpec
from netbuild.report.equations import mathml
from netbuild.report.terms import LOSSES, TERMS

SIZE = r"\sum_{ij} \lvert w_{ij} \rvert"
M = r"m(W) = \frac{1}{n} \sum_{w_{ij} \ne 0} \frac{w_{ij}}{1 + \lvert w_{ij} \rvert}"


def formula(**keys: Any) -> str:
    keys |= {"layers": ["a"]} if keys["type"].startswith("Firing") else {"params": ["*"]}
    words = TypeAdapter(RegularizerSpec).validate_python(keys)
    found = TERMS[type(words)](words)[0]
    mathml(found)
    return found


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ({"type": "L1"}, SIZE),
        ({"type": "L1", "squared": True}, f"({SIZE})^2"),
        ({"type": "L1", "reduction": "mean"}, rf"\frac{{1}}{{n}} {SIZE}"),
        ({"type": "L2"}, rf"\sqrt{{{SIZE}^{{2}}}}"),
        ({"type": "L2", "squared": True}, rf"{SIZE}^{{2}}"),
        ({"type": "L2", "squared": True, "reduction": "mean"}, rf"\frac{{1}}{{n}} {SIZE}^{{2}}"),
        ({"type": "Lp", "p": 1.5}, rf"({SIZE}^{{1.5}})^{{1 / 1.5}}"),
        ({"type": "Lp", "p": 3.0, "squared": True}, rf"({SIZE}^{{3}})^{{2 / 3}}"),
        ({"type": "L1", "norm": "matrix"}, r"\lVert W \rVert_{1}"),
        ({"type": "DaleLaw"}, r"-\sum_{ij} s_{ij} w_{ij}"),
        (
            {"type": "DaleLawL2", "alpha": 0.5},
            r"\mathrm{Tr}(W^{\top} (\alpha W - (1 - \alpha) S)), \quad \alpha = 0.5",
        ),
        ({"type": "DaleHinge", "p": 2.0}, r"\sum_{ij} \max(-s_{ij} w_{ij}, 0)^{2}"),
        (
            {"type": "ExcRatioTargetRegularization", "exc_target_ratio": 0.7},
            rf"\lvert m(W) + 1 - 2 \rho \rvert, \quad \rho = 0.7, \quad {M}",
        ),
        (
            {"type": "InhRatioTargetRegularization", "inh_target_ratio": 0.3},
            rf"\lvert m(W) - 1 + 2 \rho \rvert, \quad \rho = 0.3, \quad {M}",
        ),
        (
            {"type": "WeightsDistance", "reference": {"values": [[1.0]]}},
            r"\sum_{ij} \lvert w_{ij} - r_{ij} \rvert",
        ),
        ({"type": "FiringRateL1"}, r"\mathrm{mean}_{b,t,i} \lvert r_{i} \rvert"),
        ({"type": "FiringRateL2", "of": "unit_mean"}, r"\mathrm{mean}_{i} \bar{r}_{i}^2"),
        ({"type": "FiringRateVariance"}, r"\mathrm{mean}_{b,t} \mathrm{Var}_{i}(r_{i})"),
    ],
)
def test_terms(keys: dict[str, Any], found: str) -> None:
    assert formula(**keys) == found


def test_losses_can_be_written() -> None:
    for tex, what in LOSSES.values():
        mathml(tex)
        assert what
