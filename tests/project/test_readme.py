"""The README tells the truth about commands, settings, files, rights and public names."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

import mnist_dash
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.manifests import READY_PATH
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.operations import Apply, Site, operations_for
from mnist_dash.cluster.polling import read
from mnist_dash.cluster.resources import (
    CONTAINER,
    HTTP_ROUTE,
    INGRESS,
    POD,
    REST_PORT,
    SECRET,
    SECRET_NAME,
    SELECTOR,
    Kind,
    Object,
    kind_of,
    service_name,
)
from mnist_dash.cluster.routes import routes_for
from mnist_dash.domain import Deploy, ModelCheck, Remove, Role
from mnist_dash.settings import FLAGS, EngineKind, Flag, RouterKind, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e "
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
] + re.findall(r"`(\.venv/bin/[^`]+)`", README)
STARTS = [command.partition(" -- ")[2] for command in COMMANDS if "streamlit run app.py -- " in command]
MODULES = [found for command in COMMANDS for found in re.findall(r"-m (\S+)(.*)", command)]
YAML_FILES = sorted((ROOT / "docs").glob("*.yaml"))
CLUSTER = Settings(engine=EngineKind.KUBERNETES, ingress_host="my.example.com")


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_stands_in_the_table_with_its_variable_and_default(flag: Flag) -> None:
    """A row that says what the help says."""
    assert f"| `--{flag.name}` | `{flag.variable}` | {flag.default} |" in README


def test_no_flag_is_promised_that_does_not_exist() -> None:
    """The tables have a row for each flag, and no other."""
    assert len(re.findall(r"^\| `--[a-z-]+` \| `MNIST_DASH_", README, re.MULTILINE)) == len(FLAGS)


@pytest.mark.parametrize("arguments", STARTS)
def test_every_command_that_starts_the_dashboard_is_understood(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its flags exist, their values are right, and they go together."""
    monkeypatch.chdir(tmp_path)
    if arguments != "--help":
        Settings.from_env(shlex.split(arguments), {})


def test_the_flags_named_in_the_text_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are to be added to a command, with the values that are shown."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    shown = ("--scheme https", "--ca-file ca.pem", "--ingress-address 203.0.113.7:80")
    assert all(f"`{one}`" in README for one in shown)
    Settings.from_env(["--ingress-host", "my.example.com", *" ".join(shown).split()], {})


@pytest.mark.parametrize(("module", "arguments"), MODULES)
def test_every_module_that_is_run_exists_with_its_flags(module: str, arguments: str) -> None:
    """They are looked for in its source: starting each of them would take long."""
    if module == "venv":
        return
    spec = find_spec(module)
    assert spec
    assert spec.origin
    home = Path(spec.origin)
    sources = home.parent.rglob("*.py") if home.name in ("__init__.py", "__main__.py") else [home]
    text = "".join(path.read_text() for path in sources)
    assert all(f'"{flag}"' in text for flag in re.findall(r"--[a-z-]+", arguments))


@pytest.mark.parametrize(
    "verb",
    [
        "deploy",
        "set_split",
        "promote",
        "undo_promote",
        "remove",
        "snapshot",
        "preview",
        "manifests",
        "history",
        "test_route",
        "acting",
    ],
)
def test_every_verb_is_shown(verb: str) -> None:
    """As it is called in a notebook."""
    assert f"dash.{verb}(" in README
    assert hasattr(mnist_dash.Dashboard, verb)


def test_every_error_is_named() -> None:
    """Whoever catches one can find it."""
    errors = [name for name in mnist_dash.__all__ if name.endswith("Error")]
    assert len(errors) == 6
    assert all(f"`{name}`" in README for name in errors)


def test_ci_runs_the_very_test_command_of_the_readme() -> None:
    """And the other command starts the dashboard."""
    assert f"\n{INSTALL}. && .venv/bin/streamlit run app.py\n" in README
    command = f"\n{INSTALL}'.[test]' && .venv/bin/pytest\n"
    assert command in README
    assert command in (ROOT / ".ci" / "run").read_text()


def test_every_public_name_can_be_imported_and_no_other() -> None:
    """Names are looked up when they are first asked for."""
    assert all(getattr(mnist_dash, name) for name in mnist_dash.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mnist_dash.nonsense


def test_every_picture_exists() -> None:
    """None of them is a dead link."""
    pictures = [part.split(")")[0] for part in README.split("![")[1:] for part in [part.split("](")[1]]]
    assert pictures
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_every_file_that_is_referred_to_exists() -> None:
    """By a link, in a command or in the text."""
    named = re.findall(r"\b(?:docs|benchmarks|mnist_dash/data)/[\w./-]*\w", README)
    linked = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith(("http", "#"))]
    assert len(named) > 10
    assert [path for path in (*named, *linked) if not (ROOT / path).exists()] == []


def test_every_link_within_the_page_leads_to_a_heading() -> None:
    """Headings are named as GitHub names them."""
    headings = {
        line.lstrip("# ").lower().replace(" ", "-") for line in README.splitlines() if line.startswith("#")
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", README)) <= headings


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_every_yaml_file_holds_objects_and_is_shown(path: Path) -> None:
    """As `kubectl apply` wants them."""
    assert all({"apiVersion", "kind", "metadata"} <= set(one) for one in _objects(path))
    assert f"-f docs/{path.name}" in README


def test_what_takes_everything_away_selects_the_dashboards_objects() -> None:
    """By the label that all of them carry."""
    assert README.count(f"--namespace {CLUSTER.namespace} -l {SELECTOR}\n") == 2


def test_the_ingress_class_is_the_one_that_is_asked_for_by_default() -> None:
    """So that no flag is needed."""
    (one,) = _objects(ROOT / "docs" / "ingress-class.yaml")
    assert one["metadata"]["name"] == CLUSTER.ingress_class


def test_the_gateway_for_gke_fits_the_command_and_the_services() -> None:
    """Its name is the flag's, and both Services are asked for what only a loaded model answers."""
    gateway, *policies = _objects(ROOT / "docs" / "gke-gateway.yaml")
    place = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
    assert any(f"--gateway {place}" in start for start in STARTS)
    assert [one["spec"]["targetRef"]["name"] for one in policies] == [service_name(role) for role in Role]
    asked = [one["spec"]["default"]["config"]["httpHealthCheck"] for one in policies]
    assert {(one["port"], one["requestPath"]) for one in asked} == {(REST_PORT, READY_PATH)}
    assert {one["metadata"]["namespace"] for one in (gateway, *policies)} == {CLUSTER.namespace}


def test_the_role_allows_what_the_engine_does_and_nothing_else() -> None:
    """Each kind that it reads, applies or deletes with the verbs that this takes, for both routers."""
    assert _allowed(_rules()) == _needed()


def test_the_role_lets_only_the_dashboards_secret_be_read() -> None:
    """Making one cannot be limited to a name."""
    secrets = [rule for rule in _rules() if rule["resources"] == [SECRET.plural]]
    named = [rule.get("resourceNames") for rule in secrets if "get" in rule["verbs"]]
    assert named == [[SECRET_NAME]]
    assert [rule["verbs"] for rule in secrets if "resourceNames" not in rule] == [["create"]]


Rights = dict[tuple[str, str], set[str]]
"""The verbs for each resource, by its API group and plural name."""


class _Recorder:
    """An API that notes what is read; there is one Pod in it, which is not ready and has a log."""

    def __init__(self) -> None:
        self.rights: Rights = defaultdict(set)

    def list(self, kind: Kind, **_: str) -> list[Object]:
        self.rights[kind.group, kind.plural].add("list")
        container: Object = {"name": CONTAINER, "state": {"running": {}}}
        pod = {"metadata": {"name": "pod"}, "status": {"containerStatuses": [container]}}
        return [pod] if kind is POD else []

    def logs(self, _pod: str, **_: Any) -> str:
        self.rights[POD.group, f"{POD.plural}/log"].add("get")
        return ""


def _needed() -> Rights:
    """What a look at the cluster, a deployment with a key and a removal ask for."""
    recorder = _Recorder()
    for settings in (
        CLUSTER,
        Settings(EngineKind.KUBERNETES, "my.example.com", router=RouterKind.GATEWAY, gateway="mnist/web"),
    ):
        routes = routes_for(settings)
        read(cast(KubernetesClient, recorder), routes, details=True)
        site = Site(settings.namespace, settings.image, routes, key=b"{}")
        deploy = Deploy(Role.NEW, ModelCheck("gs://b/m", 1, (28, 28, 1), 0.9), 1)
        for act in (
            act
            for change in (deploy, Remove(Role.NEW))
            for act in operations_for(change, Observation(), site, "ann")
        ):
            kind = kind_of(act.object) if isinstance(act, Apply) else act.kind
            # Both look at the live object first; server-side apply makes what is not there.
            verbs = {"get", "create", "patch"} if isinstance(act, Apply) else {"get", "delete"}
            recorder.rights[kind.group, kind.plural] |= verbs
    assert {INGRESS.plural, HTTP_ROUTE.plural} <= {plural for _, plural in recorder.rights}
    return dict(recorder.rights)


def _allowed(rules: Iterable[dict[str, Any]]) -> Rights:
    rights: Rights = defaultdict(set)
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                rights[group, resource] |= set(rule["verbs"])
    return dict(rights)


def _rules() -> list[dict[str, Any]]:
    (role,) = _objects(ROOT / "docs" / "role.yaml")
    return cast(list[dict[str, Any]], role["rules"])


def _objects(path: Path) -> list[Object]:
    return list(yaml.safe_load_all(path.read_text()))
