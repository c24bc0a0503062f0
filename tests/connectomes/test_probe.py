"""Damaged binary tables never end this process, nor leave a word on its output."""

from __future__ import annotations

import io
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from netbuild.connectomes import Options, probe, read_connectome, read_nodes, trial
from netbuild.connectomes.files import Source
from netbuild.connectomes.probe import Probe
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


def test_the_lie_does_end_a_process_without_the_probe(tmp_path: Path) -> None:
    path = tmp_path / "e.feather"
    path.write_bytes(lying())
    code = f"import io, polars; polars.read_ipc(io.BytesIO(open({str(path)!r}, 'rb').read()))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == -signal.SIGABRT


@pytest.mark.parametrize(
    "read",
    [lambda path: read_connectome(path, None), lambda path: read_nodes(path, Options(name="pre"))],
    ids=["edges", "neurons"],
)
def test_the_lie_is_an_error_with_the_probe(
    read: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "e.feather"
    path.write_bytes(lying())
    with pytest.raises(DataFileError, match=r"^e\.feather is malformed$") as caught:
        read(path)
    assert (caught.value.code, caught.value.hint) == ("NB204", "write it again, or as .csv")
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
def test_whole_files_pass(suffix: str, content: bytes) -> None:
    ours = Probe(content, suffix, "e")
    ours.table()
    ours.columns(["pre", "kind"])
    ours.columns(["weight"])
    process = ours._process
    ours.close()
    ours.close()
    assert process.returncode is not None


def test_the_process_ends_with_the_file_whatever_happens(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    path.write_bytes(WHOLE[0][1])
    source = Source(path, (".parquet",))
    assert source.probe is not None
    with pytest.raises(DataFileError, match="something else"), source:
        raise DataFileError("NB211", "something else")
    assert source.probe._process.returncode is not None


def test_a_process_that_is_killed_says_nothing_of_the_file() -> None:
    ours = Probe(WHOLE[0][1], ".parquet", "e.parquet")
    ours.table()
    os.kill(ours._process.pid, signal.SIGKILL)
    with pytest.raises(DataFileError, match="was ended from outside") as caught:
        ours.columns(["pre"])
    assert caught.value.code == "NB901"
    assert "save it as .csv" in caught.value.hint


def test_a_process_that_cannot_be_started_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "e.parquet"
    path.write_bytes(WHOLE[0][1])
    monkeypatch.setattr(probe.sys, "executable", str(tmp_path / "nothing"))
    with pytest.raises(DataFileError, match="cannot be started") as caught:
        read_connectome(path, None)
    assert caught.value.code == "NB901"


def test_a_process_without_polars_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = tmp_path / "trial.py"
    ours.write_text("raise ImportError\n")
    monkeypatch.setattr(probe, "PROGRAM", ours)
    started = Probe(WHOLE[0][1] * 1000, ".parquet", "e.parquet")  # more than a pipe holds
    with pytest.raises(DataFileError, match="cannot be started") as caught:
        started.table()
    assert caught.value.code == "NB901"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits there")
def test_memory_and_time_are_limited() -> None:
    code = (
        f"import runpy, resource; trial = runpy.run_path({trial.__file__!r})\n"
        "trial['limit'](5 << 20)\n"
        "print(*(resource.getrlimit(getattr(resource, f'RLIMIT_{what}'))[0]"
        " for what in ('AS', 'CPU', 'CORE')))\n"
        "bytearray(trial['MEMORY'] * 5)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    memory = trial.MEMORY + trial.MEMORY_RATIO * (5 << 20)
    assert result.stdout.split() == [str(4 * memory), str(trial.SECONDS + 5), "0"]
    assert "MemoryError" in result.stderr


def test_words_that_are_not_text_are_looked_at() -> None:
    dates = pl.DataFrame({"pre": ["A"], "post": ["B"], "day": [1]}).cast({"day": pl.Date})
    file = io.BytesIO()
    dates.write_parquet(file)
    ours = Probe(file.getvalue(), ".parquet", "e")
    ours.columns(["pre", "day"])
    ours.close()
