"""Connecting to a cluster: kubeconfig files, the account of a Pod, and real TLS."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.config import incluster_config

from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.settings import Settings
from tests.cluster.bed.certificates import Authority
from tests.processes.cluster.fake_api_server import REVIEW, FakeApiServer, failure_status
from tests.processes.cluster.kubeconfigs import (
    EXEC_API,
    UNVERIFIED,
    config,
    connect_error,
    printing,
    script,
    write,
)


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


def test_several_files_are_merged_and_the_first_wins(server: FakeApiServer, tmp_path: Path) -> None:
    """As in KUBECONFIG; a missing or empty file is skipped."""
    empty = write(tmp_path / "empty", "")
    first = write(tmp_path / "first", config(server.url, UNVERIFIED, user={"token": "t-2"}, name="two"))
    second = config("https://192.0.2.1")
    second["clusters"] += config("https://192.0.2.1", name="two")["clusters"]
    files = [empty, tmp_path / "none", first, write(tmp_path / "second", second)]
    connect(Settings(kubeconfig=os.pathsep.join(map(str, files)))).close()
    assert server.received[0].headers["authorization"] == "Bearer t-2"


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-8-sig"),
        lambda text: f"{text}---\n{text}".encode(),
        lambda text: text.replace("https:", "HTTPS:").encode(),
        lambda text: text.replace("https://", "").encode(),
        lambda text: text.replace("https://", "https://me:hidden@").encode(),
        lambda text: text.replace("token: t-1", 'token: ""\n    token: "t-1\\n"').encode(),
        lambda text: text.replace("dev", "7").encode(),
        lambda text: (text + "- name: other\n-\n").encode(),
    ],
    ids=["UTF-16", "BOM", "documents", "capitals", "no scheme", "password", "line end", "numbers", "empty"],
)
def test_a_kubeconfig_that_kubectl_takes_connects(
    server: FakeApiServer, tmp_path: Path, encode: Callable[[str], bytes]
) -> None:
    """As PowerShell, people and scripts write it."""
    path = tmp_path / "config"
    path.write_bytes(encode(yaml.safe_dump(config(server.url, UNVERIFIED))))
    api = connect(Settings(kubeconfig=str(path)))
    assert (api.user, api.server) == ("alice", server.url)
    api.close()
    assert server.received[0].headers["authorization"] == "Bearer t-1"


def test_a_token_file_is_read_again_and_wins(server: FakeApiServer, tmp_path: Path) -> None:
    """It is beside the kubeconfig, ends in a line end, and is replaced before its token expires."""
    token = write(tmp_path / "token", "t-8\n")
    user = {"token": "stale", "tokenFile": "token"}
    path = write(tmp_path / "config", config(server.url, UNVERIFIED, user=user))
    api = connect(Settings(kubeconfig=str(path)))
    write(token, "t-9\n")
    api.who_am_i()
    token.unlink()
    api.who_am_i()
    api.close()
    sent = [request.headers["authorization"] for request in server.received]
    assert sent == ["Bearer t-8", "Bearer t-9", "Bearer t-9"]


@pytest.mark.parametrize("token", ["hidden\nX-Header: 1", "hidden\u20ac"])
@pytest.mark.parametrize("key", ["token", "tokenFile", "exec"])
def test_a_token_that_is_no_header_value_is_never_shown(
    server: FakeApiServer, tmp_path: Path, key: str, token: str
) -> None:
    """The libraries quote it in their errors."""
    file = write(tmp_path / "token", token)
    command = script(tmp_path / "plugin", printing(token=token))
    values = {"token": token, "tokenFile": str(file), "exec": {"command": command, "apiVersion": EXEC_API}}
    content = config(server.url, UNVERIFIED, user={key: values[key]})
    error = connect_error(write(tmp_path / "config", content))
    assert error.problem == "The token of dev-user is missing or has invalid characters."
    assert error.__suppress_context__
    assert not server.received


@pytest.mark.parametrize(
    "user",
    [None, {"token": "hidden"}, {"exec": {"command": "none", "apiVersion": EXEC_API}}],
    ids=["no content", "token", "plug-in"],
)
def test_no_credentials_are_sent_without_tls(
    plain: FakeApiServer, tmp_path: Path, user: dict[str, Any] | None
) -> None:
    """As for kubectl, and as for a user without content."""
    content = config(plain.url)
    content["users"] = [{"name": "dev-user", "user": user}]
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert "authorization" not in plain.received[0].headers


def test_a_user_without_content_has_no_credentials(server: FakeApiServer, tmp_path: Path) -> None:
    """Of which the cluster decides."""
    content = config(server.url, UNVERIFIED) | {"users": [{"name": "dev-user"}]}
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert "authorization" not in server.received[0].headers


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
    write(token, "pod-token\n")
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
        ("users: [{user: {password: *hidden}}]", r"not YAML \(found undefined alias \.\.\. in line 1"),
        ("users: [{user: {password: !hidden x}}]", "not YAML .* for the tag"),
        ("", "names no current context"),
        ("just words", "structure of a kubeconfig"),
        ("users: {token: hidden}", "structure of a kubeconfig"),
        ("users: [hidden]", "structure of a kubeconfig"),
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


def cluster(**content: Any) -> dict[str, Any]:
    """The part of a kubeconfig with this cluster."""
    return {"clusters": [{"name": "dev-cluster", "cluster": {"server": "https://192.0.2.1", **content}}]}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"clusters": []}, "it lacks the cluster dev-cluster"),
        ({"users": []}, "it lacks the user dev-user"),
        ({"contexts": [{"name": "dev"}]}, "it lacks the cluster."),
        ({"clusters": [{"name": "dev-cluster"}]}, "its cluster has no server"),
        (cluster(server="https://hidden@127.0.0.1:x"), "an address in it is not a URL"),
        (cluster(server="ftp://127.0.0.1"), "not an address with http:// or https://"),
        (cluster(server=["https://127.0.0.1"]), "an address in it is not a URL"),
        (cluster(**{"proxy-url": "hidden:1"}), "its proxy-url does not start with http://"),
        (cluster(**{"certificate-authority-data": "hidden"}), "a certificate or key in it is not base64"),
        (user(exec="hidden"), "structure of a kubeconfig"),
        (user(exec={"command": "x", "apiVersion": "v1", "args": "hidden"}), "args or env .* is not a list"),
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
