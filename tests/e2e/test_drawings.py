"""Labels of drawings in a browser: by keyboard and by button, at phone width too, and the files of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from playwright.sync_api import Locator, expect

from tests.e2e.browser import PATIENCE, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.test_layout import top_of


def label(visitor: Visitor, digit: int) -> Locator:
    """Return one of the ten buttons."""
    return visitor.part("label").get_by_role("radio", name=str(digit), exact=True)


def is_labelled(visitor: Visitor, digit: int) -> None:
    """Wait until the drawing has this label, and no other."""
    expect(label(visitor, digit)).to_be_checked(timeout=PATIENCE)
    expect(visitor.part("label").get_by_role("radio", checked=True)).to_have_count(1, timeout=PATIENCE)


def predict(visitor: Visitor, digit: int) -> None:
    """Draw a digit, and have it predicted."""
    visitor.draw(digit)
    visitor.press("predict")
    visitor.reads("answer", f"says {digit}")
    expect(label(visitor, digit)).to_be_visible(timeout=PATIENCE)


def test_a_drawing_is_labelled_by_keyboard_and_by_button(visit: Visit, visitor: Visitor) -> None:
    """Once there is an answer; the label can be corrected and taken back, and nothing moves for it."""
    phone = visit(390, 844)
    visitor.page.keyboard.press("7")
    place = top_of(visitor, "send-traffic")
    expect(label(visitor, 7)).to_be_hidden()
    predict(visitor, 7)
    expect(label(visitor, 7)).not_to_be_checked()
    visitor.page.keyboard.press("7")
    is_labelled(visitor, 7)
    tally = re.compile(r"On your drawing: New 1, Current 1\. No evidence yet\.")
    for each in (visitor, phone):
        each.reads("label", tally)
    visitor.is_still()
    assert top_of(visitor, "send-traffic") == place
    label(visitor, 1).click()
    is_labelled(visitor, 1)
    visitor.reads("label", "On your drawing: New 0, Current 0.")
    visitor.page.keyboard.press("1")
    visitor.page.keyboard.press("Control+5")
    is_labelled(visitor, 1)
    label(visitor, 1).click()
    expect(visitor.part("label").get_by_role("radio", checked=True)).to_have_count(0, timeout=PATIENCE)
    expect(visitor.page.get_by_text("On your drawing")).to_be_hidden(timeout=PATIENCE)
    assert top_of(visitor, "send-traffic") == place


def test_keys_in_a_dialog_or_a_field_are_no_labels(visitor: Visitor) -> None:
    """They are text there."""
    predict(visitor, 3)
    visitor.open_deploy("new")
    visitor.part("deploy-base").locator("input").press_sequentially("123")
    visitor.page.keyboard.press("Escape")
    expect(visitor.dialog).to_be_hidden(timeout=PATIENCE)
    visitor.press("check-options")
    visitor.page.get_by_role("spinbutton", name="Margin in points").press("4")
    visitor.page.keyboard.press("Escape")
    visitor.is_still()
    expect(visitor.part("label").get_by_role("radio", checked=True)).to_have_count(0)


def test_a_label_on_a_phone_and_the_files_of_all(visit: Visit, tmp_path: Path) -> None:
    """By a tap; the file has the drawing, a check can ask about it, and Clear asks first."""
    phone = visit(390, 844)
    phone.is_ready("new")
    phone.canvas.scroll_into_view_if_needed()
    predict(phone, 3)
    label(phone, 3).tap()
    is_labelled(phone, 3)
    phone.reads("label", "On your drawing: New 1, Current 1.")
    phone.press("drawings")
    with phone.page.expect_download() as download:
        phone.part("drawings-npz").get_by_role("button").click()
    download.value.save_as(tmp_path / "drawings.npz")
    with np.load(tmp_path / "drawings.npz") as stored:
        assert stored["images"].shape == (1, 28, 28)
        assert stored["labels"].tolist() == [3]
    phone.part("clear-drawings").get_by_role("button").click()
    phone.shows(re.compile("Delete 1 labelled drawing, and all"))
    phone.part("clear-confirm").get_by_role("button").click()
    phone.shows(re.compile("0 labelled drawings"))
    phone.page.keyboard.press("Escape")
    phone.open_tab("History")
    phone.part("history-filter").get_by_text("Predictions").click()
    phone.shows(re.compile("Nobody has asked a model yet"))


def test_a_click_on_a_picture_of_the_gallery_puts_it_on_the_canvas(visitor: Visitor) -> None:
    """Not only on the button below it."""
    visitor.press("start-check")
    expect(visitor.part("check-progress")).to_contain_text("Ended with the verdict.", timeout=3 * PATIENCE)
    visitor.is_still()
    picture = visitor.part("check-gallery").get_by_alt_text("A digit of which MNIST says").first
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    assert box
    visitor.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    visitor.shows(re.compile(r"MNIST says \d: New is right\."))
