"""Connecting to a cluster: kubeconfig files, exec plug-ins, the account of a Pod, and real TLS."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from mnist_dash.cluster import exec_plugin
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
    """An API server without TLS."""
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


def connect_error(path: Path | str, **settings: Any) -> EngineError:
    """The error of connecting."""
    with pytest.raises(EngineError) as caught:
        connect(Settings(kubeconfig=str(path), **settings))
    return caught.value


def test_a_kubeconfig_connects_over_tls_with_its_token(
    server: FakeApiServer, authority: Authority, tmp_path: Path
) -> None:
    """The first request asks for the user's name."""
    path = write(tmp_path / "config", config(server.url, {"certificate-authority": str(authority.file)}))
    api = connect(Settings(kubeconfig=str(path), namespace="demo"))
    assert (api.user, api.namespace, api.server) == ("alice", "demo", server.url)
    api.close()
    (request,) = server.received
    assert request.path == REVIEW
    assert request.headers["authorization"] == "Bearer t-1"
    assert request.headers["user-agent"] == "mnist-dash"


def test_the_default_file_is_found_and_paths_are_relative_to_it(
    server: FakeApiServer, authority: Authority, home: Path
) -> None:
    """As for kubectl."""
    write(home / ".kube" / "ca.crt", authority.file.read_text())
    write(home / ".kube" / "config", config(server.url, {"certificate-authority": "ca.crt"}))
    connect(Settings()).close()


def test_several_files_are_merged_and_a_missing_file_is_skipped(plain: FakeApiServer, tmp_path: Path) -> None:
    """As in KUBECONFIG."""
    first = write(tmp_path / "first", config("https://192.0.2.1"))
    second = write(tmp_path / "second", config(plain.url, name="two", user={"token": "t-2"}))
    files = os.pathsep.join([str(first), str(tmp_path / "none"), str(second)])
    connect(Settings(kubeconfig=files, context="two")).close()
    assert plain.received[0].headers["authorization"] == "Bearer t-2"


def test_a_pod_of_the_cluster_connects_with_its_account(
    server: FakeApiServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without any kubeconfig; the token can be switched off."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority.file))
    token = tmp_path / "token"
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    assert "Service token file does not exist" in connect_error("").problem
    write(token, "pod-token")
    server.respond("POST", REVIEW, failure_status(404, "not found"))
    api = connect(Settings())
    assert api.user == "the service account of this Pod"
    api.close()
    assert server.received[0].headers["authorization"].lower() == "bearer pod-token"


def test_a_missing_kubeconfig_is_reported(tmp_path: Path) -> None:
    """With the paths, or with the default; a folder is none."""
    first, second = tmp_path / "first", tmp_path / "second"
    assert connect_error(first).problem == f"There is no kubeconfig {first}."
    paths = f"{first}{os.pathsep}{second}"
    assert connect_error(paths).problem == f"There is no kubeconfig {first} or {second}."
    error = connect_error("")
    assert error.problem.startswith("There is no kubeconfig ~/.kube/config, and no service account of a Pod")
    assert "gcloud container clusters get-credentials" in error.next_step
    assert connect_error("", context="prod").problem == "There is no kubeconfig for the context prod."
    assert f"Is a directory: {tmp_path}" in connect_error(tmp_path).problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("clusters:\n- name: a\n  cluster: {token: hidden\nusers: []\n", "not YAML .* in line 4"),
        ("", "structure of a kubeconfig"),
        ("just words", "structure of a kubeconfig"),
        ("users: [{token: hidden}, {name: b}]", "structure of a kubeconfig"),
        ('{"type": "service_account"}', "names no current context"),
        ("a: \x00", "content is damaged"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_reported(tmp_path: Path, content: str, problem: str) -> None:
    """By its path, without its content."""
    path = write(tmp_path / "config", content)
    error = connect_error(path)
    assert re.search(f"{path} .*{problem}", error.problem)
    assert "hidden" not in str(error)
    assert error.next_step


def test_an_unknown_context_is_reported_with_the_known_contexts(tmp_path: Path) -> None:
    """Of all files."""
    first = write(tmp_path / "first", config("https://192.0.2.1", name="dev"))
    second = write(tmp_path / "second", config("https://192.0.2.1", name="prod"))
    error = connect_error(f"{first}{os.pathsep}{second}", context="pord")
    assert error.problem.endswith("has no context pord.")
    assert error.next_step.endswith("--context: dev, prod.")


def user(**content: Any) -> dict[str, Any]:
    """The part of a kubeconfig with this user."""
    return {"users": [{"name": "dev-user", "user": content}]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clusters": []}, "Expected object with name dev-cluster in .*clusters list"),
        ({"users": []}, "Expected object with name dev-user in .*users list"),
        ({"users": [{"name": "dev-user", "token": "hidden"}]}, "Expected key user in users"),
        ({"contexts": [{"name": "dev", "context": {}}]}, "Expected key cluster in contexts"),
        (
            {"clusters": [{"name": "dev-cluster", "cluster": {"a": 1}}]},
            "Expected key server in clusters/cluster",
        ),
        (user(**{"auth-provider": {"name": "gcp"}}), "has removed its auth-provider gcp"),
        (user(**{"token": "hidden", "as": "boss"}), "impersonates another user, which is not supported"),
        (user(exec={"command": "x"}), "missing key 'apiVersion'"),
        (user(tokenFile="none"), "No such file or directory: .*/none"),
        (user(**{"client-certificate": "none.crt"}), "File does not exist: .*/none.crt"),
    ],
)
def test_a_context_that_lacks_a_part_is_reported(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    """Without the content of entries, which the library quotes."""
    path = write(tmp_path / "config", config("https://192.0.2.1") | change)
    error = connect_error(path)
    assert re.search(f"The kubeconfig {path} cannot be used: .*{problem}", error.problem)
    assert "hidden" not in str(error)


def test_damaged_certificates_are_reported_before_anything_is_sent(
    tmp_path: Path, authority: Authority
) -> None:
    """By the part of the kubeconfig that has them."""
    write(tmp_path / "ca.crt", "no PEM")
    path = write(tmp_path / "config", config("https://192.0.2.1", {"certificate-authority": "ca.crt"}))
    assert "The certificate-authority in the kubeconfig cannot be used" in connect_error(path).problem
    first, second = authority.issue("one", "one"), authority.issue("two", "two")
    pair = {"client-certificate": str(first.certificate), "client-key": str(second.key)}
    path = write(tmp_path / "config", config("https://192.0.2.1", user=pair))
    assert "The client-certificate or client-key in the kubeconfig" in connect_error(path).problem


def test_a_plug_in_gives_the_token(plain: FakeApiServer, tmp_path: Path) -> None:
    """It is found beside the kubeconfig, and gets its arguments and variables."""
    output = tmp_path / "output"
    script(
        tmp_path / "plugin", f'echo "$1 $EXTRA $KUBERNETES_EXEC_INFO" > {output}\n' + printing(token="t-9")
    )
    env = [{"name": "EXTRA", "value": "more"}]
    content = plugged(plain.url, "./plugin", args=["get"], env=env, provideClusterInfo=True)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}
    content["clusters"][0]["cluster"]["extensions"] = [extension]
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert plain.received[0].headers["authorization"] == "Bearer t-9"
    argument, variable, info = output.read_text().split(maxsplit=2)
    assert (argument, variable) == ("get", "more")
    spec = {"interactive": False, "cluster": {"server": plain.url, "config": {"a": 1}}}
    assert json.loads(info) == {"apiVersion": EXEC_API, "kind": "ExecCredential", "spec": spec}


@pytest.mark.parametrize(("expires", "expected"), [("2999-01-01T00:00:00Z", 1), ("2020-01-01T00:00:00Z", 3)])
def test_a_plug_in_runs_again_when_its_token_expires(
    plain: FakeApiServer, tmp_path: Path, expires: str, expected: int
) -> None:
    """Not for each request."""
    runs = tmp_path / "runs"
    text = f"echo x >> {runs}\n" + printing(token="t", expirationTimestamp=expires)
    content = plugged(plain.url, script(tmp_path / "plugin", text))
    api = connect(Settings(kubeconfig=str(write(tmp_path / "config", content))))
    plain.respond("GET", "/api/v1/namespaces/mnist", FakeResponse(200, {}))
    api.get(NAMESPACE, "mnist")
    api.close()
    assert runs.read_text().count("x") == expected


def test_a_plug_in_may_give_a_client_certificate(
    authority: Authority, server: FakeApiServer, tmp_path: Path
) -> None:
    """In place of a token."""
    pair = authority.issue("client", "client")
    status = {"clientCertificateData": pair.certificate.read_text(), "clientKeyData": pair.key.read_text()}
    content = plugged(server.url, script(tmp_path / "plugin", printing(**status)))
    content["clusters"][0]["cluster"]["certificate-authority"] = str(authority.file)
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert "authorization" not in server.received[0].headers


def test_a_missing_plug_in_is_reported_with_the_install_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the kubeconfig, which GKE's has."""
    monkeypatch.setenv("PATH", str(tmp_path))
    content = plugged("https://192.0.2.1", "my-login", installHint="Ask   the\nhelp desk.")
    error = connect_error(write(tmp_path / "config", content))
    assert str(error) == "The log-in plug-in my-login is not installed. Ask the help desk."


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("echo one >&2; echo >&2; echo Log in. >&2; exit 3", "failed with status 3: one Log in."),
        ("exit 1", "failed with status 1: no message."),
        ("echo hello", "printed no client.authentication.k8s.io/v1 ExecCredential"),
        (printing(), "printed no client.authentication.k8s.io/v1 ExecCredential"),
        (printing(token="t").replace("/v1", "/v1beta1"), "printed no client.authentication.k8s.io/v1 "),
        ("exec sleep 60", "did not end within 0.5 seconds."),
        (None, "cannot be run: Exec format error."),
    ],
)
def test_a_plug_in_that_fails_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, problem: str
) -> None:
    """In its own words, or by what is wrong with its output."""
    monkeypatch.setattr(exec_plugin, "SECONDS", 0.5)
    command = script(tmp_path / "login", text or "")
    if text is None:
        write(tmp_path / "login", "\x00\x01")
    content = plugged("https://192.0.2.1", command)
    error = connect_error(write(tmp_path / "config", content))
    assert error.problem.startswith(f"The log-in plug-in login {problem}")
    assert error.next_step


def test_rejected_credentials_are_reported_at_once(plain: FakeApiServer, tmp_path: Path) -> None:
    """Not at the first deploy."""
    plain.respond("POST", REVIEW, failure_status(401, "Unauthorized"))
    error = connect_error(write(tmp_path / "config", config(plain.url)))
    assert error.problem.endswith("does not accept the credentials of dev-user (401).")


def test_a_certificate_that_does_not_verify_is_reported(
    server: FakeApiServer, authority: Authority, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It is of another cluster, or for another host; verification can be switched off."""
    other = Authority(tmp_path_factory.mktemp("other") / "ca")
    path = tmp_path / "config"
    error = connect_error(write(path, config(server.url, {"certificate-authority": str(other.file)})))
    assert f"The cluster at {server.url} cannot be reached: its certificate is not trusted" in error.problem
    assert error.next_step.startswith("Fetch the kubeconfig again")
    tunnel = {"certificate-authority": str(authority.file), "tls-server-name": "kubernetes"}
    error = connect_error(write(path, config(server.url, tunnel)))
    assert "Hostname mismatch" in error.problem
    assert "tls-server-name" in error.next_step
    write(path, config(server.url, {"insecure-skip-tls-verify": True}))
    connect(Settings(kubeconfig=str(path))).close()


def test_an_unreachable_server_is_reported(plain: FakeApiServer, tmp_path: Path, unused_port: int) -> None:
    """It does not speak TLS, does not listen, or has no address."""
    path = tmp_path / "config"
    url = plain.url.replace("http:", "https:")
    assert "it does not speak TLS" in connect_error(write(path, config(url))).problem
    url = f"https://127.0.0.1:{unused_port}"
    error = connect_error(write(path, config(url)))
    assert error.problem == f"The cluster at {url} cannot be reached: Connection refused."
    error = connect_error(write(path, config("https://nowhere.invalid")))
    assert error.problem.endswith("its name cannot be resolved.")
