"""What every engine keeps: the same tests, whichever runs the models."""

from __future__ import annotations

import ast
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from signal import SIGKILL, SIGSTOP

import numpy as np
import pytest

from mnist_dash.dataset import load_digits
from mnist_dash.domain import (
    ChangeContext,
    Deploy,
    EngineObject,
    EventKind,
    Image,
    ModelCheck,
    Prediction,
    Replacement,
    Role,
    Route,
    Snapshot,
    State,
    Strategy,
    count_replicas,
    name_of,
)
from mnist_dash.errors import EngineError, ModelError, ServingError
from mnist_dash.panels import snippets
from mnist_dash.service import Dashboard
from mnist_dash.signature import to_probabilities
from tests.cluster.bed import processes
from tests.contract.environments import Ground, Shelf
from tests.load import ask, constant_load, within_five_deviations
from tests.models import EXAMPLE, FLAT


def wait_until(dash: Dashboard, reached: Callable[[Snapshot], bool], timeout: float = 30) -> Snapshot:
    """Wait for the first snapshot with a property, and return it."""
    deadline = time.monotonic() + timeout
    while not reached(snapshot := dash.snapshot()):
        assert time.monotonic() < deadline, snapshot
        time.sleep(0.02)
    return snapshot


def deploy_checked(dash: Dashboard, role: Role, check: ModelCheck) -> None:
    """Deploy without looking at the model again, as if it broke right after the check."""
    dash._engine.apply(Deploy(role, check, 1), ChangeContext())


def who(answer: Prediction) -> tuple[object, ...]:
    """The physical model that answered: the release, and the replica where it is known."""
    return answer.release, answer.replica


def wait_for_replicas(dash: Dashboard, image: Image, count: int, route: Route = Route.SPLIT) -> None:
    """Wait until that many replicas answer; a router may follow a replica's readiness a moment later."""

    def has_all() -> bool:
        return len({answer.replica for answer in ask(dash, image, 10 * count, route).answers}) == count

    processes.wait_until(has_all, f"exactly {count} replicas answer", seconds=30)


def test_without_a_deployment_no_request_is_answered(dash: Dashboard, image: Image) -> None:
    """With a sentence that says what to do."""
    dash.wait_settled()
    with pytest.raises(ServingError, match="Deploy a Current model first"):
        dash.predict(image)


def test_a_deployed_model_predicts(ground: Ground, dash: Dashboard, cnn: str, image: Image) -> None:
    """And the answer says who gave it."""
    check = dash.deploy(Role.CURRENT, cnn, replicas=2)
    assert check.accuracy is not None
    assert check.accuracy > 0.95
    assert dash.snapshot().current.state is State.STARTING  # type: ignore[union-attr]  # it is deployed
    current = dash.wait_settled().current
    assert current is not None
    assert (current.state, current.ready, current.desired) == (State.READY, 2, 2)
    assert (current.base, current.version) == (cnn, 1)
    assert (current.accuracy, current.digits) == (check.accuracy, 2000)
    load = ask(dash, image, 40)
    assert {answer.digit for answer in load.answers} == {7}
    assert {answer.role for answer in load.answers} == {Role.CURRENT}
    assert {answer.version for answer in load.answers} == {1}
    wait_for_replicas(dash, image, 2 if ground.names_replicas else 1)
    assert load.answers[0].milliseconds > 0


def test_the_split_divides_the_traffic(both: Dashboard, image: Image) -> None:
    """Within five standard deviations of what was asked for; 0 and 100 exactly."""
    both.set_split(20)
    assert both.wait_settled().strategy is Strategy.CANARY
    assert within_five_deviations(ask(both, image, 300).roles["new"], 300, 20)
    both.set_split(100)
    both.wait_settled()
    assert ask(both, image, 50).roles == {"new": 50}
    both.set_split(0)
    both.wait_settled()
    assert ask(both, image, 50).roles == {"current": 50}


def test_a_route_can_be_forced_under_every_strategy(both: Dashboard, image: Image) -> None:
    """Comparing asks both, whatever the split."""
    for split in (0, 100):
        both.set_split(split)
        both.wait_settled()
        assert ask(both, image, 10, Route.CURRENT).roles == {"current": 10}
        assert ask(both, image, 10, Route.NEW).roles == {"new": 10}
        comparison = both.compare(image)
        assert (comparison.current.role, comparison.new.role) == (Role.CURRENT, Role.NEW)
        assert comparison.agree


def test_a_split_is_held_until_new_is_ready(dash: Dashboard, linear: str, cnn: str, image: Image) -> None:
    """The reason is reported, and no request is sent to a model that is not there."""
    dash.deploy(Role.CURRENT, linear)
    dash.wait_settled()
    dash.deploy(Role.NEW, cnn)
    dash.set_split(100)
    snapshot = dash.snapshot()
    assert (snapshot.split_desired, snapshot.split_observed) == (100, 0)
    assert "until the other model has a ready replica" in snapshot.waiting_for
    assert dash.predict(image).role is Role.CURRENT
    assert dash.wait_settled().split_observed == 100
    assert dash.predict(image).role is Role.NEW


def test_promote_and_undo_under_load_lose_no_request(
    both: Dashboard, linear: str, cnn: str, image: Image
) -> None:
    """The same replicas answer afterwards, in other roles, and nothing restarted."""
    before = {role: who(both.predict(image, Route(role.value))) for role in Role}
    running = replicas_of(both)
    both.set_split(50)
    both.wait_settled()
    with constant_load(both, image) as load:
        both.promote()
        promoted = both.wait_settled()
        assert who(both.predict(image, Route.CURRENT)) == before[Role.NEW]
        assert who(both.predict(image, Route.NEW)) == before[Role.CURRENT]
        both.undo_promote()
        undone = both.wait_settled()
    assert load.failures == []
    assert promoted.current.base == cnn  # type: ignore[union-attr]  # it is deployed
    assert (promoted.split_observed, promoted.can_undo_promote) == (0, True)
    assert undone.current.base == linear  # type: ignore[union-attr]  # it is deployed
    assert (undone.split_observed, undone.can_undo_promote) == (50, False)
    assert who(both.predict(image, Route.CURRENT)) == before[Role.CURRENT]
    assert replicas_of(both) == running


def test_an_undo_that_is_made_twice_is_made_once(both: Dashboard, linear: str) -> None:
    """Two clicks, or two browsers: the second changes nothing, is no error, and is not in the history."""
    both.set_split(30)
    both.promote()
    promoted = both.wait_settled()
    former = promoted.etag(Role.NEW)
    assert [promoted.role_title(role) for role in Role] == ["Current", "Former"]
    for _ in range(3):
        both.undo_promote(expected=former)
    undone = both.wait_settled()
    both.undo_promote(expected=former)
    assert undone.current is not None
    assert (undone.current.base, undone.split_observed) == (linear, 30)
    assert [undone.role_title(role) for role in Role] == ["Current", "New"]
    assert [entry.what for entry in both.history()][:2] == [
        "Roll back to " + name_of(linear),
        "Make New the Current",
    ]
    with pytest.raises(EngineError, match="no promotion"):
        both.undo_promote()


def test_a_former_model_becomes_new_when_one_is_deployed_there(both: Dashboard, cnn: str) -> None:
    """Nothing is left to be undone then."""
    both.promote()
    both.wait_settled()
    both.deploy(Role.NEW, cnn)
    deployed = both.wait_settled()
    assert (deployed.role_title(Role.NEW), deployed.can_undo_promote) == ("New", False)


def test_with_current_gone_new_takes_its_place(both: Dashboard, cnn: str, image: Image) -> None:
    """Until then the snapshot says that nobody answers, whatever the split."""
    both.set_split(20)
    both.wait_settled()
    both.remove(Role.CURRENT)
    assert not both.wait_settled().is_answered
    both.promote()
    promoted = both.wait_settled()
    assert promoted.is_answered
    assert promoted.current is not None
    assert (promoted.current.base, promoted.new, promoted.can_undo_promote) == (cnn, None, False)
    assert both.predict(image).role is Role.CURRENT


def test_the_counts_of_a_redeploy_are_of_both_models(both: Dashboard, linear: str, cnn: str) -> None:
    """One answers until the other has taken over, and no more replicas are ready than were asked for."""
    both.deploy(Role.NEW, cnn, replicas=3)
    both.wait_settled()
    both.deploy(Role.NEW, linear, replicas=1)
    new = both.snapshot().new
    assert new is not None
    assert (new.base, new.replacement) == (cnn, Replacement(linear, desired=1, ready=0))
    old, replacing = name_of(cnn), name_of(linear)
    assert new.cause == f"{old} answers with {count_replicas(new.ready)}; {replacing} is starting, 0 of 1."
    while not (snapshot := both.snapshot()).settled:
        assert snapshot.new is not None
        assert snapshot.new.replacement or snapshot.new.ready <= snapshot.new.desired
    assert snapshot.new is not None
    assert (snapshot.new.base, snapshot.new.ready, snapshot.new.replacement) == (linear, 1, None)


def test_a_redeploy_under_load_loses_no_request(
    ground: Ground, both: Dashboard, linear: str, image: Image
) -> None:
    """The split is kept, the new model takes over, the number of replicas changes."""
    both.set_split(50)
    both.wait_settled()
    with constant_load(both, image) as load:
        both.deploy(Role.NEW, linear, replicas=3)
        assert both.snapshot().new.state is State.UPDATING  # type: ignore[union-attr]  # it is deployed
        new = both.wait_settled().new
    assert load.failures == []
    assert new is not None
    assert (new.base, new.ready) == (linear, 3)
    assert both.snapshot().split_observed == 50
    wait_for_replicas(both, image, 3 if ground.names_replicas else 1, Route.NEW)


def test_a_prediction_that_meets_a_dying_replica_is_repeated(
    ground: Ground, dash: Dashboard, cnn: str, image: Image
) -> None:
    """The replica is killed while the request lies before it, and the other one answers instead."""
    dash.deploy(Role.CURRENT, cnn, replicas=2)
    dash.wait_settled()
    dash.predict(image)  # the first one asks for the model's metadata too
    victim = next(item for item in dash.objects() if item.kind in ("Model server", "Pod"))
    deadline = time.monotonic() + 30
    with ThreadPoolExecutor(1) as thread:
        ground.signal(victim, SIGSTOP)
        request = thread.submit(dash.predict, image)
        while not has_unread_request(victim):
            assert time.monotonic() < deadline, "the other replica gets each request"
            if request.done():  # the other replica's
                request = thread.submit(dash.predict, image)
        ground.signal(victim, SIGKILL)
        assert request.result().digit == 7


def has_unread_request(replica: EngineObject) -> bool:
    """Whether a digit lies in a socket of a replica; a health probe is shorter."""
    address, _, port = replica.details["Address"].removeprefix("http://").partition(":")
    local = f"{int.from_bytes(socket.inet_aton(address), 'little'):08X}:{int(port or 8501):04X}"
    sockets = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(fields[1] == local and int(fields[4].split(":")[1], 16) > 1000 for fields in sockets)


def test_what_changes_nothing_is_not_recorded(
    both: Dashboard, cnn: str, checked: dict[str, ModelCheck]
) -> None:
    """The split that is set, and the model that is deployed; another number of replicas is a change."""
    both.set_split(20)
    both.wait_settled()
    before, running = both.history(), replicas_of(both)
    both.set_split(20)
    check = replace(checked["cnn"], base=cnn)
    with pytest.raises(EngineError, match=r"cnn-\d version 1 is deployed as New already, with 1 replica"):
        both.deploy(Role.NEW, check)
    assert (both.history(), replicas_of(both)) == (before, running)
    both.deploy(Role.NEW, check, replicas=2)
    both.wait_settled()
    both.remove(Role.NEW)
    both.wait_settled()
    after = both.history()
    with pytest.raises(EngineError, match="No New model is deployed"):
        both.remove(Role.NEW)
    assert both.history() == after
    assert len(after) == len(before) + 2


def replicas_of(dash: Dashboard) -> set[str]:
    """Return the names of the replicas that run."""
    return {item.name for item in dash.objects() if item.kind in ("Model server", "Pod")}


def test_an_unfit_model_is_refused_before_anything_changes(both: Dashboard, cnn: str, image: Image) -> None:
    """With the reason, and the deployed model keeps serving."""
    before = who(both.predict(image, Route.NEW))
    with pytest.raises(ModelError) as caught:
        both.deploy(Role.NEW, cnn + "/nowhere")
    assert caught.value.next_step
    assert both.snapshot().settled
    assert who(both.predict(image, Route.NEW)) == before


def test_a_redeploy_that_fails_keeps_the_old_model_serving(
    both: Dashboard, shelf: Shelf, linear: str, cnn: str, image: Image
) -> None:
    """The check passed, but the model is gone when the replica wants it."""
    other = shelf.put("cnn")
    check = both.check(other)
    shelf.break_version(other)
    with constant_load(both, image, Route.NEW) as load:
        deploy_checked(both, Role.NEW, check)
        with pytest.raises(
            EngineError, match=r"keeps serving.*saved_model\.pb|saved_model\.pb.*keeps serving"
        ):
            both.wait_settled()
    assert load.failures == []
    new = both.snapshot().new
    assert new is not None
    assert (new.state, new.base, new.ready) == (State.FAILED, cnn, 1)
    both.deploy(Role.NEW, linear)
    both.wait_settled()


def test_a_first_deployment_that_cannot_start_fails_with_its_last_words(
    dash: Dashboard, shelf: Shelf, cnn: str
) -> None:
    """What really happened, not that something did."""
    check = dash.check(cnn)
    shelf.break_version(cnn)
    deploy_checked(dash, Role.CURRENT, check)
    with pytest.raises(EngineError, match=r"saved_model\.pb"):
        dash.wait_settled()


def test_removing_new_sends_everything_to_current(both: Dashboard, image: Image) -> None:
    """Under load no request fails."""
    both.set_split(100)
    both.wait_settled()
    with constant_load(both, image) as load:
        both.remove(Role.NEW)
        snapshot = both.wait_settled()
    assert load.failures == []
    assert (snapshot.new, snapshot.split_desired, snapshot.split_observed) == (None, 0, 0)
    assert both.predict(image).role is Role.CURRENT
    with pytest.raises(EngineError, match="No New model"):
        both.set_split(20)
    with pytest.raises(ServingError, match=r"New did not answer|No New model is deployed"):
        both.compare(image)


def test_removing_current_is_possible_and_a_new_one_takes_its_place(
    both: Dashboard, linear: str, image: Image
) -> None:
    """Until then no request is answered, and the reason is reported."""
    both.remove(Role.CURRENT)
    both.wait_settled()
    with pytest.raises(ServingError, match="503"):
        both.predict(image)
    both.deploy(Role.CURRENT, linear)
    both.wait_settled()
    assert both.predict(image).role is Role.CURRENT


def test_a_new_version_in_the_folder_takes_over_without_a_failed_request(
    dash: Dashboard, shelf: Shelf, linear: str, image: Image
) -> None:
    """As TensorFlow Serving does; the card shows the version that answers, and its accuracy."""
    dash.deploy(Role.CURRENT, linear)
    first = dash.wait_settled().current
    assert first is not None
    with constant_load(dash, image) as load:
        shelf.add_version(linear, "cnn", 2)
        wait_until(dash, lambda s: s.current is not None and s.current.version == 2)
        assert dash.predict(image).version == 2
    assert load.failures == []
    wait_until(dash, lambda s: s.current is not None and s.current.accuracy not in (None, first.accuracy))


def test_two_models_of_different_input_share_one_split(
    dash: Dashboard, shelf: Shelf, linear: str, image: Image
) -> None:
    """The dashboard adapts to whichever model the gateway chose; the card warns other programs."""
    dash.deploy(Role.CURRENT, linear)
    dash.deploy(Role.NEW, shelf.put(FLAT))
    dash.set_split(50)
    new = dash.wait_settled().new
    assert {answer.role for answer in ask(dash, image, 60).answers} == set(Role)
    assert new is not None
    assert new.input_shape == (-1, 784)
    assert "fits only one of them" in " ".join(new.warnings)


def test_the_calls_of_the_page_get_the_answers_of_the_page(
    dash: Dashboard, shelf: Shelf, linear: str, image: Image
) -> None:
    """From outside, with the drawing, also to a model with another signature and shape of input."""
    dash.deploy(Role.CURRENT, linear)
    dash.deploy(Role.NEW, shelf.put(EXAMPLE))
    dash.wait_settled()
    for route in (Route.CURRENT, Route.NEW):
        script = snippets.python(dash.gateway, route, snippets.body_for(dash.snapshot(), route, image))
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        called = np.array(ast.literal_eval(done.stdout.splitlines()[1]))
        assert np.allclose(to_probabilities(called[np.newaxis])[0], dash.predict(image, route).probabilities)


def test_the_objects_are_what_runs(both: Dashboard) -> None:
    """The gateway and each replica, with where it is and what it wrote."""
    objects = both.objects()
    assert objects[0].details["Address"] == both.gateway.url
    replicas = [item for item in objects if item.kind in ("Model server", "Pod")]
    assert [replica.role for replica in replicas] == [Role.CURRENT, Role.NEW]
    assert all(replica.state == "ready" for replica in replicas)
    assert all("Serving version 1" in replica.log for replica in replicas)


def events(dash: Dashboard, *kinds: EventKind) -> list[tuple[EventKind, str]]:
    """The kind and the model of each event of these kinds, oldest first."""
    return [(entry.kind, entry.model) for entry in reversed(dash.timeline()) if entry.kind in kinds]


def test_the_timeline_tells_that_a_replica_was_killed_and_replaced(
    ground: Ground, dash: Dashboard, linear: str
) -> None:
    """With the reason; and before, that the model became ready."""
    dash.deploy(Role.CURRENT, linear)
    name = dash.wait_settled().current.name  # type: ignore[union-attr]  # it is deployed
    kinds = EventKind.READY, EventKind.ENDED, EventKind.REPLACED
    assert events(dash, *kinds) == [(EventKind.READY, name)]
    (victim,) = (item for item in dash.objects() if item.kind in ("Model server", "Pod"))
    ground.signal(victim, SIGKILL)
    wait_until(dash, lambda _: bool(events(dash, EventKind.REPLACED)))
    assert events(dash, *kinds)[:3] == [(kind, name) for kind in kinds]
    ended = next(entry for entry in dash.timeline() if entry.kind is EventKind.ENDED)
    assert (ended.what, ended.role) == ("It was killed by signal SIGKILL.", Role.CURRENT)
    assert abs(ended.at - time.time()) < 120


def test_the_timeline_tells_that_a_split_was_held_and_when_it_came_in_force(
    dash: Dashboard, linear: str, cnn: str, checked: dict[str, ModelCheck]
) -> None:
    """And that New became ready in between."""
    dash.deploy(Role.CURRENT, replace(checked["linear"], base=linear))
    dash.wait_settled()
    dash.deploy(Role.NEW, replace(checked["cnn"], base=cnn))
    dash.set_split(20)
    dash.wait_settled()
    kinds = [kind for kind, _ in events(dash, EventKind.HELD, EventKind.READY, EventKind.SPLIT)]
    assert kinds[:2] == [EventKind.READY, EventKind.HELD]
    assert set(kinds[2:]) == {EventKind.READY, EventKind.SPLIT}
    assert "Canary 20 %." in [entry.what for entry in dash.timeline()]


def test_the_timeline_tells_which_change_was_refused_and_why(both: Dashboard) -> None:
    """With the user who asked for it."""
    with pytest.raises(EngineError):
        both.on_behalf_of("ann@example.com").undo_promote()
    newest = both.timeline()[0]
    assert (newest.kind, newest.by) == (EventKind.REFUSED, "ann@example.com")
    assert "no promotion" in newest.what


def test_the_timeline_tells_which_version_was_loaded(dash: Dashboard, shelf: Shelf, linear: str) -> None:
    """When the model server has taken it from the folder."""
    dash.deploy(Role.CURRENT, linear)
    dash.wait_settled()
    shelf.add_version(linear, "cnn", 2)
    wait_until(dash, lambda s: s.current is not None and s.current.version == 2)
    wait_until(dash, lambda _: "Version 2." in [entry.what for entry in dash.timeline()])


def test_the_history_has_each_change_with_its_user(both: Dashboard) -> None:
    """Newest first; without a name it was the engine's own user."""
    both.on_behalf_of("ann@example.com").set_split(20)
    newest, *others = both.history()
    assert (newest.by, newest.what) == ("ann@example.com", "Set strategy: Canary 20 %")
    assert [entry.what.partition(" gs:")[0].split()[0] for entry in others] == ["Deploy", "Deploy"]
    assert all(entry.by for entry in others)


def test_the_route_can_be_tested(both: Dashboard) -> None:
    """All is well: with the header, and without it."""
    both.set_split(20)
    both.wait_settled()
    findings = both.test_route()
    assert findings
    assert [finding for finding in findings if not finding.passed] == []


def test_a_change_is_refused_if_somebody_deployed_to_the_role_since(
    dash: Dashboard, checked: dict[str, ModelCheck], linear: str, cnn: str
) -> None:
    """From the moment that the other deployment is accepted; expecting that one replaces it."""
    before, mine = dash.snapshot().etag(Role.NEW), replace(checked["linear"], base=linear)
    dash.deploy(Role.NEW, replace(checked["cnn"], base=cnn), expected=before)
    for replicas in (1, 2):
        with pytest.raises(EngineError, match="Somebody else deployed to New meanwhile") as caught:
            dash.deploy(Role.NEW, mine, replicas, expected=before)
        before = dash.snapshot().etag(Role.NEW)
        assert caught.value.etag == before
        dash.deploy(Role.NEW, mine, replicas, expected=caught.value.etag)
    dash.remove(Role.NEW, expected=dash.snapshot().etag(Role.NEW))
    with pytest.raises(EngineError, match="New was removed meanwhile"):
        dash.deploy(Role.NEW, mine, expected=before)


@pytest.mark.parametrize("replicas", [0, 9, -1])
def test_a_number_of_replicas_out_of_range_is_refused(dash: Dashboard, cnn: str, replicas: int) -> None:
    """Before the model is looked at."""
    with pytest.raises(EngineError, match="1 to 8"):
        dash.deploy(Role.CURRENT, cnn, replicas)
    assert dash.snapshot().current is None


def test_what_cannot_work_is_refused_with_the_reason(dash: Dashboard) -> None:
    """Nothing is deployed."""
    with pytest.raises(EngineError, match="Deploy a Current model first"):
        dash.set_split(20)
    with pytest.raises(EngineError, match="Deploy a New model first"):
        dash.promote()
    with pytest.raises(EngineError, match="no promotion"):
        dash.undo_promote()
    with pytest.raises(EngineError, match="No Current model"):
        dash.remove(Role.CURRENT)
    with pytest.raises(EngineError, match="0 to 100"):
        dash.set_split(101)


def test_traffic_shows_what_the_split_does(both: Dashboard) -> None:
    """The share of each model is the one that was set, nothing fails, and a stop ends the requests."""
    both.set_split(20)
    both.wait_settled()
    both.start_traffic(50)
    deadline = time.monotonic() + 60
    while (traffic := both.traffic()).counted < 150:
        assert time.monotonic() < deadline, traffic
        time.sleep(0.1)
    both.stop_traffic()
    assert (traffic.split, traffic.errors) == (20, 0)
    current, new = traffic.roles[Role.CURRENT], traffic.roles[Role.NEW]
    assert current.answers + new.answers + traffic.unknown == traffic.counted
    assert within_five_deviations(new.answers, current.answers + new.answers, 20)
    assert current.right > 0.8 * current.answers
    assert current.p50 is not None
    time.sleep(1)  # requests under way are answered
    total = both.traffic().total
    time.sleep(1)
    assert (both.traffic().total, both.traffic().running) == (total, False)


def test_digits_about_which_the_models_differ_are_found(both: Dashboard) -> None:
    """Both models, asked about one, answer differently."""
    digits = load_digits()
    found = both.find_disagreements(timeout=30).found
    assert found
    assert not both.compare(digits.images[found[0]]).agree


def test_a_closed_dashboard_says_so(dash: Dashboard, linear: str) -> None:
    """And closing twice does no harm."""
    check = dash.check(linear)
    dash.close()
    dash.close()
    with pytest.raises(EngineError, match="closed"):
        deploy_checked(dash, Role.CURRENT, check)
