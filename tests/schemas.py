"""What an editor accepts that validates against the JSON Schema."""

from __future__ import annotations

from functools import cache
from typing import Any

import jsonschema

from netbuild.language.schema import json_schema


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def accepts(data: Any) -> bool:
    return validator().is_valid(data)
