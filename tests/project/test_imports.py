"""The structure of the package: what imports what, and what is named how."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mnist_dash"
LAYERS = [
    {"errors", "domain"},
    {
        "attribution",
        "charts",
        "dataset",
        "disagreements",
        "network_errors",
        "preconditions",
        "preprocessing",
        "promotion_review",
        "rollout_status",
        "route_check",
        "served_models",
        "settings",
        "signature",
        "subprocesses",
        "timeline",
        "traffic",
        "traffic_generator",
    },
    {"evidence", "savedmodel", "serving", "storage", "train"},
    {"engine"},
    {"cluster", "local"},
    {"service"},
    {"panels"},
]
MIRRORED = {"engine", "snapshot"}
"""Modules that both engines have, for the same purpose; the interface of both is an `engine` too."""
LONGEST_CHAIN = 12


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports(path: Path) -> frozenset[str]:
    """Full names of the modules that a file imports at run time, anywhere in it."""
    tree = ast.parse(path.read_text())
    unused = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unused:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & SOURCES.keys()) or {node.module}
    return frozenset(found)


def part(module: str) -> str:
    """The module or sub-package of mnist_dash that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


@cache
def chain(module: str) -> tuple[str, ...]:
    """The longest chain of imports that starts at a module; fails on a cycle by its depth."""
    following = [chain(name) for name in imports(SOURCES[module]) if name in SOURCES and name != module]
    return (module, *max(following, key=len, default=()))


def test_only_the_page_imports_streamlit() -> None:
    """The service works in a notebook and in tests without it."""
    importers = {
        part(module)
        for module, path in SOURCES.items()
        if any(name.split(".")[0] == "streamlit" for name in imports(path))
    }
    assert importers == {"panels"}


def test_only_the_settings_read_the_environment() -> None:
    """Everything else gets values."""
    assert {part(m) for m, path in SOURCES.items() if "os.environ" in path.read_text()} == {"settings"}


@pytest.mark.parametrize("module", SOURCES)
def test_imports_go_one_way(module: str) -> None:
    """errors, domain -> settings, signature ... -> storage, serving -> engines -> service -> panels."""
    levels = {name: level for level, names in enumerate(LAYERS) for name in names}
    if part(module) not in levels:
        return  # the package itself
    later = {name for name in levels if levels[name] > levels[part(module)]}
    assert {part(name) for name in imports(SOURCES[module]) if name in SOURCES} & later == set()


def test_the_engines_do_not_import_each_other() -> None:
    """What they share is below both."""
    for engine, other in (("local", "cluster"), ("cluster", "local")):
        modules = [name for name in SOURCES if part(name) == engine]
        assert not {i for name in modules for i in imports(SOURCES[name]) if part(i) == other}


def test_no_modules_import_each_other() -> None:
    """And the longest chain of imports is short enough to keep in mind."""
    longest = max(map(chain, SOURCES), key=len)
    assert len(longest) <= LONGEST_CHAIN, " -> ".join(longest)


def test_no_two_modules_have_the_same_name() -> None:
    """Except where the two engines have the same part."""
    stems = Counter(path.stem for path in SOURCES.values() if not path.stem.startswith("__"))
    assert {stem for stem, count in stems.items() if count > 1} == MIRRORED


def test_no_two_public_classes_have_the_same_name() -> None:
    """So that a name in a traceback or a search leads to one place."""
    classes = Counter(
        node.name
        for path in SOURCES.values()
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert {name for name, count in classes.items() if count > 1} == set()


def test_the_app_imports_the_package_and_its_panels_only() -> None:
    """What it needs is public."""
    modules = {m for m in imports(ROOT / "app.py") if m.startswith("mnist_dash.")}
    public = set(__import__("mnist_dash").__all__)
    assert not {m for m in modules if part(m) not in public | {"panels"}}
