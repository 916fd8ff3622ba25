"""The thin service between page and engine: what it refuses, and what it waits for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash.cluster.engine import KubernetesEngine
from mnist_dash.domain import (
    ChangeContext,
    Image,
    ModelCheck,
    Prediction,
    Promote,
    Release,
    Role,
    Route,
    SetSplit,
    State,
)
from mnist_dash.errors import EngineError, MnistDashError, ServingError
from mnist_dash.local.engine import LocalEngine
from mnist_dash.service import Dashboard, open_dashboard
from mnist_dash.settings import EngineKind, Settings
from tests.fakes import CNN, FakeEngine, FakeServing, dashboard, deployment, snapshot, sure_of

IMAGE: Image = np.zeros((28, 28), np.float32)
STARTING = deployment(Role.NEW, ready=0, state=State.STARTING, cause="It is loading.")


class Silent(FakeServing):
    """Behind an ingress controller: nobody says who answered. `refused` routes get no answer."""

    refused: tuple[Route, ...] = ()

    def predict(self, image: Image, route: Route = Route.SPLIT) -> Prediction:
        said = super().predict(image, route)
        if route in self.refused:
            raise ServingError("No answer.", "Try again.")
        return replace(said, role=None, release=None, version=None, replica="")


def silent(
    engine: FakeEngine, current: NDArray[np.float64], new: NDArray[np.float64]
) -> tuple[Dashboard, Silent]:
    """A dashboard whose gateway does not say who answered."""
    serving = Silent(engine, {Role.CURRENT: current, Role.NEW: new})
    return Dashboard(engine, serving), serving


@pytest.mark.parametrize(
    ("kind", "engine"), [(EngineKind.LOCAL, LocalEngine), (EngineKind.KUBERNETES, KubernetesEngine)]
)
def test_the_settings_name_the_engine(
    kind: EngineKind, engine: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dashboard on it is the same."""
    fake = FakeEngine()
    monkeypatch.setattr(engine, "start", lambda _: fake)
    with open_dashboard(Settings(engine=kind, ingress_host="mnist.example")) as dash:
        assert dash.gateway is fake.gateway
    assert fake.closed


def test_waiting_ends_at_once_with_the_cause_of_a_failure() -> None:
    """Nobody waits a minute for what has failed already."""
    engine = FakeEngine()
    engine.now = snapshot(
        new=deployment(Role.NEW, state=State.FAILED, cause="No file.", next_step="Mend it.")
    )
    with pytest.raises(EngineError, match=r"New failed\. No file\. Mend it\."):
        dashboard(engine)[0].wait_settled()


def test_waiting_in_vain_says_what_was_waited_for() -> None:
    """The roles' causes, and what keeps the split."""
    engine = FakeEngine()
    starting = deployment(Role.NEW, ready=0, state=State.STARTING, cause="Loading the model.")
    engine.now = snapshot(new=starting, split_observed=0, waiting_for="New is not ready.")
    with pytest.raises(EngineError, match=r"0 s\. New: Loading the model\. New is not ready\."):
        dashboard(engine)[0].wait_settled(timeout=0)


def test_waiting_returns_the_settled_snapshot() -> None:
    """What was seen then, not what is a moment later."""
    assert dashboard(FakeEngine())[0].wait_settled() == snapshot()


def test_only_the_expected_release_is_deployed_over_or_removed() -> None:
    """A dialog may have stood open while somebody else promoted."""
    engine = FakeEngine()
    dash = dashboard(engine)[0]
    with pytest.raises(EngineError, match="swapped meanwhile"):
        dash.remove(Role.NEW, expected=Release.BLUE)
    with pytest.raises(EngineError, match="swapped meanwhile"):
        dash.deploy(Role.CURRENT, "/models/cnn", expected=Release.GREEN)
    assert engine.calls == []
    dash.remove(Role.NEW, expected=Release.GREEN)
    assert engine.calls == [("remove", Role.NEW)]


def test_only_the_expected_release_is_promoted() -> None:
    """Somebody else may have promoted since the question was asked."""
    engine = FakeEngine()
    with pytest.raises(EngineError, match="swapped meanwhile"):
        dashboard(engine)[0].promote(Release.BLUE)
    assert engine.calls == []
    dashboard(engine)[0].promote(Release.GREEN)
    assert engine.calls == [("promote",)]


@pytest.mark.parametrize("replicas", [0, 9])
def test_a_number_of_replicas_is_one_to_eight(replicas: int) -> None:
    """Refused before anything is looked at."""
    engine = FakeEngine()
    with pytest.raises(EngineError, match="1 to 8"):
        dashboard(engine)[0].deploy(Role.NEW, CNN, replicas)
    assert engine.checked == []


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_split_is_a_percentage(percent: int) -> None:
    """From nobody to all."""
    with pytest.raises(EngineError, match="0 to 100"):
        dashboard(FakeEngine())[0].set_split(percent)


def test_what_was_checked_is_not_checked_again() -> None:
    """A visitor may go on with a model that could not be looked at."""
    engine = FakeEngine()
    check = ModelCheck("gs://b/m", None, (), None, unverified="Access was refused.")
    assert dashboard(engine)[0].deploy(Role.NEW, check) is check
    assert engine.checked == []
    assert engine.calls == [("deploy", Role.NEW, "gs://b/m", 1)]


def test_a_change_that_makes_no_sense_is_neither_carried_out_nor_previewed() -> None:
    """The reason is the snapshot's."""
    engine = FakeEngine(now=snapshot(new=None))
    dash, _ = dashboard(engine)
    for verb in (dash.promote, lambda: dash.preview(Promote()), lambda: dash.set_split(20)):
        with pytest.raises(EngineError, match="No New model is deployed"):
            verb()
    assert (engine.calls, engine.previewed) == ([], [])


def test_a_preview_changes_nothing() -> None:
    """It is the engine's."""
    engine = FakeEngine(difference="+ weight")
    assert dashboard(engine)[0].preview(SetSplit(30)) == "+ weight"
    assert engine.previewed == [SetSplit(30)]
    assert engine.calls == []


def test_a_change_is_made_on_behalf_of_whom_it_is_asked_for() -> None:
    """The view for a user shares everything with the dashboard, and leaves it as it was."""
    engine = FakeEngine()
    dash, _ = dashboard(engine)
    dash.on_behalf_of("ada", take_over=True).set_split(30)
    dash.set_split(40)
    assert engine.acted == [ChangeContext("ada", True), ChangeContext()]


def test_who_answered_is_found_by_asking_both() -> None:
    """The controller does not say it."""
    dash, serving = silent(FakeEngine(now=snapshot(split_observed=100)), sure_of(7), sure_of(3))
    said = dash.predict(IMAGE)
    assert (said.role, said.release, said.version) == (Role.NEW, Release.GREEN, 1)
    assert sorted(route for _, route in serving.asked) == ["current", "new", "split"]


def test_an_answer_that_both_give_is_shared() -> None:
    """Nobody is named."""
    said = silent(FakeEngine(), sure_of(7), sure_of(7))[0].predict(IMAGE)
    assert (said.role, said.shared) == (None, True)


def test_without_a_new_nobody_else_has_to_be_asked() -> None:
    """One request, as with a gateway that says who answered."""
    dash, serving = silent(
        FakeEngine(now=snapshot(new=STARTING, split_desired=0, split_observed=0)), sure_of(7), sure_of(3)
    )
    assert dash.predict(IMAGE).role is Role.CURRENT
    assert len(serving.asked) == 1


@pytest.mark.parametrize("refused", [Route.CURRENT, Route.NEW])
def test_an_answer_is_given_even_if_nobody_can_be_asked_whose_it_is(refused: Route) -> None:
    """It is nobody's then."""
    dash, serving = silent(FakeEngine(), sure_of(7), sure_of(3))
    serving.refused = (refused,)
    said = dash.predict(IMAGE)
    assert (said.role, said.shared, said.digit) == (None, False, 7)


def test_roles_that_are_swapped_while_they_are_asked_tell_nothing() -> None:
    """Somebody promotes between the three requests."""
    engine = FakeEngine()

    class Promoted(Silent):
        def predict(self, image: Image, route: Route = Route.SPLIT) -> Prediction:
            said = super().predict(image, route)
            if route is Route.SPLIT:
                engine.apply(Promote(), ChangeContext())
            return said

    dash = Dashboard(engine, Promoted(engine, {Role.CURRENT: sure_of(7), Role.NEW: sure_of(3)}))
    assert dash.predict(IMAGE).role is None


def test_comparing_names_both() -> None:
    """By the routes that were forced."""
    found = silent(FakeEngine(), sure_of(7), sure_of(3))[0].compare(IMAGE)
    assert (found.current.role, found.new.role) == (Role.CURRENT, Role.NEW)
    assert (found.current.digit, found.new.digit) == (7, 3)


def test_comparing_with_a_new_that_is_not_ready_is_no_comparison() -> None:
    """The controller asks Current in its place."""
    with pytest.raises(ServingError, match="New did not answer"):
        silent(FakeEngine(now=snapshot(new=STARTING)), sure_of(7), sure_of(7))[0].compare(IMAGE)


def test_what_is_known_of_the_engine_explains_a_failure() -> None:
    """It knows more than the client."""
    engine = FakeEngine(now=snapshot(current=None))
    dash, serving = dashboard(engine)
    serving.error = ServingError("No model is there to answer (503).", "Wait for a ready replica.")
    with pytest.raises(ServingError, match="Deploy a Current model first"):
        dash.predict(IMAGE)
    engine.now = snapshot()
    with pytest.raises(ServingError, match="Wait for a ready replica"):
        dash.predict(IMAGE)


def test_the_route_is_tested_with_answers_as_they_come() -> None:
    """Nobody is named beforehand: a header that is ignored would not be noticed."""
    engine = FakeEngine()
    silent(engine, sure_of(7), sure_of(3))[0].test_route()
    assert {probe.route for probe in engine.probed} == set(Route)
    assert not any(said.role for probe in engine.probed for said in probe.answers)


def test_a_dashboard_that_was_closed_says_so() -> None:
    """Not every visitor knows."""
    dash, _ = silent(FakeEngine(), sure_of(7), sure_of(3))
    dash.close()
    with pytest.raises(MnistDashError, match="has been closed"):
        dash.compare(IMAGE)
