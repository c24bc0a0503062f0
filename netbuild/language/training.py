"""Training: how long, on what loss, with which optimizer, and what is written down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import (
    NUMBER,
    WORD,
    WORD_OR_NUMBER,
    Count,
    Fraction,
    Model,
    Name,
    NonNegative,
    OneOf,
    Positive,
    key,
)
from netbuild.language.shorthand import Shorthand, text

UNTIL = 10**15  # the steps of a stage that only its `stop_when` ends

LearningRate = Annotated[Positive, key(..., "learning rate", 1e-3, also="learning_rate")]
WeightDecay = Annotated[NonNegative, key(..., "weight decay", 0.01)]
Momentum = Annotated[Fraction, key(..., "momentum", 0.9)]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[
    list[Beta],
    key(..., "running averages", [0.9, 0.999], min_length=2, max_length=2),
]
Epsilon = Annotated[Positive, key(..., "added to the denominator", 1e-8)]


class Cosine(Model):
    """Half a cosine from the learning rate to `min_factor` times it, at the last step."""

    type: Literal["cosine"]
    warmup: int = key(0, "steps of linear increase", 100, ge=0, le=10**15)
    min_factor: Fraction = key(0.0, "where it ends", 0.1)


class StepDecay(Model):
    """Times `factor` every `every` steps."""

    type: Literal["step"]
    every: Count = key(..., "steps between two decays", 1000)
    factor: Positive = key(0.1, "what the learning rate is multiplied by", 0.5)


class Exponential(Model):
    """Times `factor` every step."""

    type: Literal["exponential"]
    factor: Positive = key(..., "what the learning rate is multiplied by at each step", 0.999)


Schedule = Annotated[
    Cosine | StepDecay | Exponential,
    OneOf("type"),
    Shorthand(text("type"), {"enum": ["cosine"]}),
]


class Optimizer(Model):
    """What all optimizers have."""

    lr: LearningRate = 1e-3
    weight_decay: WeightDecay = 0.0
    schedule: Schedule | None = key(None, "how the learning rate changes", {"type": "cosine"})


class SGD(Optimizer):
    """Stochastic gradient descent."""

    type: Literal["SGD"]
    momentum: Momentum = 0.0
    nesterov: bool = key(False, "Nesterov's momentum", True)


class Adam(Optimizer):
    """Kingma & Ba 2015; `weight_decay` is added to the gradient."""

    type: Literal["Adam"] = "Adam"
    betas: Betas = Field(default=[0.9, 0.999])
    eps: Epsilon = 1e-8
    amsgrad: bool = key(False, "Reddi et al. 2018", True)


class AdamW(Adam):
    """Loshchilov & Hutter 2019: Adam with decoupled weight decay."""

    type: Literal["AdamW"]  # type: ignore[assignment]
    weight_decay: WeightDecay = 0.01


class RMSprop(Optimizer):
    """Tieleman & Hinton 2012."""

    type: Literal["RMSprop"]
    alpha: Beta = key(0.99, "smoothing of the squared gradient", 0.99)
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0


class Adagrad(Optimizer):
    """Duchi et al. 2011."""

    type: Literal["Adagrad"]
    lr_decay: NonNegative = key(0.0, "decay of the learning rate", 0.0)
    eps: Epsilon = 1e-10


OptimizerSpec = Annotated[
    SGD | Adam | AdamW | RMSprop | Adagrad,
    OneOf("type"),
    Shorthand(text("type"), {"enum": ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"]}),
]


class Evaluate(Model):
    """When the test set is scored; at the end it always is."""

    every: Count | None = key(None, "steps between", 200)
    trials: Count = key(500, "trials that a generated task scores", 500)


class Checkpoint(Model):
    """When the state is saved; at the end it always is."""

    every: Count | None = key(500, "steps between; null: at the end alone", 500)
    keep: int = key(2, "how many stay", 2, ge=2, le=10**6)


class StopWhen(Model):
    """Ends the training early. Counted in evaluations."""

    metric: Literal["accuracy", "loss"] = key(
        ...,
        "which metric; the accuracy of trials with a decision is that of the choice at"
        " its end, else that of samples or steps",
        "accuracy",
    )
    at_least: float | None = key(None, "stop at this or above", 0.85)
    at_most: float | None = key(None, "stop at this or below", 0.05)
    mean_of_last: int = key(1, "averaged over so many evaluations", 5, ge=1, le=10**6)
    patience: Count | None = key(None, "stop after so many evaluations without a new best", 10)
    of: Literal["all", "worst_task"] = key(
        "all", "of all trials, or of the environment with the worst accuracy", "worst_task"
    )


class Stage(Model):
    """One part of a training, with its own overrides; the optimizer goes on as it is."""

    name: Name
    set: dict[str, object] = key(
        {},
        "overrides of `task`, `training` and `regularizers`, by path",
        {"task.trials.coh": [25.6, 51.2]},
        max_length=200,
    )
    steps: Count | None = key(
        None, "optimizer steps of this stage, at most; without it only `stop_when` ends it", 1000
    )
    stop_when: StopWhen | None = key(None, "its end", {"metric": "accuracy", "at_least": 0.9})


class Training(Model):
    """The training loop."""

    steps: Count | None = key(None, "optimizer steps", 2000, also="iterations")
    epochs: Count | None = key(None, "passes over the training samples, for `arrays`", 20)
    batch_size: Count = key(32, "samples or trials a step", 64)
    loss: Literal["cross_entropy", "mse"] = key(
        "cross_entropy", "the task's loss", "mse", also="criterion objective"
    )
    optimizer: OptimizerSpec = key(
        Adam.model_construct(type="Adam"), "the optimizer", {"type": "AdamW", "lr": 1e-3}
    )
    clip_grad_norm: Positive | None = key(
        None, "largest norm of the whole gradient", 1.0, also="clip gradient_clip max_grad_norm"
    )
    evaluate: Evaluate = key(Evaluate.model_construct(), "scoring", {"every": 200})
    checkpoint: Checkpoint = key(Checkpoint.model_construct(), "saving", {"every": 500})
    stop_when: StopWhen | None = key(
        None, "early end", {"metric": "accuracy", "at_least": 0.9}, also="early_stopping"
    )
    stages: list[Stage] | None = key(
        None,
        "the parts of the training, in order, in place of `steps` and `stop_when`",
        [{"name": "easy", "steps": 500}, {"name": "hard", "steps": 1000}],
        min_length=1,
        max_length=100,
    )
    log_every: Count = key(10, "steps between two lines of the log", 10)
    threads: Annotated[
        Annotated[Literal["auto"], WORD] | Annotated[int, Field(ge=1, le=4096), NUMBER],
        WORD_OR_NUMBER,
    ] = key(
        "auto", "cores used; `auto` takes those at hand when the run starts, and records them", 2
    )
