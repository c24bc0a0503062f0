"""Binary tables: damage is an error that leaves no word on the output, and bombs are refused."""

from __future__ import annotations

import contextlib
import io
import random
import struct
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from edge_lists import read_connectome, read_nodes, words
from pyarrow import feather, ipc, parquet

from netbuild.connectomes import arrow
from netbuild.connectomes.arrow import open_binary
from netbuild.errors import DataFileError

FRAME = pl.DataFrame(
    {
        "pre": [f"neuron number {i}" for i in range(60)],
        "post": [f"n{7 * i % 60}" for i in range(60)],
        "weight": [i % 9 + 1 for i in range(60)],
    }
).with_columns(pl.col("post").cast(pl.Categorical).alias("kind"))


def binary(suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    (FRAME.write_parquet if suffix == ".parquet" else FRAME.write_ipc)(file, **options)
    return file.getvalue()


WHOLE = [
    (".parquet", binary(".parquet")),
    (".parquet", binary(".parquet", compression="uncompressed")),
    (".feather", binary(".feather", compression="uncompressed")),
    (".feather", binary(".feather", compression="zstd")),
    (".feather", binary(".feather", compression="lz4")),
]
WORDS = (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x0f")
ZSTD = b"\x28\xb5\x2f\xfd"  # how a compressed buffer begins, after its length


def mutated(seed: int) -> tuple[str, bytes]:
    """One of the files, with a few bytes changed that are not its first and last."""
    rng = random.Random(seed)
    suffix, content = WHOLE[seed % len(WHOLE)]
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(8, len(damaged) - 12)
        if rng.random() < 0.5:
            damaged[at] = rng.randrange(256)
        else:
            damaged[at : at + 4] = rng.choice(WORDS)
    return suffix, bytes(damaged)


def lying() -> bytes:
    """A file whose second compressed buffer, of text, says that it unpacks to 2**62 bytes."""
    content = WHOLE[3][1]
    at = content.index(ZSTD, content.index(ZSTD) + 1) - 8
    return content[:at] + struct.pack("<q", 1 << 62) + content[at + 8 :]


@pytest.mark.parametrize(
    "read",
    [lambda path: read_connectome(path, None), lambda path: read_nodes(path, words(name="pre"))],
    ids=["edges", "neurons"],
)
def test_a_length_that_lies_is_refused(
    read: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.feather"
    path.write_bytes(lying())
    with pytest.raises(DataFileError, match=r"^e\.feather unpacks to more than") as caught:
        read(path)
    assert caught.value.code == "NB901"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "seeds", [range(16), pytest.param(range(16, 600), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_no_damage_ends_this_process(
    seeds: range, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused = 0
    for seed in seeds:
        suffix, content = mutated(seed)
        path = tmp_path / f"e{suffix}"
        path.write_bytes(content)
        try:
            read_connectome(path, None)
        except DataFileError:
            refused += 1
    assert len(seeds) // 2 < refused
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("suffix", "content"), WHOLE)
def test_whole_files_are_read(suffix: str, content: bytes) -> None:
    table = open_binary(content, suffix, "e")
    assert (table.rows, list(table.schema)) == (len(FRAME), FRAME.columns)
    found = table.read(["weight", "kind", "pre"])
    wanted = FRAME.cast({"kind": pl.String})
    assert (
        found.cast({"pre": pl.String, "kind": pl.String})
        .select("pre", "weight", "kind")
        .equals(wanted.select("pre", "weight", "kind"))
    )


@pytest.mark.parametrize("suffix", [".feather", ".parquet"])
def test_columns_that_unpack_to_far_more_than_the_file_are_refused(
    suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes of one long text, repeated."""
    monkeypatch.setattr(arrow, "SMALL", 1 << 20)
    frame = pl.DataFrame({"pre": ["a", "b"], "note": ["x" * (1 << 20) + end for end in "12"]})
    file = io.BytesIO()
    if suffix == ".parquet":
        frame.write_parquet(file, compression="zstd")
    else:
        frame.write_ipc(file, compression="zstd")
    content = file.getvalue()
    assert len(content) < 1 << 12
    with pytest.raises(DataFileError, match="unpacks to more than") as caught:
        open_binary(content, suffix, "e").read(["note"])
    assert caught.value.code == "NB901"


DIFFERENCES = ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"]


def differences(encoding: str, texts: list[str]) -> bytes:
    """A table whose column `pre` is stored as differences, and `post` plainly."""
    file = io.BytesIO()
    table = pa.table({"pre": texts, "post": [f"n{i % 3}" for i in range(len(texts))]})
    encodings = {"pre": encoding, "post": "PLAIN"}
    parquet.write_table(
        table, file, use_dictionary=False, column_encoding=encodings, compression="zstd"
    )
    return file.getvalue()


@pytest.mark.parametrize("encoding", DIFFERENCES)
def test_texts_stored_as_differences_are_read(encoding: str) -> None:
    texts = [f"neuron {i // 3}" for i in range(60)]
    found = open_binary(differences(encoding, texts), ".parquet", "e").read(["post", "pre"])
    assert found.columns == ["post", "pre"]
    assert found["pre"].cast(pl.String).to_list() == texts


def test_differences_that_repeat_a_long_text_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten kilobytes are declared, and four megabytes read."""
    monkeypatch.setattr(arrow, "SMALL", 1 << 20)
    content = differences(DIFFERENCES[0], ["x" * 10_000] * 400)
    table = open_binary(content, ".parquet", "e")
    with pytest.raises(DataFileError, match="unpacks to more than") as caught:
        table.read(["pre", "post"])
    assert caught.value.code == "NB901"


def blocks(count: int) -> tuple[bytes, list[int]]:
    """An Arrow file of some batches, and where its footer says that each begins."""
    table = pa.table({"pre": ["a"], "post": ["b"]})
    file = io.BytesIO()
    with ipc.new_file(file, table.schema) as writer:
        for _ in range(count):
            writer.write_table(table)
    content = file.getvalue()
    size = struct.unpack_from("<i", content, len(content) - 10)[0]
    footer = len(content) - 10 - size
    root = arrow._below(content, footer)
    start = arrow._below(content, arrow._field(content, root, 3))
    return content, [start + 4 + 24 * place for place in range(count)]


def test_blocks_that_point_at_the_same_message_are_refused() -> None:
    content, places = blocks(3)
    assert open_binary(content, ".arrow", "e").rows == 3
    repeated = bytearray(content)
    repeated[places[2] : places[2] + 24] = repeated[places[0] : places[0] + 24]
    with pytest.raises(DataFileError, match=r"^e is malformed") as caught:
        open_binary(bytes(repeated), ".arrow", "e")
    assert caught.value.code == "NB204"


def test_a_message_longer_than_the_footer_says_is_damaged() -> None:
    """Pyarrow would ask for the memory of its body, and say that there is not enough."""
    content, (place,) = blocks(1)
    _, _, body = struct.unpack_from("<qi4xq", content, place)
    known = struct.pack("<q", body)
    longer = content.replace(known, struct.pack("<q", 1 << 40), 1)
    assert longer != content
    with pytest.raises(DataFileError) as caught:
        open_binary(longer, ".feather", "a")
    assert caught.value.code == "NB204"


def test_what_pyarrow_does_not_read_is_not_called_damaged() -> None:
    wanted = "in a way that is not read"
    with pytest.raises(DataFileError, match=wanted) as caught, arrow.damage_reported("e"):
        raise pa.ArrowNotImplementedError("a cell")
    assert caught.value.code == "NB204"


@pytest.mark.parametrize("error", [pa.ArrowMemoryError, TypeError, KeyError])
def test_neither_little_memory_nor_a_mistake_of_ours_is_damage(error: type[Exception]) -> None:
    with pytest.raises(error), arrow.damage_reported("e"):
        raise error("a cell")


@pytest.mark.parametrize("index_type", [pa.int8(), pa.int32()])
def test_what_pandas_and_arrow_write_is_read(index_type: Any, tmp_path: Path) -> None:
    coded = (
        pa.array(["a", "b", "a"]).dictionary_encode().cast(pa.dictionary(index_type, pa.string()))
    )
    table = pa.table({"pre": coded, "post": pa.array([7, 8, 9])})
    feather.write_feather(table, tmp_path / "e.feather")
    parquet.write_table(table, tmp_path / "e.parquet")
    for path in tmp_path.iterdir():
        found = open_binary(path.read_bytes(), path.suffix, path.name).read(["post", "pre"])
        assert found["pre"].cast(pl.String).to_list() == ["a", "b", "a"]
        assert found["post"].to_list() == [7, 8, 9]


@pytest.mark.parametrize("old", [b"weight", b"kind"])
def test_names_that_are_not_utf_8_end_no_process(
    old: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Polars panics at such a name, and prints that it does."""
    path = tmp_path / "e.feather"
    path.write_bytes(WHOLE[2][1].replace(old, b"\xff" * len(old)))
    with contextlib.suppress(DataFileError):
        read_connectome(path, None)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"a", b"b"]),
        pa.array([b"a", b"b"], pa.large_binary()),
        pa.array([b"a", b"b"], pa.binary(1)),
        pa.array(["a", "b"], pa.string_view()),
        pa.array(["a", "b"]).dictionary_encode(),
        pa.array([1, 2]).dictionary_encode(),
        pa.array([1, 2], pa.timestamp("s", "Europe/Berlin")),
        pa.array([1.5, 2], pa.float16()),
        pa.nulls(2),
    ],
    ids=lambda column: str(column.type)[:24],
)
def test_columns_of_every_plain_type_are_read(column: pa.Array, tmp_path: Path) -> None:
    feather.write_feather(pa.table({"x": column}), tmp_path / "e.feather")
    frame = open_binary((tmp_path / "e.feather").read_bytes(), ".feather", "e").read(["x"])
    assert len(frame) == 2
    if "binary" in str(column.type) or "view" in str(column.type):
        assert frame["x"].to_list() == ["a", "b"]


@pytest.mark.parametrize("suffix", [".feather", ".parquet"])
def test_times_keep_their_zone(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"n{suffix}"
    zoned = pa.array([0], pa.timestamp("us", "Europe/Berlin"))
    table = pa.table({"name": ["a"], "seen": zoned})
    (parquet.write_table if suffix == ".parquet" else feather.write_feather)(table, path)
    nodes = read_nodes(path, words())
    assert nodes.columns["seen"].tolist() == ["1970-01-01 01:00:00.000000+01:00"]


def test_a_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "n.parquet"
    parquet.write_table(pa.table({"x": pa.array([1], pa.decimal256(40, 0))}), path)
    with pytest.raises(DataFileError) as caught:
        open_binary(path.read_bytes(), ".parquet", "n").read(["x"])
    what = "the column x of n holds values of type decimal256(40, 0)"
    assert (caught.value.code, caught.value.what) == ("NB211", what)


def test_durations_are_refused_with_what_to_write_instead() -> None:
    file = io.BytesIO()
    parquet.write_table(pa.table({"delay": pa.array([3], pa.duration("ms"))}), file)
    with pytest.raises(DataFileError, match="the column delay of n holds durations") as caught:
        open_binary(file.getvalue(), ".parquet", "n").read(["delay"])
    hint = "write them as numbers, for example of milliseconds"
    assert (caught.value.code, caught.value.hint) == ("NB211", hint)
