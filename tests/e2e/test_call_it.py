"""The commands of the tab "Call it" run as they are, and its test shows which model they reach."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import PATIENCE, Visitor


@pytest.fixture
def commands(visitor: Visitor) -> list[str]:
    """The tab's code blocks: curl, the loop of twenty, the Python script."""
    for program in ("bash", "curl", "python3"):
        if not shutil.which(program):
            pytest.skip(f"The commands need {program}, which is not on the PATH.")
    visitor.page.get_by_role("tab", name="Call it").click()
    blocks = visitor.page.get_by_test_id("stCode").locator("code")
    expect(blocks).to_have_count(3, timeout=PATIENCE)
    return blocks.all_inner_texts()


def run(command: list[str], folder: Path) -> str:
    """Return the output of a command, which must succeed."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def likeliest(predictions: list[float]) -> int:
    """The digit with the highest probability."""
    return max(range(len(predictions)), key=predictions.__getitem__)


def test_curl_predicts_a_seven_and_then_twenty_calls_are_counted(commands: list[str], tmp_path: Path) -> None:
    """In one folder, one after the other, as a reader pastes them."""
    answer = run(["bash", "-c", commands[0]], tmp_path)
    assert "X-Served-By" in answer
    assert likeliest(json.loads(answer[answer.index("{") :])["predictions"][0]) == 7
    counts = run(["bash", "-c", commands[1]], tmp_path)
    assert sum(int(line.split()[0]) for line in counts.splitlines()) == 20


def test_the_python_script_predicts_a_seven(commands: list[str], tmp_path: Path) -> None:
    """It needs nothing but the standard library."""
    served_by, predictions = run(["python3", "-c", commands[2]], tmp_path).splitlines()
    assert "release=" in served_by
    assert likeliest(json.loads(predictions)) == 7


def test_the_route_test_shows_which_model_answers(visitor: Visitor) -> None:
    """Through the real gateway."""
    visitor.page.get_by_role("tab", name="Call it").click()
    visitor.press("test-route")
    for words in (
        "Right. With the header X-Mnist-Route: never, 5 of 5 requests reached Current.",
        "Right. With the header X-Mnist-Route: always, 5 of 5 requests reached New.",
        re.compile(r"Right\. Without the header, \d+ of 100 requests reached New; the split is \d+ %\."),
    ):
        expect(visitor.page.get_by_text(words)).to_be_visible(timeout=PATIENCE)
