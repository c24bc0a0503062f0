"""What must not change while the house is rebuilt, as digests in `golden/behaviour.json`.

Of 600 drawn specs and of all examples: the spec hash, the problems and warnings, and a digest of
the initial state. Of the examples and of the specs of the fault battery: a digest of the last
checkpoint after a short training on one thread.

Initial states and trainings have the same bits on one kind of processor alone, which the file
names.

`python tests/behaviour.py` compares with the file and lists each difference;
`python tests/behaviour.py --write` writes it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch  # noqa: E402
from drawn.specs import draw_spec  # noqa: E402
from faults.specs import KINDS, write_spec  # noqa: E402

import netbuild  # noqa: E402
from netbuild.errors import SpecError  # noqa: E402
from netbuild.runs.checkpoint import open_checkpoint  # noqa: E402
from netbuild.runs.provenance import processor  # noqa: E402

FILE = TESTS / "golden" / "behaviour.json"
EXAMPLES = TESTS.parent / "examples"
DRAWN = 600
# Steps of a short training of an example, and what makes them few where a task counts epochs.
SHORT = (
    *("training.steps=6", "training.epochs=null", "training.checkpoint.every=3"),
    *("training.evaluate.every=null", "training.stop_when=null"),
)
NOT_HERE = ("fly.yaml",)  # its data is made by a script, and is large


def digest_of(tensors: dict[str, torch.Tensor]) -> str:
    """A digest of names, shapes and bits."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.numpy().tobytes())
    return found.hexdigest()[:16]


def of_spec(path: Path) -> dict[str, Any]:
    """What `load` and `build` make of a spec."""
    try:
        spec = netbuild.load(path)
    except SpecError as error:
        return {"problems": [f"{p.code} {p.path}" for p in error.problems]}
    warnings = [f"{p.code} {p.path}" for p in spec.warnings]
    network = netbuild.build(spec, device="cpu")
    return {"hash": spec.hash, "warnings": warnings, "state": digest_of(network.state_dict())}


def of_training(path: Path, folder: Path, changes: tuple[str, ...] = ()) -> str:
    """A digest of the last checkpoint of a short training: weights, optimizer and evaluations."""
    run = netbuild.train(netbuild.load(path, changes), folder)
    found = open_checkpoint(run.checkpoint())
    state = json.loads((found.path / "state.json").read_text())
    kept = {key: state[key] for key in ("step", "evaluations", "best", "sha256")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def everything() -> Iterator[tuple[str, Any]]:
    """Each name with what is compared."""
    examples = sorted(
        p
        for p in EXAMPLES.rglob("*.yaml")
        if p.name not in NOT_HERE and p.parent.name != "experiments"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").touch()  # a project ends here
        for seed in range(DRAWN):
            path = folder / "drawn.yaml"
            path.write_text(json.dumps(draw_spec(seed, folder)))
            yield f"drawn {seed}", of_spec(path)
        for path in examples:
            yield f"example {path.stem}", of_spec(path)
            if netbuild.load(path).model.task is not None:
                yield f"training {path.stem}", of_training(path, folder / "runs", SHORT)
        for kind in KINDS:
            path = write_spec(folder / "faults" / kind, kind)
            yield f"training of the battery's {kind}", of_training(path, folder / "runs")


def main(arguments: list[str]) -> int:
    """Compare or write; returns 1 where something differs."""
    torch.set_num_threads(1)
    found = dict(everything())
    if arguments == ["--write"]:
        data = {"processor": processor(), "torch": torch.__version__, "found": found}
        FILE.write_text(json.dumps(data, indent=0) + "\n")
        print(f"wrote {FILE}: {len(found)} entries")
        return 0
    known = json.loads(FILE.read_text())
    if known["processor"] != processor():
        print(f"{FILE.name} is of another processor: only hashes and problems are compared")
        known["found"], found = _without_bits(known["found"]), _without_bits(found)
    different = [name for name in known["found"] if found.get(name) != known["found"][name]]
    for name in different:
        print(f"{name}: {known['found'][name]} then, {found.get(name)} now")
    print(f"{len(found)} entries, {len(different)} different")
    return int(bool(different))


def _without_bits(found: dict[str, Any]) -> dict[str, Any]:
    """The entries that no processor decides."""
    return {
        name: {key: value for key, value in entry.items() if key != "state"}
        for name, entry in found.items()
        if isinstance(entry, dict)
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
