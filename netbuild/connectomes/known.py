"""Columns of an edge list, and attributes of a graph's edges, that are known by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from netbuild.connectomes.options import Options

# In small letters; the first that is there counts.
WEIGHTS = ("weight", "syn_count", "synapses", "count")
TRANSMITTERS = ("nt_type", "neurotransmitter", "nt", "top_nt", "type")
KINDS = ("type", "synapse_type", "syn_type", "synapse")  # of synapse, if these words alone:
SYNAPSE = re.compile(
    r"(chem(ical)?|electric(al)?|gap)([ _-]?(synapse|junction)s?)?"
    r"|gj|ej|nmj|sp?|rp?",  # send, receive, of several partners: the words of White et al. 1986
    re.IGNORECASE,
)


def settle(columns: dict[str, str], kinds: Iterable[str], options: Options) -> None:
    """Take "type" or "kind" out of `columns`, where both may be one column; its words tell which.

    `kinds` are the words of the column under "kind": of synapses, or it is of something else.
    """
    if "kind" not in columns:
        return
    words = [word for word in kinds if word]
    if not (words and all(map(SYNAPSE.fullmatch, words))):
        del columns["kind"]
    elif options.type is None and columns.get("type") == columns["kind"]:
        del columns["type"]
