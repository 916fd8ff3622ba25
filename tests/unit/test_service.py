"""The thin service between page and engine: what it refuses, waits for and attributes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mnist_dash import open_dashboard
from mnist_dash.cluster.engine import KubernetesEngine
from mnist_dash.domain import (
    ChangeContext,
    Deploy,
    EventKind,
    Image,
    Prediction,
    Promote,
    Release,
    Role,
    Route,
    SetSplit,
    State,
    UndoPromote,
)
from mnist_dash.errors import EngineError, MnistDashError, ServingError
from mnist_dash.local.engine import LocalEngine
from mnist_dash.service import Dashboard
from mnist_dash.serving.client import READ_SECONDS
from mnist_dash.serving.recording_client import TRAFFIC_SECONDS
from mnist_dash.settings import EngineKind, Settings
from tests.clock import Clock
from tests.fakes import CNN, FakeEngine, FakeServing, check_of, dashboard, deployment, snapshot, sure_of

IMAGE: Image = np.zeros((28, 28), np.float32)
STARTING = deployment(Role.NEW, ready=0, state=State.STARTING, cause="Loading the model.")


class AnonymousServing(FakeServing):
    """Answers as behind an ingress controller, without naming the model; `failing` routes do not answer."""

    failing: tuple[Route, ...] = ()

    def predict(self, image: Image, route: Route = Route.SPLIT, *, seconds: float = 15) -> Prediction:
        prediction = super().predict(image, route, seconds=seconds)
        if route in self.failing:
            raise ServingError("No answer.", "Try again.")
        return replace(prediction, role=None, release=None, version=None, replica="")


def anonymous(
    engine: FakeEngine, current: int = 7, new: int = 3, serving: type[AnonymousServing] = AnonymousServing
) -> tuple[Dashboard, AnonymousServing]:
    """Return a dashboard whose gateway does not name the model, with each role's digit."""
    models = serving(engine, {Role.CURRENT: sure_of(current), Role.NEW: sure_of(new)})
    return Dashboard(engine, models), models


class DyingServing(FakeServing):
    """Raises these errors first, one for each request."""

    def __init__(self, engine: FakeEngine, *errors: ServingError) -> None:
        super().__init__(engine)
        self.errors = list(errors)

    def predict(self, image: Image, route: Route = Route.SPLIT, *, seconds: float = 15) -> Prediction:
        prediction = super().predict(image, route, seconds=seconds)
        if self.errors:
            raise self.errors.pop(0)
        return prediction


DIED = ServingError("The model broke off (502).", "Try again.", is_transient=True)


def test_a_request_that_meets_a_dying_replica_is_repeated_once() -> None:
    """A second failure is reported; the traffic has one answer each, with the last outcome."""
    engine = FakeEngine()
    dash = Dashboard(engine, serving := DyingServing(engine, DIED, DIED, DIED))
    with pytest.raises(ServingError, match="broke off"):
        dash.predict(IMAGE)
    assert dash.predict(IMAGE).digit == 7
    assert len(serving.asked) == 4
    assert [bool(answer.error) for answer in dash.traffic().answers] == [True, False]


def test_a_repeated_request_has_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A visitor waits no longer for two requests than for one."""
    monkeypatch.setattr("mnist_dash.serving.recording_client.time.monotonic", clock := Clock())
    engine = FakeEngine()

    class SlowlyDyingServing(DyingServing):
        def predict(self, image: Image, route: Route = Route.SPLIT, *, seconds: float = 15) -> Prediction:
            clock.now += 9
            return super().predict(image, route, seconds=seconds)

    dash = Dashboard(engine, serving := SlowlyDyingServing(engine, DIED, DIED))
    with pytest.raises(ServingError, match="broke off"):
        dash.predict(IMAGE)
    assert (len(serving.asked), serving.patience) == (2, READ_SECONDS - 9)


def test_a_comparison_repeats_each_request_once() -> None:
    """As a prediction does."""
    engine = FakeEngine()
    dash = Dashboard(engine, serving := DyingServing(engine, DIED))
    assert dash.compare(IMAGE).agree
    assert len(serving.asked) == 3


def test_a_refusal_is_not_repeated() -> None:
    """It would be refused again."""
    engine = FakeEngine()
    dash = Dashboard(engine, serving := DyingServing(engine, ServingError("The model refused it (400).")))
    with pytest.raises(ServingError, match="refused"):
        dash.predict(IMAGE)
    assert len(serving.asked) == 1


def test_the_traffic_is_not_repeated() -> None:
    """Each lost request shows."""
    engine = FakeEngine()
    dash = Dashboard(engine, serving := DyingServing(engine, DIED))
    with pytest.raises(ServingError, match="broke off"):
        dash._client.send(IMAGE, 7)
    assert len(serving.asked) == 1
    assert dash.traffic().errors == 1


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
    """A failed deployment is not waited for until the timeout."""
    failed = deployment(Role.NEW, state=State.FAILED, cause="No file.", next_step="Copy it.")
    with pytest.raises(EngineError, match=r"New failed\. No file\. Copy it\."):
        dashboard(FakeEngine(observed=snapshot(new=failed)))[0].wait_settled()


def test_a_timeout_names_what_was_waited_for() -> None:
    """The roles' causes, and why the split is held."""
    observed = snapshot(new=STARTING, split_observed=0, waiting_for="New is not ready.")
    with pytest.raises(EngineError, match=r"0 s\. New: Loading the model\. New is not ready\."):
        dashboard(FakeEngine(observed=observed))[0].wait_settled(timeout=0)


def test_a_change_applies_to_the_expected_model_only() -> None:
    """A dialog may have been open while somebody else promoted, deployed or removed."""
    engine = FakeEngine()
    dash, before = dashboard(engine)[0], engine.observed
    redeployed = snapshot(new=deployment(Role.NEW, generation="2"))
    for expected, problem in (
        (before.etag(Role.CURRENT), "The roles were swapped meanwhile."),
        (redeployed.etag(Role.NEW), "Somebody else deployed to New meanwhile."),
        (snapshot(new=None).etag(Role.NEW), "Somebody else deployed to New meanwhile."),
    ):
        for verb in (
            lambda: dash.remove(Role.NEW, expected=expected),  # noqa: B023  # called at once
            lambda: dash.deploy(Role.NEW, CNN, expected=expected),  # noqa: B023
            lambda: dash.promote(expected),  # noqa: B023
        ):
            with pytest.raises(EngineError) as caught:
                verb()
            assert caught.value.problem == problem
    assert engine.changes == []
    dash.deploy(Role.NEW, CNN, expected=caught.value.etag)
    dash.remove(Role.NEW, expected=dash.snapshot().etag(Role.NEW))
    with pytest.raises(EngineError, match=r"New was removed meanwhile\."):
        dash.deploy(Role.NEW, CNN, expected=before.etag(Role.NEW))


def test_an_undo_that_has_been_made_is_not_made_again() -> None:
    """By a first click, or by another browser; without a promotion it is an error."""
    engine = FakeEngine()
    dash = dashboard(engine)[0]
    dash.promote()
    former = dash.snapshot().etag(Role.NEW)
    for _ in range(2):
        dash.undo_promote(expected=former)
    assert engine.changes == [Promote(), UndoPromote()]
    with pytest.raises(EngineError, match="no promotion"):
        dash.undo_promote()


@pytest.mark.parametrize(("replicas", "percent"), [(0, -1), (9, 101)])
def test_replicas_are_one_to_eight_and_a_split_is_a_percentage(replicas: int, percent: int) -> None:
    """Refused before the model is checked."""
    engine = FakeEngine()
    with pytest.raises(EngineError, match="1 to 8"):
        dashboard(engine)[0].deploy(Role.NEW, CNN, replicas)
    with pytest.raises(EngineError, match="0 to 100"):
        dashboard(engine)[0].set_split(percent)
    assert engine.checked == []


def test_a_given_check_is_not_repeated() -> None:
    """A visitor may deploy a model that could not be read."""
    engine = FakeEngine()
    check = check_of("gs://b/m", version=None, unverified="Access was refused.")
    assert dashboard(engine)[0].deploy(Role.NEW, check) is check
    assert engine.checked == []
    assert engine.changes == [Deploy(Role.NEW, check, 1)]


def test_an_impossible_change_is_neither_applied_nor_previewed() -> None:
    """The reason comes from the snapshot."""
    engine = FakeEngine(observed=snapshot(new=None))
    dash, _ = dashboard(engine)
    for verb in (dash.promote, lambda: dash.preview(Promote()), lambda: dash.set_split(20)):
        with pytest.raises(EngineError, match="No New model is deployed"):
            verb()
    assert (engine.changes, engine.previewed) == ([], [])


def test_a_preview_changes_nothing() -> None:
    """The engine makes it."""
    engine = FakeEngine(difference="+ weight")
    assert dashboard(engine)[0].preview(SetSplit(30)) == "+ weight"
    assert engine.previewed == [SetSplit(30)]
    assert engine.changes == []


def test_a_view_for_a_user_leaves_the_dashboard_as_it_was() -> None:
    """It shares everything with it."""
    engine = FakeEngine()
    dash, _ = dashboard(engine)
    dash.on_behalf_of("ada", take_over=True).set_split(30)
    dash.set_split(40)
    assert engine.contexts == [ChangeContext("ada", True), ChangeContext()]


def test_an_anonymous_answer_is_attributed_by_asking_both_models() -> None:
    """The controller does not name the model."""
    dash, serving = anonymous(FakeEngine(observed=snapshot(split_observed=100)))
    prediction = dash.predict(IMAGE)
    assert (prediction.role, prediction.release, prediction.version) == (Role.NEW, Release.GREEN, 1)
    assert sorted(route for _, route in serving.asked) == ["current", "new", "split"]


def test_an_answer_that_both_models_give_is_shared() -> None:
    """It has no role."""
    prediction = anonymous(FakeEngine(), new=7)[0].predict(IMAGE)
    assert (prediction.role, prediction.shared) == (None, True)


def test_without_a_ready_new_model_one_request_is_enough() -> None:
    """Only Current can have answered."""
    dash, serving = anonymous(FakeEngine(observed=snapshot(new=STARTING, split_desired=0, split_observed=0)))
    assert dash.predict(IMAGE).role is Role.CURRENT
    assert len(serving.asked) == 1


@pytest.mark.parametrize("failing", [Route.CURRENT, Route.NEW])
def test_an_answer_that_cannot_be_attributed_is_returned_all_the_same(failing: Route) -> None:
    """Without a role."""
    dash, serving = anonymous(FakeEngine())
    serving.failing = (failing,)
    prediction = dash.predict(IMAGE)
    assert (prediction.role, prediction.shared, prediction.digit) == (None, False, 7)


def test_a_promotion_between_the_requests_prevents_attribution() -> None:
    """The roles of the three requests differ then."""

    class PromotedServing(AnonymousServing):
        def predict(self, image: Image, route: Route = Route.SPLIT, *, seconds: float = 15) -> Prediction:
            prediction = super().predict(image, route, seconds=seconds)
            if route is Route.SPLIT:
                self.engine.apply(Promote(), ChangeContext())
            return prediction

    assert anonymous(FakeEngine(), serving=PromotedServing)[0].predict(IMAGE).role is None


def test_a_comparison_names_both_models() -> None:
    """By the forced routes."""
    comparison = anonymous(FakeEngine())[0].compare(IMAGE)
    assert (comparison.current.role, comparison.new.role) == (Role.CURRENT, Role.NEW)
    assert (comparison.current.digit, comparison.new.digit) == (7, 3)


def test_a_comparison_needs_an_answer_of_new() -> None:
    """A controller forwards to Current while New is not ready."""
    with pytest.raises(ServingError, match="New did not answer"):
        anonymous(FakeEngine(observed=snapshot(new=STARTING)), new=7)[0].compare(IMAGE)


def test_the_engine_explains_a_failed_prediction() -> None:
    """Its reason replaces the client's next step."""
    engine = FakeEngine(observed=snapshot(current=None))
    dash, serving = dashboard(engine)
    serving.error = ServingError("No model is there to answer (503).", "Wait for a ready replica.")
    with pytest.raises(ServingError, match="Deploy a Current model first"):
        dash.predict(IMAGE)
    engine.observed = snapshot()
    with pytest.raises(ServingError, match="Wait for a ready replica"):
        dash.predict(IMAGE)


def test_the_route_test_uses_answers_as_they_come() -> None:
    """Attribution would hide a header that is ignored."""
    engine = FakeEngine()
    anonymous(engine)[0].test_route()
    assert {probe.route for probe in engine.probed} == set(Route)
    assert not any(answer.role for probe in engine.probed for answer in probe.answers)


def test_a_closed_dashboard_has_an_error_of_its_own() -> None:
    """A page may still be open then."""
    dash, _ = anonymous(FakeEngine())
    dash.close()
    with pytest.raises(MnistDashError, match="has been closed"):
        dash.compare(IMAGE)
    with pytest.raises(MnistDashError, match="has been closed"):
        dash.submit(dash.snapshot)


def test_a_call_can_be_made_without_waiting_for_it() -> None:
    """Its future has the result, or raises what the call raises."""
    engine = FakeEngine()
    dash, serving = dashboard(engine)
    with dash:
        assert dash.submit(lambda: dash.predict(IMAGE)).result().digit == 7
        serving.error = DIED
        with pytest.raises(ServingError, match="broke off"):
            dash.submit(lambda: dash.predict(IMAGE)).result()


def test_every_prediction_appears_in_the_traffic() -> None:
    """With its label, its route and whether it failed; those of the page are marked."""
    dash, serving = dashboard(FakeEngine())
    dash.predict(IMAGE, truth=7)
    dash.compare(IMAGE)
    serving.error = ServingError("No model is there to answer (503).")
    with pytest.raises(ServingError):
        dash.predict(IMAGE, Route.NEW)
    answers = dash.traffic().answers
    assert [answer.route for answer in answers] == [Route.SPLIT, Route.CURRENT, Route.NEW, Route.NEW]
    assert [answer.is_right for answer in answers] == [True, None, None, None]
    assert [answer.error for answer in answers] == ["", "", "", "No model is there to answer (503)."]
    assert all(answer.by_visitor for answer in answers)


def test_a_failed_comparison_appears_in_the_traffic() -> None:
    """One outcome for each model: the other may have answered."""
    dash, serving = anonymous(FakeEngine())
    serving.failing = (Route.NEW,)
    with pytest.raises(ServingError, match="No answer"):
        dash.compare(IMAGE, truth=7)
    outcomes = [(answer.role, answer.is_right, answer.error) for answer in dash.traffic().answers]
    assert outcomes == [(Role.CURRENT, True, ""), (Role.NEW, None, "No answer.")]


def test_the_current_that_answers_in_news_place_is_an_error_of_new() -> None:
    """A controller forwards to Current while New is not ready."""
    dash, _ = anonymous(FakeEngine(observed=snapshot(new=STARTING)), new=7)
    with pytest.raises(ServingError, match="New did not answer"):
        dash.compare(IMAGE)
    assert [bool(answer.error) for answer in dash.traffic().answers] == [False, True]


def test_the_traffic_waits_less_long_than_a_visitor() -> None:
    """A request that takes many seconds is an error to users of live traffic."""
    dash, serving = dashboard(FakeEngine())
    dash.predict(IMAGE)
    assert serving.patience == READ_SECONDS
    dash._client.send(IMAGE, 7)
    assert serving.patience == TRAFFIC_SECONDS < READ_SECONDS


def test_an_explained_error_still_names_its_model() -> None:
    """For the traffic's figures."""
    dash, serving = dashboard(FakeEngine(observed=snapshot(current=None)))
    error = ServingError("The model broke off (502).", "Try again.")
    error.role = Role.CURRENT
    serving.error = error
    with pytest.raises(ServingError, match="Deploy a Current model first") as caught:
        dash.predict(IMAGE)
    assert caught.value.role is Role.CURRENT
    assert dash.traffic().roles[Role.CURRENT].errors == 1


def test_a_closed_dashboard_sends_no_traffic() -> None:
    """Closing ends it."""
    dash, _ = dashboard(FakeEngine())
    dash.start_traffic(50)
    dash.close()
    assert not dash.traffic().running
    with pytest.raises(EngineError, match="has been closed"):
        dash.start_traffic()
    assert "has been closed" in dash.find_disagreements().problem


def test_digits_about_which_the_models_differ_are_found() -> None:
    """The first call waits for one."""
    with dashboard(FakeEngine(), [sure_of(7), sure_of(3)])[0] as dash:
        assert dash.find_disagreements(timeout=20).found[0] == 0


def test_a_refused_change_is_in_the_timeline_with_who_and_why() -> None:
    """Whether the dashboard or the engine refuses it; without a name it was the engine's own user."""
    engine = FakeEngine(snapshot(new=None, split_desired=0, split_observed=0))
    dash, _ = dashboard(engine)
    with pytest.raises(EngineError):
        dash.on_behalf_of("ann@example.com").promote()
    engine.refusal = EngineError("The cluster is full.")
    with pytest.raises(EngineError):
        dash.remove(Role.CURRENT)
    assert [(entry.kind, entry.by, entry.what) for entry in dash.timeline()] == [
        (EventKind.REFUSED, "ada", "Remove Current. The cluster is full."),
        (
            EventKind.REFUSED,
            "ann@example.com",
            "Make New the Current. No New model is deployed. Deploy a New model first.",
        ),
    ]


def test_lost_requests_are_in_the_timeline() -> None:
    """Counted together, with the last reason."""
    dash, serving = dashboard(FakeEngine())
    serving.error = ServingError("HTTP 503.", "Try again.")
    for _ in range(3):
        with pytest.raises(ServingError):
            dash.predict(IMAGE)
    (entry,) = dash.timeline()
    assert (entry.kind, entry.count, entry.what) == (EventKind.LOST, 3, "HTTP 503.")
