"""The distribution of the weights of every map."""

from __future__ import annotations

from netbuild.drawing.look import name_of, own_look
from netbuild.drawing.panels import LONGER, figure_of, new_panels
from netbuild.drawing.table import Drawing
from netbuild.layers import linear_maps
from netbuild.results.results import Results, results_of
from netbuild.results.run import Run

COLUMNS = 4


@own_look
def distributions(source: Results | Run) -> Drawing:
    """A histogram of the existing connections of every linear map, by their sign; no numbers."""
    maps = linear_maps(results_of(source).network)
    places = new_panels(len(maps), COLUMNS, 4.2, 3.6)
    for ax, (name, module) in zip(places, maps.items(), strict=True):
        module.plot_layer("dist", ax)
        ax.set_title(name_of(name, LONGER))
    return Drawing(figure_of(places[0]), {})
