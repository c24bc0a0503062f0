"""Validating a long spec against importing what a command line of this kind needs.

python -m benchmarks.long_spec. 1,000 lines, 100 layers, with masks, regularizers and training.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.startup import NETBUILD, command
from benchmarks.timing import alternate

LAYERS = 100
LINES = 1000


def spec() -> str:
    """A correct spec with exactly this number of lines and layers."""
    lines = ["netbuild: 1", "name: long", "seed: 1", "layers:"]
    for i in range(LAYERS):
        lines += [
            f"  - name: l{i}",
            "    type: linear",
            "    input_dim: 20",
            "    output_dim: 20",
            "    excitatory: 0.8",
            "    activation: relu",
            "    weight: {init: normal, std: 0.1}",
            "    density: 0.5",
        ]
    lines += ["regularizers:"]
    for i in range(LAYERS // 2):
        lines += ["  - type: L2", f"    params: l{i}.weight", "    Lambda: 1e-4"]
    lines += ["training:", "  steps: 100", "  optimizer: {type: Adam, lr: 1e-3}"]
    lines += ["# "] * (LINES - len(lines))
    return "\n".join(lines) + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.yaml"
        path.write_text(spec())
        floor, ours = alternate(
            {
                "floor": command("import typer, pydantic, yaml, numpy"),
                "ours": command(NETBUILD, "validate", str(path)),
            },
            pairs=15,
        ).values()
    print(f"a spec of {LINES} lines and {LAYERS} layers")
    print(f"  python -c 'import typer, pydantic, yaml, numpy'  {floor * 1e3:6.0f} ms")
    print(f"  netbuild validate long.yaml                      {ours * 1e3:6.0f} ms", end="")
    print(f"   {ours / floor:.2f} x the floor")


if __name__ == "__main__":
    main()
