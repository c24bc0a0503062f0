"""Trainings in stages, drawn at random: each is led through the whole life of a run."""

from __future__ import annotations

import shutil
import warnings

import torch
from drawn.stages import life

from faults.lab import Counts, Lab

SHARE = 1 / 2  # of the drawn specs that must be valid


def lives(lab: Lab, most: int = 300) -> Counts:
    """R26: cut, resumed, reproduced, scored and forked, whatever its stages change."""
    counts = Counts("R26", "trainings in stages that change the optimizer, regularizers, data")
    before = torch.get_num_threads()
    torch.set_num_threads(1)

    def check(seed: int) -> list[str]:
        folder = lab.new()
        try:
            counts.add(**{life(folder, seed): 1})
        except Exception as error:
            return [f"seed {seed}: {type(error).__name__}: {str(error)[:300]}"]
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return []

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lab.each(counts, range(1000, 1000 + most), check)
    counts.demand("lived", SHARE)
    torch.set_num_threads(before)
    return counts
