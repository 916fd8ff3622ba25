"""The text of a request body."""

from __future__ import annotations

import math

import pytest

from mnist_dash.local.server.codec import HttpError, parse, shown


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("NaN", math.nan),
        ("-NaN", math.nan),
        ("Infinity", math.inf),
        ("-Infinity", -math.inf),
        ("Inf", math.inf),
        ("-Inf", -math.inf),
        ("1e300", 1e300),
        ("1e-400", 0.0),
        ("7", 7),
        ("123456789012345678901234567890", 123456789012345678901234567890.0),
    ],
)
def test_numbers_that_json_does_not_have_are_read(token: str, value: float) -> None:
    """RapidJSON's words for what is not finite are taken, and numbers of any length."""
    read = parse(f'{{"a": [{token}]}}'.encode())["a"][0]

    assert read == value or (math.isnan(read) and math.isnan(value))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "JSON Parse error: The document is empty"),
        ("  ", "JSON Parse error: The document is empty. at offset: 2"),
        ('{"a": nan}', "JSON Parse error: Invalid value. at offset: 7"),
        ('{"a": [1,]}', "JSON Parse error: Invalid value. at offset: 9"),
        ('{"a": 1,}', "JSON Parse error: Missing a name for object member. at offset: 8"),
        ('{"a": /*b*/ 1}', "JSON Parse error: Invalid value. at offset: 6"),
        ('{"a": 1 // b', "JSON Parse error: Missing a comma or } after an object member. at offset: 8"),
        ('{"a": [1 2]}', "JSON Parse error: Missing a comma or ] after an array element. at offset: 9"),
        ('{"a": 1e400}', "JSON Parse error: Number too big to be stored in double. at offset: 6"),
        ('{"a": -1e400}', "JSON Parse error: Number too big to be stored in double. at offset: 6"),
        ('{"a": 01}', "JSON Parse error: Missing a comma or } after an object member. at offset: 7"),
        ('{"a": 1.}', "JSON Parse error: Miss fraction part in number. at offset: 8"),
        ("{'a': 1}", "JSON Parse error: Missing a name for object member. at offset: 1"),
        ("[1]", "JSON Value: [\n    1\n] Is not object"),
        ("1", "JSON Value: 1 Is not object"),
        ("null", "JSON Value: null Is not object"),
    ],
)
def test_what_is_no_json_object_is_refused_in_rapidjsons_words(text: str, error: str) -> None:
    """The text of the error is TensorFlow Serving's, offset included."""
    with pytest.raises(HttpError) as refused:
        parse(text.encode())

    assert (refused.value.status, refused.value.problem) == (400, error)


@pytest.mark.parametrize("rest", [b" x", b'{"a": 2}', b"]", b"\x00\xff", b"\n,"])
def test_text_after_the_object_is_ignored(rest: bytes) -> None:
    """Reading stops where the object ends."""
    assert parse(b'{"a": 1}' + rest) == {"a": 1}


def test_a_byte_order_mark_is_ignored() -> None:
    """A UTF-8 BOM may stand before the object."""
    assert parse(b'\xef\xbb\xbf{"a": NaN}').keys() == {"a"}


def test_a_wrong_encoding_of_something_else_does_no_harm() -> None:
    """Only what is asked for is looked at."""
    assert parse(b'{"comment": "\xff", "instances": [1]}')["instances"] == [1]


@pytest.mark.parametrize("key", ["instances", "inputs", "signature_name"])
def test_the_first_of_two_members_of_one_name_counts(key: str) -> None:
    """RapidJSON finds the first; a dict would keep the last."""
    assert parse(f'{{"{key}": 1, "{key}": 2}}'.encode()) == {key: 1}


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [1_500, 1_000_000])
def test_deep_nesting_is_refused_and_overflows_no_stack(opening: bytes, depth: int) -> None:
    """A million brackets are an error like any other."""
    with pytest.raises(HttpError, match="nested too deeply"):
        parse(b'{"a":' + opening * depth)


def test_a_long_value_is_shown_by_its_beginning() -> None:
    """An error does not send megabytes back."""
    text = shown(list(range(1_000_000)))

    assert text.startswith("[\n    0,\n    1,")
    assert len(text) < 300


def test_a_deep_value_is_shown_without_overflowing_the_stack() -> None:
    """An error about a deep value is an error like any other."""
    value: list[object] = []
    for _ in range(900):
        value = [value]

    assert shown(value).startswith("[")
