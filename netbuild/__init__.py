"""Train biologically constrained neural networks from one YAML file.

The public names are loaded when they are first used: `import netbuild` imports no torch.
"""

from __future__ import annotations

# Nothing is imported here: while this file is loaded by the command, Ctrl-C is still Python's own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from netbuild.api import fork as fork
    from netbuild.api import open_run as open_run
    from netbuild.api import reproduce as reproduce
    from netbuild.api import resume as resume
    from netbuild.api import train as train
    from netbuild.builder import build as build
    from netbuild.convert import save_spec as save_spec
    from netbuild.errors import NetbuildError as NetbuildError
    from netbuild.errors import SpecError as SpecError
    from netbuild.experiments.experiment import open_experiment as open_experiment
    from netbuild.language import Spec as Spec
    from netbuild.language import load as load
    from netbuild.layers import attach as attach
    from netbuild.results.run import Run as Run

__version__ = "0.1.0"

_HOMES = {
    "NetbuildError": "netbuild.errors",
    "Run": "netbuild.results.run",
    "Spec": "netbuild.language",
    "SpecError": "netbuild.errors",
    "attach": "netbuild.layers",
    "build": "netbuild.builder",
    "fork": "netbuild.api",
    "load": "netbuild.language",
    "open_experiment": "netbuild.experiments.experiment",
    "open_run": "netbuild.api",
    "reproduce": "netbuild.api",
    "resume": "netbuild.api",
    "save_spec": "netbuild.convert",
    "train": "netbuild.api",
}
__all__ = [*_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'netbuild' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
