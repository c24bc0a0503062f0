"""Looks at the weights after every step, with nothing of netbuild's own checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from faults.seams import wrap


def watch(wiring: str, plastic: str, kind: str, first: str | None = None) -> dict[str, Any]:
    """Look after every step of the optimizer; returns what will be found, and counted.

    `wiring` and `plastic` are the masks' files, `first` the file of the run's first weights if
    this training goes on with one.
    """
    from safetensors.torch import load_file

    found: list[str] = []
    counted: dict[str, Any] = {"violations": found, "looks": 0}
    absent = torch.from_numpy(np.load(wiring)).T == 0
    frozen = torch.from_numpy(np.load(plastic)).T == 0
    signs = torch.tensor([1.0] * 6 + [-1.0] * 2)  # of the 8 hidden units
    sparse = "hidden.weight" if kind == "linear" else "hidden.recurrent.weight"
    signed = ["readout.weight"] if kind == "linear" else [sparse, "readout.weight"]
    start: Any = load_file(first)["readout.weight"] if first else None

    def look(network: Any) -> None:
        counted["looks"] += 1
        weights = {name: p.detach() for name, p in network.named_parameters()}
        if bool(weights[sparse][absent].ne(0).any()):
            found.append(f"an absent connection of {sparse}")
        wrong = [name for name in signed if bool((weights[name] * signs).lt(0).any())]
        found.extend(f"a sign of {name}" for name in wrong)
        if not torch.equal(weights["readout.weight"][frozen], start[frozen]):
            found.append("a frozen weight")

    def taken(real: Any, trainer: Any, **options: Any) -> Any:
        nonlocal start
        if start is None:
            start = trainer.network.get_parameter("readout.weight").detach().clone()
        if not counted["looks"]:
            look(trainer.network)
        values = real(trainer, **options)
        look(trainer.network)
        return values

    wrap("step", taken)
    return counted
