"""Formulas as MathML: well-formed, whatever the tables hold, and refused outside of the subset."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from netbuild.report.equations import mathml


@pytest.mark.parametrize(
    ("tex", "found"),
    [
        ("r_t", "<msub><mi>r</mi><mi>t</mi></msub>"),
        (r"\alpha^2", "<msup><mi>α</mi><mn>2</mn></msup>"),
        (r"W^{\top}_k", "<msubsup><mi>W</mi><mi>k</mi><mrow><mo>⊤</mo></mrow></msubsup>"),
        (r"\frac{1}{2}", "<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>"),
        (r"\mathrm{Var}", '<mi mathvariant="normal">Var</mi>'),
        ("a < b", "<mi>a</mi><mo>&lt;</mo><mi>b</mi>"),
        ("0.25", "<mn>0.25</mn>"),
        ("= -v", '<mo>=</mo><mo form="prefix">−</mo><mi>v</mi>'),
        ("a - b", "<mi>a</mi><mo>−</mo><mi>b</mi>"),
    ],
)
def test_formulas(tex: str, found: str) -> None:
    assert mathml(tex) == f'<math displaystyle="true">{found}</math>'
    ElementTree.fromstring(mathml(tex))


@pytest.mark.parametrize("tex", [r"\write18", "{a", r"\frac{1}", "a_", r"\text x", "a}", "^"])
def test_anything_else_is_refused(tex: str) -> None:
    with pytest.raises(ValueError, match=r"subset|closed|early|missing|place"):
        mathml(tex)
