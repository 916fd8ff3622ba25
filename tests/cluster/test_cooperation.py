"""The dashboard is not alone in its namespace: others change what it wrote, and have rights of their own."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from mnist_dash.cluster import polling, traffic_probe
from mnist_dash.cluster.resources import NOTE
from mnist_dash.domain import ModelCheck, Role, name_of
from mnist_dash.errors import EngineError
from mnist_dash.evidence.canary_check import CheckOptions, Guard
from mnist_dash.evidence.rollout import Rollout as Automatic
from mnist_dash.evidence.rollout import RolloutPlan, RolloutStatus
from mnist_dash.service import Dashboard
from tests.cluster.bed.bed import Bed
from tests.cluster.rollout import APPS, NETWORKING, PATIENCE, Rollout, await_snapshot
from tests.contract.environments import RULES

WEIGHT = "nginx.ingress.kubernetes.io/canary-weight"


@pytest.fixture
def both(rollout: Rollout, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    """Linear as Current, convolutional as New, settled, split 0."""
    monkeypatch.setattr(polling, "RESTING_SECONDS", 0.5)
    monkeypatch.setattr(traffic_probe, "CANARY_SECONDS", 1.0)
    return rollout.open_with_both()


Verb = Callable[..., object]


def refused(dash: Dashboard, verb: Verb, *args: object) -> EngineError:
    """The error with which a change is refused."""
    with pytest.raises(EngineError) as caught:
        verb(dash, *args)
    return caught.value


def weight(rollout: Rollout) -> str:
    """What the canary's Ingress says of the split."""
    return str(rollout.live(NETWORKING, "Ingress", "mnist-canary")["metadata"]["annotations"][WEIGHT])


# Changes from outside


def test_a_split_that_kubectl_set_is_shown_and_left_until_it_is_taken_over(
    rollout: Rollout, both: Dashboard
) -> None:
    """With who set it and since when; taking it over is an explicit choice, and remembered by name."""
    both.set_split(20)
    both.wait_settled()
    rollout.kubectl("annotate", "ingress", "mnist-canary", f"{WEIGHT}=70", "--overwrite")
    shown = await_snapshot(both, lambda snapshot: snapshot.drift)
    (sentence,) = shown.drift
    assert sentence.startswith(
        f"kubectl-annotate changed annotation {WEIGHT} (now 70) of Ingress mnist-canary at 20"
    )
    assert shown.split_desired == 70
    later = await_snapshot(both, lambda snapshot: snapshot.taken_at > shown.taken_at and snapshot.settled)
    assert (weight(rollout), later.split_observed, later.drift) == ("70", 70, shown.drift)

    error = refused(both, Dashboard.set_split, 30)
    assert error.can_take_over
    assert f"annotation {WEIGHT} belongs to kubectl-annotate since 20" in error.problem
    assert weight(rollout) == "70"
    assert both.history()[0].what == "Set strategy: Canary 20 %"

    both.on_behalf_of("ann", take_over=True).set_split(30)
    after = both.wait_settled()
    assert (weight(rollout), after.split_observed, after.drift) == ("30", 30, ())
    assert (both.history()[0].by, both.history()[0].what) == ("ann", "Set strategy: Canary 30 %")
    both.set_split(0)


def test_replicas_that_others_set_are_shown_and_left_until_they_are_taken_over(
    rollout: Rollout, both: Dashboard
) -> None:
    """Kubectl scale, and a manager that applies from a repository."""
    _, cnn = rollout.models
    rollout.kubectl("scale", "deployment", "mnist-green", "--replicas=2")
    shown = await_snapshot(
        both, lambda snapshot: snapshot.drift and snapshot.new and snapshot.new.desired == 2
    )
    assert "kubectl changed spec.replicas (now 2) of Deployment mnist-green" in shown.drift[0]
    manifest = {
        "apiVersion": APPS,
        "kind": "Deployment",
        "metadata": {"name": "mnist-green", "namespace": rollout.namespace},
        "spec": {"replicas": 3},
    }
    rollout.bed.api.apply(manifest, manager="gitops")
    shown = await_snapshot(both, lambda snapshot: snapshot.new and snapshot.new.desired == 3)
    assert any(sentence.startswith("gitops changed spec.replicas (now 3)") for sentence in shown.drift)

    error = refused(both, Dashboard.deploy, Role.NEW, cnn, 1)
    assert error.can_take_over
    assert "spec.replicas" in error.problem
    assert "gitops since 20" in error.problem
    assert rollout.live(APPS, "Deployment", "mnist-green")["spec"]["replicas"] == 3

    both.on_behalf_of("ann", take_over=True).deploy(Role.NEW, cnn, 1)
    after = both.wait_settled()
    assert (after.new.desired, after.drift) == (1, ())  # type: ignore[union-attr]  # it is deployed


def test_a_pointer_that_was_edited_is_shown_and_left_until_it_is_taken_over(
    rollout: Rollout, both: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With kubectl edit, a user lets New's Service lead to Current's release."""
    _, cnn = rollout.models
    monkeypatch.setenv("KUBE_EDITOR", "sed -i 's|mnist-dash/release: green|mnist-dash/release: blue|'")
    rollout.kubectl("edit", "service", "mnist-new")
    shown = await_snapshot(both, lambda snapshot: snapshot.drift)
    assert "kubectl-edit changed spec.selector of Service mnist-new at 20" in shown.drift[0]
    error = refused(both, Dashboard.deploy, Role.NEW, cnn)
    assert error.can_take_over
    assert "spec.selector" in error.problem
    assert "kubectl-edit since 20" in error.problem
    both.on_behalf_of(take_over=True).deploy(Role.NEW, cnn)
    assert both.wait_settled().drift == ()


# Several dashboards


def test_two_dashboards_show_the_same_and_do_not_undo_each_other(rollout: Rollout, both: Dashboard) -> None:
    """What one changes appears in the other; of two splits at the same time, one holds."""
    other = rollout.open()
    both.set_split(40)
    both.wait_settled()
    there = await_snapshot(other, lambda snapshot: snapshot.split_observed == 40 and snapshot.settled)
    here = both.snapshot()
    assert (there.current, there.new, there.split_desired) == (here.current, here.new, here.split_desired)
    assert other.history() == both.history()

    together = threading.Barrier(2)

    def set_split(dash: Dashboard, percent: int) -> None:
        together.wait()
        dash.set_split(percent)

    threads = [threading.Thread(target=set_split, args=pair) for pair in ((both, 10), (other, 90))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    split = int(weight(rollout))
    assert split in (10, 90)
    for dash in (both, other):
        settled = await_snapshot(dash, lambda snapshot: snapshot.settled and snapshot.split_observed == split)
        assert (settled.split_desired, settled.drift) == (split, ())


def test_a_promotion_that_another_dashboard_made_meanwhile_is_not_turned_round(
    rollout: Rollout, both: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The roles are no longer those that the user saw: nothing changes, and the page shows what is."""
    monkeypatch.setattr(polling, "RESTING_SECONDS", 600.0)
    other = rollout.open()
    await_snapshot(other, lambda snapshot: snapshot.settled)
    both.promote()
    promoted = both.wait_settled()
    assert "swapped meanwhile" in str(refused(other, Dashboard.promote))
    assert await_snapshot(other, lambda snapshot: snapshot.current == promoted.current).can_undo_promote


def test_the_history_survives_and_names_who_it_was(rollout: Rollout, both: Dashboard) -> None:
    """It lies in the cluster, and so does the cause of each revision of a Deployment."""
    linear, _ = rollout.models
    user = rollout.bed.kubectl("--kubeconfig", rollout.settings.kubeconfig, "auth", "whoami", "-ojson").stdout
    both.on_behalf_of("ann@example.com").deploy(Role.NEW, linear, 2)
    both.wait_settled()
    both.close()
    entries = rollout.open().history()
    newest, *others = entries
    assert newest.by == "ann@example.com"
    assert {entry.by for entry in others} == {_name_in(user)}
    assert [entry.what.split()[0] for entry in entries] == ["Deploy"] * 3
    history = rollout.kubectl("rollout", "history", "deployment/mnist-green")
    assert f"ann@example.com: Deploy {name_of(linear.base)} version 1 as New with 2 replicas" in history


def _name_in(review: str) -> str:
    return str(json.loads(review)["status"]["userInfo"]["username"])


# Rights


def without(verb: str, resource: str) -> list[dict[str, Any]]:
    """The Role of docs/role.yaml, but for one right."""
    left = [
        {**rule, "resources": [name], "verbs": [it for it in rule["verbs"] if (it, name) != (verb, resource)]}
        for rule in RULES
        for name in rule["resources"]
    ]
    return [rule for rule in left if rule["verbs"]]


def open_as(rollout: Rollout, rules: list[dict[str, Any]]) -> Dashboard:
    """A dashboard for a user with these rights."""
    return rollout.open(kubeconfig=str(rollout.bed.user(rollout.namespace, rules).kubeconfig))


@pytest.mark.parametrize("resource", ["deployments", "services", "pods", "endpointslices", "ingresses"])
def test_each_right_to_look_that_lacks_is_named(rollout: Rollout, resource: str) -> None:
    """As soon as the page is opened."""
    trouble = open_as(rollout, without("list", resource)).snapshot().trouble
    assert f" may not list {resource}" in trouble
    assert "Ask an administrator" in trouble
    assert trouble.count(f"in namespace {rollout.namespace}.") == 1


def test_each_right_to_write_that_lacks_is_named_before_anything_has_changed(rollout: Rollout) -> None:
    """Whichever of the writes it is: nothing was created."""
    linear, _ = rollout.models
    for resource in ("services", "ingresses", "poddisruptionbudgets", "deployments"):
        for verb in ("get", "create", "patch"):
            dash = open_as(rollout, without(verb, resource))
            problem = refused(dash, Dashboard.deploy, Role.CURRENT, linear).problem
            assert f" may not {verb} {resource}" in problem
            assert f"in namespace {rollout.namespace}" in problem
            dash.close()
    for api, kind in ((APPS, "Deployment"), ("v1", "Service"), (NETWORKING, "Ingress")):
        assert rollout.all_live(api, kind) == [], kind


def test_a_later_write_that_is_not_allowed_is_named_before_the_first(
    rollout: Rollout, both: Dashboard
) -> None:
    """A removal and a promotion begin with the split, which is left as it is."""
    both.set_split(50)
    both.wait_settled()
    verbs: dict[str, Verb] = {
        "delete deployments.apps": lambda dash: dash.remove(Role.NEW),
        "delete poddisruptionbudgets.policy": lambda dash: dash.remove(Role.NEW),
        "patch services": Dashboard.promote,
    }
    for right, verb in verbs.items():
        dash = open_as(rollout, without(*right.partition(".")[0].split()))
        assert f"may not {right} in namespace {rollout.namespace}" in refused(dash, verb).problem
        assert weight(rollout) == "50"


@pytest.mark.parametrize("kind", ["Service", "Ingress"])
def test_objects_of_others_are_refused_by_name_and_left_alone(rollout: Rollout, kind: str) -> None:
    """Nothing else is made either."""
    linear, _ = rollout.models
    api, name, spec = {
        "Service": ("v1", "mnist-new", {"ports": [{"port": 80}]}),
        "Ingress": (
            NETWORKING,
            "mnist",
            {"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}},
        ),
    }[kind]
    metadata = {"name": name, "namespace": rollout.namespace}
    theirs = rollout.bed.api.create({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})
    dash = rollout.open()
    error = refused(dash, Dashboard.deploy, Role.CURRENT, linear)
    assert f"{kind} {name}" in error.problem
    assert "is not the dashboard's" in error.problem
    assert not error.can_take_over
    refused(dash.on_behalf_of(take_over=True), Dashboard.deploy, Role.CURRENT, linear)
    assert (
        rollout.live(api, kind, name)["metadata"]["resourceVersion"] == theirs["metadata"]["resourceVersion"]
    )
    assert rollout.all_live(APPS, "Deployment") == []
    assert len(rollout.all_live("v1", "Service")) == (kind == "Service")


def test_the_namespace_is_made_if_it_may_be(bed: Bed, rollout: Rollout) -> None:
    """Without that right the error says so, and nothing else is tried."""
    linear, _ = rollout.models
    namespaces = {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "create", "patch"]}
    with bed.namespace(create=False) as name:

        def open_as(*rules: Any) -> Dashboard:
            user = bed.user(name, cluster_rules=rules)
            return rollout.open(namespace=name, kubeconfig=str(user.kubeconfig), ingress_host=bed.host(name))

        problem = refused(open_as(*RULES), Dashboard.deploy, Role.CURRENT, linear).problem
        assert f"namespace {name}" in problem
        dash = open_as(*RULES, namespaces)
        dash.deploy(Role.CURRENT, linear)
        made = bed.api.get(f"/api/v1/namespaces/{name}")
        assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "mnist-dash"
        dash.wait_settled()


def test_of_two_dashboards_that_deploy_at_once_one_is_refused(rollout: Rollout, both: Dashboard) -> None:
    """Each expects the model that it shows, which is as old as its last poll."""
    other, models = rollout.open(), rollout.models
    await_snapshot(other, lambda snapshot: snapshot.settled and snapshot.new)
    expected = other.snapshot().etag(Role.NEW)
    assert both.snapshot().etag(Role.NEW) == expected
    refusals: list[EngineError] = []

    def deploy(dash: Dashboard, model: ModelCheck) -> None:
        try:
            dash.deploy(Role.NEW, model, 2, expected=expected)
        except EngineError as error:
            refusals.append(error)

    threads = [threading.Thread(target=deploy, args=pair) for pair in zip((both, other), models, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (refusal,) = refusals
    assert refusal.problem == "Somebody else deployed to New meanwhile."
    entries = [entry.what for entry in both.history() if "as New" in entry.what]
    assert len(entries) == 2  # the first deployment, and one of these


# The automatic rollout


def await_rollout(dash: Dashboard, reached: Callable[[Automatic], object]) -> Automatic:
    """Wait for a property of the automatic rollout, and return it."""
    deadline = time.monotonic() + 2 * PATIENCE
    while not ((found := dash.rollout) and reached(found)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def test_two_dashboards_share_an_automatic_rollout(rollout: Rollout, both: Dashboard) -> None:
    """Each sees and steers it; the note of it is no drift, and does not adopt what kubectl has changed."""
    other = rollout.open()
    both.start_rollout(RolloutPlan((20, 50), 2000, CheckOptions(guard=Guard(error_rate=None))))
    driver = await_rollout(other, lambda it: it.counts.digits and it.setup.split == 20).driver
    other.on_behalf_of("bob").pause_rollout()
    paused = await_rollout(both, lambda it: it.status is RolloutStatus.PAUSED)
    assert paused.reason == "Paused by bob."
    other.resume_rollout()
    taken = await_rollout(both, lambda it: it.status is RolloutStatus.RUNNING and it.beat > paused.beat)
    assert taken.driver != driver
    assert (both.snapshot().drift, other.snapshot().drift) == ((), ())
    assert other.history()[0].by.endswith("(automatic rollout)")

    rollout.kubectl("annotate", "ingress", "mnist-canary", f"{WEIGHT}=70", "--overwrite")
    paused = await_rollout(both, lambda it: it.status is RolloutStatus.PAUSED)
    assert paused.reason == "The split was changed during the rollout, from 20 to 70 %."
    shown = await_snapshot(both, lambda snapshot: snapshot.drift)
    assert "kubectl-annotate changed annotation" in shown.drift[0]
    both.abort_rollout()
    assert await_rollout(other, lambda it: it.is_ended).status is RolloutStatus.ABORTED
    assert weight(rollout) == "70"

    rollout.kubectl("annotate", "ingress", "mnist-canary", f"{NOTE}={{", "--overwrite")
    await_snapshot(both, lambda snapshot: "was dropped" in " ".join(snapshot.notices))
    assert both.rollout is None
