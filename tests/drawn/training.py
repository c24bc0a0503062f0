"""A task of arrays, and a training of a step or two."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from drawn.draft import Array, Draft

SAMPLES = 12
MOST_STEPS = 3  # of a trial
ADAM: dict[str, Any] = {"weight_decay": 0.1, "betas": [[0.5, 0.9]], "amsgrad": True, "eps": 1e-6}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"weight_decay": 0.1},
    "Adam": ADAM,
    "AdamW": ADAM,
    "RMSprop": {"weight_decay": 0.1, "alpha": 0.5, "momentum": 0.5, "eps": 1e-6},
    "Adagrad": {"weight_decay": 0.1, "lr_decay": 0.1, "eps": 1e-6},
}


def task(draft: Draft, inputs: int, outputs: int, loss: str) -> dict[str, Any]:
    rng = draft.numbers()
    timed = draft.recurrent or draft.maybe(0.1)
    shape = (SAMPLES, draft.rng.randint(1, MOST_STEPS)) if timed else (SAMPLES,)
    x = rng.integers(0, 9, (*shape, inputs)).astype(draft.rng.choice(["u1", "f4", "f8"]))
    y: Array = rng.integers(0, outputs, shape)
    if loss == "mse":
        y = rng.normal(size=(*shape, outputs))
    path = draft.folder / f"{draft.prefix}-task.npz"
    mask = rng.choice([0, 0.5, 1], shape)
    mask.reshape(SAMPLES, -1)[:, 0] = 1  # each trial counts, so that each batch does
    np.savez(path, x=x, y=y, mask=mask, cohérence=np.arange(SAMPLES))
    file = {"file": path.name}
    read: dict[str, Any] = {"array": "x"} | draft.some(divide=[8, 0.5], subtract=[1, -2.5])
    answers: Any = {"array": "y"}
    masks: Any = {"array": "mask"}
    if draft.maybe():
        task = {"type": "arrays", **file, "inputs": read, "targets": answers} | split(draft)
        task |= draft.some(variables=[["cohérence"], []])
    else:
        task = {"type": "arrays", "inputs": read | file, "targets": answers | file}
        task |= split(draft)
        masks |= file
    return task | (draft.some(loss_mask=[masks]) if timed else {})


def split(draft: Draft) -> dict[str, Any]:
    return {"split": draft.some(train=[0.5, 0.75, 1], seed=[1])} if draft.maybe(0.3) else {}


def training(draft: Draft, loss: str) -> dict[str, Any]:
    length = draft.rng.choice([{"steps": 2}, {"epochs": 1}])
    training = {"batch_size": 4, "loss": loss, **length}
    training |= draft.some(
        optimizer=[optimizer(draft)],
        clip_grad_norm=[1.0],
        log_every=[2, 3],
        threads=["auto", 1],
        checkpoint=[draft.some(every=[1], keep=[2, 3])],
    )
    if draft.maybe(0.3):
        training["evaluate"] = {"every": 1} | draft.some(trials=[10])
        best = {"metric": "loss", "at_most": 1e-9}
        if loss == "cross_entropy":
            best = {"metric": "accuracy", "at_least": 1.0}
        of = draft.some(of=["all"])  # `worst_task` is of several environments
        training["stop_when"] = best | of | draft.some(mean_of_last=[2], patience=[1, 2])
    if "steps" in training and draft.maybe(0.2):
        training["stages"] = stages(draft, training)
    return training


def stages(draft: Draft, training: dict[str, Any]) -> list[dict[str, Any]]:
    rule = training.pop("stop_when", None)
    first: dict[str, Any] = {"name": "first", "steps": 1}
    first |= draft.some(set=[{"training.clip_grad_norm": 2.0}, {}])
    second: dict[str, Any] = {"name": "second"}
    if rule is not None:
        second["stop_when"] = rule
    return [first, second]  # the second takes the steps of the whole


def select(spec: dict[str, Any], seed: int) -> None:
    """Add validation samples, and noise in evaluation, to some specs that say how they are scored.

    These choices have random numbers of their own, so that all others stay what they were.
    """
    rng = random.Random(f"select {seed}")
    split, evaluate = spec["task"].get("split"), spec["training"].get("evaluate")
    if split is not None and split.get("train", 0.8) < 1 and rng.random() < 0.5:
        split["validation"] = rng.choice([0.1, 0.15] if split.get("train", 0.8) < 0.8 else [0.1])
    if evaluate is not None and rng.random() < 0.5:
        evaluate["noise"] = rng.choice([True, False])


def optimizer(draft: Draft) -> Any:
    kind = draft.rng.choice(list(OPTIMIZERS))
    if draft.maybe(0.2):
        return kind
    found = {"type": kind, **draft.some(**OPTIMIZERS[kind], lr=[0.1, 1e-3])}
    if kind == "SGD" and draft.maybe():
        found |= {"momentum": 0.5} | draft.some(nesterov=[True, False])
    return found | draft.some(schedule=[schedule(draft)])


def schedule(draft: Draft) -> Any:
    return draft.rng.choice(
        [
            "cosine",
            {"type": "cosine"} | draft.some(warmup=[1], min_factor=[0.5]),
            {"type": "step", "every": 1} | draft.some(factor=[0.5]),
            {"type": "exponential", "factor": 0.5},
        ]
    )
