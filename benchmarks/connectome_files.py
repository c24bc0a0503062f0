"""A 15-million-row edge list with 18-digit ids, from the file into a layer's pattern.

python -m benchmarks.connectome_files [--rows N] [--folder DIR]. Ours is
`read_connectome`, with its checks, its digest, and the merging of duplicates. In the floor, polars
reads the file, two numpy.searchsorted look up the ids in a sorted list, and one polars
group_by(pair).sum().sort() merges. Each runs in a separate process, whose peak memory is printed;
the seconds are those after the imports. At the end, the native format is written and loaded again.

The file has the columns of FlyWire's connection table: pre_root_id, post_root_id, syn_count; its
pairs are drawn, one in ten of them twice.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import polars as pl

from netbuild import connectomes
from netbuild.language.connectome import Connectome

WORDS = Connectome.model_validate({"edges": {"file": "edges"}})
NEURONS = 139_255
ROWS = 15_000_000
TURNS = 3
FIRST_ID = 720_575_940_600_000_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--measure", nargs=2, metavar=("WHAT", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(sys.argv[1:] if __name__ == "__main__" else [])
    if arguments.measure:
        what, file = arguments.measure
        print(json.dumps(measured(what, Path(file))))
        return
    with tempfile.TemporaryDirectory() as folder:
        tell(Path(folder), arguments.rows, arguments.turns)


def tell(folder: Path, rows: int, turns: int) -> None:
    files = generated(folder, rows)
    print(f"an edge list of {rows:,} rows among {NEURONS:,} neurons, into a wiring")
    print(f"{'file':>9}{'MB':>7}{'ours (s)':>10}{'floor (s)':>11}{'ratio':>7}{'ours, peak':>12}")
    for path in files:
        runs: dict[str, list[dict[str, float]]] = {"ours": [], "floor": []}
        for _ in range(turns):
            for what, results in runs.items():
                results.append(in_a_process(what, path))
        ours, floor = (median(run["seconds"] for run in runs[what]) for what in runs)
        peak = max(run["peak"] for run in runs["ours"])
        size = path.stat().st_size / 1e6
        print(
            f"{path.suffix[1:]:>9}{size:7.0f}{ours:10.2f}{floor:11.2f}{ours / floor:7.2f}"
            f"{peak:9.2f} GB"
        )
    native = folder / "native.npz"
    written = in_a_process(f"write {native}", files[-1])
    loaded = median(in_a_process("ours", native)["seconds"] for _ in range(turns))
    size = native.stat().st_size / 1e6
    print(f"native form, {size:.0f} MB: written in {written['seconds']:.2f} s, ", end="")
    print(f"loaded in {loaded:.2f} s")


def generated(folder: Path, rows: int) -> list[Path]:
    """The same rows as .csv and as .parquet."""
    rng = np.random.default_rng(0)
    ids = FIRST_ID + np.sort(rng.choice(60_000_000, NEURONS, replace=False))
    distinct = rows - rows // 11
    pairs = rng.integers(0, NEURONS, (2, distinct))
    pairs = np.concatenate([pairs, pairs[:, : rows - distinct]], axis=1)
    pairs = ids[pairs[:, rng.permutation(rows)]]
    counts = rng.geometric(0.2, rows)
    frame = pl.DataFrame({"pre_root_id": pairs[0], "post_root_id": pairs[1], "syn_count": counts})
    frame.write_csv(folder / "edges.csv")
    frame.write_parquet(folder / "edges.parquet")
    np.save(folder / "ids.npy", ids)
    return [folder / "edges.csv", folder / "edges.parquet"]


def in_a_process(what: str, path: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.connectome_files", "--measure", what, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(result.stdout))


def measured(what: str, path: Path) -> dict[str, float]:
    """Seconds and peak memory (GB) of one way to read a file, in this process."""
    if what == "floor":
        seconds = floor(path)
    elif what == "ours":
        start = perf_counter()
        connectomes.read_connectome(path, None, WORDS)
        seconds = perf_counter() - start
    else:
        connectome = connectomes.read_connectome(path, None, WORDS)
        start = perf_counter()
        connectomes.write_native(connectome, Path(what.removeprefix("write ")))
        seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "peak": peak * (1 if sys.platform == "darwin" else 1024) / 1e9}


def floor(path: Path) -> float:
    """What reading and merging cannot do without, by the public functions that do it."""
    ids = np.load(path.with_name("ids.npy"))
    start = perf_counter()
    frame = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    pre = np.searchsorted(ids, frame["pre_root_id"].to_numpy())
    post = np.searchsorted(ids, frame["post_root_id"].to_numpy())
    pairs = pl.DataFrame({"pair": post * len(ids) + pre, "count": frame["syn_count"]})
    pairs.group_by("pair").sum().sort("pair")
    return perf_counter() - start


if __name__ == "__main__":
    main()
