"""Units of a layer, and the ways in which a spec may say some of them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

from drawn.connectomes import Drawn

SIGNS = {"excitatory": 1, "inhibitory": -1}
Selections = list[tuple[Any, list[int]]]  # what a `from` or a `to` may say, and whom it means
Columns = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Units:
    """Units of one layer, in order: the sign of each, 0 where it has none, and its area.

    Those of a connectome have names and columns too.
    """

    layer: str
    signs: tuple[int, ...]
    areas: tuple[str, ...]
    columns: Columns = field(default_factory=dict)
    signed_by_table: bool = False
    shuffled: bool = False  # a null model has given the signs to other units, which the seed says

    @classmethod
    def like(cls, layer: str, size: int, excitatory: float | None = None, area: str = "") -> Units:
        """So many units, of which the first round-half-up(excitatory x size) excite."""
        if excitatory is None:
            return cls(layer, (0,) * size, (area,) * size)
        first = int(excitatory * size + 0.5)
        return cls(layer, (1,) * first + (-1,) * (size - first), (area,) * size)

    @classmethod
    def of(cls, layer: str, drawn: Drawn) -> Units:
        """The neurons of a connectome."""
        n = len(drawn.names)
        columns = drawn.columns | {"name": drawn.names}
        shuffled = drawn.control.get("shuffle") == "signs"
        if shuffled:
            columns.pop("sign", None)
        elif drawn.signs is not None:
            columns["sign"] = tuple(map(str, drawn.signs))
        return cls(
            layer,
            drawn.signs or (0,) * n,
            drawn.columns.get("area", ("",) * n),
            columns,
            signed_by_table=drawn.signs is not None,
            shuffled=shuffled,
        )

    @property
    def size(self) -> int:
        return len(self.signs)

    @property
    def signed(self) -> bool:
        return self.signed_by_table or any(self.signs)

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of neurons; None where there is no table."""
        return self.columns.get("name")

    def __add__(self, other: Units) -> Units:
        return Units(self.layer, self.signs + other.signs, self.areas + other.areas)

    def part(self, chosen: list[int]) -> Units:
        def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[i] for i in chosen)

        columns = {key: some(cells) for key, cells in self.columns.items()}
        return replace(self, signs=some(self.signs), areas=some(self.areas), columns=columns)

    def selections(self, *, areas: bool = True) -> Selections:
        """What a `from` or a `to` may say of these units in a word, and which of them that is."""
        wholes = {self.layer: list(range(self.size))}
        for area in filter(None, self.areas if areas else ()):
            wholes[area] = [i for i, own in enumerate(self.areas) if own == area]
        parts = {
            f"{name}.{word}": [i for i in units if self.signs[i] == sign]
            for name, units in wholes.items()
            for word, sign in SIGNS.items()
            if not self.shuffled
        }
        return list((wholes | {text: units for text, units in parts.items() if units}).items())

    def by_columns(self, rng: random.Random) -> Selections:
        """Some ways to say by columns which of these units are meant."""
        found: Selections = []
        for _ in range(4 if self.columns and self.size else 0):
            like = rng.randrange(self.size)  # a unit that is meant in any case
            wanted, here = {}, set(range(self.size))
            for key in rng.sample(list(self.columns), rng.randint(1, min(2, len(self.columns)))):
                cells = self.columns[key]
                values = [cells[like], *rng.sample(cells, 1)][: rng.randint(1, 2)]
                here &= {i for i, cell in enumerate(cells) if cell in values}
                said = [said_as(key, value, rng) for value in values]
                wanted[key] = said[0] if len(said) == 1 and rng.random() < 0.7 else said
            found.append((wanted, sorted(here)))
        return found


def said_as(key: str, value: str, rng: random.Random) -> str | int:
    """A value of a column as text or as a number; a sign also in a word."""
    choices: list[str | int] = [value]
    if value.lstrip("-").isdigit() and str(int(value)) == value:
        choices.append(int(value))
    if key == "sign":
        choices += [word for word, sign in SIGNS.items() if str(sign) == value]
    return rng.choice(choices)
