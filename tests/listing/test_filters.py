"""Conditions on the columns of runs and on paths of their specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from run_folders import listed, make_run

from netbuild.listing import entries, entry
from netbuild.listing.filters import SpecValues, parse_condition


@pytest.mark.parametrize(
    ("filters", "seeds"),
    [
        (["seed=2"], [2]),
        (["seed!=2"], [0, 1, 3]),
        (["seed>=1", "seed<3"], [1, 2]),
        (["accuracy>0.15"], [2, 3]),
        (["status=finished"], [0, 1, 3]),
        (["status=stopped early"], [2]),
        (["status=*ed*"], [0, 1, 2, 3]),
        (["name=small"], [0, 1, 2, 3]),
        (["name=s*l"], [0, 1, 2, 3]),
        (["name=smal"], []),
        (["spec=0003"], [3]),
        (["spec=0000beef"], [0]),
        (["commit=22"], [2]),
        (["changed=true"], [1, 3]),
        (["changed=1"], []),
        (["seed=true"], []),
        (["started>=2026-11-22T06:02"], [2, 3]),
        (["best=null"], []),
        (["training.lr=0.01"], [2]),
        (["training.lr=1e-2"], [2]),
        (["training.lr>0.01"], [0, 1, 3]),
        (["training.lr=0.01", "seed=0"], []),
        (["layers[hidden].activation=relu"], [0, 1, 2, 3]),
        (["layers[hidden].activation={type: relu}"], [0, 1, 2, 3]),
        (["layers[hidden].activation=tanh"], []),
        (["layers[0].name=hid*"], [0, 1, 2, 3]),
        (["training.clip_grad_norm=null"], [0, 1, 2, 3]),
    ],
)
def test_filters(cli: Any, here: Path, filters: list[str], seeds: list[int]) -> None:
    for number in range(4):
        make_run(here, number, **({"status": "stopped early"} if number == 2 else {}))
    options = [word for each in filters for word in ("--filter", each)]
    assert [row["seed"] for row in listed(cli, *options)] == seeds


@pytest.mark.parametrize(
    ("option", "text", "what", "hint"),
    [
        ("--filter", "seed", "a filter is KEY=VALUE; got `seed`", "write for example"),
        ("--filter", "statsu=finished", "there is no key `statsu`", "did you mean `status`?"),
        ("--filter", "training.rl=1", "there is no key `rl`", "it can only be `lr`"),
        ("--filter", "layers[hiden].name=x", "no item is named `hiden`", "`hidden`?"),
        ("--filter", "seed=[1", "--filter seed=[1: ", ""),
        ("--filter", "a..b=1", "`a..b` is not a path", "keys are joined by dots"),
        ("--sort", "training.rl", "there is no key `rl`", "it can only be `lr`"),
        ("--sort", "", "an empty path", ""),
    ],
)
def test_what_cannot_be_sorted_or_filtered_by_is_a_usage_error(
    cli: Any, here: Path, option: str, text: str, what: str, hint: str
) -> None:
    make_run(here)
    result = cli("runs", option, text)
    assert (result.code, result.out) == (2, "")
    assert what in result.err
    assert hint in result.err


def test_a_shared_spec_is_read_once_and_a_damaged_one_fits_nothing(here: Path) -> None:
    paths = [make_run(here, number, spec_hash="same") for number in range(3)]
    (paths[0] / "resolved.yaml").write_text("layers: [")
    condition, specs = parse_condition("training.lr>0"), SpecValues()
    assert [condition.holds(each, specs) for each in entries(here)] == [False, True, True]
    (paths[2] / "resolved.yaml").unlink()
    assert condition.holds(entry(paths[2]), specs)
