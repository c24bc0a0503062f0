"""Training: how long, on what loss, with which optimizer, and what is written down."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from netbuild.language.base import Count, Fraction, Model, Name, NonNegative, Positive, tag, told_by
from netbuild.language.shorthand import Shorthand, text

LearningRate = Annotated[Positive, Field(description="learning rate", examples=[1e-3])]
WeightDecay = Annotated[NonNegative, Field(description="weight decay", examples=[0.01])]
Momentum = Annotated[Fraction, Field(description="momentum", examples=[0.9])]
Beta = Annotated[float, Field(ge=0, lt=1)]
Betas = Annotated[
    list[Beta],
    Field(min_length=2, max_length=2, description="running averages", examples=[[0.9, 0.999]]),
]
Epsilon = Annotated[Positive, Field(description="added to the denominator", examples=[1e-8])]


class Cosine(Model):
    """Half a cosine from the learning rate to `min_factor` times it, at the last step."""

    type: Literal["cosine"]
    warmup: int = Field(0, ge=0, le=10**15, description="steps of linear increase", examples=[100])
    min_factor: Fraction = Field(0.0, description="where it ends", examples=[0.1])


class StepDecay(Model):
    """Times `factor` every `every` steps."""

    type: Literal["step"]
    every: Count = Field(description="steps between two decays", examples=[1000])
    factor: Positive = Field(
        0.1, description="what the learning rate is multiplied by", examples=[0.5]
    )


class Exponential(Model):
    """Times `factor` every step."""

    type: Literal["exponential"]
    factor: Positive = Field(
        description="what the learning rate is multiplied by at each step", examples=[0.999]
    )


Schedule = Annotated[
    Annotated[Cosine, tag(Cosine)]
    | Annotated[StepDecay, tag(StepDecay)]
    | Annotated[Exponential, tag(Exponential)],
    told_by("type", Cosine, StepDecay, Exponential),
    Shorthand(text("type"), {"enum": ["cosine"]}),
]


class Optimizer(Model):
    """What all optimizers have."""

    lr: LearningRate = 1e-3
    weight_decay: WeightDecay = 0.0
    schedule: Schedule | None = Field(
        None, description="how the learning rate changes", examples=[{"type": "cosine"}]
    )


class SGD(Optimizer):
    """Stochastic gradient descent."""

    type: Literal["SGD"]
    momentum: Momentum = 0.0
    nesterov: bool = Field(False, description="Nesterov's momentum", examples=[True])


class Adam(Optimizer):
    """Kingma & Ba 2015; `weight_decay` is added to the gradient."""

    type: Literal["Adam"] = "Adam"
    betas: Betas = Field(default=[0.9, 0.999])
    eps: Epsilon = 1e-8
    amsgrad: bool = Field(False, description="Reddi et al. 2018", examples=[True])


class AdamW(Adam):
    """Loshchilov & Hutter 2019: Adam with decoupled weight decay."""

    type: Literal["AdamW"]  # type: ignore[assignment]
    weight_decay: WeightDecay = 0.01


class RMSprop(Optimizer):
    """Tieleman & Hinton 2012."""

    type: Literal["RMSprop"]
    alpha: Beta = Field(0.99, description="smoothing of the squared gradient", examples=[0.99])
    eps: Epsilon = 1e-8
    momentum: Momentum = 0.0


class Adagrad(Optimizer):
    """Duchi et al. 2011."""

    type: Literal["Adagrad"]
    lr_decay: NonNegative = Field(0.0, description="decay of the learning rate", examples=[0.0])
    eps: Epsilon = 1e-10


OptimizerSpec = Annotated[
    Annotated[SGD, tag(SGD)]
    | Annotated[Adam, tag(Adam)]
    | Annotated[AdamW, tag(AdamW)]
    | Annotated[RMSprop, tag(RMSprop)]
    | Annotated[Adagrad, tag(Adagrad)],
    told_by("type", SGD, Adam, AdamW, RMSprop, Adagrad),
    Shorthand(text("type"), {"enum": ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"]}),
]


class Evaluate(Model):
    """When the test set is scored; at the end it always is."""

    every: Count | None = Field(None, description="steps between", examples=[200])
    trials: Count = Field(500, description="trials that a generated task scores", examples=[500])


class Checkpoint(Model):
    """When the state is saved; at the end it always is."""

    every: Count | None = Field(
        500, description="steps between; null: at the end alone", examples=[500]
    )
    keep: int = Field(2, ge=2, le=10**6, description="how many stay", examples=[2])


class StopWhen(Model):
    """Ends the training early. Counted in evaluations."""

    metric: Literal["accuracy", "loss"] = Field(
        description="which metric; the accuracy of trials with a decision is that of the choice at"
        " its end, else that of samples or steps",
        examples=["accuracy"],
    )
    at_least: float | None = Field(None, description="stop at this or above", examples=[0.85])
    at_most: float | None = Field(None, description="stop at this or below", examples=[0.05])
    mean_of_last: int = Field(
        1, ge=1, le=10**6, description="averaged over so many evaluations", examples=[5]
    )
    patience: Count | None = Field(
        None, description="stop after so many evaluations without a new best", examples=[10]
    )
    of: Literal["all", "worst_task"] = Field(
        "all",
        description="of all trials, or of the environment with the worst accuracy",
        examples=["worst_task"],
    )


class Stage(Model):
    """One part of a training, with its own overrides; the optimizer goes on as it is."""

    name: Name
    set: dict[str, object] = Field(
        {},
        max_length=200,
        description="overrides of `task`, `training` and `regularizers`, by path",
        examples=[{"task.trials.coh": [25.6, 51.2]}],
    )
    steps: Count | None = Field(
        None,
        description="optimizer steps of this stage, at most; without it only `stop_when` ends it",
        examples=[1000],
    )
    stop_when: StopWhen | None = Field(
        None, description="its end", examples=[{"metric": "accuracy", "at_least": 0.9}]
    )


class Training(Model):
    """The training loop."""

    steps: Count | None = Field(None, description="optimizer steps", examples=[2000])
    epochs: Count | None = Field(
        None, description="passes over the training samples, for `arrays`", examples=[20]
    )
    batch_size: Count = Field(32, description="samples or trials a step", examples=[64])
    loss: Literal["cross_entropy", "mse"] = Field(
        "cross_entropy", description="the task's loss", examples=["mse"]
    )
    optimizer: OptimizerSpec = Field(
        Adam.model_construct(type="Adam"),
        description="the optimizer",
        examples=[{"type": "AdamW", "lr": 1e-3}],
    )
    clip_grad_norm: Positive | None = Field(
        None, description="largest norm of the whole gradient", examples=[1.0]
    )
    evaluate: Evaluate = Field(
        Evaluate.model_construct(), description="scoring", examples=[{"every": 200}]
    )
    checkpoint: Checkpoint = Field(
        Checkpoint.model_construct(), description="saving", examples=[{"every": 500}]
    )
    stop_when: StopWhen | None = Field(
        None, description="early end", examples=[{"metric": "accuracy", "at_least": 0.9}]
    )
    stages: list[Stage] | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="the parts of the training, in order, in place of `steps` and `stop_when`",
        examples=[[{"name": "easy", "steps": 500}, {"name": "hard", "steps": 1000}]],
    )
    log_every: Count = Field(10, description="steps between two lines of the log", examples=[10])
    threads: Annotated[
        Annotated[Literal["auto"], Tag("<auto>")]
        | Annotated[int, Field(ge=1, le=4096), Tag("<number>")],
        Discriminator(lambda value: "<auto>" if isinstance(value, str) else "<number>"),
    ] = Field(
        "auto",
        description="cores used; `auto` takes those at hand when the run starts, and records them",
        examples=[2],
    )
