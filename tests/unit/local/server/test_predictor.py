"""One loaded model answers predict requests."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mnist_dash.errors import ModelError
from mnist_dash.local.server.codec import Arrays, HttpError
from mnist_dash.local.server.predictor import MAX_BATCH, Predictor
from tests.unit.local.server.fake_model import FakeModel, signature, tensors

SERVE = signature(tensors(x=(-1, 1)), tensors(y=(-1, 1)), name="serve")


@pytest.mark.parametrize(
    ("request_body", "answer"),
    [
        ({"instances": [[[1, 2], [3, 4]]]}, {"predictions": [[1, 2, 3, 4]]}),
        ({"inputs": [[[1, 2], [3, 4]]]}, {"outputs": [[1, 2, 3, 4]]}),
        ({"instances": [{"x": [[1, 2], [3, 4]]}]}, {"predictions": [[1, 2, 3, 4]]}),
        ({"inputs": {"x": [[[1, 2], [3, 4]]]}}, {"outputs": [[1, 2, 3, 4]]}),
        ({"signature_name": "serve", "instances": [[7]]}, {"predictions": [[7]]}),
        ({"instances": [{"x": [7]}], "signature_name": "serve"}, {"predictions": [[7]]}),
    ],
)
def test_a_request_is_answered_in_its_own_format(request_body: object, answer: object) -> None:
    """By row or column, by the signature that it names."""
    predictor = Predictor(FakeModel(1, signature(), SERVE))

    assert json.loads(predictor.answer(json.dumps(request_body).encode())) == answer


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"signature_name": 100', "JSON Parse error: "),
        (b'{"signature_name": 100}', "'signature_name' must be a string."),
        (b'{"signature_name": null, "instances": [[1]]}', "'signature_name' must be a string."),
        (b'{"signature_name": "nope"}', 'Serving signature name: "nope" not found in signature def'),
        (b"{}", "either 'instances' or 'inputs'"),
    ],
)
def test_errors_are_found_in_tensorflow_servings_order(body: bytes, error: str) -> None:
    """JSON, then the signature's name, then whether there is one, then the values."""
    with pytest.raises(HttpError) as refused:
        Predictor(FakeModel()).answer(body)

    assert error in refused.value.problem
    assert refused.value.status == 400


def test_a_model_that_fails_is_a_400() -> None:
    """As the errors of TensorFlow's kernels are."""

    def fail(_: Arrays) -> Arrays:
        raise ModelError("It cannot.", "Try another.")

    with pytest.raises(HttpError, match=r"^It cannot\. Try another\.$") as refused:
        Predictor(FakeModel(answer=fail)).answer(b'{"instances": [[[1, 2], [3, 4]]]}')

    assert refused.value.status == 400


def test_a_big_batch_is_run_in_slices_and_answered_in_order() -> None:
    """The memory that a batch takes stays bounded."""
    model = FakeModel(1, SERVE, signature())
    rows = [[row] for row in range(3 * MAX_BATCH + 5)]
    body = json.dumps({"signature_name": "serve", "instances": rows}).encode()

    assert json.loads(Predictor(model).answer(body)) == {"predictions": rows}
    assert [len(call["x"]) for call in model.calls] == [MAX_BATCH] * 3 + [5]


def test_a_batch_is_run_whole_if_the_output_is_not_by_row() -> None:
    """A model that adds up its batch gets all of it."""
    adds_up = signature(tensors(x=(-1,)), tensors(y=()))
    model = FakeModel(1, adds_up, answer=lambda inputs: {"y": np.sum(inputs["x"], keepdims=False)})
    body = json.dumps({"inputs": [1] * (MAX_BATCH + 1)}).encode()

    assert json.loads(Predictor(model).answer(body)) == {"outputs": MAX_BATCH + 1}


def test_warming_up_runs_one_item_of_zeros() -> None:
    """Free sizes are taken as 1; without a default signature there is nothing to warm up."""
    model, other = FakeModel(1, signature(tensors(a=(-1, 2), b=(-1, -1)))), FakeModel(1, SERVE)
    model.answer = lambda inputs: {"y": inputs["a"]}
    Predictor(model).warm_up()
    Predictor(other).warm_up()

    (call,) = model.calls
    assert (call["a"].tolist(), call["b"].tolist(), other.calls) == ([[0, 0]], [[0]], [])
