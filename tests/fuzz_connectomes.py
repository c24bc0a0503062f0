"""Fuzzing the readers of connectomes: edge lists, node tables, matrices and graphs, damaged.

`python tests/fuzz_connectomes.py SECONDS` runs for this time and prints its counts. Whatever
the files hold, a connectome comes out whose parts agree with each other, or a DataFileError of one
line.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import fuzzing
import numpy as np
from drawn.connectomes import draw_connectome
from edge_lists import read_connectome
from fuzz_files import ENCODINGS, ENDS, INTERESTING, ODD_CELLS, OTHER, mutated, patch

from netbuild.connectomes import Connectome, write_native
from netbuild.errors import DataFileError
from netbuild.language.connectome import Connectome as Words
from netbuild.language.connectome import EdgeFile, NeuronFile
from netbuild.wiring import from_pairs

RIGHT = 120  # connectomes that are damaged
ROUND = 8  # of so many that are read one is written in the native form and read again
MOST_ROWS = 30_000
TEXTS = ("csv", "tsv", "txt", "graphml")
CELLS = [
    *ODD_CELLS[:30],
    *("720575940600000001", "1.0e17", "-1", "0", "1", "pre", "name", "sign", "ACH", "nan", '"', ""),
]
XML = [
    '<!DOCTYPE g [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
    '<!DOCTYPE g SYSTEM "file:///nowhere">',
    *(
        "&a;",
        "&#0;",
        "&lt;",
        "<![CDATA[x]]>",
        "<graph>",
        "</graph>",
        "<node/>",
        '<edge source="1"/>',
    ),
    *(
        '<node id="AVAL"/>',
        "<hyperedge/>",
        '<data key="weight">-1</data>',
        "<!-- -->",
        "<?x?>",
        "<",
    ),
    '<edge directed="false" source="a" target="B"/>',
    "<data>" * 20,
]
CHANGES: list[dict[str, Any]] = [
    *({"pre": word, "post": "post"} for word in ("pre", "qq", "Source", "")),
    *({"weight": word} for word in ("weight", "kind", "zone", "qq\x1b")),
    *({"rows": word} for word in ("pre", "post", None)),
    *({"array": word} for word in ("wanted", "zeros", "m", None)),
    *({"where": where} for where in ({}, {"zone": 1}, {"synapse": "qq"}, {"nope": "1"})),
    *({"name": word} for word in ("kind", "id", "qq")),
    *({"sign": word} for word in ("kind", "level", "messenger", "qq")),
    *({"signs": signs} for signs in ({}, {"ACH": 1, "GABA": -1}, {"": 0}, {"sensory": 1})),
    *({"duplicates": word} for word in ("sum", "max", "error")),
    *({"symmetrize": word} for word in ("none", "max", "sum")),
    *({"unmatched": word} for word in ("error", "drop")),
    *({"unknown": word} for word in ("error", "free")),
    *({"min_weight": number} for number in (0, 2.5, 1e300)),
    {"self_connections": False},
]


@dataclass(frozen=True)
class Case:
    """Two files by their names, the second perhaps none, and how they are to be read."""

    files: dict[str, bytes]
    edges: str
    neurons: str | None
    words: Words


class Connectomes:
    """The fuzz of connectomes."""

    def __init__(self, seed: str, folder: Path) -> None:
        self.seed = seed
        self.folder = folder
        self.drawn = folder / "drawn"
        self.drawn.mkdir(exist_ok=True)

    @cached_property
    def pool(self) -> list[Case]:
        """Right connectomes of every format."""
        return [self.right(i) for i in range(RIGHT)]

    def right(self, number: int) -> Case:
        """A connectome that is right."""
        count = itertools.count()
        found = draw_connectome(
            random.Random(number), lambda suffix: self.drawn / f"{number}-{next(count)}{suffix}"
        )
        words = Words.model_validate({key: _long(value) for key, value in found.words.items()})
        names = [words.edges.file, *([words.neurons.file] if words.neurons else [])]
        files = {name: (self.drawn / name).read_bytes() for name in names}
        return Case(files, names[0], names[1] if len(names) > 1 else None, words)

    def case(self, number: int) -> Case:
        """One connectome, of which at least one file, or a key of the spec, is changed."""
        rng = fuzzing.stream(self.seed, number)
        case = rng.choice(self.pool)
        files, edges, neurons = dict(case.files), case.edges, case.neurons
        if rng.random() < 0.9:
            name = rng.choice(list(files))
            files[name] = damaged(name, files[name], rng)
        odd = rng.random()
        if odd < 0.02:
            files[edges] = rng.choice(OTHER)
        elif odd < 0.04:  # another extension
            content = files.pop(edges)
            edges = f"x.{rng.choice(['csv', 'npz', 'parquet', 'feather', 'mat', 'graphml', 'npy'])}"
            files[edges] = content
        elif odd < 0.06:
            neurons = None
        elif odd < 0.08:
            neurons = edges
        words = case.words
        if rng.random() < 0.4:
            change = {key: None if v == "" else v for key, v in rng.choice(CHANGES).items()}
            words = changed(words, change)
        return Case(files, edges, neurons, words)

    def judge(self, case: Case) -> Sequence[str]:
        """The code of the problem; what is accepted is looked at from all sides."""
        for name, content in case.files.items():
            (self.folder / name).write_bytes(content)
        edges = self.folder / case.edges
        neurons = None if case.neurons is None else self.folder / case.neurons
        try:
            found = read_connectome(edges, neurons, case.words)
        except DataFileError as error:
            check_words(error)
            return (error.code,)
        finally:
            for name in case.files:
                (self.folder / name).unlink()
        check_connectome(found)
        if zlib.crc32(case.files[case.edges]) % ROUND == 0:
            self.check_native(found)
        return ()

    def check_native(self, found: Connectome) -> None:
        """The native form holds the same."""
        path = self.folder / "native.npz"
        write_native(found, path)
        again = read_connectome(path, None)
        for one, other in zip(parts(found), parts(again), strict=True):
            assert np.array_equal(one, other)
        assert {key: list(cells) for key, cells in again.neurons.columns.items()} == {
            key: list(cells) for key, cells in found.neurons.columns.items()
        }

    def save(self, case: Case, folder: Path) -> None:
        """The files, and how they were read."""
        for name, content in case.files.items():
            (folder / name).write_bytes(content)
        said = f"edges: {case.edges}\nneurons: {case.neurons}\nwords: {case.words}\n"
        (folder / "case.txt").write_text(said)


def changed(words: Words, change: dict[str, Any]) -> Words:
    """What a spec says, with other keys, which are not validated."""
    parts: dict[str, dict[str, Any]] = {"edges": {}, "neurons": {}, "": {}}
    for key, value in change.items():
        section = "edges" if key in EdgeFile.model_fields else ""
        parts["neurons" if key in NeuronFile.model_fields else section][key] = value
    neurons = words.neurons or NeuronFile(file="neurons")
    return words.model_copy(
        update=parts[""]
        | {
            "edges": words.edges.model_copy(update=parts["edges"]),
            "neurons": neurons.model_copy(update=parts["neurons"]),
        }
    )


def _long(value: Any) -> Any:
    """A file's name in its long form, as the shorthand of a spec gives it."""
    return {"file": value} if isinstance(value, str) and re.match(r"\d+-\d+\.", value) else value


def parts(connectome: Connectome) -> list[Any]:
    """All that a connectome consists of."""
    signs = connectome.signs if connectome.signs is not None else np.zeros(0)
    wiring = connectome.wiring
    return [connectome.neurons.names, wiring.starts, wiring.sources, connectome.counts, signs]


def damaged(name: str, content: bytes, rng: random.Random) -> bytes:
    """A file after something that fits its format, or accidents to its bytes."""
    suffix = name.removesuffix(".gz").rpartition(".")[2]
    if rng.random() < 0.3:
        return mutated(content, rng)
    if suffix in TEXTS:
        packed = name.endswith(".gz")
        text = (gzip.decompress(content) if packed else content).decode()
        changed = (xml if suffix == "graphml" else table)(text, rng)
        changed = changed[: 4 << 20]
        return gzip.compress(changed, mtime=0) if packed else changed
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4])):
        if suffix == "npz" and rng.random() < 0.5:
            patch(data, rng)
            continue
        width = rng.choice([1, 2, 4, 8])
        at = rng.randrange(max(1, len(data) - width))
        (old,) = (int.from_bytes(data[at : at + width], "little"),)
        value = rng.choice([*INTERESTING, old + 1, old - 1, old ^ 1, old * 2, len(data)])
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(data)


def table(text: str, rng: random.Random) -> bytes:
    """A table of text with cells, rows or columns of another kind."""
    mark = next((mark for mark in "\t;," if mark in text.partition("\n")[0]), ",")
    rows = [line.split(mark) for line in text.rstrip("\n").split("\n")]
    end, encoding, last = "\n", "utf-8", "\n"
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        row = rng.randrange(len(rows))
        column = rng.randrange(len(rows[row])) if rows[row] else 0
        match rng.randrange(10):
            case 0 | 1 | 2:
                other = rng.choice([cell for line in rows for cell in line] or [""])
                rows[row][column : column + 1] = [rng.choice([other, *rng.sample(CELLS, 2)])]
            case 3:
                rows[row] = rows[row][:column] + rng.choice([[], [""], ["1", "2"]])
            case 4:
                rows.insert(row, rng.choice([[], [""], [""] * len(rows[row]), list(rows[row])]))
            case 5:
                rows = [line[:column] + line[column + 1 :] for line in rows]
            case 6:
                kind = rng.choice(CELLS)
                rows = [rows[0], *([*r[:column], kind, *r[column + 1 :]] for r in rows[1:])]
            case 7:
                end, encoding = rng.choice(ENDS), rng.choice(ENCODINGS)
            case 8:
                last = rng.choice(["", *ENDS, "\n" * 50, '"', "\0", mark * 5])
            case 9:
                rows = rows[:1] if rng.random() < 0.5 else [*rows[:1], *rows[1:] * 3]
    if rng.randrange(500) == 0:
        rows = [rows[0], *(rows[1:] * MOST_ROWS)[:MOST_ROWS]]
    return (end.join(mark.join(row) for row in rows) + last).encode(encoding, "replace")


def xml(text: str, rng: random.Random) -> bytes:
    """A graph with elements, values or letters of another kind."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        places = [match.start() for match in re.finditer(r"[<>\"]", text)] or [0]
        at = rng.choice(places) + rng.randrange(2)
        stop = rng.choice([at, at, rng.choice(places)])
        text = text[:at] + rng.choice([*XML, *rng.sample(CELLS, 3), ""]) + text[max(at, stop) :]
    return text.encode(rng.choice([*["utf-8"] * 5, *ENCODINGS]), "replace")


def check_words(error: DataFileError) -> None:
    """A message fits on a line."""
    for said in (error.what, error.hint):
        assert said.isprintable(), said
        assert len(said) < 1200, said
    assert error.what
    assert "not enough memory" not in error.what, error.what


def check_connectome(found: Connectome) -> None:
    """What is read can be a layer's wiring."""
    names, wiring, counts = found.neurons.names, found.wiring, found.counts
    n = len(names)
    assert n
    assert len(set(names.tolist())) == n
    assert all(isinstance(name, str) and name for name in names.tolist())
    assert all(name == name.strip(" \t\r\n\v\f") for name in names.tolist())  # as polars has it
    assert all(cells.shape == (n,) for cells in found.neurons.columns.values())
    assert (wiring.input_dim, wiring.output_dim) == (n, n)
    assert len(wiring)
    again, order = from_pairs(n, n, wiring.sources, wiring.targets)  # raises for a pair twice
    assert np.array_equal(order, np.arange(len(wiring)))
    assert np.array_equal(again.starts, wiring.starts)
    assert counts.shape == (len(wiring),)
    assert counts.dtype == np.float32
    assert np.isfinite(counts).all()
    assert (counts > 0).all()
    if found.signs is not None:
        assert found.signs.shape == (n,)
        assert set(found.signs.tolist()) <= {-1, 0, 1}
    report = json.loads(json.dumps(found.report.as_dict(), allow_nan=False))
    assert report["wiring"]["edges"] == len(wiring)
    left = report["rows"] - sum(report["dropped"].values()) - report["duplicates_merged"]
    removed = sum(report["removed"].values()) - report["symmetrized"]
    assert left - removed == len(wiring), report


if __name__ == "__main__":
    raise SystemExit(fuzzing.main("connectomes", Connectomes))
