"""`KubernetesEngine`: TensorFlow Serving on a cluster, behind its ingress or Gateway."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from mnist_dash import preconditions
from mnist_dash.cluster import model_checks
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.api_errors import ApiError
from mnist_dash.cluster.drift import find_drift
from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.inventory import engine_objects
from mnist_dash.cluster.key_rotation import KeyFile
from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.operations import (
    Operation,
    Site,
    apply_all,
    dry_run,
    later_operations,
    operations_for,
    operations_for_new_key,
    preview,
    routed,
    state_of,
    write,
)
from mnist_dash.cluster.polling import (
    PROMOTING_SECONDS,
    PollInterval,
    around,
    key_hashes,
    read,
    written_objects,
)
from mnist_dash.cluster.promotion import INTERRUPTED_SECONDS, STEP_SECONDS, Promoter, reconcile_split
from mnist_dash.cluster.route_diagnosis import RouteController, diagnose
from mnist_dash.cluster.route_faults import published_addresses
from mnist_dash.cluster.routes import Routes
from mnist_dash.cluster.snapshot import faults, is_swapped, snapshot_of
from mnist_dash.cluster.traffic_probe import AppliedRoutes, GatewayMonitor
from mnist_dash.cluster.yaml_diff import to_yaml
from mnist_dash.domain import (
    Change,
    ChangeContext,
    EngineObject,
    Finding,
    Gateway,
    HistoryEntry,
    ModelCheck,
    Probe,
    Remove,
    Role,
    Snapshot,
    Suggestion,
)
from mnist_dash.errors import EngineError, MnistDashError, SettingsError
from mnist_dash.serving.client import ServingClient
from mnist_dash.settings import RouterKind, Settings
from mnist_dash.storage.discovery import bases_in_buckets
from mnist_dash.storage.key_file import client_for
from mnist_dash.storage.location import Progress

FIRST_LOOK_SECONDS = 2.0
"""How long the start waits for the cluster; it then goes on without."""
ATTEMPTS = 3
CHANGED = 409
"""The API server's answer to a write that is bound to a version that is there no more."""
DETAILS_SECONDS = 3.0
"""How long events and logs are fetched after somebody asked for them, and how long the first may take."""
SUGGESTIONS_SECONDS = 5.0

log = logging.getLogger("mnist_dash")


class KubernetesEngine:
    """The engine on a cluster; its verbs are those of `mnist_dash.service.Engine`.

    What is desired lives in the cluster's objects alone. One thread looks at them, whoever is watching, holds
    a split until New is ready, and carries promotions on. One lock guards everything that is written.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connect: Callable[[Settings], KubernetesClient] = connect,
        interrupted_after: float = INTERRUPTED_SECONDS,
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._promoter = Promoter(interrupted_after)
        self._routes = routes_for(settings)
        self._key = KeyFile(settings.google_app_creds)
        url = f"{settings.scheme}://{settings.ingress_host}"
        self._gateway = Gateway(url, settings.ingress_address, str(settings.ca_file or ""))
        self._serving = ServingClient(self._gateway)
        self._monitor = GatewayMonitor(self._serving)
        self._checks = model_checks.Checks(self.check)
        self._api: KubernetesClient | None = None
        self._lock = threading.RLock()
        self._closing, self._wake = threading.Event(), threading.Event()
        self._looked, self._detailed = threading.Event(), threading.Event()
        self._pace = PollInterval()
        self._seen: Observation | None = None
        self._problem = ""
        self._details_until = 0.0
        self._snapshot = Snapshot(time.time(), trouble="The cluster has not answered yet.")
        self._thread = threading.Thread(target=self._keep_looking, name="cluster", daemon=True)

    @classmethod
    def start(cls, settings: Settings, *, interrupted_after: float = INTERRUPTED_SECONDS) -> KubernetesEngine:
        """Begin to look at the cluster; one that is not there is told in the snapshots, and tried again."""
        engine = cls(settings, interrupted_after=interrupted_after)
        engine._thread.start()
        engine._looked.wait(FIRST_LOOK_SECONDS)
        return engine

    @property
    def gateway(self) -> Gateway:
        return self._gateway

    @property
    def in_cluster(self) -> bool:
        return True

    def check(self, base: str, progress: Progress | None = None) -> ModelCheck:
        return model_checks.check(base, self._settings.google_app_creds, progress)

    def apply(self, change: Change, context: ChangeContext) -> None:
        with self._changing() as api:
            self._again_if_changed(lambda: self._apply(api, change, context))
            self._tell()

    def _apply(self, api: KubernetesClient, change: Change, context: ChangeContext) -> None:
        seen = self._judged(api, change)
        api.ensure_namespace()
        acts = operations_for(change, seen, self._site(), context.by or api.user)
        dry_run(api, (*acts, *later_operations(change, seen, self._site())), take_over=context.take_over)
        if change == Remove(Role.NEW) and seen.written and seen.written.weight:
            self._let_go_of_new(api, seen, context)
            acts = operations_for(change, self._judged(api, change), self._site(), context.by or api.user)
        apply_all(api, acts, take_over=context.take_over)
        self._promoter.begin(self._look(api), take_over=context.take_over)

    def _judged(self, api: KubernetesClient, change: Change) -> Observation:
        """What there is now; raises EngineError if the change does not fit that any more."""
        shown, seen = self._snapshot, self._look(api)
        self._tell()
        if is_swapped(shown, seen):
            raise EngineError("The roles were swapped meanwhile.", "Look at what is deployed now.")
        now = self._snapshot
        if state_of(seen).swap and not now.interrupted_promotion:
            raise EngineError("A promotion is under way.", "Wait until it is done.")
        if reason := preconditions.why_not(now, change):
            raise EngineError(reason)
        return seen

    def _again_if_changed(self, act: Callable[[], None]) -> None:
        """Do it on fresh state if somebody changed the state between the look and the writing."""
        for _ in range(ATTEMPTS - 1):
            try:
                return act()
            except ApiError as error:
                if error.status != CHANGED:
                    raise
        return act()

    def _let_go_of_new(self, api: KubernetesClient, seen: Observation, context: ChangeContext) -> None:
        """Send all to Current, and wait until the gateway does: some send on to a New that is ending."""
        write(api, routed(seen, self._site(), replace(state_of(seen), split=0)), take_over=context.take_over)
        given_up = time.monotonic() + STEP_SECONDS
        while self._monitor.probe(_applied_routes(self._look(api))).pending and time.monotonic() < given_up:
            self._closing.wait(PROMOTING_SECONDS)

    def preview(self, change: Change) -> str:
        with self._changing() as api:
            seen, site = self._look(api), self._site()
            return preview(
                api, (*operations_for(change, seen, site, api.user), *later_operations(change, seen, site))
            )

    def snapshot(self) -> Snapshot:
        if self._pace.viewed():
            self._wake.set()
        return self._snapshot

    def objects(self) -> tuple[EngineObject, ...]:
        """With events and logs, which are fetched while somebody asks for them."""
        unasked = time.monotonic() > self._details_until
        self._details_until = time.monotonic() + DETAILS_SECONDS
        if unasked:
            self._detailed.clear()
            self._wake.set()
        self._detailed.wait(DETAILS_SECONDS)
        return engine_objects(self._seen, self._gateway) if self._seen else ()

    def manifests(self) -> str:
        if not self._seen:
            return ""
        return to_yaml(written_objects(self._seen, self._settings.namespace, self._routes))

    def history(self) -> tuple[HistoryEntry, ...]:
        return state_of(self._seen).history[::-1] if self._seen else ()

    def diagnose_route(self, probes: Sequence[Probe]) -> tuple[Finding, ...]:
        with self._changing() as api:
            live = [*self._look(api).routes, *around(api, self._settings)]
        controller = (
            RouteController.of_gateway(self._settings.gateway)
            if self._settings.router is RouterKind.GATEWAY
            else RouteController.of_class(self._settings.ingress_class)
        )
        faults, addresses = self._routes.find_faults(live), published_addresses(live)
        return diagnose(probes, self._snapshot, faults, controller, addresses)

    def suggestions(self) -> tuple[Suggestion, ...]:
        try:
            client = client_for(self._settings.google_app_creds)
        except SettingsError:  # told as a notice
            return ()
        bases = bases_in_buckets(client, deadline=SUGGESTIONS_SECONDS)
        return tuple(Suggestion(base, base) for base in bases)

    def close(self) -> None:
        self._closing.set()
        self._wake.set()
        self._checks.close()
        self._serving.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[KubernetesClient]:
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The dashboard has been closed.", "Start it again.")
            yield self._connected()
        self._wake.set()

    def _connected(self) -> KubernetesClient:
        """The connection, made anew after a failure: the kubeconfig may have changed meanwhile."""
        if self._api is None:
            self._api = self._connect(self._settings)
        return self._api

    def _site(self) -> Site:
        return Site(self._settings.namespace, self._settings.image, self._routes, self._key.read())

    def _look(self, api: KubernetesClient) -> Observation:
        details = time.monotonic() < self._details_until
        self._seen = read(api, self._routes, details=details)
        if details:
            self._detailed.set()
        return self._seen

    def _keep_looking(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            self._turn()
            self._looked.set()
            self._wake.wait(self._seconds())
        if self._api:
            self._api.close()

    def _seconds(self) -> float | None:
        snapshot = self._snapshot
        return self._pace.seconds(
            promoting=self._promoter.under_way,
            driving=snapshot.split_desired != snapshot.split_observed,
            moving=not snapshot.settled,
        )

    def _turn(self) -> None:
        """Look, carry on what is under way, and tell what there is; what fails is told and tried again.

        The gateway is asked without the lock: it may be slow, and nobody's click is to wait for that.
        """
        try:
            with self._lock:
                api = self._connected()
                self._look(api)
                self._carry_on(api)
                seen = self._look_back()
            self._monitor.probe(_applied_routes(seen))
            with self._lock:
                self._tell()
            self._pace.failures = 0
        except MnistDashError as error:
            self._lose(str(error))
        except Exception as error:  # a dashboard that no longer looks would show the past for ever
            log.exception("the cluster engine goes on after an unforeseen error")
            self._lose(f"The dashboard failed: {error or type(error).__name__}. What happened is in its log.")

    def _lose(self, words: str) -> None:
        with self._lock:
            self._pace.failures += 1
            if self._api:
                self._api.close()
                self._api = None
            self._snapshot = replace(self._snapshot, trouble=words)

    def _carry_on(self, api: KubernetesClient) -> None:
        """Write what is due by itself; a refusal is told, and does not keep anybody from looking."""
        problems = []
        for go_on in (self._roll_to_another_key, self._do_what_is_due):
            try:
                go_on(api)
            except ApiError as error:
                if error.status != CHANGED:  # else the next turn sees what it is now
                    problems.append(str(error))
            except EngineError as error:
                problems.append(str(error))
        self._problem = " ".join(problems)

    def _roll_to_another_key(self, api: KubernetesClient) -> None:
        seen = self._look_back()
        if key := self._key.replacement(key_hashes(seen)):
            write(api, operations_for_new_key(seen, replace(self._site(), key=key)))
            self._key.deployed(key)
            self._look(api)

    def _do_what_is_due(self, api: KubernetesClient) -> None:
        if acts := self._due(self._look_back()):
            write(api, acts, take_over=self._promoter.under_way and self._promoter.take_over)
            self._look(api)

    def _due(self, seen: Observation) -> tuple[Operation, ...]:
        site = self._site()
        if swap := state_of(seen).swap:
            return self._promoter.due(
                seen, swap, site, self._monitor.record_applied(_applied_routes(seen)).split
            )
        return reconcile_split(seen, site) if self._routes.is_weight_ours(seen.routes) else ()

    def _look_back(self) -> Observation:
        """What was last seen."""
        assert self._seen is not None
        return self._seen

    def _tell(self) -> None:
        """Make the snapshot of what was last seen; asks nobody."""
        seen = self._look_back()
        self._snapshot = snapshot_of(
            seen,
            self._monitor.record_applied(_applied_routes(seen)),
            self._promoter.told(seen),
            self._checks.of,
            drift=(*find_drift(seen.all), *faults(seen, self._routes)),
            problem=self._problem,
            notices=tuple(filter(None, [self._key.problem])),
        )


def _applied_routes(seen: Observation) -> AppliedRoutes:
    ready = [role for role in Role if seen.ready_addresses(role)]
    return AppliedRoutes(seen.written, {role: seen.pointer(role) for role in Role}, ready)


def routes_for(settings: Settings) -> Routes:
    """Return the routes that the settings choose."""
    if settings.router is RouterKind.GATEWAY:
        return GatewayRoutes(settings.ingress_host, settings.gateway, settings.namespace)
    return IngressRoutes(settings.ingress_host, settings.ingress_class, settings.namespace, settings.scheme)
