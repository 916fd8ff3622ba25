"""The canary check in a browser: from the click to the verdict, to the promotion, for all browsers."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Locator, expect

from tests.e2e.browser import PATIENCE, Visitor
from tests.e2e.conftest import Visit


def verdict(visitor: Visitor) -> Locator:
    """Return the verdict, by its role, as a screen reader finds it."""
    return visitor.part("check-result").get_by_role("status")


def test_from_the_click_to_the_verdict_to_the_promotion(visit: Visit, visitor: Visitor) -> None:
    """All browsers see the same verdict, on a phone too; it leads on to the dialog that promotes."""
    phone = visit(390, 844)
    visitor.press("start-check")
    for each in (visitor, phone):
        expect(verdict(each)).to_contain_text(
            re.compile(r"New is better\s+Of \d+ digits that only one of them got right, New got \d+"),
            timeout=3 * PATIENCE,
        )
        each.reads("check-progress", "Ended with the verdict.")
        expect(each.part("check-evidence").get_by_role("img")).to_be_visible(timeout=PATIENCE)
    fits = "it => it.scrollWidth <= document.documentElement.clientWidth"
    assert phone.part("check-result").evaluate(fits)
    visitor.part("check-gallery").get_by_role("button", name="Show no.").first.click()
    visitor.shows(re.compile(r"MNIST says \d: New is right\."))
    visitor.press("check-promote")
    expect(visitor.dialog).to_contain_text("Afterwards", timeout=PATIENCE)
    visitor.press("promote-confirm")
    visitor.reads("card-current", "cnn")
    visitor.reads("check-progress", "Other models are deployed now")
    visitor.press("undo-promote")
    visitor.reads("card-current", "linear")


def test_a_reload_loses_nothing_of_a_check(visitor: Visitor) -> None:
    """Which asks about a fixed number of digits, chosen among the options, to its end."""
    visitor.part("check-options").get_by_role("button").first.click()
    visitor.page.get_by_text("A fixed number of digits").click()
    digits = visitor.page.get_by_role("spinbutton", name="Digits", exact=True)
    expect(digits).to_be_enabled(timeout=PATIENCE)
    digits.fill("2000")
    digits.press("Enter")
    visitor.page.keyboard.press("Escape")
    visitor.press("start-check")
    visitor.reads("check-progress", "of 2,000 digits")
    visitor.page.reload()
    visitor.reads("check-progress", "of 2,000 digits")
    expect(visitor.part("check-progress")).to_contain_text("All 2,000 digits", timeout=9 * PATIENCE)
    expect(visitor.part("start-check").get_by_role("button")).to_be_enabled(timeout=PATIENCE)


def test_a_report_opens_from_disk_and_prints_on_two_pages(
    visitor: Visitor, browser: Browser, tmp_path: Path
) -> None:
    """Without the network; the button offers it once there is something to report."""
    visitor.press("start-check")
    expect(visitor.part("check-progress")).to_contain_text("Ended with the verdict.", timeout=3 * PATIENCE)
    with visitor.page.expect_download() as download:
        visitor.press("check-report")
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    with closing(browser.new_context(offline=True)) as context:
        page = context.new_page()
        page.goto(path.as_uri())
        expect(page.get_by_role("status")).to_contain_text("New is better")
        assert (
            page.get_by_alt_text("A digit of which MNIST says").first.evaluate("it => it.naturalWidth") == 28
        )
        assert len(re.findall(rb"/Type /Page\b", page.pdf())) == 2


def test_a_rollout_from_the_click_to_the_promotion(visit: Visit, visitor: Visitor) -> None:
    """The ladder shows where it stands to all browsers, on a phone too; a double click does nothing twice."""
    phone = visit(320, 800)
    visitor.press("rollout-options")
    steps = visitor.page.get_by_role("textbox", name="Steps in percent")
    steps.fill("10, 40, 100")
    steps.press("Enter")
    requests = visitor.page.get_by_role("spinbutton", name="Requests that New answers")
    requests.fill("400")
    requests.press("Enter")
    visitor.part("start-rollout").get_by_role("button").dblclick()
    visitor.reads("rollout", "Rolling out, step 1 of 3.")
    expect(visitor.part("start-rollout")).to_be_hidden(timeout=PATIENCE)
    visitor.reads("strategy-card", "Automatic rollout. Rolling out, step")
    phone.reads("rollout", re.compile(r"New has answered \d+ of 400 requests at \d+ %"))
    visitor.press("pause-rollout")
    phone.reads("rollout", re.compile(r"Paused, step \d of 3"))
    now = phone.part("rollout").locator("[aria-current=step]")
    expect(now).to_contain_text("of 400", timeout=PATIENCE)
    fits = "it => it.scrollWidth <= document.documentElement.clientWidth"
    assert phone.part("canary-check").evaluate(fits)
    phone.press("resume-rollout")
    phone.part("skip-step").get_by_role("button").dblclick()
    for each in (visitor, phone):
        expect(each.part("rollout")).to_contain_text(
            "Promoted. cnn became the Current.", timeout=9 * PATIENCE
        )
        expect(verdict(each)).to_contain_text("New is better", timeout=PATIENCE)
        expect(each.part("rollout").get_by_role("listitem")).to_contain_text(["done"] * 4)
    visitor.reads("card-current", "cnn")
    visitor.press("undo-promote")
    visitor.reads("card-current", "linear")
