"""Activity and weights as xarray datasets and netCDF files, where the extra `xarray` is there."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netbuild.errors import Exit, NetbuildError
from netbuild.results.equations import Equation
from netbuild.results.maps import LabelledMap
from netbuild.results.units import Units

if TYPE_CHECKING:
    from netbuild.results.activity import Activity


def _needed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        what = f"this needs {name}, which is not installed"
        hint = "pip install 'netbuild[xarray]'"
        raise NetbuildError(what, Exit.MISSING, hint) from None


def activity_dataset(activity: Activity) -> Any:
    """An `xarray.Dataset`: `inputs`, a variable a layer, and coordinates.

    Layers are (trial, time, <layer>_unit), with the units' names as index and <layer>_area,
    <layer>_sign and <layer>_<column of the node table> beside it. The trials' variables are
    coordinates along `trial`, time is in ms where the spec has a dt. Padding is NaN.
    """
    xarray = _needed("xarray")
    steps = () if activity.time is None else ("time",)
    coordinates: dict[str, Any] = {}
    if activity.time is not None:
        unit = {"units": "ms" if activity.dt is not None else "step"}
        coordinates["time"] = ("time", activity.time, unit)
    variables: dict[str, Any] = {"inputs": (("trial", *steps, "input"), activity.inputs)}
    for layer, rates in activity.rates.items():
        axis = f"{layer}_unit"
        variables[layer] = (("trial", *steps, axis), rates)
        coordinates |= _axis(axis, layer, activity.units[layer])
    taken = {*variables, *coordinates, "trial", "input", "time"}
    for name, values in activity.trials.items():
        coordinates[f"trial_{name}" if name in taken else name] = ("trial", values)
    for layer in activity.rates:
        _add_columns(coordinates, variables, f"{layer}_unit", layer, activity.units[layer])
    return xarray.Dataset(variables, coordinates)


def maps_dataset(
    maps: Mapping[str, LabelledMap],
    equations: Mapping[str, Equation] | None = None,
    dt: float | None = None,
) -> Any:
    """An `xarray.Dataset`: the weight of each map, (<map>_post, <map>_pre), and its bias.

    A sparse map's weight is (<map>_connection,), by postsynaptic and then by presynaptic unit, and
    the coordinates <map>_from and <map>_to along it are positions in <map>_pre and <map>_post.
    Of recurrent layers <layer>_alpha, <layer>_initial_state and <layer>_initial_rate, along
    <layer>_recurrent_post; and as attributes <layer>_activation, <layer>_formulation, and dt in ms.
    """
    xarray = _needed("xarray")
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    for name, one in maps.items():
        word = name.replace(".", "_")
        if isinstance(one.weight, np.ndarray):
            variables[f"{word}_weight"] = ((f"{word}_post", f"{word}_pre"), one.weight)
        else:
            axis, entries = f"{word}_connection", one.weight.tocoo()
            variables[f"{word}_weight"] = (axis, entries.data)
            coordinates |= {f"{word}_from": (axis, entries.col), f"{word}_to": (axis, entries.row)}
        variables[f"{word}_bias"] = (f"{word}_post", one.bias)
        for side, units in (("pre", one.pre), ("post", one.post)):
            coordinates |= _axis(f"{word}_{side}", f"{word}_{side}", units)
    for name, one in maps.items():
        word = name.replace(".", "_")
        for side, units in (("pre", one.pre), ("post", one.post)):
            start = f"{word}_{side}"
            _add_columns(coordinates, variables, start, start, units)
    about: dict[str, Any] = {"rows": "post"} | ({} if dt is None else {"dt": dt})
    for name, equation in (equations or {}).items():
        for what, value in equation._asdict().items():
            if isinstance(value, np.ndarray):
                variables[f"{name}_{what}"] = (f"{name}_recurrent_post", value)
            elif value is not None:
                about[f"{name}_{what}"] = value
    return xarray.Dataset(variables, coordinates, about)


def _axis(axis: str, start: str, units: Units) -> dict[str, Any]:
    return {
        axis: units.name,
        f"{start}_area": (axis, units.area),
        f"{start}_sign": (axis, units.sign),
    }


def _add_columns(
    coordinates: dict[str, Any], variables: Mapping[str, Any], axis: str, start: str, units: Units
) -> None:
    """Add <start>_<column> of a node table along an axis; what is taken gets a `_` behind it."""
    for column, values in units.columns.items():
        name = f"{start}_{re.sub(r'[^A-Za-z0-9_]', '_', column)}"
        while name in coordinates or name in variables:
            name += "_"
        coordinates[name] = (axis, values)


def need_netcdf() -> None:
    """Raise NetbuildError (exit 10) where netCDF files cannot be written."""
    _needed("xarray")
    _needed("h5netcdf")


def write_netcdf(dataset: Any, path: Path) -> None:
    """Write a dataset as netCDF-4, in place of a file that is there, at once.

    Raises NetbuildError: exit 10 without h5netcdf, 7 where it cannot be written.
    """
    need_netcdf()
    if not path.parent.is_dir():
        raise NetbuildError(f"there is no folder {path.parent}", Exit.IO)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    for name, values in dataset.variables.items():  # netCDF has no truth values
        if values.dtype == np.bool_:
            dataset[name] = dataset[name].astype(np.int8)
    try:
        dataset.to_netcdf(temporary, engine="h5netcdf")
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NetbuildError(f"cannot write {path}: {reason}", Exit.IO) from None
    finally:
        temporary.unlink(missing_ok=True)
