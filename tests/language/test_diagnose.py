"""Diagnostics: one cause is one problem, and what a hint says to write is right."""

from __future__ import annotations

import copy
import random
import re
from typing import Any

import pytest
from whole_spec import WHOLE, problems_of

from netbuild.language.dump import dump_yaml
from netbuild.language.grammar import fields_of, homes, slot_at
from netbuild.yamltree.document import parse
from netbuild.yamltree.nodes import Location
from netbuild.yamltree.paths import Tree


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


def test_percentages_are_recognized() -> None:
    data = copy.deepcopy(WHOLE)
    data["layers"][2]["excitatory"] = 80
    assert problems_of(data)[0].hint == "if it is a percentage, write 0.8"
    data["layers"][2]["excitatory"] = 1.5
    assert problems_of(data)[0].hint == ""
