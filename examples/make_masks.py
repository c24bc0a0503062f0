"""Writes the mask files of the examples: python examples/make_masks.py [FOLDER]."""

import sys
from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
    """Write every mask file below `folder`/masks."""
    masks = folder / "masks"
    masks.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)

    # Rows are presynaptic: 128 units project to 10. Connections from the first 13 are frozen.
    plastic = np.ones((128, 10), dtype=int)
    plastic[:13] = 0
    np.savetxt(masks / "plastic.csv", plastic, fmt="%d", delimiter=",")

    np.save(masks / "wiring.npy", (rng.random((6, 8)) < 0.5).astype(np.uint8))
    np.savez(masks / "counts.npz", synapses=rng.poisson(2.0, (8, 8)).astype(np.int32))
    half = rng.choice([0.0, 0.5, 1.0], (8, 5))
    np.savetxt(masks / "half_plastic.csv", half, fmt="%g", delimiter=",")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
