"""`netbuild explain`: what an error code means, with a wrong example and the right one."""

from __future__ import annotations

import textwrap
from typing import Annotated

from netbuild.cli.options import argument
from netbuild.cli.standard import say
from netbuild.errors import Exit, NetbuildError


def explain(
    code: Annotated[str | None, argument("CODE", "For example NB201; all if left out.")] = None,
) -> None:
    """Say what an error code means, show a spec that has the problem and one that has not."""
    from netbuild.explanations import EXPLANATIONS

    if code is None:
        for known, explanation in EXPLANATIONS.items():
            say(f"{known}  {explanation.title}")
        return
    found = EXPLANATIONS.get(code.strip("[]").upper())
    if found is None:
        raise NetbuildError(f"no error has the code {code!r}", Exit.USAGE, "`netbuild explain`")
    say(f"{code.strip('[]').upper()}: {found.title}\n\n{textwrap.fill(found.meaning, 79)}")
    if found.wrong:
        say(f"\nWrong:\n\n{_indented(found.wrong)}")
    say(f"\nRight:\n\n{_indented(found.right)}")


def _indented(text: str) -> str:
    shown = text.replace("\x07", "\\x07").rstrip("\n")
    return "\n".join(f"    {line}" for line in shown.split("\n"))
