"""What a path asks for."""

from __future__ import annotations

import pytest

from mnist_dash.local.server.codec import HttpError
from mnist_dash.local.server.rest import Target, is_rest, route


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", b"/v1/models/model:predict", Target("model", None, "", "predict")),
        ("POST", b"/v1/models/model:classify", Target("model", None, "", "classify")),
        ("POST", b"/v1/models/model:regress", Target("model", None, "", "regress")),
        ("POST", b"/v1/models/model/versions/2:predict", Target("model", 2, "", "predict")),
        ("POST", b"/v1/models/model/versions/007:predict", Target("model", 7, "", "predict")),
        ("POST", b"/v1/models/model/labels/canary:predict", Target("model", None, "canary", "predict")),
        ("POST", b"/V1/Models/model:predict", Target("model", None, "", "predict")),
        ("POST", b"/v1/models/mo%64el:predict", Target("model", None, "", "predict")),
        ("POST", b"/v1/models/a%3Ab:predict", Target("a:b", None, "", "predict")),
        ("GET", b"/v1/models/model", Target("model", None, "", "")),
        ("GET", b"/v1/models/model/versions/2", Target("model", 2, "", "")),
        ("GET", b"/v1/models/model/labels/canary", Target("model", None, "canary", "")),
        ("GET", b"/v1/models/model/metadata", Target("model", None, "", "metadata")),
        ("GET", b"/v1/models/model/versions/2/metadata", Target("model", 2, "", "metadata")),
        ("GET", b"/v1/models/model?x=1", Target("model?x=1", None, "", "")),
        ("GET", b"/v1/models/model%3Apredict", Target("model:predict", None, "", "")),
    ],
)
def test_the_routes_of_tensorflow_serving(method: str, path: bytes, target: Target) -> None:
    """Each in any case, with names percent-decoded after they were matched."""
    assert route(method, path) == target


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/model:predict"),
        ("POST", "/v1/models/model"),
        ("POST", "/v1/models/model/metadata"),
        ("PUT", "/v1/models/model:predict"),
        ("DELETE", "/v1/models/model"),
        ("PATCH", "/v1/models/model:predict"),
        ("HEAD", "/v1/models/model"),
        ("OPTIONS", "/v1/models/model:predict"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/model/"),
        ("GET", "/v1/models/model/versions/"),
        ("GET", "/v1/models/model/versions/one"),
        ("GET", "/v1/models/model/versions/1/labels/a"),
        ("GET", "/v1/models/model/metadata/"),
        ("POST", "/v1/models/model:predict/"),
        ("POST", "/v1/models/model:predict?x=1"),
        ("POST", "/v1/models/model%3Apredict"),
        ("POST", "/v1/models/model:PREDICT"),
        ("POST", "/v1/models/model:explain"),
        ("POST", "/v1/models/:predict"),
        ("POST", "/v1/models/a/b:predict"),
        ("POST", "/v1/"),
        ("GET", "/v1/model"),
    ],
)
def test_what_fits_no_route_is_malformed(method: str, path: str) -> None:
    """400, whatever it is; there is no 405."""
    with pytest.raises(HttpError) as refused:
        route(method, path.encode())

    assert (refused.value.status, refused.value.problem) == (400, f"Malformed request: {method} {path}")


@pytest.mark.parametrize("path", [b"/v1/models", b"/v1/models/versions/1", b"/v1/models/labels/a"])
def test_a_status_request_must_name_a_model(path: bytes) -> None:
    """There is no list of models."""
    with pytest.raises(HttpError) as refused:
        route("GET", path)

    assert (refused.value.status, refused.value.problem) == (400, "Missing model name in request.")


@pytest.mark.parametrize("digits", ["9223372036854775808", "1" * 5_000])
def test_a_version_beyond_64_bits_is_refused(digits: str) -> None:
    """However long it is."""
    with pytest.raises(HttpError) as refused:
        route("POST", f"/v1/models/model/versions/{digits}:predict".encode())

    assert refused.value.problem == f"Failed to convert version: {digits} to numeric."


def test_the_largest_version_is_a_version() -> None:
    """And so is one with zeros before it."""
    digits = "0" * 5_000 + "9223372036854775807"

    assert route("GET", f"/v1/models/model/versions/{digits}".encode()).version == 2**63 - 1


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        (Target("x", None, "", ""), 404, "Servable not found for request: Latest(x)"),
        (Target("model", 3, "", ""), 404, "Servable not found for request: Specific(model, 3)"),
        (Target("model", None, "canary", ""), 400, "Unrecognized servable version label: canary"),
    ],
)
def test_what_is_not_served_is_named(target: Target, status: int, text: str) -> None:
    """In TensorFlow Serving's words."""
    assert (target.absence.status, target.absence.problem) == (status, text)


@pytest.mark.parametrize(
    ("path", "rest"),
    [
        (b"/v1/", True),
        (b"/V1/x", True),
        (b"/v1", False),
        (b"/", False),
        (b"/v2/models/model", False),
        (b"/v1?x", False),
    ],
)
def test_the_api_is_what_lies_under_v1(path: bytes, rest: bool) -> None:
    """Anything else is a plain 404."""
    assert is_rest(path) is rest
