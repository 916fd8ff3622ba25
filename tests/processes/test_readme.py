"""The README's example works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd  # type: ignore[import-untyped]  # ships no py.typed
import pytest

import mnist_dash
from mnist_dash import CanaryCheck, Outcome, Settings

README = Path(__file__).parents[2] / "README.md"


def test_the_example_of_a_notebook_prints_the_verdict_and_rolls_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on the first start, with a state directory and a port of its own; the rows fit pandas."""
    settings = Settings(gateway_port=0, state_dir=tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist_dash, "Settings", lambda: settings, raising=False)
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    verdict, status = capsys.readouterr().out.splitlines()
    assert verdict.startswith("New is better: of ")
    assert status == "Promoted"
    check = names["check"]
    assert isinstance(check, CanaryCheck)
    assert check.verdict.outcome is Outcome.NEW_IS_BETTER
    assert "New is better" in (tmp_path / "check.html").read_text()
    table = pd.DataFrame(check.rows)
    assert len(table) == len(check.rows)
    assert {"truth", "current", "new", "answered_by", "milliseconds"} <= set(table.columns)
