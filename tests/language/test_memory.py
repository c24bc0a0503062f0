"""Memory from arithmetic: nothing is allocated to find out that there is too little."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import pytest
from checks import HEAD

from netbuild.errors import Exit, SpecError
from netbuild.language import load
from netbuild.language.memory import BYTES_PER_UNIT, BYTES_PER_VALUE, BYTES_PER_WEIGHT
from netbuild.system import memory_bytes

TEXT = HEAD + "layers: [{{name: a, type: linear, input_dim: {}, output_dim: {}}}]\n"


def file_of(folder: Path, rows: int, columns: int) -> Path:
    file = folder / "spec.yaml"
    file.write_text(TEXT.format(rows, columns))
    return file


def test_the_limit_is_exact(tmp_path: Path) -> None:
    file = file_of(tmp_path, 30, 20)
    needed = 600 * BYTES_PER_WEIGHT + 20 * BYTES_PER_VALUE + 50 * BYTES_PER_UNIT
    assert load(file, memory_limit=needed)
    with pytest.raises(SpecError) as caught:
        load(file, memory_limit=needed - 1)
    assert caught.value.exit_code == Exit.RESOURCES
    assert [problem.code for problem in caught.value.problems] == ["NB901"]


def test_what_a_layer_learns_beside_its_maps_counts(tmp_path: Path) -> None:
    """Each unit of a recurrent layer has two biases, an alpha and an initial state."""
    file = tmp_path / "spec.yaml"
    file.write_text(HEAD + "layers: [{name: a, type: ctrnn, input_dim: 3, size: 7, alpha: 0.1}]\n")
    needed = (21 + 49) * BYTES_PER_WEIGHT + 4 * 7 * BYTES_PER_VALUE + 10 * BYTES_PER_UNIT
    assert load(file, memory_limit=needed)
    with pytest.raises(SpecError):
        load(file, memory_limit=needed - 1)


@pytest.mark.parametrize("size", [10**6, 10**9, 10**12])
def test_sizes_beyond_any_machine_are_refused_at_once(tmp_path: Path, size: int) -> None:
    file = file_of(tmp_path, size, size)
    file.write_text(file.read_text().replace("}]", ", density: 0.5, excitatory: 0.5}]"))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(SpecError) as caught:
        load(file)
    assert caught.value.exit_code == Exit.RESOURCES
    assert time.process_time() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_the_largest_layers_are_named(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    sizes = [1, 40, 20, 30, 10]
    layers = "".join(
        f"- {{name: l{i}, type: linear, from: input, input_dim: 100, output_dim: {n}}}\n"
        for i, n in enumerate(sizes)
    )
    file.write_text(f"{HEAD}layers:\n{layers}")
    with pytest.raises(SpecError) as caught:
        load(file, memory_limit=1000)
    problem = caught.value.problems[0]
    assert problem.path == "layers[l1]"
    assert "`l1` 0.1 MB, `l3` 0.1 MB, `l2` 0.1 MB" in problem.hint


def test_units_that_no_map_is_known_for_count_too(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        f"""{HEAD}layers:
- {{name: a, type: ctrnn, input_dim: 3, alpha: 0.1}}
- {{name: b, type: linear, output_dim: 1000000000000}}
- {{name: c, type: dropout, p: 0.1}}
"""
    )
    with pytest.raises(SpecError) as caught:
        load(file)
    assert {problem.code for problem in caught.value.problems} == {"NB102", "NB901"}


def test_other_problems_are_told_too(tmp_path: Path) -> None:
    file = file_of(tmp_path, 10**9, 10**9)
    file.write_text(file.read_text() + "seed: -1\n")
    with pytest.raises(SpecError) as caught:
        load(file)
    assert [problem.code for problem in caught.value.problems] == ["NB901", "NB104"]
    assert caught.value.exit_code == Exit.SPEC  # the lowest


def test_this_machine_has_memory() -> None:
    assert 10**8 < memory_bytes() < 10**15
