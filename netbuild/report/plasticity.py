"""Plasticity and measurements: the loss, the optimizer, the constraints, and what is scored."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

from netbuild.language import training as words
from netbuild.language.base import Model
from netbuild.language.checked import Spec
from netbuild.language.dump import inline, resolved
from netbuild.language.plan import MapPlan, maps_of
from netbuild.report.cells import Cell, Code, Line, Math, Row, Table, number, tex_number
from netbuild.report.references import ADAM, ADAMW
from netbuild.report.terms import LOSSES

Rows = list[tuple[str, Cell]]
_CITES: dict[type[Model], str] = {words.Adam: ADAM, words.AdamW: ADAMW}


def cites(spec: Spec) -> tuple[str, ...]:
    """What the optimizer cites."""
    kind = type(spec.model.training.optimizer)
    return (_CITES[kind],) if kind in _CITES else ()


def plasticity_rows(spec: Spec) -> Rows:
    """How the network is trained."""
    training = spec.model.training
    formula, what = LOSSES[training.loss]
    optimizer = training.optimizer
    own = {k: v for k, v in resolved(optimizer).items() if k not in ("type", "schedule")}
    recurrent = any("recurrent" in plan.maps for plan in spec.plan.layers.values())
    through = " through time" if recurrent else ""
    objective = r"\mathcal{L} = \mathrm{mean}(\ell)"
    terms = spec.model.regularizers
    objective += r" + \sum_{k} \Lambda_{k} R_{k}" if terms else ""
    return [
        ("Rule", f"gradient descent on a loss; gradients by backpropagation{through}"),
        ("Loss", (Math(objective),)),
        ("Loss of the task", [(Math(formula),), f"{what}; the mean counts as the loss mask says"]),
        ("Optimizer", [(optimizer.type, f": {_sentence(optimizer)}"), Code(inline(own))]),
        ("Learning rate", _schedule(training)),
        ("Gradient clipping", _clipping(training)),
        ("Batch", f"{training.batch_size:,} samples or trials a step"),
        ("Length", _length(training)),
        ("Early end", _stop(training.stop_when)),
        ("Start", _start(spec)),
        ("After each step", _constraints(list(maps_of(spec.plan.layers)))),
        ("Randomness", f"every draw follows from the seed {spec.model.seed}"),
    ]


def _sentence(section: Model) -> str:
    """The first sentence of what the language says of a section."""
    return (inspect.getdoc(type(section)) or "").split("\n")[0].replace("`", "").rstrip(".")


def _cosine(s: words.Cosine) -> Line:
    wave = r"\frac{1}{2} (1 + \cos(\pi q))"
    low = tex_number(s.min_factor)
    formula = (
        rf"\eta_q = \eta ({low} + (1 - {low}) {wave})" if s.min_factor else rf"\eta_q = \eta {wave}"
    )
    warm = f"; after {s.warmup:,} steps of linear increase" if s.warmup else ""
    return (Math(formula), ", ", Math("q"), f" from 0 to 1 over the steps{warm}")


def _decay(s: words.StepDecay) -> Line:
    return (f"times {number(s.factor)} every {s.every:,} steps",)


def _exponential(s: words.Exponential) -> Line:
    return (f"times {number(s.factor)} after each step",)


SCHEDULES: dict[type[Model], Callable[[Any], Line]] = {
    words.Cosine: _cosine,
    words.StepDecay: _decay,
    words.Exponential: _exponential,
}
"""How the learning rate changes, for every kind of schedule."""


def _schedule(training: words.Training) -> Cell:
    optimizer = training.optimizer
    base: Line = (Math(rf"\eta = {tex_number(optimizer.lr)}"),)
    if optimizer.schedule is None:
        return (*base, ", constant")
    return [base, SCHEDULES[type(optimizer.schedule)](optimizer.schedule)]


def _clipping(training: words.Training) -> Cell:
    if training.clip_grad_norm is None:
        return "none"
    most = tex_number(training.clip_grad_norm)
    return (Math(rf"g \leftarrow g \min(1, \frac{{{most}}}{{\lVert g \rVert_2}})"),)


def _length(training: words.Training) -> Cell:
    if training.stages is not None:
        return "; ".join(_stage(stage) for stage in training.stages)
    if training.epochs is not None:
        return f"{training.epochs:,} passes over the training samples"
    return "" if training.steps is None else f"at most {training.steps:,} steps"


def _stage(stage: words.Stage) -> str:
    return f"stage {stage.name}" + (f", at most {stage.steps:,} steps" if stage.steps else "")


def _stop(rule: words.StopWhen | None) -> Cell:
    return "none" if rule is None else Code(inline(resolved(rule)))


def _start(spec: Spec) -> Cell:
    start = spec.model.start_from
    return "" if start is None else ("parameters of another run: ", Code(inline(resolved(start))))


def _constraints(maps: list[MapPlan]) -> Cell:
    """What is done to weights after a step of the optimizer, in its order."""
    lines: list[Line] = []
    learning = [each for each in maps if each.weight_learns]
    if any(each.plasticity is not None for each in learning):
        update = r"w \leftarrow w_{t-1} + p (w - w_{t-1})"
        lines.append((Math(update), ", with the plasticity ", Math("p"), " of each weight"))
    if any(each.signs is not None and each.section.dale == "project" for each in learning):
        lines.append((Math(r"w \leftarrow \max(w, 0)"), " if excitatory, ",
                      Math(r"w \leftarrow \min(w, 0)"), " if inhibitory"))  # fmt: skip
    if any(not each.connections.is_full for each in learning):
        lines.append((Math(r"w \leftarrow 0"), " if absent"))
    if lines:
        lines.append("gradients of absent and frozen weights are set to 0 before the optimizer")
    return lines or "no constraint acts on a weight that learns"


def stages(training: words.Training) -> Iterator[Table]:
    """A table of the stages, if there are any."""
    if training.stages is not None:
        rows: list[Row] = [
            (
                Code(stage.name),
                "" if stage.steps is None else number(stage.steps),
                Code(inline(stage.set)) if stage.set else "-",
                _stop(stage.stop_when),
            )
            for stage in training.stages
        ]
        head = ("Stage", "Steps", "Changes", "Early end")
        yield Table("Stages of the training", head, rows, (0.15, 0.1, 0.45, 0.3))


# Measurements

_SELECTED = {
    "validation": "validation trials, which are neither trained on nor tested",
    "training": "training samples: all samples are trained on",
    "test": "the test set (NB607): its score is then not that of unseen samples",
}


def measurement_rows(spec: Spec) -> Rows:
    """What is measured, when, and on which trials."""
    training, plan = spec.model.training, spec.plan
    evaluate = training.evaluate
    every = f"every {evaluate.every:,} steps, and at the end" if evaluate.every else "at the end"
    counted = "" if plan.split is not None else f"{evaluate.trials:,} of each kind"
    noise = "on" if evaluate.noise else "off"
    return [
        ("Scores", "the loss without regularizers; the accuracy where there are right answers"),
        ("Accuracy", _accuracy(spec)),
        ("Evaluations", every),
        ("Trials", counted),
        ("Network noise", f"on in training, {noise} in evaluation" if _has_noise(spec) else ""),
        ("Choices are made on", _SELECTED[plan.selects_on]),
        ("Test", "test trials are scored once, at the end"
         if plan.selects_on == "validation" else ""),
        ("Log", f"loss and terms every {training.log_every:,} steps"),
    ]  # fmt: skip


def _accuracy(spec: Spec) -> str:
    task = spec.plan.task
    decided = getattr(task, "classes", False) or "answer_end" in getattr(task, "variables", ())
    if decided:
        return "the part of trials whose largest output at the end of the decision is the right one"
    if spec.model.training.loss == "cross_entropy":
        return "the part of samples (of trials: of steps that count) whose largest output is right"
    return ""


def measures_accuracy(spec: Spec) -> bool:
    """Whether evaluations have an accuracy."""
    return bool(_accuracy(spec))


def _has_noise(spec: Spec) -> bool:
    keys = ("noise", "rate_noise", "input_noise")
    return any(getattr(layer, key, None) for layer in spec.model.layers for key in keys)
