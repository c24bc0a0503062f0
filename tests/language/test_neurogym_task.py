"""The keys of a task of neurogym, and what the loss can compare with its answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from checks import spec_of

from netbuild.errors import SpecError
from netbuild.language.neurogym_task import Neurogym, Windows

TEXT = """dt: 20
task: {type: neurogym, env: PerceptualDecisionMaking-v0 TASK}
layers: [{name: a, type: linear, output_dim: OUTPUTS}]
training: {steps: 1, loss: LOSS}
"""


def task(**words: Any) -> Neurogym:
    return Neurogym.model_validate({"type": "neurogym", **words})


def test_batches_are_of_whole_trials_or_of_windows() -> None:
    assert task(env="a").window is None
    assert task(env="a", batches={"of": "windows", "steps": 7}).window == 7
    assert Windows.model_validate({"of": "windows", "steps": 1}).steps == 1


def test_a_task_has_as_many_parts_as_environments() -> None:
    assert task(env="a").parts == 1
    assert task(envs=[{"env": "a"}, {"env": "b"}]).parts == 2
    assert task(env="a").answers_are_choices(None) is None


@pytest.mark.parametrize(
    ("words", "outputs", "loss", "hint"),
    [
        ("", 3, "cross_entropy", None),
        (", targets: {low: 0.1}", 3, "mse", None),
        (", targets: {fixation: false}", 2, "mse", None),
        ("", 2, "cross_entropy", "its `output_dim` would be 3"),
        (", targets: {fixation: false}", 3, "mse", "its `output_dim` would be 2"),
        ("", 3, "mse", "write `targets: {low: 0, high: 1}` in `task`, or `loss: cross_entropy`"),
        (", targets: {}", 3, "cross_entropy", "write `loss: mse` in `training`"),
    ],
)
def test_answers_and_the_loss(
    tmp_path: Path, words: str, outputs: int, loss: str, hint: str | None
) -> None:
    text = TEXT.replace("TASK", words).replace("OUTPUTS", str(outputs)).replace("LOSS", loss)
    if hint is None:
        spec_of(tmp_path, text)
        return
    with pytest.raises(SpecError) as caught:
        spec_of(tmp_path, text)
    assert [problem.hint[: len(hint)] for problem in caught.value.problems] == [hint]
