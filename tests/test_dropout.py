"""Dropout: its masks are a function of (seed, name, step) and of nothing else."""

import pytest
import torch

from netbuild.layers import Dropout


def test_the_same_step_has_the_same_mask_whatever_else_is_drawn():
    a, b, x = Dropout(0.5, seed=1, name="a"), Dropout(0.5, seed=1, name="a"), torch.ones(50)
    first, second = a(x), a(x)
    torch.manual_seed(9)
    torch.rand(3)
    assert torch.equal(b(x), first)
    assert torch.equal(b(x), second)
    assert not torch.equal(first, second)
    b.set_step(0)
    assert torch.equal(b(x), first)


def test_seed_and_name_give_streams_of_their_own():
    x = torch.ones(50)
    masks = [Dropout(0.5, seed=s, name=n)(x) for s, n in ((0, "a"), (0, "b"), (1, "a"))]
    assert not torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])


def test_torchs_global_generator_is_left_alone():
    state = torch.random.get_rng_state()
    Dropout(0.5)(torch.ones(50))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_scale_and_fraction():
    y = Dropout(0.2)(torch.ones(200, 300))
    assert set(y.unique().tolist()) == {0.0, 1.25}
    assert (y == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_evaluation_is_the_identity_and_no_step():
    dropout, x = Dropout(0.5).eval(), torch.ones(5)
    assert dropout(x) is x
    assert dropout.step == 0


def test_p_zero_still_counts_steps():
    dropout, x = Dropout(0), torch.ones(5)
    assert dropout(x) is x
    assert dropout.step == 1


def test_gradient_passes_where_the_input_did():
    x = torch.ones(50, requires_grad=True)
    y = Dropout(0.5)(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


@pytest.mark.parametrize("p", [1, 1.0, -0.1, float("nan"), True, "0.5", None])
def test_p_is_refused(p):
    with pytest.raises(ValueError, match=r"p of dropout must lie in \[0, 1\)"):
        Dropout(p)
