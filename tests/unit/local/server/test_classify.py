""":classify and :regress."""

from __future__ import annotations

import pytest

from mnist_dash.local.server.codec import not_found
from mnist_dash.local.server.predictor import Predictor
from mnist_dash.local.server.rest import refuse_examples
from tests.unit.local.server.fake_model import FakeModel

EXAMPLES = b'{"examples": [{"x": 1}]}'


@pytest.mark.parametrize(("method", "noun"), [("classify", "classification"), ("regress", "regression")])
def test_a_predict_signature_is_no_other(method: str, noun: str) -> None:
    """400: models of digits have predict signatures."""
    refusal = refuse_examples(method, EXAMPLES, Predictor(FakeModel()), not_found("gone"))

    assert (refusal.status, refusal.problem) == (
        400,
        f"Expected {noun} signature method_name to be tensorflow/serving/{method}."
        " Was: tensorflow/serving/predict",
    )


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b'{"signature_name": 1}', "'signature_name' key must be a string value."),
        (b"{}", "When method is classify, key 'examples' is expected and was not found"),
        (b'{"examples": 1}', "Expecting 'examples' value to be an list/array"),
        (b'{"examples": []}', "'examples' value is an empty array"),
        (b'{"signature_name": "nope", "examples": [{}]}', "No signature was found with the name: nope"),
    ],
)
def test_what_is_wrong_with_the_body_comes_first(body: bytes, error: str) -> None:
    """In TensorFlow Serving's order."""
    refusal = refuse_examples("classify", body, Predictor(FakeModel()), not_found("gone"))

    assert error in refusal.problem
    assert refusal.status == 400


def test_a_model_that_is_not_there_is_told_after_the_body() -> None:
    """404, if the body is right."""
    gone = not_found("gone")

    assert refuse_examples("classify", EXAMPLES, None, gone) is gone
    assert refuse_examples("classify", b"{}", None, gone).status == 400
