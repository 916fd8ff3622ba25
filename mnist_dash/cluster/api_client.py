"""Read and write Kubernetes objects as plain dictionaries; errors are EngineErrors."""

from __future__ import annotations

import json
from typing import Final, TypeAlias

import urllib3
from kubernetes.client import ApiClient, ApiException
from kubernetes.client.rest import RESTResponse
from kubernetes.config import ConfigException
from kubernetes.utils import Backoff, on_error, retry_on_conflict
from urllib3.util.retry import Retry

from mnist_dash.cluster import manifests, resources
from mnist_dash.cluster.api_errors import (
    CHECK_SERVER,
    FETCH_KUBECONFIG,
    ApiError,
    ApiRequest,
    translate_conflict,
    translate_network_error,
    translate_status,
)
from mnist_dash.cluster.resources import Kind, Object
from mnist_dash.errors import EngineError
from mnist_dash.network_errors import NetworkProblem, explain_network_error

Objects: TypeAlias = list[Object]

CONNECT_SECONDS: Final = 3.0
READ_SECONDS: Final = 10.0
LOG_SECONDS: Final = 2.0
"""A log comes from the Pod's node; one that is gone must not make the cluster look silent."""
NO_LOG: Final = "unable to retrieve container logs for "
"""A kubelet answers so, with status 200, once it has removed the container."""
PAGE: Final = 500
"""Objects for each request of a list."""
MOST_LOG_BYTES: Final = 100_000
RETRIES: Final = Retry(
    total=3,
    connect=1,
    read=0,  # a silent server would block a call for 20 s; cut connections are retried by _CUT
    other=1,
    status=3,
    redirect=0,
    allowed_methods=None,  # applying, deleting and reviewing are idempotent
    status_forcelist=(429, 503, 504),
    backoff_factor=0.2,
    retry_after_max=3,
    raise_on_status=False,
)
"""All attempts together take about 10 s at most."""
_CUT = Backoff(steps=3, duration=0.1, factor=2, jitter=0.1)
_CONFLICT = Backoff(steps=5, duration=0.05, factor=2, jitter=0.1)
_REVIEW = Kind("authentication.k8s.io/v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)
_APPLY: Final = "application/apply-patch+yaml"
_METHODS: Final = {"get": "GET", "list": "GET", "create": "POST", "patch": "PATCH", "delete": "DELETE"}


class KubernetesClient:
    """The objects of one namespace; safe to use from several threads.

    Writes are server-side applies as field manager `mnist-dash`. Objects without the dashboard's label are
    never changed.
    """

    def __init__(self, client: ApiClient, namespace: str, *, account: str = "") -> None:
        """`account` is the user's name in the kubeconfig, for clusters that do not report one."""
        self.namespace = namespace
        self.server = str(client.configuration.host)
        """The address of the API server."""
        self.user = account
        """Our user name as the cluster last reported it, or else as the kubeconfig has it."""
        self._client = client
        self._account = account

    def who_am_i(self) -> None:
        """Ask the cluster for our user name, which some do not report; raises EngineError."""
        review: Object = {"apiVersion": _REVIEW.api, "kind": _REVIEW.name}
        try:
            answer = self._request_json(ApiRequest("create", _REVIEW, ""), body=review)
        except ApiError as err:
            if err.status not in (403, 404, 405):  # anonymous, or a cluster older than this API
                raise
        else:
            self.user = str(answer.get("status", {}).get("userInfo", {}).get("username") or self.user)

    def get(self, kind: Kind, name: str, *, namespace: str = "") -> Object | None:
        """Return an object, or None if it does not exist; raises EngineError, also if its kind is unknown."""
        try:
            return self._request_json(ApiRequest("get", kind, namespace or self.namespace, name))
        except ApiError as err:
            if err.is_absence or (kind is resources.NAMESPACE and err.status == 404):
                return None
            raise

    def list(self, kind: Kind, *, selector: str = "", fields: str = "", namespace: str = "") -> Objects:
        """List all objects of a kind in the namespace, by label and field selector; raises EngineError."""
        request = ApiRequest("list", kind, namespace or self.namespace)
        query = {"labelSelector": selector, "fieldSelector": fields, "limit": str(PAGE), "continue": ""}
        found: Objects = []
        while True:
            answer = self._request_json(request, {key: value for key, value in query.items() if value})
            items = answer.get("items") or []
            found += [{"apiVersion": kind.api, "kind": kind.name, **item} for item in items]
            query["continue"] = (answer.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                return found

    def apply(
        self,
        manifest: Object,
        *,
        live: Object | None,
        take_over: bool = False,
        dry_run: bool = False,
        manager: str = resources.FIELD_MANAGER,
    ) -> Object:
        """Apply a manifest on the server's side, and return the resulting object.

        `live` is the object as it was listed by our label; without it, the object is read first, so that one
        that is not ours stays untouched. `take_over` takes fields over from their owners. A dry run in a
        namespace that does not exist yet returns the manifest.

        Raises EngineError: with `can_take_over` if other managers own fields; if the object is not ours; or,
        as an ApiError of status 409, if the object is not at the manifest's `resourceVersion` any more.
        """
        kind, name = resources.kind_of(manifest), manifest["metadata"]["name"]
        request = ApiRequest("patch", kind, self.namespace, name)
        query = {"fieldManager": manager, "force": str(take_over).lower()}
        query |= {"dryRun": "All"} if dry_run else {}

        def attempt() -> Object:
            nonlocal live
            known, live = live or self.get(kind, name), None  # a repetition works on fresh state
            _check_ours(request, known)
            # The uid makes an object that replaced the known one a conflict.
            uid = {"uid": known["metadata"]["uid"]} if known else {}
            try:
                return self._request_json(
                    request, query, {**manifest, "metadata": manifest["metadata"] | uid}
                )
            except ApiError as err:
                if conflict := translate_conflict(err.answer, known, request):
                    raise conflict from err
                if dry_run and err.is_absence_of_namespace:
                    return manifest
                raise

        if manifest["metadata"].get("resourceVersion"):
            return attempt()  # the caller has to decide on the new version
        return retry_on_conflict(attempt, _CONFLICT)

    def delete(self, kind: Kind, name: str, *, live: Object | None, dry_run: bool = False) -> None:
        """Delete an object and, in the background, its dependents; succeeds if it does not exist.

        `live` as in `apply`. Raises EngineError, also if the object is not ours.
        """
        request = ApiRequest("delete", kind, self.namespace, name)

        def attempt() -> None:
            nonlocal live
            known, live = live or self.get(kind, name), None  # as in apply
            if known is None:
                return
            _check_ours(request, known)
            options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
            options |= {"preconditions": {"uid": known["metadata"]["uid"]}}
            options |= {"dryRun": ["All"]} if dry_run else {}  # the server ignores a query beside a body
            try:
                self._request_json(request, body=options)
            except ApiError as err:
                if not err.is_absence:
                    raise

        retry_on_conflict(attempt, _CONFLICT)

    def ensure_namespace(self) -> None:
        """Create the namespace unless it exists; raises EngineError if that is not allowed."""
        try:
            if self.get(resources.NAMESPACE, self.namespace) is not None:
                return
        except ApiError as err:
            if err.status == 403:
                return  # without the right to look, assume that it exists: the first write shows it
            raise
        manifest = manifests.namespace(self.namespace)
        request = ApiRequest("patch", resources.NAMESPACE, self.namespace, self.namespace)
        self._request_json(request, {"fieldManager": resources.FIELD_MANAGER}, manifest)

    def logs(self, pod: str, *, lines: int = 20, previous: bool = False) -> str:
        """Return the last lines of a Pod's model server, "" if there are none; raises EngineError.

        Each begins with its time in UTC, as `kubectl logs --timestamps` shows it.
        `previous` asks for the container before the last restart.
        """
        request = ApiRequest("get", resources.POD, self.namespace, pod, "log")
        query = {"container": resources.CONTAINER, "tailLines": str(lines), "limitBytes": str(MOST_LOG_BYTES)}
        query |= {"timestamps": "true"} | ({"previous": "true"} if previous else {})
        try:
            text = self._request(request, query, seconds=LOG_SECONDS).decode(errors="replace")
        except EngineError as err:
            if isinstance(err, ApiError) and err.status in (401, 403):
                raise
            return ""  # not started yet, gone, or its node does not answer
        return "" if text.startswith(NO_LOG) else text

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call]  # the package's own gap

    def _request_json(
        self, request: ApiRequest, query: dict[str, str] | None = None, body: Object | None = None
    ) -> Object:
        answer = _parse_object(self._request(request, query, body))
        if answer is None:
            raise EngineError(f"{self.server} does not answer like a Kubernetes API server.", CHECK_SERVER)
        return answer

    def _request(
        self,
        request: ApiRequest,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        seconds: float | None = None,
    ) -> bytes:
        """Return the body of a successful answer; translates every error of the libraries."""
        content_type = _APPLY if request.verb == "patch" else "application/json"
        headers = {"Accept": "application/json, */*", "Content-Type": content_type}
        timeout = (CONNECT_SECONDS, seconds or READ_SECONDS)

        def attempt() -> tuple[RESTResponse, bytes]:
            arguments = self._client.param_serialize(
                _METHODS[request.verb],
                request.path,
                query_params=query,
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = self._client.call_api(*arguments, _request_timeout=timeout)
            return response, bytes(response.response.data or b"")

        try:
            response, content = on_error(
                _CUT, lambda error: explain_network_error(error).problem is NetworkProblem.CUT, attempt
            )
        except ApiException as err:  # the library wraps TLS failures so
            raise translate_network_error(err.__context__ or err, self.server) from err
        except (urllib3.exceptions.HTTPError, OSError) as err:
            raise translate_network_error(err, self.server) from err
        except (ConfigException, ValueError):  # no token in a Pod; or the header, which the text quotes
            problem = f"The token of {self._account} is missing or has invalid characters."
            raise EngineError(problem, FETCH_KUBECONFIG) from None
        if not 200 <= response.status < 300:
            status = _parse_object(content) or {"message": content[:300].decode(errors="replace")}
            raise translate_status(response.status, status, request, self.server, self._account)
        return content


def _check_ours(request: ApiRequest, live: Object | None) -> None:
    if live is not None and not resources.is_ours(live):
        problem = f"{request} is not the dashboard's: it lacks the label {resources.SELECTOR}."
        raise EngineError(problem, "Use another namespace (--namespace), or rename that object.")


def _parse_object(content: bytes) -> Object | None:
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None
