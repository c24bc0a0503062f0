"""How a connectome's files are read: columns, policies and signs, under the spec's own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

from netbuild.errors import DataFileError
from netbuild.files.cells import Value

Rows = Literal["pre", "post"]
Duplicates = Literal["sum", "max", "error"]
Symmetrize = Literal["none", "max", "sum"]
Unmatched = Literal["error", "drop"]
Unknown = Literal["free", "error"]


def said(option: str) -> str:
    """What a spec calls an option."""
    return "transmitter" if option == "type" else option


def spelled(*options: str) -> str:
    """How a spec names columns: `edges: {file: FILE, pre: COLUMN}`."""
    file = "neurons" if options[0] in OF_NODES else "edges"
    columns = [f"{said(option)}: COLUMN" for option in options]
    return f"`{file}: {{{', '.join(['file: FILE', *columns])}}}`"


class OptionError(DataFileError):
    """What is said of the files does not fit them: a column that is not there, a key too many.

    `key` is where a spec says it, below `connectome`: `("edges", "weight")`.
    """

    def __init__(self, option: str, code: str, what: str, hint: str, *, column: str = "") -> None:
        super().__init__(code, what, hint)
        self.option, self.column = option, column

    def __reduce__(self) -> tuple[Any, ...]:
        again = partial(OptionError, column=self.column)
        return again, (self.option, self.code, self.what, self.hint)

    @property
    def key(self) -> tuple[str, ...]:
        """The path of the option in a spec; of `where`, that of the column, if it is about one."""
        if self.option == "where":
            return ("where", self.column) if self.column else ("where",)
        return "neurons" if self.option in OF_NODES else "edges", said(self.option)


def left_out(option: str, code: str, what: str, other: str = "") -> OptionError:
    """The error for an option that files of this kind have no use for; `other` is another cure."""
    return OptionError(option, code, what, f"leave `{said(option)}` out{other}")


OF_NODES = ("name", "sign")
MOST_NEURONS = 1 << 24


@dataclass(frozen=True)
class Options:
    """What may be said about the files of a connectome; every default is the safe one.

    Columns that are None are recognised by their names. A wrong word raises ValueError.
    """

    pre: str | None = None  # columns of the edge file
    post: str | None = None
    weight: str | None = None
    type: str | None = None  # its neurotransmitter; a spec says `transmitter`
    name: str | None = None  # columns of the node table
    sign: str | None = None  # +1, -1, 0 or a neurotransmitter
    array: str | None = None  # of an .npz or .mat file
    rows: Rows | None = None  # of a matrix: what its rows are
    duplicates: Duplicates = "sum"  # rows of one pair of neurons
    self_connections: bool = True
    min_weight: float | None = None  # of a pair, after duplicates are merged
    symmetrize: Symmetrize = "none"  # gap junctions, which have no direction
    unmatched: Unmatched = "error"  # an edge's neuron that the node table does not have
    signs: Mapping[str, int] = field(default_factory=dict)  # neurotransmitter -> +1, -1, 0 (free)
    unknown: Unknown = "free"  # a neurotransmitter that `signs` does not have
    # Only rows whose columns equal these, or one of several.
    where: Mapping[str, Value | Sequence[Value]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        words = {
            "duplicates": get_args(Duplicates),
            "symmetrize": get_args(Symmetrize),
            "unmatched": get_args(Unmatched),
            "unknown": get_args(Unknown),
            "rows": (*get_args(Rows), None),
        }
        for key, allowed in words.items():
            if getattr(self, key) not in allowed:
                choices = ", ".join(word for word in allowed if word)
                raise ValueError(f"{key} is one of {choices}, got {getattr(self, key)!r}")
        seen: dict[str, int] = {}
        for transmitter, sign in self.signs.items():
            if sign not in (-1, 0, 1):
                raise ValueError(f"signs of {transmitter!r} is 1, -1 or 0, got {sign!r}")
            if seen.setdefault(transmitter.casefold(), sign) != sign:
                raise ValueError(f"signs says two things of {transmitter!r}; capitals do not count")

    def kept(self) -> dict[str, tuple[Value, ...]]:
        """`where`, with all values of each column in a tuple; text is stripped, as cells are."""
        return {
            column: tuple(
                value.strip() if isinstance(value, str) else value
                for value in ([values] if isinstance(values, Value) else values)
            )
            for column, values in self.where.items()
        }
