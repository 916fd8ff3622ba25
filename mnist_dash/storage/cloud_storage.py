"""How Cloud Storage is talked to, and its errors in plain words: the border of google-cloud-storage."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from mnist_dash.errors import ModelError

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

# google-cloud-storage takes 0.4 s to import, so that each function does it when it is called.

TIMEOUT = (5.0, 30.0)
"""Seconds for connecting, and for each wait on an answer."""
RETRY_SECONDS = 15.0
"""For so long a call is repeated that failed for a reason which may pass."""
READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
LOGIN = "To log in, run `gcloud auth application-default login` where the dashboard runs."
OTHER_KEY = "Use the key of an account that may read it."
_NETWORK = "Check the network, then try again."


class Access:
    """A Cloud Storage client: a given one, or one made with the user's credentials when first needed."""

    def __init__(self, client: Client | None = None, until: float | None = None) -> None:
        """After `until`, by the monotonic clock, no call is made any more, and none is repeated."""
        self._given = client
        self._until = until

    @cached_property
    def client(self) -> Client:
        """With Application Default Credentials; without any, one that reads what is public."""
        if self._given is not None:
            return self._given
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud.storage import Client

        try:
            return Client(project=None)
        except DefaultCredentialsError as err:
            if "default credentials were not found" not in str(err):
                raise  # they were found, and are broken
            return Client.create_anonymous_client()

    def patience(self) -> dict[str, Any]:
        """The arguments of each call: how long to wait for it, and how long to repeat it.

        Raises ModelError if there is no time left for a call.
        """
        from google.cloud.storage.retry import DEFAULT_RETRY  # type: ignore[import-untyped]  # no types

        if self._until is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise ModelError("Cloud Storage took too long.", _NETWORK, unverified=True)
            return {"timeout": left, "retry": None}
        return {"timeout": TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(RETRY_SECONDS)}

    def buckets(self, most: int) -> list[str]:
        """The names of the project's buckets, or of `most` of them; none if they may not be listed."""
        try:
            with explained("the list of buckets", "", self.other_login):
                options = {"project": self._project(), "fields": "items(name),nextPageToken"}
                listed = self.client.list_buckets(max_results=most, **options, **self.patience())
                return [bucket.name for bucket in islice(listed, most)]  # emulators give more
        except ModelError:
            return []

    def _project(self) -> str | None:
        """The project that the credentials belong to, if they belong to one."""
        import google.auth

        if self.client.project or _is_emulator(self.client):
            return str(self.client.project) if self.client.project else None
        return google.auth.default()[1]

    @property
    def other_login(self) -> str:
        """What to do if these credentials are not good enough."""
        return LOGIN if self._given is None else OTHER_KEY


def client_with(key: Mapping[str, Any]) -> Client:
    """A client with the credentials of a key file's content, for reading only.

    Where the environment names an emulator, they are not used: it asks for none, and Google's token server
    should not hear of it. Raises ValueError if the library cannot use the key.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    credentials = credentials_of(key)
    project = key.get("project_id") or key.get("quota_project_id")
    nobody = Client(project, AnonymousCredentials())  # type: ignore[no-untyped-call]  # the library's
    return nobody if _is_emulator(nobody) else Client(project, credentials)


def _is_emulator(client: Client) -> bool:
    """Whether it talks plain HTTP, as emulators do; no token should ever be sent so."""
    return not client.api_endpoint.startswith("https://")


def credentials_of(key: Mapping[str, Any]) -> Any:
    """Google's credentials from a key file's content; raises ValueError if the library cannot use it."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import credentials, service_account

    makers: dict[str, Any] = {
        "service_account": service_account.Credentials.from_service_account_info,
        "authorized_user": credentials.Credentials.from_authorized_user_info,
    }
    try:
        return makers[key["type"]](key, scopes=[READ_ONLY])
    except GoogleAuthError as err:
        raise ValueError(str(err)) from err


@contextmanager
def explained(what: str, bucket: str, other_login: str = LOGIN, *, listed: bool = False) -> Iterator[None]:
    """Turn what goes wrong within, while `what` is read, into ModelError.

    It is `unverified` but for a bucket that does not exist. `other_login` is the next step if the credentials
    are not good enough; `listed` says that what is read was there a moment ago.
    """
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
        # a 401 to a client without credentials, which cannot renew them
        if isinstance(cause, InvalidOperation) or getattr(cause, "code", None) == 401:
            problem = f"{what} is not public, and there are no valid Google credentials to read it with."
            raise ModelError(problem, other_login, unverified=True) from err
        if isinstance(cause, GoogleAuthError):
            problem = f"The Google credentials cannot be used: {_sentence(cause)}"
            raise ModelError(problem, other_login, unverified=True) from err
        if listed and getattr(cause, "code", None) == 404:
            problem = f"{what} was changed while it was copied."
            raise ModelError(problem, "Try again when that is done.", unverified=True) from err
        if isinstance(cause, GoogleAPIError):
            raise _refusal(what, bucket, cause, other_login) from err
        problem = f"Cloud Storage could not be reached for {what} ({type(cause).__name__})."
        raise ModelError(problem, _NETWORK, unverified=True) from err


def _refusal(what: str, bucket: str, err: Any, other_login: str) -> ModelError:
    match getattr(err, "code", None):
        case 403:
            problem = f"These Google credentials may not read {what}. Google says: {_sentence(err)}"
            step = f"Ask the owner of gs://{bucket} for the role Storage Object Viewer."
            return ModelError(problem, f"{step} {other_login}", unverified=True)
        case 404:
            return ModelError(f"There is no bucket gs://{bucket}.", "Check its name.")
    problem = f"Cloud Storage failed while {what} was read. Google says: {_sentence(err)}"
    return ModelError(problem, "Try again in a minute.", unverified=True)


def _sentence(err: Any) -> str:
    """The first line of what Google said, without the request's address and with a full stop."""
    lines = str(getattr(err, "message", None) or err).strip().splitlines() or ["nothing"]
    return f"{re.sub(r'^[A-Z]+ https?://[^ ]+: ', '', lines[0]).rstrip('.')}."
