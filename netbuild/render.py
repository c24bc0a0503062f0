"""What people read: problems, warnings, tables, progress. The only file that knows rich."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Self

from rich.cells import cell_len, chop_cells
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from netbuild.errors import Exit, NetbuildError, Place, Problem, SpecError
from netbuild.wording import one_line, printable

MOST_PROBLEMS = 50
MOST_AREAS = 5  # in a table of more areas there is room for counts only
_WIDEST = 400  # of a source line's excerpt


def console(stream: IO[str] | None = None) -> Console:
    """A console on standard output; colours only on a terminal, and `NO_COLOR` is honoured."""
    target = stream or sys.stdout
    width = None if target.isatty() else shutil.get_terminal_size((100, 24)).columns
    return _Console(
        file=target, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False
    )


class _Console(Console):
    """A console on which text is nothing but text: no markup, no control characters.

    A broken pipe is left to the command line, which knows what it means.
    """

    def render(self, *arguments: Any, **options: Any) -> Iterable[Segment]:
        """What is printed, piece by piece; control codes are those of rich itself."""
        for piece in super().render(*arguments, **options):
            text = piece.text if piece.control else printable(piece.text)
            yield piece if text == piece.text else Segment(text, piece.style)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def report(error: NetbuildError, form: str = "text") -> None:
    """Print an error on standard error, in one of the forms text, json and github."""
    if isinstance(error, SpecError):
        report_problems((*error.problems, *error.warnings), form)
    elif form == "json":
        record = {"message": str(error), "hint": error.hint, "severity": "error"}
        print(printable(_json(error.exit_code, [record])), file=sys.stderr)
    else:
        text = Text.assemble(("error", "bold red"), f": {error}")
        if error.hint:
            text.append("\n   help: ", style="cyan").append(error.hint)
        console(sys.stderr).print(text, soft_wrap=True)


def report_problems(problems: Sequence[Problem], form: str = "text") -> None:
    """Print problems and warnings on standard error, in one of the forms text, json and github."""
    if form == "json":
        print(printable(problems_json(problems)), file=sys.stderr)
        return
    out = console(sys.stderr)
    for problem in problems[:MOST_PROBLEMS]:
        if form == "github":
            print(printable(_github(problem)), file=sys.stderr)
        else:
            out.print(problem_text(problem, out), soft_wrap=True)
    rest = len(problems) - MOST_PROBLEMS
    if rest > 0:
        out.print(f"... and {rest:,} more {'problem' if rest == 1 else 'problems'}")


def problems_json(problems: Sequence[Problem]) -> str:
    """Problems and warnings, and the exit code that they lead to, as JSON."""
    codes = [problem.exit_code for problem in problems if problem.severity == "error"]
    return _json(min(codes, default=Exit.DONE), [problem_record(p) for p in problems])


def _json(exit_code: Exit, problems: list[dict[str, Any]]) -> str:
    record = {"schema_version": 1, "exit_code": int(exit_code), "problems": problems}
    return json.dumps(record, indent=1, ensure_ascii=False)


def problem_text(problem: Problem, out: Console) -> Text:
    """A problem as it is printed: the located line, the excerpt, the help.

    On a terminal lines break between words, and an excerpt takes one line.
    """
    style = "red" if problem.severity == "error" else "yellow"
    text = Text()
    text.append(f"{problem.place or 'spec'}: ", style="bold")
    text.append(problem.severity, style=f"bold {style}").append(f"[{problem.code}] ")
    text.append(f"{problem.path}: " if problem.path else "").append(problem.what)
    text = _broken(text, out, "   ")
    if problem.place and problem.place.text.strip():
        text.append("\n").append(_excerpt(problem.place, style, out))
    if problem.hint:
        help_ = Text("   help: ", style="cyan").append(problem.hint, style="default")
        text.append("\n").append(_broken(help_, out, " " * 9))
    return text


def _broken(text: Text, out: Console, indent: str) -> Text:
    """A text whose lines fit a terminal, all but the first of them indented."""
    if not out.is_terminal or text.cell_len <= out.width:
        return text
    room = max(out.width - len(indent), 20)
    lines = text.wrap(out, room)
    for line in lines:
        line.rstrip()
    return Text(f"\n{indent}").join(lines)


def _excerpt(place: Place, style: str, out: Console) -> Text:
    """The source line with the span underlined; a long line is cut around it."""
    line = "".join(c if c.isprintable() else " " for c in place.text).rstrip()
    start, end = place.column - 1, max(place.end_column - 1, place.column)
    number = f"{place.line:>5} | "
    widest, room = _WIDEST, 100
    if out.is_terminal:
        widest = room = max(out.width - len(number), 20)
    if len(line) > widest or cell_len(line) > widest:
        cut = start
        while cut > 0 and cell_len(line[cut - 1 : start]) <= min(room // 2, 40):
            cut -= 1
        most = room if cut else widest
        line, start, end = chop_cells(line[cut:][:most], most)[0], start - cut, end - cut
    before = cell_len(line[:start]) + max(start - len(line), 0)  # a wide character takes two
    marks = " " * before + "^" * max(cell_len(line[start:end]), 1)
    return Text(f"{number}{line}\n").append(f"{' ' * (len(number) - 2)}| {marks}", style=style)


def problem_record(problem: Problem) -> dict[str, Any]:
    """A problem as plain data."""
    place = problem.place or Place("")
    return {
        "code": problem.code,
        "severity": problem.severity,
        "path": problem.path,
        "message": problem.what,
        "hint": problem.hint,
        "file": place.source,
        "line": place.line,
        "column": place.column,
        "end_column": place.end_column,
    }


def _github(problem: Problem) -> str:
    """An annotation, as GitHub's workflow commands have it."""
    place = problem.place or Place("")

    def escape(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    where = f"file={escape(place.spec or place.source).replace(':', '%3A').replace(',', '%2C')}"
    if place.line and not place.spec:
        where += f",line={place.line},col={place.column},endColumn={place.end_column}"
    message = f"{problem.path}: {problem.what}" if problem.path else problem.what
    message += f" ({problem.hint})" if problem.hint else ""
    message = f"{place}: {message}" if place.spec else message
    return f"::{problem.severity} {where},title={problem.code}::{escape(message)}"


def summary_tables(summary: Mapping[str, Any], title: str) -> None:
    """Print what `inspect` found, in tables that fit the terminal."""
    out = console()
    layers = summary["layers"]
    names = list(layers)
    out.print(title, soft_wrap=True)
    fit = max(1, (out.width - 22) // 14)
    for start in range(0, len(names), fit):
        part = names[start : start + fit]
        keys = dict.fromkeys(key for name in part for key in layers[name])
        rows = ((key, *[_value(layers[name].get(key, "")) for name in part]) for key in keys)
        out.print(_table(("", *part), rows))
    for name, report in summary.get("connectomes", {}).items():
        out.print(
            f"{name}: {' and '.join(file['name'] for file in report['files'].values())}",
            soft_wrap=True,
        )
        _rows_of_edges(out, report)
        if report["control"]:
            said = (f"{key} {value}" for key, value in report["control"].items() if value)
            out.print(f"  null model: {', '.join(said)}", soft_wrap=True)
    _areas(out, summary["areas"])
    _constraints(out, summary["constraints"])
    counts = summary["parameters"]
    out.print(
        f"{counts['total']:,} parameters: {counts['learnable']:,} learn,"
        f" {counts['absent_or_frozen']:,} are absent or frozen, {counts['fixed']:,} do not learn"
    )
    if summary["regularizers"]:
        terms = summary["regularizers"].items()
        rows = ((name, _value(term["raw"]), _value(term["weighted"])) for name, term in terms)
        out.print("regularizers")
        out.print(_table(("", "raw", "weighted"), rows))


def _table(head: Sequence[str], rows: Iterable[Sequence[str | Text]], left: int = 1) -> Table:
    """A table whose first `left` columns are flush left, the others flush right."""
    table = Table()
    for place, column in enumerate(head):
        table.add_column(column, justify="left" if place < left else "right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _areas(out: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Who is connected to whom: a table for each map, `from` in rows and `to` in columns."""
    for path in dict.fromkeys(row["map"] for row in rows):
        mine = {(row["from"], row["to"]): row for row in rows if row["map"] == path}
        targets = list(dict.fromkeys(target for _, target in mine))
        whole = len(targets) <= MOST_AREAS
        said = "connections (density), mean |weight|" if whole else "connections"
        out.print(f"{path}: {said}")
        rows_of = (
            (source, *[_pair(mine.get((source, target)), whole) for target in targets])
            for source in dict.fromkeys(source for source, _ in mine)
        )
        out.print(_table(("from \\ to", *targets), rows_of))


def _pair(row: Mapping[str, Any] | None, whole: bool) -> str:
    if row is None or not row["n_connections"]:
        return "-"
    if not whole:
        return f"{row['n_connections']:,}"
    return f"{row['n_connections']:,} ({row['density']:.3g}), {row['mean_weight']:.3g}"


def _constraints(out: Console, checks: Sequence[Mapping[str, Any]]) -> None:
    if not checks:
        return
    rows = []
    for check in checks:
        style = "bold red" if check["violations"] else ""
        counts = f"{check['weights']:,}", Text(f"{check['violations']:,}", style=style)
        rows.append((check["layer"], check["constraint"], *counts))
    out.print("constraints")
    out.print(_table(("layer", "constraint", "weights", "violations"), rows, left=2))


def connectome_tables(report: Mapping[str, Any]) -> None:
    """Print what a connectome's files hold, and what reading them left out."""
    out = console()
    for which, file in report["files"].items():
        out.print(f"{which}: {file['name']}, {file['size']:,} bytes", soft_wrap=True)
        out.print(f"  sha256 {file['sha256']}", soft_wrap=True)
        if columns := report["columns"].get(which):
            named = ", ".join(f"{what}: {column}" for what, column in columns.items())
            without = which == "edges" and "pre" in columns and "weight" not in columns
            named += "; no weights: each row counts 1" if without else ""
            out.print(f"  columns {named}", soft_wrap=True)
    table = _table(("", ""), ((key, _value(value)) for key, value in report["wiring"].items()))
    table.show_header = False
    out.print(table)
    _rows_of_edges(out, report)


def _rows_of_edges(out: Console, report: Mapping[str, Any]) -> None:
    """Print what became of the rows of an edge file."""
    lines = [f"{report['rows']:,} rows read"]
    lines += [f"  {count:,} left out: {reason}" for reason, count in report["dropped"].items()]
    if merged := report["duplicates_merged"]:
        policy = report["policies"]["duplicates"]
        lines.append(f"  {merged:,} merged with another of the same pair ({policy})")
    removed = ((reason, count) for reason, count in report["removed"].items() if count)
    lines += [f"  {count:,} connections removed: {reason}" for reason, count in removed]
    if report["symmetrized"]:
        lines.append(f"  {report['symmetrized']:,} connections added the other way round")
    lines += [f"  {count:,} rows of {kind or 'no type'}" for kind, count in report["types"].items()]
    out.print("\n".join(lines), soft_wrap=True)


_STATUS = {
    "finished": "green",
    "stopped early": "green",
    "running": "cyan",
    "interrupted": "yellow",
    "diverged": "red",
    "failed": "red",
    "damaged": "red",
}


def run_table(
    rows: Sequence[Mapping[str, str]], columns: Mapping[str, bool], dispensable: Sequence[str]
) -> None:
    """Print runs, one a line; columns of numbers, those that are True, are flush right.

    On a terminal the `dispensable` columns are left out, from the last of them on, until lines fit.
    """
    out = console()
    table = [dict(zip(columns, columns, strict=True))]
    table += [{name: one_line(row[name]) for name in columns} for row in rows]
    width = {name: max(cell_len(row[name]) for row in table) for name in columns}
    shown, left_out = list(columns), []
    for name in reversed(dispensable) if out.is_terminal else ():
        if sum(width[n] + 2 for n in shown) - 2 > out.width and name in shown:
            shown.remove(name)
            left_out.append(name)
    cells = _padded([[row[n] for n in shown] for row in table], [columns[n] for n in shown])
    if out.is_terminal:
        lines = [_run_line(shown, row) for row in cells]
        lines[0].stylize("bold")
        for line in lines:
            line.truncate(out.width, overflow="ellipsis")
        out.print(Text("\n").join(lines), soft_wrap=True)
    else:
        print("\n".join(map(_line, cells)))
    if left_out:
        notes([f"no room for {', '.join(left_out)}; --format json has them"])


def _run_line(names: Sequence[str], cells: Sequence[str]) -> Text:
    """A line of the table of runs, its status in colour."""
    text = Text("  ").join(
        Text(cell, style=_STATUS.get(cell.strip(), "") if name == "status" else "")
        for name, cell in zip(names, cells, strict=True)
    )
    text.rstrip()
    return text


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of columns; the last column is flush left, the others flush right."""
    return list(map(_line, _padded(rows, [True] * (len(rows[0]) - 1) + [False])))


def _padded(rows: Sequence[Sequence[str]], right: Sequence[bool]) -> list[tuple[str, ...]]:
    """The cells of a table, each as wide as its column; `right` says which are flush right."""
    columns = []
    for cells, flush in zip(zip(*rows, strict=True), right, strict=True):
        widest = max(map(cell_len, cells))
        spaces = [" " * (widest - cell_len(cell)) for cell in cells]
        pairs = zip(spaces, cells, strict=True) if flush else zip(cells, spaces, strict=True)
        columns.append(["".join(pair) for pair in pairs])
    return list(zip(*columns, strict=True))


def _line(cells: Sequence[str]) -> str:
    return "  ".join(cells).rstrip()


def notes(lines: Iterable[str]) -> None:
    """Print remarks on standard error."""
    out = console(sys.stderr)
    for line in lines:
        out.print(Text(line), soft_wrap=True)


def _value(value: object) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}"
        case dict():
            return ", ".join(f"{name} {_value(each)}" for name, each in value.items())
    return str(value)


class Progress:
    """Progress on standard error: a bar on a terminal, plain lines elsewhere, or nothing."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self.title = title
        self.quiet = quiet
        self.bar: Any = None
        self.task: Any = None
        self.printed = 0

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=16),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[values]}", markup=False),
                console=console(sys.stderr),
            )
            self.task = self.bar.add_task(self.title, total=None, values="")
            self.bar.start()
        return self

    def begin(self, steps: int | None) -> None:
        """Show how many steps there will be; None if that is unknown."""
        if self.bar is not None:
            self.bar.update(self.task, total=steps)

    def update(self, kind: str, step: int, steps: int | None, values: Mapping[str, Any]) -> None:
        """Show a record of the trainer; the training continues where it cannot be written."""
        if self.quiet or kind not in ("train", "evaluation"):
            return
        try:
            self._show(kind, step, steps, values)
        except OSError:
            self.quiet = True

    def _show(self, kind: str, step: int, steps: int | None, values: Mapping[str, Any]) -> None:
        shown, on = ", ".join(_pairs(values, rate=self.bar is None)), values.get("on", "test")
        of = f"{step}" if steps is None else f"{step}/{steps}"
        if self.bar is not None:
            if kind == "train":
                self.bar.update(self.task, completed=step, total=steps, values=shown)
            else:
                self.bar.console.print(f"step {of}: {on} {shown}")
        elif kind == "evaluation":
            self._print(f"step {of}: {on} {shown}")
        elif step >= self.printed + max((steps or 10_000) // 10, 1) or not self.printed:
            self.printed = step
            self._print(f"step {of}: {shown}")

    @staticmethod
    def _print(line: str) -> None:
        print(printable(line), file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            with suppress(OSError):
                self.bar.stop()


class SweepProgress:
    """How a sweep stands, on standard error: a bar on a terminal, elsewhere a line a change."""

    def __init__(self, title: str, *, quiet: bool = False) -> None:
        self.title, self.quiet = title, quiet
        self.bar: Any = None
        self.task: Any = None
        self.printed = ""

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich import progress

            self.bar = progress.Progress(
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(bar_width=16),
                progress.TextColumn("{task.fields[said]}", markup=False),
                console=console(sys.stderr),
            )
            self.task = self.bar.add_task(self.title, total=None, said="")
            self.bar.start()
        return self

    def update(self, status: Any) -> None:
        """Show a `netbuild.experiments.sweep.Status`; the sweep goes on if it cannot be written."""
        if self.quiet:
            return
        try:
            if self.bar is not None:
                done = status.total - status.left
                said = ", ".join(_sweep_parts(status, live=True))
                self.bar.update(self.task, completed=done, total=status.total, said=said)
            elif (said := ", ".join(_sweep_parts(status, live=False))) != self.printed:
                self.printed = said
                print(printable(f"{self.title}: {said}"), file=sys.stderr, flush=True)
        except OSError:
            self.quiet = True

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            with suppress(OSError):
                self.bar.stop()


def _sweep_parts(status: Any, *, live: bool) -> Iterable[str]:
    yield f"{status.done:,}/{status.total:,} runs"
    if live and status.running:
        yield f"{status.running:,} running"
    if live and status.waiting:
        yield f"{status.waiting:,} waiting"
    for name in ("diverged", "failed"):
        if count := getattr(status, name):
            yield f"{count:,} {name}"
    if live and status.seconds_left is not None and status.left > 0:
        minutes, seconds = divmod(round(status.seconds_left), 60)
        yield f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
    if status.best is not None:
        yield f"best {status.best:.4f}" + (f" ({status.best_of})" if status.best_of else "")


def number_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print records, one a line; columns of numbers are flush right, columns without any left out.

    On a terminal each line is cut to its width.
    """
    columns = [name for name in (rows[0] if rows else ()) if any(r[name] is not None for r in rows)]
    right = [
        all(not isinstance(r[name], str) for r in rows if r[name] is not None) for name in columns
    ]
    cells = [[one_line(_cell(row[name])) for name in columns] for row in rows]
    out = console()
    lines = list(map(_line, _padded([columns, *cells], right))) if columns else []
    for i, line in enumerate(lines):
        text = Text(line, style="bold" if i == 0 and out.is_terminal else "")
        if out.is_terminal:
            text.truncate(out.width, overflow="ellipsis")
        out.print(text, soft_wrap=True)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _pairs(values: Mapping[str, Any], *, rate: bool) -> Iterable[str]:
    if "stage" in values:
        yield str(values["stage"])
    for key, form in (("loss", ".4f"), ("accuracy", ".4f"), ("steps_per_second", ",.0f")):
        if values.get(key) is not None and (rate or key != "steps_per_second"):
            label = "steps/s" if key == "steps_per_second" else key
            yield f"{label} {values[key]:{form}}"
