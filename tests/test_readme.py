"""The README tells the truth about commands, settings and public names."""

from __future__ import annotations

from pathlib import Path

import pytest

import mnist_dash
from mnist_dash.config import FLAGS, Flag

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e "


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_stands_in_the_table_with_its_variable_and_default(flag: Flag) -> None:
    """A row that says what the help says."""
    assert f"| `--{flag.name}` | `{flag.variable}` | {flag.default} |" in README


@pytest.mark.parametrize("verb", ["deploy", "set_split", "promote", "undo_promote", "remove", "snapshot"])
def test_every_verb_is_shown(verb: str) -> None:
    """As it is called in a notebook."""
    assert f"dash.{verb}(" in README
    assert hasattr(mnist_dash.Dashboard, verb)


def test_every_error_is_named() -> None:
    """Whoever catches one can find it."""
    errors = [name for name in mnist_dash.__all__ if name.endswith("Error")]
    assert len(errors) == 6
    assert all(f"`{name}`" in README for name in errors)


def test_ci_runs_the_very_test_command_of_the_readme() -> None:
    """And the other command starts the dashboard."""
    assert f"\n{INSTALL}. && .venv/bin/streamlit run app.py\n" in README
    command = f"\n{INSTALL}'.[test]' && .venv/bin/pytest\n"
    assert command in README
    assert command in (ROOT / ".ci" / "run").read_text()


def test_every_public_name_can_be_imported_and_no_other() -> None:
    """Names are looked up when they are first asked for."""
    assert all(getattr(mnist_dash, name) for name in mnist_dash.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mnist_dash.nonsense


def test_every_picture_exists() -> None:
    """None of them is a dead link."""
    pictures = [part.split(")")[0] for part in README.split("![")[1:] for part in [part.split("](")[1]]]
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)
