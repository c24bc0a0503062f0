"""Figures of runs and experiments for a page: SVG of matplotlib, safe to stand inside HTML."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from netbuild import plots
from netbuild.drawing.table import Drawing, write_table
from netbuild.errors import Exit, NetbuildError
from netbuild.report.cells import Block, Paragraph, Picture
from netbuild.wording import one_line, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from netbuild.experiments.experiment import Experiment
    from netbuild.results.results import Results

MOST_MAPS = 12  # whose weights are drawn
LARGEST_SVG = 2 << 20  # bytes; a larger figure becomes a PNG
LARGEST_CSV = 200_000  # bytes of the numbers of a figure that are kept in the page
MOST_ROWS = 20_000
SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


class Figures:
    """Makes the pictures of a page; their parts have names that are unique in it."""

    def __init__(self) -> None:
        self.count = 0

    def picture(
        self, title: str, alt: str, drawing: Drawing, name: str, *, numbers: bool = True
    ) -> Picture:
        """A picture, with its numbers as CSV unless they are too many for a page."""
        figure, data = drawing
        self.count += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of letters that the font lacks
            svg = svg_of(figure, f"figure{self.count}", alt)
            png = _png(figure) if len(svg) > LARGEST_SVG else b""
        width = round(float(figure.get_figwidth()) * 96)
        csv = _csv(data) if numbers else b""
        return Picture(title, alt, "" if png else svg, png, csv, f"{name}.csv", width)


def svg_of(figure: Figure, name: str, alt: str) -> str:
    """A figure as an SVG element for HTML, whose identifiers begin with `name`.

    The same figure always gives the same text: matplotlib's own identifiers are random.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ElementTree.fromstring(buffer.getvalue())
    _clean(root)
    known: dict[str, str] = {}
    for number, element in enumerate(e for e in root.iter() if "id" in e.attrib):
        known[element.attrib["id"]] = f"{name}-{number}"
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = {key.replace(LINK, "href"): _renamed(key, value, known)
                          for key, value in element.attrib.items()}  # fmt: skip
    width, height = (float(root.attrib.pop(key).removesuffix("pt")) for key in ("width", "height"))
    root.attrib.pop("version", None)
    root.attrib |= {"class": "chart", "role": "img", "aria-label": one_line(alt)}
    root.attrib |= {"width": f"{width * 4 / 3:.0f}", "height": f"{height * 4 / 3:.0f}"}
    root.attrib["style"] = "stroke-linejoin: round; stroke-linecap: butt"
    return ElementTree.tostring(root, encoding="unicode")


def _clean(root: ElementTree.Element) -> None:
    """Remove metadata, and a style sheet that would hold for the whole page."""
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{SVG}metadata", f"{SVG}style"):
                parent.remove(child)


def _renamed(key: str, value: str, known: Mapping[str, str]) -> str:
    if key == "id":
        return known[value]
    if key in (LINK, "href"):
        return f"#{known[value[1:]]}" if value.startswith("#") else value
    return _REFERENCE.sub(lambda found: f"url(#{known[found[1]]})", value)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()


def _csv(data: Mapping[str, Any]) -> bytes:
    """The numbers of a figure; none where they are too many for a page."""
    first = next(iter(data), None)
    if first is None or len(data[first]) > MOST_ROWS:
        return b""
    found = write_table(Path("numbers.csv"), data)
    return found if len(found) <= LARGEST_CSV else b""


# Figures of a run


def run_blocks(results: Results) -> list[Block]:
    """The learning curve, the psychometric curve, weights and fixed points that a run has."""
    figures = Figures()
    found = list(_of_run(figures, results))
    if not found:
        return [Paragraph("This run has no figure: it has neither a log nor weights.")]
    names = list(results.maps) if _has_weights(results) else []
    if len(names) > MOST_MAPS:
        rest = len(names) - MOST_MAPS
        found.append(Paragraph(f"The weights of {rest} more maps are not drawn."))
    return found


def _of_run(figures: Figures, results: Results) -> Iterator[Block]:
    drawing = _tried(partial(plots.learning, results))
    if drawing is not None:
        yield figures.picture("Learning", learning_alt(drawing.data), drawing, "learning")
    if not _has_weights(results):
        return
    curve = _tried(partial(plots.psychometric, results)) if _has_trials(results) else None
    if curve is not None:
        alt = psychometric_alt(curve.data)
        yield figures.picture("Psychometric curve", alt, curve, "psychometric")
    for name, one in list(results.maps.items())[:MOST_MAPS]:
        rows, columns = one.weight.shape
        largest = float(abs(one.weight).max()) if rows * columns else 0.0
        alt = (
            f"Effective weights of {show(name)}: {rows:,} postsynaptic by {columns:,} presynaptic"
            f" units, red above 0, blue below; the largest magnitude is {largest:.3g}."
        )
        drawn = _tried(partial(plots.weights, results, layer=name))
        if drawn is not None:
            title = f"Weights of {show(name)}"
            yield figures.picture(title, alt, drawn, "weights", numbers=False)


def _tried(draw: Callable[[], Drawing]) -> Drawing | None:
    """A drawing, or None where the data have no such figure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return draw()
        except NetbuildError as error:
            if error.exit_code != Exit.USAGE:
                raise
            return None


def _has_weights(results: Results) -> bool:
    run = results.run
    return run is not None and any((run.path / "checkpoints").glob("step-*"))


def _has_trials(results: Results) -> bool:
    """Whether the answers in the test trials were written down at the end of the training."""
    run = results.run
    return run is not None and (run.path / "evaluation" / "trials.parquet").is_file()


def learning_alt(data: Mapping[str, Any]) -> str:
    """Where each curve begins and ends."""
    said = []
    curve, of, value = data["curve"], data["of"], data["value"]
    for name in dict.fromkeys(curve.tolist()):
        for kind in dict.fromkeys(of[curve == name].tolist()):
            own = value[(curve == name) & (of == kind)]
            said.append(f"{show(name)} in {kind} from {own[0]:.3g} to {own[-1]:.3g}")
    steps = int(data["step"].max())
    return f"Over {steps:,} steps: {'; '.join(said[:8])}."


def psychometric_alt(data: Mapping[str, Any]) -> str:
    """Each curve at its ends."""
    said = []
    for name in dict.fromkeys(data["curve"].tolist()):
        own = np.flatnonzero(data["curve"] == name)
        x, y = data["x"][own], data["proportion"][own]
        label = f"{show(name)}: " if name else ""
        said.append(f"{label}{y[0]:.2f} at {x[0]:.3g} to {y[-1]:.2f} at {x[-1]:.3g}")
    return f"Proportion of choices, {'; '.join(said)}; with 95 % Wilson intervals."


# Figures of an experiment

OF_EXPERIMENT = {
    "scores": "Scores of all runs",
    "learning": "Learning in evaluations",
    "parameters": "Scores against each parameter",
    "heatmap": "Mean scores over two parameters",
    "psychometric": "Psychometric curves",
}


def settings_alt(data: Mapping[str, Any]) -> str:
    """What is drawn, and the last mean of each of the first settings, where there are some."""
    if "mean" not in data:
        return "The mean at each value with its 95 % interval, and the single runs."
    if "setting" not in data:
        return "The mean scores as colours; the numbers are beside the figure."
    said = []
    for name in list(dict.fromkeys(data["setting"].tolist()))[:8]:
        last = np.flatnonzero(data["setting"] == name)[-1]
        said.append(f"{show(str(name))} {data['mean'][last]:.3g}")
    ends = f"at the end of each curve {'; '.join(said)}" if "step" in data else "; ".join(said)
    return f"Means of the settings with 95 % intervals, and the single runs: {ends}."


def experiment_blocks(experiment: Experiment) -> list[Block]:
    """The figures that an experiment has."""
    figures = Figures()
    blocks: list[Block] = []
    for name, title in OF_EXPERIMENT.items():
        draw = plots.figure_of_experiments(name)
        drawing = _tried(partial(draw, experiment))
        if drawing is not None:
            blocks.append(figures.picture(title, settings_alt(drawing.data), drawing, name))
    return blocks or [Paragraph("No run has a score yet, so there is no figure.")]
