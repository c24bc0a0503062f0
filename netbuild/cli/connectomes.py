"""Connectome files on the command line: `netbuild inspect masks FILE` and `netbuild convert`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netbuild.cli.options import Quiet
from netbuild.cli.standard import say
from netbuild.errors import DataFileError, Exit, NetbuildError

if TYPE_CHECKING:
    from netbuild.connectomes import Connectome

# In hints: a key of `connectome` with what it may say, and one that is too many.
KEY = re.compile(r"`(\w+): (?:\{([^`{}]*)\}|([^`{}]+))`")
OUT = re.compile(r"leave `(\w+)` out")

Neurons = Annotated[
    Path | None,
    typer.Option("--neurons", metavar="FILE", help="The node table of an edge list."),
]
Policies = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A key of `connectome`, e.g. min_weight=5 or edges.weight=syn_count. Repeatable.",
    ),
]


def convert(
    edges: Annotated[Path, typer.Argument(metavar="EDGES", help="An edge list, or a matrix.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Where to write.")
    ],
    neurons: Neurons = None,
    set_: Policies = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a file that is there already.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Write a connectome in netbuild's own sparse form, which loads at once."""
    if output.suffix.lower() != ".npz":
        raise NetbuildError(f"{output} does not end in .npz", Exit.USAGE)
    if not output.parent.is_dir():
        raise NetbuildError(f"there is no folder {output.parent}", Exit.IO)
    if output.is_dir():
        raise NetbuildError(f"{output} is a folder", Exit.IO)
    if output.exists() and not force:
        hint = "name another with -o, or replace it by --force"
        raise NetbuildError(f"{output} exists already", Exit.USAGE, hint)
    connectome = read(edges, neurons, set_)
    from netbuild.connectomes import write_native

    write_native(connectome, output)
    if not quiet:
        n, connections = len(connectome.neurons), len(connectome.wiring)
        size = output.stat().st_size
        say(f"{output}: {n:,} neurons, {connections:,} connections, {size:,} bytes")


def read(edges: Path, neurons: Path | None, changes: Sequence[str] | None) -> Connectome:
    """The connectome of a command line; raises NetbuildError."""
    from netbuild.connectomes import read_connectome
    from netbuild.language.check_connectome import options_of, twice_said
    from netbuild.language.connectome import Connectome as Words

    tree: dict[str, Any] = {"edges": {"file": str(edges)}}
    if neurons is not None:
        tree["neurons"] = {"file": str(neurons)}
    for change in changes or ():
        _put(tree, change)
    words = _validated(Words, tree)
    if words.control is not None or words.learn != "weights":
        what = "`control` and `learn` are of a network; a file is read as it is"
        raise NetbuildError(what, Exit.USAGE)
    given = words.edges.file, words.neurons.file if words.neurons else str(neurons)
    if given != (str(edges), str(neurons)):
        what = "the files are those of the command line; `--set` says how they are read"
        raise NetbuildError(what, Exit.USAGE, "name the node table by --neurons FILE")
    if (word := twice_said(words)) is not None:
        what = f"--set signs: it says two things of {word}; capitals do not count"
        raise NetbuildError(what, Exit.USAGE)
    try:
        return read_connectome(edges, neurons, options_of(words))
    except DataFileError as error:
        # This command reads no spec, so an error that a spec could cure counts as one of the file.
        code = max(Exit.DATA, error.exit_code)
        what = f"{edges}: [{error.code}] {error.what}"
        raise NetbuildError(what, code, as_options(error.hint)) from None


def as_options(hint: str) -> str:
    """A hint in words of this command line: `rows: pre` of a spec is `--set edges.rows=pre`."""
    return OUT.sub(lambda found: f"leave `{_option(found[1])}` out", KEY.sub(_as_options, hint))


def _as_options(found: re.Match[str]) -> str:
    """A key with its value or, of a file, with its own keys."""
    key, own, value = found.groups()
    if own is None:
        return f"`{_option(key)}={value}`"
    options = [
        f"{_option(f'{key}.{each}')}={said}"
        for each, said in re.findall(r"(\w+): ([^,{}]+)", own)
        if each != "file"
    ]
    return f"`{' '.join([*(['--neurons FILE'] if key == 'neurons' else []), *options])}`"


def _option(key: str) -> str:
    from netbuild.language.connectome import EdgeFile

    if key == "neurons":
        return "--neurons"
    return f"--set edges.{key}" if key in EdgeFile.model_fields else f"--set {key}"


def _put(tree: dict[str, Any], change: str) -> None:
    """Set one key, `min_weight=5` or `edges.weight=syn_count`, as a spec would have it."""
    from netbuild.yamltree.document import parse
    from netbuild.yamltree.nodes import plain

    path, sign, text = change.partition("=")
    if not sign or not path:
        raise NetbuildError(f"--set {change} is not KEY=VALUE", Exit.USAGE)
    *way, last = path.split(".")
    section = tree
    for key in way:
        section = section.setdefault(key, {})
        if not isinstance(section, dict):
            raise NetbuildError(f"--set {change}: `{key}` holds no keys", Exit.USAGE)
    node = parse(f"value: {text}", f"--set {change}")
    section[last] = plain(node)["value"]


def _validated(model: Any, tree: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        known = ", ".join(sorted(model.model_fields))
        message = first["msg"].removeprefix("Value error, ")
        said = f"{message[0].lower()}{message[1:]}"
        if first["type"] == "extra_forbidden":
            said = "there is no such key"
        elif first["type"] == "model_type":
            said = "it has keys of its own, as edges.weight=COLUMN says one"
        what = f"--set {key}: {said}"
        raise NetbuildError(
            what, Exit.USAGE, f"the keys are those of `connectome`: {known}"
        ) from None
