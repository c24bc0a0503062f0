"""Matrices and graphs as files of every format, for the tests of their readers."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from edge_lists import source, words

from netbuild.connectomes import graphml, matlab, matrices, tables
from netbuild.connectomes.rows import Rows
from netbuild.errors import DataFileError

PRE = words(rows="pre")
POST = words(rows="post")
READERS = {
    ".csv": lambda file, keys: matrices.read_labelled(tables.open_table(file), keys),
    ".npy": matrices.read,
    ".npz": matrices.read,
    ".mat": matlab.read,
    ".graphml": graphml.read,
}
# i -> j by entry [i, j]; 1 has a self-connection, 3 is isolated.
MATRIX = np.array([[0, 2.5, 0, 0], [0, 7, 1, 0], [3, 0, 0, 0], [0, 0, 0, 0]])


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def sparse_npz_bytes(matrix: Any, form: str = "csr", compressed: bool = True) -> bytes:
    file = io.BytesIO()
    scipy.sparse.save_npz(file, matrix.asformat(form), compressed=compressed)
    return file.getvalue()


def mat(compressed: bool = False, **arrays: Any) -> bytes:
    file = io.BytesIO()
    scipy.io.savemat(file, arrays, do_compression=compressed)
    return file.getvalue()


def as_dict(edges: Rows) -> dict[tuple[Any, Any], float]:
    weight = np.ones(len(edges.pre)) if edges.weight is None else edges.weight
    assert edges.names is not None
    assert edges.n == len(edges.names)
    ends = (edges.names[edges.pre].tolist(), edges.names[edges.post].tolist())
    return dict(zip(zip(*ends, strict=True), weight, strict=True))


def as_matrix(edges: Rows) -> Any:
    assert edges.pre.dtype == edges.post.dtype == np.int64
    assert edges.weight is not None
    matrix = np.zeros((edges.n, edges.n))
    np.add.at(matrix, (edges.pre, edges.post), edges.weight)
    return matrix


def refused(code: str, content: bytes, suffix: str, options: Any = PRE) -> str:
    """The one-line message about a file that cannot be read."""
    with pytest.raises(DataFileError) as caught:
        READERS[suffix](source(Path("data/brain" + suffix), content), options)
    assert caught.value.code == code, caught.value.what
    assert "\n" not in caught.value.what + caught.value.hint
    assert "brain" + suffix in caught.value.what
    return f"{caught.value.what} | {caught.value.hint}"


TABLE = ",ADAL , B,MUSC\nADAL,,2.5,1\n B ,0,7,\n C,3,,0.0\n"
GRAPH = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
  <key id="d0" for="node" attr.name="name" attr.type="string"/>
  <key id="d1" for="edge" attr.name="Weight" attr.type="double"><default>1</default></key>
  <key id="d2" for="edge" attr.name="nt_type" attr.type="string"/>
  <key id="d3" for="edge" attr.name="kind" attr.type="string"/>
  <graph id="G" edgedefault="directed">
    <node id="n0"><data key="d0"> ADAL </data></node>
    <node id="n1"><data key="d0">ADAR</data></node>
    <edge source="n0" target="n1"><data key="d1">2.5</data><data key="d2">ACH</data>
      <data key="d3">chemical</data></edge>
    <edge source="n1" target="n1"><data key="d3">electrical</data></edge>
  </graph>
</graphml>
"""


def matrix_files(matrix: Any) -> dict[str, bytes]:
    """The same matrix in every format that has no names."""
    return {
        ".npy": npy(matrix),
        ".npz": sparse_npz_bytes(scipy.sparse.csr_matrix(matrix)),
        ".mat": mat(w=matrix),
    }
