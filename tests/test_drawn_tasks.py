"""Random right specs with neurogym's environments: each validates, builds and takes a step."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path
from typing import Any

import pytest

import netbuild
from netbuild.builder import build, build_optimizer, build_task
from netbuild.environments.facts import Facts, facts_of
from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.recipe import Environment
from netbuild.environments.registry import environment_names
from netbuild.errors import SpecError
from netbuild.training.loop import Trainer

# Environments with so many actions, and a trial variable of each with values that it may have.
ENVIRONMENTS: dict[str, tuple[int, dict[str, Any]]] = {
    "PerceptualDecisionMaking-v0": (3, {"coh": [6.4, 51.2]}),
    "DelayComparison-v0": (3, {}),
    "ContextDecisionMaking-v0": (3, {"coh_1": [5, 50]}),
    "DelayMatchSample-v0": (3, {}),
    "GoNogo-v0": (2, {}),
}
PERIODS = {"decision": 1}
DT = 100


def draw(seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    env = rng.choice(list(ENVIRONMENTS))
    actions, variables = ENVIRONMENTS[env]
    task: dict[str, Any] = {"type": "neurogym", "env": env}
    loss = "cross_entropy"
    if rng.random() < 0.3:
        task["batches"] = {"of": "windows", "steps": rng.choice([5, 30])}
    else:
        if variables and rng.random() < 0.5:
            task["trials"] = variables
        if rng.random() < 0.5:
            task["loss_mask"] = PERIODS
        if rng.random() < 0.4:
            task["targets"], loss = {"low": 0.2, "high": 1.0}, "mse"
    if env.startswith("Perceptual") and rng.random() < 0.5:
        task["env_kwargs"] = {"sigma": 0.5, "timing": {"stimulus": ["choice", [200, 400]]}}
    if rng.random() < 0.25 and "batches" not in task:
        kind = {key: task.pop(key) for key in ("env", "env_kwargs", "trials") if key in task}
        task |= {
            "envs": [{"name": "one", **kind}, {"name": "two", "env": env, "weight": 3.0}],
            "rule_input": True,
        }
    hidden = {"name": "hidden", "type": "ctrnn", "size": rng.choice([4, 9]), "tau": 200}
    hidden |= rng.choice([{}, {"excitatory": 0.75, "noise": 0.1}, {"activation": "tanh"}])
    readout = {"name": "out", "type": "linear", "output_dim": actions}
    if rng.random() < 0.3:
        hidden["from"] = "fixation"  # the first of the channels, so that others are not read
    training = {"steps": 2, "batch_size": rng.choice([1, 3]), "loss": loss, "log_every": 1}
    training["evaluate"] = {"trials": 3}
    return {
        "netbuild": 1,
        "seed": seed,
        "dt": rng.choice([50, 100]),
        "task": task,
        "layers": [hidden, readout],
        "training": training,
    }


@pytest.fixture
def without_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made in this process: a worker would be ended while it imports neurogym."""
    waits = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    monkeypatch.setattr("netbuild.system.worker_command", lambda module: waits)


CHUNKS = [0, 1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]


@pytest.mark.parametrize("chunk", CHUNKS)
@pytest.mark.usefixtures("without_worker")
def test_right_tasks_are_accepted_build_and_train(chunk: int, tmp_path: Path) -> None:
    for seed in range(10 * chunk, 10 * chunk + 10):
        spec = draw(seed)
        run = netbuild.train(spec, tmp_path)
        losses = [record["loss"] for record in run.metrics if record["kind"] == "train"]
        assert len(losses) == 2, spec
        assert all(math.isfinite(loss) for loss in losses), spec
        assert not [c for c in run.network().verify(run.initial) if c.violations], spec


def reading(env: str, channel: str, facts: Facts) -> dict[str, Any]:
    """A spec whose one layer reads one channel of an environment."""
    loss = "mse" if facts.actions is None else "cross_entropy"
    layer = {"name": "a", "type": "linear", "from": channel}
    return {
        "netbuild": 1,
        "dt": DT,
        "task": {"type": "neurogym", "env": env},
        "layers": [layer | {"output_dim": facts.actions or facts.values}],
        "training": {"steps": 1, "batch_size": 2, "loss": loss, "evaluate": {"trials": 2}},
    }


def trains_on_each_channel(env: str) -> int:
    """Train a network on each named channel of an environment alone; how many there are."""
    try:
        facts = facts_of(Environment(env), DT)
    except EnvironmentFailed:  # there is nothing to learn from, or a period is shorter than a step
        return 0
    trained = 0
    for channel in facts.channels:
        try:
            spec = netbuild.load(reading(env, channel, facts))
        except SpecError:
            continue
        network, task = build(spec), build_task(spec)
        assert network.input_dim == facts.inputs
        optimizer = build_optimizer(spec.model.training, network)
        records = list(Trainer(network, task, spec.model.training, optimizer).records())
        assert records[-1].step == 1
        trained += 1
    return trained


@pytest.mark.parametrize("env", ["PerceptualDecisionMaking-v0", "ReachingDelayResponse-v0"])
def test_a_network_may_read_any_one_channel(env: str) -> None:
    assert trains_on_each_channel(env) > 1


@pytest.mark.slow
def test_a_network_may_read_any_one_channel_of_any_environment() -> None:
    assert sum(map(trains_on_each_channel, environment_names())) > 100
