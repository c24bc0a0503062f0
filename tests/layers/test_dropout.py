"""Dropout: its masks are a function of (seed, name, step) and of nothing else."""

import pytest
import torch

from netbuild.layers import Dropout


def mask_of(dropout, step=0, x=None):
    dropout.set_step(step)
    return dropout(torch.ones(50) if x is None else x)


def test_the_same_step_has_the_same_mask_whatever_else_is_drawn():
    a, b, x = Dropout(0.5, seed=1, name="a"), Dropout(0.5, seed=1, name="a"), torch.ones(50)
    first, second = mask_of(a, 0), mask_of(a, 1)
    torch.manual_seed(9)
    torch.rand(3)
    assert torch.equal(mask_of(b, 0), first)
    assert torch.equal(b(x), first)  # a forward pass counts no steps
    assert torch.equal(mask_of(b, 1), second)
    assert not torch.equal(first, second)


def test_without_a_step_masks_come_from_torchs_global_generator():
    one, other, x = Dropout(0.5), Dropout(0.5), torch.ones(50)
    torch.manual_seed(9)
    masks = [one(x), one(x), other(x)]
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[1], masks[2])
    torch.manual_seed(9)
    assert torch.equal(other(x), masks[0])
    mask_of(one, 3)
    one.set_step(None)
    torch.manual_seed(9)
    assert torch.equal(one(x), masks[0])


def test_seed_and_name_give_streams_of_their_own():
    masks = [mask_of(Dropout(0.5, seed=s, name=n)) for s, n in ((0, "a"), (0, "b"), (1, "a"))]
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_with_a_step_torchs_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    mask_of(Dropout(0.5))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_scale_and_fraction():
    y = Dropout(0.2)(torch.ones(200, 300))
    assert set(y.unique().tolist()) == {0.0, 1.25}
    assert (y == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("dropout", [Dropout(0.5).eval(), Dropout(0)])
def test_evaluation_and_p_zero_are_the_identity(dropout):
    x = torch.ones(5)
    assert dropout(x) is x


def test_gradient_passes_where_the_input_did():
    x = torch.ones(50, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("p", [1, 1.0, -0.1, float("nan"), True, "0.5", None])
def test_p_is_refused(p):
    with pytest.raises(ValueError, match=r"p of dropout must lie in \[0, 1\)"):
        Dropout(p)
