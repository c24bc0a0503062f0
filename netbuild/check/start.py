"""`start_from`: the run, the checkpoint and the parameters that a training begins with."""

from __future__ import annotations

from pathlib import Path

from netbuild import masks
from netbuild.check.checked import Spec


def project_root(spec: Spec) -> str:
    """The folder that files named in a spec may lie in."""
    root: Path = spec.options.data_root or masks.project_root(spec.folder)
    return str(root)
