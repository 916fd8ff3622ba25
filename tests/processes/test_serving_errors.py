"""How the REST client reaches a gateway: address, host, certificate; and what it says where it does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mnist_dash.domain import Gateway, Route
from mnist_dash.errors import ServingError
from mnist_dash.serving import ServingClient
from tests.cluster.bed.certificates import Authority
from tests.fake_ingress import running

IMAGE = np.zeros((28, 28), np.float32)
HOST = "mnist.invalid"
"""A name that no resolver knows."""


@contextmanager
def asking(gateway: Gateway) -> Iterator[ServingClient]:
    """A client that is closed afterwards."""
    client = ServingClient(gateway)
    yield client
    client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom only the tests trust."""
    return Authority(tmp_path_factory.mktemp("authority") / "files")


def refusal(gateway: Gateway) -> ServingError:
    """What a prediction fails with."""
    with asking(gateway) as client, pytest.raises(ServingError) as caught:
        client.predict(IMAGE)
    return caught.value


def test_it_connects_to_the_address_and_asks_for_the_host() -> None:
    """On one kept-alive connection, though no resolver knows the host."""
    with running() as controller, asking(Gateway(f"http://{HOST}", controller.address)) as client:
        assert [client.predict(IMAGE).digit for _ in range(2)] == [0, 0]
    assert controller.hosts == [HOST] * 3
    assert len(controller.callers) == 1


def test_a_port_of_the_url_is_part_of_the_host() -> None:
    """As browsers and curl send it."""
    with running() as controller, asking(Gateway(f"http://{HOST}:8888", controller.address)) as client:
        client.predict(IMAGE)
    assert set(controller.hosts) == {f"{HOST}:8888"}


def test_without_an_address_it_connects_to_the_urls_host() -> None:
    """The port is the URL's."""
    with running() as controller, asking(Gateway(f"http://{controller.address}")) as client:
        client.predict(IMAGE)
    assert set(controller.hosts) == {controller.address}


def test_over_https_name_and_certificate_are_the_hosts(authority: Authority) -> None:
    """Whatever the address is."""
    context = authority.issue("host", HOST).context()
    with running(context) as controller:
        gateway = Gateway(f"https://{HOST}", controller.address, str(authority.file))
        with asking(gateway) as client:
            assert [client.predict(IMAGE).digit for _ in range(2)] == [0, 0]
    assert controller.names == [HOST]
    assert set(controller.hosts) == {HOST}


def test_a_certificate_for_the_address_is_not_enough(authority: Authority) -> None:
    """The host is who is to be spoken to."""
    with running(authority.issue("address", "127.0.0.1").context()) as controller:
        error = refusal(Gateway(f"https://{HOST}", controller.address, str(authority.file)))
    assert f"The certificate of https://{HOST} ({controller.address}) is not trusted" in error.problem
    assert error.next_step == f"Give the ingress controller a certificate for {HOST}."


def test_an_unknown_authority_is_told_with_the_flag_that_names_it(authority: Authority) -> None:
    """The usual authorities are trusted only."""
    with running(authority.issue("unknown", HOST).context()) as controller:
        error = refusal(Gateway(f"https://{HOST}", controller.address))
    assert "is not trusted: " in error.problem
    assert "--ca-file" in error.next_step


def test_a_controller_that_does_not_speak_https_is_told() -> None:
    """Its port is that of http."""
    with running() as controller:
        error = refusal(Gateway(f"https://{HOST}", controller.address))
    assert "does not speak https" in error.problem
    assert "--scheme http" in error.next_step


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_of_authorities_that_is_none_is_told(
    authority: Authority, tmp_path: Path, content: str | None
) -> None:
    """It is missing, or holds something else."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with running(authority.issue(f"none-{content}", HOST).context()) as controller:
        error = refusal(Gateway(f"https://{HOST}", controller.address, str(file)))
    assert "--ca-file" in error.next_step


def test_a_name_that_does_not_resolve_is_told_with_the_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ingress host often is in no DNS."""
    forget_all_names(monkeypatch)
    error = refusal(Gateway(f"http://{HOST}"))
    assert error.problem == f"The name {HOST} does not resolve here."
    assert "--ingress-address HOST:PORT" in error.next_step


def test_an_address_that_does_not_resolve_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be a name too."""
    forget_all_names(monkeypatch)
    error = refusal(Gateway(f"http://{HOST}", "controller.invalid:80"))
    assert error.problem == "The name controller.invalid of --ingress-address does not resolve here."


def forget_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no name resolve, without asking a real resolver."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)


@pytest.mark.parametrize(
    ("url", "address", "next_step"),
    [
        ("http://127.0.0.1:{port}", "", "See under Objects"),
        (f"http://{HOST}", "127.0.0.1:{port}", "listen where --ingress-address says"),
    ],
)
def test_a_refused_connection_is_told_in_the_systems_words(
    unused_port: int, url: str, address: str, next_step: str
) -> None:
    """With where to look, which depends on whose gateway it is."""
    error = refusal(Gateway(url.format(port=unused_port), address.format(port=unused_port)))
    assert "cannot be reached: Connection refused." in error.problem
    assert next_step in error.next_step


def test_a_status_gives_up_in_time() -> None:
    """Whoever polls must not hang: here somebody listens, and says nothing."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        asking(Gateway(f"http://127.0.0.1:{listener.getsockname()[1]}")) as client,
    ):
        version, why = client.status(Route.NEW, seconds=0.05)
    assert version is None
    assert "did not answer in time" in why
