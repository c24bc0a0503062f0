"""Whole trainings on a pretend accelerator: everything is on it, and the host does not wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerator import DEVICE, NAME, Accelerator, OnDevice
from resuming import assert_same, begun, killed_at

import netbuild
from netbuild.builder import DEVICES, LAYERS, OPTIMIZERS
from netbuild.errors import Exit, NetbuildError
from netbuild.language import Spec
from netbuild.language.dump import dump_yaml
from netbuild.regularization import REGULARIZATIONS
from netbuild.results.activity import load_activity
from netbuild.results.evaluation import evaluate
from netbuild.runs.start import new_trainer
from netbuild.tasks import ArraysTask, Batch, Task
from netbuild.training import Trainer

Words = dict[str, Any]
STEPS = 5
TRIALS, TIME, INPUTS, CLASSES = 32, 6, 3, 3
TASK: Words = {
    "type": "arrays",
    "file": "data.npz",
    "inputs": "x",
    "targets": "y",
    "loss_mask": "mask",
    "variables": ["steps"],
}
HIDDEN: Words = {
    "name": "hidden",
    "type": "ctrnn",
    "size": 8,
    "alpha": 0.3,
    "kernel": "fused",
    "excitatory": 0.75,
}
READOUT: Words = {"name": "readout", "type": "linear", "output_dim": CLASSES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of all specs."""
    found = tmp_path_factory.mktemp("accelerator")
    rng = np.random.default_rng(0)
    steps = rng.integers(3, TIME + 1, TRIALS)
    np.savez(
        found / "data.npz",
        x=rng.normal(size=(TRIALS, TIME, INPUTS)).astype(np.float32),
        y=rng.integers(0, CLASSES, (TRIALS, TIME)),
        values=rng.normal(size=(TRIALS, TIME, CLASSES)).astype(np.float32),
        mask=(np.arange(TIME) < steps[:, None]).astype(np.float32),
        steps=steps,
    )
    np.save(found / "start.npy", rng.normal(size=(8, CLASSES)))
    np.save(found / "plastic.npy", rng.choice([0.0, 0.5, 1.0], (8, 8)))
    (found / "edges.csv").write_text("pre,post,weight\na,b,1\nb,c,2\nc,a,3\na,c,1\n")
    (found / "neurons.csv").write_text("id,nt\na,ACH\nb,GABA\nc,ACH\n")
    return found


def spec_of(folder: Path, layers: list[Words], **sections: Any) -> Spec:
    training = {"steps": STEPS, "batch_size": 8, "log_every": 1000} | sections.pop("training", {})
    data = {"netbuild": 1, "seed": 1, "dt": 20, "task": TASK, "layers": layers}
    path = folder / "spec.yaml"
    path.write_text(dump_yaml(data | {"training": training} | sections))
    return netbuild.load(path)


# The device


def test_it_refuses_what_cuda_refuses() -> None:
    with Accelerator():
        here, there = torch.ones(3, device=NAME), torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            here + there
        with pytest.raises(RuntimeError, match="same device"):
            there[torch.zeros(2, dtype=torch.int64, device=NAME)]
        with pytest.raises(RuntimeError, match="'gpu' device type for generator but found 'cpu'"):
            torch.rand(2, generator=torch.Generator(), device=NAME)
        with pytest.raises(RuntimeError, match="'cpu' device type for generator but found 'gpu'"):
            torch.rand(2, generator=torch.Generator(NAME))
        with pytest.raises(TypeError, match="to numpy"):
            here.numpy()
        with pytest.raises(NotImplementedError, match="not there for CUDA"):
            torch.histogram(here, 2)
        with pytest.raises(RuntimeError, match="device-side assert"):
            torch.nn.functional.cross_entropy(here[None], torch.full((1,), 3, device=NAME))


WAITS: dict[str, Callable[[torch.Tensor], Any]] = {
    "a number": lambda x: x[0].item(),
    "a condition": lambda x: bool(x.sum() > 0),
    "numbers": lambda x: x.tolist(),
    "a copy to the CPU": lambda x: x.cpu(),
    "a copy from the CPU": lambda x: torch.zeros(3).to(NAME),
    "numbers from the CPU": lambda x: torch.tensor([1.0, 2.0], device=NAME),
    "a mask": lambda x: x[x > 0],
    "positions on the CPU": lambda x: x[torch.tensor([0, 2])],
    "repetitions": lambda x: x.repeat_interleave(x.long()),
    "singular values": lambda x: torch.linalg.svdvals(x[None]),
}
FREE: dict[str, Callable[[torch.Tensor], Any]] = {
    "a number of the CPU": lambda x: x * torch.tensor(2.0) + 1,
    "a copy that is not waited for": lambda x: torch.zeros(3).to(NAME, non_blocking=True),
    "positions here": lambda x: x[torch.arange(2, device=NAME)],
    "a mask that is filled": lambda x: x.masked_fill(x > 0, 0.0),
    "a slice": lambda x: x[1:].sum().sqrt(),
}


@pytest.mark.parametrize(
    ("work", "count"), [*((w, 1) for w in WAITS.values()), *((w, 0) for w in FREE.values())]
)
def test_it_counts_what_the_host_waits_for(work: Callable[[Any], Any], count: int) -> None:
    with Accelerator() as gpu:
        x = torch.ones(3, device=NAME)
        work(x)
    assert len(gpu.waits) == count, gpu.waits


def test_its_numbers_are_those_of_the_cpu() -> None:
    with Accelerator():
        module = torch.nn.Linear(3, 2)
        weight = module.weight
        twin = torch.nn.Linear(3, 2)
        twin.load_state_dict(module.state_dict())
        x = torch.rand(4, 3, generator=torch.Generator(NAME).manual_seed(5), device=NAME)
        same = torch.rand(4, 3, generator=torch.Generator().manual_seed(5))
        module.to(NAME)(x).square().sum().backward()
        twin(same).square().sum().backward()
        assert module.weight is weight
        assert weight.grad is not None
        assert torch.equal(weight.grad.cpu(), twin.weight.grad)


# Trainings


@contextmanager
def accelerator() -> Iterator[Accelerator]:
    """The device is on, and netbuild knows its name."""
    DEVICES[NAME] = lambda: 1
    try:
        with Accelerator() as gpu:
            yield gpu
    finally:
        del DEVICES[NAME]


def trained(spec: Spec, device: str, task: Task | None = None) -> tuple[Trainer, list[int]]:
    """A training to its end, and how often the host had waited after each of its steps."""
    trainer = new_trainer(spec, task, device)
    waited: list[int] = []
    if device != "cpu":
        gpu = torch.utils._python_dispatch._get_current_dispatch_mode()
        trainer.optimizer.register_step_post_hook(lambda *_: waited.append(len(gpu.waits)))
    list(trainer.records())
    return trainer, waited


def on_both(spec: Spec, task: Task | None = None, most: int = 0) -> None:
    """Train on the CPU and on the accelerator; everything is there, with the same numbers.

    In each step that is not logged the host waits at most `most` times.
    """
    wanted, _ = trained(spec, "cpu", task)
    with accelerator() as gpu:
        trainer, waited = trained(spec, NAME, task)
        tensors = dict(trainer.network.state_dict(keep_vars=True))
        tensors |= dict(trainer.network.named_buffers())
        assert not [n for n, tensor in tensors.items() if not isinstance(tensor, OnDevice)]
        for state in trainer.optimizer.state.values():
            assert all(isinstance(t, OnDevice) for t in state.values() if t.dim())
        found = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
    for name, tensor in wanted.network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, msg=lambda why, n=name: f"{n}: {why}")
    per_step = np.diff(waited)[:-1]
    assert (per_step <= most).all(), gpu.waits[waited[0] : waited[-2]]


@contextmanager
def precision(dtype: torch.dtype) -> Iterator[None]:
    """The precision of all networks."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# A new layer type must be listed here before the test of all layers passes.
VARIANTS: dict[str, dict[str, Words]] = {
    "linear": {
        "signs": {"excitatory": 0.5, "density": 0.5, "activation": "relu"},
        "abs": {"ei_mask": {"excitatory": 0.5}, "dale": "abs"},
        "sparse": {"density": 0.5, "storage": "sparse"},
        "wide": {"output_dim": 20, "activation": {"type": "power", "n": 1.5}},
    },
    "dropout": {"half": {"p": 0.5}},
    "ctrnn": {
        "plain": {},
        "reference": {"kernel": "reference"},
        "rate": {"formulation": "rate", "noise": 0.1, "activation": "tanh"},
        "update": {"formulation": "update", "rate_noise": 0.1, "activation": "softplus"},
        "noise": {"noise": 0.1, "input_noise": 0.1, "rate_noise": 0.1},
        "alpha": {"alpha": {"value": 0.3, "learn": True}, "noise": 0.1},
        "areas": {
            "size": None,
            "alpha": None,
            "areas": {"V1": {"size": 5, "tau": 40}, "PFC": {"size": 3, "tau": 100}},
        },
        "groups": {
            "size": None,
            "alpha": None,
            "areas": {
                "V1": {"size": 5, "tau": {"value": 40, "learn": True}},
                "PFC": {"size": 3, "tau": {"value": 60, "learn": True}},
            },
            "initial_state": {"value": 0.1, "learn": True},
        },
        "abs": {"recurrent": {"dale": "abs", "density": 0.5, "self_connections": False}},
        "sparse": {"recurrent": {"storage": "sparse", "density": 0.5}, "noise": 0.1},
        "sparse-update": {
            "recurrent": {"storage": "sparse", "density": 0.5},
            "formulation": "update",
            "alpha": {"value": 0.3, "learn": True},
        },
        "plastic": {"recurrent": {"plasticity_mask": {"file": "plastic.npy", "rows": "pre"}}},
        "scales": {
            "size": None,
            "excitatory": None,
            "connectome": {
                "edges": "edges.csv",
                "neurons": "neurons.csv",
                "signs": {"ACH": 1, "GABA": -1},
                "learn": "scale_per_type",
                "types": "nt",
            },
        },
    },
}


def layers_with(kind: str, words: Words) -> list[Words]:
    """A network with this layer."""
    base = {"linear": {"output_dim": 8}, "dropout": {}, "ctrnn": HIDDEN}[kind]
    layer = {"name": "hidden", "type": kind} | base | words
    layer = {key: value for key, value in layer.items() if value is not None}
    first = [] if kind != "dropout" else [{"name": "first", "type": "linear", "output_dim": 8}]
    return [*first, layer, READOUT]


@pytest.mark.parametrize(
    ("kind", "variant"), [(kind, name) for kind in LAYERS for name in VARIANTS[kind]]
)
def test_layers(folder: Path, kind: str, variant: str) -> None:
    words = VARIANTS[kind][variant]
    # In float32 the noise of the CPU is drawn by a generator that no other device has.
    with precision(torch.float64 if "noise" in str(words) else torch.float32):
        on_both(spec_of(folder, layers_with(kind, words)))


def test_the_kernel_is_that_of_the_device(folder: Path) -> None:
    auto = spec_of(folder, [HIDDEN | {"kernel": "auto"}, READOUT])
    compiled = spec_of(folder, [HIDDEN | {"kernel": "compiled"}, READOUT])
    with accelerator():
        assert netbuild.build(auto, device=NAME).kernels() == {"hidden": "fused"}
        with pytest.raises(NetbuildError, match="`compiled` cannot run") as refused:
            netbuild.build(compiled, device=NAME)
    assert refused.value.exit_code == Exit.MISSING


def regularizer_words(kind: str) -> list[Words]:
    """The keys of regularizers of a type; a type of no other needs is there by itself."""
    if REGULARIZATIONS[kind].needs_activity:
        units = {"units": "hidden.excitatory"}
        return [{"layers": ["hidden"]}, {"layers": ["hidden"], "of": "unit_mean"} | units]
    if kind == "WeightsDistance":
        return [{"params": "readout.weight", "reference": "start.npy"}]
    own = [{"params": "hidden.recurrent.weight"}]
    if kind in ("L1", "L2", "Lp"):
        own.append({"params": "readout.weight", "norm": "matrix"})
        own.append({"params": "readout.weight", "from": "hidden.excitatory"})
    return own


@pytest.mark.parametrize("kind", REGULARIZATIONS)
def test_regularizers(folder: Path, kind: str) -> None:
    some = [{"type": kind, "Lambda": 0.1} | words for words in regularizer_words(kind)]
    spec = spec_of(folder, [HIDDEN, READOUT], regularizers=some)
    on_both(spec, most=1 if kind == "L2" else 0)  # a largest singular value says how it went


SETTINGS: dict[str, list[Words]] = {
    "SGD": [{"momentum": 0.9, "nesterov": True}],
    "Adam": [{"amsgrad": True}, {"schedule": "cosine"}],
    "RMSprop": [{"momentum": 0.9}],
}


# What an optimizer keeps depends on these.
@pytest.mark.parametrize(
    ("kind", "words"), [(k, words) for k in OPTIMIZERS for words in [{}, *SETTINGS.get(k, [])]]
)
@pytest.mark.parametrize("clip", [None, 0.1])
def test_optimizers(folder: Path, kind: str, words: Words, clip: float | None) -> None:
    optimizer = {"type": kind, "lr": 0.01} | words
    training = {"optimizer": optimizer, "clip_grad_norm": clip}
    is_fused = "fused" in str(OPTIMIZERS[kind])
    recurrent = {"plasticity_mask": {"file": "plastic.npy", "rows": "pre"}, "density": 0.5}
    layers = [HIDDEN | {"recurrent": recurrent}, READOUT]
    on_both(spec_of(folder, layers, training=training), most=0 if is_fused else 1)


# Tasks


class Own:
    """A task in Python: the class of each step of a trial is that of its largest input."""

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        inputs = torch.from_numpy(rng.normal(size=(size, TIME, INPUTS)).astype(np.float32))
        return Batch(inputs, inputs.argmax(-1), torch.ones(size, TIME))


class Wrong(Own):
    """The same with a class number that is out of range, from the third batch on."""

    def __init__(self, number: int) -> None:
        self.number = number

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        batch = super().batch(step, size, rng)
        batch.targets[0, 0] = self.number if step >= 2 else 0
        return batch


NEUROGYM: Words = {"type": "neurogym", "env": "PerceptualDecisionMaking-v0"}
TASKS: dict[str, Words] = {
    "classes": TASK,
    "values": TASK | {"targets": "values"},
    "trials": NEUROGYM,
    "windows": NEUROGYM | {"batches": {"of": "windows", "steps": 10}},
}


@pytest.mark.parametrize("kind", TASKS)
def test_tasks(folder: Path, kind: str) -> None:
    training = {"loss": "mse"} if kind == "values" else {}
    sections = {"regularizers": [{"type": "FiringRateL2", "layers": ["hidden"], "Lambda": 0.1}]}
    layers = [HIDDEN, READOUT]
    on_both(spec_of(folder, layers, task=TASKS[kind], training=training, **sections))


def test_a_task_in_python(folder: Path) -> None:
    layers = [HIDDEN | {"input_dim": INPUTS}, READOUT]
    on_both(spec_of(folder, layers, task=None), Own())


@pytest.mark.parametrize("number", [CLASSES, -1, -100])
@pytest.mark.parametrize("device", ["cpu", NAME])
def test_class_numbers_out_of_range_are_told(folder: Path, device: str, number: int) -> None:
    """They never reach the device, whose assertion would end the process's use of it."""
    spec = spec_of(folder, [HIDDEN | {"input_dim": INPUTS}, READOUT], task=None)
    inputs, targets = torch.zeros(8, TIME, INPUTS), torch.zeros(8, TIME, dtype=torch.int64)
    targets[-1, -1] = number
    tasks = Wrong(number), ArraysTask(inputs, targets, train=1)
    with accelerator():
        for task in tasks:
            with pytest.raises(NetbuildError, match=f"classes 0 to 2, .* not .*{number}") as caught:
                trained(spec, device, task)
            assert caught.value.exit_code == Exit.DATA


class Exploding(Own):
    """The same with an infinite input in the fourth batch."""

    def batch(self, step: int, size: int, rng: np.random.Generator) -> Batch:
        batch = super().batch(step, size, rng)
        batch.inputs[0, 0] = torch.inf if step == 3 else 0.0
        return batch


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_step_that_is_not_finite_is_not_taken(folder: Path, kind: str) -> None:
    """Nor is any later step, whenever the host gets to know of it."""

    def trainer_of(steps: int) -> Trainer:
        training = {"steps": steps, "optimizer": {"type": kind}, "checkpoint": {"every": None}}
        layers = [HIDDEN | {"input_dim": INPUTS}, READOUT]
        return new_trainer(spec_of(folder, layers, task=None, training=training), Exploding(), NAME)

    with accelerator():
        trainer, wanted = trainer_of(8), trainer_of(3)
        with pytest.raises(NetbuildError, match="nan at step 3; first found in the inputs") as bad:
            list(trainer.records())
        list(wanted.records())
        assert bad.value.exit_code == Exit.DIVERGED
        state = wanted.network.state_dict()
        for name, tensor in trainer.network.state_dict().items():
            assert torch.equal(tensor, state[name]), name


# A run


def test_a_run(folder: Path, tmp_path: Path) -> None:
    """Stages, checkpoints, a resume, an evaluation, what it did, and its export."""
    others = [
        {"type": "DaleLawL2", "params": "hidden.recurrent.weight", "Lambda": 0.01},
        {"type": "FiringRateL1", "layers": "hidden", "units": "hidden.inhibitory", "Lambda": 0.01},
    ]
    stages = [
        {"name": "first", "steps": 6},
        {"name": "second", "steps": 6, "set": {"regularizers": others}},
    ]
    training = {
        "steps": None,
        "stages": stages,
        "log_every": 2,
        "checkpoint": {"every": 4},
        "evaluate": {"every": 3},
        "optimizer": {"type": "Adam", "lr": 0.01, "schedule": "cosine"},
    }
    recurrent = {"storage": "sparse", "density": 0.5}
    hidden = HIDDEN | {"noise": 0.1, "recurrent": recurrent}
    layers = [hidden, {"name": "drop", "type": "dropout", "p": 0.1}, READOUT]
    some = [{"type": "L1", "params": "*.weight", "Lambda": 0.01}]
    spec = spec_of(folder, layers, regularizers=some, training=training)
    with accelerator():
        whole = netbuild.train(spec, tmp_path / "whole", device=NAME)
        assert whole.info.environment.device == str(DEVICE)
        cut = begun(spec, tmp_path / "cut", killed_at(8), device=NAME)
        assert_same(netbuild.resume(cut), whole)
        assert netbuild.reproduce(whole.path).same
        scored = evaluate(whole, device=NAME)
        assert scored.values == scored.logged
        assert whole.network(device=NAME).readout.weight.device == DEVICE
        activity = whole.activity()
    assert scored.values["loss"] == pytest.approx(evaluate(whole).values["loss"], rel=1e-5)
    activity.save(tmp_path / "activity.npz")
    assert load_activity(tmp_path / "activity.npz").rates.keys() == {"hidden", "drop", "readout"}
