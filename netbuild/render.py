"""What people read: problems, tables, progress. The only file that knows rich."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any, Self

from rich.console import Console
from rich.table import Table
from rich.text import Text

from netbuild.errors import NetbuildError, Place, Problem, SpecError

MOST_PROBLEMS = 50
_WIDEST = 400  # of a source line's excerpt


def console(stream: IO[str] | None = None) -> Console:
    """A console on standard output; colours only on a terminal, and `NO_COLOR` is honoured."""
    target = stream or sys.stdout
    width = None if target.isatty() else shutil.get_terminal_size((100, 24)).columns
    return _Console(file=target, highlight=False, width=width, soft_wrap=False)


class _Console(Console):
    """A console that leaves a broken pipe to the command line, which knows what it means."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def report(error: NetbuildError, form: str = "text") -> None:
    """Print an error on standard error, in one of the forms text, json and github."""
    problems = error.problems if isinstance(error, SpecError) else None
    if form == "json":
        print(json.dumps(_record(error), indent=1, ensure_ascii=False), file=sys.stderr)
    elif problems is None:
        _plain_error(error)
    elif form == "github":
        for problem in problems:
            print(_github(problem), file=sys.stderr)
    else:
        _problems(problems)


def _plain_error(error: NetbuildError) -> None:
    out = console(sys.stderr)
    line = Text("error", style="bold red").append(f": {error}", style="default")
    out.print(line, soft_wrap=True)
    if error.hint:
        out.print(
            Text("   help: ", style="cyan").append(error.hint, style="default"), soft_wrap=True
        )


def _problems(problems: Sequence[Problem]) -> None:
    out = console(sys.stderr)
    for problem in problems[:MOST_PROBLEMS]:
        out.print(problem_text(problem), soft_wrap=True)
    rest = len(problems) - MOST_PROBLEMS
    if rest > 0:
        out.print(f"... and {rest} more problems")


def problem_text(problem: Problem) -> Text:
    """A problem as it is printed: the located line, the excerpt, the help."""
    text = Text()
    text.append(f"{problem.place or 'spec'}: ", style="bold")
    text.append("error", style="bold red").append(f"[{problem.code}] ", style="default")
    if problem.path:
        text.append(f"{problem.path}: ")
    text.append(problem.what)
    if problem.place and problem.place.text.strip():
        text.append("\n").append(_excerpt(problem.place))
    if problem.hint:
        text.append("\n   help: ", style="cyan").append(problem.hint)
    return text


def _excerpt(place: Place) -> Text:
    """The source line with the span underlined; a long line is cut around it."""
    line = "".join(c if c.isprintable() else " " for c in place.text)
    start, end = place.column - 1, max(place.end_column - 1, place.column)
    cut = 0
    if len(line) > _WIDEST:
        cut = max(0, start - 40)
    line, start, end = line[cut : cut + 100 if cut else _WIDEST], start - cut, end - cut
    number = f"{place.line:>5} | "
    marks = (
        " " * len(f"{place.line:>5} ")
        + "| "
        + " " * start
        + "^" * max(1, min(end, len(line)) - start)
    )
    return Text(f"{number}{line.rstrip()}\n").append(marks, style="red")


def _record(error: NetbuildError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, SpecError) else ()
    return {
        "schema_version": 1,
        "exit_code": int(error.exit_code),
        "problems": [problem_record(problem) for problem in problems]
        or [{"message": str(error), "hint": error.hint}],
    }


def problem_record(problem: Problem) -> dict[str, Any]:
    """A problem as plain data."""
    place = problem.place or Place("")
    return {
        "code": problem.code,
        "path": problem.path,
        "message": problem.what,
        "hint": problem.hint,
        "file": place.source,
        "line": place.line,
        "column": place.column,
        "end_column": place.end_column,
    }


def _github(problem: Problem) -> str:
    place = problem.place or Place("")

    def escape(text: str) -> str:
        return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")

    where = f"file={place.source},line={place.line},col={place.column},endColumn={place.end_column}"
    message = f"{problem.path}: {problem.what}" + (f" ({problem.hint})" if problem.hint else "")
    return f"::error {where},title={problem.code}::{escape(message)}"


def summary_tables(summary: Mapping[str, Any], title: str) -> None:
    """Print what `inspect` found, in tables that fit the terminal."""
    out = console()
    layers = summary["layers"]
    names = list(layers)
    out.print(title, soft_wrap=True)
    fit = max(1, (out.width - 22) // 14)
    for start in range(0, len(names), fit):
        part = names[start : start + fit]
        table = Table()
        table.add_column("")
        for name in part:
            table.add_column(name, justify="right", overflow="fold")
        for key in dict.fromkeys(key for name in part for key in layers[name]):
            table.add_row(key, *[_value(layers[name].get(key, "")) for name in part])
        out.print(table)
    _constraints(out, summary["constraints"])
    counts = summary["parameters"]
    out.print(
        f"{counts['total']:,} parameters: {counts['learnable']:,} learn,"
        f" {counts['held']:,} are absent or frozen, {counts['fixed']:,} do not learn"
    )
    if summary["regularizers"]:
        out.print("regularizers")
        table = Table()
        for column in ("", "raw", "weighted"):
            table.add_column(column, justify="left" if not column else "right")
        for name, term in summary["regularizers"].items():
            table.add_row(name, _value(term["raw"]), _value(term["weighted"]))
        out.print(table)


def _constraints(out: Console, checks: Sequence[Mapping[str, Any]]) -> None:
    if not checks:
        return
    out.print("constraints")
    table = Table()
    table.add_column("layer")
    table.add_column("constraint")
    table.add_column("weights", justify="right")
    table.add_column("violations", justify="right")
    for check in checks:
        style = "bold red" if check["violations"] else ""
        table.add_row(
            check["layer"],
            check["constraint"],
            f"{check['weights']:,}",
            Text(f"{check['violations']:,}", style=style),
        )
    out.print(table)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
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
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=16),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[values]}"),
                console=console(sys.stderr),
            )
            self.task = self.bar.add_task(self.title, total=None, values="")
            self.bar.start()
        return self

    def begin(self, steps: int) -> None:
        """Show how many steps there will be."""
        if self.bar is not None:
            self.bar.update(self.task, total=steps)

    def update(self, kind: str, step: int, steps: int, values: Mapping[str, Any]) -> None:
        """Show a record of the trainer."""
        if self.quiet or kind not in ("train", "evaluation"):
            return
        shown = ", ".join(_pairs(values, rate=self.bar is None))
        if self.bar is not None:
            if kind == "train":
                self.bar.update(self.task, completed=step, total=steps, values=shown)
            else:
                self.bar.console.print(f"step {step}/{steps}: test {shown}")
        elif kind == "evaluation":
            print(f"step {step}/{steps}: test {shown}", file=sys.stderr, flush=True)
        elif step >= self.printed + max(steps // 10, 1) or not self.printed:
            self.printed = step
            print(f"step {step}/{steps}: {shown}", file=sys.stderr, flush=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()


def _pairs(values: Mapping[str, Any], *, rate: bool) -> Iterable[str]:
    for key, form in (("loss", ".4f"), ("accuracy", ".4f"), ("steps_per_second", ",.0f")):
        if key in values and (rate or key != "steps_per_second"):
            label = "steps/s" if key == "steps_per_second" else key
            yield f"{label} {values[key]:{form}}"
