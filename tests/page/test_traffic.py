"""Send traffic: the button and the rate, and the strip of answers, which all browsers share."""

from __future__ import annotations

import re
import time

import pytest
from streamlit.testing.v1.element_tree import Button

from mnist_dash.domain import Role, Snapshot
from mnist_dash.errors import ServingError
from mnist_dash.panels import session
from mnist_dash.panels.traffic_strip import draw_note
from mnist_dash.service import Dashboard
from tests.fakes import FakeEngine, FakeServing
from tests.page.conftest import Canvas, Page


def dots(page: Page) -> list[str]:
    """Return the classes of all dots."""
    html = "".join(element.proto.body for element in page.at.get("html"))
    shown = re.findall(
        r'<i class="dot ([^"]*)"></i>', html.partition('class="dots"')[2].partition("</div>")[0]
    )
    return [classes for classes in shown if classes != "empty"]


def wait_for_answers(dash: Dashboard, count: int) -> None:
    """Wait until so many requests have been answered."""
    deadline = time.monotonic() + 20
    while dash.traffic().total < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def button(page: Page) -> Button:
    """Return the button that starts and stops the traffic."""
    return page.at.button("send-traffic")


def wait_out_double_click(page: Page) -> None:
    """Let so much time pass since the last click that the next one is not a double click."""
    page.at.session_state["session"].clicked_at.clear()


def test_the_button_sends_labelled_digits_until_it_is_pressed_again(page: Page, dash: Dashboard) -> None:
    """At the chosen rate; the strip has a dot for each answer, and the table each model's figures."""
    page.at.slider("traffic-rate").set_value(50)
    page.click("send-traffic")
    assert button(page).label == "Stop traffic"
    assert (dash.traffic().running, dash.traffic().rate) == (True, 50)
    wait_for_answers(dash, 20)
    wait_out_double_click(page)
    page.click("send-traffic")
    assert not dash.traffic().running
    assert len(dots(page)) == pytest.approx(dash.traffic().total, abs=3)
    assert {classes.split()[0] for classes in dots(page)} == {"current", "new"}
    assert "0 errors" in page.text


def test_a_double_click_starts_the_traffic_once(
    page: Page, dash: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its second half does not stop it."""
    monkeypatch.setattr(session, "DOUBLE_CLICK_SECONDS", 60.0)
    page.click("send-traffic").click("send-traffic")
    assert dash.traffic().running


def test_all_browsers_share_the_traffic(page: Page, dash: Dashboard) -> None:
    """Another visitor sees that traffic runs and at which rate, may change the rate, and may stop it."""
    other = Page()
    dash.start_traffic(20)
    assert button(other.run()).label == "Stop traffic"
    assert "20 per second" in dash_note(dash)
    other.at.slider("traffic-rate").set_value(30)
    other.run()
    assert dash.traffic().rate == 30
    assert button(page.run()).label == "Stop traffic"
    page.click("send-traffic")
    assert button(other.run()).label == "Send traffic"


def dash_note(dash: Dashboard) -> str:
    """Return the note on the traffic, once there is an answer."""
    wait_for_answers(dash, 1)
    return draw_note(dash.traffic())


def test_a_rate_alone_sends_nothing(page: Page, dash: Dashboard) -> None:
    """It is the one for the next start."""
    page.at.slider("traffic-rate").set_value(9)
    assert button(page.run()).label == "Send traffic"
    assert not dash.traffic().running


def test_predictions_of_the_page_appear(page: Page, canvas: Canvas) -> None:
    """Underlined, and pale, because nobody knows what was drawn; a comparison is two answers."""
    canvas.draw_stroke()
    page.click("predict")
    assert dots(page) == ["current unlabelled mine"]
    page.switch("compare")
    assert dots(page) == ["current unlabelled mine", "current unlabelled mine", "new unlabelled mine"]
    assert "The last 3 answers: Current gave 2, 0 of them wrong; New gave 1" in page.text


def test_errors_appear(page: Page, canvas: Canvas, serving: FakeServing) -> None:
    """As crosses, and as a count."""
    serving.error = ServingError("The gateway cannot be reached.")
    canvas.draw_stroke()
    page.click("predict")
    assert dots(page) == ["error mine"]
    assert "1 error, 1 at an unknown model." in page.text


def test_errors_of_a_model_are_in_its_row(page: Page, canvas: Canvas, serving: FakeServing) -> None:
    """Where the response names it."""
    serving.error = ServingError("The model broke off (502).")
    serving.error.role = Role.NEW
    canvas.draw_stroke()
    page.click("predict")
    assert re.search(r"New</th><td>0</td><td>1</td>", page.text)
    assert "1 error." in page.text


def test_without_a_model_no_traffic_can_be_started(page: Page, engine: FakeEngine, dash: Dashboard) -> None:
    """But what runs can be stopped."""
    engine.observed = Snapshot(taken_at=0.0)
    assert button(page.run()).disabled
    dash.start_traffic()
    assert not button(page.run()).disabled
