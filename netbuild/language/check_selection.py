"""Selections by columns of a node table: `{kind: sensory}`."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from netbuild.files.cells import Value, plain, written
from netbuild.language.context import Context
from netbuild.language.named import Named
from netbuild.language.population import Population
from netbuild.yamltree.nodes import Location, show

Wanted: TypeAlias = dict[str, Value | list[Value]]
SIGNS = {"excitatory": 1, "inhibitory": -1}  # what `sign` may be, beside numbers
LAYER = "layer"  # the key that says whose units are meant, not what they are
MOST_VALUES = 1000  # of a column, among which one is looked for that was meant


def spelled(selection: str | Wanted) -> str:
    """A selection in one word, as names of random streams have it: `kind=sensory,inter`."""
    if isinstance(selection, str):
        return selection
    return "&".join(
        f"{key}={','.join(map(written, value)) if isinstance(value, list) else written(value)}"
        for key, value in sorted(selection.items())
    )


def select(
    context: Context, location: Location, whole: Population, wanted: Wanted
) -> Population | None:
    """The units whose columns have the wanted values; None with a problem noted at `location`."""
    asked = {key: value for key, value in wanted.items() if key != LAYER}
    if not asked:
        return whole
    if not isinstance(whole, Named):
        what = f"the units of `{whole.layer}` have no node table to select by"
        hint = "name them: `V1`, `hidden.excitatory`; a table comes with `connectome`"
        context.problem("NB302", location, what, hint)
        return None
    here = np.ones(whole.size, dtype=bool)
    for key, value in asked.items():
        found = _where(context, (*location, key), whole, key, value)
        if found is None:
            return None
        here &= found
    if not here.any():
        what = f"no unit of `{whole.layer}` is all of this: {show(spelled(asked))}"
        context.problem("NB302", location, what)
        return None
    return whole.among(here)


def _where(
    context: Context, location: Location, whole: Named, key: str, value: Value | list[Value]
) -> NDArray[np.bool_] | None:
    """(unit,): whether a column has one of the wanted values; each must be there.

    A number fits the cells of its value, text those of the same text alone; names are text.
    """
    column = whole.column(key)
    if column is None:
        known = [*whole.table.columns, "name", *(["sign"] if whole.signed else [])]
        what = f"the node table of `{whole.layer}` has no column `{show(key)}`"
        context.problem("NB302", location, what, context.near(key, known), key=True)
        return None
    here = np.zeros(whole.size, dtype=bool)
    wanted = value if isinstance(value, list) else [value]
    numbers = column
    if key != "name" and not all(isinstance(one, str) for one in wanted):
        numbers = np.array([plain(cell) for cell in column.tolist()], object)
    for one in wanted:
        text = str(SIGNS.get(str(one), one)) if key == "sign" else str(one)
        by_value = key != "name" and not isinstance(one, str)
        found = numbers == written(one) if by_value else column == text
        if not found.any():
            known = list(dict.fromkeys(column.tolist()))
            hint = context.near(text, known) if len(known) <= MOST_VALUES else ""
            what = f"no unit of `{whole.layer}` has `{show(key)}: {show(str(one))}`"
            context.problem("NB302", location, what, hint)
            return None
        here |= found
    return here
