"""The test of the route: which requests are sent, and how their answers are judged."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence

import pytest

from mnist_dash.domain import Deployment, Image, Prediction, Probe, Release, Role, Route, Snapshot, State
from mnist_dash.errors import ServingError
from mnist_dash.route_check import diagnose_route, is_chance, send_probes
from tests.fakes import CNN, LINEAR, deployment, snapshot, sure_of

NO_NEW_READY = deployment(Role.NEW, ready=0, state=State.STARTING)


def answer(digit: int, role: Role | None = None, release: Release | None = None) -> Prediction:
    """An answer that is sure of a digit, and may name its model."""
    return Prediction(sure_of(digit), role, release, None, "", 1.0)


CURRENT, NEW = answer(7), answer(3)
NAMED_CURRENT, NAMED_NEW = answer(7, Role.CURRENT), answer(3, Role.NEW)


def sent(
    current: Sequence[Prediction], new: Sequence[Prediction], split: Sequence[Prediction], problem: str = ""
) -> tuple[Probe, ...]:
    """The probes with these answers."""
    routes = {Route.CURRENT: current, Route.NEW: new, Route.SPLIT: split}
    return tuple(Probe(route, tuple(answers), problem) for route, answers in routes.items())


def divided(to_new: int = 20, current: Prediction = CURRENT, new: Prediction = NEW) -> tuple[Probe, ...]:
    """The probes through a gateway that heeds the header, and sends so many of 100 other requests to New."""
    return sent([current] * 5, [new] * 5, [new] * to_new + [current] * (100 - to_new))


ALL_ALIKE = sent([CURRENT] * 5, [CURRENT] * 5, [CURRENT] * 100)


def findings(probes: Sequence[Probe], observed: Snapshot | None = None) -> list[tuple[bool, str]]:
    """The findings without their next steps."""
    found = diagnose_route(probes, observed or snapshot())
    return [(finding.passed, finding.message) for finding in found]


def test_each_route_gets_requests_with_the_same_image() -> None:
    """Few are forced, and many follow the split."""
    lock, images = threading.Lock(), set[int]()

    def predict(image: Image, _: Route) -> Prediction:
        with lock:
            images.add(id(image))
        return CURRENT

    probes = send_probes(predict)
    assert len(images) == 1
    assert {probe.route: len(probe.answers) for probe in probes} == {
        Route.CURRENT: 5,
        Route.NEW: 5,
        Route.SPLIT: 100,
    }
    assert {probe.problem for probe in probes} == {""}


def test_an_error_becomes_the_problem_of_its_probe() -> None:
    """The other requests are sent all the same: a gateway may refuse a share only."""
    turns = itertools.count()

    def predict(_: Image, route: Route) -> Prediction:
        if route is Route.NEW or (route is Route.SPLIT and next(turns) % 5 == 0):
            raise ServingError("No answer.", "Wait.")
        return CURRENT

    probes = send_probes(predict)
    assert [len(probe.answers) for probe in probes] == [5, 0, 80]
    assert [probe.problem for probe in probes] == ["", "No answer. Wait.", "No answer. Wait."]


def test_after_ten_seconds_no_request_is_sent() -> None:
    """A slow model does not keep the page waiting."""
    probes = send_probes(lambda _, __: CURRENT, clock=itertools.count(0, 6).__next__)
    assert sum(len(probe.answers) for probe in probes) <= 3
    assert {probe.problem for probe in probes} == {"The test ends after 10 s."}


@pytest.mark.parametrize(
    ("current", "new"),
    [
        (CURRENT, NEW),
        (NAMED_CURRENT, NAMED_NEW),
        (answer(7, release=Release.BLUE), answer(7, release=Release.GREEN)),
    ],
    ids=["compared", "role", "release"],
)
def test_a_gateway_that_heeds_header_and_split_passes(current: Prediction, new: Prediction) -> None:
    """Whether the answers name their role or release, or have to be compared."""
    assert findings(divided(current=current, new=new)) == [
        (True, "With the header X-Mnist-Route: never, 5 of 5 requests reached Current."),
        (True, "With the header X-Mnist-Route: always, 5 of 5 requests reached New."),
        (True, "Without the header, 20 of 100 requests reached New; the split is 20 %."),
    ]


@pytest.mark.parametrize(
    ("split", "to_new", "passed"),
    [
        (20, 0, False),
        (20, 9, True),
        (20, 50, False),
        (0, 0, True),
        (0, 1, False),
        (100, 99, False),
        (1, 0, True),
    ],
)
def test_a_share_that_chance_does_not_explain_fails(split: int, to_new: int, *, passed: bool) -> None:
    """Chance is anything within 5 standard deviations."""
    assert findings(divided(to_new), snapshot(split_desired=split))[2] == (
        passed,
        f"Without the header, {to_new} of 100 requests reached New; the split is {split} %.",
    )


def test_a_pending_split_has_its_reason_as_the_next_step() -> None:
    """The gateway may need a moment."""
    observed = snapshot(split_desired=80, waiting_for="The gateway is taking it up.")
    assert diagnose_route(divided(), observed)[2].next_step == "The gateway is taking it up."


@pytest.mark.parametrize(
    ("current", "new", "message"),
    [
        (CURRENT, NEW, "The header X-Mnist-Route makes no difference"),
        (NAMED_CURRENT, NAMED_NEW, "3 of 5 requests reached Current"),
    ],
)
def test_an_ignored_header_fails(current: Prediction, new: Prediction, message: str) -> None:
    """Requests with it follow the split."""
    mixed = [current, new, current, current, new]
    passed, found = findings(sent(mixed, mixed, [current] * 80 + [new] * 20))[0]
    assert not passed
    assert message in found


@pytest.mark.parametrize(
    ("new", "passed", "message"),
    [
        (deployment(Role.NEW), False, "either no request reaches New, or both models answer alike"),
        (deployment(Role.NEW, base=LINEAR), True, "Current and New are the same model"),
        (None, True, "New has no ready replica, so Current gives them all"),
        (NO_NEW_READY, True, "New has no ready replica, so Current gives them all"),
    ],
    ids=["different", "same", "none", "starting"],
)
def test_equal_answers_fail_only_if_both_models_should_answer(
    new: Deployment | None, message: str, *, passed: bool
) -> None:
    """They are one finding."""
    start = "All 110 answers are the same, with and without the header X-Mnist-Route"
    assert findings(ALL_ALIKE, snapshot(new=new)) == [(passed, f"{start}: {message}.")]


def test_while_new_is_not_ready_its_requests_may_reach_current() -> None:
    """As ingress controllers do, where the answers name their model."""
    probes = sent([NAMED_CURRENT] * 5, [NAMED_CURRENT] * 5, [NAMED_CURRENT] * 100)
    found = findings(probes, snapshot(new=NO_NEW_READY))
    forced = "With the header X-Mnist-Route: always, 5 of 5 requests reached Current"
    assert found[1] == (True, f"{forced}, since New has no ready replica.")
    assert found[2] == (True, "Without the header, 0 of 100 requests reached New; New has no ready replica.")


def test_while_new_is_not_ready_its_share_may_get_no_answer() -> None:
    """As Gateway API demands."""
    probes = sent([CURRENT] * 5, [], [CURRENT] * 80, "No model (503).")
    found = findings(probes, snapshot(new=NO_NEW_READY))
    missing = "Without the header, 20 of 100 requests got no answer, since New has no ready replica."
    assert found[-1] == (True, f"{missing} No model (503).")
    assert all(passed for passed, _ in found)


def test_missing_answers_are_reported_with_the_reason() -> None:
    """Beside the judgement of the others."""
    current, new, split = divided()
    found = findings((current, new, Probe(Route.SPLIT, split.answers[:90], "It broke off (502).")))
    missing = "Without the header, 10 of 100 requests got no answer. It broke off (502)."
    assert found[-1] == (False, missing)
    assert found[-2][1].startswith("Without the header, 20 of 90 answered requests reached New")


def test_no_answer_at_all_is_one_finding() -> None:
    """With the client's sentence."""
    assert findings(sent([], [], [], "The name does not resolve.")) == [
        (False, "None of 110 requests was answered. The name does not resolve.")
    ]


def test_a_role_may_have_answers_of_two_models_while_it_is_replaced() -> None:
    """They are attributed as long as the other role gives neither of them."""
    newer = answer(4)
    found = findings(sent([CURRENT] * 5, [NEW, newer] * 2 + [NEW], [CURRENT] * 80 + [newer] * 20))
    assert [passed for passed, _ in found] == [True] * 3


def test_answers_that_cannot_be_attributed_while_models_are_replaced_are_no_failure() -> None:
    """New is being re-deployed with the model of Current."""
    observed = snapshot(new=deployment(Role.NEW, state=State.UPDATING, base=CNN))
    ((passed, message),) = findings(
        sent([CURRENT] * 5, [CURRENT, NEW] * 2 + [NEW], [CURRENT] * 100), observed
    )
    assert passed
    assert "while models are being replaced" in message


def test_answers_of_neither_model_fail() -> None:
    """Another program answers for the host too."""
    current, new, split = divided()
    found = findings((current, new, Probe(Route.SPLIT, (answer(1), *split.answers[1:]))))
    assert found[-1] == (False, "Without the header, 1 of 100 answers are from neither model.")


def test_different_answers_without_a_new_fail() -> None:
    """There should be one model only."""
    mixed = [CURRENT, NEW]
    assert findings(sent(mixed, mixed, mixed), snapshot(new=None))[0] == (
        False,
        "The answers differ, though New has no ready replica.",
    )


@pytest.mark.parametrize(
    ("hits", "tries", "share", "chance"),
    [(0, 20, 0.5, True), (0, 30, 0.5, False), (30, 30, 0.5, False), (100, 100, 1.0, True)],
)
def test_chance_is_exact_in_both_directions(hits: int, tries: int, share: float, *, chance: bool) -> None:
    """By the binomial distribution: 20 misses of 20 happen once in a million."""
    assert is_chance(hits, tries, share) is chance
