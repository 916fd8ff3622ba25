"""What a model server's answers say, as values."""

from __future__ import annotations

import json
from typing import Any, TypeVar
from urllib.request import parse_http_list, parse_keqv_list

import numpy as np
import requests
from numpy.typing import NDArray

from mnist_dash.domain import DIGITS, SERVED_BY_HEADER, VERSION_HEADER, Prediction, Release, Role
from mnist_dash.errors import ServingError
from mnist_dash.savedmodel import to_probabilities

DEFAULT_INPUT_SHAPE = (-1, 28, 28, 1)
AVAILABLE = "AVAILABLE"

E = TypeVar("E", Role, Release)


def prediction(response: requests.Response, milliseconds: float) -> Prediction:
    """The prediction in an answer; raises ServingError if there is none, or one that no model can mean."""
    served = served_by(response)
    return Prediction(
        probabilities=_probabilities(_json(response)),
        role=_member(Role, served.get("role")),
        release=_member(Release, served.get("release")),
        version=_integer(response.headers.get(VERSION_HEADER)),
        replica=served.get("replica", ""),
        milliseconds=milliseconds,
    )


def input_shape(response: requests.Response) -> tuple[int, ...]:
    """Shape of the input that the metadata declare, -1 where it is free; MNIST's usual one if they do not."""
    try:
        signatures = _json(response)["metadata"]["signature_def"]["signature_def"]
        (tensor,) = signatures["serving_default"]["inputs"].values()
        return tuple(int(dim["size"]) for dim in tensor["tensor_shape"]["dim"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return DEFAULT_INPUT_SHAPE


def available(response: requests.Response) -> tuple[int | None, str]:
    """The highest version that is served, by the model's status, or None and how the highest one is."""
    try:
        versions = {int(v["version"]): v for v in _json(response)["model_version_status"]}
        served = [number for number, v in versions.items() if v["state"] == AVAILABLE]
        return (max(served), "") if served else (None, _unserved(versions))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, "The answer is not a model's status."


def _unserved(versions: dict[int, Any]) -> str:
    if not versions:
        return "The model server knows no version of the model."
    highest = versions[max(versions)]
    reason = str(highest.get("status", {}).get("error_message", ""))
    return f"Version {max(versions)} is in the state {highest['state']}. {reason}".strip()


def served_by(response: requests.Response) -> dict[str, str]:
    """Who answered, by the header: role, release and replica, as far as they are told."""
    header = response.headers.get(SERVED_BY_HEADER, "")  # other programs put other things in it
    return parse_keqv_list([item for item in parse_http_list(header) if "=" in item])


def _json(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)  # NaN comes as a bare token, which the standard library reads
    except (ValueError, RecursionError):
        raise ServingError(
            "The answer is not JSON: something other than a model server answered.",
            "Check the gateway's address.",
        ) from None


def _probabilities(answer: Any) -> NDArray[np.float64]:
    try:
        rows = answer["predictions"]
        row = rows[0]
        if isinstance(row, dict):
            row = _answering(row)
        values = np.asarray(row, dtype=np.float64)
    except (KeyError, IndexError, TypeError, ValueError, StopIteration):
        raise ServingError("The answer holds no predictions.", "Is it a model of MNIST digits?") from None
    if values.shape != (DIGITS,):
        raise ServingError(
            f"The answer has the shape {values.shape} instead of ten probabilities.",
            "Is it a model of MNIST digits?",
        )
    if not np.isfinite(values).all():
        raise ServingError("The model answered with NaN or infinity.", "It is broken: deploy another one.")
    probabilities: NDArray[np.float64] = to_probabilities(values[np.newaxis])[0]
    return probabilities


def _answering(outputs: dict[str, Any]) -> Any:
    """Of several outputs the one with ten values; if there are more, the one that is called probabilities."""
    ten = {name: value for name, value in outputs.items() if np.shape(value) == (DIGITS,)}
    return next((value for name, value in ten.items() if "prob" in name.lower()), next(iter(ten.values())))


def _member(kind: type[E], value: str | None) -> E | None:
    return kind(value) if value in set(kind) else None


def _integer(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
