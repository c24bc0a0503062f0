"""What may stand where: every place of the language has its models, keys, words and examples."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from whole_spec import problems_of

import netbuild.language
from netbuild.language.base import Choice
from netbuild.language.dump import dump_yaml
from netbuild.language.grammar import (
    ROOT,
    Home,
    fields_of,
    homes,
    location_of,
    meanings,
    path_of,
    slot_at,
    slots_of,
)
from netbuild.language.hints import field_hint
from netbuild.yamltree.document import parse

TEXT = """layers:
- {name: a, type: ctrnn, areas: {V1: {size: 3}}, recurrent: {projections: [{from: V1}]}}
"""


def test_a_location_leads_to_what_may_stand_there() -> None:
    root = parse(TEXT, "x")
    area, projection = ("layers", 0, "areas", "V1"), ("layers", 0, "recurrent", "projections", 0)
    assert path_of(root, area) == "layers[].areas.NAME"
    assert path_of(root, projection) == "layers[].recurrent.projections[]"
    for location in (area, projection):
        slot = slot_at(root, location)
        assert slot is not None
        assert [slot.model] == [h.model for h in homes() if h.path == path_of(root, location)]
    assert slot_at(root, ("layers", "a")) is None
    assert slot_at(root, ("layers", 0, "areas", 0)) is None
    assert slot_at(root, ("layers", 0, "nothing", "below")) is None


def test_every_word_of_other_tools_that_a_key_declares_is_known() -> None:
    declared = [
        word
        for file in Path(netbuild.language.__path__[0]).glob("*.py")
        for words in re.findall(r'also="([^"]+)"', file.read_text())
        for word in words.split()
    ]
    assert "timing" in declared
    assert set(declared) <= meanings().keys()


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
