"""A study as labelled arrays, to be saved and read anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netbuild.analysis.study import Study


def labelled(study: Study, dt: float | None = None) -> dict[str, NDArray[Any]]:
    """Everything that was found, by name; texts are arrays of text, and nothing is pickled.

    `states`, `rates` (point, unit); `q`, `speed`, `fixed`, `starts`, `stability`, `unstable`,
    `kinks`, `condition` (point,); `jacobians` (point, unit, unit), where the last axis is what
    moves; `multipliers`, `time_constants`, `frequencies` (point, unit); `inputs` (condition,
    input); `condition_labels`, `lost`, `lost_q` (condition,); `pca_mean` (unit,),
    `pca_components` (component, unit), `pca_explained` (component,); `layer`, `formulation`,
    `period`, `time_unit` (); `dt` ().

    With `dt` times are in ms and frequencies in turns a ms, else in steps.
    """
    points, axis = study.points, study.plane
    step = 1.0 if dt is None else dt
    found = {
        "states": points.states,
        "rates": points.rates,
        "q": points.q,
        "speed": points.speed,
        "fixed": points.fixed,
        "starts": points.starts,
        "unstable": points.unstable,
        "kinks": points.kinks,
        "condition": points.condition,
        "jacobians": points.jacobians,
        "multipliers": points.multipliers,
        "time_constants": points.time_constants(step),
        "frequencies": points.frequencies(step),
        "inputs": points.inputs,
        "lost": points.lost,
        "lost_q": points.lost_q,
        "pca_mean": axis.mean,
        "pca_components": axis.components,
        "pca_explained": axis.explained,
    }
    texts = {
        "stability": points.stability,
        "condition_labels": study.labels,
        "layer": study.layer,
        "formulation": study.formulation,
        "period": study.period,
        "time_unit": "step" if dt is None else "ms",
    }
    return (
        {name: tensor.numpy() for name, tensor in found.items()}
        | {name: np.array(text, dtype=np.str_) for name, text in texts.items()}
        | {"dt": np.array(step)}
    )
