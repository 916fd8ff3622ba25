"""README, docs/ and CONTRIBUTING.md agree with the code: commands, flags, names, links, files and rights."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

import mnist_dash
import mnist_dash.domain
from mnist_dash import domain
from mnist_dash.cluster import resources
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.engine import routes_for
from mnist_dash.cluster.manifests import READY_PATH
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.operations import Site, operations_for
from mnist_dash.cluster.polling import poll
from mnist_dash.cluster.resources import Kind, Object, service_name
from mnist_dash.domain import Remove, Role
from mnist_dash.settings import FLAGS, EngineKind, Flag, RouterKind, Settings
from tests.project.test_imports import SOURCES, imports, module_name

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path: path.read_text() for path in (*PAGES, ROOT / "mnist_dash" / "data" / "README.md")}
README, CONTRIBUTING, *_ = TEXTS.values()
REFERENCE = TEXTS[ROOT / "docs" / "reference.md"]
EVERYTHING = "\n".join(TEXTS.values())
README_LINES = 150
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e "


def blocks(language: str, text: str = EVERYTHING) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


COMMANDS = [
    command
    for block in blocks("sh")
    for line in block.replace("\\\n", " ").splitlines()
    for command in line.split(" && ")
] + re.findall(r"`(\.venv/bin/[^`]+)`", EVERYTHING)
STARTS = [command.partition(" -- ")[2] for command in COMMANDS if "streamlit run app.py -- " in command]
MODULES = [found for command in COMMANDS for found in re.findall(r"python -m (\S+)(.*)", command)]
SNIPPETS = blocks("python")
YAML_FILES = sorted((ROOT / "docs").glob("*.yaml"))
CLUSTER = Settings(engine=EngineKind.KUBERNETES, ingress_host="my.example.com")


def test_the_readme_is_a_front_page() -> None:
    """The rest is in docs/."""
    assert len(README.splitlines()) <= README_LINES


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_every_flag_has_a_row_with_its_variable_and_default(flag: Flag) -> None:
    """The reference agrees with --help."""
    assert f"| `--{flag.name}` | `{flag.variable}` | {flag.default} |" in REFERENCE


def test_the_reference_has_no_row_for_a_flag_that_does_not_exist() -> None:
    """One row for each flag."""
    assert len(re.findall(r"^\| `--[a-z-]+` \| `MNIST_DASH_", REFERENCE, re.MULTILINE)) == len(FLAGS)


@pytest.mark.parametrize("arguments", STARTS)
def test_every_command_that_starts_the_dashboard_is_valid(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its flags exist, and their values are valid together."""
    monkeypatch.chdir(tmp_path)
    if arguments != "--help":
        Settings.from_env(shlex.split(arguments), {})


def test_flags_that_are_to_be_added_to_a_command_are_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the values that the text shows."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").touch()
    shown = ("--scheme https", "--ca-file ca.pem", "--ingress-address 203.0.113.7:80")
    assert all(f"`{flag}`" in EVERYTHING for flag in shown)
    Settings.from_env(["--ingress-host", "my.example.com", *" ".join(shown).split()], {})


@pytest.mark.parametrize(("module", "arguments"), sorted(set(MODULES)))
def test_every_module_that_is_run_exists_with_its_flags(module: str, arguments: str) -> None:
    """The flags are looked up in its source, because starting each of them would take long."""
    spec = find_spec(module)
    assert spec
    assert spec.origin
    home = Path(spec.origin)
    sources = home.parent.rglob("*.py") if home.name in ("__init__.py", "__main__.py") else [home]
    text = "".join(path.read_text() for path in sources)
    assert all(f'"{flag}"' in text for flag in re.findall(r"--[a-z-]+", arguments))


@pytest.mark.parametrize("extra", sorted(set(re.findall(r"'\.\[(\w+)\]'", EVERYTHING))))
def test_every_extra_that_is_installed_exists(extra: str) -> None:
    """As pyproject.toml names it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert extra in project["optional-dependencies"]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_every_python_snippet_calls_what_exists(snippet: str) -> None:
    """Imported names exist, and so do the methods of `dash` with the keywords that are given."""
    tree = ast.parse(snippet)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = __import__(str(node.module), fromlist=["names"])
            assert all(hasattr(module, alias.name) for alias in node.names)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = ast.unparse(node.func)
            if name.startswith("dash."):
                method = getattr(mnist_dash.Dashboard, node.func.attr)
                keywords = {keyword.arg for keyword in node.keywords}
                assert keywords <= inspect.signature(method).parameters.keys()


def public_members(kind: type) -> list[str]:
    """The methods and properties of a class that users may call."""
    return [name for name in vars(kind) if not name.startswith("_")]


@pytest.mark.parametrize("name", [*mnist_dash.__all__, *public_members(mnist_dash.Dashboard)])
def test_every_public_name_is_in_the_reference(name: str) -> None:
    """Each has a row that says what it is; `MnistDashError` is the base of the errors' table."""
    assert f"| `{name}` |" in REFERENCE or name == "MnistDashError"


def test_the_reference_names_nothing_that_does_not_exist() -> None:
    """Its tables of names hold public names only."""
    api = REFERENCE.partition("## Python API")[2].partition("## REST API")[0]
    known = {*mnist_dash.__all__, *public_members(mnist_dash.Dashboard), "name"}
    assert set(re.findall(r"^\| `(\w+)` \|", api, re.MULTILINE)) <= known
    assert "`MnistDashError`" in api


@pytest.mark.parametrize("header", [domain.ROUTE_HEADER, domain.SERVED_BY_HEADER, domain.VERSION_HEADER])
def test_every_header_is_in_the_reference(header: str) -> None:
    """Clients of the gateway set or read them."""
    assert f"| `{header}" in REFERENCE


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """And the other command of the README starts the dashboard."""
    assert f"\n{INSTALL}. && .venv/bin/streamlit run app.py\n" in README
    command = f"\n{INSTALL}'.[test]' && .venv/bin/pytest\n"
    assert command in README
    assert command in (ROOT / ".ci" / "run").read_text()


def test_every_public_name_can_be_imported_and_no_other() -> None:
    """Names are resolved on first access."""
    assert all(getattr(mnist_dash, name) for name in mnist_dash.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mnist_dash.nonsense


def test_every_label_of_the_page_that_is_named_exists() -> None:
    """Buttons and tabs in the steps to try and in the troubleshooting."""
    steps = README.partition("## Try")[2].partition("| term |")[0]
    cluster = TEXTS[ROOT / "docs" / "cluster.md"]
    help_texts = cluster.partition("## Troubleshooting")[2].partition("## Operation")[0]
    labels = re.findall(r"\*\*([^*]+)\*\*", steps + help_texts)
    sources = [ROOT / "app.py", *(ROOT / "mnist_dash" / "panels").glob("*.py")]
    page = "".join(path.read_text() for path in sources)
    assert len(labels) > 8
    assert [label for label in labels if f'"{label}' not in page] == []


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(path: Path) -> set[str]:
    """The anchors of a page; lines of code are not headings."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE)}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_resolves(path: Path) -> None:
    """To a file, and to a heading of it if it names one. Pictures are links too."""
    for link in re.findall(r"\]\(([^)]+)\)", TEXTS[path]):
        if link.startswith("http"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_file_that_is_named_exists() -> None:
    """In a command or in the text."""
    named = set(re.findall(r"(?<![\w/])(?:docs|benchmarks|tests|mnist_dash)/[\w./-]*\w", EVERYTHING))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    """Otherwise nobody finds it."""
    names = [str(path.relative_to(ROOT)) for path in PAGES if path.name != "README.md"]
    assert [name for name in names if f"]({name})" not in README] == []


def modules_in_contributing() -> list[str]:
    """The modules in the source tree of CONTRIBUTING.md, in its order."""
    (tree,) = blocks("text", CONTRIBUTING)
    folders: list[str] = []
    modules = []
    for line in tree.splitlines():
        name = line.split()[0]
        del folders[(len(line) - len(line.lstrip())) // 2 :]
        if name.endswith("/"):
            folders.append(name)
        else:
            modules.append(module_name(ROOT.joinpath(*folders, name)))
    return modules


def test_contributing_names_every_module_and_no_other() -> None:
    """The source tree is complete."""
    files = {name for name, path in SOURCES.items() if path.name != "__init__.py"}
    assert sorted(modules_in_contributing()) == sorted(files)


def test_contributing_lists_each_module_below_its_imports() -> None:
    """So that the tree can be read from top to bottom."""
    order = {name: line for line, name in enumerate(modules_in_contributing())}
    upward = [
        f"{name} imports {imported}"
        for name in order
        for imported in imports(SOURCES[name])
        if order.get(imported, 0) > order[name]
    ]
    assert upward == []


def test_the_code_has_a_licence_and_the_data_states_its_own() -> None:
    """MIT for the code; MNIST comes with its source and licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    data = TEXTS[ROOT / "mnist_dash" / "data" / "README.md"]
    assert all(word in data for word in ("**Source.**", "**Licence.**", "Yann LeCun"))


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_every_yaml_file_holds_objects_and_is_applied(path: Path) -> None:
    """By a `kubectl apply` of the docs."""
    assert all({"apiVersion", "kind", "metadata"} <= set(document) for document in _objects(path))
    assert f"-f docs/{path.name}" in EVERYTHING


def test_the_command_that_removes_everything_selects_the_dashboards_objects() -> None:
    """By the label that all of them carry."""
    assert EVERYTHING.count(f"--namespace {CLUSTER.namespace} -l {resources.SELECTOR}\n") == 3


def test_the_ingress_class_is_the_default_one() -> None:
    """So that no flag is needed."""
    (ingress_class,) = _objects(ROOT / "docs" / "ingress-class.yaml")
    assert ingress_class["metadata"]["name"] == CLUSTER.ingress_class


def test_the_gateway_for_gke_fits_the_command_and_the_services() -> None:
    """Its name is the flag's, and the health checks of both Services ask for a loaded model."""
    gateway, *policies = _objects(ROOT / "docs" / "gke-gateway.yaml")
    name = f"{gateway['metadata']['namespace']}/{gateway['metadata']['name']}"
    assert any(f"--gateway {name}" in start for start in STARTS)
    assert [policy["spec"]["targetRef"]["name"] for policy in policies] == [
        service_name(role) for role in Role
    ]
    checks = [policy["spec"]["default"]["config"]["httpHealthCheck"] for policy in policies]
    assert {(check["port"], check["requestPath"]) for check in checks} == {(resources.REST_PORT, READY_PATH)}
    assert {document["metadata"]["namespace"] for document in (gateway, *policies)} == {CLUSTER.namespace}


def test_the_role_allows_what_the_engine_does_and_nothing_else() -> None:
    """Every kind that the engine reads, applies or deletes, with the verbs for it, on both routers."""
    assert _allowed(_rules()) == _needed()


def test_the_role_allows_reading_only_the_dashboards_secret() -> None:
    """Kubernetes cannot limit `create` to a name."""
    secrets = [rule for rule in _rules() if rule["resources"] == [resources.SECRET.plural]]
    named = [rule.get("resourceNames") for rule in secrets if "get" in rule["verbs"]]
    assert named == [[resources.SECRET_NAME]]
    assert [rule["verbs"] for rule in secrets if "resourceNames" not in rule] == [["create"]]


Rights = dict[tuple[str, str], set[str]]
"""The verbs for each resource, by its API group and plural name."""


class _Recorder:
    """Records what is read from an API with one Pod, which is not ready and has a log."""

    def __init__(self) -> None:
        self.rights: Rights = defaultdict(set)

    def list(self, kind: Kind, **_: str) -> list[Object]:
        self.rights[kind.group, kind.plural].add("list")
        container: Object = {"name": resources.CONTAINER, "state": {"running": {}}}
        status = {"containerStatuses": [container]}
        pod = {"kind": "Pod", "metadata": {"name": "pod"}, "spec": {}, "status": status}
        return [pod] if kind is resources.POD else []

    def logs(self, _pod: str, **_: Any) -> str:
        self.rights[resources.POD.group, f"{resources.POD.plural}/log"].add("get")
        return ""


def _needed() -> Rights:
    """The rights for polling, deploying with a key and removing."""
    recorder = _Recorder()
    for settings in (
        CLUSTER,
        Settings(EngineKind.KUBERNETES, "my.example.com", router=RouterKind.GATEWAY, gateway="mnist/web"),
    ):
        routes = routes_for(settings)
        poll(cast(KubernetesClient, recorder), routes, details=True)
        site = Site(settings.namespace, settings.image, routes, key=b"{}")
        deploy = domain.Deploy(Role.NEW, domain.ModelCheck("gs://b/m", 1, (28, 28, 1), 0.9), 1)
        for operation in (
            operation
            for change in (deploy, Remove(Role.NEW))
            for operation in operations_for(change, Observation(), site, "ann")
        ):
            kind = operation.kind
            # An object that is not listed is read first; server-side apply creates a missing one.
            verbs = {"get", "create", "patch"} if operation.manifest else {"delete"}
            recorder.rights[kind.group, kind.plural] |= verbs
    assert {"ingresses", "httproutes"} <= {plural for _, plural in recorder.rights}
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
