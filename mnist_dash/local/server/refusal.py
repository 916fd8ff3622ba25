"""A request that the model server answers with an error."""

from __future__ import annotations

from http import HTTPStatus

from mnist_dash.errors import ServingError


class RefusedError(ServingError):
    """Why a request is not answered: the HTTP status, and the text as TensorFlow Serving words it."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def invalid(text: str) -> RefusedError:
    """400: the request itself is wrong."""
    return RefusedError(HTTPStatus.BAD_REQUEST, text)


def not_found(text: str) -> RefusedError:
    """404: what the request asks for is not there."""
    return RefusedError(HTTPStatus.NOT_FOUND, text)
