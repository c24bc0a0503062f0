"""A connectome: which neurons there are, who is connected with whom, and what of it learns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from netbuild.errors import DataFileError
from netbuild.files.door import FORMATS, TABLES
from netbuild.language.base import Model, NonNegative, Seed, key
from netbuild.language.context import FileRecord, Here
from netbuild.language.shorthand import Shorthand, text
from netbuild.language.units import ByColumns, Units, units_of_table
from netbuild.language.weights import Array, FileName, Rows
from netbuild.streams import rng_of
from netbuild.wiring import Wiring
from netbuild.wording import show

if TYPE_CHECKING:
    from netbuild import connectomes

ColumnName = Annotated[str | None, Field(min_length=1, max_length=200)]
_FILE = {"type": "string", "description": "a file"}
_TABLES = f"{', '.join(TABLES)}; text also with .gz"
_MATRICES = f"{', '.join(suffix for suffix, form in FORMATS.items() if form.matrix)}"
NOT_OF_FILES = {"learn", "types", "control"}  # keys that do not change what is read


class EdgeFile(Model):
    """Connections from a file: an edge list, or a matrix of neurons by neurons."""

    file: FileName = key(
        ...,
        f"a file, relative to the spec that names it: an edge list ({_TABLES}), a matrix or a"
        f" graph ({_MATRICES}; text with names), or the .npz of `netbuild convert`",
        "edges.csv",
    )
    pre: ColumnName = key(
        None,
        "the column of presynaptic neurons; `pre`, `Source`, `pre_root_id` and the like are known",
        "pre_root_id",
    )
    post: ColumnName = key(None, "the column of postsynaptic neurons", "post_root_id")
    weight: ColumnName = key(None, "the column of synapse counts; 1 each without one", "syn_count")
    transmitter: ColumnName = key(
        None, "the column of neurotransmitters", "nt_type", also="neurotransmitter nt nt_type type"
    )
    array: Array = key(None, "which array of an `.npz` or `.mat` file")
    rows: Rows = None


class NeuronFile(Model):
    """A node table: one row a neuron."""

    file: FileName = key(
        ...,
        f"a file, relative to the spec that names it: {_TABLES}",
        "neurons.csv",
    )
    name: ColumnName = key(None, "the column of names, as the edges have them", "root_id")
    sign: ColumnName = key(
        None, "the column of signs (1, -1, 0) or of neurotransmitters", "nt_type"
    )


class Control(Model):
    """A null model: the same connectome without one of its features."""

    rewire: Literal["degree_preserving", "er"] | None = key(
        None,
        "`degree_preserving`: each neuron keeps its numbers of partners, and has others"
        " (Maslov & Sneppen 2002); `er`: as many connections between any neurons (Erdos & Renyi)",
        "degree_preserving",
    )
    shuffle: Literal["signs", "weights"] | None = key(
        None,
        "`signs`: as many neurons of each sign, but others; `weights`: the counts change places",
        "weights",
    )
    seed: Seed | None = key(None, "the seed of the null model; the spec's `seed` when left out", 3)


class Connectome(Model):
    """Real wiring: it says the layer's size, its units' names and signs, and their connections."""

    edges: Annotated[EdgeFile, Shorthand(text("file"), _FILE)] = key(
        ...,
        f"the connections: an edge list ({_TABLES}) or a matrix ({_MATRICES}; text with names)",
        "edges.csv",
        also="connections edge_list synapses",
    )
    neurons: Annotated[NeuronFile | None, Shorthand(text("file"), _FILE)] = key(
        None,
        "the node table, which gives the order of the units; else they are the names in the edges",
        "neurons.csv",
        also="cells node_table nodes",
    )
    where: ByColumns | None = key(
        None,
        "only edges whose columns have these values",
        {"Type": "chemical"},
        also="filter query",
    )
    duplicates: Literal["sum", "max", "error"] = key(
        "sum", "what becomes of several rows for one pair of neurons", "sum"
    )
    self_connections: bool = key(True, "whether a neuron's connections with itself are kept", False)
    min_weight: NonNegative | None = key(
        None,
        "connections of fewer synapses are left out",
        5,
        also="min_count min_syn min_synapses threshold",
    )
    symmetrize: Literal["none", "max", "sum"] = key(
        "none",
        "for gap junctions: each pair is connected both ways, with the larger or the"
        " sum of its two counts",
        "max",
        also="gap_junctions symmetric undirected",
    )
    unmatched: Literal["error", "drop"] = key(
        "error", "edges of neurons that the node table lacks", "drop"
    )
    signs: dict[str, Annotated[int, Field(ge=-1, le=1)]] | None = key(
        None,
        "the sign of each neurotransmitter: 1, -1 or 0 (free)",
        {"ACH": 1, "GABA": -1},
        min_length=1,
        max_length=1000,
    )
    unknown: Literal["free", "error"] = key(
        "free", "neurotransmitters that `signs` does not name", "error"
    )
    learn: Literal["weights", "scale_per_type", "nothing"] = key(
        "weights",
        "`weights`: each weight; `scale_per_type`: one factor for the connections from"
        " each type of neuron to each, their weights stay; `nothing`: no weight of the wiring",
        "weights",
    )
    types: ColumnName = key(
        None, "the column of the node table that `scale_per_type` is about", "kind"
    )
    control: Control | None = key(
        None,
        "a null model to compare with",
        {"rewire": "degree_preserving", "seed": 3},
        also="null null_model surrogate",
    )


# The check


@dataclass(frozen=True, eq=False)
class Wired:
    """A connectome as a layer has it, after its null model if it has one."""

    words: Connectome
    table: connectomes.NodeTable
    wiring: Wiring  # (n, n)
    counts: NDArray[np.float32]  # (connection,), > 0
    report: connectomes.Report  # of the files, before any null model

    @property
    def facts(self) -> dict[str, Any]:
        """What was done with the rows, and the null model, as plain JSON."""
        control = self.words.control
        return self.report.facts() | {"control": control.model_dump() if control else None}


def neurons_of(here: Here, layer: Any) -> Units | None:
    """The units of a layer with a connectome, or None with a problem noted."""
    for name in ("excitatory", "areas"):
        if getattr(layer, name, None) is not None:
            hint = f"remove `{name}`; the node table has a column for it"
            what = f"`{name}` and `connectome` both say what the units are"
            here[name].problem("NB308", what, hint, key=True)
            return None
    found = _wired(here["connectome"], layer.connectome, layer.name)
    here.context.connectomes[int(here.location[1])] = found
    if found is None:
        return None
    name = "output_dim" if hasattr(layer, "output_dim") else "size"
    size, n = getattr(layer, name), len(found.table)
    if size not in (None, n):
        what = f"{name} is {size}, but the connectome has {n:,} neurons"
        here[name].problem("NB301", what, f"leave `{name}` out")
        return None
    return units_of_table(layer.name, found.table)


def _wired(here: Here, words: Connectome, layer: str) -> Wired | None:
    """The connectome of a layer, or None with a problem noted."""
    if not _keys_agree(here, words):
        return None
    read = _read(here, words)
    if read is None:
        return None
    _check_kinds(here, read.report)
    _check_signs(here, words, read)
    if words.types is not None and words.types not in read.neurons.columns:
        what = f"the node table has no column `{show(words.types)}`"
        hint = here.context.near(words.types, list(read.neurons.columns))
        here["types"].problem("NB302", what, hint)
        return None
    found = Wired(words, read.neurons, read.wiring, read.counts, read.report)
    if words.control is None:
        return found
    spec = here.context.parsed
    rng = rng_of(spec.seed if words.control.seed is None else words.control.seed, "control", layer)
    changed = here["control"].attempt(lambda: _controlled(found, rng))
    if changed is not None and words.control.rewire and changed.wiring.same_as(found.wiring):
        what = "the rewired wiring is the one that was read: no connections can change places"
        hint = "use another control, or none: this one changes nothing"
        here["control"].problem("NB606", what, hint)
    return changed


def _keys_agree(here: Here, words: Connectome) -> bool:
    """Whether the keys fit together; a problem says where they do not."""
    if words.learn == "scale_per_type" and words.types is None:
        what = "`scale_per_type` needs the column that says each neuron's type"
        here.problem("NB102", what, "for example `types: kind`", key=True)
        return False
    if (word := twice_said(words)) is not None:
        what = f"`signs` gives `{show(word)}` two signs; upper and lower case are the same"
        here["signs"][word].problem("NB308", what, "remove one of them", key=True)
        return False
    if words.learn != "scale_per_type" and words.types is not None:
        here["types"].problem(
            "NB308", "`types` is about `learn: scale_per_type`", "remove it", key=True
        )
    if words.control is not None and not (words.control.rewire or words.control.shuffle):
        what = "one of the keys `rewire`, `shuffle` is missing"
        here["control"].problem("NB102", what, "for example `rewire: er`", key=True)
        return False
    return True


def twice_said(words: Connectome) -> str | None:
    """A neurotransmitter that has another sign under another spelling."""
    seen: dict[str, int] = {}
    signs = (words.signs or {}).items()
    return next(
        (word for word, sign in signs if seen.setdefault(word.casefold(), sign) != sign), None
    )


def _read(here: Here, words: Connectome) -> connectomes.Connectome | None:
    """The files as they are, or None with a problem noted at the key that is at fault."""
    from netbuild import connectomes

    context = here.context
    paths: dict[str, Path] = {}
    named = {"edges": words.edges, "neurons": words.neurons}
    files = {which: file for which, file in named.items() if file is not None}
    for which, file in files.items():
        at = here[which]["file"]
        path = at.attempt(partial(at.locate, file.file))
        if path is not None:
            paths[which] = path
    if len(paths) < len(files):
        return None
    keys = repr(words.model_dump(exclude=NOT_OF_FILES))
    try:
        read: connectomes.Connectome = context.once(
            (*paths.values(), keys),
            lambda: connectomes.read_connectome(paths["edges"], paths.get("neurons"), words),
        )
    except DataFileError as error:
        at = here
        for part in error.key:
            at = at[part]
        no_column = error.key[:1] == ("where",) and error.code == "NB211"
        at.problem(error.code, error.what, error.hint, key=no_column)
        return None
    for which, file in files.items():
        found = read.report.files[which]
        where = context.parsed.tree.spell(here[which]["file"].location)
        context.files[where] = FileRecord(file.file, str(found.path), found.sha256, found.size)
    return read


def _check_kinds(here: Here, report: connectomes.Report) -> None:
    """Warn of connections that merge several kinds of synapse."""
    if not report.mixed:
        return
    count = f"{report.mixed:,} connection" + ("s are" if report.mixed > 1 else " is")
    what = f"{count} made of rows of several kinds of synapse"
    column = report.columns["edges"].get("kind", "Type")
    kinds = " or ".join(f"`where: {{{column}: {kind}}}`" for kind in list(report.types)[:2])
    hint = f"read one kind: {kinds}" if kinds else "read one kind, with `where`"
    here["edges"].problem("NB604", what, hint)


def _check_signs(here: Here, words: Connectome, read: connectomes.Connectome) -> None:
    """Warn of signs for neurotransmitters that no neuron has, and of ones without a sign."""
    columns = read.report.columns
    kinds = list(read.report.types) if "transmitter" in columns["edges"] else []
    if (column := columns["neurons"].get("sign")) is not None and column in read.neurons.columns:
        kinds = list(dict.fromkeys(read.neurons.columns[column].tolist()))
    if words.signs is None:
        if kinds and read.signs is None:
            what = "the neurotransmitters of the edges say nothing without `signs`: all are free"
            hint = "say which excite and which inhibit, e.g. `signs: {ACH: 1, GABA: -1}`"
            here["edges"].problem("NB605", what, hint)
        return
    known = {str(kind).casefold() for kind in kinds}
    for transmitter in words.signs:
        if transmitter.casefold() not in known:
            what = f"no neuron has the neurotransmitter `{show(transmitter)}`"
            hint = here.context.near(transmitter, [str(kind) for kind in kinds if kind])
            here["signs"][transmitter].problem("NB605", what, hint, key=True)


def _controlled(found: Wired, rng: np.random.Generator) -> Wired:
    """The null model of a connectome."""
    from netbuild import connectomes

    control = found.words.control
    assert control is not None
    if control.shuffle == "signs" and found.table.signs is None:
        what = "there are no signs to shuffle"
        raise DataFileError("NB308", what, "give the node table a column of signs")
    wiring, counts, signs = connectomes.control(
        found.wiring,
        found.counts,
        found.table.signs,
        rewire=control.rewire,
        shuffle=control.shuffle,
        rng=rng,
    )
    return replace(found, table=replace(found.table, signs=signs), wiring=wiring, counts=counts)


def fits_connectome(here: Here, reads: Units, found: Wired) -> bool:
    """Whether the units that a linear layer reads are the connectome's neurons."""
    n = len(found.table)
    if reads.size != n:
        what = f"the connectome has {n:,} neurons, and this layer reads {reads.size:,} units"
        hint = "its connections lead from the units that are read, one for each neuron"
        here.problem("NB301", what, hint, key=True)
        return False
    if reads.table is not None and not np.array_equal(reads.names, found.table.names):
        what = f"the units of `{reads.layer}` have other names than the connectome's neurons"
        here.problem("NB301", what, "both need the same node table", key=True)
        return False
    return True


def groups_of(found: Wired, wiring: Wiring) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """(connection,): the pair of types that each connects, and what each pair is called."""
    assert found.words.types is not None
    types, kind = np.unique(found.table.columns[found.words.types], return_inverse=True)
    pair = kind[wiring.sources].astype(np.int64) * len(types) + kind[wiring.targets]
    present, group = np.unique(pair, return_inverse=True)
    named = tuple(f"{types[p // len(types)]}->{types[p % len(types)]}" for p in present)
    return group.astype(np.int32), named
