"""The command line: one file a command, plain arguments in, an exit code out.

This file imports next to nothing, so that Ctrl-C is taken over as soon as the program starts.
"""

import os
import signal


def command() -> None:
    """Run the command line and exit."""
    try:  # noqa: SIM105 - contextlib comes later
        signal.signal(signal.SIGINT, _leave)
    except ValueError:  # another thread than the main one, which no signal reaches
        pass
    from netbuild.cli.standard import open_closed

    open_closed()
    from importlib import import_module

    module = import_module("netbuild.cli.main")
    globals()["main"] = command  # the import has put the module of that name in its place
    module.main()


def _leave(*_: object) -> None:
    """End the process at Ctrl-C, as long as no command has begun and nothing must be saved."""
    try:  # noqa: SIM105
        os.write(2, b"interrupted\n")
    except OSError:
        pass
    os._exit(130)


main = command

__all__ = ["main"]
