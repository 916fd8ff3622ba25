"""Imports go one way, as the design says."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mnist_dash"
LAYERS = [
    {"errors"},
    {"config", "domain"},
    {"rules", "digit", "digits", "savedmodel", "storage", "serving", "who", "probes"},
    {"local", "cluster"},
    {"service"},
    {"panels"},
]
SOURCES = sorted(p for p in PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part(path: Path) -> str:
    """The module or sub-package of mnist_dash that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_only_the_page_imports_streamlit() -> None:
    """The service works in a notebook and in tests without it."""
    offenders = [
        p
        for p in SOURCES
        if part(p) not in ("panels",) and any(m.split(".")[0] == "streamlit" for m in imports(p))
    ]
    assert offenders == []


def test_only_config_reads_the_environment() -> None:
    """Everything else gets values."""
    offenders = [p for p in SOURCES if part(p) != "config" and "os.environ" in p.read_text()]
    assert offenders == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    """errors -> config, domain -> digit, savedmodel, serving ... -> engines -> service -> panels."""
    levels = {name: level for level, names in enumerate(LAYERS) for name in names}
    if part(path) not in levels or part(path) == "service":
        return  # tools beside the layers; service opens the engine that the settings name
    later = {name for name in levels if levels[name] > levels[part(path)]}
    assert not {m for m in imports(path) if m.startswith("mnist_dash.") and m.split(".")[1] in later}


def test_the_app_imports_the_package_and_its_panels_only() -> None:
    """What it needs is public."""
    modules = {m for m in imports(ROOT / "app.py") if m.startswith("mnist_dash.")}
    public = set(__import__("mnist_dash").__all__)
    assert not {m for m in modules if m.split(".")[1] not in public | {"panels"}}
