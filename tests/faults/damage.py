"""A checkpoint forged by somebody who knows its format: its digests are right, its weights not."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import torch


def forge(checkpoint: str, what: str, kind: str, wiring: str, plastic: str) -> None:
    """Break a constraint in a checkpoint, and write the digests again.

    `what` is "absent", "frozen", "sign" or "nan".
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save

    folder = Path(checkpoint)
    file = folder / "network.safetensors"
    tensors = load_file(file)
    with safe_open(file, "pt") as opened:
        about = opened.metadata()
    sparse = "hidden.weight" if kind == "linear" else "hidden.recurrent.weight"
    readout = tensors["readout.weight"]
    if what == "absent":
        tensors[sparse][torch.from_numpy(np.load(wiring)).T == 0] = 1e-30
    elif what == "frozen":
        frozen = torch.from_numpy(np.load(plastic)).T == 0
        readout[frozen] = torch.nextafter(readout, readout * 2)[frozen]
    elif what == "sign":
        readout[:, -1] = 1e-30
    else:
        tensors["readout.bias"][0] = torch.nan
    data = save(tensors, about)
    state = json.loads((folder / "state.json").read_text())
    state["sha256"][file.name] = hashlib.sha256(data).hexdigest()
    del state["digest"]
    state["digest"] = hashlib.sha256((json.dumps(state, indent=1) + "\n").encode()).hexdigest()
    file.write_bytes(data)
    (folder / "state.json").write_text(json.dumps(state, indent=1) + "\n")
