"""The tabs below: History, Objects and Call it."""

from __future__ import annotations

import time

import pytest

from mnist_dash.domain import EngineObject, Finding, Gateway, HistoryEntry, Role, Route
from mnist_dash.errors import EngineError
from tests.fakes import FakeEngine
from tests.page.conftest import Page


def test_the_history_is_the_first_tab(page: Page, engine: FakeEngine) -> None:
    """Who did what, newest first."""
    assert "Nothing has been changed yet." in page.text
    engine.done = (HistoryEntry(time.time(), "ada@example.com", "Make New the Current"),)
    (table,) = page.run().at.table
    assert list(table.value.columns) == ["When", "Who", "What"]
    when, *rest = table.value.iloc[0]
    assert rest == ["ada@example.com", "Make New the Current"]
    assert "(just now)" in when


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
