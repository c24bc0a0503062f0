"""Random specs that are right: every key of the language, in small sizes.

`draw_bold` draws rare combinations that a check may refuse; what it accepts must build.

A new type of layer is a method here and a line in `LAYERS`; `map_keys` draws what its maps hold,
and `Units` says which selections of its units others may read.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from drawn_connectomes import Drawn, draw_connectome

from netbuild.language.dump import dump_yaml

SAMPLES = 12
MOST_STEPS = 3  # of a trial
FAN: dict[str, Any] = {"gain": [0.5, 2]}
KAIMING: dict[str, Any] = {
    "a": [0.1, -0.5],
    "mode": ["fan_in", "fan_out"],
    "nonlinearity": ["linear", "relu", "leaky_relu", "tanh", "sigmoid"],
}
# The ways in which both weights and biases may start, and those of weights alone: their arguments.
INITS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "normal": {"mean": [0.5, -0.25], "std": [0.1, 1]},
    "trunc_normal": {"mean": [0.1, -0.1], "std": [0.5, 0.25]},
    "zero": {},
}
WEIGHT_INITS: dict[str, dict[str, Any]] = {
    "xavier_uniform": FAN,
    "xavier_normal": FAN,
    "kaiming_uniform": KAIMING,
    "kaiming_normal": KAIMING,
    "orthogonal": FAN,
    "identity": FAN,
}
RANGES = {"uniform": {"low": -0.5, "high": 0.25}, "trunc_normal": {"low": -0.75, "high": 1}}
ADAM: dict[str, Any] = {"weight_decay": 0.1, "betas": [[0.5, 0.9]], "amsgrad": True, "eps": 1e-6}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"weight_decay": 0.1},
    "Adam": ADAM,
    "AdamW": ADAM,
    "RMSprop": {"weight_decay": 0.1, "alpha": 0.5, "momentum": 0.5, "eps": 1e-6},
    "Adagrad": {"weight_decay": 0.1, "lr_decay": 0.1, "eps": 1e-6},
}
ACTIVATIONS = ["linear", "relu", "tanh", "sigmoid", "softplus", "retanh", "power"]
TAUS = [10, 12.5, 20, 100]  # ms, none below dt
DT = 10
ALPHAS = [0.05, 0.2, 1]
SIGNS = {"excitatory": 1, "inhibitory": -1}


def seeds(count: int, start: int = 0) -> Iterator[int]:
    """The seeds of so many specs."""
    return iter(range(start, start + count))


def draw_spec(seed: int, folder: Path) -> dict[str, Any]:
    """A right spec whose data and mask files are written into `folder`."""
    return Drawer(random.Random(seed), folder, f"d{seed}").spec()


Selections = list[tuple[Any, list[int]]]  # what a `from` or a `to` may say, and whom it means
Columns = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Units:
    """Units of one layer, in order: the sign of each, 0 where it has none, and its area.

    Those of a connectome have names and columns too.
    """

    layer: str
    signs: tuple[int, ...]
    areas: tuple[str, ...]
    columns: Columns = field(default_factory=dict)
    signed_by_table: bool = False
    shuffled: bool = False  # the signs are there, and chance says whose they are

    @classmethod
    def like(cls, layer: str, size: int, excitatory: float | None = None, area: str = "") -> Units:
        """So many units, of which the first round-half-up(excitatory x size) excite."""
        if excitatory is None:
            return cls(layer, (0,) * size, (area,) * size)
        first = int(excitatory * size + 0.5)
        return cls(layer, (1,) * first + (-1,) * (size - first), (area,) * size)

    @classmethod
    def of(cls, layer: str, drawn: Drawn) -> Units:
        """The neurons of a connectome."""
        n = len(drawn.names)
        areas = drawn.columns.get("area", ("",) * n)
        columns = drawn.columns | {"name": drawn.names}
        if drawn.signs is not None:
            columns["sign"] = tuple(map(str, drawn.signs))
        shuffled = drawn.control.get("shuffle") == "signs"
        if shuffled:
            del columns["sign"]
        return cls(
            layer, drawn.signs or (0,) * n, areas, columns, drawn.signs is not None, shuffled
        )

    @property
    def size(self) -> int:
        return len(self.signs)

    @property
    def signed(self) -> bool:
        return self.signed_by_table or any(self.signs)

    @property
    def names(self) -> tuple[str, ...] | None:
        """Those of neurons; None where there is no table."""
        return self.columns.get("name")

    def __add__(self, other: Units) -> Units:
        return Units(self.layer, self.signs + other.signs, self.areas + other.areas)

    def part(self, chosen: list[int]) -> Units:
        def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[i] for i in chosen)

        columns = {key: some(cells) for key, cells in self.columns.items()}
        return replace(self, signs=some(self.signs), areas=some(self.areas), columns=columns)

    def selections(self, *, areas: bool = True) -> Selections:
        """What a `from` or a `to` may say of these units in a word, and which of them that is."""
        wholes = {self.layer: list(range(self.size))}
        for area in filter(None, self.areas if areas else ()):
            wholes[area] = [i for i, own in enumerate(self.areas) if own == area]
        parts = {
            f"{name}.{word}": [i for i in units if self.signs[i] == sign]
            for name, units in wholes.items()
            for word, sign in SIGNS.items()
            if not self.shuffled
        }
        return list((wholes | {text: units for text, units in parts.items() if units}).items())

    def by_columns(self, rng: random.Random) -> Selections:
        """Some ways to say by columns which of these units are meant."""
        found: Selections = []
        for _ in range(4 if self.columns and self.size else 0):
            like = rng.randrange(self.size)  # who is meant in any case
            wanted, here = {}, set(range(self.size))
            for key in rng.sample(list(self.columns), rng.randint(1, min(2, len(self.columns)))):
                cells = self.columns[key]
                values = [cells[like], *rng.sample(cells, 1)][: rng.randint(1, 2)]
                here &= {i for i, cell in enumerate(cells) if cell in values}
                said = [said_as(key, value, rng) for value in values]
                wanted[key] = said[0] if len(said) == 1 and rng.random() < 0.7 else said
            found.append((wanted, sorted(here)))
        return found


def said_as(key: str, value: str, rng: random.Random) -> str | int:
    """A value of a column as text or as a number; a sign also in a word."""
    choices: list[str | int] = [value]
    if value.lstrip("-").isdigit() and str(int(value)) == value:
        choices.append(int(value))
    if key == "sign":
        choices += [word for word, sign in SIGNS.items() if str(sign) == value]
    return rng.choice(choices)


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
    recurrent: list[str] = field(default_factory=list)  # the layers that need time
    sparse: set[str] = field(default_factory=set)  # weights without a matrix
    reads: dict[str, Units] = field(default_factory=dict)  # by each weight
    before: str = "input"
    dt: bool = False  # whether anything needs it

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
        self.known["input"] = Units.like("input", inputs)
        layers = [self.layer(i) for i in range(self.rng.randint(1, 4))]
        if layers[-1]["type"] == "dropout":
            units = self.known["input"]
            layers.append(self.linear(f"l{len(layers)}", "input", units, self.rng.randint(1, 6)))
        outputs = self.known[layers[-1]["name"]].size
        task = self.task(inputs, outputs, loss)
        self.let_learn(layers[-1])
        spec: dict[str, Any] = {"netbuild": 1, "task": task, "layers": layers}
        if self.dt or self.maybe(0.1):
            spec["dt"] = DT
        spec |= self.some(name=["net", "A.b-c_1"], seed=[0, 7, 2**32 - 1], device=["cpu", "auto"])
        if regularizers := [self.regularizer(i) for i in range(self.rng.randint(0, 4))]:
            spec["regularizers"] = regularizers
        spec["training"] = self.training(loss)
        if self.maybe(0.1):
            map_ = {"ctrnn": ".input"}.get(layers[-1]["type"], "")
            spec["set"] = {"seed": 5, f"layers[{layers[-1]['name']}]{map_}.seed": 6}
        return self.extending(spec) if self.maybe(0.1) else spec

    @staticmethod
    def let_learn(layer: dict[str, Any]) -> None:
        for key in ("learn", "types"):
            layer.get("connectome", {}).pop(key, None)
        words = layer.get("input", {})
        for holder in (layer, words, *words.get("projections", ())):
            if isinstance(holder.get("weight"), dict):
                holder["weight"].pop("learn", None)

    def extending(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The same spec, with a part of it in a file that it builds on."""
        base = {key: spec.pop(key) for key in ("task", "training")}
        (self.folder / f"{self.prefix}-base.yaml").write_text(dump_yaml(base))
        name = f"{self.prefix}-base.yaml"
        return {"extends": self.rng.choice([name, [name]])} | spec

    # layers

    def layer(self, i: int) -> dict[str, Any]:
        name = self.rng.choice([f"l{i}", f"layer_{i}", f"no{i}", f"x{i}y"])
        source, units = self.source()
        kind = self.rng.choices(list(LAYERS), [weight for weight, _ in LAYERS.values()])[0]
        if not i and kind == "dropout":
            kind = "linear"
        layer = LAYERS[kind][1](self, name, source, units, self.rng.randint(1, 6))
        self.before = name
        return layer

    def source(self) -> tuple[Any, Units]:
        units = self.known[self.rng.choice(list(self.known))]
        table = units.names is not None
        found = units.selections(areas=not table)
        if table and self.maybe():
            # Which layer's they are must be said where it is not the layer before.
            layer = {"layer": units.layer}
            found = [
                (layer | wanted if units.layer != self.before or self.maybe() else wanted, chosen)
                for wanted, chosen in [*units.by_columns(self.rng), (layer, [*range(units.size)])]
            ]
            found = [(wanted, chosen) for wanted, chosen in found if wanted]
        text, chosen = self.rng.choice(found)
        return text, units.part(chosen)

    def dropout(self, name: str, source: Any, reads: Units, size: int) -> dict[str, Any]:
        # An area's name means the layer that has it, whatever passes its units on.
        self.known[name] = replace(reads, layer=name)
        if reads.names is None:
            self.known[name] = Units(name, reads.signs, ("",) * reads.size)
        return {"name": name, "type": "dropout", "from": source, "p": self.rng.choice([0, 0.5])}

    def linear(self, name: str, source: Any, reads: Units, size: int) -> dict[str, Any]:
        layer: dict[str, Any] = {"name": name, "type": "linear", "from": source}
        layer |= self.some(input_dim=reads.size, activation=[self.activation()])
        if reads.size > 1 and self.maybe(0.25):
            drawn = draw_connectome(self.rng, self.next_path, reads.size, reads.names)
            layer |= {"connectome": drawn.words} | self.some(output_dim=reads.size)
            self.known[name] = Units.of(name, drawn)
            gives = self.known[name]
            return layer | self.map_keys(name, (reads.size, gives.size), reads, gives, drawn)
        layer |= {"output_dim": size} | self.excitatory()
        self.known[name] = Units.like(name, size, layer.get("excitatory"))
        return layer | self.map_keys(name, (reads.size, size), reads)

    def excitatory(self) -> dict[str, Any]:
        return self.some(excitatory=[0, 0.5, 0.8, 1])

    def activation(self, n: float = 1.5) -> Any:
        kind = self.rng.choice(ACTIVATIONS)
        return self.rng.choice([kind, {"type": kind} | ({"n": n} if kind == "power" else {})])

    # recurrent layers

    def ctrnn(self, name: str, source: Any, reads: Units, size: int) -> dict[str, Any]:
        self.recurrent.append(name)
        layer: dict[str, Any] = {"name": name, "type": "ctrnn", "from": source}
        drawn = draw_connectome(self.rng, self.next_path) if self.maybe(0.3) else None
        layer |= self.excitatory() if drawn is None else {}
        layer |= self.some(input_dim=reads.size, activation=[self.activation(1)])
        layer |= self.some(formulation=["current", "rate", "update"], kernel=["fused", "reference"])
        if drawn is not None:
            self.known[name] = Units.of(name, drawn)
            layer |= {"connectome": drawn.words} | self.some(size=len(drawn.names))
        elif self.maybe(0.4):
            layer |= self.areas(name, layer.get("excitatory"))
        else:
            layer["size"] = size
            self.known[name] = Units.like(name, size, layer.get("excitatory"))
        gives = self.known[name]
        one_alpha = self.time_constants(layer, gives.size)
        layer |= self.some(
            initial_state=["zero", self.per_unit([0, 0.5, -1], gives.size)],
            noise=[0.1, 0, self.noise()],
            rate_noise=[0.1, {"sigma": 0.1}],
            input_noise=[0.1 if one_alpha else 0, self.noise(one_alpha)],
        )
        if self.maybe(0.7):
            layer["input"] = self.map_keys(f"{name}.input", (reads.size, gives.size), reads, gives)
        else:
            self.default_map(f"{name}.input", reads, gives)
        if self.maybe(0.8):
            shape = (gives.size, gives.size)
            layer["recurrent"] = self.map_keys(f"{name}.recurrent", shape, gives, gives, drawn)
            if drawn is None or not drawn.control:
                layer["recurrent"] |= self.spectral_radius(layer["recurrent"], drawn)
        else:
            self.default_map(f"{name}.recurrent", gives, gives)
        return layer

    def areas(self, name: str, excitatory: float | None) -> dict[str, Any]:
        """One to three areas, and perhaps the size of them all."""
        number = len(self.known)
        areas: dict[str, Any] = {}
        units = Units(name, (), ())
        for area in [f"V{number}", f"area_{number}", f"aB{number}"][: self.rng.randint(1, 3)]:
            areas[area] = {"size": self.rng.randint(1, 3)} | self.excitatory()
            own = areas[area].get("excitatory", excitatory)
            units += Units.like(name, areas[area]["size"], own, area)
        self.known[name] = units
        return {"areas": areas} | self.some(size=units.size)

    def time_constants(self, layer: dict[str, Any], size: int) -> bool:
        """Give a layer or its areas time constants; whether they are one that does not learn."""
        learns = self.maybe(0.3)
        areas = [area for area in layer.get("areas", {}).values() if self.maybe()]
        for part, units in [(layer, size), *((area, area["size"]) for area in areas)]:
            key = self.rng.choice(["tau", "alpha"])
            self.dt |= key == "tau"
            value = self.per_unit({"tau": TAUS, "alpha": ALPHAS}[key], units, learn=learns)
            part[key] = value
        if areas and len(areas) == len(layer["areas"]):
            layer.pop("tau", layer.pop("alpha", None))
        return (
            not learns
            and not areas
            and isinstance(value, (int, float, dict))
            and (not isinstance(value, dict) or "value" in value)
        )

    def per_unit(self, values: list[Any], size: int, learn: bool | None = None) -> Any:
        """One value, or one for each unit, in the spec or in a file."""
        learn = self.maybe(0.3) if learn is None else learn
        drawn = [self.rng.choice(values) for _ in range(size)]
        long = {"learn": learn} if learn or self.maybe(0.3) else {}
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.array(np.array(drawn)) | long
        if kind == 1:
            return {"values": drawn} | long if long else drawn
        if kind == 2 and not long:
            return self.file(np.array(drawn))
        return {"value": drawn[0]} | long if long else drawn[0]

    def noise(self, one_alpha: bool = True) -> dict[str, Any]:
        found = {"sigma": 0.1} | self.some(scaling=["euler_maruyama", "nn4n", "none"])
        return found if one_alpha else found | {"scaling": self.rng.choice(["nn4n", "none"])}

    def default_map(self, name: str, reads: Units, gives: Units) -> None:
        """What is known of a map of which the spec says nothing."""
        self.reads[f"{name}.weight"] = reads
        self.shapes |= {f"{name}.weight": (gives.size, reads.size), f"{name}.bias": (gives.size,)}
        if reads.signed:
            self.signed.add(f"{name}.weight")

    def spectral_radius(self, words: dict[str, Any], drawn: Drawn | None) -> dict[str, Any]:
        """Sometimes one, where the weights are sure to have another than 0.

        The circle of a connectome whose rows all count has none but itself to be looked at.
        """
        keys = {"sparsity_mask", "density", "projections", "self_connections", "ei_balance"}
        if drawn is not None and not any(i == j for i, j in drawn.pairs):
            return {}
        sure = words.get("weight", "normal") in ("normal", "uniform", "xavier_normal", "orthogonal")
        if keys & words.keys() or not sure or words.get("dale_init") == "clamp":
            return {}
        return self.some(spectral_radius=[0.5, 1.5])

    # maps

    def map_keys(
        self,
        name: str,
        shape: tuple[int, int],
        reads: Units,
        gives: Units | None = None,
        wired: Drawn | None = None,
    ) -> dict[str, Any]:
        """The keys of a map whose parameters are `NAME.weight` and `NAME.bias`.

        One that says which units it reaches may consist of projections, or be a connectome's.
        """
        sparse = self.maybe(0.3)
        counts = ["connectome", {"init": "connectome"} | self.some(scale=[0.1, 2]) | self.learn()]
        weight = self.rng.choice(counts) if wired and self.maybe(0.6) else self.weight(shape)
        found = self.some(
            weight=[weight],
            bias=[self.bias(shape[1])],
            seed=[1, 2],
            dale=["project", "abs", "none"],
            dale_init=["abs", "clamp"],
        )
        if wired is None:
            found |= self.signs(shape, reads) | self.masks(shape)
        else:
            found |= self.some(self_connections=False)
            if wired.words.get("learn", "weights") == "weights":
                found |= self.plasticity(shape, reads, gives)
        if sparse:
            found["storage"] = "sparse"
            self.sparse.add(f"{name}.weight")
            self.without_whole(found)
        else:
            found |= self.some(storage=["auto", "dense"])
        self.shapes[f"{name}.weight"] = shape[::-1]
        self.reads[f"{name}.weight"] = reads
        if found.get("bias", "") is not None:
            self.shapes[f"{name}.bias"] = (shape[1],)
        own = wired is not None and wired.signs is not None
        if reads.signed or own or "ei_mask" in found:
            self.signed.add(f"{name}.weight")
            found |= self.some(ei_balance=["row", "global", "nn4n", "none"])
        if gives is not None and wired is None and self.maybe(0.4):
            self.divide(found, reads, gives)
        if f"{name}.weight" in self.signed and found.get("dale") == "abs":
            for part in (found, *found.get("projections", ())):
                self.without_zeros(part)
        return found

    @staticmethod
    def without_zeros(words: dict[str, Any]) -> None:
        """|w| has no gradient at 0."""
        if "dale_init" in words:
            words["dale_init"] = "abs"
        weight = words.get("weight")
        if "zero" in (weight, weight.get("init") if isinstance(weight, dict) else ""):
            learn = weight.get("learn", True) if isinstance(weight, dict) else True
            words["weight"] = {"init": "normal", "learn": learn}

    @staticmethod
    def without_whole(words: dict[str, Any]) -> None:
        """Rows that are orthogonal, and the identity, take a whole matrix."""
        weight = words.get("weight")
        init = weight.get("init") if isinstance(weight, dict) else weight
        if init in ("orthogonal", "identity"):
            words["weight"] = "normal"

    def divide(self, words: dict[str, Any], reads: Units, gives: Units) -> None:
        """Make a map consist of projections, without matrices of the whole of it."""
        for key in ("weight", "sparsity_mask", "plasticity_mask"):
            value = words.get(key)
            if isinstance(value, dict) and not {"init", "generate"} & value.keys():
                del words[key]
        indegree = words.get("sparsity_mask", {}).get("generate") == "fixed_indegree"
        if indegree:  # of as many units as the smallest projection may not have
            words["sparsity_mask"] = {"generate": "random", "density": 0.5}
        if reads.layer != gives.layer:
            words.pop("self_connections", None)
        taken = np.zeros((reads.size, gives.size), bool)
        projections = []
        for _ in range(self.rng.randint(1, 4)):
            source, sources = self.rng.choice(reads.selections() + reads.by_columns(self.rng))
            target, targets = self.rng.choice(gives.selections() + gives.by_columns(self.rng))
            where = np.ix_(sources, targets)
            if taken[where].any():
                continue
            taken[where] = True
            block = (reads.part(sources), gives.part(targets))
            projections.append({"from": source, "to": target} | self.projection(*block, words))
        words["projections"] = projections
        self.all_learn_alike([words, *projections])

    def projection(self, reads: Units, gives: Units, words: dict[str, Any]) -> dict[str, Any]:
        shape = (reads.size, gives.size)
        found = self.some(weight=[self.weight(shape)], seed=[1, 2], dale_init=["abs", "clamp"])
        if reads.signed or "ei_mask" in words:
            found |= self.some(ei_balance=["row", "global", "nn4n", "none"])
        found |= self.masks(shape, returns=reads.layer == gives.layer)
        if self.maybe(0.3):
            found |= self.between(reads, gives)
        if self.maybe(0.1):
            found["self_connections"] = True
        return found

    def all_learn_alike(self, parts: list[dict[str, Any]]) -> None:
        """The weights of a map's projections learn all, or none of them does."""
        learn = self.maybe(0.8)
        if not learn:
            parts[0].setdefault("weight", "normal")
        for part in parts:
            weight = part.get("weight")
            if isinstance(weight, dict):
                weight.pop("learn", None)
            if weight is None or learn:
                continue
            short = {"init": "constant", "value": weight} if isinstance(weight, float | int) else {}
            long = {"init": weight} if isinstance(weight, str) else short or weight
            part["weight"] = long | {"learn": False}

    def weight(self, shape: tuple[int, int]) -> Any:
        values = np.random.default_rng(self.rng.randrange(1000)).normal(size=shape)
        kind = self.rng.randrange(9)
        if kind < 6:
            return self.init(INITS | WEIGHT_INITS)
        return self.matrix(values) | self.learn() if kind < 8 else self.rng.choice([0.25, -1])

    def bias(self, size: int) -> Any:
        values = [self.rng.choice([0.0, 0.5, -1]) for _ in range(size)]
        kind = self.rng.randrange(6)
        if kind < 2:
            return self.init(INITS)
        if kind == 2:
            return self.array(np.array(values)) | self.learn()
        if kind == 3:
            return {"values": values} | self.learn()
        return self.rng.choice([None, 0.5, values, self.file(np.array(values))])

    def init(self, kinds: dict[str, dict[str, Any]]) -> Any:
        """One way to start, by its name or with some of its arguments."""
        kind = self.rng.choice([*kinds, "constant"])
        if kind == "constant":
            return {"init": kind, "value": self.rng.choice([0.1, -0.5])} | self.learn()
        if self.maybe(0.3):
            return kind
        found = {"init": kind, **self.some(**kinds[kind]), **self.learn()}
        return found | RANGES[kind] if kind in RANGES and self.maybe() else found

    def learn(self) -> dict[str, Any]:
        return {"learn": self.maybe()} if self.maybe(0.3) else {}

    def masks(self, shape: tuple[int, int], *, returns: bool = False) -> dict[str, Any]:
        rng = np.random.default_rng(self.rng.randrange(1000))
        masks: dict[str, Any] = {}
        if (returns or shape[0] == shape[1]) and self.maybe():
            masks["self_connections"] = False
        kind = self.rng.choice(["none", "density", "random", "indegree", "file", "counts"])
        most = shape[0] - 1
        if kind == "density":
            masks["density"] = self.rng.choice([0, 0.3, 1])
        elif kind == "random":
            masks["sparsity_mask"] = {"generate": "random", "density": 0.5} | self.some(seed=[1])
        elif kind == "indegree":
            drawn = {"generate": "fixed_indegree", "connections": self.rng.randint(0, most)}
            masks["sparsity_mask"] = drawn | self.some(seed=[1])
        elif kind == "file":
            masks["sparsity_mask"] = self.matrix(rng.integers(0, 2, shape))
        elif kind == "counts":
            counts = {"threshold": self.rng.choice([0, 2.5])}
            masks["sparsity_mask"] = self.matrix(rng.integers(0, 5, shape)) | counts
        return masks | self.plasticity(shape)

    def plasticity(
        self, shape: tuple[int, int], reads: Units | None = None, gives: Units | None = None
    ) -> dict[str, Any]:
        """Sometimes a mask of what learns."""
        if self.maybe(0.7):
            return {}
        if reads is not None and gives is not None and self.maybe():
            return self.between(reads, gives)
        rng = np.random.default_rng(self.rng.randrange(1000))
        drawn = {"generate": "random", "density": 0.5} | self.some(seed=[1])
        matrix = self.matrix(np.round(rng.random(shape), 1))
        return {"plasticity_mask": self.rng.choice([drawn, matrix])}

    def between(self, reads: Units, gives: Units) -> dict[str, Any]:
        """Connections from and to some neurons learn; none if there are no tables."""
        ends = {}
        for key, units in (("from", reads), ("to", gives)):
            if (found := units.by_columns(self.rng)) and self.maybe(0.7):
                ends[key] = found[0][0]
        return {"plasticity_mask": ends} if ends else {}

    def signs(self, shape: tuple[int, int], reads: Units) -> dict[str, Any]:
        """Sometimes an `ei_mask`, for units that have no signs."""
        if reads.signed or self.maybe(0.7):
            return {}
        signs = [self.rng.choice([1, -1, 0]) for _ in range(shape[0])]
        numbers = np.random.default_rng(self.rng.randrange(1000))
        matrix = self.matrix(numbers.integers(-1, 2, shape))
        return {"ei_mask": self.rng.choice([signs, {"units": signs}, {"excitatory": 0.5}, matrix])}

    # files and matrices

    def matrix(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        """An (input_dim, output_dim) array as rows, or as a file, either way round."""
        rows = self.rng.choice(["pre", "post"])
        given = array if rows == "pre" else array.T
        if self.maybe():
            return {"values": given.tolist(), "rows": rows}
        return self.array(given) | {"rows": rows}

    def array(self, array: np.ndarray[Any, Any]) -> dict[str, Any]:
        """A file that holds the array, or several among which it is named."""
        if self.maybe(0.7):
            return {"file": self.file(array)}
        path = self.next_path(".npz")
        np.savez(path, wanted=array, other=np.zeros(3))
        return {"file": path.name, "array": "wanted"}

    def file(self, array: np.ndarray[Any, Any]) -> str:
        path = self.next_path(self.rng.choice([".npy", ".csv", ".tsv", ".npz", ".txt"]))
        if path.suffix == ".npy":
            swapped = array.astype(array.dtype.newbyteorder(self.rng.choice(["<", ">"])))
            np.save(path, np.asfortranarray(swapped) if self.maybe() else swapped)
        elif path.suffix == ".npz":
            np.savez(path, only=array)
        else:
            separator = {".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix]
            rows = [separator.join(map(str, row)) for row in np.atleast_2d(array).tolist()]
            path.write_text("\n".join(rows) + "\n")
        return path.name

    def next_path(self, suffix: str) -> Path:
        self.files += 1
        return self.folder / f"{self.prefix}-{self.files}{suffix}"

    def task(self, inputs: int, outputs: int, loss: str) -> dict[str, Any]:
        rng = np.random.default_rng(self.rng.randrange(1000))
        timed = bool(self.recurrent) or self.maybe(0.1)
        shape = (SAMPLES, self.rng.randint(1, MOST_STEPS)) if timed else (SAMPLES,)
        x = rng.integers(0, 9, (*shape, inputs)).astype(self.rng.choice(["u1", "f4", "f8"]))
        y: np.ndarray[Any, Any] = rng.integers(0, outputs, shape)
        if loss == "mse":
            y = rng.normal(size=(*shape, outputs))
        path = self.folder / f"{self.prefix}-task.npz"
        mask = rng.choice([0, 0.5, 1], shape)
        mask.reshape(SAMPLES, -1)[:, 0] = 1  # each trial counts, so that each batch does
        np.savez(path, x=x, y=y, mask=mask, cohérence=np.arange(SAMPLES))
        file = {"file": path.name}
        read: dict[str, Any] = {"array": "x"} | self.some(divide=[8, 0.5], subtract=[1, -2.5])
        answers: Any = {"array": "y"}
        masks: Any = {"array": "mask"}
        if self.maybe():
            task = {"type": "arrays", **file, "inputs": read, "targets": answers} | self.split()
            task |= self.some(variables=[["cohérence"], []])
        else:
            task = {"type": "arrays", "inputs": read | file, "targets": answers | file}
            task |= self.split()
            masks |= file
        return task | (self.some(loss_mask=[masks]) if timed else {})

    def split(self) -> dict[str, Any]:
        return {"split": self.some(train=[0.5, 0.75, 1], seed=[1])} if self.maybe(0.3) else {}

    # regularizers and training

    def regularizer(self, i: int) -> dict[str, Any]:
        names = list(self.shapes)
        weights = [name for name in names if name.endswith(".weight")]
        signed = [name for name in weights if name in self.signed]
        free = [name for name in weights if name not in self.signed]
        one = self.rng.choice(weights)
        shape = self.shapes[one]
        reference = self.matrix(np.random.default_rng(i).normal(size=shape[::-1]))
        whole = [name for name in weights if name not in self.sparse]
        norm = self.norm(whole)
        params = self.rng.choice(["*", one, ["*.weight"], [self.rng.choice(names), "*.weight"]])
        kinds: list[dict[str, Any]] = [
            {"type": "L1", "params": params} | norm,
            {"type": "L2", "params": params} | norm,
            {"type": "Lp", "params": self.rng.choice(names)} | self.some(p=[1, 2]) | norm,
            {"type": "Lp", "params": self.rng.choice(names), "p": 1.5} | self.some(squared=True),
            {"type": "ExcRatioTargetRegularization"}
            | {"params": self.rng.choice(["*.weight", one])}
            | self.some(exc_target_ratio=[0.7]),
            {"type": "InhRatioTargetRegularization", "params": one}
            | self.some(inh_target_ratio=[0.3]),
            {"type": "WeightsDistance", "params": one, "reference": reference}
            | self.some(p=[1, 2])
            | norm,
        ]
        if norm.get("norm") == "matrix":
            last = kinds[-1:] if one in whole else []
            kinds = [kind | {"params": whole} for kind in kinds[:3]] + last
        if signed:
            kinds.append(self.dale() | {"params": self.rng.sample(signed, 1)})
        if free:
            drawn = {"inh_ratio": 0.2} | self.some(rho=[0.5], inh_first=[True, False], seed=[3])
            kinds.append(self.dale() | {"params": free, "reference": drawn})
        if one in free:
            kinds.append(self.dale() | {"params": one, "reference": reference})
        kinds += [self.firing_rate()] * 2
        found = self.rng.choice(kinds) | self.some(name=[f"r{i}"], Lambda=[0, 1e-3])
        if found.get("params") == one and found.get("norm") != "matrix":
            found |= self.ends(one)
        return found

    def ends(self, weight: str) -> dict[str, Any]:
        """Sometimes only some connections of a weight are meant."""
        reads, gives = self.reads[weight], self.known[weight.partition(".")[0]]
        return self.some(**{"from": self.wanted(reads), "to": self.wanted(gives)})

    def wanted(self, units: Units) -> list[Any]:
        """What a selection of these units may say."""
        return [said for said, _ in units.selections() + units.by_columns(self.rng)]

    def firing_rate(self) -> dict[str, Any]:
        kind = self.rng.choice(["FiringRateL1", "FiringRateL2", "FiringRateVariance"])
        names = [name for name in self.known if name != "input"]
        layers: Any = self.rng.sample(names, self.rng.randint(1, len(names)))
        units = {}
        if self.maybe():
            layers = layers[0]
            units = self.some(units=self.wanted(self.known[layers]))
        return {"type": kind, "layers": layers} | units | self.some(of=["sample", "unit_mean"])

    def norm(self, whole: list[str]) -> dict[str, Any]:
        if whole and self.maybe(0.2):
            return {"norm": "matrix"} | self.some(squared=[True, False], reduction=["sum"])
        entries = {"squared": [True, False], "reduction": ["sum", "mean"]}
        return self.some(**entries, norm=["entrywise"])

    def dale(self) -> dict[str, Any]:
        kind = self.rng.choice(["DaleLaw", "DaleLawL2", "DaleHinge"])
        own: dict[str, Any] = {"DaleLawL2": {"alpha": [0, 0.5]}, "DaleHinge": {"p": [1, 2]}}
        return {"type": kind} | self.some(**own.get(kind, {}))

    def training(self, loss: str) -> dict[str, Any]:
        length = self.rng.choice([{"steps": 2}, {"epochs": 1}])
        training = {"batch_size": 4, "loss": loss, **length}
        training |= self.some(
            optimizer=[self.optimizer()],
            clip_grad_norm=[1.0],
            log_every=[2, 3],
            threads=["auto", 1],
            checkpoint=[self.some(every=[1], keep=[2, 3])],
        )
        if self.maybe(0.3):
            training["evaluate"] = {"every": 1} | self.some(trials=[10])
            best = {"metric": "loss", "at_most": 1e-9}
            if loss == "cross_entropy":
                best = {"metric": "accuracy", "at_least": 1.0}
            of = self.some(of=["all"])  # `worst_task` is of several environments
            training["stop_when"] = best | of | self.some(mean_of_last=[2], patience=[1, 2])
        if "steps" in training and self.maybe(0.2):
            training["stages"] = self.stages(training)
        return training

    def stages(self, training: dict[str, Any]) -> list[dict[str, Any]]:
        rule = training.pop("stop_when", None)
        first: dict[str, Any] = {"name": "first", "steps": 1}
        first |= self.some(set=[{"training.clip_grad_norm": 2.0}, {}])
        second: dict[str, Any] = {"name": "second"}
        if rule is not None:
            second["stop_when"] = rule
        return [first, second]  # the second takes the steps of the whole

    def optimizer(self) -> Any:
        kind = self.rng.choice(list(OPTIMIZERS))
        if self.maybe(0.2):
            return kind
        found = {"type": kind, **self.some(**OPTIMIZERS[kind], lr=[0.1, 1e-3])}
        if kind == "SGD" and self.maybe():
            found |= {"momentum": 0.5} | self.some(nesterov=[True, False])
        return found | self.some(schedule=[self.schedule()])

    def schedule(self) -> Any:
        return self.rng.choice(
            [
                "cosine",
                {"type": "cosine"} | self.some(warmup=[1], min_factor=[0.5]),
                {"type": "step", "every": 1} | self.some(factor=[0.5]),
                {"type": "exponential", "factor": 0.5},
            ]
        )


Make = Callable[[Drawer, str, str, Units, int], dict[str, Any]]
# How often each type is drawn, and by what.
LAYERS: dict[str, tuple[int, Make]] = {
    "linear": (4, Drawer.linear),
    "ctrnn": (3, Drawer.ctrnn),
    "dropout": (1, Drawer.dropout),
}


# Numbers at the ends of what a network computes with, beyond them, and between.
ENDS = [0.0, 1e-40, 1e-15, 1e-6, 0.3, 1.0, 1e6, 1e15, 1e39]
SIGNED_ENDS = [*ENDS, *(-end for end in ENDS[1:])]
ARGUMENTS: dict[str, dict[str, list[float]]] = {
    "uniform": {},
    "normal": {"mean": SIGNED_ENDS, "std": ENDS},
    "trunc_normal": {"mean": SIGNED_ENDS, "std": ENDS},
    "constant": {"value": SIGNED_ENDS},
    "zero": {},
    "xavier_uniform": {"gain": ENDS},
    "xavier_normal": {"gain": ENDS},
    "kaiming_uniform": {"a": SIGNED_ENDS},
    "kaiming_normal": {"a": SIGNED_ENDS},
    "orthogonal": {"gain": ENDS},
    "identity": {"gain": ENDS},
}
SPREADS = [(0, 0.3), (-0.3, -0.1), (-1e-3, 1.0), (-1e15, 1e15), (0.1, 0.10000001)]


def draw_bold(seed: int) -> dict[str, Any]:
    """A network of one or two layers whose parts hardly ever meet; it may be refused.

    It has a recurrent map or one between two layers, of any init, with numbers at the ends of their
    range, under any signs, in either storage, and perhaps with a spectral radius.
    """
    rng = random.Random(seed)
    size = rng.choice([1, 2, 3, 3, 6])
    words: dict[str, Any] = {"weight": _bold_init(rng, ARGUMENTS)}
    if rng.random() < 0.3:
        matrix = [[rng.choice([0, 0.5, -1, 1e-40, 1e15]) for _ in range(size)] for _ in range(size)]
        words["weight"] = {"values": matrix, "rows": "pre"}
    words |= _bold_constraints(rng, size)
    if rng.random() < 0.5:
        biases = {key: ARGUMENTS[key] for key in ("uniform", "normal", "trunc_normal", "constant")}
        words["bias"] = _bold_init(rng, biases)
    signs = {"excitatory": rng.choice([0, 0.5, 1])} if rng.random() < 0.6 else {}
    if not signs and rng.random() < 0.5:
        words["ei_mask"] = [rng.choice([1, -1, 0]) for _ in range(size)]
    layer: dict[str, Any] = {"name": "h", "input_dim": 2, **signs}
    if rng.random() < 0.3:
        last = {"name": "out", "type": "linear", "output_dim": size, **words}
        layers = [layer | {"type": "linear", "output_dim": size}, last]
    else:
        if rng.random() < 0.6:
            words["spectral_radius"] = rng.choice([0.5, 0.5, *ENDS[1:]])
        layer |= {"type": "ctrnn", "size": size, "alpha": rng.choice([0.5, 1, 1e-15, 1e-40])}
        if rng.random() < 0.2:
            layer["noise"] = rng.choice(ENDS)
        layers = [layer | {"recurrent": words}]
    return {"netbuild": 1, "seed": rng.choice([0, 1, 2]), "layers": layers}


def _bold_init(rng: random.Random, kinds: dict[str, dict[str, list[float]]]) -> Any:
    kind = rng.choice(list(kinds))
    found: dict[str, Any] = {"init": kind}
    for key, values in kinds[kind].items():
        if kind == "constant" or rng.random() < 0.5:
            found[key] = rng.choice(values)
    if kind in RANGES and rng.random() < 0.5:
        found["low"], found["high"] = rng.choice(SPREADS)
    return found | ({"learn": False} if rng.random() < 0.1 else {})


def _bold_constraints(rng: random.Random, size: int) -> dict[str, Any]:
    keys: dict[str, list[Any]] = {
        "dale": ["project", "abs", "none"],
        "dale_init": ["abs", "clamp"],
        "ei_balance": ["row", "global", "nn4n"],
        "storage": ["dense", "sparse"],
        "self_connections": [False],
    }
    found = {key: rng.choice(values) for key, values in keys.items() if rng.random() < 0.5}
    kind = rng.randrange(4)
    if kind == 0:
        found["density"] = rng.choice([0, 0.3, 0.7, 1])
    elif kind == 1:
        mask = [[rng.randint(0, 1) for _ in range(size)] for _ in range(size)]
        found["sparsity_mask"] = {"values": mask, "rows": "pre"}
    return found
