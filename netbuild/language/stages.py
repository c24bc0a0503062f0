"""Stages of a training: the spec as one of them has it."""

from __future__ import annotations

from dataclasses import replace

from netbuild.errors import Problem
from netbuild.language.override import apply_set
from netbuild.yamltree.nodes import Node, show
from netbuild.yamltree.paths import PathError, parse_path

MAY_CHANGE = ("task", "training", "regularizers")
OWN = ("steps", "epochs", "stop_when", "stages", "threads")  # of `training`, not a stage's to set
UNTIL = 10**15  # the steps of a stage that only its `stop_when` ends


def apply_stage(root: Node, number: int) -> list[Problem]:
    """Make a resolved tree that of one stage, in place: its `set`, its length, and no stages.

    Returns the problems of its paths.
    """
    training = root.entries["training"]
    stage = training.entries["stages"].items[number]
    problems: list[Problem] = []
    if "set" in stage.entries:
        problems = _refused(stage.entries["set"])
        refused = {problem.path for problem in problems}
        changes = stage.entries["set"]
        kept = {path: value for path, value in changes.entries.items() if path not in refused}
        problems += apply_set(root, replace(changes, value=kept))
    training = root.entries["training"]
    del training.entries["stages"]
    training.entries.pop("epochs", None)  # a stage has `steps`
    for key in ("steps", "stop_when"):
        if key in stage.entries:
            training.entries[key] = stage.entries[key]
        elif key == "stop_when":
            training.entries.pop(key, None)
        else:
            training.entries.setdefault(key, Node(UNTIL, stage.place))
    return problems


def _refused(changes: Node) -> list[Problem]:
    """What a stage cannot change: the network, and how long anything takes."""
    problems = []
    for path, value in changes.entries.items():
        try:
            segments = parse_path(path)
        except PathError:
            continue  # `apply_set` says so
        first, second = segments[0].text, segments[1].text if len(segments) > 1 else ""
        what = hint = ""
        if first not in MAY_CHANGE:
            what = f"a stage cannot change `{show(first)}`"
            hint = "the network stays; a stage changes `task`, `training` and `regularizers`"
        elif first == "training" and second in (*OWN, ""):
            what = f"the `set` of a stage cannot change `{show(path)}`"
            hint = "`steps` and `stop_when` are keys of the stage itself"
        if what:
            problems.append(Problem("NB110", what, path, value.key_place, hint))
    return problems
