"""The REST client over real connections: address, host and certificate, and its errors."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mnist_dash.domain import Gateway, Route
from mnist_dash.errors import ServingError
from mnist_dash.serving.client import ServingClient
from tests.cluster.bed.certificates import Authority
from tests.fake_ingress import running

IMAGE = np.zeros((28, 28), np.float32)
HOST = "mnist.invalid"
"""A name that no resolver knows."""


@contextmanager
def serving_client(gateway: Gateway) -> Iterator[ServingClient]:
    """A client that is closed afterwards."""
    client = ServingClient(gateway)
    yield client
    client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that only the tests trust."""
    return Authority(tmp_path_factory.mktemp("authority") / "files")


def prediction_error(gateway: Gateway) -> ServingError:
    """The error of a prediction."""
    with serving_client(gateway) as client, pytest.raises(ServingError) as caught:
        client.predict(IMAGE)
    return caught.value


def test_requests_name_the_host_and_connect_to_the_address() -> None:
    """On one kept-alive connection, though the host does not resolve."""
    with running() as controller, serving_client(Gateway(f"http://{HOST}", controller.address)) as client:
        assert [client.predict(IMAGE).digit for _ in range(2)] == [0, 0]
    assert controller.hosts == [HOST] * 3
    assert len(controller.callers) == 1


def test_the_host_header_has_the_url_s_port() -> None:
    """As browsers and curl send it; without an address, the client connects to the URL's host."""
    with running() as controller:
        for url, address in (
            (f"http://{HOST}:8888", controller.address),
            (f"http://{controller.address}", ""),
        ):
            with serving_client(Gateway(url, address)) as client:
                client.predict(IMAGE)
    assert set(controller.hosts) == {f"{HOST}:8888", controller.address}


def test_over_https_name_and_certificate_are_the_host_s(authority: Authority) -> None:
    """Whatever the address is."""
    with running(authority.issue("host", HOST).context()) as controller:
        gateway = Gateway(f"https://{HOST}", controller.address, str(authority.file))
        with serving_client(gateway) as client:
            assert [client.predict(IMAGE).digit for _ in range(2)] == [0, 0]
    assert controller.names == [HOST]
    assert set(controller.hosts) == {HOST}


def test_failing_tls_is_reported_with_the_flag_for_it(authority: Authority) -> None:
    """A certificate of the address or of an unknown authority, or none at all."""
    with running(authority.issue("address", "127.0.0.1").context()) as controller:
        error = prediction_error(Gateway(f"https://{HOST}", controller.address, str(authority.file)))
        place = f"The gateway at https://{HOST} ({controller.address}) cannot be reached: "
        assert error.problem.startswith(f"{place}its certificate is not trusted (Hostname mismatch")
        assert error.next_step == f"Give the ingress controller a certificate for {HOST}."
        error = prediction_error(Gateway(f"https://{HOST}", controller.address))
        assert "--ca-file" in error.next_step
    with running() as controller:
        error = prediction_error(Gateway(f"https://{HOST}", controller.address))
    assert "it does not speak TLS" in error.problem
    assert "--scheme http" in error.next_step


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_unusable_ca_file_is_reported(authority: Authority, tmp_path: Path, content: str | None) -> None:
    """It is missing, or holds something else."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with running(authority.issue(f"none-{content}", HOST).context()) as controller:
        error = prediction_error(Gateway(f"https://{HOST}", controller.address, str(file)))
    assert f"{file} (--ca-file)" in error.next_step


def test_a_name_that_does_not_resolve_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual ingress host is not in DNS."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    error = prediction_error(Gateway(f"http://{HOST}"))
    assert error.problem == f"The gateway at http://{HOST} cannot be reached: its name cannot be resolved."
    assert "--ingress-address" in error.next_step


def test_a_status_gives_up_in_time() -> None:
    """A poller must not hang on a silent listener."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        serving_client(Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}")) as client,
    ):
        version, reason = client.status(Route.NEW, seconds=0.05)
    assert version is None
    assert "did not answer in time" in reason
