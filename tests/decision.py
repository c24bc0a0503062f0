"""A run of a small decision task from arrays; its trials are of unequal length."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import netbuild

VARIABLES = (
    *("steps", "answer", "answer_start", "answer_end", "ground_truth", "coh"),
    *("stimulus_start", "stimulus_end", "decision_start", "decision_end"),
)
SPEC = f"""\
netbuild: 1
name: decision
seed: 1
dt: 20
task:
  type: arrays
  file: trials.npz
  inputs: x
  targets: y
  loss_mask: mask
  variables: [{", ".join(VARIABLES)}]
  split: {{train: 0.5, seed: 0}}
layers:
  - name: cortex
    type: ctrnn
    areas: {{V1: {{size: 10, excitatory: 0.8}}, PFC: {{size: 6, excitatory: 0.5}}}}
    tau: 60
    noise: 0.1
    recurrent: {{self_connections: false, density: 0.6}}
  - {{name: readout, type: linear, from: PFC.excitatory, output_dim: 3, dale: none}}
regularizers:
  - {{name: sparse, type: L1, params: "*.weight", Lambda: 1e-4}}
training:
  steps: 120
  batch_size: 32
  optimizer: {{type: Adam, lr: 3e-2}}
  log_every: 5
  evaluate: {{every: 40}}
  checkpoint: {{every: 40, keep: 2}}
"""


def decision_run(folder: Path) -> netbuild.Run:
    """Train it below a folder; it takes a moment. Half of the 240 trials are the test set."""
    rng = np.random.default_rng(0)
    count, longest = 240, 20
    steps = rng.integers(15, longest + 1, size=count)
    onset = rng.integers(3, 6, size=count)
    truth, coherence = rng.integers(0, 2, size=count), rng.choice([0.0, 12.8, 51.2], size=count)
    time = np.arange(longest)
    stimulus = (time >= onset[:, None]) & (time < steps[:, None] - 3)
    decision = (time >= steps[:, None] - 3) & (time < steps[:, None])
    x = np.zeros((count, longest, 3), np.float32)
    x[..., 0] = time < steps[:, None] - 3
    for side in (0, 1):
        sign = np.where(truth == side, 1, -1)
        x[..., 1 + side] = stimulus * (0.5 + (sign * coherence / 100)[:, None])
    x[..., 1:] += stimulus[..., None] * rng.normal(scale=0.3, size=(count, longest, 2))
    x[time >= steps[:, None]] = 1000.0  # whatever it makes of the padding would be seen
    np.savez(
        folder / "trials.npz",
        x=x,
        y=np.where(decision, truth[:, None] + 1, 0),
        mask=np.where(decision, 1.0, 0.1 * (time < steps[:, None])).astype(np.float32),
        steps=steps,
        answer=truth + 1,
        answer_start=steps - 3,
        answer_end=steps,
        ground_truth=truth,
        coh=coherence,
        stimulus_start=onset,
        stimulus_end=steps - 3,
        decision_start=steps - 3,
        decision_end=steps,
    )
    path = folder / "decision.yaml"
    path.write_text(SPEC)
    return netbuild.train(path, folder / "runs")
