"""The house keeps its shape: who may import whom, and what is never called, from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache

import pytest
from places import ROOT

PACKAGE = ROOT / "netbuild"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each room may import of the others, in type checks and inside functions too.
ALLOWED = {
    "errors": set(),
    "streams": set(),
    "system": set(),
    "wiring": set(),
    "wording": set(),
    "explanations": {"files", "wording"},
    "splits": {"streams"},
    "folders": {"errors", "system", "wording"},
    "render": {"errors", "wording"},
    "rundir": set(),
    "durable": {"errors", "folders", "system"},
    "yamltree": {"errors", "system", "wording"},
    "files": {"errors", "system", "wording"},
    "connectomes": {"errors", "files", "wiring", "wording"},
    "environments": {"errors", "streams", "system"},
    "tracking": {"errors", "folders", "durable", "rundir", "system"},
    "language": {
        *("errors", "folders", "durable", "rundir", "splits", "streams", "system", "wiring"),
        *("wording", "yamltree", "files", "connectomes", "environments", "tracking"),
    },
    "convert": {"wording", "language"},
    "compare": {"language"},
    "listing": {
        *("errors", "folders", "durable", "rundir", "system", "wording", "yamltree", "language"),
    },
    "kernels": set(),
    "drawing": {"errors"},
    "layers": {"streams", "wording", "kernels", "drawing", "wiring"},
    "regularization": {"splits", "streams", "wording", "kernels"},
    "tasks": {"streams", "splits", "system", "environments"},
    "builder": {"errors", "streams", "language", "layers", "regularization", "tasks"},
    "inspect": {"language", "layers", "regularization"},
    "training": {
        *("errors", "splits", "streams", "language", "layers", "regularization", "tasks"),
        "builder",
    },
    "runs": {
        *("errors", "folders", "rundir", "system", "wording", "yamltree", "files", "language"),
        *("layers", "durable", "splits", "tasks", "builder", "training", "compare", "tracking"),
    },
    "results": {
        *("errors", "durable", "splits", "wording", "language", "layers", "tasks", "builder"),
        *("training", "runs"),
    },
    "api": {"language", "tasks", "training", "runs", "results"},
    "process": set(),
    "experiments": {
        *("errors", "streams", "system", "wording", "rundir", "durable", "process", "language"),
        *("listing", "drawing", "training", "runs", "results", "builder"),
    },
    "analysis": {"streams", "kernels", "layers", "tasks", "results"},
    "plots": {
        *("errors", "wording", "drawing", "layers", "tasks", "runs", "results", "analysis"),
        "experiments",
    },
    "report": {
        *("errors", "wording", "durable", "files", "yamltree", "language", "layers", "inspect"),
        *("drawing", "runs", "results", "experiments", "plots", "__init__"),
    },
    "cli": {
        *("errors", "explanations", "render", "system", "wording", "yamltree", "connectomes"),
        *("language", "compare", "listing", "builder", "inspect", "training", "runs", "results"),
        *("api", "analysis", "drawing", "plots", "durable", "rundir", "__init__"),
        *("process", "experiments", "report", "tracking"),
    },
    "__main__": {"cli"},
    "__init__": {
        *("errors", "language", "convert", "builder", "layers", "results", "api", "experiments"),
    },
}
MATHS = {"kernels", "drawing", "layers", "regularization", "tasks", "training", "analysis"}
MEETING = {
    "builder",
    "inspect",
    "process",
    "runs",
    "experiments",
    "results",
    "api",
    "plots",
    "report",
    "cli",
    "__init__",
    "__main__",
}
WORDS = set(ALLOWED) - MATHS - MEETING - {"render"}
HEAVY = {"torch", "matplotlib", "polars", "pyarrow", "scipy", "rich", "safetensors", "neurogym"}
# Heavy libraries that a room of words loads when a file asks for them, and never at import.
LATE = {
    "connectomes": {"polars", "pyarrow", "scipy"},
    "files": {"pyarrow", "safetensors"},
    "wiring": {"scipy"},
}


def room_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


@cache
def modules() -> dict[str, ast.Module]:
    """The name of every module of the package, and its source."""
    named = {}
    for path in MODULES:
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        named[name] = ast.parse(path.read_text())
    return named


@cache
def imports(module: str) -> frozenset[str]:
    """Every module that a module imports, inside functions and for type checks too."""
    found: set[str] = set()
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            name = str(node.module)
            inner = {f"{name}.{alias.name}" for alias in node.names}
            found |= inner & modules().keys()
            if inner - modules().keys():
                found.add(name)
    return frozenset(found)


def calls(module: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(modules()[module]) if isinstance(node, ast.Call))


def test_imports_go_down_only() -> None:
    assert {room_of(module) for module in modules()} == set(ALLOWED)
    upwards = [
        f"{module} imports {other}"
        for module in modules()
        for other in imports(module) & modules().keys()
        if room_of(other) not in ALLOWED[room_of(module)] | {room_of(module)}
    ]
    assert upwards == []


def circles() -> list[set[str]]:
    """Groups of modules that reach each other by imports."""
    reach = {module: set(imports(module) & modules().keys()) for module in modules()}
    changed = True
    while changed:
        changed = False
        for known in reach.values():
            more = set().union(*(reach[other] for other in known)) - known
            known |= more
            changed |= bool(more)
    found = [{b for b in reach[a] if a in reach[b]} for a in reach]
    return [circle for i, circle in enumerate(found) if circle and circle not in found[:i]]


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles() == []


def test_each_library_is_known_to_its_room_alone() -> None:
    wrong = []
    for module in modules():
        room, outside = room_of(module), {name.split(".")[0] for name in imports(module)}
        refused = set()
        if room in WORDS:
            refused |= HEAVY - LATE.get(room, set())
        if room in {"connectomes", "files", "environments"} | MATHS - {"training"}:
            refused |= {"yaml", "pydantic", "typer"}
        if room != "render":
            refused |= {"rich"}
        if room == "environments":
            refused -= {"neurogym"}
        else:
            refused |= {"neurogym", "gymnasium"}
        wrong += [f"{module} imports {name}" for name in outside & refused]
    assert wrong == []


def test_nothing_dangerous_is_called() -> None:
    dangerous = {"eval", "exec", "__import__", "compile", "torch.load", "yaml.load"}
    wrong = []
    for module in modules():
        pickles = {"pickle", "marshal", "shelve", "dill", "cloudpickle"} & imports(module)
        wrong += [f"{module} imports {name}" for name in pickles]
        for call in calls(module):
            allows = any(
                keyword.arg == "allow_pickle" and ast.unparse(keyword.value) != "False"
                for keyword in call.keywords
            )
            if allows or ast.unparse(call.func) in dangerous:
                wrong.append(f"{module}:{call.lineno}: {ast.unparse(call)}")
    assert wrong == []


def test_commands_print_through_one_door() -> None:
    """`say` and `tell` escape the control characters in whatever a command prints."""
    wrong = [
        f"{module}:{call.lineno}"
        for module in modules()
        if room_of(module) == "cli" and module != "netbuild.cli.standard"
        for call in calls(module)
        if ast.unparse(call.func) in ("print", "typer.echo")
    ]
    assert wrong == []


def test_every_module_says_what_it_is() -> None:
    assert [m for m, tree in modules().items() if len(ast.get_docstring(tree) or "") <= 20] == []


@pytest.mark.parametrize(
    "code",
    [
        "import netbuild; netbuild.SpecError; netbuild.load",
        "import netbuild.cli, netbuild.plots",
        "import netbuild.connectomes, netbuild.language.schema",
        "import netbuild.experiments.experiment, netbuild.experiments.table, netbuild.runs.log",
    ],
)
def test_words_do_not_wait_for_maths(code: str) -> None:
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not set(result.stdout.split()) & {"torch", "matplotlib", "polars", "scipy", "neurogym"}


def test_help_waits_neither_for_the_language_nor_for_arrays() -> None:
    program = "import netbuild.cli.main, sys; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not set(result.stdout.split()) & {"netbuild.language", "pydantic", "numpy", "yaml"}


def test_public_names_are_the_truth() -> None:
    import netbuild

    for name in netbuild.__all__:
        assert getattr(netbuild, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = netbuild.nothing
    assert set(netbuild.__all__) <= set(dir(netbuild))
