"""The JSON Schema of the language, for editors: what `schemas/netbuild-1.json` holds."""

from __future__ import annotations

import json
from typing import Any

from netbuild.language.experiment import ExperimentFile
from netbuild.language.spec import SpecFile

_FIRST = ("type", "init", "generate", "distribution", "name")


def json_schema(*, experiment: bool = False) -> dict[str, Any]:
    """The schema (draft 2020-12) of a spec, or of an experiment, short forms included."""
    model, name, title = (
        (ExperimentFile, "netbuild-experiment-1.json", "netbuild experiment, version 1")
        if experiment
        else (SpecFile, "netbuild-1.json", "netbuild spec, version 1")
    )
    schema = model.model_json_schema(by_alias=True)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": name,
        "title": title,
    }
    # What a file extends may hold the keys that it must have.
    whole = {"anyOf": [{"required": schema.pop("required")}, {"required": ["extends"]}]}
    return head | {key: _tidy(value) for key, value in schema.items() if key != "title"} | whole


def schema_text(*, experiment: bool = False) -> str:
    """The schema as the text of a file."""
    return json.dumps(json_schema(experiment=experiment), indent=2, ensure_ascii=False) + "\n"


def _tidy(value: Any) -> Any:
    """Without generated titles, and with what names a branch first in it."""
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    tidied = {
        key: _tidy(item)
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str))
    }
    properties = tidied.get("properties")
    if isinstance(properties, dict):
        first = {key: properties[key] for key in _FIRST if key in properties}
        tidied["properties"] = first | properties
    return tidied
