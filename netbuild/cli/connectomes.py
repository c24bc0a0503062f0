"""Connectome files on the command line: `netbuild inspect masks FILE` and `netbuild convert`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from netbuild.cli import options
from netbuild.cli.options import argument, flag, option
from netbuild.cli.outputs import need_ending
from netbuild.cli.standard import say
from netbuild.errors import DataFileError, Exit, NetbuildError, joined

if TYPE_CHECKING:
    from netbuild.connectomes import Connectome
    from netbuild.language.connectome import Connectome as Words

LAYER = "layers[0].connectome."
SPEC = """\
netbuild: 1
layers: [{{name: x, type: ctrnn, input_dim: 1, alpha: 1, connectome: {{edges: EDGES{0}}}}}]
"""
# Codes of problems that a key of `connectome` may solve.
CURABLE = ("NB206", "NB211", "NB212", "NB214", "NB216", "NB306")
CURE = "here keys are given as `--set edges.weight=COLUMN`, the node table as `--neurons FILE`"

Neurons = Annotated[Path | None, option("FILE", "The node table of an edge list.", "--neurons")]
Policies = Annotated[
    list[str] | None,
    option(
        "KEY=VALUE",
        "A key of `connectome`, e.g. min_weight=5 or edges.weight=syn_count. Repeatable.",
        "--set",
    ),
]


def convert(
    edges: Annotated[Path, argument("EDGES", "An edge list, or a matrix.")],
    output: Annotated[Path, options.output("Where to write.", "FILE.npz")],
    neurons: Neurons = None,
    set_: Policies = None,
    force: Annotated[bool, flag("Replace a file that is there already.", "--force")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write a connectome in netbuild's own sparse form, which loads at once."""
    need_ending(output, "a connectome", ".npz")
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

    try:
        return read_connectome(edges, neurons, _words(neurons is not None, changes or ()))
    except DataFileError as error:
        # This command reads no spec, so an error of a spec counts as an error of the data.
        code = max(Exit.DATA, error.exit_code)
        hint = joined(error.hint, CURE) if error.code in CURABLE else error.hint
        raise NetbuildError(f"{edges}: [{error.code}] {error.what}", code, hint) from None


def _words(neurons: bool, changes: Sequence[str]) -> Words:
    """The keys of `connectome` as a spec has them that names the files and holds the changes."""
    from netbuild.language.connectome import twice_said
    from netbuild.language.parse import parse_document
    from netbuild.yamltree.document import Document, parse

    for change in changes:
        if not change.partition("=")[0].strip() or "=" not in change:
            hint = "for example `--set min_weight=5`"
            raise NetbuildError(f"--set {change} is not KEY=VALUE", Exit.USAGE, hint)
    text = SPEC.format(", neurons: NEURONS" if neurons else "")
    document = Document("spec", parse(text, "spec"), Path(), text)
    parsed = parse_document(document, lambda *_: Path(), [LAYER + change for change in changes])
    for problem in parsed.problems:
        number = int(problem.place.source.rpartition("#")[2]) if problem.place else 1
        change = changes[number - 1]
        what = problem.what.replace(LAYER, "")  # the user has not written this part
        raise NetbuildError(f"--set {change}: {what}", Exit.USAGE, problem.hint.replace(LAYER, ""))
    words: Words = parsed.layers[0].connectome  # type: ignore[union-attr]
    if words.control is not None or words.learn != "weights":
        what = "`control` and `learn` are of a network; a file is read as it is"
        raise NetbuildError(what, Exit.USAGE)
    if words.edges.file != "EDGES" or (words.neurons and words.neurons.file != "NEURONS"):
        what = "the files are those of the command line; `--set` says how they are read"
        raise NetbuildError(what, Exit.USAGE, "name the node table by --neurons FILE")
    if (word := twice_said(words)) is not None:
        what = f"--set signs: {word} has two signs; upper and lower case are the same"
        raise NetbuildError(what, Exit.USAGE)
    return words
