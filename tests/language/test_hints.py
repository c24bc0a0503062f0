"""What a hint says to write instead: of numbers, truth values and other tools' keys."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from whole_spec import WHOLE, problems_of

from netbuild.language.dump import dump_yaml
from netbuild.language.hints import meant_key


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


def test_words_of_other_tools() -> None:
    assert meant_key("out_features", ["input_dim", "output_dim"]) == "output_dim"
    assert meant_key("learning_rate", ["type", "lr"]) == "lr"
    assert meant_key("learning_rate", ["type", "weight"]) == ""


LINEAR = {"name": "a", "type": "linear", "input_dim": 4, "output_dim": 3}
CTRNN = {"name": "a", "type": "ctrnn", "input_dim": 4, "size": 3, "alpha": 0.1}
OWN_LAYER = "dropout is a separate layer: `- {name: drop, type: dropout, p: 0.1}`"
NOTHING_IMPORTED = "`type` is one of a closed list of kinds; nothing is imported"
ONE_NETWORK = "an experiment varies a spec: a file of its own, for `netbuild sweep`"
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
