"""A pretend accelerator: tensors on a device `gpu` that the CPU computes, under the rules of CUDA.

Inside `with Accelerator() as gpu:` torch has a device of that name. What CUDA refuses raises here
too: tensors of different devices in one operation, a generator of another device, an operation that
torch has on the CPU alone, a class number without an output (CUDA's device assertion), numpy. What
makes the host wait for a device is counted in `gpu.waits`: a number, a mask or a tensor that is
read, and every copy from pageable memory that is not asked to be `non_blocking`. It is what
`torch.cuda.set_sync_debug_mode` would report.

The numbers are the CPU's own, a generator's included, so that a training here can be compared with
a training on the CPU bit for bit. Of CUDA's speed and of the numerics of its kernels it says
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.optim import optimizer
from torch.utils import _foreach_utils, backend_registration
from torch.utils._python_dispatch import TorchDispatchMode

NAME = "gpu"
PACKAGE = str(Path(__file__).parents[1] / "netbuild")
OURS = 1 << 63  # the bit of a seed that marks a generator of this device; draws do not read it


class _Backend(backend_registration._DummyBackendModule):
    """What torch asks of an accelerator's own module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """The types of autocast, as for CUDA."""
        return [torch.float16, torch.bfloat16]


# As torch's `_setup_privateuseone_for_python_backend`, which also gives modules a method `gpu`.
torch.utils.rename_privateuse1_backend(NAME)
torch._register_device_module(NAME, _Backend())
torch._C._acc.register_python_privateuseone_hook(backend_registration._DummyPrivateUse1Hook())
torch._C._acc.register_python_privateuseone_device_guard(backend_registration._DummyDeviceGuard())
DEVICE = torch.device(NAME, 0)

# Operations whose result is a number, or has a size that the host must know.
READ = {
    *("_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount", "histc"),
    *("_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive"),
    *("linalg_eig", "linalg_eigvals", "_linalg_eigh", "_linalg_svd"),  # how it went
}
# Operations that take tensors of two devices.
COPIES = {"_to_copy", "copy_", "_copy_from"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
SCALARS = {"where", "fill_", "index_put_", "_index_put_impl_", "masked_fill", "masked_fill_"}
# The types of tensors whose operations torch's optimizers and norms group, as they do on CUDA.
FOREACH: tuple[list[type], ...] = (
    _foreach_utils._foreach_supported_types,
    optimizer._foreach_supported_types,
)


class OnDevice(Tensor):
    """A tensor on the device; `held` is its memory."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Self:
        """A tensor without memory of its own, of the shape and strides of `held`."""
        strided = held.layout == torch.strided
        made: Self = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride() if strided else None,
            storage_offset=held.storage_offset() if strided else None,
            dtype=held.dtype,
            device=DEVICE,
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Operations reach the accelerator, which is on, before they reach a tensor."""
        raise RuntimeError(f"{func} on the pretend accelerator, outside its `with`")

    # With these two, `Module.to` keeps a parameter's identity, as it does for CUDA.
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        """The names of the tensors that a tensor consists of."""
        return ["held"], None

    @staticmethod
    def __tensor_unflatten__(inner: dict[str, Tensor], *_: Any) -> OnDevice:
        """The inverse of `__tensor_flatten__`."""
        return OnDevice(inner["held"])

    def data_ptr(self) -> int:
        """The address of the memory."""
        return self.held.data_ptr()

    def tolist(self) -> Any:
        """The numbers, which are read."""
        return self.cpu().tolist()

    def numpy(self, *, force: bool = False) -> Any:
        """TypeError, as for any tensor that is not on the CPU."""
        raise TypeError(f"can't convert {NAME} device type tensor to numpy")

    def __repr__(self, **_: Any) -> str:
        """The numbers, without a look that would count as a read."""
        return f"{self.held!r} on {NAME}"


class Generator(torch.Generator):
    """A random generator of the CPU, or of the device."""

    def __new__(cls, device: Any = "cpu") -> Self:
        """One that remembers its device."""
        made = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        return made.manual_seed(0) if made.place.type == NAME else made

    place: torch.device

    def manual_seed(self, seed: int) -> Self:
        """The same numbers on both devices."""
        super().manual_seed(seed | OURS if self.place.type == NAME else seed)
        return self


class Accelerator(TorchDispatchMode):
    """While it is on, torch has the device `gpu`; `waits` are the host's waits for it, in order.

    Each of them names the operation, and the line of netbuild that asked for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __enter__(self) -> Self:
        self._before = torch._C._only_lift_cpu_tensors(), torch.Generator
        self._threads = torch.autograd.set_multithreading_enabled(False)
        self._threads.__enter__()  # the mode belongs to this thread
        torch._C._set_only_lift_cpu_tensors(True)
        torch.Generator = Generator  # type: ignore[misc]
        for types in FOREACH:
            types.append(OnDevice)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for types in FOREACH:
            types.remove(OnDevice)
        lifts, torch.Generator = self._before  # type: ignore[misc]
        torch._C._set_only_lift_cpu_tensors(lifts)
        self._threads.__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation after CUDA's rules."""
        kwargs = kwargs or {}
        given = list(_tensors([args, kwargs]))
        here = [tensor for tensor in given if isinstance(tensor, OnDevice)]
        wanted = kwargs.get("device")
        place = DEVICE if here else torch.device("cpu")
        if wanted is not None:
            place = DEVICE if wanted.type == NAME else wanted
        _check_generator(func, args, kwargs, place)
        if not here and place != DEVICE:
            return func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        self._check(func, name, given, here)
        self._count(name, args, kwargs, given, place)
        if place == DEVICE and wanted is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        kwargs.pop("pin_memory", None)
        return self._run(func, args, kwargs, here, place)

    def _run(self, func: Any, args: Any, kwargs: Any, here: list[OnDevice], place: Any) -> Any:
        held = {id(tensor.held): tensor for tensor in here}
        try:
            result = func(*_each(args, _held), **_each(kwargs, _held))
        except IndexError as error:
            raise RuntimeError(f"CUDA error: device-side assert triggered: {error}") from None

        def placed(tensor: Tensor) -> Tensor:
            if id(tensor) in held:
                return held[id(tensor)]
            if place != DEVICE or any(tensor is one for one in _tensors([args, kwargs])):
                return tensor
            return OnDevice(tensor)

        # As in torch itself, a view of an ordinary tensor is one, even in inference mode.
        is_view = func.is_view and not any(tensor.is_inference() for tensor in here)
        with torch.inference_mode(torch.is_inference_mode_enabled() and not is_view):
            return _each(result, placed)

    def _check(self, func: Any, name: str, given: list[Tensor], here: list[OnDevice]) -> None:
        """Raise RuntimeError for what CUDA refuses."""
        if name in _on_the_cpu_alone():
            raise NotImplementedError(f"{func} is not there for CUDA")
        if name in COPIES or not here:
            return
        for tensor in given:
            if isinstance(tensor, OnDevice):
                continue
            is_number = tensor.dim() == 0
            if is_number and (torch.Tag.pointwise in func.tags or name in SCALARS):
                continue
            if name in INDEXED and tensor is not given[0] and isinstance(given[0], OnDevice):
                continue
            what = "Expected all tensors to be on the same device, but found at least two devices"
            raise RuntimeError(f"{what}, {NAME} and cpu, in {func} {[t.shape for t in given]}")

    def _count(self, name: str, args: Any, kwargs: Any, given: list[Tensor], place: Any) -> None:
        """Note a wait of the host."""
        waits = name in READ
        if name in COPIES:
            to_here = place == DEVICE if name == "_to_copy" else isinstance(args[0], OnDevice)
            moved = to_here != isinstance(args[name != "_to_copy"], OnDevice)
            free = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
            waits = moved and not (to_here and free)
        elif name in INDEXED:
            others = list(_tensors(args[1]))
            waits = any(t.dtype in (torch.bool, torch.uint8) for t in others) or not all(
                isinstance(t, OnDevice) for t in others
            )
            is_fill = name == "index_put_" and len(others) == 1 and args[2].numel() == 1
            waits = waits and not (is_fill and others[0].dtype == torch.bool)  # `masked_fill_`
        elif name == "repeat_interleave":
            waits = kwargs.get("output_size") is None
        if waits:
            self.waits.append(f"{name} at {_caller()}")


def _check_generator(func: Any, args: Any, kwargs: Any, place: torch.device) -> None:
    """Raise RuntimeError for a generator of another device than the numbers that it draws."""
    for given in (*args, *kwargs.values()):
        if isinstance(given, torch._C.Generator):
            own = NAME if given.initial_seed() % (1 << 64) & OURS else "cpu"
            if own != place.type:
                what = f"Expected a '{place.type}' device type for generator but found '{own}'"
                raise RuntimeError(f"{what}, in {func}")


def _tensors(given: Any) -> Iterator[Tensor]:
    """All tensors in lists, tuples and dictionaries."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, Mapping):
        yield from _tensors(list(given.values()))
    elif isinstance(given, (list, tuple)):
        for each in given:
            if each is not None:
                yield from _tensors(each)


def _each(given: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same lists, tuples and dictionaries, with their tensors changed."""
    if isinstance(given, Tensor):
        return change(given)
    if isinstance(given, Mapping):
        return {name: _each(value, change) for name, value in given.items()}
    if isinstance(given, (list, tuple)):
        return type(given)([_each(each, change) for each in given])
    return given


def _held(tensor: Tensor) -> Tensor:
    return tensor.held if isinstance(tensor, OnDevice) else tensor


def _caller() -> str:
    """The line of netbuild that is running."""
    frame: Any = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    if frame is None:
        return "a test"
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"


@cache
def _on_the_cpu_alone() -> frozenset[str]:
    """The operations that torch's own list has for the CPU, and not for CUDA.

    An operation with several overloads is there for CUDA if one of them is.
    """
    import torchgen

    path = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    cpu: set[str] = set()
    cuda: set[str] = set()
    name, where = "", ""
    for line in _lines(path):
        if line.startswith("- func: "):
            name, where = line[8:].split("(")[0].split(".")[0], ""
        elif line.startswith("  ") and not line.startswith("    "):
            where = line.strip().rstrip(":")
            if where.startswith("structured_delegate"):
                cuda.add(name)  # it is judged by the operation that it delegates to
        elif where == "dispatch":
            kinds = line.split(":")[0].replace(",", " ").split()
            for kind in kinds:
                if kind.endswith("CPU"):
                    cpu.add(name)
                if kind.endswith("CUDA") or kind.startswith("Composite"):
                    cuda.add(name)
    return frozenset(cpu - cuda)


def _lines(path: Path) -> Iterable[str]:
    with open(path, encoding="utf-8") as stream:
        yield from stream
