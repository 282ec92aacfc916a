"""Imports go down the layers of DESIGN section 2, never up or across."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "gitlimmat"
PURE_STANDARD_MODULES = {"asyncio", "fcntl", "glob", "io", "shutil", "signal", "socket", "subprocess"}

MAY_USE = {
    "errors": set(),
    "model": set(),
    "config": {"model", "errors"},
    "plan": {"model", "errors"},
    "queue": {"model", "errors"},
    "git": {"model", "errors"},
    "store": {"git", "queue", "model", "errors", ""},
    "runner": {"git", "plan", "model", "errors"},
    "service": {"queue", "config", "plan", "git", "store", "runner", "model", "errors", ""},
    "tui": {"git", "plan", "store", "service", "model", "errors", ""},
    "web": {"queue", "git", "plan", "store", "service", "model", "errors", ""},
    "cli": {
        "tui",
        "web",
        "queue",
        "config",
        "plan",
        "git",
        "store",
        "runner",
        "service",
        "model",
        "errors",
        "",
    },
    "__main__": {"cli", ""},
    "__init__": set(),
}
"""What each layer may import besides itself; the empty name is the package with its version."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(path: Path) -> str:
    """Return the name of the layer a module belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the full names of all modules that `path` imports, at any depth in the code."""
    names: set[str] = set()
    package = ("gitlimmat", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            names.add(start + (node.module or ""))
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_layers_below(path: Path) -> None:
    """Each import of ours is allowed by the table above."""
    layer = layer_of(path)
    for name in imports(path):
        if name.split(".")[0] == "gitlimmat":
            target = [*name.split("."), ""][1]
            assert target == layer or target in MAY_USE[layer], f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_git_layer_imports_pygit2(path: Path) -> None:
    """Everyone else asks the git layer, or uses handles it made."""
    if layer_of(path) != "git":
        runtime = {node for node in imports(path) if node.split(".")[0] == "pygit2"}
        assert not runtime or "TYPE_CHECKING" in path.read_text()


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if layer_of(path) in ("config", "plan", "queue")],
    ids=lambda path: path.name,
)
def test_pure_layers_do_no_input_or_output(path: Path) -> None:
    """config, plan and queue import nothing that reads, writes, waits or spawns."""
    assert not imports(path) & PURE_STANDARD_MODULES
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "print", "input"}


def test_no_module_is_longer_than_the_house_allows() -> None:
    """Modules have at most 400 lines (STYLE, 2)."""
    long = {
        str(path.relative_to(PACKAGE)): n
        for path in MODULES
        if (n := len(path.read_text().splitlines())) > 400
    }
    assert not long
