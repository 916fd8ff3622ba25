"""`:classify` and `:regress`, which are always refused: models of digits have predict signatures."""

from __future__ import annotations

from typing import Any

from mnist_dash.local.server.document import parse, shown
from mnist_dash.local.server.predict import Predictor, signature_name
from mnist_dash.local.server.refusal import RefusedError, invalid

_NOUNS = {"classify": "classification", "regress": "regression"}


def refuse_examples(
    method: str, body: bytes, predictor: Predictor | None, absent: RefusedError
) -> RefusedError:
    """What is wrong with a request to `:classify` or `:regress`, in TensorFlow Serving's order of looking.

    `absent` is the error if there is no such model.
    """
    try:
        document = parse(body)
        name = signature_name(document)
        _check_examples(document)
    except RefusedError as wrong:
        return wrong
    if predictor is None:
        return absent
    signature = predictor.model.signatures.get(name)
    if signature is None:
        return invalid(f"No signature was found with the name: {name}")
    return invalid(
        f"Expected {_NOUNS[method]} signature method_name to be tensorflow/serving/{method}."
        f" Was: {signature.method_name}"
    )


def _check_examples(document: dict[str, Any]) -> None:
    if "examples" not in document:
        raise invalid(
            f"JSON Value: {shown(document)} When method is classify, key 'examples' is expected"
            " and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(f"JSON Value: {shown(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {shown(document)} 'examples' value is an empty array")
