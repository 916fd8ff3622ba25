"""The connection to a cluster: what is read, and every way to fail in words."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from mnist_dash.cluster import exec_plugin as plugin_module
from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.cluster.resources import NAMESPACE
from mnist_dash.errors import EngineError
from mnist_dash.settings import Settings
from tests.cluster.bed.certificates import Authority
from tests.processes.cluster.fake_api_server import REVIEW, FakeApiServer, FakeResponse, failure_status

EXEC_API = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, outside of any cluster."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the server's certificate."""
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture
def server(authority: Authority) -> Iterator[FakeApiServer]:
    """An API server with TLS on 127.0.0.1."""
    server = FakeApiServer(authority.issue("server", "127.0.0.1").context())
    yield server
    server.stop()


@pytest.fixture
def plain() -> Iterator[FakeApiServer]:
    """One without."""
    server = FakeApiServer()
    yield server
    server.stop()


def config(
    server: str,
    cluster: dict[str, Any] | None = None,
    *,
    user: dict[str, Any] | None = None,
    name: str = "dev",
) -> dict[str, Any]:
    """A kubeconfig with one of each."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [{"name": f"{name}-cluster", "cluster": {"server": server, **(cluster or {})}}],
        "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": f"{name}-user"}}],
        "users": [{"name": f"{name}-user", "user": {"token": "t-1"} if user is None else user}],
    }


def write(path: Path, content: Any) -> Path:
    """A file with YAML, or with a text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def script(path: Path, text: str) -> str:
    """A program of the shell."""
    write(path, f"#!/bin/sh\n{text}\n").chmod(0o755)
    return str(path)


def plugged(server: str, command: str, **settings: Any) -> dict[str, Any]:
    """A kubeconfig whose user logs in with a program."""
    return config(server, user={"exec": {"command": command, "apiVersion": EXEC_API, **settings}})


def printing(**answer: Any) -> str:
    """Of a plug-in: prints what it gives."""
    text = json.dumps({"apiVersion": EXEC_API, "kind": "ExecCredential", "status": answer})
    return f"cat <<'END'\n{text}\nEND"


def failure(path: Path | str, **settings: Any) -> EngineError:
    """What connecting says."""
    with pytest.raises(EngineError) as caught:
        connect(Settings(kubeconfig=str(path), **settings))
    return caught.value


def test_a_kubeconfig_connects_over_tls_with_its_token(
    server: FakeApiServer, authority: Authority, tmp_path: Path
) -> None:
    """And asks at once who we are."""
    path = write(tmp_path / "config", config(server.url, {"certificate-authority": str(authority.file)}))
    api = connect(Settings(kubeconfig=str(path), namespace="demo"))
    assert (api.user, api.namespace, api.server) == ("alice", "demo", server.url)
    api.close()
    (asked,) = server.received
    assert asked.path == REVIEW
    assert asked.headers["authorization"] == "Bearer t-1"
    assert asked.headers["user-agent"] == "mnist-dash"


def test_the_default_file_is_found_and_relative_paths_are_seen_from_it(
    server: FakeApiServer, authority: Authority, home: Path
) -> None:
    """As kubectl does."""
    write(home / ".kube" / "ca.crt", authority.file.read_text())
    write(home / ".kube" / "config", config(server.url, {"certificate-authority": "ca.crt"}))
    connect(Settings()).close()


def test_several_files_are_merged_and_a_missing_one_is_passed_over(
    plain: FakeApiServer, tmp_path: Path
) -> None:
    """As KUBECONFIG may name them."""
    one = write(tmp_path / "one", config("https://192.0.2.1"))
    two = write(tmp_path / "two", config(plain.url, name="two", user={"token": "t-2"}))
    files = os.pathsep.join([str(one), str(tmp_path / "none"), str(two)])
    connect(Settings(kubeconfig=files, context="two")).close()
    assert plain.received[0].headers["authorization"] == "Bearer t-2"


def test_a_pod_of_the_cluster_connects_with_its_account(
    server: FakeApiServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any kubeconfig."""
    server.respond("POST", REVIEW, failure_status(404, "not found"))
    monkeypatch.setattr(
        incluster_config, "SERVICE_TOKEN_FILENAME", str(write(tmp_path / "token", "pod-token"))
    )
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority.file))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
    api = connect(Settings())
    assert api.user == "the service account of this Pod"
    api.close()
    assert server.received[0].headers["authorization"].lower() == "bearer pod-token"


def test_a_pod_without_a_token_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can be switched off."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    with pytest.raises(
        EngineError, match=r"The service account of this Pod cannot be used: .*automountService"
    ):
        connect(Settings())


def test_no_kubeconfig_at_all_is_told_with_where_it_was_looked_for() -> None:
    """And that this is no Pod."""
    with pytest.raises(EngineError) as caught:
        connect(Settings())
    assert str(caught.value) == (
        "There is no kubeconfig: none was given, ~/.kube/config is not there, and this does not run in a Pod "
        "of a cluster. Give one with --kubeconfig, or fetch it "
        "(on GKE: gcloud container clusters get-credentials CLUSTER --location LOCATION)."
    )


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    """Each of them."""
    one, two = tmp_path / "one", tmp_path / "two"
    assert failure(one).problem == f"There is no kubeconfig {one}."
    assert failure(f"{one}{os.pathsep}{two}").problem == f"There is no kubeconfig {one} or {two}."


def test_a_context_without_a_kubeconfig_is_told() -> None:
    """The account of a Pod has none."""
    assert failure("", context="prod").problem == "There is no kubeconfig for the context prod."


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("clusters:\n- name: a\n  cluster: {server: x\nusers: []\n", "is not YAML: .* in line 4."),
        ("\tclusters: 1", "is not YAML: .* in line 1."),
        ("", "is empty."),
        ("just words", "is no kubeconfig: it has no clusters, contexts and users."),
        ('{"type": "service_account"}', "is no kubeconfig: it has no clusters, contexts and users."),
        ("clusters: [{server: x}]", "is damaged: not each of its clusters has its name and content."),
        ("users: 3", "is damaged: its users are no list."),
        ("clusters: []", "does not say which context is the current one."),
        ("a: \x00", "is not a text file."),
    ],
)
def test_a_broken_kubeconfig_is_told_with_what_is_wrong_in_it(
    tmp_path: Path, content: str, problem: str
) -> None:
    """By name, and by line if it is not YAML."""
    path = write(tmp_path / "config", content)
    error = failure(path)
    assert re.fullmatch(f".*{path} {problem}", error.problem)
    assert error.next_step


def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    """But may hold one."""
    assert failure(tmp_path).problem == f"The kubeconfig {tmp_path} is a folder."


def test_an_unknown_context_is_told_with_those_there_are(tmp_path: Path) -> None:
    """To choose from."""
    one = write(tmp_path / "one", config("https://192.0.2.1", name="dev"))
    two = write(tmp_path / "two", config("https://192.0.2.1", name="prod"))
    error = failure(f"{one}{os.pathsep}{two}", context="pord")
    assert error.problem.endswith("has no context pord.")
    assert error.next_step == "Its contexts: dev, prod."


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clusters": []}, "has no cluster dev-cluster for the context dev."),
        ({"users": []}, "has no user dev-user for the context dev."),
        ({"contexts": [{"name": "dev", "context": {}}]}, "names no cluster for the context dev."),
        (
            {"clusters": [{"name": "dev-cluster", "cluster": {}}]},
            "has no address (server: https://...) for the cluster dev-cluster.",
        ),
        (
            {"users": [{"name": "dev-user", "user": {"auth-provider": {"name": "gcp"}}}]},
            "logs in with the auth-provider gcp, which Kubernetes no longer has.",
        ),
        (
            {"users": [{"name": "dev-user", "user": {"token": "t", "as": "boss"}}]},
            "lets dev-user act as another user, which is not supported.",
        ),
        (
            {"users": [{"name": "dev-user", "user": {"exec": {"command": "x"}}}]},
            "has a damaged log-in plug-in for dev-user: exec: malformed request. missing key 'apiVersion'.",
        ),
    ],
)
def test_a_context_that_lacks_a_part_is_told_with_which(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    """Cluster, user, address."""
    path = write(tmp_path / "config", config("https://192.0.2.1") | change)
    assert failure(path).problem == f"The kubeconfig {path} {problem}"


@pytest.mark.parametrize(
    ("cluster", "user", "problem"),
    [
        ({"certificate-authority": "none.crt"}, {}, "cannot be used: File does not exist: .*/none.crt."),
        ({"certificate-authority-data": "a"}, {}, "cannot be used: .*base64.*"),
        ({}, {"tokenFile": "none"}, "cannot be used: .*No such file.*"),
    ],
)
def test_a_file_that_a_kubeconfig_names_in_vain_is_told(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], problem: str
) -> None:
    """Which one."""
    path = write(tmp_path / "config", config("https://192.0.2.1", cluster, user=user))
    assert re.fullmatch(f"The kubeconfig {path} {problem}", failure(path).problem)


def test_an_authority_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    """Before anything is sent."""
    write(tmp_path / "ca.crt", "no PEM")
    path = write(tmp_path / "config", config("https://192.0.2.1", {"certificate-authority": "ca.crt"}))
    problem = "The certificate-authority in the kubeconfig cannot be read: it is not in PEM form, or damaged."
    assert failure(path).problem == problem


def test_a_client_certificate_and_key_that_do_not_fit_are_told(tmp_path: Path, authority: Authority) -> None:
    """Before anything is sent."""
    one, two = authority.issue("one", "one"), authority.issue("two", "two")
    user = {"client-certificate": str(one.certificate), "client-key": str(two.key)}
    path = write(tmp_path / "config", config("https://192.0.2.1", user=user))
    problem = "The client-certificate and client-key in the kubeconfig cannot be used"
    assert failure(path).problem.startswith(problem)


def test_a_plug_in_gives_the_token(plain: FakeApiServer, tmp_path: Path) -> None:
    """It is found beside the kubeconfig, and gets its arguments and variables."""
    told = tmp_path / "told"
    script(tmp_path / "plugin", f'echo "$1 $EXTRA $KUBERNETES_EXEC_INFO" > {told}\n' + printing(token="t-9"))
    env = [{"name": "EXTRA", "value": "more"}]
    content = plugged(plain.url, "./plugin", args=["get"], env=env, provideClusterInfo=True)
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert plain.received[0].headers["authorization"] == "Bearer t-9"
    words = told.read_text().split(maxsplit=2)
    assert words[:2] == ["get", "more"]
    spec = {"interactive": False, "cluster": {"server": plain.url}}
    assert json.loads(words[2]) == {"apiVersion": EXEC_API, "kind": "ExecCredential", "spec": spec}


def test_a_plug_in_runs_again_when_its_token_expires(plain: FakeApiServer, tmp_path: Path) -> None:
    """Not for each request."""
    runs = tmp_path / "runs"
    lasting, short = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    for expires, expected in ((lasting, 1), (short, 4)):
        runs.write_text("")
        command = script(
            tmp_path / "plugin", f"echo x >> {runs}\n" + printing(token="t", expirationTimestamp=expires)
        )
        api = connect(Settings(kubeconfig=str(write(tmp_path / "config", plugged(plain.url, command)))))
        plain.respond("GET", "/api/v1/namespaces/mnist", FakeResponse(200, {}))
        api.get(NAMESPACE, "mnist")
        api.get(NAMESPACE, "mnist")
        api.close()
        assert runs.read_text().count("x") == expected


def test_a_plug_in_may_give_a_client_certificate(
    authority: Authority, server: FakeApiServer, tmp_path: Path
) -> None:
    """Some do."""
    pair = authority.issue("client", "client")
    given = {
        "clientCertificateData": pair.certificate.read_text(),
        "clientKeyData": pair.key.read_text(),
    }
    command = script(tmp_path / "plugin", printing(**given))
    content = plugged(server.url, command)
    content["clusters"][0]["cluster"]["certificate-authority"] = str(authority.file)
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert "authorization" not in server.received[0].headers


@pytest.mark.parametrize(
    ("command", "hint", "step"),
    [
        (
            "gke-gcloud-auth-plugin",
            "Follow https://cloud.example.com",
            "Install it: gcloud components install gke-gcloud-auth-plugin.",
        ),
        ("my-login", "Ask   the\nhelp desk", "Ask the help desk."),
        ("my-login", "", "Install it, or make sure that it lies on the PATH."),
    ],
)
def test_a_missing_plug_in_is_named_with_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, hint: str, step: str
) -> None:
    """Ours, or what the kubeconfig says."""
    monkeypatch.setenv("PATH", str(tmp_path))
    error = failure(write(tmp_path / "config", plugged("https://192.0.2.1", command, installHint=hint)))
    assert error.problem == f"The kubeconfig logs in with the plug-in {command}, which is not installed."
    assert error.next_step == step


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "echo one >&2; echo >&2; echo 'ERROR: (gcloud) Reauthentication failed.' >&2; exit 3",
            "failed with status 3: one ERROR: (gcloud) Reauthentication failed.",
        ),
        ("exit 1", "failed with status 1: it said nothing."),
        ("echo hello", "is of no use: what it prints is no ExecCredential."),
        (printing(), "is of no use: it gives neither a token nor a client certificate with its key."),
        (
            printing(token="t").replace("/v1", "/v1beta1"),
            "is of no use: it answers in client.authentication.k8s.io/v1beta1, not in "
            "client.authentication.k8s.io/v1 as the kubeconfig has it.",
        ),
    ],
)
def test_a_plug_in_that_fails_is_told_in_its_last_words(tmp_path: Path, text: str, problem: str) -> None:
    """Or by what is wrong with what it gives."""
    command = script(tmp_path / "gke-gcloud-auth-plugin", text)
    error = failure(write(tmp_path / "config", plugged("https://192.0.2.1", command)))
    assert error.problem == f"The log-in plug-in gke-gcloud-auth-plugin {problem}"
    assert error.next_step in ("Log in again: gcloud auth login.", "Update it.")


def test_a_plug_in_that_does_not_end_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may want to ask something."""
    monkeypatch.setattr(plugin_module, "SECONDS", 0.1)
    command = script(tmp_path / "login", "exec sleep 60")
    error = failure(write(tmp_path / "config", plugged("https://192.0.2.1", command)))
    assert error.problem == "The log-in plug-in login did not end within 0.1 seconds."


def test_a_file_that_is_no_program_is_told(tmp_path: Path) -> None:
    """It has the right to run, and cannot."""
    path = write(tmp_path / "login", "\x00\x01")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    error = failure(write(tmp_path / "config", plugged("https://192.0.2.1", str(path))))
    assert error.problem == "The log-in plug-in login cannot be run: Exec format error."


def test_credentials_that_are_not_accepted_show_at_once(plain: FakeApiServer, tmp_path: Path) -> None:
    """Not at the first deploy."""
    plain.respond("POST", REVIEW, failure_status(401, "Unauthorized"))
    error = failure(write(tmp_path / "config", config(plain.url)))
    assert error.problem.endswith("does not accept the credentials of dev-user (401).")


def test_a_certificate_that_does_not_verify_is_reported(
    server: FakeApiServer, authority: Authority, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The kubeconfig is of another cluster, or the way leads through a tunnel."""
    other = Authority(tmp_path_factory.mktemp("other") / "ca")
    error = failure(write(tmp_path / "a", config(server.url, {"certificate-authority": str(other.file)})))
    assert f"The cluster at {server.url} cannot be reached: its certificate is not trusted" in error.problem
    assert error.next_step.startswith("Fetch the kubeconfig again")
    tunnel = {"certificate-authority": str(authority.file), "tls-server-name": "kubernetes"}
    error = failure(write(tmp_path / "b", config(server.url, tunnel)))
    assert "Hostname mismatch" in error.problem
    assert "tls-server-name" in error.next_step


def test_a_server_without_tls_is_reported(plain: FakeApiServer, tmp_path: Path) -> None:
    """Its address in the kubeconfig starts with https."""
    url = plain.url.replace("http:", "https:")
    assert "it does not speak TLS" in failure(write(tmp_path / "config", config(url))).problem


def test_a_certificate_that_is_not_to_be_verified_is_not(server: FakeApiServer, tmp_path: Path) -> None:
    """Without a warning for each request."""
    content = config(server.url, {"insecure-skip-tls-verify": True})
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()


def test_an_absent_server_is_reported(tmp_path: Path, unused_port: int) -> None:
    """A port without a listener, and a name without an address."""
    url = f"https://127.0.0.1:{unused_port}"
    error = failure(write(tmp_path / "config", config(url)))
    assert error.problem == f"The cluster at {url} cannot be reached: Connection refused."
    assert error.next_step.startswith("Check that the cluster runs")
    error = failure(write(tmp_path / "other", config("https://nowhere.invalid")))
    assert error.problem.endswith("its name cannot be resolved.")
