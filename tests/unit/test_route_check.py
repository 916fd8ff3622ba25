"""Testing the route: what is sent, and what the answers are taken to mean."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_dash import route_check
from mnist_dash.domain import Deployment, Image, Prediction, Probe, Release, Role, Route, Snapshot, State
from mnist_dash.errors import ServingError
from mnist_dash.route_check import is_chance
from tests.fakes import CNN, LINEAR, deployment, snapshot, sure_of

ANSWERS = {Role.CURRENT: sure_of(7), Role.NEW: sure_of(3)}
NO_NEW_READY = deployment(Role.NEW, ready=0, state=State.STARTING)


def answer(role: Role, *, says_who: bool = False, of: NDArray[np.float64] | None = None) -> Prediction:
    """What a model answers, with or without saying which it is."""
    told = role if says_who else None
    return Prediction(ANSWERS[role] if of is None else of, told, None, None, "", 1.0)


def sent(
    current: Sequence[Prediction], new: Sequence[Prediction], split: Sequence[Prediction], problem: str = ""
) -> tuple[Probe, ...]:
    """The probes with these answers."""
    routes = {Route.CURRENT: current, Route.NEW: new, Route.SPLIT: split}
    return tuple(Probe(route, tuple(answers), problem) for route, answers in routes.items())


def right(to_new: int = 20, *, says_who: bool = False) -> tuple[Probe, ...]:
    """The probes behind a gateway that does as it is told."""
    current, new = (answer(role, says_who=says_who) for role in Role)
    return sent([current] * 5, [new] * 5, [new] * to_new + [current] * (100 - to_new))


def judged(found: Sequence[Probe], seen: Snapshot | None = None) -> list[tuple[bool, str]]:
    """What is found, without the next steps."""
    return [(one.passed, one.message) for one in route_check.judge(found, seen or snapshot())]


def test_each_route_is_asked_with_one_picture() -> None:
    """Few requests are forced, and many go by the split."""
    lock, asked = threading.Lock(), list[tuple[int, Route]]()

    def predict(image: Image, route: Route) -> Prediction:
        with lock:
            asked.append((id(image), route))
        return answer(Role.CURRENT)

    found = route_check.send(predict)
    assert len({image for image, _ in asked}) == 1
    assert {one.route: len(one.answers) for one in found} == {
        Route.CURRENT: 5,
        Route.NEW: 5,
        Route.SPLIT: 100,
    }
    assert {one.problem for one in found} == {""}


def test_what_is_not_answered_stands_in_the_probe() -> None:
    """The others are asked all the same: a controller may refuse a share only."""
    turns = itertools.count()

    def predict(_: Image, route: Route) -> Prediction:
        if route is Route.NEW or (route is Route.SPLIT and next(turns) % 5 == 0):
            raise ServingError("Nobody is there.", "Wait.")
        return answer(Role.CURRENT)

    current, new, split = route_check.send(predict)
    assert (len(current.answers), current.problem) == (5, "")
    assert (len(new.answers), new.problem) == (0, "Nobody is there. Wait.")
    assert (len(split.answers), split.problem) == (80, "Nobody is there. Wait.")


def test_after_ten_seconds_nothing_more_is_sent() -> None:
    """A model that is slow does not keep the page waiting."""
    found = route_check.send(lambda _, __: answer(Role.CURRENT), clock=itertools.count(0, 6).__next__)
    assert sum(len(one.answers) for one in found) <= 3
    assert {one.problem for one in found} == {"The time for the test was up."}


@pytest.mark.parametrize("says_who", [True, False], ids=["said", "compared"])
def test_a_gateway_that_does_as_it_is_told_is_found_well(says_who: bool) -> None:
    """Whether the answers say who gave them, or have to be compared."""
    assert judged(right(says_who=says_who)) == [
        (True, "With the header X-Mnist-Route: never, 5 of 5 requests reached Current."),
        (True, "With the header X-Mnist-Route: always, 5 of 5 requests reached New."),
        (True, "Without the header, 20 of 100 requests reached New; the split is 20 %."),
    ]


def test_a_release_is_as_good_as_a_role() -> None:
    """Model servers may say which release they are."""
    blue, green = (Prediction(sure_of(7), None, release, None, "", 1.0) for release in Release)
    found = judged(sent([blue] * 5, [green] * 5, [blue] * 80 + [green] * 20))
    assert all(well for well, _ in found)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("split", "to_new", "well"),
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
def test_a_share_that_is_no_chance_is_told(split: int, to_new: int, well: bool) -> None:
    """Chance is what happens more often than 5 standard deviations away."""
    assert judged(right(to_new), snapshot(split_desired=split))[2] == (
        well,
        f"Without the header, {to_new} of 100 requests reached New; the split is {split} %.",
    )


def test_a_split_that_is_still_on_its_way_says_so() -> None:
    """What it waits for is the next step."""
    seen = snapshot(split_desired=80, waiting_for="The gateway has not taken it up yet.")
    assert route_check.judge(right(), seen)[2].next_step == "The gateway has not taken it up yet."


@pytest.mark.parametrize("says_who", [True, False], ids=["said", "compared"])
def test_a_header_that_is_ignored_is_told(says_who: bool) -> None:
    """Requests with it go as the split says."""
    current, new = (answer(role, says_who=says_who) for role in Role)
    mixed = [current, new, current, current, new]
    found = judged(sent(mixed, mixed, [current] * 80 + [new] * 20))
    assert not found[0][0]
    expected = "3 of 5 requests reached Current" if says_who else "header X-Mnist-Route makes no difference"
    assert expected in found[0][1]


def test_a_new_that_never_answers_is_told() -> None:
    """All answers are the same, though the models are not."""
    current = [answer(Role.CURRENT)]
    ((well, says),) = judged(sent(current * 5, current * 5, current * 100))
    assert not well
    assert says.startswith("All 110 answers are the same, with and without the header X-Mnist-Route: either")


def test_one_model_in_both_roles_is_told_as_such() -> None:
    """Nothing is wrong then, but nothing can be seen."""
    current = [answer(Role.CURRENT)]
    seen = snapshot(new=deployment(Role.NEW, base=LINEAR))
    ((well, says),) = judged(sent(current * 5, current * 5, current * 100), seen)
    assert well
    assert "Current and New are the same model" in says


@pytest.mark.parametrize("new", [None, NO_NEW_READY], ids=["none", "starting"])
def test_while_new_is_not_ready_all_answers_are_currents(new: Deployment | None) -> None:
    """That is as it should be, and said so."""
    current = [answer(Role.CURRENT)]
    ((well, says),) = judged(sent(current * 5, current * 5, current * 100), snapshot(new=new))
    assert well
    assert "as it should be: New has no ready replica" in says


def test_while_new_is_not_ready_its_requests_may_reach_current() -> None:
    """As ingress controllers do, where the answers say who gave them."""
    current = [answer(Role.CURRENT, says_who=True)]
    found = judged(sent(current * 5, current * 5, current * 100), snapshot(new=NO_NEW_READY))
    forced = "With the header X-Mnist-Route: always, 5 of 5 requests reached Current"
    assert found[1] == (True, f"{forced}, since New has no ready replica.")
    assert found[2] == (True, "Without the header, 0 of 100 requests reached New; New has no ready replica.")


def test_while_new_is_not_ready_its_share_may_get_no_answer() -> None:
    """As Gateway API wants it."""
    current = [answer(Role.CURRENT)]
    found = judged(sent(current * 5, [], current * 80, "No model (503)."), snapshot(new=NO_NEW_READY))
    shares = [says for well, says in found if well and "gives its share to nobody else" in says]
    assert len(shares) == 2
    assert shares[1].startswith(
        "Without the header, 20 of 100 requests got no answer: New has no ready replica"
    )


def test_requests_without_an_answer_are_told_with_their_reason() -> None:
    """Beside what the others say."""
    current, new, split = right()
    found = judged((current, new, Probe(Route.SPLIT, split.answers[:90], "The model broke off (502).")))
    assert found[-1] == (
        False,
        "Without the header, 10 of 100 requests got no answer. The model broke off (502).",
    )
    assert found[-2][1].startswith("Without the header, 20 of 90 requests that were answered reached New")


def test_no_answer_at_all_is_one_finding() -> None:
    """With the client's sentence."""
    assert judged(sent([], [], [], "The name does not resolve.")) == [
        (False, "None of 110 requests was answered. The name does not resolve.")
    ]


def test_during_a_rollout_a_role_may_have_answers_of_two_kinds() -> None:
    """They are told apart as long as the other role has neither of them."""
    older, newer, current = answer(Role.NEW), answer(Role.NEW, of=sure_of(4)), answer(Role.CURRENT)
    found = judged(sent([current] * 5, [older, newer] * 2 + [older], [current] * 80 + [newer] * 20))
    assert [well for well, _ in found] == [True] * 3


def test_during_a_rollout_answers_may_not_be_told_apart() -> None:
    """New is being re-deployed with what Current has: no fault of the gateway."""
    current, older = answer(Role.CURRENT), answer(Role.NEW)
    seen = snapshot(new=deployment(Role.NEW, state=State.UPDATING, base=CNN))
    ((well, says),) = judged(sent([current] * 5, [current, older] * 2 + [older], [current] * 100), seen)
    assert well
    assert "while models are being replaced" in says


def test_answers_of_neither_model_are_told() -> None:
    """Somebody else answers for the host too."""
    current, new, split = right()
    stranger = answer(Role.NEW, of=sure_of(1))
    found = judged((current, new, Probe(Route.SPLIT, (stranger, *split.answers[1:]))))
    assert found[-1] == (False, "Without the header, 1 of 100 answers are those of neither model.")


def test_answers_that_differ_without_a_new_are_told() -> None:
    """There is one model only, as far as is known."""
    one, other = answer(Role.CURRENT), answer(Role.NEW)
    ((well, says),) = judged(sent([one, other], [one, other], [one, other]), snapshot(new=None))[:1]
    assert not well
    assert "The answers differ, though New has no ready replica" in says


def test_chance_is_exact() -> None:
    """By the binomial distribution, in both directions."""
    cases: dict[Callable[[], bool], bool] = {
        lambda: is_chance(0, 20, 0.5): True,  # once in a million
        lambda: is_chance(0, 30, 0.5): False,
        lambda: is_chance(30, 30, 0.5): False,
        lambda: is_chance(100, 100, 1.0): True,
    }
    assert [case() for case in cases] == list(cases.values())
