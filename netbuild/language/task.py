"""The task: where inputs and targets come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Model, Name, Positive, Seed, tag, told_by
from netbuild.language.shorthand import Shorthand, array, text
from netbuild.language.weights import Array, FileName


class TaskArray(Model):
    """One array of a data file, and how it is scaled."""

    file: FileName | None = Field(None, description="a file of its own", examples=["x.npy"])
    array: Array = None
    subtract: float = Field(0.0, description="subtracted first", examples=[0])
    divide: float = Field(1.0, description="then divided by", examples=[16])


class TargetArray(Model):
    """The targets: class numbers for cross_entropy, values for mse; or the loss mask."""

    file: FileName | None = Field(None, description="a file of its own", examples=["y.npy"])
    array: Array = None


class Split(Model):
    """Which samples are trained on; the rest is the test set."""

    train: float = Field(0.8, gt=0, le=1, description="fraction trained on", examples=[0.8])
    seed: Seed | None = Field(
        None, description="a seed of its own; the spec's `seed` when left out", examples=[0]
    )


class Arrays(Model):
    """Samples from a file, or whole trials, whose arrays have time as their second axis.

    Inputs are (sample, input), targets (sample) or (sample, output); of trials, inputs are
    (trial, time, input), targets (trial, time) or (trial, time, output).
    """

    type: Literal["arrays"]
    file: FileName | None = Field(None, description="the data file", examples=["digits.npz"])
    inputs: Annotated[
        TaskArray, Shorthand(array, {"type": "string", "description": "an array's name"})
    ] = Field(description="what the network reads", examples=[{"array": "x", "divide": 16}])
    targets: Annotated[
        TargetArray, Shorthand(array, {"type": "string", "description": "an array's name"})
    ] = Field(description="what it should answer", examples=["y"])
    loss_mask: (
        Annotated[
            TargetArray, Shorthand(array, {"type": "string", "description": "an array's name"})
        ]
        | None
    ) = Field(
        None,
        description="how much each step of a trial counts in the loss, (trial, time)",
        examples=["mask"],
    )
    variables: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(
        [],
        max_length=1000,
        description="arrays of `file` with one value a sample or trial, kept for analysis",
        examples=[["coherence", "context"]],
    )
    split: Split = Field(
        Split(), description="training and test samples", examples=[{"train": 0.8, "seed": 0}]
    )


EnvironmentId = Annotated[str, Field(min_length=1, max_length=200)]
EnvironmentArguments = Annotated[
    dict[str, object],
    Field(
        description="arguments of the environment; `timing` gives periods in ms",
        examples=[{"timing": {"fixation": 100, "stimulus": ["choice", [200, 400, 800]]}}],
    ),
]
TrialValues = Annotated[
    dict[str, object],
    Field(
        description="variables of the trials and their values, of which each trial takes one",
        examples=[{"coh": [25.6, 51.2]}],
    ),
]


class EnvironmentSpec(Model):
    """One of several environments."""

    name: Name | None = Field(None, description="its name in tables", examples=["go"])
    env: EnvironmentId = Field(
        description="an environment, by the name that neurogym registers",
        examples=["yang19.go-v0"],
    )
    env_kwargs: EnvironmentArguments = Field(default={})
    trials: TrialValues = Field(default={})
    weight: Positive = Field(
        1.0, description="how often it is drawn, against the others", examples=[5]
    )


class WholeTrials(Model):
    """Whole trials, padded to the longest of a batch; what is padded has no part in the loss."""

    of: Literal["trials"] = "trials"


class Windows(Model):
    """Windows of a stream of trials, which begin and end anywhere: the scheme of neurogym."""

    of: Literal["windows"]
    steps: int = Field(ge=1, le=10**6, description="time steps of a window", examples=[100])


class TargetLevels(Model):
    """Targets for mse: `high` for the right answer's output, `low` for the others."""

    low: float = Field(0.0, description="all other outputs", examples=[0.2])
    high: float = Field(1.0, description="the right answer's output", examples=[1])
    fixation: bool = Field(
        True,
        description="whether fixation, action 0, has an output of its own, the first",
        examples=[False],
    )


class EvaluationTrials(Model):
    """How the trials that are scored differ from those that are trained on."""

    env_kwargs: EnvironmentArguments = Field(default={})
    trials: TrialValues = Field(default={})


class Neurogym(Model):
    """Trials of a cognitive task, made by an environment of neurogym as the training asks."""

    type: Literal["neurogym"]
    env: EnvironmentId | None = Field(
        None,
        description="an environment, by the name that neurogym registers",
        examples=["PerceptualDecisionMaking-v0"],
    )
    env_kwargs: EnvironmentArguments = Field(default={})
    trials: TrialValues = Field(default={})
    envs: list[Annotated[EnvironmentSpec, Shorthand(text("env"))]] = Field(
        [],
        max_length=1000,
        description="several environments in place of `env`; each trial draws one of them",
        examples=[[{"name": "go", "env": "yang19.go-v0", "weight": 5}]],
    )
    rule_input: bool = Field(
        False,
        description="one input more for each of `envs`, a channel by its name, which is 1 in its"
        " trials",
        examples=[True],
    )
    batches: Annotated[
        Annotated[WholeTrials, tag(WholeTrials)] | Annotated[Windows, tag(Windows)],
        told_by("of", WholeTrials, Windows),
        Shorthand(text("of"), {"enum": ["trials"]}),
    ] = Field(
        WholeTrials.model_construct(),
        description="what a batch is made of",
        examples=[{"of": "windows", "steps": 100}],
    )
    targets: TargetLevels | None = Field(
        None, description="targets for mse", examples=[{"low": 0.2, "high": 1}]
    )
    # The values are checked where their periods are, each at its own place.
    loss_mask: dict[str, object] | None = Field(
        None,
        description="how much each period counts in the loss; those not named count nothing",
        examples=[{"fixation": 1, "decision": 1}],
        json_schema_extra={"additionalProperties": {"type": "number", "minimum": 0}},
    )
    evaluation: EvaluationTrials | None = Field(
        None,
        description="what differs in the trials that are scored; `env_kwargs` are merged",
        examples=[{"env_kwargs": {"timing": {"stimulus": 500}}}],
    )
    seed: Seed | None = Field(
        None, description="a seed of its own; the spec's `seed` when left out", examples=[0]
    )


Task = Annotated[
    Annotated[Arrays, tag(Arrays)] | Annotated[Neurogym, tag(Neurogym)],
    told_by("type", Arrays, Neurogym),
]
