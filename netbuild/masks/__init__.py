"""Masks and matrices from files and from chance; numpy in and out, never torch.

- paths: which file a path in a spec means, and whether it may be read
- readers: one array from an .npy, .npz or text file, and its digest (npy, npz, text: the formats)
- values: what makes an array a sparsity, sign or plasticity mask, and which way round it lies
- generators: masks that are drawn, with exact numbers of connections
- wiring: connections as pairs, where a matrix would be too large
- tensors: the arrays of a safetensors file
"""

from netbuild.masks.generators import (
    fixed_indegree,
    indegree_among,
    random_among,
    random_mask,
    random_wiring,
    unit_signs,
)
from netbuild.masks.paths import locate, project_root, refuse_what_is_no_path
from netbuild.masks.readers import ArrayFile, Header, read_array, read_header
from netbuild.masks.values import (
    as_plasticity,
    as_signs,
    as_sparsity,
    extremes,
    finite,
    oriented,
)
from netbuild.masks.wiring import Wiring
from netbuild.rounding import round_half_up

__all__ = [
    "ArrayFile",
    "Header",
    "Wiring",
    "as_plasticity",
    "as_signs",
    "as_sparsity",
    "extremes",
    "finite",
    "fixed_indegree",
    "indegree_among",
    "locate",
    "oriented",
    "project_root",
    "random_among",
    "random_mask",
    "random_wiring",
    "read_array",
    "read_header",
    "refuse_what_is_no_path",
    "round_half_up",
    "unit_signs",
]
