"""Edge lists in any format, and what they come to, for the tests of their readers."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from netbuild import connectomes
from netbuild.connectomes import Connectome, NodeTable
from netbuild.connectomes.source import FileRead, Source
from netbuild.errors import DataFileError
from netbuild.language.connectome import Connectome as Words

Edges = dict[tuple[str, str], float]
Trap = tuple[str, str, dict[str, Any], Edges]  # the file's name and text, options, what it means
Refusal = tuple[str, dict[str, Any], str, str, str]  # the text, options, code, what, hint
FIRST = 720_575_940_600_000_000  # ids of 18 digits; as floating-point numbers 64 of them are one
SMALL = {("A", "B"): 3.0, ("B", "C"): 2.0}
HEAD = "pre,post,weight\n"


OF_EDGES = ("pre", "post", "weight", "transmitter", "array", "rows")
OF_NEURONS = ("name", "sign")


def words(**keys: Any) -> Words:
    """What a spec says under `connectome`, whose keys are given here without their sections."""
    said = {key: value for key, value in keys.items() if value not in (None, {})}
    sections: dict[str, Any] = {"edges": {"file": "edges"}, "neurons": {"file": "neurons"}}
    for section, own in (("edges", OF_EDGES), ("neurons", OF_NEURONS)):
        sections[section] |= {key: said.pop(key) for key in own if key in said}
    return Words.model_validate(sections | said)


def read_connectome(edges: Path, neurons: Path | None, said: Words | None = None) -> Connectome:
    return connectomes.read_connectome(edges, neurons, said or words())


def read_nodes(path: Path, said: Words | None = None) -> NodeTable:
    return connectomes.read_nodes(path, said or words())


def source(path: Path, content: bytes) -> Source:
    """A file that has been read, of which only the name and the content matter."""
    return Source(FileRead(path, "", len(content)), path.suffix, content)


def read(path: Path, content: str | bytes, **options: Any) -> Connectome:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_connectome(path, None, words(**options))


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
