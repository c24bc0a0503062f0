"""The numbers that a network computes with: arrays become weights and masks, or are refused.

All raise DataFileError: NB205 for a value, NB201 for a shape. Entries are named by row and column,
both counted from 1, and by `name`, the file's where there is one. None changes the array it is
given. `finite` returns the array itself; the others make one copy, and no more than one
array of booleans beside it where nothing is wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from netbuild.errors import DataFileError

Array = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]

# A network computes in float32, from 1e-38 to 3e38. The product and the quotient of two numbers
# within these bounds are in that range; a number beyond them is an error of the spec.
SMALLEST = 1e-15  # beside 0
LARGEST = 1e15


def finite(array: Array, name: str = "") -> Array:
    """`array` itself, any shape, none of whose values is NaN or infinite."""
    if not array.size or np.isfinite(extremes(array)).all():
        return array
    bad = ~np.isfinite(array)
    if bad.any():
        raise DataFileError(
            "NB205",
            f"{counted(bad)} NaN or infinite, the first at "
            f"{position(int(np.argmax(bad)), bad.shape, name)}",
            "a network takes finite numbers; `numpy.argwhere(~numpy.isfinite(a))` finds the others",
        )
    return array


def extremes(array: Array) -> tuple[float, float]:
    """The smallest and the largest value, any shape but an empty one; NaN where one is there."""
    with np.errstate(invalid="ignore"):
        return float(array.min()), float(array.max())


def as_float32(array: Array) -> npt.NDArray[np.float32]:
    """A copy in the network's own precision, any shape, in C order."""
    array = finite(array)
    if array.size and max(map(abs, extremes(array))) > LARGEST:
        what = f"the largest value is beyond {LARGEST:g}, in either direction"
        raise DataFileError("NB205", what, "rescale the values: a network computes in float32")
    return array.astype(np.float32, order="C")


def as_sparsity(array: Array, threshold: float | None = None, name: str = "") -> Bools:
    """Where there is a connection, any shape: the ones of 0 and 1, or what is above `threshold`.

    Without a threshold any other value is refused: counts and weights look like masks, and which
    of them mean a connection is the user's to say.
    """
    array = finite(array, name)
    if threshold is not None:
        return array > threshold
    mask: Bools = array != 0
    bad = array != mask  # true is 1
    if bad.any():
        kinds = {
            "negative": array < 0,
            "between 0 and 1": bad & (array > 0) & (array < 1),
            "above 1": array > 1,
        }
        found = ", ".join(
            f"{np.count_nonzero(is_)} {kind}" for kind, is_ in kinds.items() if is_.any()
        )
        raise DataFileError(
            "NB205",
            f"a sparsity mask holds 0 and 1, and {counted(bad)} neither ({found}); "
            f"{smallest(array, bad, name)}",
            ("signs belong into `ei_mask`; " if not (bad & (array > 0)).any() else "")
            + "`threshold: 0` makes a connection of every value above 0",
        )
    return mask


def as_signs(array: Array, name: str = "") -> npt.NDArray[np.int8]:
    """The sign of every entry, any shape: +1 excitatory, -1 inhibitory, 0 free."""
    array = finite(array, name)
    signs = (array > 0).view(np.int8)
    signs -= (array < 0).view(np.int8)
    return signs


def as_plasticity(array: Array, name: str = "") -> npt.NDArray[np.float32]:
    """How much of each update is kept, any shape, float32 in [0, 1]; 0 is frozen for ever."""
    array = finite(array, name)
    lowest, highest = extremes(array) if array.size else (0, 0)
    if lowest < 0 or highest > 1:
        bad = (array < 0) | (array > 1)
        raise DataFileError(
            "NB205",
            f"a plasticity mask holds values from 0 to 1, and {counted(bad)} outside; "
            f"{smallest(array, bad, name)}",
            "0 freezes a weight, 1 lets it learn, 0.5 keeps half of each update",
        )
    return array.astype(np.float32)


def counted(bad: Bools) -> str:
    """How many are true: `3 of 2,000 values are`."""
    count = np.count_nonzero(bad)
    return f"{count:,} of {bad.size:,} values {'is' if count == 1 else 'are'}"


def smallest(array: Array, bad: Bools, name: str) -> str:
    """The smallest of the bad values and where it is."""
    where = int(np.flatnonzero(bad)[np.argmin(array[bad])])
    return f"the smallest is {array.flat[where]:.6g} at {position(where, array.shape, name)}"


def position(flat: int, shape: tuple[int, ...], name: str) -> str:
    """An index of the flattened array in words: `row 2, column 5 of wiring.npy`."""
    index = [int(i) + 1 for i in np.unravel_index(flat, shape)] or [1]
    words = ["row", "column"] if len(index) == 2 else ["position"] + [""] * (len(index) - 1)
    said = ", ".join(f"{word} {i}".strip() for word, i in zip(words, index, strict=True))
    return f"{said} of {name}" if name else said
