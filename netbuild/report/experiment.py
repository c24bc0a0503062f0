"""The report of an experiment: scores with intervals, comparisons, what failed, and the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from netbuild.errors import NetbuildError
from netbuild.experiments.experiment import Experiment
from netbuild.experiments.folder import FILE, PointInfo
from netbuild.experiments.table import COUNTED, status_of
from netbuild.language.dump import inline
from netbuild.report import trained
from netbuild.report.cells import (
    Block,
    Cell,
    Code,
    Listing,
    Note,
    Number,
    Paragraph,
    Report,
    Row,
    Section,
    Table,
    number,
    pairs,
)
from netbuild.report.diagram import diagram
from netbuild.report.figures import experiment_blocks
from netbuild.report.model import Model, model_section
from netbuild.report.proof import MEANINGS, proof_of
from netbuild.report.references import references
from netbuild.results.run import Run
from netbuild.runs.checkpoint import checkpoints
from netbuild.runs.schema import RunInfo
from netbuild.wording import counted

MOST_ROWS = 500  # of the table of runs
MOST_PROOFS = 200  # runs whose weights are checked
INTERVAL = "95 % interval"
STATISTICS = ("sem", "median", "ci_low", "ci_high", "baseline", "rank", "rank_of", "rank_p")
LOST = ("failed", "diverged", "damaged")


def experiment_report(experiment: Experiment) -> Report:
    """Everything about an experiment, from its folder; raises NetbuildError where it is damaged."""
    page = _Page(experiment)
    sections = [
        Section("result", "Result", page.result),
        Section("lost", "Runs that diverged or failed", page.lost),
        Section("figures", "Figures", experiment_blocks(experiment)),
        Section("design", "Design", page.design),
        *page.model_sections(),
        Section("proof", "Constraints and their proof", page.proof),
        Section("runs", "Runs", page.runs),
        Section("data", "Data and publications", page.data),
        Section("machine", "Machine and versions", page.machine),
        Section("reproduce", "How to reproduce it", page.reproduction),
        Section("spec", "The experiment and its spec", page.listings),
    ]
    experiment.rows.save()
    return Report(experiment.about.name, f"experiment of {page.size}", page.notes, sections)


class _Page:
    """The parts of the report of one experiment."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.about = experiment.about
        self.rows = {p.hash: experiment.rows.of(p.hash) for p in self.about.points}
        self.states = Counter(self._status(point) for point in self.about.points)

    def _status(self, point: PointInfo) -> str:
        return status_of(point, self.rows[point.hash])

    @property
    def size(self) -> str:
        """How many runs there are, of each status."""
        listed = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        return f"{counted(len(self.about.points), 'run')}: {listed}"

    @cached_property
    def infos(self) -> dict[str, RunInfo]:
        """`run.json` of each run that has one that can be read, by the hash of its point."""
        found: dict[str, RunInfo] = {}
        for point in self.about.points:
            path = self.experiment.folder.run(point.hash)
            if (path / "run.json").is_file():
                try:
                    found[point.hash] = Run(path).info
                except NetbuildError:
                    continue  # it is listed as damaged
        return found

    @cached_property
    def first(self) -> Run | None:
        """The run that stands for all others: the first one that has begun."""
        for point in self.about.points:
            if point.hash in self.infos:
                return Run(self.experiment.folder.run(point.hash))
        return None

    @cached_property
    def model(self) -> Model | None:
        """The model of that run."""
        return None if self.first is None else Model(self.first.spec)

    @property
    def notes(self) -> list[Note]:
        """What a reader must know before anything else."""
        notes = []
        left = sum(self.states[state] for state in ("pending", "running", "interrupted"))
        if left:
            of = f"{left:,} of {counted(len(self.about.points), 'run')}"
            ended = "has not ended" if left == 1 else "have not ended"
            notes.append(Note(f"{of} {ended}: the numbers below are of the others."))
        lost = sum(self.states[state] for state in LOST)
        if lost:
            notes.append(Note(f"{counted(lost, 'run')} diverged or failed. They count in no mean,"
                              " and are listed below."))  # fmt: skip
        return notes + self._choices()

    def _choices(self) -> list[Note]:
        """On which trials choices were made, in how many runs."""
        made = Counter(trained.choice_note(info) for info in self.infos.values())
        several = len(made) > 1
        found = [
            Note((f"In {counted(count, 'run')}: {note.text}" if several else note.text), note.tone)
            for note, count in made.items()
        ]
        about = self.about
        if about.on == "validation":
            what = "The scores that are compared are those of validation trials, on which choices"
            found.append(Note(f"{what} were made."))
        elif about.method == "tpe":
            what = (
                "The search was told the scores that are compared, so the best setting was chosen"
            )
            found.append(Note(f"{what} on the trials that it is scored on."))
        return found

    # Scores

    @property
    def result(self) -> list[Block]:
        """The compared score of each setting, the other scores, and comparisons."""
        records = self.experiment.summary().to_dicts()
        main = [r for r in records if r["score"] == self.about.score]
        others = [r for r in records if r["score"] != self.about.score]
        for record in main:
            del record["score"]
        intervals = (
            "Intervals are 95 % bootstrap intervals of the mean over replicates, widened for few"
            " values; N counts the runs that have ended with a score."
        )
        blocks = [_summary(self.about.score, main), Paragraph(intervals), *self._comparisons()]
        return trained.blocks_of(*blocks, _summary("Other scores", others, short=True))

    def _comparisons(self) -> Iterator[Block]:
        compared = self.experiment.comparisons()
        if compared is None or not len(compared):
            return
        records = compared.to_dicts()
        ranked = any(record["rank"] is not None for record in records)
        named = {"n": "N pairs", "mean": "Mean", "baseline_mean": "Baseline",
                 "difference": "Difference", "ci": INTERVAL, "effect": "Effect", "p": "p",
                 "p_holm": "p (Holm)"}  # fmt: skip
        for record in records:
            del record["score"]
        named |= {"rank": "Rank", "rank_of": "Rank of", "rank_p": "Rank p"} if ranked else {}
        yield _numbers(f"Compared with {self.about.baseline}", records, named)
        yield Paragraph(
            "Differences are paired over seeds: a two-sided permutation test, adjusted for all"
            " comparisons (Holm 1979). The effect is the mean difference over its standard"
            " deviation."
        )

    @property
    def lost(self) -> list[Block]:
        """The runs that diverged or failed, each with its exit code and what it said."""
        rows: list[Row] = []
        for point in self.about.points:
            row, state = self.rows[point.hash], self._status(point)
            if state in LOST:
                code = Number("-" if row.exit_code is None else str(row.exit_code))
                log = f"logs/{point.hash}.log"
                rows.append((Code(point.hash), state, *self._settings(point), number(point.seed),
                             number(row.step), code, row.error or "", Code(log)))  # fmt: skip
        if not rows:
            return [Paragraph("None.")]
        head = ("Run", "Status", *self._columns, "Seed", "Step", "Exit code", "Error", "Log")
        return [Table("Runs that diverged or failed", head, rows)]

    @property
    def _columns(self) -> list[str]:
        names = ["condition"] if self.about.conditions else []
        names += ["draw"] if any(p.draw is not None for p in self.about.points) else []
        return names + self.about.parameters

    def _settings(self, point: PointInfo) -> list[Cell]:
        own = {"condition": point.condition, "draw": point.draw} | point.parameters
        return [_value(own.get(name)) for name in self._columns]

    @property
    def runs(self) -> list[Block]:
        """A row for each run."""
        rows: list[Row] = []
        for point in self.about.points[:MOST_ROWS]:
            row = self.rows[point.hash]
            rows.append((Code(point.hash), *self._settings(point), number(point.seed),
                         self._status(point), number(row.score(self.about.score)),
                         number(row.best_step), number(row.step), number(row.seconds)))  # fmt: skip
        head = ("Run", *self._columns, "Seed", "Status", self.about.score, "Best step", "Step",
                "Seconds")  # fmt: skip
        rest = len(self.about.points) - len(rows)
        more = Paragraph(f"{rest:,} more runs are in table.csv.") if rest else None
        return trained.blocks_of(Table("Runs", head, rows), more)

    # Model, proof

    @property
    def design(self) -> list[Block]:
        """What was varied, and what it is compared by."""
        about = self.about
        seeds = list(dict.fromkeys(point.seed for point in about.points))
        shown = ", ".join(map(str, seeds[:50])) + (", ..." if len(seeds) > 50 else "")
        rows: list[tuple[str, Cell | None]] = [
            ("Method", about.method),
            ("Conditions", [(Code(name),) for name in about.conditions]),
            ("Baseline", Code(about.baseline) if about.baseline else ""),
            ("Seeds", shown),
            ("Score", f"{about.score}, {'minimized' if about.minimizes else 'maximized'}"),
        ]
        rows += [(f"Varied: {path}", self._varied(path)) for path in about.parameters]
        rows += [(f"Derived: {path}", self._varied(path)) for path in about.derived]
        return [pairs("Design", rows)]

    def _varied(self, path: str) -> Cell:
        values = (inline(point.parameters.get(path)) for point in self.about.points)
        known = list(dict.fromkeys(values))
        return Code(", ".join(known[:20]) + (f", ... ({len(known)} values)" if known[20:] else ""))

    def model_sections(self) -> Iterator[Section]:
        """The diagram and the tables of the first run's model."""
        if self.model is None or self.first is None:
            none = Paragraph("No run has begun, so there is no resolved spec to describe.")
            yield Section("model", "Model", [none])
            return
        said = (
            f"This is the model of the run {self.first.path.name}, the first that has begun. The"
            " others differ by their seeds and by what the design varies."
        )
        yield Section("diagram", "Network", [Paragraph(said), diagram(self.model)])
        yield model_section(self.model)

    @property
    def proof(self) -> list[Block]:
        """The constraints, counted in the newest weights of all runs that have ended."""
        totals: dict[tuple[str, str], list[int]] = {}
        checked = 0
        problems: list[tuple[str, str]] = []
        for point in self.about.points:
            info = self.infos.get(point.hash)
            if info is None or not info.has_ended or checked + len(problems) >= MOST_PROOFS:
                continue
            run = Run(self.experiment.folder.run(point.hash))
            if not checkpoints(run.path / "checkpoints"):
                continue
            try:
                found = proof_of(run.network(verified=False), run.initial).found
            except NetbuildError as error:
                problems.append((point.hash, str(error)))
                continue
            checked += 1
            for check in found["constraints"]:
                total = totals.setdefault((check["layer"], check["constraint"]), [0, 0, 0])
                for place, value in enumerate((1, check["weights"], check["violations"])):
                    total[place] += value
        return trained.blocks_of(*_proof(totals, checked), *_unread(problems))

    # Data, machine, files

    @property
    def data(self) -> list[Block]:
        """The files that the first run read, and what is cited."""
        if self.first is None or self.model is None:
            return [Paragraph("No run has begun.")]
        text = self._read(FILE) + self._spec_of_first("spec.yaml")
        files = trained.data_table(self.first.info)
        none = Paragraph("The runs read no file beside the spec.") if not files.rows else None
        return trained.blocks_of(none, files, references(self.model.cites, text))

    @property
    def machine(self) -> list[Block]:
        """The machine of the first run, and how many different ones there were."""
        if self.first is None:
            return [Paragraph("No run has begun.")]
        kinds = Counter(
            (info.environment.platform, info.environment.cpu or "unknown", info.environment.device,
             info.environment.packages.get("torch") or "-") for info in self.infos.values()
        )  # fmt: skip
        rows: list[Row] = [(number(n), *kind) for kind, n in kinds.items()]
        head = ("Runs", "Platform", "Processor", "Device", "torch")
        several = Table("Machines of all runs", head, rows) if len(rows) > 1 else None
        return trained.blocks_of(several, trained.machine_table(self.first.info))

    @property
    def reproduction(self) -> list[Block]:
        """The command lines that give the experiment again."""
        lines = [
            "# The experiment file below, beside its spec:",
            trained.command(["sweep", FILE]),
            "# Any of its runs: trains again, and compares bit by bit:",
            trained.command(["reproduce", f"experiments/{self.about.name}/runs/HASH"]),
        ]
        said = (
            "A run is known by the hash of its resolved spec; what has ended is not trained again."
        )
        return [Paragraph(said), Listing("Command lines", "\n".join(lines))]

    @property
    def listings(self) -> list[Block]:
        """The experiment file, and the resolved spec of its first run."""
        found = [Listing("The experiment file", self._read(FILE), FILE)]
        for name, title in (
            ("spec.yaml", "The spec as it was written"),
            ("resolved.yaml", "The resolved spec of the first run, with every default"),
        ):
            if text := self._spec_of_first(name):
                found.append(Listing(title, text, name))
        return trained.blocks_of(*found)

    def _spec_of_first(self, name: str) -> str:
        return "" if self.first is None else self._read(f"runs/{self.first.path.name}/{name}")

    def _read(self, name: str) -> str:
        return trained.text_in(self.experiment.path, name)


def _value(value: Any) -> Cell:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return "-" if value is None else value if isinstance(value, str) else Code(inline(value))


def _summary(score: str, records: list[dict[str, Any]], *, short: bool = False) -> Table:
    named = {"n": "N", "n_diverged": "N diverged", "n_failed": "N failed",
             "n_dropped": "N dropped", "n_left": "N left", "mean": "Mean", "sd": "SD",
             "sem": "SEM", "median": "Median", "ci": INTERVAL}  # fmt: skip
    for name in ("sem", "median") if short else ():
        del named[name]
    for name in COUNTED[1:]:  # those that diverged are always told
        if not any(record[name] for record in records):
            del named[name]
    return _numbers(score, records, named)


def _numbers(caption: str, records: list[dict[str, Any]], named: Mapping[str, str]) -> Table:
    """A table of records: what tells them apart, then the columns in `named`."""
    beside = {*named, *COUNTED, *STATISTICS}
    keys = [key for key in (records[0] if records else {}) if key not in beside]
    rows: list[Row] = [
        (*([_value(record[key]) for key in keys] or ["all"]), *(_told(record, k) for k in named))
        for record in records
    ]
    return Table(caption, (*(keys or ["Setting"]), *named.values()), rows)


def _told(record: Mapping[str, Any], name: str) -> Number:
    """A number of a record; `ci` is its interval."""
    if name != "ci":
        return number(record[name])
    low, high = record["ci_low"], record["ci_high"]
    return Number("-") if low is None else Number(f"{number(low)} to {number(high)}")


def _proof(totals: Mapping[tuple[str, str], list[int]], checked: int) -> Iterator[Block]:
    if not checked:
        yield Paragraph("No run has ended with weights that could be checked.")
        return
    violations = sum(total[2] for total in totals.values())
    covered = sum(total[1] for total in totals.values())
    if violations:
        yield Note(f"{violations:,} entries in {counted(checked, 'run')} violate a constraint.")
    elif totals:
        what = f"None of {covered:,} constrained entries in {counted(checked, 'run')} violates its"
        yield Note(f"{what} constraint.", "good")
    else:
        yield Paragraph("No constraint holds for any weight of these networks.")
    rows: list[Row] = [
        (Code(layer), MEANINGS[kind], number(runs), number(weights), number(wrong))
        for (layer, kind), (runs, weights, wrong) in totals.items()
    ]
    head = ("Map", "Constraint", "Runs", "Covers", "Violations")
    yield Table("Constraints and their violations in all runs", head, rows)


def _unread(problems: list[tuple[str, str]]) -> Iterator[Block]:
    if problems:
        rows: list[Row] = [(Code(name), what) for name, what in problems]
        yield Table("Runs whose weights could not be read", ("Run", "Problem"), rows)
