"""The command line: one file a command, plain arguments in, an exit code out."""

from netbuild.cli.main import main

__all__ = ["main"]
