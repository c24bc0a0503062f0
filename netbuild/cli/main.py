"""The entry point: the list of commands, and the three endings of every one of them.

1 = the user was told (a NetbuildError's exit code), 2 = interrupted, 3 = our bug, with a report.
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
from typer.core import TyperGroup

from netbuild.cli.analyze import analyze
from netbuild.cli.build import build
from netbuild.cli.command import OnceCommand
from netbuild.cli.config import config
from netbuild.cli.connectomes import convert
from netbuild.cli.diff import diff
from netbuild.cli.evaluate import evaluate
from netbuild.cli.explain import explain
from netbuild.cli.export import export
from netbuild.cli.init import init
from netbuild.cli.inspect import inspect
from netbuild.cli.interrupt import Interrupt
from netbuild.cli.memory import keep_freed_memory
from netbuild.cli.plot import plot
from netbuild.cli.reproduce import reproduce
from netbuild.cli.resume import resume
from netbuild.cli.runs import runs
from netbuild.cli.schema import schema
from netbuild.cli.standard import drop_unwritten, say, tell, write_any_text
from netbuild.cli.train import train
from netbuild.cli.validate import validate
from netbuild.errors import Exit, NetbuildError


class ReaderGone(Exception):
    """The reader of our output has gone, as `head` does; that is no failure of ours."""


class Interrupted(Exception):
    """Ctrl-C in a command that has nothing to save."""


class Commands(TyperGroup):
    """The group of commands; `main`, not Typer, turns exceptions into messages and exit codes."""

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """Read the words before the command's name."""
        with _ends_of_ours():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """Run a command and write its output to the end."""
        with _ends_of_ours():
            result = super().invoke(ctx)
            sys.stdout.flush()
        return result


@contextmanager
def _ends_of_ours() -> Iterator[None]:
    """Raise our own exceptions where Typer would exit, or print a message, of its own."""
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
    """What is wrong with a word of the command line, in words of the command line."""
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
for _command in (
    init,
    validate,
    config,
    build,
    inspect,
    train,
    resume,
    reproduce,
    evaluate,
    plot,
    analyze,
    export,
    convert,
    diff,
    runs,
    schema,
    explain,
):
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
    interrupt = Interrupt()
    try:
        with interrupt:
            app()
    except BaseException as error:
        # A library that Ctrl-C has stopped half-way, while it was loaded, may raise anything.
        if interrupt.came or isinstance(error, Interrupted):
            tell("interrupted")
            _leave(Exit.INTERRUPTED)
        if isinstance(error, Exception):
            _end(error)
        raise
    finally:
        drop_unwritten()
        gc.freeze()  # the interpreter would look for garbage once more, for a tenth of a second


def _end(error: Exception) -> None:
    """Print the message of an exception, and exit with its code."""
    try:
        raise error
    except NetbuildError as told:
        _leave(_told(told))
    except ReaderGone:
        _leave(Exit.DONE)
    except MemoryError:
        tell("error: out of memory")
        _leave(Exit.RESOURCES)
    except OSError as failed:
        name = f" {failed.filename}" if failed.filename else ""
        tell(f"error:{name} {failed.strerror or type(failed).__name__}")
        _leave(Exit.IO)
    except Exception:
        _leave(_bug())


def _leave(code: int) -> None:
    sys.exit(int(code))


def _told(error: NetbuildError) -> int:
    from netbuild.render import report

    arguments = sys.argv[1:]
    form = "text"
    for position, argument in enumerate(arguments):
        if argument.startswith("--format="):
            form = argument.removeprefix("--format=")
        elif argument == "--format" and position + 1 < len(arguments):
            form = arguments[position + 1]
    with suppress(OSError):  # the exit code tells it all the same
        report(error, form)
    return error.exit_code


def _bug() -> int:
    """Write the traceback where it can be sent from, and say so."""
    import tempfile

    import netbuild

    text = f"netbuild {netbuild.__version__}\nargv: {sys.argv}\n\n{traceback.format_exc()}"
    with tempfile.NamedTemporaryFile(
        "w", prefix="netbuild-crash-", suffix=".txt", delete=False
    ) as stream:
        stream.write(text)
    tell(f"error: a bug in netbuild; the report is in {stream.name}")
    return Exit.BUG
