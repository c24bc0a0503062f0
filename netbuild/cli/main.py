"""The entry point: the list of commands, and the exit code that each exception leads to.

A NetbuildError is printed and has its own exit code; Ctrl-C is 130; any other exception is a bug of
ours, whose traceback is written to a file.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from netbuild.cli.analyze import analyze
from netbuild.cli.build import build
from netbuild.cli.config import config
from netbuild.cli.connectomes import convert
from netbuild.cli.diff import diff
from netbuild.cli.evaluate import evaluate
from netbuild.cli.explain import explain
from netbuild.cli.export import export
from netbuild.cli.init import init
from netbuild.cli.inspect import inspect
from netbuild.cli.plot import plot
from netbuild.cli.report import report
from netbuild.cli.reproduce import reproduce
from netbuild.cli.resume import resume
from netbuild.cli.runs import runs
from netbuild.cli.schema import schema
from netbuild.cli.signals import Interrupt
from netbuild.cli.standard import drop_unwritten, log_as_lines, say, tell, write_any_text
from netbuild.cli.sweep import sweep
from netbuild.cli.table import table
from netbuild.cli.train import train
from netbuild.cli.validate import validate
from netbuild.errors import Exit, NetbuildError
from netbuild.system import keep_freed_memory

COMMANDS = (
    *(init, validate, config, build, inspect),
    *(train, resume, reproduce, evaluate, plot, analyze, export, convert),
    *(sweep, table, report),
    *(diff, runs, schema, explain),
)


class ReaderGone(Exception):
    """The reader of our output has ended, as `head` does; that is not an error."""


class Interrupted(Exception):
    """Ctrl-C in a command that has nothing to save."""


class Commands(TyperGroup):
    """The group of commands; `main`, not Typer, turns exceptions into messages and exit codes."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the words before the command's name."""
        with _own_exceptions():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and write its output to the end."""
        with _own_exceptions():
            result = super().invoke(ctx)
            sys.stdout.flush()
        return result


class OnceCommand(TyperCommand):
    """A command that refuses a repeated option, of which Typer would silently use the last value.

    Options that take a list (`--set`) and flags may be repeated.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Typer does; raises NetbuildError (exit 2) for a repeated option."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        seen: set[str] = set()
        for option in given:
            if not isinstance(option, TyperOption) or option.multiple or option.is_flag:
                continue
            name = option.opts[0]
            if name in seen:
                what = f"{name} is given more than once, and it takes one value"
                raise NetbuildError(what, Exit.USAGE)
            seen.add(name)
        return super().parse_args(ctx, args)


@contextmanager
def _own_exceptions() -> Iterator[None]:
    """Raise our own exceptions where Typer itself would exit or print a message."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except KeyboardInterrupt:
        raise Interrupted from None
    except typer.TyperException as error:
        error.message = _usage(error)
        raise


def _usage(error: typer.TyperException) -> str:
    """The message of a usage error; those of pydantic are written for the command line."""
    from pydantic import ValidationError

    if not isinstance(error.__cause__, ValidationError):
        return error.message
    found = error.__cause__.errors(include_url=False)[0]
    if found["type"] == "int_parsing":
        return f"`{found['input']}` is not a whole number."
    if found["type"] == "greater_than_equal":
        return f"it must be at least {found['ctx']['ge']}; got {found['input']}."
    return error.message.removeprefix("Value error, ")


app = typer.Typer(
    name="netbuild",
    cls=Commands,
    help="Train biologically constrained neural networks from one YAML file.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _command in COMMANDS:
    app.command(cls=OnceCommand)(_command)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
) -> None:
    if version:
        import netbuild

        say(netbuild.__version__)
        raise typer.Exit


def main() -> None:
    """Run the command line and exit."""
    # Threads that spin while they wait for each other slow small networks down tenfold as soon as
    # anything else runs on the machine. OpenMP reads this when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    write_any_text()
    log_as_lines()
    interrupt = Interrupt()
    try:
        with interrupt:
            app()
    except BaseException as error:
        # A library that Ctrl-C has stopped half-way, while it was loaded, may raise anything.
        if interrupt.came or isinstance(error, Interrupted):
            tell("interrupted")
            sys.exit(int(Exit.INTERRUPTED))
        if isinstance(error, Exception):
            sys.exit(int(_ended_by(error)))
        raise
    finally:
        drop_unwritten()
        gc.freeze()  # else the interpreter collects garbage at exit, for a tenth of a second


def _ended_by(error: Exception) -> int:
    """Print the message of an exception; the exit code that it means."""
    match error:
        case NetbuildError():
            from netbuild.render import report

            with suppress(OSError):  # if nobody can read it, the exit code still says what happened
                report(error, _asked_form(sys.argv[1:]))
            return error.exit_code
        case ReaderGone():
            return Exit.DONE
        case MemoryError():
            tell("error: out of memory")
            return Exit.RESOURCES
        case OSError():
            name = f" {error.filename}" if error.filename else ""
            tell(f"error:{name} {error.strerror or type(error).__name__}")
            return Exit.IO
    return _bug(error)


def _asked_form(arguments: list[str]) -> str:
    """The form of output that a command line asks for, even if Typer cannot parse it."""
    form = "text"
    for argument, following in zip(arguments, [*arguments[1:], form], strict=True):
        if argument.startswith("--format="):
            form = argument.removeprefix("--format=")
        elif argument == "--format":
            form = following
    return form


def _bug(error: Exception) -> int:
    """Write the traceback to a file that the user can send, and name the file."""
    import tempfile

    import netbuild

    trace = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix="netbuild-crash-", suffix=".txt", delete=False
    ) as stream:
        stream.write(f"netbuild {netbuild.__version__}\nargv: {sys.argv}\n\n{trace}")
    tell(f"error: a bug in netbuild; the report is in {stream.name}")
    return Exit.BUG
