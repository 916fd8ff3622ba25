"""The tabs below, without the canary check: History, Objects and Call it."""

from __future__ import annotations

import time

import pytest
import streamlit as st

from mnist_dash.domain import EngineObject, EventKind, Finding, Gateway, HistoryEntry, Role, Route
from mnist_dash.errors import EngineError
from mnist_dash.panels import api_tab, snippets
from tests.fakes import FakeEngine, snapshot
from tests.page.conftest import Canvas, Page


def test_the_history_shows_changes_and_events(page: Page, engine: FakeEngine) -> None:
    """Changes with who made them, and events with their model, newest first."""
    assert "Nothing has happened yet." in page.open("History").text
    now = time.time()
    killed = HistoryEntry(now, "", "It was killed.", EventKind.ENDED, Role.NEW, "cnn", 3, now - 60)
    engine.happened = (killed,)
    engine.done = (HistoryEntry(now - 99, "ada@example.com", "Make New the Current"),)
    (table,) = page.run().at.table
    assert list(table.value.columns) == ["When", "What"]
    event, change = table.value["What"]
    assert event.startswith(
        ":red[:material/dangerous:] **Replica ended** :orange-badge[:material/change_history: cnn] "
        "It was killed. :gray[3 times since "
    )
    assert change == ":blue[:material/touch_app:] **Make New the Current** :gray[by ada@example.com]"


def times_of(page: Page) -> list[str]:
    """What the rows of the history are called, newest first."""
    (table,) = page.at.table
    return [row.split("**")[1] for row in table.value["What"]]


def test_the_history_shows_20_entries_at_a_time(page: Page, engine: FakeEngine) -> None:
    """New entries join the newest page, and move no other."""
    now = time.time()
    engine.done = tuple(HistoryEntry(now - n, "ada", f"{n}") for n in range(50))
    assert times_of(page.open("History")) == [f"{n}" for n in range(20)]
    assert page.at.button("history-newer").disabled
    assert times_of(page.click("history-older")) == [f"{n}" for n in range(20, 40)]
    engine.done = (HistoryEntry(now, "ada", "new"), *engine.done)
    assert times_of(page.run()) == [f"{n}" for n in range(20, 40)]
    assert "22 to 41 of 51" in page.text
    assert times_of(page.click("history-older")) == [f"{n}" for n in range(40, 50)]
    assert page.at.button("history-older").disabled
    page.click("history-newer").click("history-newer")
    assert times_of(page) == ["new", *(f"{n}" for n in range(19))]


def test_the_history_can_be_filtered(page: Page, engine: FakeEngine) -> None:
    """Changes are those that were refused too."""
    kinds = (EventKind.CHANGE, EventKind.REFUSED, EventKind.READY)
    engine.done = tuple(HistoryEntry(3.0 - n, "", "x", kind) for n, kind in enumerate(kinds))
    page.open("History").at.session_state["history-filter"] = "Changes"
    assert times_of(page.run()) == ["x", "Refused"]
    page.at.session_state["history-filter"] = "Events"
    assert times_of(page.run()) == ["Ready"]


def test_the_history_is_in_the_viewers_time_zone(
    page: Page, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the browser names."""
    engine.done = (HistoryEntry(0.0, "ada", "Make New the Current"),)
    monkeypatch.setattr(type(st.context), "timezone", "Asia/Tokyo")
    (table,) = page.open("History").at.table
    assert table.value["When"][0] == "01 Jan 1970 09:00"
    assert "Times are Asia/Tokyo." in page.text


def test_the_objects_tab_shows_details_and_log_of_each(page: Page) -> None:
    """What runs, on which port, and the end of its log; a process has no YAML to choose."""
    page.open("Objects").unfold("object-replica-green-1")
    assert [box.label for box in page.at.expander] == [
        "gateway **gateway** running",
        "replica **blue-1** ready :violet-badge[:material/circle: Current]",
        "replica **green-1** ready :orange-badge[:material/change_history: New]",
    ]
    for text in ("port `9002` · pid `102`", "warmed up"):
        assert text in page.text
    assert "text-replica-green-1" not in page.at.session_state


def test_objects_can_be_filtered_by_role(page: Page) -> None:
    """Objects without a role are left out then."""
    page.at.session_state["objects-role"] = Role.NEW
    assert [box.label.split("**")[1] for box in page.open("Objects").at.expander] == ["green-1"]


POD = EngineObject(
    "Pod", "mnist-green-1", Role.NEW, "Running", {}, "loaded", ("Pulled the image.",), "kind: Pod"
)
TEXTS = {"Log": "loaded", "Events": "- Pulled the image.", "YAML": "kind: Pod"}


@pytest.mark.parametrize("chosen", TEXTS)
def test_an_object_shows_its_log_its_events_or_its_yaml(page: Page, engine: FakeEngine, chosen: str) -> None:
    """One of them at a time."""
    engine.running = (POD,)
    page.open("Objects").unfold("object-Pod-mnist-green-1")
    page.at.session_state["text-Pod-mnist-green-1"] = chosen
    page.run()
    assert [name for name, text in TEXTS.items() if text in page.text] == [chosen]


@pytest.mark.parametrize(("applied", "offered"), [("", 0), ("kind: Service", 1)])
def test_all_applied_objects_can_be_downloaded(
    page: Page, engine: FakeEngine, applied: str, offered: int
) -> None:
    """As one file for GitOps; the local engine has none."""
    engine.applied = applied
    assert len(page.open("Objects").at.get("download_button")) == offered


def test_call_it_names_the_gateway_and_the_address_to_connect_to(page: Page, engine: FakeEngine) -> None:
    """The commands run as they are, even if the host does not resolve."""
    engine.gateway = Gateway("http://mnist.example", "10.0.0.1:8080")
    curl = page.open("Call it").at.code[0].value
    assert "curl -si http://mnist.example/v1/models/model:predict --connect-to ::10.0.0.1:8080 -d" in curl
    assert "X-Mnist-Route" not in curl


@pytest.mark.parametrize(("route", "header"), [(Route.CURRENT, "never"), (Route.NEW, "always")])
def test_call_it_can_force_the_route(page: Page, route: Route, header: str) -> None:
    """A header reaches each role under every strategy."""
    page.open("Call it").at.radio("call-route").set_value(route)
    page.run()
    assert f"-H 'X-Mnist-Route: {header}'" in page.at.code[0].value
    assert f"'X-Mnist-Route': '{header}'" in page.at.code[2].value


def test_call_it_offers_the_drawing_on_the_canvas(page: Page, canvas: Canvas) -> None:
    """As the models get it; while the canvas is empty the calls still run, with a seven."""
    page.open("Call it").at.radio("call-digit").set_value(api_tab.DRAWING)
    page.run()
    assert "asks about a seven, because the canvas is empty" in page.text
    assert "zlib" not in page.at.code[0].value
    canvas.draw_stroke()
    page.run()
    assert "asks about the drawing" in page.text
    ink = snippets.body_for(snapshot(), Route.SPLIT, page.at.session_state["session"].picture).ink
    assert ink in page.at.code[0].value
    assert ink in page.at.code[2].value


def test_on_a_cluster_calls_are_counted_by_their_answers(page: Page, engine: FakeEngine) -> None:
    """Ingress controllers send no header that names the model."""
    engine.in_cluster = True
    page.open("Call it")
    assert "x-served-by" not in page.at.code[1].value
    assert "counted by their answers" in page.text


def test_the_findings_of_a_route_test_stay_until_the_next(page: Page, engine: FakeEngine) -> None:
    """Each with its next step."""
    engine.findings = (
        Finding(True, "5 of 5 requests reached Current."),
        Finding(False, "The *header* is ignored.", "Use another controller."),
    )
    assert "reached Current" not in page.open("Call it").text
    page.click("test-route").run()
    assert ":green[:material/check_circle:] **Right.** 5 of 5 requests reached Current." in page.text
    assert r"**Wrong.** The \*header\* is ignored." in page.text
    assert "Use another controller." in page.text
    assert {probe.route for probe in engine.probed} == set(Route)
    engine.findings = (Finding(True, "All requests arrived."),)
    page.click("test-route")
    assert "All requests arrived." in page.text
    assert "another controller" not in page.text


def test_a_route_test_that_fails_shows_its_error(
    page: Page, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of the findings."""

    def fail(_: object) -> None:
        raise EngineError("The dashboard has been closed.", "Start it again.")

    monkeypatch.setattr(engine, "diagnose_route", fail)
    page.open("Call it").click("test-route")
    assert "The dashboard has been closed. Start it again." in page.text
