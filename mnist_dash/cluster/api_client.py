"""The Kubernetes API with plain objects in and out, and its errors as words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeAlias, TypeVar

import urllib3
from kubernetes.client import ApiClient, ApiException
from kubernetes.client.rest import RESTResponse
from kubernetes.config import ConfigException
from kubernetes.utils import Backoff, on_error, retry_on_conflict
from urllib3.util.retry import Retry

from mnist_dash.cluster import manifests
from mnist_dash.cluster.api_errors import (
    ApiError,
    ApiRequest,
    api_error,
    conflict,
    is_cut,
    is_field_conflict,
    tls_failure,
    unreachable,
)
from mnist_dash.cluster.resources import (
    CONTAINER,
    FIELD_MANAGER,
    MANAGED_BY,
    NAMESPACE,
    POD,
    Kind,
    Object,
    is_ours,
    kind_of,
)
from mnist_dash.errors import EngineError

T = TypeVar("T")
Objects: TypeAlias = list[Object]

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
LOG_SECONDS: Final = 2.0
"""A log comes from the Pod's node, which may be gone; the cluster itself is not to seem silent for that."""
PAGE: Final = 500
"""Objects for each request of a list."""
MOST_LOG_BYTES: Final = 100_000
RETRIES: Final = Retry(
    total=3,
    connect=1,
    read=0,  # a silent server would keep a call for 20 s; cut connections are tried again below
    other=1,
    status=3,
    redirect=0,
    allowed_methods=None,  # applying, deleting and reviewing twice does no more than once
    status_forcelist=(429, 503, 504),
    backoff_factor=0.2,
    retry_after_max=3,
    raise_on_status=False,
)
"""All of it together takes about 10 s at the most."""
_CUT = Backoff(steps=3, duration=0.1, factor=2, jitter=0.1)
_CONFLICT = Backoff(steps=5, duration=0.05, factor=2, jitter=0.1)
_REVIEW = Kind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)
_JSON = "application/json"
_APPLY = "application/apply-patch+yaml"


class KubernetesClient:
    """The objects of one namespace, for any number of threads; what goes wrong is an EngineError.

    Writing goes by server-side apply as field manager `mnist-dash`. An object that does not carry the
    dashboard's label is refused by name before anything is sent.
    """

    def __init__(self, client: ApiClient, namespace: str, *, account: str = "") -> None:
        """`account` is what the kubeconfig calls us, for the case that the cluster does not say it."""
        self.namespace = namespace
        self._client = client
        self._account = account
        self._user = ""

    @property
    def server(self) -> str:
        """The address of the API server."""
        return str(self._client.configuration.host)

    @property
    def user(self) -> str:
        """Who we are to the cluster, or, if it does not say, to the kubeconfig; never raises."""
        if not self._user:
            try:
                self.who_am_i()
            except EngineError:
                return self._account
        return self._user

    def who_am_i(self) -> str:
        """Ask the cluster for our user name; the kubeconfig's if it does not tell. Raises EngineError."""
        review = {"apiVersion": _REVIEW.api, "kind": _REVIEW.name}
        told: Object = {}
        try:
            told = self._json(ApiRequest("create", _REVIEW, ""), "POST", _REVIEW.path(""), body=review)
        except ApiError as err:
            if err.status not in (403, 404, 405):  # anonymous, or a cluster older than this question
                raise
        self._user = str(told.get("status", {}).get("userInfo", {}).get("username") or self._account)
        return self._user

    def get(self, kind: Kind, name: str, *, namespace: str = "") -> Object | None:
        """One object, or None if it is not there; raises EngineError, also if its kind is unknown."""
        asked = ApiRequest("get", kind, namespace or self.namespace, name)
        try:
            return self._json(asked, "GET", kind.path(asked.namespace, name))
        except ApiError as err:
            if err.is_absence or (kind is NAMESPACE and err.status == 404):
                return None
            raise

    def list(self, kind: Kind, *, selector: str = "", fields: str = "", namespace: str = "") -> Objects:
        """All objects of a kind in the namespace, by label and field selector; raises EngineError."""
        asked = ApiRequest("list", kind, namespace or self.namespace)
        query = {"labelSelector": selector, "fieldSelector": fields}
        pages = self._pages(asked, {key: value for key, value in query.items() if value})
        return [{"apiVersion": kind.api, "kind": kind.name, **one} for page in pages for one in page]

    def _pages(self, asked: ApiRequest, query: dict[str, str]) -> Iterator[Objects]:
        path, more = asked.kind.path(asked.namespace), ""
        while True:
            page = {**query, "limit": str(PAGE)} | ({"continue": more} if more else {})
            answer = self._json(asked, "GET", path, query=page)
            yield answer.get("items") or []
            more = (answer.get("metadata") or {}).get("continue") or ""
            if not more:
                return

    def apply(self, obj: Object, *, force: bool = False, dry_run: bool = False) -> Object:
        """Make the object what `obj` says, and return it as it then is.

        `force` takes fields over from others. A Namespace that exists is used as it is. A dry run in a
        namespace that is not there yet returns `obj`. Raises EngineError: with `can_take_over` if fields
        belong to somebody else; or if the live object is not the dashboard's; or, as a RefusedError of status
        409, if it has a `resourceVersion` and the live object has been changed since.
        """
        kind, name = kind_of(obj), obj["metadata"]["name"]
        asked = ApiRequest("patch", kind, self.namespace, name)
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()} | _dry(dry_run)

        def once() -> Object:
            live = self._before(asked, obj)
            if live is not None and kind is NAMESPACE:
                return live
            try:
                return self._json(asked, "PATCH", kind.path(self.namespace, name), query, obj, _APPLY)
            except ApiError as err:
                if err.status == 409 and is_field_conflict(err.answer):
                    raise conflict(err.answer, live, asked) from err
                if dry_run and err.is_absence_of_namespace:
                    return obj
                raise

        # What is bound to a version that is there no more stays refused: it is for the caller to look again.
        return once() if obj["metadata"].get("resourceVersion") else _again_on_conflict(once)

    def _before(self, asked: ApiRequest, obj: Object) -> Object | None:
        """The live object, if there is one and it may be applied to."""
        try:
            live = self.get(asked.kind, asked.name)
        except ApiError as err:
            if asked.kind is NAMESPACE and err.status == 403:
                return obj  # who may not look at it takes it to be there; the first write in it tells
            raise
        if live is not None and asked.kind is not NAMESPACE:
            _must_be_ours(live, asked)
        return live

    def ensure_namespace(self) -> None:
        """Create the namespace if it is not there; raises EngineError if that is not allowed."""
        self.apply(manifests.namespace(self.namespace))

    def delete(self, kind: Kind, name: str, *, dry_run: bool = False) -> None:
        """Delete an object and, in the background, what it owns; it is fine if there is none.

        Raises EngineError, also if the object is not the dashboard's.
        """
        asked = ApiRequest("delete", kind, self.namespace, name)

        def once() -> None:
            live = self.get(kind, name)
            if live is None:
                return
            _must_be_ours(live, asked)
            options = {
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "propagationPolicy": "Background",
                "preconditions": {"uid": live["metadata"]["uid"]},  # that very one, none made since
            } | ({"dryRun": ["All"]} if dry_run else {})  # beside a body, the query's is not heeded
            try:
                self._json(asked, "DELETE", kind.path(self.namespace, name), _dry(dry_run), options)
            except ApiError as err:
                if not err.is_absence:
                    raise

        _again_on_conflict(once)

    def logs(self, pod: str, *, lines: int = 20, previous: bool = False) -> str:
        """The last lines of a Pod's model server, or "" if there are none; raises EngineError.

        `previous` asks for the container before the last restart.
        """
        asked = ApiRequest("get", POD, self.namespace, pod)
        query = {"container": CONTAINER, "tailLines": str(lines), "limitBytes": str(MOST_LOG_BYTES)}
        query |= {"previous": "true"} if previous else {}
        try:
            path = f"{POD.path(self.namespace, pod)}/log"
            text = self._ask(asked, "GET", path, query, accept="*/*", seconds=LOG_SECONDS)
        except ApiError as err:
            if err.status in (401, 403):
                raise
            return ""  # not started yet, or gone
        except EngineError:
            return ""  # its node does not answer
        return text.decode(errors="replace")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call]  # the package's own gap

    def _json(
        self,
        asked: ApiRequest,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content: str = _JSON,
    ) -> Object:
        text = self._ask(asked, method, path, query, body, content)
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            problem = f"{self.server} does not answer as the API server of a cluster does."
            raise EngineError(problem, "Check the address of the cluster in the kubeconfig.")
        return answer

    def _ask(
        self,
        asked: ApiRequest,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content: str = _JSON,
        accept: str = _JSON,
        seconds: float | None = None,
    ) -> bytes:
        """The body of a successful answer; every error of the libraries ends here."""
        headers = {"Accept": accept} | ({"Content-Type": content} if body else {})
        patience = seconds or READ_SECONDS

        def once() -> tuple[RESTResponse, bytes]:
            request = self._client.param_serialize(
                method,
                path,
                query_params=query,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(*request, _request_timeout=(CONNECT_SECONDS, patience))
            return answer, bytes(answer.response.data or b"")

        try:
            answer, text = on_error(_CUT, is_cut, once)
        except ApiException as err:  # the library's own wrapping of a TLS failure
            raise tls_failure(str(err.reason), self.server) from err
        except ConfigException as err:  # the in-cluster account's token is read again and again
            raise EngineError(f"The credentials cannot be read: {err}", "Look at the Pod's token.") from err
        except (urllib3.exceptions.HTTPError, OSError) as err:
            raise unreachable(err, self.server, patience) from err
        if not 200 <= answer.status < 300:
            raise api_error(answer.status, _status(text), asked, self.server, self._account)
        return text


def _again_on_conflict(once: Callable[[], T]) -> T:
    """Do it again, on fresh state, while the object is being changed; a conflict about fields ends it."""
    return retry_on_conflict(once, _CONFLICT)


def _must_be_ours(live: Object, asked: ApiRequest) -> None:
    if not is_ours(live):
        problem = f"{asked} is not the dashboard's: it lacks the label {MANAGED_BY}={FIELD_MANAGER}."
        raise EngineError(problem, "It was left as it is. Use another namespace (--namespace), or rename it.")


def _dry(dry_run: bool) -> dict[str, str]:
    return {"dryRun": "All"} if dry_run else {}


def _status(text: bytes) -> dict[str, Any]:
    """The `Status` object of a refusal, or one made of a text."""
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"message": text[:300].decode(errors="replace")}
