"""`netbuild config`: the resolved spec, and where each value comes from."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import netbuild


def test_config_prints_what_loads_again(cli: Any, small: Path) -> None:
    text = cli("config", small, "--set", "training.batch_size=4").out
    copy = small.parent / "copy.yaml"
    copy.write_text(text)
    assert netbuild.load(copy).data == netbuild.load(small, ["training.batch_size=4"]).data
    data = json.loads(cli("config", small, "--format", "json", "--unset", "seed").out)
    assert data["seed"] == 0


def test_origins_of_every_value(cli: Any, small: Path) -> None:
    over = small.parent / "over.yaml"
    over.write_text("netbuild: 1\nextends: [small.yaml]\nseed: 5\n")
    out = cli("config", over, "--origins", "--set", "training.batch_size=4").out
    origins = dict(line.split("  # ") for line in re.sub(r" {2,}#", "  #", out).splitlines())
    assert origins["seed: 5"] == f"{over}:3:7"
    assert origins["training.batch_size: 4"] == "--set #1, column 21"
    assert origins["training.steps: 24"].startswith(f"{small}:20:")
    assert origins["layers[hidden].dale: project"] == "default"
    assert origins["layers[hidden].activation.type: relu"].startswith(f"{small}:10:")
    records = json.loads(cli("config", over, "--origins", "--format", "json").out)
    assert {"path": "device", "value": "auto", "origin": "default"} in records
