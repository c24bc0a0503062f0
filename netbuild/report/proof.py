"""The constraints of a network, and what its saved weights prove of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from netbuild.inspect import summary
from netbuild.layers import LinearLayer, Network, linear_maps
from netbuild.report.cells import Block, Code, Note, Number, Paragraph, Row, Table, number
from netbuild.wording import counted

MEANINGS = {
    "sign": "a weight has the sign that its connection must have, or is 0",
    "absent": "a weight without a connection is exactly 0",
    "frozen": "a frozen weight has the very bits that the training began with",
    "range": "a parameter is within its range",
}


@dataclass(frozen=True)
class Proof:
    """What the weights of a checkpoint are, as `netbuild inspect` has it."""

    found: Mapping[str, Any]
    signs: Mapping[str, tuple[int, int]]  # of each map with signs: how many, and how many wrong

    @property
    def violations(self) -> int:
        """How many weights violate a constraint."""
        return sum(check["violations"] for check in self.found["constraints"])


def proof_of(network: Network, initial: Mapping[str, Tensor]) -> Proof:
    """Check the weights of a network against its masks, and against its start."""
    signs = {
        name: _signs(layer)
        for name, layer in linear_maps(network).items()
        if layer.sign is not None
    }
    return Proof(summary(network, initial), signs)


def _signs(layer: LinearLayer) -> tuple[int, int]:
    """How many connections have a reference sign, and how many weights of them have the other."""
    assert layer.sign is not None
    weight, signed = layer.effective_weight.detach(), layer.sign != 0
    if layer.connected is not None:
        signed = signed & layer.connected
    wrong = signed.expand(weight.shape) & (weight * layer.sign < 0)
    return int(signed.expand(weight.shape).sum()), int(wrong.sum())


def proof_blocks(proof: Proof, step: int) -> list[Block]:
    """The proof in words and tables."""
    checks = proof.found["constraints"]
    covered = sum(check["weights"] for check in checks)
    if not checks:
        first: Block = Paragraph("No constraint holds for any weight of this network.")
    elif proof.violations:
        what = f"{counted(proof.violations, 'weight')} of step {step:,} violate a constraint."
        first = Note(what)
    else:
        what = f"None of {covered:,} constrained entries of step {step:,} violates its constraint."
        first = Note(what, "good")
    parameters = proof.found["parameters"]
    counts = (
        f"Of {parameters['total']:,} stored parameters {parameters['learnable']:,} learn,"
        f" {parameters['absent_or_frozen']:,} are absent or frozen, and {parameters['fixed']:,} do"
        " not learn. The weights were read from the checkpoint, whose digests were checked, and"
        " counted again for this page."
    )
    blocks: list[Block] = [first, Paragraph(counts)]
    if checks:
        rows: list[Row] = [
            (
                Code(check["layer"]),
                MEANINGS[check["constraint"]],
                number(check["weights"]),
                number(check["violations"]),
            )
            for check in checks
        ]
        head = ("Map", "Constraint", "Covers", "Violations")
        blocks.append(
            Table("Constraints and their violations", head, rows, (0.25, 0.45, 0.15, 0.15))
        )
    return [*blocks, *_weights(proof), *_spectra(proof), *_terms(proof)]


def _weights(proof: Proof) -> list[Block]:
    rows: list[Row] = []
    for name, specs in proof.found["layers"].items():
        if "n_connections" not in specs:
            continue
        signed, wrong = proof.signs.get(name, (0, 0))
        rows.append(
            (
                Code(name),
                number(specs["n_connections"]),
                number(specs["density"]),
                number(specs["weight_min"]),
                number(specs["weight_max"]),
                number(specs["frozen_fraction"]),
                number(wrong / signed) if signed else Number("-"),
            )
        )
    head = ("Map", "Connections", "Density", "Least weight", "Largest weight", "Frozen part",
            "Part of the wrong sign")  # fmt: skip
    widths = (0.22, 0.14, 0.1, 0.13, 0.14, 0.11, 0.16)
    return [Table("The trained weights", head, rows, widths)] if rows else []


def _spectra(proof: Proof) -> list[Block]:
    rows: list[Row] = [
        (
            Code(name),
            number(specs["spectral_radius"]),
            number(specs["alpha_min"]),
            number(specs["alpha_max"]),
            number(specs["isolated_units"]),
        )
        for name, specs in proof.found["layers"].items()
        if "spectral_radius" in specs
    ]
    head = ("Layer", "Spectral radius", "Least α", "Largest α", "Isolated units")
    return [Table("The trained recurrent layers", head, rows)] if rows else []


def _terms(proof: Proof) -> list[Block]:
    rows: list[Row] = [
        (Code(name), number(term["raw"]), number(term["weighted"]))
        for name, term in proof.found["regularizers"].items()
    ]
    head = ("Regularizer", "Term R", "Λ R")
    return [Table("Regularizers of the trained weights", head, rows)] if rows else []
