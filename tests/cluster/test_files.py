"""What the Objects tab gives away: files that kubectl takes, and differences that say what a change does."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mnist_dash.domain import Deploy, Image, Promote, Remove, Role, SetSplit, Snapshot
from mnist_dash.service import Dashboard
from mnist_dash.settings import RouterKind
from tests.cluster.bed.api_server import Object
from tests.cluster.bed.bed import Bed
from tests.cluster.rollout import APPS, NETWORKING, Rollout, await_snapshot
from tests.gcs import write_key
from tests.load import ask

KINDS = ((APPS, "Deployment"), ("v1", "Service"), (NETWORKING, "Ingress"))


@pytest.fixture
def both(rollout: Rollout) -> Dashboard:
    """Linear as Current, convolutional as New, settled, split 20."""
    dash = rollout.open_with_both()
    dash.set_split(20)
    dash.wait_settled()
    return dash


def specs(rollout: Rollout) -> list[Object]:
    """What is wanted of all objects, and their annotations."""
    return [
        {"spec": item["spec"], "annotations": item["metadata"].get("annotations")}
        for kind in KINDS
        for item in rollout.all_live(*kind)
    ]


def bases(snapshot: Snapshot) -> list[str]:
    """Where the models come from."""
    return [model.base for model in (snapshot.current, snapshot.new) if model]


@pytest.mark.parametrize("router", RouterKind)
def test_the_file_is_what_is_there_and_makes_it_anew_elsewhere(
    bed: Bed, namespace: str, router: RouterKind, tmp_path: Path, image: Image
) -> None:
    """Kubectl takes it unchanged and finds no difference; in an empty namespace the same models answer."""
    rollout = Rollout(bed, namespace, router)
    dash = rollout.open_with_both(google_app_creds=write_key(tmp_path / "key.json"))
    dash.set_split(20)
    dash.wait_settled()
    text = dash.manifests()
    kinds = [item["kind"] for item in yaml.safe_load_all(text) if item]
    routes = ["HTTPRoute"] if router is RouterKind.GATEWAY else ["Ingress"] * 2
    models = ["PodDisruptionBudget"] * 2 + ["Deployment"] * 2
    assert kinds == ["Namespace", "Service", "Service", *routes, *models]
    assert "private_key" not in text
    assert "kubectl create secret generic mnist-gcs-credentials" in text

    assert "created" not in rollout.kubectl("apply", "--dry-run=server", "-f", "-", stdin=text)
    for how in ((), ("--server-side", "--field-manager=gitops")):
        found = bed.kubectl("diff", *how, "-f", "-", stdin=text)
        assert (found.returncode, found.stdout) == (0, ""), how

    with bed.namespace(create=False) as elsewhere:
        other = Rollout(bed, elsewhere, router)
        moved = text.replace(bed.host(namespace), bed.host(elsewhere))
        moved = moved.replace(f"namespace: {namespace}", f"namespace: {elsewhere}")
        moved = moved.replace(f"name: {namespace}", f"name: {elsewhere}")
        other.kubectl("apply", "-f", "-", stdin=moved)
        key = ["--from-file=key.json=" + str(tmp_path / "key.json")]
        other.kubectl("create", "secret", "generic", "mnist-gcs-credentials", *key)
        there = other.open()
        after = await_snapshot(there, lambda snapshot: snapshot.settled and snapshot.current and snapshot.new)
        assert after.split_observed == 20
        assert [bases(after), bases(dash.snapshot())] == [[model.base for model in rollout.models]] * 2
        assert {answer.role for answer in ask(there, image, 40).answers} == set(Role)
        other.close()
    rollout.close()


def test_a_preview_shows_what_a_change_changes_and_changes_nothing(rollout: Rollout, both: Dashboard) -> None:
    """Line by line, as the API server itself says."""
    linear, cnn = rollout.models
    before = specs(rollout)
    shown = {
        "split": both.preview(SetSplit(70)),
        "re-deploy": both.preview(Deploy(Role.NEW, linear, 3)),
        "promote": both.preview(Promote()),
        "remove": both.preview(Remove(Role.NEW)),
    }
    assert specs(rollout) == before
    assert len(both.history()) == 3

    changed = {name: lines_of(text) for name, text in shown.items()}
    weight = "nginx.ingress.kubernetes.io/canary-weight"
    assert f"-    {weight}: '20'" in changed["split"]
    assert f"+    {weight}: '70'" in changed["split"]
    assert "+  replicas: 3" in changed["re-deploy"]
    assert any(line.startswith("-") and cnn.base in line for line in changed["re-deploy"])
    assert any(line.startswith("+") and linear.base in line for line in changed["re-deploy"])
    assert f"+    {weight}: '100'" in changed["promote"]
    assert any("mnist-dash/swap" in line for line in changed["promote"])
    assert "-kind: Deployment" in changed["remove"]
    assert f"+    {weight}: '0'" in changed["remove"]


def lines_of(text: str) -> list[str]:
    """The lines of a difference that are added or taken away."""
    return [line for line in text.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
