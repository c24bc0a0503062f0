"""An nn4n layer_struct moved to YAML: python examples/nn4n_layer.py [FOLDER]."""

import sys
from pathlib import Path

import numpy as np

import netbuild


def write(folder: Path) -> None:
    """Write nn4n_layer.yaml and its arrays into `folder`."""
    rng = np.random.default_rng(0)
    layer_struct = {  # as nn4n's LinearLayer takes it: masks are (input_dim, output_dim)
        "input_dim": 10,
        "output_dim": 6,
        "weight": "uniform",
        "bias": None,
        "ei_mask": np.repeat(np.where(np.arange(10) < 8, 1, -1)[:, None], 6, axis=1),
        "sparsity_mask": (rng.random((10, 6)) < 0.6).astype(int),
        "plasticity_mask": rng.choice([0.0, 1.0], (10, 6), p=[0.2, 0.8]),
    }
    # What nn4n does implicitly is written out: wrong signs become 0, then a global balance.
    layer_struct |= {"dale_init": "clamp", "ei_balance": "nn4n"}
    netbuild.save_spec({"name": "nn4n-layer", "layers": [layer_struct]}, folder / "nn4n_layer.yaml")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
