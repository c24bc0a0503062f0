"""A connectome with the size, schema and degree statistics of FlyWire's; no real data.

    python generate.py [--neurons 139255] [--connections 15000000] [--seed 0] [--out .]

It writes `trials.npz`, a task, and `edges.parquet` and `neurons.parquet` with the columns of
FlyWire's tables, release 783: 139,255 neurons with 18-digit ids, their class and neurotransmitter;
a row of `edges` for each pair of neurons and neuropil with the count of synapses. The numbers of
neurons of each class are those of Dorkenwald et al. 2024 (doi 10.1038/s41586-024-07558-y). Which
neurons are connected is random: numbers of partners are log-normal, counts of synapses have a heavy
tail. FlyWire has 15 million connections, of which 2.7 million have five synapses or more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

CLASSES = {
    "optic": 77_536,
    "central": 32_388,
    "sensory": 16_903,
    "visual_projection": 8_053,
    "ascending": 2_362,
    "descending": 1_303,
    "visual_centrifugal": 524,
    "motor": 106,
    "endocrine": 80,
}
TRANSMITTERS = {"ACH": 0.61, "GLUT": 0.18, "GABA": 0.15, "DA": 0.03, "SER": 0.02, "OCT": 0.01}
NEUROPILS = 78
FIRST_ID = 720_575_940_600_000_000
SPREAD = 1.0  # standard deviation of the logarithm of how many partners a neuron has
TWO_NEUROPILS = 0.05  # of the pairs meet in two, and have two rows


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=sum(CLASSES.values()))
    parser.add_argument("--connections", type=int, default=15_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    neurons = node_table(given.neurons, rng)
    edges = edge_list(neurons["root_id"].to_numpy(), given.connections, rng)
    given.out.mkdir(parents=True, exist_ok=True)
    np.savez(given.out / "trials.npz", **trials(rng))
    for name, table in (("neurons", neurons), ("edges", edges)):
        path = given.out / f"{name}.parquet"
        table.write_parquet(path)
        print(f"{path}: {len(table):,} rows, {path.stat().st_size:,} bytes")


def node_table(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """One row a neuron: its id, its class, and its neurotransmitter."""
    sizes = np.array(list(CLASSES.values()))
    classes = np.repeat(list(CLASSES), np.maximum(1, sizes * count // sizes.sum()))
    classes = np.resize(np.append(classes, ["optic"] * (count - len(classes))), count)
    kinds = rng.choice(list(TRANSMITTERS), count, p=list(TRANSMITTERS.values()))
    steps = rng.integers(1, 200_000, count)
    return pl.DataFrame(
        {
            "root_id": FIRST_ID + np.cumsum(steps),
            "super_class": rng.permutation(classes),
            "nt_type": kinds,
        }
    )


def edge_list(ids: np.ndarray, count: int, rng: np.random.Generator) -> pl.DataFrame:
    """One row for each pair of neurons and neuropil."""
    pairs = distinct_pairs(len(ids), count, rng)
    synapses = 1 + rng.geometric(0.25, count) * rng.geometric(0.7, count)
    twice = rng.random(count) < TWO_NEUROPILS
    rows = np.concatenate([np.arange(count), np.flatnonzero(twice)])
    rng.shuffle(rows)
    pre, post = np.divmod(pairs[rows], len(ids))
    return pl.DataFrame(
        {
            "pre_root_id": ids[pre],
            "post_root_id": ids[post],
            "neuropil": pl.Series(rng.integers(0, NEUROPILS, len(rows))).cast(pl.Utf8),
            "syn_count": synapses[rows],
        }
    )


def trials(rng: np.random.Generator, count: int = 400, time: int = 10) -> dict[str, np.ndarray]:
    """Which of two noisy inputs is the larger? Inputs (trial, time, input), targets (trial, time).

    The first input is 1 throughout; the answer counts in the last three steps.
    """
    right = rng.integers(0, 2, count)
    strength = rng.choice([0.1, 0.2, 0.4], count)
    signal = np.stack([1 - right, right], axis=1)[:, None] * strength[:, None, None]
    evidence = 0.5 + signal + 0.2 * rng.standard_normal((count, time, 2))
    inputs = np.concatenate([np.ones((count, time, 1)), evidence], axis=2).astype(np.float32)
    mask = np.tile(np.arange(time) >= time - 3, (count, 1)).astype(np.float32)
    targets = np.tile(right[:, None], (1, time)).astype(np.int64)
    return {"x": inputs, "y": targets, "mask": mask, "strength": strength}


def distinct_pairs(neurons: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """`count` distinct pairs pre * neurons + post, none of a neuron with itself."""
    if count > neurons * (neurons - 1) // 2:
        raise SystemExit(f"{count:,} connections are too many for {neurons:,} neurons")
    reach = [np.cumsum(rng.lognormal(0, SPREAD, neurons)) for _ in range(2)]
    pairs = np.empty(0, np.int64)
    while len(pairs) < count:
        missing = int(1.1 * (count - len(pairs))) + 100
        pre, post = (np.searchsorted(sums, sums[-1] * rng.random(missing)) for sums in reach)
        drawn = (pre * neurons + post)[pre != post]
        pairs = np.unique(np.concatenate([pairs, drawn]))
    return rng.choice(pairs, count, replace=False, shuffle=False)


if __name__ == "__main__":
    main()
