"""`netbuild schema`: the JSON Schema for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from netbuild.cli import options
from netbuild.cli.options import flag
from netbuild.cli.standard import say


def schema(
    output: Annotated[Path | None, options.output("Where to write.")] = None,
    experiment: Annotated[bool, flag("The schema of experiments.", "--experiment")] = False,
) -> None:
    """Print the JSON Schema of specs or experiments, for an editor's completion and checks."""
    from netbuild.language.schema import schema_text

    if output is None:
        say(schema_text(experiment=experiment), end="")
    else:
        output.write_text(schema_text(experiment=experiment))
        say(output)
