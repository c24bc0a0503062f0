"""Hypothesis strategies for specs, read off the language's own JSON Schema.

A key that is new in the models is drawn here without a line of code. `RIGHT` are mostly so:
every value is one that the schema allows, and `settled` makes names and sources agree; `spoiled()`
are the same with a few parts replaced, removed or put where they do not belong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from netbuild.language.grammar import fields_of, homes
from netbuild.language.schema import json_schema

Values = st.SearchStrategy[Any]

KEYS = sorted({key for home in homes() for key in fields_of(home.model)})
NAMES = ("a", "b", "c", "d", "e")
MOST_KEYS = 4  # optional keys of one section
# Text that means something somewhere; a pattern of the schema keeps what fits.
TEXTS = (
    *("normal", "zero", "uniform", "orthogonal", "xavier_normal", "*", "*.weight", "a.weight"),
    *("a.bias", "cpu", "auto", "net", "x", "y", "input", *NAMES, "a.excitatory", "b.inhibitory"),
    *("A0", "A0.excitatory", "B0", "B1.inhibitory", "a.recurrent.weight", "a.alpha"),
    *("../data/task.npz", "../data/wiring.npy", "../data/wiring.csv", "../data/bias.npy"),
    *("../data/maps.npz", "../data/signs.npy", "../data/plastic.csv", "../data/none.npy"),
    *("kind", "area", "motor", "sensory", "A", "B", "ACH", "GABA", "pre", "post", "weight"),
)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e300, 2**40, 10**20, "", "x", "1e-3", "no", " "),
    *("a.b.c", "*[", "relu", "L1", "\x00", "é\u2028", "../../x.npy", "http://x", "~/x", "9" * 30),
    *([], {}, [[]], [None], [[1, 2], [3]], {"type": "linear"}, {"file": "x"}, {"x": {"x": {}}}),
)


@st.composite
def spoiled(draw: Callable[[Values], Any]) -> Any:
    """A spec with up to three wrong parts."""
    data = draw(RIGHT)

    def pick(some: Sequence[Any]) -> Any:
        return some[draw(CHOICE) % len(some)]

    for _ in range(pick((1, 2, 0, 3))):
        data = wronged(data, pick)
    return data


def wronged(data: Any, pick: Callable[[Sequence[Any]], Any], depth: int = 0) -> Any:
    """The data with one part of it replaced, removed, doubled or put under another key."""
    if not isinstance(data, dict | list) or not data or depth > 5:
        return pick(ODD)
    kind = pick(("inside", "inside", "inside", "away", "again"))
    if isinstance(data, list):
        i = pick(range(len(data)))
        if kind == "inside":
            return [*data[:i], wronged(data[i], pick, depth + 1), *data[i + 1 :]]
        return [*data[:i], *data[i + 1 :]] if kind == "away" else [*data, data[i]]
    key = pick(list(data))
    if kind == "inside":
        return data | {key: wronged(data[key], pick, depth + 1)}
    rest = {k: value for k, value in data.items() if k != key}
    return rest if kind == "away" else rest | {pick(KEYS): data[key]}


def settled(data: dict[str, Any]) -> dict[str, Any]:
    """The spec with distinct names, sources that stand before their readers, and an input."""
    layers = [dict(layer) for layer in data["layers"][: len(NAMES)]]
    known, before = ["input"], "input"  # what can be read; the layer that is read by default
    for i, (layer, name) in enumerate(zip(layers, NAMES, strict=False)):
        layer["name"] = name
        read = layer.get("from")
        if isinstance(read, dict):  # columns, of the layer before
            read = before
            layer["from"] = {key: word for key, word in layer["from"].items() if key != "layer"}
        source = (read or before).partition(".")[0]
        if source not in known:
            del layer["from"]
            source = before
        if "input_dim" in layer and i:
            del layer["input_dim"]
        if layer.get("connectome"):
            settle_wiring(layer)
        if layer["type"] == "ctrnn":
            settle_units(layer, source)
        known += [name, *layer.get("areas", ())]
        before = name
    if layers[0]["type"] != "dropout":
        layers[0].setdefault("input_dim", 3)
    regularizers = [dict(each) for each in data.get("regularizers", ())]
    for each, name in zip(regularizers, NAMES, strict=False):
        if "name" in each:
            each["name"] = name
        if "layers" in each:
            each["layers"] = NAMES[0]
    kept = {key: value for key, value in data.items() if key not in ("extends", "set")}
    kept.setdefault("dt", 20)
    return kept | {"layers": layers} | ({"regularizers": regularizers} if regularizers else {})


def settle_wiring(layer: dict[str, Any]) -> None:
    """Give a connectome files that are there, and their three neurons to a layer."""
    files = {"edges": "../data/edges.csv", "neurons": "../data/neurons.csv"}
    layer["connectome"] = layer["connectome"] | files
    layer["connectome"].pop("where", None)
    if "types" in layer["connectome"] or layer["connectome"].get("learn") == "scale_per_type":
        layer["connectome"]["types"] = "kind"
    for key in ("areas", "excitatory", "size", "output_dim"):
        layer.pop(key, None)
    map_ = layer if layer["type"] == "linear" else layer.get("recurrent", {})
    said = ("density", "sparsity_mask", "ei_mask", "projections")
    kept = {key: value for key, value in map_.items() if key not in said}
    layer |= {"recurrent": kept} if "recurrent" in layer else {}
    for key in said if map_ is layer else ():
        layer.pop(key, None)
    if layer["type"] == "linear":
        layer["from"] = "input"


def settle_units(layer: dict[str, Any], source: str) -> None:
    """Give a recurrent layer units, areas of its own, time constants, and projections of these."""
    name = layer["name"]
    if layer.get("areas"):
        areas = layer["areas"].values()
        layer["areas"] = {f"{name.upper()}{k}": area for k, area in enumerate(areas)}
        layer.pop("size", None)
    else:
        layer.pop("areas", None)
        if not layer.get("connectome"):
            layer.setdefault("size", 4)
    if layer.get("tau") is not None or layer.get("alpha") is None:
        layer.pop("alpha", None)
        layer["tau"] = layer.get("tau") or 100
    reached = list(layer.get("areas", [name]))
    reads = {"input": source, "recurrent": name}
    for key, text in reads.items():
        words = layer.get(key)
        if words and words.get("projections"):
            pairs = zip(words["projections"], reached, strict=False)
            blocks = [one | {"from": text, "to": to} for one, to in pairs]
            layer[key] = words | {"projections": blocks}


class FromSchema:
    """A strategy for every schema of one document; each definition is made once."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema
        self.defined: dict[str, Values] = {}

    def whole(self) -> Values:
        """The document itself."""
        return self.section(self.schema | {"required": ["netbuild", "layers"]})

    def any(self, schema: dict[str, Any]) -> Values:
        """What one schema allows."""
        if "$ref" in schema:
            return self.named(schema["$ref"].rpartition("/")[2])
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for word in ("anyOf", "oneOf"):
            if word in schema:
                return st.one_of(*(self.any(each) for each in branches(schema, word)))
        if "properties" in schema:
            return self.section(schema)
        if isinstance(schema["type"], list):
            return st.one_of(*(self.any(schema | {"type": kind}) for kind in schema["type"]))
        return LEAVES[schema["type"]](self, schema)

    def named(self, name: str) -> Values:
        if name not in self.defined:
            self.defined[name] = st.deferred(lambda: self.any(self.schema["$defs"][name]))
        return self.defined[name]

    def section(self, schema: dict[str, Any]) -> Values:
        """A mapping with every key that it must have and a few that it may."""
        values = {key: self.any(each) for key, each in schema["properties"].items()}
        needed = [key for key in values if key in schema.get("required", ())]
        optional = [key for key in values if key not in needed]
        always = st.fixed_dictionaries({key: values[key] for key in needed})
        if not optional:
            return always

        def fill(chosen: list[str]) -> Values:
            return st.fixed_dictionaries({key: values[key] for key in (*needed, *chosen)})

        few = st.lists(st.sampled_from(optional), max_size=MOST_KEYS, unique=True)
        return few.flatmap(fill)

    def array(self, schema: dict[str, Any]) -> Values:
        least = schema.get("minItems", 0)
        most = min(schema.get("maxItems", least + 3), least + 3)
        return st.lists(self.any(schema["items"]), min_size=least, max_size=most)

    def integer(self, schema: dict[str, Any]) -> Values:
        least, most = schema.get("minimum", -9), schema.get("maximum", 10**15)
        small = st.integers(least, min(most, least + 4))
        return st.one_of(small, small, small, st.sampled_from([least, most, *_examples(schema)]))

    def number(self, schema: dict[str, Any]) -> Values:
        open_ends = {"exclude_min": "exclusiveMinimum" in schema}
        open_ends["exclude_max"] = "exclusiveMaximum" in schema
        least = schema.get("minimum", schema.get("exclusiveMinimum", -2))
        most = schema.get("maximum", schema.get("exclusiveMaximum", max(least, 0) + 2))
        drawn = st.floats(least, most, width=16, allow_subnormal=False, **open_ends)
        examples = _examples(schema)
        return st.one_of(drawn, st.sampled_from(examples)) if examples else drawn

    def string(self, schema: dict[str, Any]) -> Values:
        least, pattern = schema.get("minLength", 0), schema.get("pattern", "")
        fitting = [t for t in TEXTS if len(t) >= least and re.search(pattern, t)]
        examples = [t for t in _examples(schema) if isinstance(t, str)]
        return st.sampled_from([*examples, *fitting])

    def mapping(self, schema: dict[str, Any]) -> Values:
        below = schema.get("additionalProperties")
        if isinstance(below, dict):
            pattern = schema.get("propertyNames", {}).get("pattern", "")
            names = st.sampled_from([text for text in TEXTS if re.search(pattern, text)])
            least = schema.get("minProperties", 0)
            return st.dictionaries(names, self.any(below), min_size=least, max_size=least + 2)
        return st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(ODD), max_size=2)


LEAVES: dict[str, Callable[[FromSchema, dict[str, Any]], Values]] = {
    "array": FromSchema.array,
    "integer": FromSchema.integer,
    "number": FromSchema.number,
    "string": FromSchema.string,
    "object": FromSchema.mapping,
    "boolean": lambda _, schema: st.booleans(),
    "null": lambda _, schema: st.none(),
}


def branches(schema: dict[str, Any], word: str) -> list[dict[str, Any]]:
    """The branches of a union, each with the keys of the whole."""
    whole = {key: value for key, value in schema.items() if key != word}
    needed = whole.pop("required", [])
    return [
        each
        | {k: v for k, v in whole.items() if each.get(k, True) is True}
        | {"required": [*needed, *each.get("required", ())]}
        for each in schema[word]
    ]


def _examples(schema: dict[str, Any]) -> list[Any]:
    types: dict[str, Any] = {"integer": int, "number": (int, float), "string": str}
    kinds = types[schema["type"]]
    return [e for e in schema.get("examples", ()) if isinstance(e, kinds)]


RIGHT: Values = FromSchema(json_schema()).whole().map(settled)
CHOICE = st.integers(0, 9999)


def examples(strategy: Values, count: int, number: int) -> list[Any]:
    """So many values of a strategy; those that `number` gives, and always the same."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found
