"""The report of a run: what was built, how it was trained, what it scored, and the proof of it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from netbuild.durable import is_there, read_file, reading
from netbuild.errors import NetbuildError
from netbuild.files import npz
from netbuild.plots.figures.psychometric import wilson
from netbuild.report import trained
from netbuild.report.cells import (
    Block,
    Cell,
    Code,
    Listing,
    Note,
    Number,
    Paragraph,
    Picture,
    Report,
    Row,
    Section,
    Table,
    number,
    pairs,
)
from netbuild.report.diagram import diagram
from netbuild.report.figures import run_blocks
from netbuild.report.model import Model, model_section
from netbuild.report.proof import proof_blocks, proof_of
from netbuild.report.references import references
from netbuild.results.results import Results
from netbuild.results.run import Run
from netbuild.runs.checkpoint import checkpoints
from netbuild.wording import counted
from netbuild.yamltree.document import MAX_BYTES

LARGEST_PNG = 4 << 20  # bytes of a figure that `analyze` has written
MOST_ANALYSES = 6
DPI = 300  # of these figures
STATES = {
    "running": "This run has not ended: it is being trained, or was killed. What follows is what it"
    " had saved when this page was made.",
    "interrupted": "This run was interrupted and has not ended; it can be resumed.",
    "failed": "This run failed before its end.",
    "diverged": "This run diverged: its loss or its weights were no longer finite numbers. What"
    " follows is what it had saved before.",
}


def run_report(run: Run) -> Report:
    """Everything about a run, from its folder; raises NetbuildError where that is damaged."""
    page = _Page(run)
    sections = [
        Section("result", "Result", page.result),
        Section("diagram", "Network", [diagram(page.model)]),
        model_section(page.model),
        Section("proof", "Constraints and their proof", page.proof),
        Section("figures", "Figures", page.figures),
        Section("data", "Data and publications", page.data),
        Section("machine", "Machine and versions", [trained.machine_table(run.info)]),
        Section("reproduce", "How to reproduce it", page.reproduction),
        Section("spec", "The spec", page.listings),
    ]
    return Report(run.spec.model.name, f"run {run.path.name}", list(page.notes()), sections)


class _Page:
    """The parts of the report of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.info = run.info
        self.model = Model(run.spec)
        self.has_weights = bool(checkpoints(run.path / "checkpoints"))

    def notes(self) -> Iterator[Note]:
        """What a reader must know before anything else."""
        info = self.info
        if not info.has_ended:
            why = f" {info.error}" if info.error else ""
            yield Note(STATES.get(info.status, f"The status of this run is {info.status}.") + why)
        if not self.has_weights:
            yield Note("No checkpoint was saved, so there are no trained weights to look at.")
        yield trained.choice_note(info)
        if info.own_task:
            yield Note("The task was an object given in Python, which no file of the run has.")

    # Scores

    @property
    def result(self) -> list[Block]:
        """The final scores, or the last evaluation."""
        info = self.info
        rows = list(self._scores())
        head = ("Trials", "Weights", "Step", "Loss", "Accuracy", "95 % interval", "N")
        told: Block = Table("Final scores", head, rows, (0.14, 0.14, 0.12, 0.15, 0.15, 0.2, 0.1))
        own = [told] if rows else list(self._unfinished())
        ends = (
            "The interval of an accuracy is Wilson's, over the N trials of this one network;"
            " networks of other seeds may differ by more, as ", Code("netbuild sweep"), " shows.",
        )  # fmt: skip
        status: list[tuple[str, Cell | None]] = [
            ("Status", info.status),
            ("Steps", f"{info.step:,}" if info.has_ended else self._saved_step()),
            ("Best step", self._best()),
            ("Error", info.error),
        ]
        shown = any(str(row[5]) != "-" for row in rows)
        return [pairs("The run", status), *own, *([Paragraph(ends)] if shown else []),
                *self._environments()]  # fmt: skip

    def _saved_step(self) -> str:
        return f"{self.run.step:,} saved" if self.has_weights else "none saved"

    def _best(self) -> str:
        best = self.info.best
        if best is None:
            return ""
        value = "" if best.value is None else f" {number(best.value)}"
        return f"{best.step:,} ({best.metric}{value})"

    def _scores(self) -> Iterator[Row]:
        info = self.info
        for of, scores in info.scores.items():
            for which in ("last", "best"):
                score = getattr(scores, which)
                if score is not None:
                    ends, count = self._interval(of, score.accuracy)
                    yield (of, which, number(score.step), number(score.loss),
                           number(score.accuracy), ends, count)  # fmt: skip
        if not info.scores and info.has_ended:
            ends, count = self._interval("test", info.accuracy)
            yield ("test", "last", number(info.step), number(info.loss), number(info.accuracy),
                   ends, count)  # fmt: skip

    def _interval(self, of: str, accuracy: float | None) -> tuple[Number, Number]:
        """The interval of an accuracy and the trials that it is of, where each has one answer."""
        count = self._trials(of)
        if accuracy is None or not count or abs(accuracy * count - round(accuracy * count)) > 1e-3:
            return Number("-"), Number("-")
        low, high = wilson(np.array(round(accuracy * count)), np.array(count))
        return Number(f"{float(low):.4f} to {float(high):.4f}"), number(count)

    def _trials(self, of: str) -> int:
        """How many trials or samples were scored, each with one answer; 0 where it is not known."""
        if "correct" not in self.answers:
            return 0
        split = self.run.spec.plan.split
        if of == "validation" and split is not None:
            return split.validated
        return int(self.answers["correct"])

    @cached_property
    def answers(self) -> dict[str, int]:
        """How many test trials have a right answer, from the table that the training wrote."""
        run = self.run
        table = run.path / "evaluation" / "trials.parquet"
        if not (run.info.has_ended and is_there(table, within=run.path)):
            return {}
        frame = run.trials()
        return {"correct": int(frame["correct"].count())} if "correct" in frame.columns else {}

    def _unfinished(self) -> Iterator[Block]:
        last = self.run.final
        if not last:
            yield Paragraph("There is no evaluation yet.")
            return
        on = str(last.get("on", "test"))
        rows: list[Row] = [(on, number(last["step"]), *trained.score_cells(last))]
        yield Table("Last evaluation", ("Trials", "Step", "Loss", "Accuracy"), rows)

    def _environments(self) -> Iterator[Block]:
        last = self.info.scores["test"].last if self.info.scores else self.info
        if last.environments:
            rows: list[Row] = [(Code(n), number(v)) for n, v in last.environments.items()]
            yield Table("Accuracy on test trials by environment", ("Environment", "Accuracy"), rows)

    # Weights and figures

    @property
    def proof(self) -> list[Block]:
        """The constraints, counted in the newest weights."""
        if not self.has_weights:
            return [Paragraph("No checkpoint was saved: there are no weights to verify.")]
        network = self.run.network(verified=False)
        return proof_blocks(proof_of(network, self.run.initial), self.run.step)

    @property
    def figures(self) -> list[Block]:
        """All figures that the run has."""
        return [*run_blocks(Results(self.run)), *self._fixed_points()]

    def _fixed_points(self) -> Iterator[Block]:
        """What `netbuild analyze` has written."""
        folder = self.run.path / "analysis"
        found = sorted(folder.glob("fixed-points*.png")) if folder.is_dir() else []
        for path in found[:MOST_ANALYSES]:
            try:
                with reading(path):
                    image = read_file(path, LARGEST_PNG, within=self.run.path)
            except NetbuildError as error:
                yield Paragraph(f"The figure {path.name} could not be read: {error}")
                continue
            if not image.startswith(b"\x89PNG\r\n\x1a\n"):
                continue
            alt = f"Trajectories in the plane of two principal components{self._points(path)}."
            yield Picture("Fixed points", alt, png=image, width=_width(image))

    def _points(self, path: Any) -> str:
        """How many points there are, from the arrays beside a figure."""
        arrays = path.with_suffix(".npz")
        if not is_there(arrays, within=self.run.path):
            return ""
        try:
            content = read_file(arrays, within=self.run.path)
            fixed = npz.array_from(content, "fixed", arrays.name, MAX_BYTES)
        except (OSError, NetbuildError):
            return ""
        count = int(fixed.astype(bool).sum())
        slow = counted(len(fixed) - count, "slow point")
        return f": {counted(count, 'fixed point')}, {slow}"

    # Data, machine, spec

    @property
    def data(self) -> list[Block]:
        """The files that were read, and what is cited."""
        table = trained.data_table(self.info)
        none = Paragraph("The run read no file beside its spec.") if not table.rows else None
        cited = references(self.model.cites, self._spec_text)
        return trained.blocks_of(none, table, cited)

    @cached_property
    def _spec_text(self) -> str:
        return self._read("spec.yaml")

    def _read(self, name: str) -> str:
        return trained.text_in(self.run.path, name)

    @property
    def reproduction(self) -> list[Block]:
        """The command lines that give this run again."""
        info, name = self.info, self.run.path.name
        lines = [
            "# The spec below, saved beside the files that it names:",
            trained.with_changes(info, "spec.yaml"),
            "# The folder of this run: trains again, and compares bit by bit:",
            trained.command(["reproduce", name]),
            *trained.as_started(info),
        ]
        said = (
            "The same spec gives the same bits on the same machine, with the same versions and the"
            " same number of threads."
        )
        return [Paragraph(said), Listing("Command lines", "\n".join(lines))]

    @property
    def listings(self) -> list[Block]:
        """The spec as it was written, and with every default."""
        resolved = self._read("resolved.yaml")
        return [
            *([Listing("The spec as it was written", self._spec_text, "spec.yaml")]
              if self._spec_text else []),
            Listing("The resolved spec, with every default", resolved, "resolved.yaml"),
        ]  # fmt: skip


def _width(image: bytes) -> int:
    """The width of a PNG of 300 dots an inch, in the pixels of a page."""
    return min(round(int.from_bytes(image[16:20]) * 96 / DPI), 2000)
