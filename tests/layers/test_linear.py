"""LinearLayer: the reference values of nn4n, what it refuses, and what it never does."""

import copy
import json
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from places import TESTS

from netbuild.layers import LinearLayer

GOLDEN = json.loads((TESTS / "golden" / "linear_layer.json").read_text())["cases"]
EI = [1.0, 1.0, -1.0]


def masked(**words):
    """A (3, 4) layer with all three masks."""
    struct = {
        "input_dim": 3,
        "output_dim": 4,
        "ei_mask": EI,
        "sparsity_mask": [[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 0]],
        "plasticity_mask": [[1, 0, 1, 0.5], [1, 1, 1, 1], [0, 1, 1, 0]],
        "seed": 1,
    }
    return LinearLayer.from_dict(struct | words)


def close(ours, theirs):
    """Within 1e-6, relative where the numbers are above 1 (they are float32)."""
    ours = ours.detach().numpy() if isinstance(ours, torch.Tensor) else ours
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", GOLDEN, ids=range(len(GOLDEN)))
def test_agrees_with_nn4n(case):
    layer = LinearLayer.from_dict(
        case["layer_struct"] | {"dale_init": "clamp", "ei_balance": "nn4n"}
    )
    close(layer.weight, case["weight_after_init"])
    close(layer.bias, case["bias_after_init"])
    specs = layer.get_specs() | {"sparsity": layer.get_specs()["density"]}  # nn4n's word for it
    for key, value in case["specs"].items():
        close(specs[key], value)
    y = layer(torch.tensor(case["x"]))
    close(y, case["y"])
    y.square().sum().backward()
    close(layer.weight.grad, case["weight_grad"])
    if "weight_grad_after_plasticity" in case:
        layer.apply_plasticity()
        close(layer.weight.grad, case["weight_grad_after_plasticity"])
    layer.set_weight(case["set_weight"])
    layer.enforce_constraints()
    close(layer.weight, case["weight_after_enforce"])
    layer.auto_rescale("weight")
    layer.auto_rescale("bias")
    close(layer.weight, case["weight_after_auto_rescale"])
    close(layer.bias, case["bias_after_auto_rescale"])


def test_specs_are_plain_numbers_and_count_connections():
    specs = masked().get_specs()
    assert list(specs) == [
        *("input_dim", "output_dim", "weight_learnable", "bias_learnable"),
        *("weight_min", "weight_max", "bias_min", "bias_max", "density", "sparsity"),
        *("n_connections", "n_excitatory", "n_inhibitory", "n_free", "frozen_fraction"),
    ]
    assert {type(value) for value in specs.values()} == {int, float, bool}
    assert (specs["n_connections"], specs["n_excitatory"], specs["n_inhibitory"]) == (9, 7, 2)
    assert specs["n_free"] == 0
    assert specs["density"] == pytest.approx(0.75) == 1 - specs["sparsity"]
    assert specs["frozen_fraction"] == pytest.approx(1 / 9)  # (0, 1); two more are no connections


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from(["abs", "clamp"]),
    st.sampled_from(["none", "row", "global", "nn4n"]),
    st.sampled_from(["project", "abs"]),
    st.sampled_from(["normal", "array"]),
    st.integers(0, 2**20),
)
@settings(max_examples=150, deadline=None)
def test_every_start_obeys_its_masks(n, m, dale_init, ei_balance, dale, weight, seed):
    assume((dale, dale_init) != ("abs", "clamp"))
    rng = np.random.default_rng(seed)
    layer = LinearLayer(
        n,
        m,
        weight=rng.normal(size=(m, n)) if weight == "array" else weight,
        ei_mask=rng.integers(-1, 2, (n, m)),
        sparsity_mask=rng.integers(0, 2, (n, m)),
        dale_init=dale_init,
        ei_balance=ei_balance,
        dale=dale,
        seed=seed,
    )
    used = layer.effective_weight.detach()
    assert not (used * layer.sign < 0).any()
    assert not used[~layer.connected].any()
    assert not torch.signbit(layer.weight[~layer.connected]).any()  # no -0.0
    torch.testing.assert_close(layer(torch.eye(n)) - layer.bias, used.T)


def test_a_vector_of_signs_is_of_the_presynaptic_units():
    layer = LinearLayer(3, 4, weight="normal", ei_mask=EI)
    assert (layer.weight[:, :2] > 0).all()
    assert (layer.weight[:, 2] < 0).all()
    assert torch.equal(layer.ei_mask, torch.tensor([EI] * 4, dtype=torch.int8).T)


def test_abs_keeps_magnitudes_and_clamp_loses_half():
    free = LinearLayer(40, 50, seed=3).weight
    signed = LinearLayer(40, 50, ei_mask=[1] * 40, seed=3).weight
    clamped = LinearLayer(40, 50, ei_mask=[1] * 40, dale_init="clamp", seed=3).weight
    assert torch.equal(signed, free.abs())
    assert torch.equal(clamped, free.clamp(min=0))


def test_a_supplied_array_is_clamped_and_not_rescaled():
    given_weight = [[1.0, -2.0, 3.0]] * 4
    layer = LinearLayer(3, 4, weight=given_weight, ei_mask=EI)
    assert layer.weight.tolist() == [[1, 0, 0]] * 4
    raw = LinearLayer(3, 4, weight=given_weight, ei_mask=EI, dale="abs")
    assert raw.weight.tolist() == given_weight
    assert raw.effective_weight.tolist() == [[1, 2, -3]] * 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"dale_init": "clamp"}, "dale_init='clamp' sets .* to 0: .* would never learn"),
        ({"weight": "zero"}, "starts at 0 everywhere: .* would never learn"),
        ({"weight": {"init": "normal", "std": 0}}, "starts at 0 everywhere"),
    ],
)
def test_raw_weights_that_could_never_learn_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        LinearLayer(3, 4, ei_mask=EI, dale="abs", **words)
    for signs in (None, [0, 0, 0]):  # |w| is only used where there is a sign
        layer = LinearLayer(3, 4, ei_mask=signs, dale="abs", **words)
        layer(torch.ones(3)).sum().backward()
        assert layer.weight.grad.all()
    still = LinearLayer(3, 4, {"init": "zero", "learn": False}, ei_mask=EI, dale="abs")
    assert not still.weight.any()


def test_dale_none_keeps_signs_for_reference_only():
    free, told = LinearLayer(3, 4, seed=2), LinearLayer(3, 4, seed=2, ei_mask=EI, dale="none")
    assert torch.equal(free.weight, told.weight)
    assert told.sign is not None
    assert not told.is_constrained


def test_uniform_and_normal_have_their_documented_range():
    uniform, normal = LinearLayer(100, 400, seed=0).weight, LinearLayer(100, 400, "normal", seed=0)
    assert 0.099 < uniform.abs().max() <= 0.1
    assert normal.weight.std().item() == pytest.approx(0.1, rel=0.02)


def test_seeds():
    assert torch.equal(LinearLayer(5, 5, seed=1).weight, LinearLayer(5, 5, seed=1).weight)
    assert not torch.equal(LinearLayer(5, 5, seed=1).weight, LinearLayer(5, 5, seed=2).weight)
    layer = LinearLayer(5, 1, seed=1)
    assert not torch.isclose(layer.weight[0, 0], layer.bias[0])  # streams of their own
    a = LinearLayer(5, 5, bias=None, seed=4)
    assert torch.equal(a.weight, LinearLayer(5, 5, seed=4).weight)
    torch.manual_seed(0)
    one = LinearLayer(5, 5)
    torch.manual_seed(0)
    assert torch.equal(one.weight, LinearLayer(5, 5).weight)


@pytest.mark.parametrize("kind", ["numpy", "tensor"])
def test_arrays_are_copied(kind):
    arrays = {
        "weight": np.ones((4, 3), np.float32),
        "bias": np.ones(4, np.float32),
        "ei_mask": np.ones((3, 4), np.float32),
        "sparsity_mask": np.ones((3, 4), np.float32),
        "plasticity_mask": np.ones((3, 4), np.float32),
    }
    if kind == "tensor":
        arrays = {key: torch.from_numpy(value) for key, value in arrays.items()}
    layer = LinearLayer(3, 4, **arrays)
    before = copy.deepcopy(layer.state_dict())
    for value in arrays.values():
        value[:] = 0
    for key, value in layer.state_dict().items():
        assert torch.equal(value, before[key])


def test_masks_come_back_as_they_were_given():
    layer = masked()
    assert layer.sparsity_mask.int().tolist() == [[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 0]]
    assert layer.plasticity_mask[0].tolist() == [1, 0, 1, 0.5]
    plain = LinearLayer(3, 4)
    assert plain.ei_mask is plain.sparsity_mask is plain.plasticity_mask is None
    assert set(layer.state_dict()) == {"weight", "bias", "sign", "connected", "plasticity"}


def test_bias_none_is_zero_and_never_learns():
    layer = LinearLayer(3, 4, bias=None)
    assert not layer.bias.any()
    layer.freeze()
    layer.unfreeze()
    assert (layer.weight.requires_grad, layer.bias.requires_grad) == (True, False)


def test_freeze_and_unfreeze_return_to_what_was():
    layer = LinearLayer(3, 4, weight={"init": "normal", "learn": False})
    layer(torch.ones(3)).sum().backward()
    layer.freeze()
    layer.freeze()
    assert not layer.bias.requires_grad
    assert layer.bias.grad is None
    layer.unfreeze()
    assert (layer.weight.requires_grad, layer.bias.requires_grad) == (False, True)


def test_value_with_learn():
    layer = LinearLayer(2, 1, weight={"value": [[1, 2]], "learn": False}, bias={"value": [3]})
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[1, 2]], [3])
    assert (layer.weight.requires_grad, layer.bias.requires_grad) == (False, True)


def test_set_bias_copies_into_the_same_parameter():
    layer = LinearLayer(3, 4, seed=1)
    bias, weight, value = layer.bias, layer.weight.detach().clone(), np.arange(4.0)
    layer.set_bias(value)
    value[:] = 9
    assert layer.bias is bias
    assert layer.bias.requires_grad
    assert layer.bias.tolist() == [0, 1, 2, 3]
    assert torch.equal(layer.weight, weight)
    for wrong, message in (
        ([1, 2, 3], r"bias is \(3,\); expected \(output_dim=4,\)"),
        ([1, 2, 3, math.nan], "bias holds NaN or Inf"),
        ([1, 2, 3, 1e300], "too large for torch.float32"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.set_bias(wrong)
    assert layer.bias.tolist() == [0, 1, 2, 3]


def test_auto_rescale_of_an_empty_wiring_changes_nothing():
    layer = LinearLayer(2, 3, sparsity_mask=np.zeros((2, 3)))
    layer.auto_rescale("weight")
    assert not layer.weight.any()
    assert layer.get_specs()["frozen_fraction"] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"weights": "uniform"}, "unknown key .*'weights'; did you mean 'weight'"),
        ({"input_dim": 0}, "input_dim must be a positive whole number; got 0"),
        ({"input_dim": True}, "input_dim must be a positive whole number; got True"),
        ({"output_dim": 2.0}, "output_dim must be a positive whole number; got 2.0"),
        ({"weight": "unform"}, "unknown init 'unform'; did you mean 'uniform'"),
        ({"weight": {"init": "normal", "sdt": 1}}, "unknown argument .*'sdt'; did you mean 'std'"),
        ({"weight": {"std": 1}}, "weight needs `init` or `value`"),
        ({"weight": np.zeros((3, 4))}, r"weight is \(3, 4\); .*output_dim=4.*transposed"),
        ({"bias": [1, 2]}, r"bias is \(2,\); expected \(output_dim=4,\)"),
        ({"weight": np.full((4, 3), np.inf)}, "weight holds NaN or Inf"),
        ({"weight": np.full((4, 3), 1e300)}, "too large for torch.float32"),
        ({"ei_mask": np.ones((4, 3))}, r"ei_mask is \(4, 3\); .*input_dim=3.*transposed"),
        ({"ei_mask": [1, 1]}, r"ei_mask is \(2,\); expected \(input_dim=3,\)"),
        ({"sparsity_mask": np.ones((2, 3))}, r"is \(2, 3\); expected \(input_dim=3, out.*=4\)$"),
        ({"sparsity_mask": [[1, 0], [1]]}, "sparsity_mask is ragged"),
        ({"plasticity_mask": np.full((3, 4), np.nan)}, "plasticity_mask holds NaN"),
        ({"plasticity_mask": np.full((3, 4), 1.5)}, r"must lie in \[0, 1\]; it holds 1.5"),
        ({"dale": "projects"}, "unknown dale 'projects'; did you mean 'project'"),
        ({"dale_init": "sign"}, "unknown dale_init"),
        ({"ei_balance": "rows"}, "unknown ei_balance 'rows'; did you mean 'row'"),
        ({"bias": "orthogonal"}, "needs a matrix"),
    ],
)
def test_refusals_say_what_came_and_what_was_expected(words, message):
    with pytest.raises(ValueError, match=message):
        LinearLayer.from_dict({"input_dim": 3, "output_dim": 4} | words)


def test_refusals_of_types():
    with pytest.raises(ValueError, match="needs input_dim and output_dim"):
        LinearLayer.from_dict({})
    with pytest.raises(TypeError, match="real numbers"):
        LinearLayer(3, 4, ei_mask=np.array([["a"] * 4] * 3))
    with pytest.raises(TypeError, match="real numbers"):
        LinearLayer(3, 4, weight=np.ones((4, 3), complex))
    with pytest.raises(TypeError, match="learn must be true or false"):
        LinearLayer(3, 4, weight={"init": "zero", "learn": 1})
    with pytest.raises(ValueError, match="unknown parameter 'weights'"):
        LinearLayer(3, 4).auto_rescale("weights")


def test_everything_moves():
    layer = masked().to("meta")
    tensors = [*layer.parameters(), *layer.buffers()]
    assert all(tensor.is_meta for tensor in tensors)
    kept = [value for value in vars(layer).values() if isinstance(value, torch.Tensor)]
    assert not kept  # nothing outside of parameters and buffers
    assert layer(torch.ones(5, 3, device="meta")).shape == (5, 4)
    assert "input_dim=3" in repr(layer)


def test_a_repr_counts_what_the_masks_say(monkeypatch):
    masks = {"ei_mask": [1, 1, -1], "sparsity_mask": np.triu(np.ones((3, 3)))}
    layer = LinearLayer(3, 3, **masks, plasticity_mask=np.eye(3))
    shown = "density=0.667, n_excitatory=5, n_inhibitory=1, frozen_fraction=0.5, dale='project'"
    assert repr(layer) == f"LinearLayer(input_dim=3, output_dim=3, {shown})"
    monkeypatch.setattr("netbuild.layers.linear.QUICK", 8)
    assert "sign, connected, plasticity" in repr(layer)  # no count of a large layer


def test_dtypes():
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        layer = masked().to(dtype)
        assert layer.plasticity.dtype == layer.upper.dtype == layer.weight.dtype == dtype
        assert layer.connected.dtype == torch.bool
        assert layer(torch.ones(3, dtype=dtype)).dtype == dtype
        layer.enforce_constraints()


def test_loading_other_masks_changes_the_bounds():
    layer = masked()
    other = masked(
        ei_mask=[-1.0, 1.0, -1.0],
        sparsity_mask=np.ones((3, 4)),
        plasticity_mask=np.ones((3, 4)),
    )
    assert layer.fractional
    layer.load_state_dict(other.state_dict())
    assert not layer.fractional
    layer.set_weight(-np.ones((4, 3)))
    assert layer.weight.tolist() == [[-1, 0, -1]] * 4
    empty = masked().to("meta").to_empty(device="cpu")
    empty.load_state_dict(other.state_dict())
    assert torch.equal(empty.upper, other.upper)


def test_copies_and_pickles_are_independent():
    layer = masked()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin.weight, layer.weight)
        twin.set_weight(np.zeros((4, 3)))
        twin.load_state_dict(twin.state_dict())
        assert layer.weight.any()


def test_gradient_of_the_raw_weight():
    layer = masked(dale="abs").double()
    x = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(
        lambda w: torch.func.functional_call(layer, {"weight": w}, x), layer.weight
    )


@pytest.mark.parametrize("kind", ["weight", "dist"])
def test_plots(kind, tmp_path):
    from matplotlib.figure import Figure

    figure = masked().plot_layer(kind)
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    ax = Figure().subplots()
    assert LinearLayer(3, 4, "zero").plot_layer(kind, ax=ax) is ax.figure
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    with pytest.raises(ValueError, match="kind of plot"):
        masked().plot_layer("dots")


def test_the_colours_of_a_matrix_are_centred_on_zero():
    figure = masked().plot_layer("weight")
    image = figure.axes[0].images[0]
    low, high = image.get_clim()
    assert low == -high < 0
    assert math.isclose(high, masked().weight.abs().max().item(), rel_tol=1e-6)
