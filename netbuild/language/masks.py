"""Mask sources: which connections exist, which sign they have, which of them learn."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from netbuild.language.base import Fraction, Model, Seed, tag, told_by
from netbuild.language.selection import ByColumns
from netbuild.language.shorthand import NUMBERS, ROWS, Shorthand, matrix, signs
from netbuild.language.weights import Array, FileName, Matrix, Rows

Threshold = Annotated[
    float | None,
    Field(
        description="for counts: a connection is where the value is larger than this; without it"
        " a sparsity mask holds only 0 and 1",
        examples=[0],
    ),
]
DrawSeed = Annotated[
    Seed | None,
    Field(description="a seed of its own; the spec's `seed` when left out", examples=[3]),
]


class MaskFile(Model):
    """A matrix from a file."""

    file: FileName
    array: Array = None
    rows: Rows = None


class MaskValues(Model):
    """A matrix written into the spec."""

    values: Matrix
    rows: Rows = None


class SparsityFile(MaskFile):
    """A matrix of 0 and 1, or of counts with a `threshold`, from a file."""

    threshold: Threshold = None


class SparsityValues(MaskValues):
    """A matrix of 0 and 1, or of counts with a `threshold`, written into the spec."""

    threshold: Threshold = None


class RandomMask(Model):
    """Connections chosen uniformly, exactly `density` of all that are possible."""

    generate: Literal["random"]
    density: Fraction = Field(description="fraction of connections chosen", examples=[0.3])
    seed: DrawSeed = None


class FixedIndegree(Model):
    """Each postsynaptic unit has the same number of presynaptic partners."""

    generate: Literal["fixed_indegree"]
    connections: int = Field(
        ge=0, le=10**12, description="presynaptic partners of each unit", examples=[20]
    )
    seed: DrawSeed = None


class Between(Model):
    """Connections from some units, to some units, or both; the others are not chosen."""

    tellers: ClassVar = ("from", "to")

    from_: ByColumns | None = Field(
        None,
        alias="from",
        description="presynaptic units, by columns of their node table",
        examples=[{"kind": "inter"}],
    )
    to: ByColumns | None = Field(
        None,
        description="postsynaptic units, by columns of their node table",
        examples=[{"kind": "motor"}],
    )


class UnitSigns(Model):
    """One sign for each presynaptic unit: +1 excitatory, -1 inhibitory, 0 free."""

    units: list[float] = Field(min_length=1, description="a sign a unit", examples=[[1, 1, -1]])


class ExcitatoryFraction(Model):
    """The first units are excitatory, the rest inhibitory."""

    excitatory: Fraction = Field(
        description="round-half-up(fraction x units) presynaptic units are excitatory",
        examples=[0.8],
    )


_FILE = {"type": "string", "description": "a file"}
_ROWS = ROWS | {"description": "the rows of a matrix"}
_UNITS = NUMBERS | {"description": "one sign a presynaptic unit"}

SparsityMask = Annotated[
    Annotated[SparsityFile, tag(SparsityFile)]
    | Annotated[SparsityValues, tag(SparsityValues)]
    | Annotated[RandomMask, tag(RandomMask)]
    | Annotated[FixedIndegree, tag(FixedIndegree)],
    told_by("generate", RandomMask, FixedIndegree, SparsityFile, SparsityValues),
    Shorthand(matrix, _FILE, _ROWS),
]
SignMask = Annotated[
    Annotated[MaskFile, tag(MaskFile)]
    | Annotated[MaskValues, tag(MaskValues)]
    | Annotated[UnitSigns, tag(UnitSigns)]
    | Annotated[ExcitatoryFraction, tag(ExcitatoryFraction)],
    told_by("generate", MaskFile, MaskValues, UnitSigns, ExcitatoryFraction),
    Shorthand(signs, _FILE, _ROWS, _UNITS),
]
PlasticityMask = Annotated[
    Annotated[MaskFile, tag(MaskFile)]
    | Annotated[MaskValues, tag(MaskValues)]
    | Annotated[RandomMask, tag(RandomMask)]
    | Annotated[Between, tag(Between)],
    told_by("generate", MaskFile, MaskValues, RandomMask, Between),
    Shorthand(matrix, _FILE, _ROWS),
]
