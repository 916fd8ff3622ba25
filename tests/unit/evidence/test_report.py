"""The report of a canary check, and its answers as CSV."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from mnist_dash.domain import Role
from tests.unit.evidence.test_figures import BOTH, CURRENT, NEW, check_of, row


def test_the_report_says_what_was_decided_who_asked_and_how_to_repeat_it(tmp_path: Path) -> None:
    """With models, split, seed, level and margin; the user's name is text, not HTML."""
    rows = [*[row(BOTH)] * 20, *[row(NEW, place=5)] * 9, row(CURRENT)]
    check = check_of(*rows, by="<b>ann</b>", is_running=False, ended="Ended with the verdict.")
    path = tmp_path / "check.html"
    check.report(path)
    page = path.read_text()
    for text in (
        "New is better",
        "Of 7 digits that only one of them got right, New got 7. Decided after 27 digits.",
        "1 January 1970, 00:00:00 UTC, by &lt;b&gt;ann&lt;/b&gt;",
        *(f"{check.setup.of(role)}, release {check.setup.of(role).release}: " for role in Role),
        "20 % of the requests to New",
        "the order of seed 28",
        "5 %, 2 points",
        "ends the check if more than 1 % of its requests fail",
        "dash.check_canary(level=0.05, margin=0.02)",
        "Where they differ: 10 of 30 digits",
    ):
        assert text in page
    assert page.count("<img ") == 10


def test_the_report_needs_nothing_beside_it() -> None:
    """No file, no script and no address; also for a check that found nothing."""
    page = check_of().to_html()
    assert "Not enough evidence yet" in page
    assert "<script" not in page
    assert re.findall(r"(?:src|href|url)\s*[=(]\s*[\"']?(?!data:)", page) == []


def test_the_csv_has_a_line_for_each_digit(tmp_path: Path) -> None:
    """In the order in which they were asked, with the error of a failed request."""
    path = tmp_path / "check.csv"
    check_of(row(NEW, place=3), row(BOTH, place=1, by=None)).report(path)
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["place"], first["truth"], first["current"], first["new"]) == ("3", "7", "3", "7")
    assert (first["answered_by"], first["milliseconds"], first["error"]) == ("current", "3.0", "")
    assert (second["place"], second["answered_by"], second["error"]) == ("1", "", "It broke off.")
    assert check_of().to_csv().startswith("place,truth,current,")
