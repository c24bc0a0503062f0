"""The terms of the loss: a formula for each kind of regularizer, and for each loss of a task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netbuild.language import regularizers as kinds
from netbuild.language.base import Model
from netbuild.language.dump import inline, resolved
from netbuild.language.plan import RegularizerPlan
from netbuild.report.cells import Cell, Code, Line, Math, Row, Table, number, tex_number

LOSSES: dict[str, tuple[str, str]] = {  # the formula of a sample or step, and what it is
    "cross_entropy": (
        r"\ell = -\ln \frac{\exp(y_{c})}{\sum_{k} \exp(y_{k})}",
        "cross-entropy of the softmax of the outputs y and the right class c",
    ),
    "mse": (
        r"\ell = \frac{1}{K} \sum_{k} (y_{k} - z_{k})^2",
        "mean squared error of the K outputs y and their targets z",
    ),
}


def _norm(p: float, words: Any, entry: str = r"w_{ij}") -> str:
    """The norm of one weight matrix, whose entries are `entry`."""
    if words.norm == "matrix":
        matrix = "W" if entry == "w_{ij}" else r"\lvert W - R \rvert"
        order = tex_number(p)
        return rf"\lVert {matrix} \rVert_{{{order}}}" + ("^2" if words.squared else "")
    mean = r"\frac{1}{n} " if words.reduction == "mean" else ""
    size = rf"\lvert {entry} \rvert"
    if p == 1:
        total = rf"{mean}\sum_{{ij}} {size}"
        return rf"({total})^2" if words.squared else total
    power = tex_number(p)
    inner = rf"{mean}\sum_{{ij}} {size}^{{{power}}}"
    if p == 2:
        return inner if words.squared else rf"\sqrt{{{inner}}}"
    return rf"({inner})^{{{'2' if words.squared else '1'} / {power}}}"


def _distance(words: Any) -> tuple[str, str]:
    return _norm(words.p, words, r"w_{ij} - r_{ij}"), "R: reference weights"


def _dale_l2(words: Any) -> tuple[str, str]:
    formula = r"\mathrm{Tr}(W^{\top} (\alpha W - (1 - \alpha) S))"
    return rf"{formula}, \quad \alpha = {tex_number(words.alpha)}", _signs(words)


def _hinge(words: Any) -> tuple[str, str]:
    power = "" if words.p == 1 else f"^{{{tex_number(words.p)}}}"
    return rf"\sum_{{ij}} \max(-s_{{ij}} w_{{ij}}, 0){power}", _signs(words)


_SURROGATE = r"m(W) = \frac{1}{n} \sum_{w_{ij} \ne 0} \frac{w_{ij}}{1 + \lvert w_{ij} \rvert}"


def _excitatory(words: Any) -> tuple[str, str]:
    target = tex_number(words.exc_target_ratio)
    formula = rf"\lvert m(W) + 1 - 2 \rho \rvert, \quad \rho = {target}, \quad {_SURROGATE}"
    return formula, "n: weights that are not 0"


def _inhibitory(words: Any) -> tuple[str, str]:
    target = tex_number(words.inh_target_ratio)
    formula = rf"\lvert m(W) - 1 + 2 \rho \rvert, \quad \rho = {target}, \quad {_SURROGATE}"
    return formula, "n: weights that are not 0"


def _rates(each: str) -> Callable[[Any], tuple[str, str]]:
    def said(words: Any) -> tuple[str, str]:
        if words.of == "unit_mean":
            rate, over = r"\bar{r}_{i}", r"i"
            what = "rates averaged over trials and time"
        else:
            rate, over = r"r_{i}", r"b,t,i"
            what = "all units, steps and trials"
        return each.format(r=rate, over=over), what

    return said


def _variance(words: Any) -> tuple[str, str]:
    if words.of == "unit_mean":
        return r"\mathrm{Var}_{i}(\bar{r}_{i})", "of the units' rates averaged over trials and time"
    return r"\mathrm{mean}_{b,t} \mathrm{Var}_{i}(r_{i})", "variance over units, mean over the rest"


def _signs(words: Any) -> str:
    if words.reference is None:
        return "S: the map's own signs (1, -1; 0 for none)"
    return f"S: signs of {inline(resolved(words.reference))}"


TERMS: dict[type[Model], Callable[[Any], tuple[str, str]]] = {
    kinds.L1: lambda words: (_norm(1, words), ""),
    kinds.L2: lambda words: (_norm(2, words), ""),
    kinds.Lp: lambda words: (_norm(words.p, words), ""),
    kinds.DaleLaw: lambda words: (r"-\sum_{ij} s_{ij} w_{ij}", _signs(words)),
    kinds.DaleLawL2: _dale_l2,
    kinds.DaleHinge: _hinge,
    kinds.ExcRatioTarget: _excitatory,
    kinds.InhRatioTarget: _inhibitory,
    kinds.WeightsDistance: _distance,
    kinds.FiringRateL1: _rates(r"\mathrm{{mean}}_{{{over}}} \lvert {r} \rvert"),
    kinds.FiringRateL2: _rates(r"\mathrm{{mean}}_{{{over}}} {r}^2"),
    kinds.FiringRateVariance: _variance,
}
"""The term R of every kind of regularizer: its formula, and what its letters are."""


def regularizer_table(words: list[Any], plans: list[RegularizerPlan]) -> Table:
    """A row for each regularizer: its term, what it is of, and its factor."""
    rows: list[Row] = []
    for each, plan in zip(words, plans, strict=True):
        formula, what = TERMS[type(each)](each)
        lines: list[Line] = [(Math(formula),)]
        lines += [what] if what else []
        rows.append((Code(plan.name), each.type, lines, _of(each, plan), number(each.Lambda)))
    head = ("Name", "Type", "Term R", "Summed over", "Λ")
    return Table("Regularizers", head, rows, (0.13, 0.17, 0.4, 0.2, 0.1))


def _of(words: Any, plan: RegularizerPlan) -> Cell:
    """The parameters, or the layers, whose terms are added up."""
    lines: list[Line] = [(Code(name),) for name in plan.params or getattr(words, "layers", ())]
    chosen = ((key.strip("_"), getattr(words, key, None)) for key in ("from_", "to", "units"))
    return lines + [(f"only {key} ", Code(inline(some))) for key, some in chosen if some]
