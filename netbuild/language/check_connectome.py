"""Layers that are wired by a connectome: their units, connections and counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild import connectomes
from netbuild.errors import DataFileError
from netbuild.language.connectome import Connectome
from netbuild.language.context import Context, FileRecord
from netbuild.language.units import Nodes, NodeTable, Units, units_of_table
from netbuild.streams import rng_of
from netbuild.wiring import Wiring
from netbuild.yamltree.nodes import Location, show

NOT_OF_FILES = {"learn", "types", "control"}  # keys that do not change what is read


@dataclass(frozen=True, eq=False)
class Wired:
    """A connectome as a layer has it, after its null model if it has one."""

    words: Connectome
    table: NodeTable
    wiring: Wiring  # (n, n)
    counts: NDArray[np.float32]  # (connection,), > 0
    report: connectomes.Report  # of the files, before any null model

    @property
    def facts(self) -> dict[str, Any]:
        """What was done with the rows, and the null model, as plain JSON."""
        control = self.words.control
        return self.report.facts() | {"control": control.model_dump() if control else None}


def neurons_of(context: Context, i: int, layer: Any) -> Units | None:
    """The units of a layer with a connectome, or None with a problem noted."""
    here: Location = ("layers", i)
    for key in ("excitatory", "areas"):
        if getattr(layer, key, None) is not None:
            hint = f"take `{key}` away; the node table has a column for it"
            what = f"`{key}` and `connectome` both say what the units are"
            context.problem("NB308", (*here, key), what, hint, key=True)
            return None
    found = wired(context, i, layer)
    if found is None:
        return None
    key = "output_dim" if hasattr(layer, "output_dim") else "size"
    size, n = getattr(layer, key), len(found.table.names)
    if size not in (None, n):
        what = f"{key} is {size}, but the connectome has {n:,} neurons"
        context.problem("NB301", (*here, key), what, f"leave `{key}` out")
        return None
    return units_of_table(layer.name, found.table)


def wired(context: Context, i: int, layer: Any) -> Wired | None:
    """The connectome of a layer, read once, or None with a problem noted."""
    if i not in context.connectomes:
        context.connectomes[i] = _wired(context, i, layer)
    found: Wired | None = context.connectomes[i]
    return found


def _wired(context: Context, i: int, layer: Any) -> Wired | None:
    words: Connectome = layer.connectome
    here: Location = ("layers", i, "connectome")
    if words.learn == "scale_per_type" and words.types is None:
        what = "`scale_per_type` needs the column that says each neuron's type"
        context.problem("NB102", here, what, "for example `types: kind`", key=True)
        return None
    if (word := twice_said(words)) is not None:
        what = f"`signs` says two things of `{show(word)}`; capitals do not count"
        context.problem("NB308", (*here, "signs", word), what, "take one of them away", key=True)
        return None
    if words.learn != "scale_per_type" and words.types is not None:
        what = "`types` is about `learn: scale_per_type`"
        context.problem("NB308", (*here, "types"), what, "take it away", key=True)
    if words.control is not None and not (words.control.rewire or words.control.shuffle):
        what = "one of the keys `rewire`, `shuffle` is missing"
        context.problem("NB102", (*here, "control"), what, "for example `rewire: er`", key=True)
        return None
    read = _read(context, here, words)
    if read is None:
        return None
    _check_signs(context, here, words, read)
    if words.types is not None and words.types not in read.neurons.columns:
        known = list(read.neurons.columns)
        what = f"the node table has no column `{show(words.types)}`"
        context.problem("NB302", (*here, "types"), what, context.near(words.types, known))
        return None
    table: NodeTable = read.neurons
    if read.signs is not table.signs:
        table = Nodes(table.names, dict(table.columns), read.signs)
    found = Wired(words, table, read.wiring, read.counts, read.report)
    if words.control is None:
        return found
    seed = context.parsed.seed if words.control.seed is None else words.control.seed
    rng = rng_of(seed, "control", layer.name)
    changed = context.attempt((*here, "control"), lambda: _controlled(found, rng))
    if changed is not None and words.control.rewire and _alike(changed.wiring, found.wiring):
        what = "the rewired wiring is the one that was read: no connections can change places"
        context.problem("NB606", (*here, "control"), what, "it is no null model here")
    return changed


def _alike(one: Wiring, other: Wiring) -> bool:
    """Whether two wirings have the same connections."""
    return np.array_equal(one.starts, other.starts) and np.array_equal(one.sources, other.sources)


def _read(context: Context, here: Location, words: Connectome) -> connectomes.Connectome | None:
    """The files as they are, or None with a problem noted where the file at fault is named."""
    paths: dict[str, Path] = {}
    named = {"edges": words.edges, "neurons": words.neurons}
    files = {which: file for which, file in named.items() if file is not None}
    for which, file in files.items():
        location = (*here, which, "file")
        path = context.attempt(location, partial(context.locate, location, file.file))
        if path is not None:
            paths[which] = path
    if len(paths) < len(files):
        return None
    key = (*paths.values(), repr(words.model_dump(exclude=NOT_OF_FILES)))
    if key not in context.kept:
        try:
            context.kept[key] = connectomes.read_connectome(
                paths["edges"], paths.get("neurons"), words
            )
        except DataFileError as error:
            no_column = error.key[:1] == ("where",) and error.code == "NB211"
            context.problem(error.code, (*here, *error.key), error.what, error.hint, key=no_column)
            return None
    read: connectomes.Connectome = context.kept[key]
    for which, file in files.items():
        found = read.report.files[which]
        where = context.parsed.tree.spell((*here, which, "file"))
        context.files[where] = FileRecord(file.file, str(found.path), found.sha256, found.size)
    if read.report.mixed:
        count = f"{read.report.mixed:,} connection" + ("s are" if read.report.mixed > 1 else " is")
        what = f"{count} made of rows of several kinds of synapse"
        column = read.report.columns["edges"].get("kind", "Type")
        kinds = " or ".join(
            f"`where: {{{column}: {kind}}}`" for kind in list(read.report.types)[:2]
        )
        hint = f"read one kind: {kinds}" if kinds else "read one kind, with `where`"
        context.problem("NB604", (*here, "edges"), what, hint)
    return read


def twice_said(words: Connectome) -> str | None:
    """A neurotransmitter that has another sign under another spelling."""
    seen: dict[str, int] = {}
    signs = (words.signs or {}).items()
    return next(
        (word for word, sign in signs if seen.setdefault(word.casefold(), sign) != sign), None
    )


def _check_signs(
    context: Context, here: Location, words: Connectome, read: connectomes.Connectome
) -> None:
    """Warn of signs that nobody has, and of neurotransmitters that have none."""
    columns = read.report.columns
    kinds = list(read.report.types) if "transmitter" in columns["edges"] else []
    if (column := columns["neurons"].get("sign")) is not None and column in read.neurons.columns:
        kinds = list(dict.fromkeys(read.neurons.columns[column].tolist()))
    if words.signs is None:
        if kinds and read.signs is None:
            what = "the neurotransmitters of the edges say nothing without `signs`: all are free"
            hint = "say which excite and which inhibit, e.g. `signs: {ACH: 1, GABA: -1}`"
            context.problem("NB605", (*here, "edges"), what, hint)
        return
    known = {str(kind).casefold() for kind in kinds}
    for transmitter in words.signs:
        if transmitter.casefold() not in known:
            what = f"no neuron has the neurotransmitter `{show(transmitter)}`"
            hint = context.near(transmitter, [str(kind) for kind in kinds if kind])
            context.problem("NB605", (*here, "signs", transmitter), what, hint, key=True)


def _controlled(found: Wired, rng: np.random.Generator) -> Wired:
    """The null model of a connectome."""
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
    table = Nodes(found.table.names, dict(found.table.columns), signs)
    return replace(found, table=table, wiring=wiring, counts=counts)


def fits_connectome(context: Context, i: int, reads: Units, found: Wired) -> bool:
    """Whether the units that a linear layer reads are the connectome's neurons."""
    here: Location = ("layers", i, "connectome")
    n = len(found.table.names)
    if reads.size != n:
        what = f"the connectome has {n:,} neurons, and this layer reads {reads.size:,} units"
        hint = "its connections lead from the units that are read, one for each neuron"
        context.problem("NB301", here, what, hint, key=True)
        return False
    if reads.table is not None and not np.array_equal(reads.names, found.table.names):
        what = f"the units of `{reads.layer}` have other names than the connectome's neurons"
        context.problem("NB301", here, what, "both need the same node table", key=True)
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
