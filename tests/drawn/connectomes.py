"""Random connectomes that are right: their files, and what they say, known without reading them."""

from __future__ import annotations

import gzip
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.io
import scipy.sparse

LISTS = ["csv", "tsv", "txt", "csv.gz", "graphml"]
BINARY = ["parquet", "feather", "arrow"]  # each of which takes another process to read
MATRICES = ["labelled", "npy", "npz", "sparse", "mat"]
TABLES = ["csv", "tsv", "csv.gz"]
ENDS = [("pre", "post"), ("Source", "Target"), ("pre_root_id", "post_root_id")]
SIGN_OF = {"ACH": 1, "GABA": -1, "Glut": -1, "da": 0}  # in `signs`; case does not count
TRANSMITTERS = ["ACH", "gaba", "GLUT", "DA"]
SIGN_WORDS = {"1": 1, "+": 1, "exc": 1, "Excitatory": 1, "-1": -1, "inhibitory": -1, "0": 0, "": 0}
KINDS = ["sensory", "inter", "motor"]
AREAS = ["V1", "V1", "M1", ""]
FIRST_ID = 720_575_940_600_000_000
Row = dict[str, Any]
Pairs = dict[tuple[int, int], float]  # (pre, post) -> count


@dataclass(frozen=True)
class Drawn:
    """What `connectome:` says, and what it comes to."""

    words: dict[str, Any]
    names: tuple[str, ...]
    columns: dict[str, tuple[str, ...]]  # of the node table, as text
    signs: tuple[int, ...] | None
    pairs: Pairs  # before any control

    @property
    def control(self) -> dict[str, Any]:
        """The null model, if any."""
        found: dict[str, Any] = self.words.get("control", {})
        return found


def draw_connectome(
    rng: random.Random,
    next_path: Callable[[str], Path],
    size: int | None = None,
    names: Sequence[str] | None = None,
) -> Drawn:
    """A connectome of `size` neurons, 2 or more, or of these names in this order."""
    return Maker(rng, next_path).draw(len(names) if names else size, names)


@dataclass
class Maker:
    """Draws one connectome; `next_path` gives new files by their extensions."""

    rng: random.Random
    next_path: Callable[[str], Path]
    names: list[str] = field(default_factory=list)
    columns: dict[str, list[str]] = field(default_factory=dict)
    signs: list[int] | None = None
    words: dict[str, Any] = field(default_factory=dict)
    edges: dict[str, Any] = field(default_factory=dict)

    def maybe(self, chance: float = 0.5) -> bool:
        return self.rng.random() < chance

    def draw(self, size: int | None, names: Sequence[str] | None) -> Drawn:
        kind = self.rng.choice(BINARY if self.maybe(0.03) else LISTS + MATRICES)
        table = names is not None or self.maybe(0.7)
        self.names = list(names or self.new_names(size or self.rng.randint(2, 6)))
        if not table and kind not in ("graphml", "labelled"):  # whose own order counts
            self.names.sort(key=lambda name: (int(name) if name.isdigit() else 0, name))
        self.policies(kind)
        source = self.rng.choice(self.sources_of_signs(kind, table))
        transmitters = self.transmitters(source)
        if kind in MATRICES:
            rows = self.matrix(kind)
            if not table and kind != "labelled":
                self.names = [str(i) for i in range(len(self.names))]
        else:
            rows = self.edge_list(kind, table, transmitters, source)
        if source == "edges":
            sends = {row["pre"] for row in rows}
            words = [word if i in sends else "" for i, word in enumerate(transmitters)]
            self.signs = [sign_of(word) for word in words]
        self.words["edges"] = self.edges if len(self.edges) > 1 or self.maybe() else None
        self.words["edges"] = self.words["edges"] or self.edges["file"]
        if table:
            self.words["neurons"] = self.node_table(source, transmitters)
        pairs = self.followed(rows)
        if self.maybe(0.15):
            self.as_native(table)
        self.learning()
        found = {key: tuple(cells) for key, cells in self.columns.items()}
        signs = None if self.signs is None else tuple(self.signs)
        return Drawn(self.words, tuple(self.names), found, signs, pairs)

    def new_names(self, size: int) -> list[str]:
        if self.maybe():
            return [str(FIRST_ID + k) for k in self.rng.sample(range(1, 10**6), size)]
        return self.rng.sample(["AVAL", "DB1", "x y", "Zoé", "a", "B", "I2L", "10b"], size)

    def policies(self, kind: str) -> None:
        keys: dict[str, list[Any]] = {
            "duplicates": ["sum", "max", "error"],
            "self_connections": [True, False],
            "min_weight": [0, 1],
            "symmetrize": ["none", "max", "sum"],
            "unmatched": ["error", "drop"],
        }
        self.words |= {key: self.rng.choice(keys[key]) for key in keys if self.maybe(0.4)}

    # signs

    def sources_of_signs(self, kind: str, table: bool) -> list[str]:
        found = ["none"]
        if table:
            found += ["sign", "polarity", "nodes", "chosen"]
        return found + (["edges"] * 2 if kind not in MATRICES else [])

    def transmitters(self, source: str) -> list[str]:
        """Of each neuron; where all must be known, `unknown` says so."""
        if source not in ("nodes", "chosen", "edges"):
            return [""] * len(self.names)
        self.words["signs"] = SIGN_OF
        choices = TRANSMITTERS
        if self.maybe(0.3):
            self.words["unknown"] = "error"
        else:
            choices = [*TRANSMITTERS, "", "5HT"]
            if self.maybe(0.3):
                self.words["unknown"] = "free"
        return [self.rng.choice(choices) for _ in self.names]

    # files

    def edge_list(self, kind: str, table: bool, transmitters: list[str], source: str) -> list[Row]:
        """Rows in a file; those that count are returned, with positions for names."""
        weighted = self.maybe(0.7)
        rows = self.rows(table, weighted)
        ends = self.rng.choice([*ENDS, ("from id", "to id")])
        columns = {"pre": ends[0], "post": ends[1]}
        if kind != "graphml" and (ends[0] == "from id" or self.maybe(0.3)):
            self.edges |= columns
        if weighted:
            columns["weight"] = self.column("weight", ["weight", "Syn_Count"], "strength")
        if source == "edges" or self.maybe(0.2):
            columns["nt"] = self.column("transmitter", ["nt_type", "NT"], "messenger")
        for row in rows:
            row["nt"] = transmitters[row["pre"]] if row["pre"] < len(self.names) else "ACH"
        kept = self.where(rows, columns)
        path = self.next_path(f".{kind}")
        self.edges["file"] = path.name
        strangers = [str(FIRST_ID + 10**7), "Nobody"]
        names = [*self.names, strangers[not self.names[0].isdigit()]]
        written = [row | {"pre": names[row["pre"]], "post": names[row["post"]]} for row in rows]
        if kind == "graphml":
            path.write_text(graphml(written, columns, self.names))
        else:
            cells = {name: [row[key] for row in written] for key, name in columns.items()}
            write_table(path, kind, pl.DataFrame(cells, strict=False), self.rng)
        return [row for row in kept if len(self.names) not in (row["pre"], row["post"])]

    def column(self, key: str, known: list[str], other: str) -> str:
        """A column that is recognised, or one that the spec names."""
        if self.maybe(0.6):
            return self.rng.choice(known)
        self.edges[key] = other
        return other

    def rows(self, table: bool, weighted: bool) -> list[Row]:
        """A circle through the neurons, or some of them where a table names all, and others."""
        n = len(self.names)
        ring = n if not table else self.rng.randint(2, n)
        once = self.words.get("duplicates") == "error"
        strangers = table and self.words.get("unmatched") == "drop"
        pairs = [(i, (i + 1) % ring) for i in range(ring)]
        others = [(self.rng.randrange(n), self.rng.randrange(n)) for _ in range(6)]
        pairs += [pair for pair in others if not (once and pair in pairs)]
        pairs = list(dict.fromkeys(pairs)) if once else pairs
        pairs += [(n, 0), (0, n)] if strangers else []
        rows = []
        for k, (pre, post) in enumerate(pairs):
            first = k < ring
            weight = self.rng.choice([5, 7] if first else [0, 0.5, 1, 2]) if weighted else 1
            kind = "chemical" if first else self.rng.choice(["chemical", "electrical"])
            zone = 1 if first else self.rng.randint(1, 2)
            rows.append({"pre": pre, "post": post, "weight": weight, "kind": kind, "zone": zone})
        self.rng.shuffle(rows)
        return rows

    def where(self, rows: list[Row], columns: dict[str, str]) -> list[Row]:
        """Sometimes only some of the rows are asked for."""
        columns |= {"kind": "synapse", "zone": "zone"}
        if self.maybe(0.6):
            return rows
        wanted: dict[str, Any] = self.rng.choice(
            [
                {"synapse": "chemical"},
                {"synapse": ["chemical", "both"]},
                {"zone": 1},
                {"zone": [1, "2"], "synapse": "chemical"},
            ]
        )
        self.words["where"] = wanted
        chemical, first = "synapse" in wanted, wanted.get("zone") == 1
        return [
            row
            for row in rows
            if (row["kind"] == "chemical" or not chemical) and (row["zone"] == 1 or not first)
        ]

    def matrix(self, kind: str) -> list[Row]:
        """A matrix in a file, and its entries as rows."""
        n = len(self.names)
        matrix = np.array([[self.rng.choice([0, 0, 0.5, 3]) for _ in range(n)] for _ in range(n)])
        matrix[0, 1] = 5
        rows = self.rng.choice(["pre", "post"])
        if kind != "labelled" or rows == "post" or self.maybe():
            self.edges["rows"] = rows
        path = self.next_path({"labelled": ".csv", "sparse": ".npz"}.get(kind, f".{kind}"))
        self.edges["file"] = path.name
        given = matrix if rows == "pre" else matrix.T
        named = kind in ("npz", "mat") and self.maybe()
        if named:
            self.edges["array"] = "wanted"
        others: dict[str, Any] = {"zeros": np.zeros((2, 2))} if named else {}
        if kind == "labelled":
            lines = [",".join(["", *self.names])]
            lines += [
                ",".join([name, *map(str, cells)])
                for name, cells in zip(self.names, given.tolist(), strict=True)
            ]
            path.write_text("\n".join(lines) + "\n")
        elif kind == "npy":
            np.save(path, given)
        elif kind == "npz":
            np.savez(path, wanted=given, **others)
        elif kind == "sparse":
            form = self.rng.choice(["csr", "csc", "coo"])
            scipy.sparse.save_npz(path, scipy.sparse.coo_array(given).asformat(form))
        else:
            scipy.io.savemat(path, {"wanted": given, **others}, do_compression=self.maybe())
            content = path.read_bytes()  # its first 116 bytes tell when it was written
            path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + content[116:])
        pre, post = np.nonzero(matrix)
        found = zip(pre.tolist(), post.tolist(), strict=True)
        return [{"pre": i, "post": j, "weight": float(matrix[i, j])} for i, j in found]

    def node_table(self, source: str, transmitters: list[str]) -> Any:
        neurons: dict[str, Any] = {}
        name = self.rng.choice(["name", "Root_ID", "id"])
        if self.maybe(0.3):
            name = neurons["name"] = "called"
        n = len(self.names)
        columns = {"kind": [self.rng.choice(KINDS) for _ in range(n)]}
        if self.maybe(0.6):
            columns["area"] = [self.rng.choice(AREAS) for _ in range(n)]
        columns["level"] = [self.rng.choice(["1", "2", "30"]) for _ in range(n)]
        if source in ("sign", "polarity"):
            cells = [self.rng.choice(list(SIGN_WORDS)) for _ in range(n)]
            columns[source] = cells
            self.signs = [SIGN_WORDS[cell] for cell in cells]
        elif source in ("nodes", "chosen"):
            columns["NT_type" if source == "nodes" else "messenger"] = transmitters
            self.signs = [sign_of(word) for word in transmitters]
        if source in ("polarity", "chosen"):
            neurons["sign"] = {"polarity": "polarity", "chosen": "Messenger"}[source]
        kind = self.rng.choice(BINARY if self.maybe(0.03) else TABLES)
        path = self.next_path(f".{kind}")
        write_table(path, kind, pl.DataFrame({name: self.names, **columns}), self.rng)
        self.columns = columns
        return {"file": path.name, **neurons} if neurons or self.maybe() else path.name

    def as_native(self, table: bool) -> None:
        """The same connectome, read once and written in netbuild's own form."""
        from netbuild.connectomes import read_connectome, write_native
        from netbuild.language.connectome import Connectome

        long = dict(self.words)
        folder = self.next_path(".npz").parent
        for key in ("edges", "neurons"):
            if key in long:
                file = long[key] if isinstance(long[key], dict) else {"file": long[key]}
                long[key] = file | {"file": str(folder / file["file"])}
        neurons = Path(long["neurons"]["file"]) if table else None
        words = Connectome.model_validate(long)
        read = read_connectome(Path(long["edges"]["file"]), neurons, words)
        path = self.next_path(".npz")
        write_native(read, path)
        self.words.clear()
        self.words["edges"] = path.name

    def learning(self) -> None:
        if self.columns and self.maybe(0.3):
            self.words |= {
                "learn": "scale_per_type",
                "types": self.rng.choice(["kind", "level"]),
            }
        if "learn" not in self.words and self.maybe(0.3):
            self.words["learn"] = self.rng.choice(["weights", "nothing"])
        if self.maybe(0.3):
            shuffles = ["weights"] + (["signs"] if self.signs is not None else [])
            control: dict[str, list[Any]] = {
                "rewire": ["degree_preserving", "er"],
                "shuffle": shuffles,
                "seed": [0, 3],
            }
            sure = self.rng.choice(["rewire", "shuffle"])
            self.words["control"] = {
                key: self.rng.choice(values)
                for key, values in control.items()
                if key == sure or self.maybe()
            }

    # what it comes to

    def followed(self, rows: list[Row]) -> Pairs:
        """The connections after the policies, one row after the other."""
        pairs: Pairs = {}
        for row in rows:
            pair, weight = (row["pre"], row["post"]), row["weight"]
            if not weight:
                continue
            merge = max if self.words.get("duplicates") == "max" else float.__add__
            pairs[pair] = merge(pairs[pair], float(weight)) if pair in pairs else float(weight)
        if not self.words.get("self_connections", True):
            pairs = {pair: weight for pair, weight in pairs.items() if pair[0] != pair[1]}
        symmetrize = self.words.get("symmetrize", "none")
        if symmetrize != "none":
            both: Pairs = dict(pairs)
            for (pre, post), weight in pairs.items():
                back = pairs.get((post, pre), 0.0)
                total = weight + back if symmetrize == "sum" and pre != post else max(weight, back)
                both[pre, post] = both[post, pre] = total
            pairs = both
        least = self.words.get("min_weight") or 0
        return {pair: weight for pair, weight in pairs.items() if weight >= least}


def sign_of(transmitter: str) -> int:
    """The sign of a neurotransmitter by `SIGN_OF`, 0 where it is unknown."""
    return {word.upper(): sign for word, sign in SIGN_OF.items()}.get(transmitter.upper(), 0)


def write_table(path: Path, kind: str, frame: pl.DataFrame, rng: random.Random) -> None:
    """A table in one of the formats; ids are numbers in some binary ones."""
    if kind in BINARY:
        for column in frame.columns:
            cells = frame[column].cast(pl.String)
            if cells.str.contains(r"^[1-9]\d*$").all() and rng.random() < 0.5:
                frame = frame.with_columns(cells.cast(pl.Int64).alias(column))
        frame.write_parquet(path) if kind == "parquet" else frame.write_ipc(path)
        return
    separator = {"tsv": "\t", "txt": ";"}.get(kind, ",")
    text = io.StringIO()
    frame.write_csv(text, separator=separator)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content, mtime=0) if kind == "csv.gz" else content)


def graphml(rows: list[Row], columns: dict[str, str], names: Sequence[str]) -> str:
    """A directed graph whose nodes have ids as names."""
    keys = {key: name for key, name in columns.items() if key not in ("pre", "post")}
    lines = ['<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    lines += [f'<key id="{k}" for="edge" attr.name="{name}"/>' for k, name in keys.items()]
    lines += ['<graph edgedefault="directed">', *(f'<node id="{name}"/>' for name in names)]
    lines += [f'<node id="{row[end]}"/>' for row in rows for end in ("pre", "post")
              if row[end] == "Nobody" or row[end] == str(FIRST_ID + 10**7)][:1]  # fmt: skip
    for row in rows:
        data = "".join(f'<data key="{key}">{row[key]}</data>' for key in keys)
        lines.append(f'<edge source="{row["pre"]}" target="{row["post"]}">{data}</edge>')
    return "\n".join([*lines, "</graph>", "</graphml>"])
