"""A task of neurogym: its keys, what it gives a network, and whether its answers fit the loss.

The environments themselves are checked in `environments`, which takes a while to import.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from netbuild.language.base import Model, Name, OneOf, Positive, Seed, key
from netbuild.language.context import Context
from netbuild.language.plan import NeurogymPlan, TaskInputs
from netbuild.language.shorthand import Shorthand, text
from netbuild.language.training import Training
from netbuild.language.units import Units
from netbuild.wording import counted

TIMING = {"timing": {"fixation": 100, "stimulus": ["choice", [200, 400, 800]]}}

EnvironmentId = Annotated[str, Field(min_length=1, max_length=200)]
TrialValues = Annotated[
    dict[str, object],
    key(
        ...,
        "variables of the trials and their values, of which each trial takes one",
        {"coh": [25.6, 51.2]},
    ),
]


def _arguments() -> Any:
    """The key `env_kwargs`. Metadata of an annotation would be lost where a default is added."""
    what = "arguments of the environment; `timing` gives periods in ms"
    return key({}, what, TIMING, also="env_args kwargs timing")


class EnvironmentSpec(Model):
    """One of several environments."""

    name: Name | None = key(None, "its name in tables", "go")
    env: EnvironmentId = key(
        ..., "an environment, by the name that neurogym registers", "yang19.go-v0"
    )
    env_kwargs: dict[str, object] = _arguments()
    trials: TrialValues = Field(default={})
    weight: Positive = key(1.0, "how often it is drawn, relative to the others", 5)


class WholeTrials(Model):
    """Whole trials, padded to the longest of a batch; padding does not count in the loss."""

    of: Literal["trials"] = "trials"


class Windows(Model):
    """Windows of a stream of trials, which may begin and end within a trial, as in neurogym."""

    of: Literal["windows"]
    steps: int = key(..., "time steps of a window", 100, ge=1, le=10**6)


class TargetLevels(Model):
    """Targets for mse: `high` for the right answer's output, `low` for the others."""

    low: float = key(0.0, "all other outputs", 0.2)
    high: float = key(1.0, "the right answer's output", 1)
    fixation: bool = key(
        True, "whether fixation (action 0) has an output, which is then the first", False
    )


class EvaluationTrials(Model):
    """How the trials that are scored differ from those that are trained on."""

    foreign: ClassVar = {
        "noise": "network noise is no matter of trials: `training: {evaluate: {noise: true}}`"
    }

    env_kwargs: dict[str, object] = _arguments()
    trials: TrialValues = Field(default={})


class Neurogym(Model):
    """Trials of a cognitive task, made by an environment of neurogym as the training asks."""

    type: Literal["neurogym"]
    env: EnvironmentId | None = key(
        None, "an environment, by the name that neurogym registers", "PerceptualDecisionMaking-v0"
    )
    env_kwargs: dict[str, object] = _arguments()
    trials: TrialValues = Field(default={})
    envs: list[Annotated[EnvironmentSpec, Shorthand(text("env"))]] = key(
        [],
        "several environments in place of `env`; each trial draws one of them",
        [{"name": "go", "env": "yang19.go-v0", "weight": 5}],
        max_length=1000,
    )
    rule_input: bool = key(
        False,
        "one more input for each of `envs`, of its name, which is 1 in its trials and 0 in others",
        True,
    )
    batches: Annotated[
        WholeTrials | Windows, OneOf("of"), Shorthand(text("of"), {"enum": ["trials"]})
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
        "how much each period counts in the loss; a period that is not named does not count",
        {"fixation": 1, "decision": 1},
        json_schema_extra={"additionalProperties": {"type": "number", "minimum": 0}},
    )
    evaluation: EvaluationTrials | None = key(
        None,
        "what differs in the trials that are scored; `env_kwargs` are merged",
        {"env_kwargs": {"timing": {"stimulus": 500}}},
    )
    seed: Seed | None = key(None, "a separate seed; the spec's `seed` when left out", 0)

    has_epochs: ClassVar[bool] = False  # the trials are always new

    @property
    def parts(self) -> int:
        """How many environments its trials are drawn from."""
        return max(1, len(self.envs))

    @property
    def window(self) -> int | None:
        """The time steps of a window; None where batches are of whole trials."""
        return self.batches.steps if isinstance(self.batches, Windows) else None

    def answers_are_choices(self, given: TaskInputs | None) -> bool | None:
        """Whether an evaluation has an accuracy whichever loss is trained on; None if unknown."""
        return given.classes if isinstance(given, NeurogymPlan) else None

    def given(self, context: Context) -> NeurogymPlan | None:
        """Where its trials come from, and how wide they are; None with a problem."""
        from netbuild.language.environments import check_environments

        return check_environments(context, self)

    def check(
        self,
        context: Context,
        given: TaskInputs | None,
        output: Units | None,
        training: Training | None,
    ) -> TaskInputs | None:
        """What is `given`; notes a problem where the loss cannot compare outputs with answers."""
        plan = given
        if not isinstance(plan, NeurogymPlan) or output is None or training is None:
            return given
        loss = training.loss
        at = context.at("task", "envs" if self.envs else "env")
        if loss == "mse" and plan.classes and self.targets is None:
            what = "mse compares values, and this task's answers are actions"
            hint = "write `targets: {low: 0, high: 1}` in `task`, or `loss: cross_entropy`"
            at.problem("NB307", what, hint)
        elif loss == "cross_entropy" and not plan.classes:
            what = "cross_entropy compares classes, and this task's answers are values"
            at.problem("NB307", what, "write `loss: mse` in `training`")
        elif loss == "cross_entropy" and self.targets is not None:
            what = "`targets` are values, which cross_entropy does not compare"
            hint = "write `loss: mse` in `training`, or remove `targets`"
            context.at("task", "targets").problem("NB308", what, hint, key=True)
        elif plan.outputs != output.size:
            kind = "actions" if plan.classes else "values"
            if self.targets is not None and not self.targets.fixation:
                kind += " other than fixation"
            outputs = counted(output.size, "output")
            what = f"the task has {plan.outputs} {kind}, but `{output.layer}` has {outputs}"
            at.problem("NB307", what, f"its `output_dim` would be {plan.outputs}")
        return given
