"""The command line: one file a command, plain arguments in, an exit code out."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from importlib import import_module

from netbuild.cli.standard import open_closed


def command() -> None:
    """Run the command line and exit."""
    open_closed()
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, _leave) if is_main else None
    module = import_module("netbuild.cli.main")
    globals()["main"] = command  # the import has put the module of that name in its place
    if is_main:
        signal.signal(signal.SIGINT, before)
    module.main()


def _leave(*_: object) -> None:
    """While this program is being loaded, Ctrl-C has nothing to clear up, and nothing to show."""
    with suppress(OSError):
        os.write(2, b"interrupted\n")
    os._exit(130)


main = command

__all__ = ["main"]
