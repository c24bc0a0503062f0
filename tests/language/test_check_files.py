"""Missing and damaged files are reported beside other problems of the same section."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checks import said_of

LAYER = "layers: [{name: a, type: linear, input_dim: 2, output_dim: oops, WORDS}]\n"
WRONG = "NB103 layers[a].output_dim: expected a whole number, found the text `oops`"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("weight: w.npy", []),
        ("weight: none.npy", ["NB202 layers[a].weight: there is no file none.npy"]),
        ("weight: {file: none.npy, learn: true}", ["NB202 layers[a].weight: there is no file"]),
        ("weight: text.npy", ["NB204 layers[a].weight: "]),
        (
            "recurrent: {weight: none.npy}, sparsity_mask: none.csv",
            ["NB202 layers[a].sparsity_mask: there is no file none.csv"],
        ),
        ("connectome: {edges: none.csv}", ["NB202 layers[a].connectome.edges: there is no file"]),
        ("weight: {file: 3}", []),
    ],
)
def test_files_of_a_layer_that_does_not_parse(tmp_path: Path, words: str, found: list[str]) -> None:
    np.save(tmp_path / "w.npy", np.ones((3, 2)))
    (tmp_path / "text.npy").write_text("no array")
    said = said_of(tmp_path, LAYER.replace("WORDS", words))
    assert WRONG in said
    files = [line for line in said if line.startswith("NB2")]
    assert len(files) == len(found)
    assert all(line.startswith(start) for line, start in zip(files, found, strict=True))


def test_files_of_parts_that_parse_are_left_to_their_own_checks(tmp_path: Path) -> None:
    text = "layers: [{name: a, type: linear, input_dim: 2, output_dim: 3, weight: none.npy}]\n"
    said = said_of(tmp_path, text + "training: {batch_size: oops}\n")
    assert len([line for line in said if line.startswith("NB202")]) == 1
