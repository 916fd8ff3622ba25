"""The writes of each change, and that an interruption of them at any point can be resumed."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.manifests import key_hash
from mnist_dash.cluster.operations import (
    KeyFile,
    Operation,
    operations_for,
    operations_for_new_key,
    write,
)
from mnist_dash.cluster.resources import DEPLOYMENT, SECRET, Kind, Object
from mnist_dash.domain import Change, Promote, Remove, Role, SetSplit, UndoPromote
from mnist_dash.errors import EngineError
from tests.gcs import write_key
from tests.unit.cluster.in_memory_cluster import (
    CNN,
    DEPLOY_CURRENT,
    DEPLOY_NEW,
    LINEAR,
    SITE,
    InMemoryCluster,
)


def names(operations: Sequence[Operation]) -> list[str]:
    """What is written, in order; a minus marks a deletion."""
    return [f"{'-' if op.manifest is None else ''}{op.kind.name}/{op.name}" for op in operations]


@pytest.fixture
def both() -> InMemoryCluster:
    """Linear is Current on blue, convolutional New on green, split 20."""
    return InMemoryCluster.with_both()


def test_the_deployment_is_written_last() -> None:
    """Once it is there, so is all that leads to it."""
    site = replace(SITE, key=b"{}")
    assert names(operations_for(DEPLOY_CURRENT, InMemoryCluster().observe(), site, "ann")) == [
        "Secret/mnist-gcs-credentials",
        "Service/mnist-current",
        "Service/mnist-new",
        "Ingress/mnist",
        "Ingress/mnist-canary",
        "PodDisruptionBudget/mnist-blue",
        "Deployment/mnist-blue",
    ]


@pytest.mark.parametrize("count", range(7))
def test_an_interrupted_deployment_is_finished_by_deploying_again(count: int) -> None:
    """Until its last write nothing is deployed; after it, everything is."""
    cluster = InMemoryCluster()
    cluster.write(operations_for(DEPLOY_CURRENT, cluster.observe(), SITE, "ann")[:count])
    assert (cluster.observe().workload(Role.CURRENT) is not None) is (count == 6)
    cluster.change(DEPLOY_CURRENT)
    assert cluster.answers() == {"blue": 100}


def test_deploying_again_keeps_the_split_ends_the_undo_and_rolls_the_pods(both: InMemoryCluster) -> None:
    """The folder is read again, also if nothing else has changed."""
    before = both.objects["Deployment", "mnist-green"]["spec"]["template"]
    both.change(DEPLOY_NEW, now=1.0)
    assert both.answers() == {"blue": 80, "green": 20}
    assert not both.observe().state.can_undo
    assert both.objects["Deployment", "mnist-green"]["spec"]["template"] != before


@pytest.mark.parametrize("count", range(4))
def test_removing_new_sends_no_request_to_it_at_any_step(both: InMemoryCluster, count: int) -> None:
    """The routes let go of it before it is deleted."""
    operations = operations_for(Remove(Role.NEW), both.observe(), SITE, "ann")
    assert names(operations) == [
        "Ingress/mnist",
        "Ingress/mnist-canary",
        "-PodDisruptionBudget/mnist-green",
        "-Deployment/mnist-green",
    ]
    both.write(operations[:count])
    assert "503" not in both.answers()
    both.write(operations)
    assert both.answers() == {"blue": 100}
    assert both.observe().state.split == 0


def test_removing_current_leaves_the_split(both: InMemoryCluster) -> None:
    """A new Current takes its place."""
    both.change(Remove(Role.CURRENT))
    assert both.answers() == {"503": 80, "green": 20}
    both.change(DEPLOY_CURRENT)
    assert both.answers() == {"blue": 80, "green": 20}


def test_a_split_is_remembered_but_not_written_while_new_is_not_ready(both: InMemoryCluster) -> None:
    """At weight 100 controllers would serve Current and not say so."""
    both.unready.add(both.observe().pointer(Role.NEW))
    both.change(SetSplit(70))
    assert (both.observe().weight, both.observe().state.split) == (0, 70)


def test_every_change_is_in_the_history_with_its_user(both: InMemoryCluster) -> None:
    """As a sentence, which is also the cause of the Deployment's revision."""
    history = both.observe().state.history
    assert {entry.by for entry in history} == {"ann"}
    assert [entry.what for entry in history] == [
        "Deploy linear version 1 as Current with 1 replica",
        "Deploy cnn version 3 as New with 2 replicas",
        "Set strategy: Canary 20 %",
    ]
    cause = both.objects["Deployment", "mnist-green"]["metadata"]["annotations"]["kubernetes.io/change-cause"]
    assert cause == f"ann: {history[1].what}"


def test_promoting_first_sends_everything_to_new(both: InMemoryCluster) -> None:
    """The pointers stay; their targets are written with it."""
    both.change(Promote())
    assert both.answers() == {"green": 100}
    assert both.pointers() == ("blue", "green")
    promotion = both.observe().promotion
    assert promotion is not None
    assert (promotion.current, promotion.new, promotion.split, promotion.undo) == ("green", "blue", 0, True)


def test_promoting_without_a_current_leaves_nothing_to_undo() -> None:
    """There is no former model."""
    cluster = InMemoryCluster()
    cluster.change(DEPLOY_NEW)
    cluster.change(Promote())
    assert cluster.observe().promotion
    assert not cluster.observe().promotion.undo  # type: ignore[union-attr]  # it is there


def test_an_interrupted_promotion_is_finished_or_reversed(both: InMemoryCluster) -> None:
    """Finishing keeps its goal; undoing it restores the split."""
    both.change(Promote())
    goal = both.observe().promotion
    assert goal is not None
    both.change(Promote(), by="bob", now=5.0)
    assert both.observe().promotion == replace(goal, by="bob", at=5.0)
    both.change(UndoPromote(), by="bob")
    back = both.observe().promotion
    assert back is not None
    assert (back.current, back.new, back.split, back.undo) == ("blue", "green", 20, False)


@pytest.mark.parametrize("change", [DEPLOY_NEW, Remove(Role.CURRENT), SetSplit(20)])
def test_no_other_change_is_possible_during_a_promotion(both: InMemoryCluster, change: Change) -> None:
    """A role's model may still be the other's, or already."""
    both.change(Promote())
    with pytest.raises(EngineError, match="under way"):
        operations_for(change, both.observe(), SITE, "bob")


def test_another_key_rolls_the_deployments(both: InMemoryCluster) -> None:
    """The Secret encodes it once; models, replicas and roles stay. Without a deployment there is no write."""
    before = both.objects["Deployment", "mnist-green"]
    site = replace(SITE, key=b'{"new": 1}')
    operations = operations_for_new_key(both.observe(), site)
    assert names(operations) == [
        "Secret/mnist-gcs-credentials",
        "Deployment/mnist-blue",
        "Deployment/mnist-green",
    ]
    secret, _, green = (op.manifest for op in operations if op.manifest)
    assert base64.b64decode(secret["data"]["key.json"]) == b'{"new": 1}'
    assert green["spec"]["replicas"] == 2
    assert green["spec"]["template"]["metadata"] != before["spec"]["template"]["metadata"]
    assert CNN.base in str(green)
    assert LINEAR.base not in str(green)
    assert operations_for_new_key(InMemoryCluster().observe(), site) == ()


class RecordingClient:
    """Stands for the API: records writes, and refuses those whose name is in `errors`."""

    def __init__(self, **errors: EngineError) -> None:
        self._errors = errors
        self.requests: list[tuple[str, str, bool, Object | None]] = []
        """Verb, name, whether it is a dry run, and the live object."""

    def get(self, _: Kind, name: str) -> Object | None:
        self.requests.append(("get", name, True, None))
        return None

    def apply(self, manifest: Object, *, live: Object | None, dry_run: bool = False, **_: Any) -> Object:
        name = manifest["metadata"]["name"]
        self.requests.append(("apply", name, dry_run, live))
        if error := self._errors.get(name.replace("-", "_")):
            raise error
        return {**manifest, "status": "written"}

    def delete(self, _: Kind, name: str, *, live: Object | None, dry_run: bool = False) -> None:
        self.requests.append(("delete", name, dry_run, live))


def write_with(
    client: RecordingClient, operations: Sequence[Operation], cluster: InMemoryCluster
) -> tuple[Object, ...]:
    """Write to the client instead of a cluster."""
    return write(cast(KubernetesClient, client), operations, cluster.observe())


def test_all_writes_are_rehearsed_before_the_first_and_then_done_in_order(both: InMemoryCluster) -> None:
    """With the objects as they were listed; only the Secret, which never is, is read."""
    operations = operations_for(DEPLOY_NEW, both.observe(), replace(SITE, key=b"{}"), "ann")
    client = RecordingClient()
    objects = write_with(client, operations, both)
    (secret, *dry), done = client.requests[: 1 + len(operations)], client.requests[1 + len(operations) :]
    assert secret[:2] == ("get", "mnist-gcs-credentials")
    assert all(dry_run for _, _, dry_run, _ in dry)
    assert [name for _, name, dry_run, _ in done if not dry_run] == [op.name for op in operations]
    assert all(
        live is both.objects.get((op.kind.name, op.name))
        for (*_, live), op in zip(done, operations, strict=True)
    )
    assert {item["kind"] for item in objects if item.get("status") == "written"} == {
        "Service",
        "Ingress",
        "Deployment",
    }
    assert SECRET.name not in {item["kind"] for item in objects}


def test_a_deleted_object_is_no_longer_observed(both: InMemoryCluster) -> None:
    """Without another poll."""
    objects = write_with(RecordingClient(), [Operation(DEPLOYMENT, "mnist-green")], both)
    assert [item["metadata"]["name"] for item in objects if item["kind"] == "Deployment"] == ["mnist-blue"]


def test_a_refused_dry_run_writes_nothing_and_names_all_conflicts(both: InMemoryCluster) -> None:
    """Taking over concerns all of them; another error is not hidden by them."""
    operations = operations_for(DEPLOY_NEW, both.observe(), SITE, "ann")
    errors = {
        name: EngineError(f"{owner} owns it.", "Take over.", can_take_over=True)
        for name, owner in (("mnist_new", "Bob"), ("mnist", "Eve"))
    }
    client = RecordingClient(**errors)
    with pytest.raises(EngineError, match=r"^Bob owns it\. Eve owns it\. Take over\.$") as caught:
        write_with(client, operations, both)
    assert caught.value.can_take_over
    assert all(dry_run for _, _, dry_run, _ in client.requests)
    with pytest.raises(EngineError, match="forbidden"):
        write_with(RecordingClient(**errors, mnist_green=EngineError("It is forbidden.")), operations, both)


# The key file

OTHER_KEYS = {"0" * 64}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fit key file."""
    return write_key(tmp_path / "key.json")


def test_no_key_file_is_no_problem() -> None:
    """The Pods then have Workload Identity, or the bucket is public."""
    key = KeyFile(None)
    assert (key.read(), key.problem, key.replacement(OTHER_KEYS)) == (None, "", None)


def test_a_bad_key_file_is_reported_and_refused(path: Path) -> None:
    """With the path, and never with its content."""
    path.write_text("{")
    key = KeyFile(path)
    assert str(path) in key.problem
    assert key.replacement(OTHER_KEYS) is None
    with pytest.raises(EngineError, match="JSON"):
        key.read()


def test_only_pods_with_another_key_are_given_the_key(path: Path) -> None:
    """Nothing rolls at a start, and Pods without a key get none before the next deployment."""
    assert KeyFile(path).replacement({key_hash(path.read_bytes())}) is None
    assert KeyFile(path).replacement(set()) is None


def test_a_key_that_changed_while_no_dashboard_ran_is_given(path: Path) -> None:
    """And one that changes while it runs."""
    key = KeyFile(path)
    assert key.replacement(OTHER_KEYS) == path.read_bytes()
    key.deployed = path.read_bytes()
    assert key.replacement(OTHER_KEYS) is None
    write_key(path, client_email="other@my-project.iam.gserviceaccount.com")
    assert key.replacement(OTHER_KEYS) == path.read_bytes()
