"""Random specs that are right: over layers, masks, regularizers and training, in small sizes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = 12


def seeds(count: int, start: int = 0) -> Iterator[int]:
    """The seeds of so many specs."""
    return iter(range(start, start + count))


def draw_spec(seed: int, folder: Path) -> dict[str, Any]:
    """A right spec whose data and mask files are written into `folder`."""
    return Drawer(random.Random(seed), folder, f"d{seed}").spec()


@dataclass
class Units:
    """What a layer gives: how many units, and the signs of them as far as they have any."""

    size: int
    excitatory: int | None = None


@dataclass
class Drawer:
    """Draws one spec; the state of a draw."""

    rng: random.Random
    folder: Path
    prefix: str
    files: int = 0
    known: dict[str, Units] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of parameters, as torch's
    signed: set[str] = field(default_factory=set)

    def maybe(self, chance: float = 0.5) -> bool:
        return self.rng.random() < chance

    def some(self, **choices: Any) -> dict[str, Any]:
        """Some of the keys; a value that is a list is one to choose from."""
        return {
            key: self.rng.choice(value) if isinstance(value, list) else value
            for key, value in choices.items()
            if self.maybe(0.4)
        }

    def spec(self) -> dict[str, Any]:
        loss = self.rng.choice(["cross_entropy", "mse"])
        inputs = self.rng.randint(1, 5)
        self.known["input"] = Units(inputs)
        layers = [self.layer(i) for i in range(self.rng.randint(1, 5))]
        outputs = self.known[layers[-1]["name"]].size
        task = self.task(inputs, outputs, loss)
        if layers[-1]["type"] == "dropout":
            layers.append(self.linear(f"l{len(layers)}", "input", self.known["input"], outputs))
        self.let_learn(layers[-1])
        spec: dict[str, Any] = {"netbuild": 1, "task": task, "layers": layers}
        spec |= self.some(name=["net", "A.b-c_1"], seed=[0, 7, 2**32 - 1], device="cpu")
        if regularizers := [self.regularizer(i) for i in range(self.rng.randint(0, 4))]:
            spec["regularizers"] = [r for r in regularizers if r]
        spec["training"] = self.training(loss)
        return spec

    @staticmethod
    def let_learn(layer: dict[str, Any]) -> None:
        if isinstance(layer.get("weight"), dict):
            layer["weight"].pop("learn", None)

    # layers

    def layer(self, i: int) -> dict[str, Any]:
        name = self.rng.choice([f"l{i}", f"layer_{i}", f"no{i}", f"x{i}y"])
        source, units = self.source()
        if self.maybe(0.2) and i:
            self.known[name] = units
            return {"name": name, "type": "dropout", "from": source, "p": self.rng.choice([0, 0.5])}
        return self.linear(name, source, units, self.rng.randint(1, 6))

    def source(self) -> tuple[str, Units]:
        name = self.rng.choice(list(self.known))
        units = self.known[name]
        if units.excitatory and self.maybe():
            return f"{name}.excitatory", Units(units.excitatory, units.excitatory)
        if units.excitatory is not None and units.excitatory < units.size and self.maybe():
            return f"{name}.inhibitory", Units(units.size - units.excitatory, 0)
        return name, units

    def linear(self, name: str, source: str, reads: Units, size: int) -> dict[str, Any]:
        shape = reads.size, size
        layer: dict[str, Any] = {"name": name, "type": "linear", "from": source, "output_dim": size}
        layer |= self.some(
            input_dim=reads.size,
            activation=["relu", "tanh", {"type": "power", "n": 1.5}, "softplus", "retanh"],
            seed=[1, 2],
            dale=["project", "abs", "none"],
            dale_init=["abs", "clamp"],
        )
        gives = Units(size)
        if self.maybe(0.4):
            layer["excitatory"] = self.rng.choice([0, 0.5, 0.8, 1])
            gives.excitatory = int(layer["excitatory"] * size + 0.5)
        layer |= self.some(weight=self.weight(shape), bias=self.bias(size))
        layer |= self.masks(shape, reads)
        self.known[name] = gives
        self.shapes[f"{name}.weight"] = (size, reads.size)
        if layer.get("bias", "") is not None:
            self.shapes[f"{name}.bias"] = (size,)
        if reads.excitatory is not None or "ei_mask" in layer:
            self.signed.add(f"{name}.weight")
            layer |= self.some(ei_balance=["row", "global", "nn4n", "none"])
            if layer.get("dale") == "abs":  # |w| has no gradient at 0
                layer |= {"dale_init": "abs"}
                layer |= {"weight": "normal"} if layer.get("weight") == "zero" else {}
        return layer

    def weight(self, shape: tuple[int, int]) -> Any:
        choices: list[Any] = [
            *("uniform", "normal", "zero", "xavier_uniform", "kaiming_normal", "orthogonal"),
            *("identity", 0.25, -1, {"init": "constant", "value": 0.1, "learn": False}),
            {"init": "normal", "std": 0.1, "mean": 0.5},
            {"init": "uniform", "low": -0.5, "high": 0.25},
            {"init": "trunc_normal", "std": 0.5},
            {"init": "kaiming_uniform", "nonlinearity": "relu", "mode": "fan_out"},
            {"init": "xavier_normal", "gain": 0.5},
            self.matrix(np.random.default_rng(self.rng.randrange(1000)).normal(size=shape)),
        ]
        return self.rng.choice(choices)

    def bias(self, size: int) -> Any:
        values = [self.rng.choice([0.0, 0.5, -1]) for _ in range(size)]
        vector = self.file(np.array(values))
        return self.rng.choice([None, "zero", "normal", 0.5, values, {"values": values}, vector])

    def masks(self, shape: tuple[int, int], reads: Units) -> dict[str, Any]:
        rng = np.random.default_rng(self.rng.randrange(1000))
        masks: dict[str, Any] = {}
        if shape[0] == shape[1] and self.maybe():
            masks["self_connections"] = False
        kind = self.rng.choice(["none", "density", "random", "indegree", "file"])
        most = shape[0] - ("self_connections" in masks)
        if kind == "density":
            masks["density"] = self.rng.choice([0, 0.3, 1])
        elif kind == "random":
            masks["sparsity_mask"] = {"generate": "random", "density": 0.5} | self.some(seed=[1])
        elif kind == "indegree":
            connections = self.rng.randint(0, most)
            masks["sparsity_mask"] = {"generate": "fixed_indegree", "connections": connections}
        elif kind == "file":
            masks["sparsity_mask"] = self.matrix(rng.integers(0, 2, shape))
        if reads.excitatory is None and self.maybe(0.3):
            signs = [self.rng.choice([1, -1, 0]) for _ in range(shape[0])]
            matrix = self.matrix(rng.integers(-1, 2, shape))
            masks["ei_mask"] = self.rng.choice([signs, {"excitatory": 0.5}, matrix])
        if self.maybe(0.3):
            matrix = self.matrix(np.round(rng.random(shape), 1))
            masks["plasticity_mask"] = self.rng.choice(
                [{"generate": "random", "density": 0.5}, matrix]
            )
        return masks

    # files and matrices

    def matrix(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        """An (input_dim, output_dim) array as rows, or as a file, either way round."""
        rows = self.rng.choice(["pre", "post"])
        given = array if rows == "pre" else array.T
        if self.maybe():
            return {"values": given.tolist(), "rows": rows}
        return {"file": self.file(given), "rows": rows}

    def file(self, array: np.ndarray[Any, Any]) -> str:
        self.files += 1
        suffix = self.rng.choice([".npy", ".csv", ".npz", ".txt"])
        path = self.folder / f"{self.prefix}-{self.files}{suffix}"
        if suffix == ".npy":
            np.save(path, np.asarray(array, order=self.rng.choice("CF")))
        elif suffix == ".npz":
            np.savez(path, only=array)
        else:
            np.savetxt(path, np.atleast_2d(array), delimiter="," if suffix == ".csv" else " ")
        return path.name

    def task(self, inputs: int, outputs: int, loss: str) -> dict[str, Any]:
        rng = np.random.default_rng(self.rng.randrange(1000))
        x = rng.integers(0, 9, (SAMPLES, inputs)).astype(self.rng.choice(["u1", "f4", "f8"]))
        y = rng.integers(0, outputs, SAMPLES)
        if loss == "mse":
            y = rng.normal(size=(SAMPLES, outputs))
        path = self.folder / f"{self.prefix}-task.npz"
        np.savez(path, x=x, y=y)
        file = {"file": path.name}
        task = {"type": "arrays", "inputs": {"array": "x"}, "targets": {"array": "y"}}
        if self.maybe():
            task |= file
        else:
            task = task | {key: {**task[key], **file} for key in ("inputs", "targets")}  # type: ignore[dict-item]
        task["inputs"] |= self.some(divide=[8, 0.5], subtract=[1, -2.5])  # type: ignore[operator]
        return task | self.some(split={"train": 0.5, "seed": 1})

    # regularizers and training

    def regularizer(self, i: int) -> dict[str, Any]:
        names = list(self.shapes)
        weights = [name for name in names if name.endswith(".weight")]
        signed = [name for name in weights if name in self.signed]
        free = [name for name in weights if name not in self.signed]
        one = self.rng.choice(weights)
        shape = self.shapes[one]
        reference = self.matrix(np.random.default_rng(i).normal(size=shape[::-1]))
        norm = self.some(squared=[True, False], reduction=["sum", "mean"])
        kinds: list[dict[str, Any]] = [
            {"type": "L1", "params": "*"} | norm,
            {"type": "L2", "params": [self.rng.choice(names), "*.weight"]} | norm,
            {"type": "Lp", "params": self.rng.choice(names), "p": 1.5} | norm,
            {"type": "L2", "params": "*.weight", "norm": "matrix"},
            {"type": "ExcRatioTargetRegularization", "params": "*.weight"},
            {"type": "InhRatioTargetRegularization", "params": one, "inh_target_ratio": 0.3},
            {"type": "WeightsDistance", "params": one, "reference": reference, "p": 2} | norm,
        ]
        dale: dict[str, Any] = {"type": self.rng.choice(["DaleLaw", "DaleLawL2", "DaleHinge"])}
        if signed:
            kinds.append(dale | {"params": self.rng.sample(signed, 1)})
        if free:
            drawn = {"inh_ratio": 0.2} | self.some(rho=0.5, inh_first=[True, False], seed=[3])
            kinds.append(dale | {"params": free, "reference": drawn})
        if one in free:
            kinds.append(dale | {"params": one, "reference": reference})
        return self.rng.choice(kinds) | self.some(name=[f"r{i}"], Lambda=[0, 1e-3])

    def training(self, loss: str) -> dict[str, Any]:
        length = self.rng.choice([{"steps": 2}, {"epochs": 1}])
        schedule = [
            *("cosine", {"type": "cosine", "warmup": 1, "min_factor": 0.5}),
            *({"type": "step", "every": 1}, {"type": "exponential", "factor": 0.5}),
        ]
        arguments: dict[str, dict[str, Any]] = {
            "SGD": {"momentum": 0.5, "weight_decay": 0.1},
            "Adam": {"betas": [[0.5, 0.9]], "amsgrad": True, "eps": 1e-6},
            "AdamW": {"weight_decay": 0.1},
            "RMSprop": {"alpha": 0.5, "momentum": 0.5},
            "Adagrad": {"lr_decay": 0.1},
        }
        kind = self.rng.choice(list(arguments))
        optimizer: Any = {"type": kind, **self.some(**arguments[kind], lr=[0.1, 1e-3])}
        optimizer |= self.some(schedule=schedule)
        training = {"batch_size": 4, "loss": loss, **length}
        training |= self.some(optimizer=[optimizer, kind], clip_grad_norm=1.0, log_every=[1, 3])
        if self.maybe(0.3):
            training["evaluate"] = {"every": 1}
            training["stop_when"] = {"metric": "loss", "at_most": 1e-9, "mean_of_last": 2}
        return training
