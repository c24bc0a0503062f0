"""The task: where inputs and targets come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Model, Name, OneOf, Positive, Seed, key
from netbuild.language.shorthand import Shorthand, array, text
from netbuild.language.weights import Array, FileName


class TaskArray(Model):
    """One array of a data file, and how it is scaled."""

    file: FileName | None = key(None, "a file of its own", "x.npy")
    array: Array = None
    subtract: float = key(0.0, "subtracted first", 0)
    divide: float = key(1.0, "then divided by", 16)


class TargetArray(Model):
    """The targets: class numbers for cross_entropy, values for mse; or the loss mask."""

    file: FileName | None = key(None, "a file of its own", "y.npy")
    array: Array = None


class Split(Model):
    """Which samples are trained on; the rest is the test set."""

    train: float = key(0.8, "fraction trained on", 0.8, gt=0, le=1)
    seed: Seed | None = key(None, "a seed of its own; the spec's `seed` when left out", 0)


class Arrays(Model):
    """Samples from a file, or whole trials, whose arrays have time as their second axis.

    Inputs are (sample, input), targets (sample) or (sample, output); of trials, inputs are
    (trial, time, input), targets (trial, time) or (trial, time, output).
    """

    type: Literal["arrays"]
    file: FileName | None = key(None, "the data file", "digits.npz")
    inputs: Annotated[
        TaskArray, Shorthand(array, {"type": "string", "description": "an array's name"})
    ] = key(..., "what the network reads", {"array": "x", "divide": 16}, also="x")
    targets: Annotated[
        TargetArray, Shorthand(array, {"type": "string", "description": "an array's name"})
    ] = key(..., "what it should answer", "y", also="labels y")
    loss_mask: (
        Annotated[
            TargetArray, Shorthand(array, {"type": "string", "description": "an array's name"})
        ]
        | None
    ) = key(None, "how much each step of a trial counts in the loss, (trial, time)", "mask")
    variables: list[Annotated[str, Field(min_length=1, max_length=255)]] = key(
        [],
        "arrays of `file` with one value a sample or trial, kept for analysis",
        ["coherence", "context"],
        max_length=1000,
    )
    split: Split = key(Split(), "training and test samples", {"train": 0.8, "seed": 0})


EnvironmentId = Annotated[str, Field(min_length=1, max_length=200)]
EnvironmentArguments = Annotated[
    dict[str, object],
    key(
        ...,
        "arguments of the environment; `timing` gives periods in ms",
        {"timing": {"fixation": 100, "stimulus": ["choice", [200, 400, 800]]}},
    ),
]
TrialValues = Annotated[
    dict[str, object],
    key(
        ...,
        "variables of the trials and their values, of which each trial takes one",
        {"coh": [25.6, 51.2]},
    ),
]


class EnvironmentSpec(Model):
    """One of several environments."""

    name: Name | None = key(None, "its name in tables", "go")
    env: EnvironmentId = key(
        ..., "an environment, by the name that neurogym registers", "yang19.go-v0"
    )
    env_kwargs: EnvironmentArguments = Field(default={})
    trials: TrialValues = Field(default={})
    weight: Positive = key(1.0, "how often it is drawn, against the others", 5)


class WholeTrials(Model):
    """Whole trials, padded to the longest of a batch; what is padded has no part in the loss."""

    of: Literal["trials"] = "trials"


class Windows(Model):
    """Windows of a stream of trials, which begin and end anywhere: the scheme of neurogym."""

    of: Literal["windows"]
    steps: int = key(..., "time steps of a window", 100, ge=1, le=10**6)


class TargetLevels(Model):
    """Targets for mse: `high` for the right answer's output, `low` for the others."""

    low: float = key(0.0, "all other outputs", 0.2)
    high: float = key(1.0, "the right answer's output", 1)
    fixation: bool = key(
        True, "whether fixation, action 0, has an output of its own, the first", False
    )


class EvaluationTrials(Model):
    """How the trials that are scored differ from those that are trained on."""

    env_kwargs: EnvironmentArguments = Field(default={})
    trials: TrialValues = Field(default={})


class Neurogym(Model):
    """Trials of a cognitive task, made by an environment of neurogym as the training asks."""

    type: Literal["neurogym"]
    env: EnvironmentId | None = key(
        None, "an environment, by the name that neurogym registers", "PerceptualDecisionMaking-v0"
    )
    env_kwargs: EnvironmentArguments = Field(default={})
    trials: TrialValues = Field(default={})
    envs: list[Annotated[EnvironmentSpec, Shorthand(text("env"))]] = key(
        [],
        "several environments in place of `env`; each trial draws one of them",
        [{"name": "go", "env": "yang19.go-v0", "weight": 5}],
        max_length=1000,
    )
    rule_input: bool = key(
        False,
        "one input more for each of `envs`, a channel by its name, which is 1 in its trials",
        True,
    )
    batches: Annotated[
        WholeTrials | Windows,
        OneOf("of"),
        Shorthand(text("of"), {"enum": ["trials"]}),
    ] = key(
        WholeTrials.model_construct(),
        "what a batch is made of",
        {"of": "windows", "steps": 100},
        also="seq_len window",
    )
    targets: TargetLevels | None = key(None, "targets for mse", {"low": 0.2, "high": 1})
    # The values are checked where their periods are, each at its own place.
    loss_mask: dict[str, object] | None = key(
        None,
        "how much each period counts in the loss; those not named count nothing",
        {"fixation": 1, "decision": 1},
        json_schema_extra={"additionalProperties": {"type": "number", "minimum": 0}},
    )
    evaluation: EvaluationTrials | None = key(
        None,
        "what differs in the trials that are scored; `env_kwargs` are merged",
        {"env_kwargs": {"timing": {"stimulus": 500}}},
    )
    seed: Seed | None = key(None, "a seed of its own; the spec's `seed` when left out", 0)


Task = Annotated[
    Arrays | Neurogym,
    OneOf("type"),
]
