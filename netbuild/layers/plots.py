"""Drawings of a weight matrix; matplotlib is imported when one is made, and never pyplot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXCITATORY, INHIBITORY, FREE = "#b2182b", "#2166ac", "#555555"  # the ends of the map RdBu_r


def new_axes() -> Axes:
    """Axes in a figure of their own, which pyplot does not know and nothing needs to close."""
    from matplotlib.figure import Figure

    return Figure(layout="constrained").subplots()


def matrix(ax: Axes, weight: Tensor) -> Figure:
    """Draw an (output_dim, input_dim) weight, red above zero and blue below."""
    values = weight.cpu().double().numpy()
    limit = float(np.abs(values).max()) or 1.0
    image = ax.imshow(
        values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    ax.set(xlabel="presynaptic unit", ylabel="postsynaptic unit")
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.colorbar(image, ax=ax, label="weight")
    return figure


def distribution(ax: Axes, weight: Tensor, sign: Tensor | None, connected: Tensor | None) -> Figure:
    """Draw a histogram of the existing connections of an (output_dim, input_dim) weight.

    Zero is an edge between two bins, so that no bar mixes signs; weights that are exactly 0, as
    constraints and L1 leave many, are counted in the legend instead of dwarfing the others.
    """
    here = torch.ones_like(weight, dtype=torch.bool) if connected is None else connected
    signs = torch.zeros_like(here, dtype=torch.int8) if sign is None else sign
    values = weight.cpu().double()
    limit = float(values.abs().max()) if values.numel() else 0.0
    bins = np.linspace(-limit, limit, 51) if limit else np.arange(-1.0, 2.0)
    for kind, label, colour in (
        (1, "excitatory", EXCITATORY),
        (-1, "inhibitory", INHIBITORY),
        (0, "free", FREE),
    ):
        chosen = values[(here & (signs == kind)).cpu()].numpy()
        if len(chosen):
            zeros = int((chosen == 0).sum())
            label += f", {zeros:,} at 0" if zeros else ""
            ax.hist(chosen[chosen != 0], bins=bins, label=label, color=colour)  # type: ignore[arg-type]
    ax.set(xlabel="weight", ylabel="connections")
    if ax.has_data():
        ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(0, -0.18), fontsize="small")
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure
