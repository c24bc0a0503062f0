"""Train biologically constrained neural networks from one YAML file.

The public names are loaded when they are first used: `import netbuild` imports no torch.
"""

from __future__ import annotations

# Nothing is imported here: while this file is loaded by the command, Ctrl-C is still Python's own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from netbuild.builder import build as build
    from netbuild.convert import save_spec as save_spec
    from netbuild.errors import NetbuildError as NetbuildError
    from netbuild.errors import SpecError as SpecError
    from netbuild.language import Spec as Spec
    from netbuild.language import load as load
    from netbuild.layers import attach as attach
    from netbuild.runs import Run as Run
    from netbuild.runs import fork as fork
    from netbuild.runs import open_run as open_run
    from netbuild.runs import reproduce as reproduce
    from netbuild.runs import resume as resume
    from netbuild.runs import train as train

__version__ = "0.1.0"

_HOMES = {
    "NetbuildError": "netbuild.errors",
    "Run": "netbuild.runs",
    "Spec": "netbuild.language",
    "SpecError": "netbuild.errors",
    "attach": "netbuild.layers",
    "build": "netbuild.builder",
    "fork": "netbuild.runs",
    "load": "netbuild.language",
    "open_run": "netbuild.runs",
    "reproduce": "netbuild.runs",
    "resume": "netbuild.runs",
    "save_spec": "netbuild.convert",
    "train": "netbuild.runs",
}
__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netbuild' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
