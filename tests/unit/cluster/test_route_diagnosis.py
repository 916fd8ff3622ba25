"""Who is to blame if the requests do not reach whom they should: an object or the controller."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mnist_dash.cluster.route_diagnosis import Controller, diagnose, is_in_turn
from mnist_dash.domain import Finding, Prediction, Probe, Role, Route, Snapshot, State
from tests.fakes import deployment, snapshot, sure_of

CURRENT, NEW = (Prediction(sure_of(digit), None, None, None, "", 1.0) for digit in (7, 3))
IN_TURN = ([CURRENT] * 4 + [NEW]) * 20
BY_CHANCE = [CURRENT] * 78 + [NEW] * 22
CLASS = Controller.of_class("nginx")


def sent(
    current: Sequence[Prediction], new: Sequence[Prediction], split: Sequence[Prediction], problem: str = ""
) -> tuple[Probe, ...]:
    """The probes with these answers."""
    routes = {Route.CURRENT: current, Route.NEW: new, Route.SPLIT: split}
    return tuple(Probe(route, tuple(answers), problem) for route, answers in routes.items())


RIGHT = sent([CURRENT] * 5, [NEW] * 5, IN_TURN)
IGNORED = sent([CURRENT] * 4 + [NEW], [CURRENT] * 4 + [NEW], IN_TURN)
"""What a controller does that heeds the weight, but not the header."""
ALL_TO_CURRENT = sent([CURRENT] * 5, [CURRENT] * 5, [CURRENT] * 100)
"""What a controller does that does not know the annotations."""


def blame(
    probes: Sequence[Probe], seen: Snapshot | None = None, controller: Controller = CLASS
) -> list[Finding]:
    """What is found to be wrong, with all objects as they should be."""
    return [one for one in diagnose(probes, seen or snapshot(), (), controller) if not one.passed]


@pytest.mark.parametrize(
    ("split", "says"),
    [(IN_TURN, "in turn (round robin)"), (BY_CHANCE, "does not deal the requests out in turn")],
)
def test_a_right_controller_is_told_by_how_it_divides(split: list[Prediction], says: str) -> None:
    """Some take turns, some draw lots."""
    found = diagnose(sent([CURRENT] * 5, [NEW] * 5, split), snapshot(), (), CLASS)
    assert all(one.passed for one in found)
    assert says in found[-1].message


def test_how_it_divides_is_not_told_where_it_cannot_be_seen() -> None:
    """All go to one model."""
    found = diagnose(sent([CURRENT] * 5, [NEW] * 5, [NEW] * 100), snapshot(split_desired=100), (), CLASS)
    assert len(found) == 3


@pytest.mark.parametrize("probes", [ALL_TO_CURRENT, IGNORED], ids=["annotations", "header"])
def test_with_right_objects_the_controller_is_to_blame(probes: Sequence[Probe]) -> None:
    """With what reads the annotations, and the way round."""
    suspicion = blame(probes)[-1]
    assert (
        "the controller behind the ingress class nginx does not follow the canary annotations"
        in suspicion.message
    )
    assert "Higress" in suspicion.next_step
    assert "--router gateway" in suspicion.next_step


def test_models_that_may_be_alike_are_thought_of_before_the_controller_is_blamed() -> None:
    """The answers cannot tell that from a controller that sends all to one of them."""
    assert blame(ALL_TO_CURRENT)[-1].message.startswith("If the models differ, ")
    assert blame(IGNORED)[-1].message.startswith("The routes are applied as they should be, so ")


def test_a_gateways_controller_is_blamed_by_its_own_words() -> None:
    """It reads no annotations."""
    suspicion = blame(IGNORED, controller=Controller.of_gateway("infra/web"))[-1]
    assert "controller of the Gateway infra/web does not follow the HTTPRoute's weights" in suspicion.message
    assert "describe httproute" in suspicion.next_step


def test_an_object_that_is_wrong_is_told_first_and_nobody_else_is_blamed() -> None:
    """The rest are its symptoms, and their next step is its."""
    fault = "The Ingress mnist-canary has no canary annotation. Set the strategy again."
    found = diagnose(ALL_TO_CURRENT, snapshot(), [fault], CLASS)
    assert found[0] == Finding(False, fault)
    assert not any("the controller behind" in one.message for one in found)
    assert {one.next_step for one in found if not one.passed} == {""}


def test_a_change_on_its_way_is_no_ones_fault() -> None:
    """The controller needs its time."""
    found = blame(ALL_TO_CURRENT, snapshot(waiting_for="The gateway has not taken it up yet."))
    assert not any("does not follow" in one.message for one in found)


def test_no_answer_at_all_means_that_the_requests_go_elsewhere() -> None:
    """The client's own sentence comes first."""
    first, second = blame(sent([], [], [], "Something answers, but it knows no models there (404)."))
    assert "knows no models there (404)" in first.message
    assert "do not get to who reads them: the controller behind the ingress class nginx" in second.message
    assert "--ingress-address" in second.next_step


def test_no_answer_without_a_current_is_not_the_controllers_fault() -> None:
    """There is nobody to answer."""
    nobody = deployment(Role.CURRENT, ready=0, state=State.STARTING)
    assert len(blame(sent([], [], [], "No model (503)."), snapshot(current=nobody))) == 1


@pytest.mark.parametrize(
    ("split", "problem", "says"),
    [
        ([CURRENT] * 100, "", "Current gives them all"),
        ([CURRENT] * 80, "No model (503).", "this gateway gives its share to nobody else"),
    ],
)
def test_what_a_controller_does_while_new_is_not_ready_is_no_fault(
    split: list[Prediction], problem: str, says: str
) -> None:
    """An ingress controller asks Current, a Gateway refuses."""
    seen = snapshot(new=deployment(Role.NEW, ready=0, state=State.STARTING))
    probes = sent([CURRENT] * 5, [] if problem else [CURRENT] * 5, split, problem)
    found = diagnose(probes, seen, (), CLASS)
    assert all(one.passed for one in found)
    assert any(says in one.message for one in found)


def test_turns_are_told_from_chance_at_any_phase_and_share() -> None:
    """New is never more than one request away from its share."""
    in_turn = [
        Role.NEW if (k * 30 + 45) // 100 > ((k - 1) * 30 + 45) // 100 else Role.CURRENT for k in range(100)
    ]
    assert is_in_turn(in_turn, 0.3)
    assert not is_in_turn(sorted(in_turn), 0.3)
