"""`netbuild build`: the initial network as a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import safe_open

import netbuild


def test_build_writes_the_initial_network(cli: Any, small: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for output in outputs:
        result = cli("build", small, "-o", output)
        assert result.code == 0
        assert str(output) in result.out
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_the_file_holds_the_weights_and_where_they_come_from(cli: Any, small: Path) -> None:
    path = small.with_suffix(".safetensors")
    result = cli("build", small, "-o", path, "--set", "seed=7", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    spec = netbuild.load(small, ["seed=7"])
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["netbuild"])
        weight = file.get_tensor("hidden.weight")
    assert (about["spec"], about["spec_hash"]) == (spec.data, spec.hash)
    assert [*about["files"].values()] == [record.sha256 for record in spec.files.values()]
    assert weight.equal(netbuild.build(spec).get_submodule("hidden").weight)


def test_a_folder_that_is_missing_is_named_before_anything_is_computed(cli: Any) -> None:
    result = cli("build", "no.yaml", "-o", "nowhere/x.safetensors")
    assert result == (7, "", "error: there is no folder nowhere\n")
