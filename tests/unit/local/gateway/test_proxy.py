"""The headers that a gateway passes on."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from mnist_dash.local.gateway.proxy import end_to_end


def passed(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    """The headers of these that are passed on."""
    return list(end_to_end(CIMultiDictProxy(CIMultiDict(headers))).items())


def test_headers_pass_in_order_and_repeated() -> None:
    """All of them."""
    headers = [("X-A", "1"), ("Set-Cookie", "a=1"), ("x-b", "2"), ("Set-Cookie", "b=2")]
    assert passed(*headers) == headers


@pytest.mark.parametrize(
    "name",
    [
        *("connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"),
        *("TE", "Trailer", "Transfer-Encoding", "UPGRADE", "Expect", "Content-Length", "x-served-by"),
        *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"),
    ],
)
def test_headers_of_one_connection_stay_there(name: str) -> None:
    """In whatever case they are written, and repeated ones too."""
    assert passed((name, "a"), ("X-A", "1"), (name, "b")) == [("X-A", "1")]


def test_the_connection_header_names_more_of_them() -> None:
    """In one list or several."""
    headers = [("Connection", "x-one, X-Two"), ("Connection", "x-three"), ("X-Four", "4")]
    assert passed(("X-One", "1"), ("X-Two", "2"), ("X-Three", "3"), *headers) == [("X-Four", "4")]


def test_a_header_that_is_not_utf8_is_left_out() -> None:
    """It cannot be written; others beyond ASCII can."""
    # aiohttp decodes such bytes as surrogates.
    assert passed(("X-A", "\udce9"), ("X-B", "é")) == [("X-B", "é")]
