"""The class of every command: an option that takes one value is not given twice."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperOption

from netbuild.errors import Exit, NetbuildError


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
