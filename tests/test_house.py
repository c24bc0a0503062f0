"""The house keeps its shape: who may import whom, and what is never called, from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "netbuild"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What each part may import of the others; imports go down only.
ALLOWED = {
    "errors": set(),
    "folders": {"errors", "wording"},
    "rounding": set(),
    "streams": set(),
    "splits": {"rounding", "streams"},
    "system": set(),
    "wording": set(),
    "spec": {"errors"},
    "masks": {"errors", "rounding"},
    "connectomes": {"errors", "masks"},
    "environments": {"errors", "streams", "system"},
    "check": {
        *("errors", "folders", "streams", "system", "splits", "spec", "masks", "connectomes"),
        "environments",
    },
    "kernels": {"errors"},
    "layers": {"streams", "kernels"},
    "regularization": {"rounding", "streams"},
    "tasks": {"streams", "splits", "system", "environments"},
    "builder": {"errors", "streams", "spec", "check", "layers", "regularization", "tasks"},
    "convert": {"spec", "check"},
    "explanations": set(),
    "compare": {"check"},
    "listing": {"errors", "folders", "system", "spec"},
    "inspect": {"layers", "regularization", "check"},
    "plots": {"errors", "layers", "tasks", "training", "analysis"},
    "analysis": {"streams", "kernels", "layers", "tasks"},
    "render": {"errors", "wording"},
    "training": {
        *("errors", "folders", "streams", "system", "spec", "masks", "check", "builder"),
        *("layers", "regularization", "tasks", "wording"),
    },
    "cli": {
        *("errors", "folders", "spec", "check", "builder", "training", "inspect", "plots"),
        *("explanations", "compare", "listing", "analysis", "connectomes", "netbuild", "system"),
        *("render", "wording"),
    },
    "__main__": {"cli"},
    "__init__": {"errors", "check", "builder", "convert", "layers", "training"},
}
WORDS = {
    *("errors", "rounding", "streams", "system", "wording", "spec", "masks", "check"),
    *("explanations", "compare", "listing", "folders", "splits"),
}
FORBIDDEN_IN_WORDS = {"torch", "matplotlib", "polars", "scipy", "rich", "safetensors"}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imports(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module != "netbuild":  # `from netbuild import masks` is of masks
                found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_part_is_in_the_table() -> None:
    assert {part_of(path) for path in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down_only(path: Path) -> None:
    part = part_of(path)
    own = {name.split(".")[1] for name in imports(path) if name.startswith("netbuild.")}
    reached = {name for name in own if name in ALLOWED} - {part}
    assert reached <= ALLOWED[part], f"{part} imports {reached - ALLOWED[part]}"
    if "netbuild" in imports(path):
        assert "netbuild" in ALLOWED[part]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_render_knows_rich_and_words_know_no_torch(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)}
    if part_of(path) in WORDS:
        assert not outside & FORBIDDEN_IN_WORDS
    if part_of(path) == "connectomes":
        assert not outside & {"torch", "matplotlib", "safetensors", "pydantic", "yaml"}
    if part_of(path) != "render":
        assert "rich" not in outside
    if part_of(path) in ("layers", "regularization", "tasks"):
        assert not outside & {"yaml", "pydantic", "typer"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_environments_know_neurogym_and_no_torch_of_ours(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path)}
    if part_of(path) == "environments":
        assert not outside & FORBIDDEN_IN_WORDS
    else:
        assert not outside & {"neurogym", "gymnasium"}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_dangerous_is_called(path: Path) -> None:
    assert not imports(path) & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in {"eval", "exec", "__import__", "compile", "torch.load", "yaml.load"}
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert ast.unparse(keyword.value) == "False"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_every_file_says_what_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring
    assert len(docstring) > 20


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after some code."""
    program = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import netbuild",
        "import netbuild; netbuild.SpecError; netbuild.load",
        "import netbuild.cli",
        "import netbuild.spec.schema",
        "import netbuild.connectomes, netbuild.check",
    ],
)
def test_words_do_not_wait_for_maths(code: str) -> None:
    assert not loaded_by(code) & {"torch", "matplotlib", "polars", "scipy", "neurogym"}


def test_public_names_are_the_truth() -> None:
    import netbuild

    for name in netbuild.__all__:
        assert getattr(netbuild, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = netbuild.nothing
    assert set(netbuild.__all__) <= set(dir(netbuild))


def test_commands_print_through_one_door() -> None:
    """`say` and `tell` escape the control characters in whatever a command prints."""
    calls = [
        f"{path.name}:{node.lineno}"
        for path in (PACKAGE / "cli").glob("*.py")
        if path.name != "standard.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo")
    ]
    assert calls == []
