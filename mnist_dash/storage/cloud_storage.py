"""How Cloud Storage is talked to, and its errors in plain words: the border of google-cloud-storage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mnist_dash.errors import ModelError

if TYPE_CHECKING:
    from mnist_dash.storage.place import Client

# google-cloud-storage takes 0.4 s to import, so that each function does it when it is called.

TIMEOUT = (5.0, 30.0)
"""Seconds for connecting, and for each wait on an answer."""
RETRY_SECONDS = 15.0
"""For so long a call is repeated that failed for a reason which may pass."""
_LOGIN = "To log in, run `gcloud auth application-default login` where the dashboard runs."
_NETWORK = "Check the network, then try again."


class Access:
    """A Cloud Storage client: a given one, or one made with the user's credentials when first needed."""

    def __init__(self, client: Client | None = None) -> None:
        self._given = client

    @cached_property
    def client(self) -> Client:
        """With Application Default Credentials; without any, one that reads what is public."""
        if self._given is not None:
            return self._given
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

        try:
            return Client(project=None)
        except DefaultCredentialsError as err:
            if "default credentials were not found" not in str(err):
                raise  # they were found, and are broken
            return Client.create_anonymous_client()


def patience() -> dict[str, Any]:
    """The arguments of each call: how long to wait for it, and how long to repeat it."""
    from google.cloud.storage.retry import DEFAULT_RETRY  # type: ignore[import-untyped]  # it ships no types

    return {"timeout": TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(RETRY_SECONDS)}


@contextmanager
def explained(what: str, bucket: str) -> Iterator[None]:
    """Turn what goes wrong within, while `what` is read, into ModelError."""
    from google.api_core.exceptions import GoogleAPIError, RetryError
    from google.auth.exceptions import GoogleAuthError, InvalidOperation
    from google.cloud.storage.exceptions import (  # type: ignore[import-untyped]  # it ships no types
        DataCorruption,
        InvalidResponse,
    )
    from requests import RequestException

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, RequestException, InvalidResponse, DataCorruption) as err:
        cause = err.cause if isinstance(err, RetryError) and err.cause else err
        if isinstance(
            cause, InvalidOperation
        ):  # a 401 to a client without credentials, which cannot renew them
            raise _private(what) from err
        if isinstance(cause, GoogleAuthError):
            problem = f"The Google credentials cannot be used: {_sentence(cause)}"
            raise ModelError(problem, _LOGIN) from err
        if isinstance(cause, GoogleAPIError):
            raise _refusal(what, bucket, cause) from err
        problem = f"Cloud Storage could not be reached for {what} ({type(cause).__name__})."
        raise ModelError(problem, _NETWORK) from err


def _private(what: str) -> ModelError:
    return ModelError(
        f"{what} is not public, and there are no valid Google credentials to read it with.", _LOGIN
    )


def _refusal(what: str, bucket: str, err: Any) -> ModelError:
    match getattr(err, "code", None):
        case 401:
            return _private(what)
        case 403:
            problem = f"These Google credentials may not read {what}. Google says: {_sentence(err)}"
            step = f"Ask the owner of gs://{bucket} for the role Storage Object Viewer."
            return ModelError(problem, f"{step} {_LOGIN}")
        case 404:
            return ModelError(f"There is no bucket gs://{bucket}.", "Check its name.")
    problem = f"Cloud Storage failed while {what} was read. Google says: {_sentence(err)}"
    return ModelError(problem, "Try again in a minute.")


def _sentence(err: Any) -> str:
    """The first line of what Google said, without the request's address and with a full stop."""
    lines = str(getattr(err, "message", None) or err).strip().splitlines() or ["nothing"]
    return f"{re.sub(r'^[A-Z]+ https?://[^ ]+: ', '', lines[0]).rstrip('.')}."
