"""A recipe goes through JSON."""

from __future__ import annotations

import json

from recipes import mixed

from netbuild.environments.recipe import Environment, Levels, Recipe


def test_a_recipe_is_plain_data() -> None:
    words = mixed(window=7, levels=Levels(0.1, 0.9, False), period_weights={"decision": 2.0})
    data = json.loads(json.dumps(words.to_data()))
    assert Recipe.from_data(data) == words


def test_a_name_replaces_that_of_the_environment() -> None:
    assert Environment("GoNogo-v0").label == "GoNogo-v0"
    assert Environment("GoNogo-v0", "go").label == "go"
