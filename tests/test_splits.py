"""The split of samples, which the checks of a spec and the task itself share."""

from __future__ import annotations

import pytest
import torch

from netbuild.splits import permutation, split_of


@pytest.mark.parametrize("count", [0, 1, 2, 3, 17, 1797, 200_000])
@pytest.mark.parametrize("seed", [0, 7, 2**32 + 5, 2**62 + 3])
def test_the_order_is_that_of_torch(count: int, seed: int) -> None:
    """Otherwise runs that were made before would test on samples that they were trained on."""
    own = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    assert permutation(count, seed).tolist() == own.tolist()


def test_a_split_is_of_all_samples() -> None:
    train, test = split_of(10, 0.7, 3)
    assert (len(train), len(test)) == (7, 3)
    assert sorted([*train, *test]) == list(range(10))
    both = split_of(10, 1.0, 3)
    assert both[0].tolist() == both[1].tolist()
    with pytest.raises(ValueError, match="0 of 10 samples"):
        split_of(10, 0.01, 3)
