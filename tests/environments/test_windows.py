"""Windows of streams of trials are those of neurogym's `Dataset`, and functions of their step."""

from __future__ import annotations

import numpy as np
import pytest
from recipes import PERCEPTUAL, TIMING, mixed, recipe, same

from netbuild.environments.player import EnvironmentFailed
from netbuild.environments.windows import WindowSource
from netbuild.streams import rng_of


def test_windows_that_failed_begin_anew() -> None:
    words = recipe(window=40)
    source, other = WindowSource(words, 5), WindowSource(words, 5)
    source.batch(0, 3)
    player = source._streams[1].players[0]
    player._new_trial = lambda **_: 1 / 0
    with pytest.raises(EnvironmentFailed, match="division by zero"):
        source.batch(8, 3)
    assert same(source.batch(1, 3), other.batch(1, 3))


@pytest.mark.filterwarnings("ignore:.*WARN:UserWarning")  # it uses gymnasium's old ways
def test_windows_are_those_of_the_dataset() -> None:
    """With its environments seeded as ours are, neurogym's `Dataset` gives the same windows."""
    from neurogym import Dataset

    rows, steps = 16, 100
    source = WindowSource(recipe(window=steps), seed=3)
    words = {"dt": 20, "timing": TIMING}
    theirs = Dataset(PERCEPTUAL, words, rows, seq_len=steps, batch_first=True)
    step = 0
    for filling in range(2):
        seeds = rng_of(3, "train", "windows", filling).integers(0, 2**32, size=(rows, 2))[:, 0]
        for env, seed in zip(theirs.envs, seeds, strict=True):
            env.unwrapped.seed(int(seed))
        theirs._cache()
        for _ in range(15):  # 1600 steps are kept, and the last window of them never comes
            inputs, targets = theirs()
            ours = source.batch(step, rows)
            assert np.array_equal(ours.inputs, inputs)
            assert np.array_equal(ours.targets, targets)
            assert ours.loss_mask is None
            assert ours.trials is None
            step += 1
    assert theirs._seq_end + steps >= theirs._cache_len


def test_windows_are_functions_of_their_step() -> None:
    source = WindowSource(mixed(window=50, period_weights={"decision": 1}), seed=1)
    steps = [0, 3, 1, 40, 2, 3]
    found = {step: source.batch(step, 4) for step in steps}
    for step in steps:
        again = WindowSource(mixed(window=50, period_weights={"decision": 1}), seed=1)
        assert same(again.batch(step, 4), found[step])
    assert not same(found[0], found[1])
    assert found[0].inputs.shape == (4, 50, 36)
    assert found[0].loss_mask is not None
    assert 0 < found[0].loss_mask.mean() < 0.5


def test_what_is_given_is_the_callers_own() -> None:
    source = WindowSource(recipe(window=20), seed=0)
    first = source.batch(0, 3)
    kept = first.inputs.copy()
    first.inputs[:] = -1
    source.batch(1, 3)
    assert np.array_equal(source.batch(0, 3).inputs, kept)
