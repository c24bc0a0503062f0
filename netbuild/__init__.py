"""Train biologically constrained neural networks from one YAML file.

The public names are loaded when they are first used: `import netbuild` imports no torch.
"""

from __future__ import annotations

# Nothing is imported here: while this file is loaded by the command, Ctrl-C is still Python's own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from netbuild.builder import build as build
    from netbuild.check import Spec as Spec
    from netbuild.check import load as load
    from netbuild.convert import save_spec as save_spec
    from netbuild.errors import NetbuildError as NetbuildError
    from netbuild.errors import SpecError as SpecError
    from netbuild.layers import attach as attach
    from netbuild.training import Run as Run
    from netbuild.training import fork as fork
    from netbuild.training import open_run as open_run
    from netbuild.training import reproduce as reproduce
    from netbuild.training import resume as resume
    from netbuild.training import train as train

__version__ = "0.1.0"

_HOMES = {
    "NetbuildError": "netbuild.errors",
    "Run": "netbuild.training",
    "Spec": "netbuild.check",
    "SpecError": "netbuild.errors",
    "attach": "netbuild.layers",
    "build": "netbuild.builder",
    "fork": "netbuild.training",
    "load": "netbuild.check",
    "open_run": "netbuild.training",
    "reproduce": "netbuild.training",
    "resume": "netbuild.training",
    "save_spec": "netbuild.convert",
    "train": "netbuild.training",
}
__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netbuild' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
