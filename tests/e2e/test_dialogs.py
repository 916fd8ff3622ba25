"""Dialogs close in every way, and lead back to where they were opened."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from mnist_dash.local.desired_state import BUNDLED
from tests.e2e.browser import PATIENCE, Visitor


@pytest.mark.parametrize("way", ["Cancel", "Esc", "cross"])
@pytest.mark.parametrize("key", ["deploy-new", "remove-new", "promote"])
def test_a_dialog_closes_and_the_focus_returns_to_its_button(visitor: Visitor, key: str, way: str) -> None:
    """By its button, by the keyboard, or by the cross in its corner."""
    visitor.press(key)
    expect(visitor.part("cancel")).to_be_visible(timeout=PATIENCE)
    if way == "Esc":
        visitor.page.keyboard.press("Escape")
    else:
        visitor.dialog.get_by_role("button", name="Close" if way == "cross" else way).click()
    expect(visitor.dialog).to_be_hidden(timeout=PATIENCE)
    expect(visitor.part(key).get_by_role("button")).to_be_focused(timeout=PATIENCE)


def test_a_mistyped_path_is_corrected_by_a_click_or_given_up(visitor: Visitor) -> None:
    """The text of the error lists no folders; after it, Cancel closes the dialog too."""
    visitor.open_deploy("new")
    visitor.fill(str(BUNDLED / "lineal"))
    visitor.press("deploy-confirm")
    visitor.press("use-0")
    expect(visitor.part("deploy-base").locator("input")).to_have_value(
        str(BUNDLED / "linear"), timeout=PATIENCE
    )
    expect(visitor.part("use-0")).to_be_hidden(timeout=PATIENCE)
    visitor.fill(str(BUNDLED / "nothing-like-it"))
    visitor.press("deploy-confirm")
    expect(visitor.part("show-content")).to_be_visible(timeout=PATIENCE)
    expect(visitor.dialog).not_to_contain_text("cnn/")
    visitor.press("show-content")
    expect(visitor.dialog).to_contain_text("holds cnn/, linear/.", timeout=PATIENCE)
    visitor.press("cancel")
    expect(visitor.dialog).to_be_hidden(timeout=PATIENCE)


def test_deploy_says_before_the_click_that_it_needs_a_path(visitor: Visitor) -> None:
    """As soon as the path is deleted, and until there is one; nothing moves, and no click is needed."""
    visitor.open_deploy("new")
    reason = visitor.dialog.get_by_text("Type a model base, or choose one above.")
    expect(reason).to_be_hidden(timeout=PATIENCE)
    button = visitor.part("deploy-confirm").get_by_role("button")
    box = button.bounding_box()
    visitor.fill("")
    expect(reason).to_be_visible(timeout=PATIENCE)
    expect(button).to_have_css("pointer-events", "none", timeout=PATIENCE)
    assert button.bounding_box() == box
    visitor.fill(str(BUNDLED / "cnn"))
    expect(reason).to_be_hidden(timeout=PATIENCE)
    expect(button).to_have_css("pointer-events", "auto", timeout=PATIENCE)
    visitor.press("cancel")
