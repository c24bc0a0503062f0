"""A spec in the making: its random choices, its files, and what is known of its layers so far."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from drawn.units import Units

Array = np.ndarray[Any, Any]


@dataclass
class Draft:
    """The state of a draw. Parameters are named `LAYER.weight` or `LAYER.MAP.weight`."""

    rng: random.Random
    folder: Path
    prefix: str  # of the names of files
    files: int = 0
    known: dict[str, Units] = field(default_factory=dict)  # of each layer
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of parameters, as torch's
    reads: dict[str, Units] = field(default_factory=dict)  # by each weight
    signed: set[str] = field(default_factory=set)  # weights whose presynaptic units have signs
    sparse: set[str] = field(default_factory=set)  # weights without a matrix
    before: str = "input"  # the layer that is read where nothing is said
    recurrent: bool = False  # whether a layer needs time
    dt: bool = False  # whether a key needs it

    def maybe(self, chance: float = 0.5) -> bool:
        return self.rng.random() < chance

    def some(self, **choices: Any) -> dict[str, Any]:
        """Some of the keys; where a value is a list, one of its items is chosen."""
        return {
            key: self.rng.choice(value) if isinstance(value, list) else value
            for key, value in choices.items()
            if self.maybe(0.4)
        }

    def numbers(self) -> np.random.Generator:
        """Random numbers for an array."""
        return np.random.default_rng(self.rng.randrange(1000))

    def add_map(self, name: str, reads: Units, size: int, *, bias: bool, signed: bool) -> None:
        """Remember the parameters of a map to `size` units."""
        weight = f"{name}.weight"
        self.shapes[weight] = (size, reads.size)
        self.reads[weight] = reads
        if bias:
            self.shapes[f"{name}.bias"] = (size,)
        if signed:
            self.signed.add(weight)

    # matrices and files

    def matrix(self, array: Array) -> dict[str, Any]:
        """An (input_dim, output_dim) array as rows, or as a file, either way round."""
        rows = self.rng.choice(["pre", "post"])
        given = array if rows == "pre" else array.T
        if self.maybe():
            return {"values": given.tolist(), "rows": rows}
        return self.array(given) | {"rows": rows}

    def array(self, array: Array) -> dict[str, Any]:
        """A file that holds the array, or several among which it is named."""
        if self.maybe(0.7):
            return {"file": self.file(array)}
        path = self.next_path(".npz")
        np.savez(path, wanted=array, other=np.zeros(3))
        return {"file": path.name, "array": "wanted"}

    def file(self, array: Array) -> str:
        """The name of a new file that holds the array."""
        path = self.next_path(self.rng.choice([".npy", ".csv", ".tsv", ".npz", ".txt"]))
        if path.suffix == ".npy":
            swapped = array.astype(array.dtype.newbyteorder(self.rng.choice(["<", ">"])))
            np.save(path, np.asfortranarray(swapped) if self.maybe() else swapped)
        elif path.suffix == ".npz":
            np.savez(path, only=array)
        else:
            separator = {".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix]
            rows = [separator.join(map(str, row)) for row in np.atleast_2d(array).tolist()]
            path.write_text("\n".join(rows) + "\n")
        return path.name

    def next_path(self, suffix: str) -> Path:
        self.files += 1
        return self.folder / f"{self.prefix}-{self.files}{suffix}"
