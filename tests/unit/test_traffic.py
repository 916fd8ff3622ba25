"""The store of answers, and their figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import Prediction, Release, Role, Route
from mnist_dash.errors import ServingError
from mnist_dash.served_models import ModelPair
from mnist_dash.traffic import (
    COUNTED,
    Answer,
    AnswerStore,
    Traffic,
    TrafficSetup,
    read_traffic,
    summarize,
    summarize_models,
)
from mnist_dash.traffic_generator import TrafficGenerator
from tests.fakes import deployment, snapshot, sure_of

SETUP = TrafficSetup.from_snapshot(snapshot())


def answer(role: Role | None = Role.CURRENT, milliseconds: float = 3.0, **changes: object) -> Answer:
    """Return a right answer about a seven."""
    prediction = Prediction(sure_of(7), role, None, 1, "", milliseconds)
    answered = Answer(at=100.0, route=Route.SPLIT, setup=SETUP, truth=7, prediction=prediction)
    return replace(answered, **changes)  # type: ignore[arg-type]  # the fields' types are the caller's business


def test_the_store_keeps_the_last_answers() -> None:
    """It counts all."""
    store = AnswerStore(kept=10)
    for number in range(25):
        store.add(answer(at=float(number)))
    assert store.total == 25
    assert [item.at for item in store.last(3)] == [22, 23, 24]
    assert len(store.last(100)) == 10


def read(*answers: Answer, setup: TrafficSetup = SETUP, now: float = 100.0) -> Traffic:
    """Return the figures about answers."""
    store = AnswerStore()
    for answer in answers:
        store.add(answer)
    generator = TrafficGenerator(lambda *_: None, load_digits, lambda _: None)
    return read_traffic(generator, store, setup, lambda: now)


def test_each_model_has_its_count_share_accuracy_and_latency() -> None:
    """By the answers on the split whose model is known."""
    current = [answer(milliseconds=float(number)) for number in range(1, 101)]
    wrong, unlabelled = answer(Role.NEW, truth=1), answer(Role.NEW, truth=None)
    figures = summarize([*current, answer(None), wrong, unlabelled, *[answer(Role.NEW)] * 23], 100.0)
    assert figures[Role.CURRENT].answers == 100
    assert figures[Role.CURRENT].share == pytest.approx(0.8)
    assert (figures[Role.CURRENT].p50, figures[Role.CURRENT].p95) == pytest.approx((50.5, 95.05))
    assert figures[Role.NEW].share == pytest.approx(0.2)
    assert (figures[Role.NEW].right, figures[Role.NEW].labelled) == (23, 24)


def test_requests_per_second_are_those_of_the_last_seconds() -> None:
    """A start is not averaged with the time before it, nor a stop with the time before that."""
    answers = [answer(at=90 + number / 10) for number in range(100)]
    assert summarize(answers, 100.0)[Role.CURRENT].per_second == pytest.approx(10)
    assert summarize(answers[-20:], 100.0)[Role.CURRENT].per_second == pytest.approx(10)
    assert summarize(answers, 110.0)[Role.CURRENT].per_second == 0


def test_figures_never_mix_two_setups() -> None:
    """Neither two splits nor two models; the dots stay."""
    traffic = read(answer(), answer(Role.NEW), setup=replace(SETUP, split=50))
    assert (traffic.counted, traffic.split, len(traffic.answers)) == (0, 50, 2)
    updated = snapshot(new=deployment(Role.NEW, version=2))
    assert read(answer(), setup=TrafficSetup.from_snapshot(updated)).counted == 0
    promoted = snapshot(current=replace(deployment(Role.NEW), role=Role.CURRENT))
    assert read(answer(), setup=TrafficSetup.from_snapshot(promoted)).counted == 0


def test_a_restart_is_no_other_model() -> None:
    """The version is unknown until a replica answers again."""
    restarting = snapshot(new=deployment(Role.NEW, version=None, ready=0))
    assert read(answer(), setup=TrafficSetup.from_snapshot(restarting)).counted == 1


def test_forced_routes_do_not_count_against_the_split() -> None:
    """The split did not choose; their answers are dots all the same."""
    traffic = read(answer(route=Route.NEW), answer())
    assert (traffic.counted, len(traffic.answers), traffic.total) == (1, 2, 2)


def failure(route: Route = Route.SPLIT, role: Role | None = None) -> Answer:
    """Return a failed request; `role` is the one that the response names."""
    error = ServingError("No model is ready.")
    error.role = role
    return Answer.from_outcome(error, 100.0, route, SETUP, 7, by_visitor=False)


def test_errors_and_unknown_models_are_counted_apart() -> None:
    """Neither has a share."""
    traffic = read(failure(), answer(None), answer())
    assert (traffic.errors, traffic.unknown, traffic.roles[Role.CURRENT].share) == (1, 1, 1.0)
    assert failure().is_right is None


def test_an_error_belongs_to_the_model_that_the_response_or_the_route_names() -> None:
    """Of other errors the model is unknown, as behind an ingress controller that does not say."""
    assert failure(role=Role.NEW).role is Role.NEW
    assert failure(Route.NEW).role is Role.NEW
    assert failure().role is None
    traffic = read(failure(role=Role.NEW), failure(role=Role.NEW), failure(role=Role.CURRENT), failure())
    assert {role: figures.errors for role, figures in traffic.roles.items()} == {Role.CURRENT: 1, Role.NEW: 2}
    assert (traffic.errors, traffic.unknown_errors) == (4, 1)


def test_a_model_keeps_its_figures_through_splits_and_promotions() -> None:
    """Answers on forced routes are about the model, too; those of another version are not."""
    models = ModelPair.from_snapshot(snapshot())
    swapped = ModelPair(models.new, models.current)
    given = [answer(Role.NEW), answer(Role.NEW, truth=1), answer(Role.NEW, route=Route.NEW)]
    given += [replace(answer(Role.CURRENT), setup=TrafficSetup(0, swapped)), failure(role=Role.NEW)]
    figures = summarize_models(given, models, 100.0)[Role.NEW]
    assert (figures.answers, figures.right, figures.labelled, figures.errors) == (4, 3, 4, 1)
    updated = ModelPair.from_snapshot(snapshot(new=deployment(Role.NEW, version=2)))
    assert summarize_models(given, updated, 100.0)[Role.NEW].answers == 0
    assert summarize_models(given, ModelPair(None, None), 100.0)[Role.NEW].answers == 0


def test_an_answer_names_its_model_more_exactly_than_the_snapshot_before_it() -> None:
    """A newer version may have taken over meanwhile, or a promotion."""
    newer = Prediction(sure_of(7), Role.NEW, Release.GREEN, 2, "green-1", 3.0)
    model = answer(prediction=newer).model
    assert model is not None
    assert (model.base, model.version) == (deployment(Role.NEW).base, 2)
    assert answer(prediction=replace(newer, release=Release.BLUE)).model is None


def test_figures_are_about_a_limited_number_of_answers() -> None:
    """Old ones no longer count."""
    assert read(*[answer()] * (COUNTED + 20)).counted == COUNTED
