"""A connectome: which neurons there are, who is connected with whom, and what of it learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from netbuild.language.base import Model, NonNegative, Seed
from netbuild.language.selection import ByColumns
from netbuild.language.shorthand import Shorthand, text
from netbuild.language.weights import Array, FileName, Rows

ColumnName = Annotated[str | None, Field(min_length=1, max_length=200)]
_FILE = {"type": "string", "description": "a file"}


class EdgeFile(Model):
    """Connections from a file: an edge list, or a matrix of neurons by neurons."""

    file: FileName = Field(
        description="a file, relative to the spec that names it: an edge list (.csv, .tsv, .txt,"
        " these with .gz, .parquet, .feather, .arrow), a matrix (.csv, .tsv or .txt with names,"
        " .npy, .npz, .mat), a graph (.graphml), or the .npz of `netbuild convert`",
        examples=["edges.csv"],
    )
    pre: ColumnName = Field(
        None,
        description="the column of presynaptic neurons; `pre`, `Source`, `pre_root_id` and the like"
        " are known",
        examples=["pre_root_id"],
    )
    post: ColumnName = Field(
        None, description="the column of postsynaptic neurons", examples=["post_root_id"]
    )
    weight: ColumnName = Field(
        None, description="the column of synapse counts; 1 each without one", examples=["syn_count"]
    )
    transmitter: ColumnName = Field(
        None, description="the column of neurotransmitters", examples=["nt_type"]
    )
    array: Array = Field(None, description="which array of an `.npz` or `.mat` file")
    rows: Rows = None


class NeuronFile(Model):
    """A node table: one row a neuron."""

    file: FileName = Field(
        description="a file, relative to the spec that names it: .csv, .tsv, .txt, these with .gz,"
        " .parquet, .feather or .arrow",
        examples=["neurons.csv"],
    )
    name: ColumnName = Field(
        None, description="the column of names, as the edges have them", examples=["root_id"]
    )
    sign: ColumnName = Field(
        None,
        description="the column of signs (1, -1, 0) or of neurotransmitters",
        examples=["nt_type"],
    )


class Control(Model):
    """A null model: the same connectome without one of its features."""

    rewire: Literal["degree_preserving", "er"] | None = Field(
        None,
        description="`degree_preserving`: each neuron keeps its numbers of partners, and has others"
        " (Maslov & Sneppen 2002); `er`: as many connections between any neurons (Erdos & Renyi)",
        examples=["degree_preserving"],
    )
    shuffle: Literal["signs", "weights"] | None = Field(
        None,
        description="`signs`: as many neurons of each sign, but others; `weights`: the counts"
        " change places",
        examples=["weights"],
    )
    seed: Seed | None = Field(
        None, description="a seed of its own; the spec's `seed` when left out", examples=[3]
    )


class Connectome(Model):
    """Real wiring: it says the layer's size, its units' names and signs, and their connections."""

    edges: Annotated[EdgeFile, Shorthand(text("file"), _FILE)] = Field(
        description="the connections: an edge list (.csv, .tsv, .txt, these with .gz, .parquet,"
        " .feather, .arrow) or a matrix (.csv with names, .npy, .npz, .mat, .graphml)",
        examples=["edges.csv"],
    )
    neurons: Annotated[NeuronFile | None, Shorthand(text("file"), _FILE)] = Field(
        None,
        description="the node table, in whose order the units stand; the names in the edges when"
        " left out",
        examples=["neurons.csv"],
    )
    where: ByColumns | None = Field(
        None,
        description="only edges whose columns have these values",
        examples=[{"Type": "chemical"}],
    )
    duplicates: Literal["sum", "max", "error"] = Field(
        "sum", description="of several rows for one pair", examples=["sum"]
    )
    self_connections: bool = Field(
        True, description="whether a neuron's connections with itself are kept", examples=[False]
    )
    min_weight: NonNegative | None = Field(
        None, description="connections of fewer synapses are left out", examples=[5]
    )
    symmetrize: Literal["none", "max", "sum"] = Field(
        "none",
        description="for gap junctions: each pair is connected both ways, with the larger or the"
        " sum of its two counts",
        examples=["max"],
    )
    unmatched: Literal["error", "drop"] = Field(
        "error", description="edges of neurons that the node table lacks", examples=["drop"]
    )
    signs: dict[str, Annotated[int, Field(ge=-1, le=1)]] | None = Field(
        None,
        min_length=1,
        max_length=1000,
        description="the sign of each neurotransmitter: 1, -1 or 0 (free)",
        examples=[{"ACH": 1, "GABA": -1}],
    )
    unknown: Literal["free", "error"] = Field(
        "free", description="neurotransmitters that `signs` does not name", examples=["error"]
    )
    learn: Literal["weights", "scale_per_type", "nothing"] = Field(
        "weights",
        description="`weights`: each weight; `scale_per_type`: one factor for the connections from"
        " each type of neuron to each, their weights stay; `nothing`: no weight of the wiring",
        examples=["weights"],
    )
    types: ColumnName = Field(
        None,
        description="the column of the node table that `scale_per_type` is about",
        examples=["kind"],
    )
    control: Control | None = Field(
        None,
        description="a null model to compare with",
        examples=[{"rewire": "degree_preserving", "seed": 3}],
    )


ConnectomeKey = Annotated[
    Connectome | None,
    Field(
        description="real wiring from files: it says the layer's units, their signs and which"
        " connections exist",
        examples=[{"edges": "edges.csv", "neurons": "neurons.csv"}],
    ),
]
