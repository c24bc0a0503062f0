"""The split of samples, which the checks of a spec and the task itself share."""

from __future__ import annotations

import pytest
import torch

from netbuild.splits import SampleSplit, permutation, split_of


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 1797, 200_000])
@pytest.mark.parametrize("seed", [0, 7, 2**32 + 5, 2**62 + 3])
def test_the_order_is_that_of_torch(count: int, seed: int) -> None:
    """Otherwise runs that were made before would test on samples that they were trained on."""
    own = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert permutation(count, seed).tolist() == own.tolist()


def test_a_split_is_of_all_samples() -> None:
    train, none, test = split_of(10, 0.7, 3)
    assert (len(train), len(none), len(test)) == (7, 0, 3)
    assert sorted([*train, *test]) == list(range(10))
    both = split_of(10, 1.0, 3)
    assert both.train.tolist() == both.test.tolist()
    with pytest.raises(ValueError, match="0 of 10 samples"):
        split_of(10, 0.01, 3)


def test_validation_samples_come_from_the_rest() -> None:
    """So that the samples that are trained on are the same with and without them."""
    without, found = split_of(20, 0.7, 3), split_of(20, 0.7, 3, 0.15)
    assert found.train.tolist() == without.train.tolist()
    assert [*found.validation, *found.test] == without.test.tolist()
    assert [len(part) for part in found] == [14, 3, 3]


@pytest.mark.parametrize(("train", "validation"), [(0.7, 0.3), (0.7, 0.01), (0.9, 0.5), (1.0, 0.1)])
def test_validation_samples_leave_some_to_test(train: float, validation: float) -> None:
    with pytest.raises(ValueError, match=r"of 10 samples for validation and \d to test"):
        split_of(10, train, 0, validation)


def sample_split(trained: int, validated: int = 0) -> SampleSplit:
    return SampleSplit("0" * 64, "1" * 64, 20, trained, 3, validated)


@pytest.mark.parametrize(
    ("split", "on", "words"),
    [
        (sample_split(14, 3), "validation", "split: {train: 0.7, validation: 0.15, seed: 3}"),
        (sample_split(14), "test", "split: {train: 0.7, seed: 3}"),
        (sample_split(20), "training", "split: {train: 1.0, seed: 3}"),
    ],
)
def test_a_split_says_what_choices_are_made_on(split: SampleSplit, on: str, words: str) -> None:
    assert (split.selects_on, split.words) == (on, words)
    assert SampleSplit.from_data(split.to_data()) == split


def test_a_split_without_validation_has_the_data_that_it_always_had() -> None:
    """Checkpoints hold it, and reproducing a run compares their bytes."""
    assert [*sample_split(14).to_data()] == ["file", "data", "samples", "trained", "seed"]
    with pytest.raises(ValueError, match="has no more than there are"):
        SampleSplit.from_data(sample_split(14, 7).to_data())
