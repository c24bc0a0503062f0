"""`netbuild build`: the initial network as a safetensors file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.options import load_spec
from netbuild.cli.outputs import need_folder
from netbuild.cli.standard import say
from netbuild.errors import Exit


def build(
    spec: options.SpecPath,
    output: Annotated[Path, options.output("Where to write.")],
    set_: options.Set = None,
    unset: options.Unset = None,
    device: options.Device = None,
    data_root: options.DataRoot = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the initial network as safetensors, the spec and its digests inside."""
    need_folder(output.parent)
    checked = load_spec(spec, set_, unset, device, data_root, warn=None if quiet else "text")
    from netbuild.builder import build as build_network
    from netbuild.durable import digest, replace_file
    from netbuild.runs.checkpoint import network_tensors, pack, refuse_violations

    network = build_network(checked)
    refuse_violations(network.verify(), Exit.BUG)
    files = {where: record.sha256 for where, record in checked.files.items()}
    about = {"format": 1, "spec": checked.data, "spec_hash": checked.hash, "files": files}
    if checked.plan.trained_on:
        about["trained_on"] = [split.to_data() for split in checked.plan.trained_on]
    data = pack(network_tensors(network), about)
    replace_file(output, data)
    if not quiet:
        say(f"{output}: {len(data):,} bytes, sha256 {digest(data)}")
