"""Clients of Google Cloud Storage, and the translation of the library's errors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any

from mnist_dash.errors import ModelError

if TYPE_CHECKING:
    from google.cloud.storage import Client  # type: ignore[import-untyped]  # it ships no types

# google-cloud-storage takes 0.4 s to import, so each function imports it when it is called.

TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and to wait for each part of an answer."""
RETRY_SECONDS = 15.0
"""How long a request is repeated after an error that may pass."""
READ_ONLY = "https://www.googleapis.com/auth/devstorage.read_only"
LOGIN = "To log in, run `gcloud auth application-default login` where the dashboard runs."
OTHER_KEY = "Use the key of an account that may read it."
_CHECK_NETWORK = "Check the network, then try again."


@dataclass
class Access:
    """A Cloud Storage client: a given one, or one made with the user's credentials when first needed."""

    given: Client | None = None
    until: float | None = None
    """The end by the monotonic clock; with it, no request is repeated."""

    @cached_property
    def client(self) -> Client:
        """A client with Application Default Credentials; without any, one that reads public objects."""
        if self.given is not None:
            return self.given
        from google.auth.exceptions import DefaultCredentialsError
        from google.cloud.storage import Client

        try:
            return Client(project=None)
        except DefaultCredentialsError as err:
            if "default credentials were not found" not in str(err):
                raise  # there are credentials, but they are broken
            return Client.create_anonymous_client()

    @property
    def login_step(self) -> str:
        """The next step if these credentials are not good enough."""
        return LOGIN if self.given is None else OTHER_KEY

    def call_options(self) -> dict[str, Any]:
        """Return the time-out and retry arguments of a request; raises ModelError if no time is left."""
        from google.cloud.storage.retry import DEFAULT_RETRY  # type: ignore[import-untyped]  # no types

        if self.until is None:
            return {"timeout": TIMEOUT, "retry": DEFAULT_RETRY.with_timeout(RETRY_SECONDS)}
        left = self.until - time.monotonic()
        if left <= 0:
            raise ModelError("Cloud Storage took too long.", _CHECK_NETWORK, unverified=True)
        return {"timeout": left, "retry": None}

    def list_buckets(self, limit: int) -> list[str]:
        """Return the names of at most `limit` buckets of the project; none if they cannot be listed."""
        import google.auth

        with suppress(ModelError), translated_errors("the list of buckets", "", self.login_step):
            project = self.client.project
            if not project and not _is_emulator(self.client):
                project = google.auth.default()[1]
            options = {"project": project or None, "fields": "items(name),nextPageToken"}
            listed = self.client.list_buckets(max_results=limit, **options, **self.call_options())
            return [bucket.name for bucket in islice(listed, limit)]  # emulators return more
        return []


def _is_emulator(client: Client) -> bool:
    """Whether the client uses plain HTTP, as emulators do; a token must never be sent over it."""
    return not client.api_endpoint.startswith("https://")


def client_with_key(key: Mapping[str, Any]) -> Client:
    """Return a read-only client with the credentials of a parsed key file.

    Where the environment names an emulator, the credentials are left out: it needs none, and no request for a
    token should go to Google. Raises ValueError if the library cannot use the key.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    credentials = credentials_from_key(key)
    project = key.get("project_id") or key.get("quota_project_id")
    anonymous = Client(project, AnonymousCredentials())  # type: ignore[no-untyped-call]  # the library's
    return anonymous if _is_emulator(anonymous) else Client(project, credentials)


def credentials_from_key(key: Mapping[str, Any]) -> Any:
    """Return Google's credentials from a parsed key file; raises ValueError if the library cannot use it."""
    from google.auth.exceptions import GoogleAuthError
    from google.oauth2 import credentials, service_account

    is_service = key["type"] == "service_account"
    kind: Any = service_account.Credentials if is_service else credentials.Credentials
    make = kind.from_service_account_info if is_service else kind.from_authorized_user_info
    try:
        return make(key, scopes=[READ_ONLY])
    except GoogleAuthError as err:
        raise ValueError(str(err)) from err


@contextmanager
def translated_errors(
    target: str, bucket: str, login_step: str = LOGIN, *, listed: bool = False
) -> Iterator[None]:
    """Turn the library's errors within, while `target` is read, into ModelError.

    They are `unverified`, except for a bucket that does not exist. `login_step` is the next step if the
    credentials are not good enough; `listed` says that the bucket and `target` existed a moment ago.
    """
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import (  # type: ignore[import-untyped]  # it ships no types
        DataCorruption,
        InvalidResponse,
    )
    from requests import RequestException

    try:
        yield
    except (GoogleAPIError, GoogleAuthError, RequestException, InvalidResponse, DataCorruption) as err:
        cause = getattr(err, "cause", None) or err  # that of a RetryError
        if getattr(cause, "code", None) == 404 and not listed:
            raise ModelError(f"There is no bucket gs://{bucket}.", "Check its name.") from err
        raise ModelError(*_explain(cause, target, bucket, login_step), unverified=True) from err


def _explain(err: Any, target: str, bucket: str, login_step: str) -> tuple[str, str]:
    """Return the problem and the next step for an error of the library."""
    from google.auth.exceptions import GoogleAuthError, InvalidOperation, TransportError
    from requests import RequestException

    from mnist_dash.network_errors import explain_network_error

    status = getattr(err, "code", None)
    # A client without credentials cannot renew them, so the library turns a 401 into InvalidOperation.
    if status == 401 or isinstance(err, InvalidOperation):
        return f"{target} is not public, and there are no valid Google credentials for it.", login_step
    if isinstance(err, RequestException | TransportError):
        reason = explain_network_error(err).reason
        return f"Cloud Storage could not be reached for {target}: {reason}.", _CHECK_NETWORK
    if isinstance(err, GoogleAuthError):
        return f"The Google credentials cannot be used: {_first_line(err)}", login_step
    if status == 403:
        step = f"Ask the owner of gs://{bucket} for the role Storage Object Viewer. {login_step}"
        return f"These Google credentials may not read {target}. Google says: {_first_line(err)}", step
    return f"Cloud Storage could not read {target}. Google says: {_first_line(err)}", "Try again in a minute."


def _first_line(err: Any) -> str:
    """Return the first line of Google's message, without the request's address and with a full stop."""
    lines = str(getattr(err, "message", None) or err).strip().splitlines() or ["nothing"]
    return f"{re.sub(r'^[A-Z]+ https?://[^ ]+: ', '', lines[0]).rstrip('.')}."
