"""Edge lists in any format, and what they come to, for the tests of their readers."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from netbuild.connectomes import Connectome, Options, read_connectome
from netbuild.errors import DataFileError

Edges = dict[tuple[str, str], float]
Trap = tuple[str, str, dict[str, Any], Edges]  # the file's name and text, options, what it means
Refusal = tuple[str, dict[str, Any], str, str, str]  # the text, options, code, what, hint
FIRST = 720_575_940_600_000_000  # ids of 18 digits; as floating-point numbers 64 of them are one
SMALL = {("A", "B"): 3.0, ("B", "C"): 2.0}
HEAD = "pre,post,weight\n"


def read(path: Path, content: str | bytes, **options: Any) -> Connectome:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_connectome(path, None, Options(**options))


def edges_of(connectome: Connectome) -> Edges:
    """(pre, post) -> count, by names."""
    names, wiring = connectome.neurons.names, connectome.wiring
    pairs = zip(names[wiring.sources], names[wiring.targets], strict=True)
    return dict(zip(pairs, connectome.counts.tolist(), strict=True))


def binary(frame: pl.DataFrame, suffix: str) -> bytes:
    file = io.BytesIO()
    (frame.write_parquet if suffix == ".parquet" else frame.write_ipc)(file)
    return file.getvalue()


def as_file(frame: pl.DataFrame, suffix: str) -> bytes:
    """The frame in any of the formats; all hold the same."""
    if suffix in (".parquet", ".feather", ".arrow"):
        return binary(frame, suffix)
    separator = {".csv": ",", ".tsv": "\t", ".txt": ";"}[suffix.removesuffix(".gz")]
    text = frame.write_csv(separator=separator).encode()
    return gzip.compress(text) if suffix.endswith(".gz") else text


def check_refusal(refusal: Refusal, folder: Path) -> None:
    """The whole message."""
    content, options, code, what, hint = refusal
    with pytest.raises(DataFileError) as caught:
        read(folder / "edges.csv", content, **options)
    assert (caught.value.code, caught.value.what, caught.value.hint) == (code, what, hint)
