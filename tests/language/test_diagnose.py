"""Diagnostics: one cause is one problem, and what a hint says to write is right."""

from __future__ import annotations

import copy
import random
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import netbuild.language
from netbuild.errors import Problem, SpecError
from netbuild.language.base import Choice
from netbuild.language.dump import dump_yaml
from netbuild.language.grammar import (
    ROOT,
    Home,
    fields_of,
    homes,
    location_of,
    meanings,
    slot_at,
    slots_of,
)
from netbuild.language.hints import field_hint, meant_key
from netbuild.language.parse import parse_document
from netbuild.language.spec import NetworkSpec
from netbuild.yamltree.document import Document, parse
from netbuild.yamltree.nodes import Location
from netbuild.yamltree.paths import Tree

# A spec in long form that has nearly every section.
WHOLE: dict[str, Any] = {
    "netbuild": 1,
    "name": "whole",
    "seed": 3,
    "device": "cpu",
    "task": {
        "type": "arrays",
        "file": "x.npz",
        "inputs": {"array": "x", "subtract": 1.0, "divide": 2.0},
        "targets": {"array": "y"},
        "split": {"train": 0.8, "seed": 3},
    },
    "layers": [
        {
            "name": "a",
            "type": "linear",
            "input_dim": 4,
            "output_dim": 8,
            "weight": {"init": "normal", "std": 0.1, "mean": 0.0, "learn": True},
            "bias": {"values": [1.0] * 8, "learn": False},
            "sparsity_mask": {"generate": "random", "density": 0.5, "seed": 3},
            "ei_mask": {"excitatory": 0.8},
            "plasticity_mask": {"file": "p.npy", "rows": "post"},
            "activation": {"type": "power", "n": 2.0},
            "dale": "abs",
            "ei_balance": "row",
            "self_connections": True,
        },
        {"name": "b", "type": "dropout", "p": 0.5},
        {"name": "c", "type": "linear", "from": "a", "output_dim": 3, "excitatory": 0.5},
    ],
    "regularizers": [
        {"name": "r", "type": "L1", "params": ["a.weight"], "Lambda": 0.1, "reduction": "mean"},
        {"type": "DaleLawL2", "params": ["a.weight"], "alpha": 0.5},
    ],
    "training": {
        "steps": 5,
        "batch_size": 4,
        "loss": "mse",
        "optimizer": {
            "type": "SGD",
            "lr": 0.1,
            "momentum": 0.9,
            "schedule": {"type": "cosine", "warmup": 1, "min_factor": 0.1},
        },
        "evaluate": {"every": 2},
        "checkpoint": {"every": 2, "keep": 3},
        "stop_when": {"metric": "loss", "at_most": 0.1, "patience": 3},
        "clip_grad_norm": 1.0,
    },
}


def problems_of(data: object) -> list[Problem]:
    text = data if isinstance(data, str) else dump_yaml(data)  # type: ignore[arg-type]
    document = Document("spec.yaml", parse(text, "spec.yaml"), Path(), text)
    try:
        return list(parse_document(document, lambda reference, folder: folder).problems)
    except SpecError as error:
        return list(error.problems)


def sections(data: Any, here: Location = ()) -> list[tuple[Location, dict[str, Any]]]:
    below = data.items() if isinstance(data, dict) else enumerate(data)
    inner = [
        found
        for key, value in below
        if isinstance(value, (dict, list))
        for found in sections(value, (*here, key))
    ]
    return [(here, data), *inner] if isinstance(data, dict) else inner


def mistyped(word: str, rng: random.Random) -> str:
    i = rng.randrange(len(word))
    kind = rng.randrange(4)
    if kind == 0:
        return word[:i] + word[i + 1 :]
    if kind == 1:
        return word[:i] + rng.choice("abcdefxyz_") + word[i:]
    if kind == 2:
        return word[:i] + rng.choice("abcdefxyz_") + word[i + 1 :]
    return word[:i] + word[i + 1 : i + 2] + word[i] + word[i + 2 :]


def test_the_whole_spec_is_right() -> None:
    assert problems_of(WHOLE) == []


def test_a_mistyped_key_is_one_problem_and_its_hint_is_right() -> None:
    rng = random.Random(0)
    suggested = right = 0
    for _ in range(400):
        data = copy.deepcopy(WHOLE)
        location, section = rng.choice(sections(data))
        key = rng.choice([key for key in section if key != "netbuild" and len(key) > 2])
        wrong = mistyped(key, rng)
        if wrong in section or not wrong or wrong == key or wrong in OTHER_KEYS:
            continue
        items = [(wrong if k == key else k, v) for k, v in section.items()]
        section.clear()
        section.update(items)
        found = problems_of(data)
        assert len(found) == 1, [f"{p.path} {p.what}" for p in found]
        problem = found[0]
        assert problem.code == "NB101"
        assert problem.place is not None
        assert problem.place.text[problem.place.column - 1 : problem.place.end_column - 1] == wrong
        if match := re.fullmatch(r"did you mean `(.*)`\?", problem.hint):
            suggested += 1
            right += match[1] == key
            node = Tree(parse(dump_yaml(data), "x")).root
            slot = slot_at(node, location)
            assert slot is not None
            assert any(match[1] in fields_of(model) for model in slot.models)
    assert suggested > 250
    assert right / suggested > 0.97


OTHER_KEYS = {key for home in homes() for key in fields_of(home.model)}


def test_a_key_of_another_section_is_sent_home() -> None:
    """Keys put into sections that have none such: no hint names what is not there."""
    rng = random.Random(1)
    for location, _ in sections(WHOLE):
        for word in rng.sample(sorted(OTHER_KEYS), 12):
            data = copy.deepcopy(WHOLE)
            section: Any = data
            for part in location:
                section = section[part]
            if word in section:
                continue
            section[word] = 1
            for problem in problems_of(data):
                if problem.code != "NB101":
                    continue
                if match := re.match(r"`(.*?)` is a key of (.*), not of (.*)$", problem.hint):
                    paths = re.findall(r"`([^`]*)`", match[2]) or [""]
                    known = [h for h in homes() if h.path == paths[0] or "itself" in match[2]]
                    assert any(match[1] in fields_of(home.model) for home in known), problem


VALUES = [
    (location, key, value)
    for location, section in sections(WHOLE)
    for key, value in section.items()
    if not isinstance(value, (dict, list))
]


@pytest.mark.parametrize("wrong", [None, "x y", True, -1.5, [1], {"q": 1}, 10**17, ""])
def test_every_wrong_value_is_told_at_its_place(wrong: object) -> None:
    for location, key, right in VALUES:
        if isinstance(right, type(wrong)) and right is not None:
            continue
        data = copy.deepcopy(WHOLE)
        section: Any = data
        for part in location:
            section = section[part]
        section[key] = wrong
        for problem in problems_of(data):
            assert problem.place is not None
            assert "Input" not in problem.what
            assert problem.path or problem.code in ("NB101", "NB102")
            assert len(problem.what) < 200
            assert len(problem.hint) < 250


CASES = {
    "section in the line above": (
        "netbuild: 1\nlayers:\n- {name: a, type: linear, output_dim: 3}\ntraining:\nsteps: 3\n",
        ["4:1 this section is empty | line 5 looks like its field; indent it"],
    ),
    "nullable section": (
        "netbuild: 1\ntask:\ntype: arrays\nlayers:\n- {name: a, type: dropout, p: 0.1}\n",
        ["2:1 this section is empty | line 3 looks like its field; indent it"],
    ),
    "keys that are no fields are unknown": (
        "netbuild: 1\nlayers:\n- {name: a, type: dropout, p: 0.1}\ntraining:\nsteps: 3\nfoo: 1\n",
        [
            "4:1 this section is empty | line 5 looks like its field; indent it",
            "6:1 unknown key `foo` | its keys are `device`, `dt`, `extends`, `layers`, `name`,"
            " `netbuild`, `regularizers`, `seed`, `set`, `start_from`, `task`, `training`",
        ],
    ),
    "misspelt and missing": (
        "netbuild: 1\nlayers:\n- {name: a, type: linear, outputs_dim: 3}\n",
        ["3:27 unknown key `outputs_dim` | did you mean `output_dim`?"],
    ),
    "newer": (
        "netbuild: 7\nfoo: bar\nlayers: 3\n",
        [
            "1:11 version 7 of the language is newer than"
            " this program | it reads version 1; upgrade netbuild"
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_cause_is_one_problem(name: str) -> None:
    text, expected = CASES[name]
    found = [f"{p.place} {p.what} | {p.hint}".removeprefix("spec.yaml:") for p in problems_of(text)]
    assert found == expected


def test_many_alike_in_one_list_are_told_once_and_counted() -> None:
    data = copy.deepcopy(WHOLE)
    data["layers"][0]["bias"]["values"] = ["x"] * 5 + [1.0]
    assert len(problems_of(data)) == 5
    data["layers"][0]["bias"]["values"] = [1.0, *["x"] * 1000]
    [problem] = problems_of(data)
    assert problem.path == "layers[a].bias.values[1]"
    assert problem.what == "expected a number, found the text `x` (and 999 more in this list)"


def test_sections_of_a_list_are_told_one_by_one() -> None:
    data = {"netbuild": 1, "layers": [{"name": f"l{i}", "type": f"t{i}"} for i in range(9)]}
    assert [problem.what for problem in problems_of(data)] == [
        f"`t{i}` is not a known `type`" for i in range(9)
    ]
    data = {"netbuild": 1, "layers": ["x"] * 9}
    assert len(problems_of(data)) == 9


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("'4'", "remove the quotes"),
        ("4.0", "write 4"),
        ("1_000", "write 1000"),
        ("1_0_0", "write 100"),
        ("'1,5'", "the decimal sign is a point: 1.5"),
        ("30%", "write 0.3"),
        ("20 ms", "write the number alone: 20"),
        ("2 * 3", "a spec computes nothing; write the number itself"),
        ("1/3", "a spec computes nothing; write the number itself"),
        ("${x}", "a spec has no placeholders; write the number itself"),
        ("four", ""),
        ("4.5", ""),
        ("[4]", ""),
        ("'" + "1_" * 3000 + "'", ""),
    ],
)
def test_hints_for_numbers(value: str, hint: str) -> None:
    text = f"netbuild: 1\nlayers:\n- name: a\n  type: linear\n  output_dim: {value}\n"
    assert [problem.hint for problem in problems_of(text)] == [hint]


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("yes", "write `true`"),
        ("Off", "write `false`"),
        ("1", "write `true`"),
        ("'true'", "write `true`"),
        ("maybe", "write `true` or `false`"),
    ],
)
def test_hints_for_truth_values(value: str, hint: str) -> None:
    data = copy.deepcopy(WHOLE)
    text = dump_yaml(data).replace("self_connections: true", f"self_connections: {value}")
    assert [problem.hint for problem in problems_of(text)] == [hint]


def test_percentages_are_recognized() -> None:
    data = copy.deepcopy(WHOLE)
    data["layers"][2]["excitatory"] = 80
    assert problems_of(data)[0].hint == "if it is a percentage, write 0.8"
    data["layers"][2]["excitatory"] = 1.5
    assert problems_of(data)[0].hint == ""


def test_words_of_other_tools() -> None:
    assert meant_key("out_features", ["input_dim", "output_dim"]) == "output_dim"
    assert meant_key("learning_rate", ["type", "lr"]) == "lr"
    assert meant_key("learning_rate", ["type", "weight"]) == ""


# The grammar that hints are read off


def test_every_word_of_other_tools_that_a_key_declares_is_known() -> None:
    declared = [
        word
        for file in Path(netbuild.language.__path__[0]).glob("*.py")
        for words in re.findall(r'also="([^"]+)"', file.read_text())
        for word in words.split()
    ]
    assert "timing" in declared
    assert set(declared) <= meanings().keys()


LINEAR = {"name": "a", "type": "linear", "input_dim": 4, "output_dim": 3}
CTRNN = {"name": "a", "type": "ctrnn", "input_dim": 4, "size": 3, "alpha": 0.1}
OWN_LAYER = "dropout is a separate layer: `- {name: drop, type: dropout, p: 0.1}`"
NOTHING_IMPORTED = "kinds are told by `type`, from a closed list; nothing is imported"
ONE_NETWORK = "a spec is one network; vary it from outside: `--set 'PATH=VALUE'`"
DENSITY = "write `density`, which is 1 - sparsity"


@pytest.mark.parametrize(
    ("layer", "hint"),
    [
        (LINEAR | {"sparsity": 0.1}, DENSITY),
        (LINEAR | {"sparsity_mask": {"generate": "random", "sparsity": 0.1}}, DENSITY),
        (CTRNN | {"recurrent": {"dropout": 0.1}}, OWN_LAYER),
        (CTRNN | {"noise": {"sigma": 0.1, "dropout": 0.1}}, OWN_LAYER),
        (LINEAR | {"dropout_rate": 0.1}, OWN_LAYER),
        ({"name": "a", "type": "dropout", "dropout_rate": 0.1, "p": 0.1}, "its keys are"),
        ({"name": "a", "type": "dropout", "dropout": 0.1}, "did you mean `p`?"),
        (LINEAR | {"sweep": [1, 2]}, ONE_NETWORK),
        (LINEAR | {"module": "torch.nn"}, NOTHING_IMPORTED),
        (LINEAR | {"strength": 0.1}, "`sigma` is a key of `layers[].noise`"),
    ],
)
def test_hints_for_keys_of_other_tools(layer: dict[str, Any], hint: str) -> None:
    problems = problems_of({"netbuild": 1, "layers": [layer]})
    problem = next(each for each in problems if each.code == "NB101")
    assert problem.hint.startswith(hint)


def test_a_key_that_only_resembles_another_tools_word_is_no_import() -> None:
    problem = problems_of({"netbuild": 1, "layers": [LINEAR], "modle": []})[0]
    assert problem.what == "unknown key `modle`"
    assert problem.hint != NOTHING_IMPORTED


def test_every_field_is_described_with_an_example_that_is_right() -> None:
    for home in homes():
        choice = next((s.choice for s in slots_with(home.path) if s.choice), None)
        for key, info in fields_of(home.model).items():
            if key in ("set", "extends") or (choice and key == choice.key):
                continue
            assert info.description, (home, key)
            assert info.examples, (home, key)
            assert key in field_hint(key, info)
            fields = fields_of(home.model).items()
            right = {k: i.examples[0] for k, i in fields if i.is_required() and i.examples}
            told = dict([home.told.split(": ")]) if ": " in home.told else {}
            data: Any = right | told | {key: info.examples[0]}
            text = dump_yaml(nested(home, data))
            wrong = [p for p in problems_of(text) if "missing" not in p.what]
            assert not wrong, (home, key, wrong)


def slots_with(path: str) -> list[Any]:
    slots = [ROOT]
    for part in filter(None, path.replace("[]", ".[]").split(".")):
        below = []
        for slot in slots:
            if part == "[]":
                below.append(slot.each)
            else:
                below += [slots_of(model)[part] for model in slot.models if part in slots_of(model)]
        slots = below
    return slots


def nested(home: Home, data: Any) -> Any:
    """Data at a place of the language, in sections of a kind that has it."""
    parts = home.path.split(".") if home.path else []
    for i in reversed(range(len(parts))):
        key = parts[i].removesuffix("[]")
        if i + 1 < len(parts) and parts[i + 1] != "NAME" and "type" not in data:
            told = teller(".".join(parts[: i + 1]), parts[i + 1].removesuffix("[]"), home.model)
            data = dict([told.split(": ")]) | data if ": " in told else data
        elif i + 1 == len(parts) and (kind := KINDS.get(key)) and "type" not in data:
            data = {"type": kind} | data
        key = "V1" if key == "NAME" else key
        data = {key: [data] if parts[i].endswith("[]") else data}
    return {"netbuild": 1} | data


def teller(path: str, key: str, model: type[BaseModel]) -> str:
    """What tells the kind of section at a path that has a key, under which may be the model."""
    having = [h for h in homes() if h.path == path and key in fields_of(h.model)]
    best = [h for h in having if model in slots_of(h.model)[key].models]
    return (best or having)[0].told


KINDS = {"layers": "linear", "regularizers": "DaleLaw", "optimizer": "SGD", "task": "arrays"}


def test_locations_of_pydantic_lose_their_tags_and_nothing_else() -> None:
    assert location_of(("layers", 0, -1000, "weight", -999, "std")) == (
        "layers",
        0,
        "weight",
        "std",
    )
    assert location_of(("training", "threads", -999)) == ("training", "threads")
    assert location_of(("<x>", 0)) == ("<x>", 0)


def test_every_kind_of_section_is_told_apart() -> None:
    def choices(model: Any) -> list[Choice]:
        return [slot.choice for slot in slots_of(model).values() if slot.choice]

    seen = [choice for home in homes() for choice in choices(home.model)]
    assert len(seen) > 5
    for choice in seen:
        told = [*choice.by_value.values(), *choice.by_presence.values()]
        assert set(told) == set(choice.models)
        for value, model in choice.by_value.items():
            assert choice.model_of(value, [choice.key]) is model
        for key, model in choice.by_presence.items():
            assert choice.model_of(None, [key]) is model
        assert choice.model_of(3, [choice.key]) is None
        assert choice.tag(3) is None


def test_models_are_strict() -> None:
    for wrong in (True, 1.0, "1"):
        data = copy.deepcopy(WHOLE) | {"netbuild": wrong}
        assert [problem.code for problem in problems_of(data)] == ["NB107"]
    with pytest.raises(ValueError, match="frozen"):
        NetworkSpec.model_validate(WHOLE).seed = 3
