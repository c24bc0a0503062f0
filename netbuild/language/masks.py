"""Mask sources: which connections exist, which sign they have, which of them learn."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from netbuild.language.base import Fraction, Model, OneOf, Seed, key
from netbuild.language.selection import ByColumns
from netbuild.language.shorthand import NUMBERS, ROWS, Shorthand, matrix, signs
from netbuild.language.weights import Array, FileName, Matrix, Rows

Threshold = Annotated[
    float | None,
    key(
        ...,
        "for counts: a connection is where the value is larger than this; without it"
        " a sparsity mask holds only 0 and 1",
        0,
    ),
]
DrawSeed = Annotated[
    Seed | None,
    key(..., "a seed of its own; the spec's `seed` when left out", 3),
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
    density: Fraction = key(..., "fraction of connections chosen", 0.3)
    seed: DrawSeed = None


class FixedIndegree(Model):
    """Each postsynaptic unit has the same number of presynaptic partners."""

    generate: Literal["fixed_indegree"]
    connections: int = key(..., "presynaptic partners of each unit", 20, ge=0, le=10**12)
    seed: DrawSeed = None


class Between(Model):
    """Connections from some units, to some units, or both; the others are not chosen."""

    tellers: ClassVar = ("from", "to")

    from_: ByColumns | None = key(
        None, "presynaptic units, by columns of their node table", {"kind": "inter"}, alias="from"
    )
    to: ByColumns | None = key(
        None, "postsynaptic units, by columns of their node table", {"kind": "motor"}
    )


class UnitSigns(Model):
    """One sign for each presynaptic unit: +1 excitatory, -1 inhibitory, 0 free."""

    units: list[float] = key(..., "a sign a unit", [1, 1, -1], min_length=1)


class ExcitatoryFraction(Model):
    """The first units are excitatory, the rest inhibitory."""

    excitatory: Fraction = key(
        ..., "round-half-up(fraction x units) presynaptic units are excitatory", 0.8
    )


_FILE = {"type": "string", "description": "a file"}
_ROWS = ROWS | {"description": "the rows of a matrix"}
_UNITS = NUMBERS | {"description": "one sign a presynaptic unit"}

SparsityMask = Annotated[
    SparsityFile | SparsityValues | RandomMask | FixedIndegree,
    OneOf("generate"),
    Shorthand(matrix, _FILE, _ROWS),
]
SignMask = Annotated[
    MaskFile | MaskValues | UnitSigns | ExcitatoryFraction,
    OneOf("generate"),
    Shorthand(signs, _FILE, _ROWS, _UNITS),
]
PlasticityMask = Annotated[
    MaskFile | MaskValues | RandomMask | Between,
    OneOf("generate"),
    Shorthand(matrix, _FILE, _ROWS),
]
