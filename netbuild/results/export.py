"""Files of labelled arrays that other programs can read: .npz, and netCDF with `xarray`."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.durable import io_errors, replace_file
from netbuild.errors import Exit, NetbuildError
from netbuild.results.units import Units
from netbuild.training.trials import plain

Array = NDArray[Any]


def save_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays, in place of an existing file; the same arrays give the same bytes.

    Raises NetbuildError (exit 7) where that fails.
    """
    _need_folder(path)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **{name: plain(each) for name, each in arrays.items()})
    with io_errors(f"cannot write {path}"):
        replace_file(path, buffer.getvalue())


def load_npz(path: Path) -> dict[str, Array]:
    """The arrays of a file; raises NetbuildError (exit 4) where it is missing or damaged."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # damaged bytes raise many kinds in the readers of zip and npy
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise NetbuildError(f"{path} cannot be read as .npz: {reason}", Exit.DATA) from None


def need_netcdf() -> None:
    """Raise NetbuildError (exit 10) where netCDF files cannot be written."""
    _needed("xarray")
    _needed("h5netcdf")


def write_netcdf(dataset: Any, path: Path) -> None:
    """Write a dataset as netCDF-4, in place of an existing file, at once.

    Raises NetbuildError: exit 10 without h5netcdf, 7 where it cannot be written.
    """
    need_netcdf()
    _need_folder(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    for name, values in dataset.variables.items():  # netCDF has no booleans
        if values.dtype == np.bool_:
            dataset[name] = dataset[name].astype(np.int8)
    with io_errors(f"cannot write {path}"):
        try:
            dataset.to_netcdf(temporary, engine="h5netcdf")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def dataset_of(
    variables: dict[str, Any],
    coordinates: dict[str, Any],
    units: Mapping[str, tuple[str, Units]],
    attributes: Mapping[str, Any] | None = None,
) -> Any:
    """An `xarray.Dataset` whose axes of units have labels; exit 10 without the extra `xarray`.

    `units` are {axis: (start, units)}: the index of an axis are the names of its units. Further
    coordinates along it are <start>_area, <start>_sign and, for the columns of a node table,
    <start>_<column>; `_` is appended to a column's name that is taken.
    """
    xarray = _needed("xarray")
    labels: dict[str, Any] = {}
    for axis, (start, own) in units.items():
        labels |= {axis: own.name, f"{start}_area": (axis, own.area)}
        labels[f"{start}_sign"] = (axis, own.sign)
    labels |= coordinates
    for axis, (start, own) in units.items():
        for column, values in own.columns.items():
            name = f"{start}_{re.sub(r'[^A-Za-z0-9_]', '_', column)}"
            while name in labels or name in variables:
                name += "_"
            labels[name] = (axis, values)
    return xarray.Dataset(variables, labels, attributes)


def _needed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        what = f"this needs {name}, which is not installed"
        hint = "pip install 'netbuild[xarray]'"
        raise NetbuildError(what, Exit.MISSING, hint) from None


def _need_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise NetbuildError(f"there is no folder {path.parent}", Exit.IO)
