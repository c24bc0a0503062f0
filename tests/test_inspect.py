"""What `inspect` counts: the connections from each area to each."""

from __future__ import annotations

from pathlib import Path

from checks import spec_of

from netbuild.builder import build
from netbuild.inspect import areas

AREAS = "areas: {V1: {size: 6, excitatory: 0.5, tau: 20}, PFC: {size: 4, excitatory: 0.75}}"


def one(words: str, head: str = "dt: 10\n", **more: str) -> str:
    keys = {"size": "size: 5", "tau": "tau: 100"} | more
    listed = ", ".join(filter(None, (*keys.values(), words)))
    return f"{head}layers: [{{name: h, type: ctrnn, input_dim: 3, {listed}}}]\n"


def test_inspect_tells_who_is_connected_to_whom(tmp_path: Path) -> None:
    text = one(
        f"{AREAS}, recurrent: {{projections: [{{from: V1.excitatory, to: PFC, density: 0.5}}]}}",
        size="",
    )
    spec = spec_of(tmp_path, text)
    rows = {
        (row["map"], row["from"], row["to"]): row for row in areas(build(spec), spec.plan.layers)
    }
    assert len(rows) == 2 + 4
    block = rows["h.recurrent", "V1", "PFC"]
    assert (block["from_units"], block["to_units"], block["n_connections"]) == (6, 4, 6)
    assert (block["n_excitatory"], block["n_inhibitory"], block["density"]) == (6, 0, 0.25)
    assert rows["h.recurrent", "PFC", "V1"]["n_connections"] == 0
    assert rows["h.input", "input", "V1"]["density"] == 1
