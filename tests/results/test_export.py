"""Files of labelled arrays: what is written is read again, and faults have their exit code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netbuild.errors import Exit, NetbuildError
from netbuild.results.export import dataset_of, load_npz, save_npz, write_netcdf
from netbuild.results.units import Units

ARRAYS = {
    "rates/hidden": np.arange(6, dtype=np.float32).reshape(2, 3),
    "names": np.array(["a", "b"]),
    "mask": np.array([True, False]),
    "mixed": np.array([1, None, 2.5], dtype=object),
}
UNITS = Units(
    np.array(["a", "b"]),
    np.array(["V1", "V2"]),
    np.array([1, -1], np.int8),
    {"area": np.array(["x", "y"]), "cell type": np.array(["p", "q"])},
)


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", ARRAYS)
    found = load_npz(tmp_path / "a.npz")
    assert found.keys() == ARRAYS.keys()
    for name in ("rates/hidden", "names", "mask"):
        assert np.array_equal(found[name], ARRAYS[name])
        assert found[name].dtype == ARRAYS[name].dtype
    assert np.array_equal(found["mixed"], [1, np.nan, 2.5], equal_nan=True)


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    save_npz(tmp_path / "a.npz", ARRAYS)
    first = (tmp_path / "a.npz").read_bytes()
    save_npz(tmp_path / "a.npz", ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == first


def test_faults_have_their_exit_code(tmp_path: Path) -> None:
    with pytest.raises(NetbuildError, match="there is no folder") as caught:
        save_npz(tmp_path / "none" / "a.npz", ARRAYS)
    assert caught.value.exit_code == Exit.IO
    (tmp_path / "a.npz").mkdir()
    with pytest.raises(NetbuildError, match="cannot write") as caught:
        save_npz(tmp_path / "a.npz", ARRAYS)
    assert caught.value.exit_code == Exit.IO
    (tmp_path / "b.npz").write_bytes(b"PK else")
    for name in ("b.npz", "missing.npz"):
        with pytest.raises(NetbuildError, match=r"cannot be read as \.npz") as caught:
            load_npz(tmp_path / name)
        assert caught.value.exit_code == Exit.DATA


def test_a_dataset_labels_its_units_and_is_written(tmp_path: Path) -> None:
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    variables = {"rate": (("trial", "unit"), np.ones((3, 2)))}
    correct = {"correct": ("trial", np.array([True, False, True]))}
    dataset = dataset_of(variables, correct, {"unit": ("cells", UNITS)}, {"dt": 20.0})
    write_netcdf(dataset, tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert found["unit"].values.tolist() == ["a", "b"]
        assert found["cells_area"].values.tolist() == ["V1", "V2"]
        assert found["cells_area_"].values.tolist() == ["x", "y"]  # the name was taken
        assert found["cells_cell_type"].values.tolist() == ["p", "q"]
        assert found["correct"].values.tolist() == [1, 0, 1]  # netCDF has no booleans
        assert found.attrs["dt"] == 20.0
    assert [path.name for path in tmp_path.iterdir()] == ["a.nc"]
