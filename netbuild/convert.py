"""From Python's layer dictionaries to a spec: arrays move to files beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netbuild.language import load
from netbuild.language.dump import dump_yaml
from netbuild.wording import near

_KEYS = {
    *("name", "type", "input_dim", "output_dim", "weight", "bias", "activation", "from"),
    *("ei_mask", "sparsity_mask", "plasticity_mask", "dale", "dale_init", "ei_balance", "seed"),
}
_MASKS = ("ei_mask", "sparsity_mask", "plasticity_mask")


def save_spec(network: Mapping[str, Any], path: str | Path) -> Path:
    """Write `{"layers": [layer_struct, ...]}` as a spec, its arrays as `.npy` files beside it.

    A layer_struct is what `LinearLayer.from_dict` takes (nn4n's words), with an optional `name`.
    Masks are (input_dim, output_dim) and become `rows: pre`; weights are (output_dim, input_dim)
    and become `rows: post`. Other keys of `network` go into the file as they are. What nn4n does
    by itself (`dale_init: clamp`, `ei_balance: nn4n`) is only written when the struct says so.
    Weights that a struct names by a scheme are drawn again, from the spec's `seed` and the layer's
    name. Returns the path. Raises ValueError for missing or unknown keys, and SpecError for what
    does not load; nothing is written then.
    """
    path = Path(path)
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    structs = network.get("layers")
    if not structs:
        raise ValueError("no layers: expected {'layers': [layer_struct, ...]}")
    layers = [
        _layer(struct, f"layer{i + 1}", path.stem, arrays) for i, struct in enumerate(structs)
    ]
    rest = {key: value for key, value in network.items() if key not in ("layers", "netbuild")}
    text = dump_yaml({"netbuild": 1, **rest, "layers": layers})
    path.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and checked there, so that what is wrong leaves nothing behind.
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".netbuild-") as folder:
        draft = Path(folder)
        for name, array in arrays.items():
            (draft / name).parent.mkdir(exist_ok=True)
            np.save(draft / name, array, allow_pickle=False)
        (draft / path.name).write_text(text)
        load(draft / path.name, data_root=draft)
        for name in (*arrays, path.name):
            (path.parent / name).parent.mkdir(exist_ok=True)
            os.replace(draft / name, path.parent / name)
    return path


def _layer(
    struct: Mapping[str, Any], default: str, stem: str, arrays: dict[str, np.ndarray[Any, Any]]
) -> dict[str, Any]:
    for key in struct:
        if key not in _KEYS:
            hint = near(key, _KEYS) or f"there are {', '.join(sorted(_KEYS))}"
            raise ValueError(f"unknown key {key!r} in a layer_struct; {hint}")
    missing = [key for key in ("input_dim", "output_dim") if key not in struct]
    if missing:
        raise ValueError(f"a layer_struct needs {missing[0]!r}")
    name = struct.get("name", default)
    layer: dict[str, Any] = {"name": name, "type": "linear"}
    for key, value in struct.items():
        if key in ("name", "type") or (value is None and key in _MASKS):
            continue
        learn: dict[str, Any] = {}
        if isinstance(value, Mapping) and "value" in value and "init" not in value:
            learn = {"learn": value.get("learn", True)}  # {"value": array, "learn": False}
            value = value["value"]
        if key in (*_MASKS, "weight", "bias") and _is_array(value):
            array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
            if key == "sparsity_mask":  # in Python > 0 is a connection, in a file 0 and 1 are
                array = (array > 0).astype(np.uint8)
            file = f"{stem}_arrays/{name}_{key}.npy"
            arrays[file] = array
            layer[key] = {"file": file, **learn}
            if array.ndim == 2:
                layer[key]["rows"] = "post" if key == "weight" else "pre"
        else:
            layer[key] = value
    return layer


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or isinstance(value, (list, tuple))
