"""Named arrays in one .npz file that any numpy reads: numbers and text of fixed width."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.durable import replace_file
from netbuild.errors import Exit, NetbuildError
from netbuild.training.trials import plain

Array = NDArray[Any]


def save_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write the arrays, in place of a file that is there; the same arrays give the same bytes.

    Raises NetbuildError (exit 7) where that fails.
    """
    if not path.parent.is_dir():
        raise NetbuildError(f"there is no folder {path.parent}", Exit.IO)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: plain(array) for name, array in arrays.items()})
    try:
        replace_file(path, buffer.getvalue())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write {path}: {reason}", Exit.IO) from None


def load_npz(path: Path) -> dict[str, Array]:
    """The arrays of a file; raises NetbuildError (exit 4) for one that is missing or damaged."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # whatever the readers of zip and npy make of damaged bytes
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NetbuildError(f"{path} cannot be read as .npz: {reason}", Exit.DATA) from None
