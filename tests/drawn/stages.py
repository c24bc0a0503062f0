"""Trainings in stages, drawn at random, and the whole life of the run of one.

Each stage may turn an option of the optimizer on or off, exchange the regularizers, choose other
arrays of the data file, another loss, another split or another rhythm of records. What `load`
accepts must train, resume to the same bits wherever it was cut, reproduce, be scored as its log
says, and be forked.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from resuming import assert_same, begun, killed_at, lines, stopped_at

import netbuild
from netbuild.api import resume
from netbuild.errors import Exit, NetbuildError, SpecError
from netbuild.results.evaluation import evaluate

OPTIONS: dict[str, dict[str, list[Any]]] = {
    "SGD": {"momentum": [0, 0.9, 0.9], "nesterov": [False, False, True], "weight_decay": [0, 0.1]},
    "Adam": {"amsgrad": [False, True], "betas": [[0.9, 0.999], [0.5, 0.9]], "eps": [1e-8, 1e-3]},
    "AdamW": {"amsgrad": [False, True], "weight_decay": [0, 0.1]},
    "RMSprop": {"momentum": [0, 0.5], "alpha": [0.99, 0.5]},
    "Adagrad": {"lr_decay": [0.0, 0.1]},
}
SCHEDULES = ["cosine", {"type": "step", "every": 2, "factor": 0.5}, None]
REGULARIZERS: list[dict[str, Any]] = [
    {"name": "small", "type": "L2", "params": "*.weight", "Lambda": 0.01},
    {"name": "dale", "type": "DaleLawL2", "params": "out.weight", "Lambda": 0.01},
    {"name": "hinge", "type": "DaleHinge", "params": "out.weight", "Lambda": 0.01},
    {"name": "side", "type": "L1", "params": "side.weight", "Lambda": 0.1},
    {"name": "rates", "type": "FiringRateL2", "layers": "hidden", "Lambda": 0.01},
]


def write_data(folder: Path, rng: np.random.Generator, *, timed: bool) -> None:
    """Two arrays of inputs, classes and values: 40 samples, or 40 trials of 4 steps."""
    each = (40, 4) if timed else (40,)
    y = rng.integers(0, 3, size=each)
    x = rng.normal(size=(*each, 5)) + np.eye(3, 5)[y]
    z = rng.normal(size=(*each, 3))
    arrays = {"x": x, "hard": x + rng.normal(size=x.shape), "z": z}
    np.savez(folder / "data.npz", y=y, **{k: a.astype(np.float32) for k, a in arrays.items()})


def drawn(folder: Path, seed: int) -> Path:
    """Write a spec and its data; returns the path of the spec, which need not be valid."""
    rng = random.Random(seed)
    timed = rng.random() < 0.4
    write_data(folder, np.random.default_rng(seed), timed=timed)
    kind = rng.choice(list(OPTIONS))
    path = folder / "spec.yaml"
    training = {
        "batch_size": 8,
        "log_every": rng.randint(1, 3),
        "optimizer": {"type": kind, "lr": 0.05, **_options(rng, kind, 0.3)},
        "checkpoint": {"every": rng.choice([2, 3, None]), "keep": 2},
        "evaluate": {"every": rng.choice([1, 2, None])},
        "stages": [_stage(rng, kind, number) for number in range(rng.randint(1, 4))],
    }
    spec = {
        "netbuild": 1,
        "seed": seed,
        "task": {
            "type": "arrays",
            "file": "data.npz",
            "inputs": "x",
            "targets": "y",
            "split": {"train": 0.5} | ({"validation": 0.2} if seed % 3 == 0 else {}),
        },
        "layers": _layers(rng, timed=timed),
        "regularizers": rng.sample(REGULARIZERS, rng.randint(0, 3)),
        "training": training,
    }
    path.write_text(json.dumps(spec, indent=1))
    return path


def _options(rng: random.Random, kind: str, share: float) -> dict[str, Any]:
    known = OPTIONS[kind].items()
    return {key: rng.choice(values) for key, values in known if rng.random() < share}


def _layers(rng: random.Random, *, timed: bool) -> list[dict[str, Any]]:
    storage = rng.choice([{}, {"storage": "sparse", "density": 0.6}, {"density": 0.6}])
    hidden = {"name": "hidden", "type": "linear", "output_dim": 6, "activation": "relu"}
    if timed and rng.random() < 0.7:
        recurrent = {"weight": "normal", **storage}
        hidden = {"name": "hidden", "type": "ctrnn", "size": 6, "alpha": 0.3}
        hidden |= {"noise": {"sigma": 0.1}, "recurrent": recurrent}
    else:
        hidden |= storage
    out = {"name": "out", "type": "linear", "from": "hidden", "output_dim": 3}
    out |= rng.choice(
        [{}, {"dale": "abs"}, {"plasticity_mask": {"generate": "random", "density": 0.7}}]
    )
    side = {"name": "side", "type": "linear", "from": "input", "output_dim": 2}  # read by nobody
    hidden["excitatory"] = 0.5
    return [side, {**hidden, "from": "input"}, out]


def _stage(rng: random.Random, kind: str, number: int) -> dict[str, Any]:
    changes: dict[str, Any] = {
        f"training.optimizer.{key}": value for key, value in _options(rng, kind, 0.5).items()
    }
    for share, path, values in (
        (0.3, "training.optimizer.schedule", SCHEDULES),
        (0.2, "training.optimizer.lr", [0.01, 0.1]),
        (0.2, "training.batch_size", [4, 7]),
        (0.2, "training.log_every", [1, 2]),
        (0.2, "training.checkpoint", [{"every": 1, "keep": 3}]),
        (0.2, "training.clip_grad_norm", [0.5]),
        (0.2, "task.inputs", ["hard", {"array": "x", "divide": 2}]),
        (0.2, "task.split.train", [0.5, 0.7, 0.7, 0.3]),
        (0.03, "task.split.seed", [7]),
    ):
        if rng.random() < share:
            changes[path] = rng.choice(values)
    if rng.random() < 0.3:
        changes |= {"training.loss": "mse", "task.targets": "z"}
    if rng.random() < 0.5:
        changes["regularizers"] = rng.sample(REGULARIZERS, rng.randint(0, 3))
    stage: dict[str, Any] = {"name": f"s{number}", "set": changes, "steps": rng.randint(1, 5)}
    if rng.random() < 0.3:
        stage["stop_when"] = {"metric": "loss", "at_most": rng.choice([0.9, 100])}
    return stage


def life(folder: Path, seed: int) -> str:
    """Draw a spec and lead its run through all that a run goes through; returns what became of it.

    That is "refused" where `load` has found problems, "diverged", or "lived". AssertionError, or
    whatever else is raised, is a defect.
    """
    folder.mkdir(parents=True)
    rng = random.Random(seed + 1)
    path = drawn(folder, seed)
    try:
        spec = netbuild.load(path)
    except SpecError:
        return "refused"
    try:
        whole = netbuild.train(spec, folder / "runs")
    except NetbuildError as error:
        if error.exit_code != Exit.DIVERGED:
            raise
        return "diverged"
    last = int(whole.about["step"])
    records = sorted({line["step"] for line in lines(whole.path)})
    cut = rng.choice([stopped_at, killed_at])(rng.choice(records))
    run = begun(spec, folder / "runs", cut)
    again = rng.choice(records)
    resume(run, watch=stopped_at(again), warn=_refuse)
    assert_same(whole, resume(run, warn=_refuse))
    compared = netbuild.reproduce(whole.path, warn=_refuse)
    assert compared.same, compared.difference
    for which, on in itertools.product(("last", "best"), whole.scores):
        found = evaluate(whole, which, on=on)
        assert found.logged is not None
        values = dict(found.values)
        assert {key: found.logged[key] for key in values} == values
    table = whole.trials()
    assert whole.trials(len(table)).equals(table)
    assert whole.activity(3).trials["sample"].tolist() == table["sample"].to_list()[:3]
    try:
        fork = netbuild.fork(whole.path, folder / "runs", warn=_refuse)
    except SpecError as error:  # its first stage would test on what the last one has trained on
        codes = {problem.code for problem in error.problems}
        if codes != {"NB311"} or len({stage.plan.split for stage in spec.stages}) < 2:
            raise
        return "lived"
    assert fork.about["status"] in ("finished", "stopped early")
    assert all(torch.equal(fork.initial[k], v) for k, v in _weights(whole).items())
    assert last > 0
    return "lived"


def _weights(run: netbuild.Run) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in run.network().named_parameters()}


def _refuse(message: str) -> None:
    raise AssertionError(message)
