"""The page on a cluster: from an empty namespace to a promotion and back, and what others do meanwhile."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from playwright.sync_api import Browser, expect

from mnist_dash.local.desired_state import BUNDLED
from tests.e2e.browser import PATIENCE, Visitor
from tests.e2e.conftest import Visit
from tests.e2e.server import Server, serve_on_cluster

if TYPE_CHECKING:
    from tests.cluster.bed.bed import Bed

ME = "admin"


def put(bed: Bed, namespace: str, model: str) -> str:
    """Put a bundled model into the namespace's bucket; returns its base."""
    base = f"gs://{namespace}/{model}"
    bed.storage.put(base, BUNDLED / model / "model" / "1")
    return base


@pytest.fixture(scope="module")
def namespace(shared_bed: Bed) -> Iterator[str]:
    """A namespace that the tests of this file share; nothing is deployed in it at first."""
    with shared_bed.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def dashboard(shared_bed: Bed, namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard on that namespace."""
    output = tmp_path_factory.mktemp("dashboard") / "server.log"
    with serve_on_cluster(shared_bed, namespace, output) as server:
        yield server


@pytest.fixture
def rolled_out(visit: Visit, bed: Bed, namespace: str) -> Visitor:
    """A visitor of the page, when the linear model is Current, the CNN is New and all is ready."""
    visitor = visit()
    for role, model in (("current", "linear"), ("new", "cnn")):
        expect(visitor.part(f"card-{role}")).to_contain_text(
            re.compile("deployed|replicas"), timeout=PATIENCE
        )
        if "Ready" not in visitor.part(f"card-{role}").inner_text():
            visitor.deploy(role, put(bed, namespace, model))
        visitor.is_ready(role)
    return visitor


def offers(visitor: Visitor, kind: str, name: str, text: str, words: str) -> None:
    """Wait until one of the texts of an object in the Objects tab says so."""
    box = visitor.open_object(kind, name)
    box.get_by_role("radio", name=text).click()
    expect(box).to_contain_text(words, timeout=PATIENCE)


def test_from_an_empty_namespace_to_a_promotion_and_back(visit: Visit, bed: Bed, namespace: str) -> None:
    """Deploy Current, fail with New, deploy New, split, predict, promote, undo."""
    visitor = visit()
    visitor.reads("card-current", "Not deployed")
    visitor.reads("answer", "Deploy a Current model first.")
    linear, cnn = put(bed, namespace, "linear"), put(bed, namespace, "cnn")

    visitor.deploy("current", linear)
    visitor.is_ready("current")

    fail_to_deploy(visitor, bed, namespace)

    visitor.deploy("new", cnn)
    visitor.is_ready("new")
    visitor.set_strategy("Canary", 20)
    visitor.press("sample")
    visitor.has_drawing()
    visitor.press("predict")
    visitor.reads("answer", re.compile(r"(linear|cnn|Both) says? \d"))
    visitor.switch("compare")
    visitor.reads("answer", re.compile(r"(Agree: both say|DISAGREE: linear says) \d"))

    visitor.press("promote")
    expect(visitor.dialog).to_contain_text("Afterwards", timeout=PATIENCE)
    visitor.press("promote-confirm")
    visitor.reads("card-current", "cnn")
    visitor.reads("card-new", "linear")
    visitor.reads("in-force", "Current 100 %")
    visitor.press("undo-promote")
    visitor.reads("card-current", "linear")
    visitor.reads("card-new", "cnn")

    visitor.open_tab("History")
    history = visitor.part("history")
    history.get_by_text("Changes", exact=True).click()
    expect(history.get_by_role("row")).to_have_count(7, timeout=PATIENCE)
    for row, what in enumerate(
        (
            "Roll back to linear",
            "Make New the Current",
            "Set strategy: Canary 20 %",
            "Deploy cnn version 1 as New with 1 replica",
            "as New with 2 replicas",
            "Deploy linear version 1 as Current with 1 replica",
        ),
        start=1,
    ):
        expect(history.get_by_role("row").nth(row)).to_contain_text(re.compile(f"{what}.*by {ME}", re.DOTALL))


def fail_to_deploy(visitor: Visitor, bed: Bed, namespace: str) -> None:
    """Deploy a base as New that is deleted after it was looked at, and read on the card what is wrong."""
    vanishing = f"gs://{namespace}/vanishing"
    bed.storage.put(vanishing, BUNDLED / "cnn" / "model" / "1")
    visitor.open_deploy("new")
    visitor.fill(vanishing, replicas=2)
    visitor.press("deploy-difference")
    expect(visitor.dialog.get_by_test_id("stCode")).to_contain_text("mnist-green", timeout=PATIENCE)
    bed.storage.delete(vanishing)
    visitor.confirm_deploy()
    visitor.reads("card-new", "Failed")
    visitor.reads("card-new", f"There is no folder {vanishing}. Check the path.")


def test_the_tabs_show_what_is_there(
    rolled_out: Visitor, visit: Visit, namespace: str, tmp_path: Path
) -> None:
    """YAML, events, log and the download of all; and the test of the route finds all well."""
    rolled_out.open_tab("Objects")
    offers(rolled_out, "Deployment", "mnist-green", "YAML", f"gs://{namespace}/cnn")
    offers(rolled_out, "Deployment", "mnist-blue", "Events", "Scaled up")
    offers(rolled_out, "Pod", "mnist-blue-", "Log", "Serving version 1")
    for other in (visit(), visit()):  # whose refreshes are not to sweep the file away
        other.open_tab("Objects")
        other.reads("objects-filters", "All as YAML")
    with rolled_out.page.expect_download(timeout=PATIENCE) as download:
        rolled_out.press("download-manifests")
    download.value.save_as(tmp_path / "all.yaml")
    objects = list(yaml.safe_load_all((tmp_path / "all.yaml").read_text()))
    assert {"Deployment", "Service", "Ingress"} <= {item["kind"] for item in objects}

    rolled_out.open_tab("Call it")
    rolled_out.press("test-route")
    rolled_out.shows("Right. With the header X-Mnist-Route: always, 5 of 5 requests reached New.")
    expect(rolled_out.page.get_by_text("Wrong.", exact=True)).to_have_count(0)


def test_drift_is_shown_and_can_be_taken_over(
    rolled_out: Visitor, visit: Visit, bed: Bed, namespace: str
) -> None:
    """kubectl sets the weight and scales: both browsers show it, as from outside, and one takes it over."""
    other = visit()
    rolled_out.set_strategy("Canary", 20)
    for change in (
        ["annotate", "--overwrite", "ingress/mnist-canary", "nginx.ingress.kubernetes.io/canary-weight=37"],
        ["scale", "deployment/mnist-green", "--replicas=2"],
    ):
        done = bed.kubectl("--namespace", namespace, *change)
        assert done.returncode == 0, done.stderr
    for visitor in (rolled_out, other):
        visitor.reads("in-force", "New 37 %")
        visitor.is_ready("new", replicas=2)
        visitor.shows(
            "kubectl-annotate changed annotation nginx.ingress.kubernetes.io/canary-weight (now 37)"
        )
        visitor.shows("kubectl changed spec.replicas (now 2) of Deployment mnist-green")

    rolled_out.choose("Canary", 25)
    rolled_out.press("set-strategy")
    rolled_out.reads("strategy-card", "belongs to kubectl-annotate")
    rolled_out.open_deploy("new")  # a dialog has a refusal of its own, so that of the strategy goes
    rolled_out.page.keyboard.press("Escape")
    expect(rolled_out.part("take-over")).to_have_count(0, timeout=PATIENCE)
    rolled_out.press("set-strategy")
    rolled_out.press("take-over")
    other.reads("in-force", "New 25 %")
    rolled_out.open_deploy("new")
    rolled_out.fill(replicas=1)
    rolled_out.press("deploy-confirm")
    expect(rolled_out.dialog).to_contain_text("belongs to kubectl", timeout=PATIENCE)
    rolled_out.press("take-over")
    expect(rolled_out.dialog).to_be_hidden(timeout=PATIENCE)
    other.is_ready("new", replicas=1)
    expect(other.page.get_by_text("kubectl changed")).to_have_count(0, timeout=PATIENCE)


def test_a_dashboard_without_its_kubeconfig_recovers_by_itself(
    browser: Browser, bed: Bed, namespace: str, tmp_path: Path
) -> None:
    """The page opens and names the file that is missing; once it is there, all is as it should be."""
    kubeconfig = tmp_path / "kubeconfig"
    with serve_on_cluster(bed, namespace, tmp_path / "server.log", kubeconfig=kubeconfig) as server:
        visitor = Visitor(browser, server.page)
        try:
            problem = visitor.page.get_by_test_id("stAlert").filter(has_text=str(kubeconfig))
            expect(problem).to_be_visible(timeout=PATIENCE)
            shutil.copy(bed.kubeconfig, kubeconfig)
            expect(problem).to_be_hidden(timeout=PATIENCE)
            expect(visitor.part("deploy-current").get_by_role("button")).to_be_enabled(timeout=PATIENCE)
            assert visitor.complaints() == []
        finally:
            visitor.close()
