"""From Python's layer dictionaries to a spec: arrays move to files beside it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netbuild.spec.dump import dump_yaml
from netbuild.spec.paths import near

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
    Returns the path. Raises ValueError for missing or unknown keys; nothing is written then.
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
    for name, array in arrays.items():
        file = path.parent / name
        file.parent.mkdir(exist_ok=True)
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        file.write_bytes(buffer.getvalue())
    path.write_text(text)
    return path


def _layer(
    struct: Mapping[str, Any], default: str, stem: str, arrays: dict[str, np.ndarray[Any, Any]]
) -> dict[str, Any]:
    for key in struct:
        if key not in _KEYS:
            raise ValueError(f"unknown key {key!r} in a layer_struct; {near(key, _KEYS)}")
    missing = [key for key in ("input_dim", "output_dim") if key not in struct]
    if missing:
        raise ValueError(f"a layer_struct needs {missing[0]!r}")
    name = struct.get("name", default)
    layer: dict[str, Any] = {"name": name, "type": "linear"}
    for key, value in struct.items():
        if key in ("name", "type") or (value is None and key in _MASKS):
            continue
        if key in (*_MASKS, "weight", "bias") and _is_array(value):
            file = f"{stem}_arrays/{name}_{key}.npy"
            arrays[file] = np.asarray(value)
            layer[key] = {"file": file}
            if arrays[file].ndim == 2:
                layer[key]["rows"] = "post" if key == "weight" else "pre"
        else:
            layer[key] = value
    return layer


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") or isinstance(value, (list, tuple))
