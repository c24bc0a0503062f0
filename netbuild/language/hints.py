"""What to write instead: hints for unknown keys, wrong values and missing ones."""

from __future__ import annotations

import re
from collections.abc import Collection
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from netbuild.errors import joined
from netbuild.language.base import Choice, Hint
from netbuild.language.dump import inline
from netbuild.language.grammar import fields_of, homes, meanings, path_of, slot_at, slots_of
from netbuild.wording import did_you_mean, near, nearest, show
from netbuild.yamltree.nodes import Location, Node
from netbuild.yamltree.scalars import resolve

MOST_KEYS = 16  # of a section that are listed in a hint
SURE = 0.75  # similarity from which on a word is a misspelt key and nothing else
# Keys that no section has a counterpart of where they are unknown, with what to do instead.
FOREIGN = {
    "evaluation": "`training: {evaluate: ...}` says what is scored, and whether with noise;"
    " `task: {evaluation: ...}` how trials of neurogym differ then",
    "sweep": "an experiment varies a spec: a file of its own, for `netbuild sweep`",
    **dict.fromkeys(
        ("_target_", "class_path", "module", "__class__"),
        "`type` is one of a closed list of kinds; nothing is imported",
    ),
}
# Activations of other tools: a word of the list is no misspelt activation of ours.
FUNCTIONS = (
    *("celu", "elu", "exp", "gelu", "glu", "hardtanh", "leaky_relu", "leakyrelu", "mish"),
    *("prelu", "relu6", "selu", "silu", "softmax", "softmin", "softsign", "swish"),
)


def meant_key(word: str, keys: Collection[str]) -> str:
    """The one of `keys` that a misspelt key, or another tool's word for it, means, or ""."""
    return next((key for key in meanings().get(word, ()) if key in keys), "") or nearest(word, keys)


def unknown_key_hint(word: str, model: type[BaseModel], root: Node, location: Location) -> str:
    """What to do about a key that a section, at `location`, does not have."""
    section = root.at(location)
    given = section.entries if section else {}
    keys = fields_of(model)
    if foreign := _foreign_hint(word, keys, root, location):
        return foreign
    best = meant_key(word, keys)
    is_typo = bool(best and nearest(word, [best], SURE))
    if not is_typo and (below := _below_hint(word, model)):
        return below
    home = _home_hint(word, model, path_of(root, location))
    is_sure = is_typo or bool(best and word in meanings())
    if not is_sure and (home or best in given or not best):
        return home or keys_hint(keys)
    mine = given[word].key_place if word in given else None
    other = given[best].key_place if best in given else None
    if mine is None or other is None or mine.source != other.source:
        return f"did you mean `{best}`?"  # no key, or the key of another file, that it may replace
    return f"`{best}` is already written on line {other.line}"


def _foreign_hint(word: str, keys: Collection[str], root: Node, location: Location) -> str:
    """What to do instead of another tool's key that has no counterpart here."""
    if word in FOREIGN:
        return FOREIGN[word]
    foreign: dict[str, str] = {}
    for length in range(len(location) + 1):
        slot = slot_at(root, location[:length])
        model = slot.model_of(root.at(location[:length])) if slot else None
        for base in model.__mro__ if model else ():
            foreign |= vars(base).get("foreign", {})
    is_known = word in meanings() or bool(nearest(word, keys, SURE))
    return foreign.get(word if word in foreign or is_known else nearest(word, foreign), "")


def keys_hint(keys: Collection[str]) -> str:
    """All keys of a section, those that are written already too, where they are not too many."""
    if len(keys) > MOST_KEYS:
        return ""
    listed = ", ".join(f"`{key}`" for key in sorted(keys))
    return f"its only key is {listed}" if len(keys) == 1 else f"its keys are {listed}"


def _below_hint(word: str, model: type[BaseModel]) -> str:
    """Where the key belongs, when it is a key of a section of this one."""
    having = [
        key
        for key, slot in slots_of(model).items()
        if slot.each is None and slot.choice is None
        if any(word in fields_of(below) for below in slot.models)
    ]
    if not having:
        return ""
    where, word = " or ".join(f"`{key}`" for key in having), show(word)
    return f"`{word}` belongs in {where}: `{having[-1]}: {{{word}: ...}}`"


def _home_hint(word: str, model: type[BaseModel], here: str) -> str:
    """Where the key belongs, when another section has it or a key that the word may mean."""
    others = [(home, fields_of(home.model)) for home in homes() if home.model != model]
    is_key = any(word in keys for _, keys in others)
    words = [word] if is_key else meanings().get(word, [])
    having = [(home, meant) for meant in words for home, keys in others if meant in keys]
    if not having:
        return ""
    nearest_home, word = min(having, key=lambda each: _farness(each[0].path, here))
    path = nearest_home.path
    told = [home.told for home, meant in having if (meant, home.path) == (word, path)]
    kinds = " or ".join(f"`{kind}`" for kind in dict.fromkeys(told) if kind)
    if len(told) == sum(home.path == path for home in homes()):
        kinds = ""  # every kind of section there has the key
    if path == here and not kinds:
        return ""  # the same section, inside another kind of layer, say
    there = (f"`{path}`" if path else "the spec itself") + (f" with {kinds}" if kinds else "")
    own = next((home for home in homes() if home.model is model and home.path == here), None)
    return f"`{show(word)}` is a key of {there}, not of {own or 'this section'}"


def _farness(path: str, here: str) -> tuple[bool, bool]:
    """Small for the present section, larger for one below it, and largest for any other."""
    return path != here, not path.startswith(here)


def field_hint(key: str, info: FieldInfo | None) -> str:
    """What a key is, and an example of it."""
    if info is None:
        return ""
    example = f"for example `{key}: {inline(info.examples[0])}`" if info.examples else ""
    return joined(info.description or "", example)


def pattern_hint(text: str, pattern: str, info: FieldInfo | None) -> str:
    """What to write instead of text that a pattern does not accept."""
    for found in info.metadata if info else ():
        if isinstance(found, Hint):
            return found.of(text)
    slug = re.sub(r"[^a-z0-9_]+", "_", text[:64].lower()).strip("_")
    if slug[:1].isalpha() and re.fullmatch(pattern, slug):
        return f"write `{slug}`"
    return (info.description or "") if info else ""


def choice_hint(word: str, info: FieldInfo | None) -> str:
    """The words that may stand where a word is none of them."""
    annotation = info.annotation if info else None
    words = [str(value) for value in _literals(annotation)]
    if int in _types(annotation):
        hint = did_you_mean(word, sorted(words))
        return hint or f"{' or '.join(f'`{w}`' for w in words)}, or a whole number"
    return _near_choice(word, words)


def _near_choice(word: str, words: Collection[str]) -> str:
    return near("" if word.casefold() in FUNCTIONS else word, words)


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for part in get_args(annotation) for value in _literals(part)]


def _types(annotation: Any) -> list[Any]:
    parts = [] if get_origin(annotation) is Literal else get_args(annotation)
    return [annotation, *(found for part in parts for found in _types(part))]


def kind_hint(word: str, choice: Choice) -> str:
    """What may stand where the kind of a section is none that is known there."""
    for home in homes():
        info = fields_of(home.model).get(choice.key)
        if info is not None and word in _literals(info.annotation):
            kinds = near("", choice.by_value) or teller_hint(choice, ())
            return joined(f"that is for `{home.path}`", kinds)
    return _near_choice(word, choice.by_value)


def teller_hint(choice: Choice, keys: Collection[str]) -> str:
    """The keys that could say of which kind a section with these `keys` is."""
    kinds = {f"`{choice.key}: {value}`": model for value, model in choice.by_value.items()}
    kinds |= {f"`{key}: ...`": model for key, model in choice.by_presence.items()}
    fitting = [kind for kind, model in kinds.items() if set(keys) <= fields_of(model).keys()]
    if len(fitting) > 3:
        return f"one of {', '.join(fitting)}"
    return f"write {' or '.join(fitting)}" if fitting else ""


def may_be_null(info: FieldInfo | None) -> bool:
    """Whether a field may be null."""
    return info is not None and NoneType in get_args(info.annotation)


def number_hint(node: Node, *, whole: bool) -> str:
    """What to write where a number belongs and something else stands."""
    value = node.value
    if whole and isinstance(value, float):
        return f"write {int(value)}" if value.is_integer() and abs(value) < 1e15 else ""
    if not isinstance(value, str):
        return ""
    text = value.strip()
    if node.place.text[node.place.column - 1 :][:1] in ("'", '"') and _is_number(text):
        return "remove the quotes"
    for pattern, hint in _NUMBERS:
        if match := re.fullmatch(pattern, text):
            return hint.format(*(group.replace("_", "") for group in match.groups()))
    if match := re.fullmatch(r"([0-9.]{1,12}) ?%", text):
        return f"write {float(match[1]) / 100:g}" if _is_number(match[1]) else ""
    return ""


# Each pattern's hint is filled with what its groups matched. None can backtrack far.
_NUMBERS = (
    (r"([+-]?[0-9]{1,18}(?:_[0-9]{1,18}){1,6})", "write {0}"),
    (r"([0-9]{1,18}),([0-9]{1,18})", "the decimal sign is a point: {0}.{1}"),
    (r"([+-]?[0-9.]{1,24}(?:[eE][+-]?[0-9]{1,3})?) ?[A-Za-z]{1,8}", "write the number alone: {0}"),
    (r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*", "this looks like a date; write a number"),
    (r"`.*", "a spec runs no commands; write the number itself"),
    (r"[0-9.]+ ?(?:\*|/|\^|\+|-|:).*", "a spec computes nothing; write the number itself"),
    (r"\$.*|\{\{.*", "a spec has no placeholders; write the number itself"),
)


def _is_number(text: str) -> bool:
    try:
        return isinstance(resolve(text), (int, float)) and not isinstance(resolve(text), bool)
    except ValueError:
        return False


def truth_hint(node: Node) -> str:
    """What to write where true or false belongs and something else stands."""
    word = str(node.value).casefold()
    if word in ("yes", "y", "on", "1", "true"):
        return "write `true`"
    if word in ("no", "n", "off", "0", "false"):
        return "write `false`"
    return "write `true` or `false`"


def section_hint(choice: Choice | None, node: Node | None) -> str:
    """How to write the section that belongs where a single value stands."""
    if choice is None or not choice.guess:
        return ""
    value = node.value if node is not None else None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        for model in choice.models:
            if number := _only_number(choice, model):
                return f"write `{{{number}: {inline(value)}}}`"
    told = next(iter(choice.by_value), None)
    return f"write `{{{choice.key}: {told}, ...}}`" if told else ""


def _only_number(choice: Choice, model: type[BaseModel]) -> str:
    """How a model is written whose one required number is all that it needs, up to that number."""
    values = [value for value, found in choice.by_value.items() if found is model]
    told = f"{choice.key}: {values[0]}, " if values else ""
    needed = [
        (key, info)
        for key, info in fields_of(model).items()
        if info.is_required() and key != choice.key
    ]
    return told + needed[0][0] if len(needed) == 1 and needed[0][1].annotation is float else ""
