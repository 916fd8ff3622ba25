"""Programs that log in for a kubeconfig."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mnist_dash.cluster import exec_plugin
from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.cluster.resources import NAMESPACE
from mnist_dash.settings import Settings
from tests.cluster.bed.certificates import Authority
from tests.processes.cluster.fake_api_server import FakeApiServer, FakeResponse
from tests.processes.cluster.kubeconfigs import (
    EXEC_API,
    UNVERIFIED,
    connect_error,
    plugged,
    printing,
    script,
    write,
)


def test_a_plug_in_gives_the_token(server: FakeApiServer, tmp_path: Path) -> None:
    """It is found beside the kubeconfig, and gets its arguments and variables."""
    output = tmp_path / "output"
    script(
        tmp_path / "plugin",
        f'echo "$1$2$3 $EXTRA${{EMPTY?}} $KUBERNETES_EXEC_INFO" > {output}\n' + printing(token="t-9"),
    )
    env = [{"name": "EXTRA", "value": "more"}, {"name": "EMPTY", "value": ""}]
    content = plugged(server.url, "./plugin", args=["get", 7, True], env=env, provideClusterInfo=True)
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}
    content["clusters"][0]["cluster"]["extensions"] = [extension]
    connect(Settings(kubeconfig=str(write(tmp_path / "config", content)))).close()
    assert server.received[0].headers["authorization"] == "Bearer t-9"
    argument, variable, info = output.read_text().split(maxsplit=2)
    assert (argument, variable) == ("get7true", "more")
    spec = {"interactive": False, "cluster": {"server": server.url, **UNVERIFIED, "config": {"a": 1}}}
    assert json.loads(info) == {"apiVersion": EXEC_API, "kind": "ExecCredential", "spec": spec}


@pytest.mark.parametrize(("expires", "expected"), [("2999-01-01T00:00:00Z", 1), ("2020-01-01T00:00:00Z", 3)])
def test_a_plug_in_runs_again_when_its_token_expires(
    server: FakeApiServer, tmp_path: Path, expires: str, expected: int
) -> None:
    """Not for each request."""
    runs = tmp_path / "runs"
    text = f"echo x >> {runs}\n" + printing(token="t", expirationTimestamp=expires)
    content = plugged(server.url, script(tmp_path / "plugin", text))
    api = connect(Settings(kubeconfig=str(write(tmp_path / "config", content))))
    server.respond("GET", "/api/v1/namespaces/mnist", FakeResponse(200, {}))
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
        (
            f"(echo DEBUG: {'x' * 300}; echo ERROR: No account.; seq 1000 1200) >&2; exit 1",
            "failed with status 1: ERROR: No account. 1000 1001 ",
        ),
        ("seq 1000 1200 >&2; exit 1", "failed with status 1: 1121 1122 "),
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
