"""A recipe reaches another process as it is."""

from __future__ import annotations

from multiprocessing import Pipe

from recipes import mixed

from netbuild.environments.recipe import Environment, Levels


def test_a_recipe_is_plain_data() -> None:
    words = mixed(window=7, levels=Levels(0.1, 0.9, False), period_weights={"decision": 2.0})
    there, here = Pipe(duplex=False)
    here.send(words)
    assert there.recv() == words


def test_a_name_replaces_that_of_the_environment() -> None:
    assert Environment("GoNogo-v0").label == "GoNogo-v0"
    assert Environment("GoNogo-v0", "go").label == "go"
