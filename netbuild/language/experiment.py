"""The keys of an experiment: a spec, the seeds and conditions it is trained in, and the question.

An experiment is a file of its own, which its key `experiment` tells from a spec. What holds among
the keys is checked in `design`; the points that follow from them are made in `points`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import (
    Count,
    Model,
    NumberOrList,
    NumberOrText,
    OneOf,
    Positive,
    Seed,
    key,
)
from netbuild.language.shorthand import Shorthand, listed, text, values

TELLER = "experiment"  # the key that tells an experiment from a spec
MOST_SEEDS = 10_000
Path = Annotated[str, Field(min_length=1, max_length=1024)]


class Values(Model):
    """Values that are tried one after another."""

    values: list[object] = key(..., "the values", [50, 100], max_length=10_000)


class Choice(Values):
    """One of the values, each equally likely; a grid tries all of them."""

    distribution: Literal["choice"]


class Interval(Model):
    """What distributions between two bounds have."""

    min: float = key(..., "the lower bound", 1e-4, also="low a")
    max: float = key(..., "the upper bound", 1e-2, also="high b")


class Uniform(Interval):
    """Equally likely between two bounds."""

    distribution: Literal["uniform"]


class LogUniform(Interval):
    """Its logarithm is uniform: each power of ten is equally likely."""

    distribution: Literal["log_uniform"]


class IntUniform(Model):
    """A whole number between two bounds, both of them included."""

    distribution: Literal["int_uniform"]
    min: int = key(..., "the smallest", 10, ge=-(10**15), le=10**15)
    max: int = key(..., "the largest", 200, ge=-(10**15), le=10**15)


class Normal(Model):
    """A normal distribution."""

    distribution: Literal["normal"]
    mean: float = key(..., "its mean", 0.0, also="mu loc")
    std: Positive = key(..., "its standard deviation", 1.0, also="sigma scale")


Parameter = Annotated[
    Values | Choice | Uniform | LogUniform | IntUniform | Normal,
    OneOf("distribution", guess=False),
    Shorthand(values, {"type": ["array", "number", "string", "boolean", "null"]}),
]


class Condition(Model):
    """A named arm of the experiment."""

    set: dict[str, object] = key(
        {}, "overrides of the spec, by path", {"layers.hidden.excitatory": 0.8}, max_length=200
    )
    draws: Annotated[int, Field(ge=1, le=10_000)] | None = key(
        None,
        "how many null models: draw k has k as the `seed` of each `connectome: {control: ...}`",
        20,
    )


class Grid(Model):
    """Every combination of the values."""

    type: Literal["grid"]


class Random(Model):
    """Combinations drawn at random, the same ones for the same seed."""

    type: Literal["random"]
    trials: Annotated[int, Field(ge=1, le=10**6)] = key(..., "how many combinations", 40)
    seed: Seed = key(0, "of the drawing; more trials keep the earlier ones", 1)


class TPE(Model):
    """Combinations that a tree-structured Parzen estimator proposes (Bergstra et al. 2011)."""

    type: Literal["tpe"]
    trials: Annotated[int, Field(ge=1, le=10**6)] = key(..., "how many combinations", 40)
    seed: Seed = key(0, "of the estimator", 1)


Method = Annotated[Grid | Random | TPE, OneOf("type"), Shorthand(text("type"), {"enum": ["grid"]})]


class Metric(Model):
    """The score by which conditions are compared."""

    name: Literal["accuracy", "loss"] | None = key(
        None, "which score; the accuracy where the task has one, when left out", "accuracy"
    )
    goal: Literal["maximize", "minimize"] | None = key(
        None, "which is better; `minimize` for a loss, when left out", "maximize"
    )
    on: Literal["test", "validation"] = key("test", "which trials are scored", "validation")
    checkpoint: Literal["last", "best"] = key("last", "which weights are scored", "best")


class Halving(Model):
    """Successive halving: the worst are stopped after `min_steps`, and at multiples of it.

    All runs train `min_steps`; the fraction `keep` of them with the best scores train
    `1 / keep` times as long, and so on, until `training.steps`.
    """

    type: Literal["successive_halving"]
    min_steps: Count = key(..., "steps that every run is trained", 500)
    keep: Annotated[float, Field(gt=0, lt=1)] = key(
        1 / 3, "the fraction that continues each time", 0.33
    )


class ExperimentFile(Model):
    """An experiment: a spec, and what is varied."""

    # The version of the language is that of a spec; see `spec.NetworkSpec.netbuild`.
    netbuild: int = key(
        ..., "version of this language", 1, ge=1, le=1, json_schema_extra={"const": 1}
    )
    experiment: Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$", max_length=64)] = key(
        ..., "letters, digits, `_`, `.` and `-`; names its folder", "size-and-rate"
    )
    spec: Annotated[str, Field(min_length=1, max_length=1024)] = key(
        ..., "the spec that is trained, relative to this file", "ei_decision.yaml"
    )
    extends: Annotated[list[str], Shorthand(listed, {"type": "string"})] = key(
        [], "experiments that this one builds on", ["base.yaml"]
    )
    set: dict[str, object] = key(
        {}, "overrides of the spec in every run, by path", {"training.steps": 500}, max_length=200
    )
    seeds: Annotated[
        Annotated[int, Field(ge=1, le=MOST_SEEDS)]
        | Annotated[list[Seed], Field(min_length=1, max_length=MOST_SEEDS)],
        NumberOrList(),
    ] = key(
        1,
        "how many replicates (5 are the seeds 0 to 4), or their seeds; every condition has the"
        " same ones",
        5,
        also="replicates repeats n_seeds",
    )
    parameters: dict[Path, Parameter] = key(
        {}, "what is varied, by path", {"layers.hidden.size": [50, 100]}, max_length=100
    )
    zip: list[Annotated[list[str], Field(min_length=2, max_length=100)]] = key(
        [],
        "parameters that change together instead of being crossed",
        [["layers.hidden.size", "training.steps"]],
        max_length=50,
    )
    derive: dict[Path, Annotated[float | str, NumberOrText()]] = key(
        {},
        "values that follow from others: numbers, paths, `+ - * / **` and parentheses",
        {"regularizers.rates.Lambda": "1e-3 * 50 / layers.hidden.size"},
        max_length=100,
    )
    conditions: dict[str, Condition] = key(
        {}, "named arms, crossed with the parameters", {"worm": {}}, max_length=1000
    )
    method: Method = key(
        Grid.model_construct(type="grid"), "how the values are combined", {"type": "grid"}
    )
    metric: Metric = key(Metric.model_construct(), "what is compared", {"name": "accuracy"})
    baseline: str | None = key(None, "the condition that the others are compared with", "worm")
    stop_early: Halving | None = key(
        None,
        "stops the runs that are behind",
        {"type": "successive_halving", "min_steps": 500},
    )
