"""A connectome: which neurons there are, who is connected with whom, and what of it learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Model, NonNegative, Seed, key
from netbuild.language.shorthand import Shorthand, text
from netbuild.language.units import ByColumns
from netbuild.language.weights import Array, FileName, Rows

ColumnName = Annotated[str | None, Field(min_length=1, max_length=200)]
_FILE = {"type": "string", "description": "a file"}


class EdgeFile(Model):
    """Connections from a file: an edge list, or a matrix of neurons by neurons."""

    file: FileName = key(
        ...,
        "a file, relative to the spec that names it: an edge list (.csv, .tsv, .txt,"
        " these with .gz, .parquet, .feather, .arrow), a matrix (.csv, .tsv or .txt with names,"
        " .npy, .npz, .mat), a graph (.graphml), or the .npz of `netbuild convert`",
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
        "a file, relative to the spec that names it: .csv, .tsv, .txt, these with .gz,"
        " .parquet, .feather or .arrow",
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
    seed: Seed | None = key(None, "a seed of its own; the spec's `seed` when left out", 3)


class Connectome(Model):
    """Real wiring: it says the layer's size, its units' names and signs, and their connections."""

    edges: Annotated[EdgeFile, Shorthand(text("file"), _FILE)] = key(
        ...,
        "the connections: an edge list (.csv, .tsv, .txt, these with .gz, .parquet,"
        " .feather, .arrow) or a matrix (.csv with names, .npy, .npz, .mat, .graphml)",
        "edges.csv",
        also="connections edge_list synapses",
    )
    neurons: Annotated[NeuronFile | None, Shorthand(text("file"), _FILE)] = key(
        None,
        "the node table, in whose order the units stand; the names in the edges when left out",
        "neurons.csv",
        also="cells node_table nodes",
    )
    where: ByColumns | None = key(
        None,
        "only edges whose columns have these values",
        {"Type": "chemical"},
        also="filter query",
    )
    duplicates: Literal["sum", "max", "error"] = key("sum", "of several rows for one pair", "sum")
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
