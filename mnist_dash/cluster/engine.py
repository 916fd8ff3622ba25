"""`KubernetesEngine`: TensorFlow Serving on a cluster, behind its ingress or Gateway."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from kubernetes.utils import is_conflict, retry_on_conflict

from mnist_dash import domain, preconditions
from mnist_dash.cluster import operations, polling, promotion, resources
from mnist_dash.cluster.api_client import KubernetesClient
from mnist_dash.cluster.drift import find_drift
from mnist_dash.cluster.http_route import GatewayRoutes
from mnist_dash.cluster.ingress import IngressRoutes
from mnist_dash.cluster.inventory import engine_objects
from mnist_dash.cluster.kubeconfig import connect
from mnist_dash.cluster.observation import Observation
from mnist_dash.cluster.operations import KeyFile, Operation, Site
from mnist_dash.cluster.polling import PROMOTING_SECONDS, PollInterval, observe, poll
from mnist_dash.cluster.promotion import INTERRUPTED_SECONDS, STEP_SECONDS, Promoter
from mnist_dash.cluster.replica_runs import runs_of
from mnist_dash.cluster.routes import Routes, diagnose
from mnist_dash.cluster.snapshot import is_swapped, route_faults, snapshot_of
from mnist_dash.cluster.traffic_probe import GatewayMonitor
from mnist_dash.cluster.yaml_diff import to_yaml
from mnist_dash.errors import EngineError, MnistDashError, ModelError, SettingsError
from mnist_dash.savedmodel.background_checks import BackgroundChecks
from mnist_dash.savedmodel.isolated_check import check_model_isolated
from mnist_dash.serving.client import ServingClient
from mnist_dash.settings import RouterKind, Settings
from mnist_dash.storage.base_diagnosis import bases_in_buckets
from mnist_dash.storage.key_file import client_for
from mnist_dash.storage.location import FolderLocation, Progress, location_of
from mnist_dash.timeline import EventLog, EventRecorder

FIRST_POLL_SECONDS = 2.0
"""How long the start waits for the cluster; it then continues without."""
CHECK_SECONDS = 120.0
DETAILS_SECONDS = 3.0
"""How long events and logs are read after a request for them, and how long the first request waits."""
SUGGESTIONS_SECONDS = 5.0
STALE_SECONDS = 10.0
"""A poll that takes longer is reported: what is shown was so before it."""

log = logging.getLogger("mnist_dash")


class KubernetesEngine:
    """The engine on a cluster; its verbs are those of `mnist_dash.service.Engine`.

    The desired state is in the cluster's objects alone. One thread polls them for all viewers, holds a split
    at 0 until New is ready, and drives promotions. One lock serialises all writes; polls do not hold it.
    """

    in_cluster = True

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
        self.gateway = domain.Gateway(url, settings.ingress_address, str(settings.ca_file or ""))
        self._serving = ServingClient(self.gateway)
        self._monitor = GatewayMonitor(self._serving)
        self._checks = BackgroundChecks(self.check)
        self._api: KubernetesClient | None = None
        self._lock = threading.RLock()
        self._closing, self._wake, self._polled, self._detailed = (threading.Event() for _ in range(4))
        self._interval = PollInterval()
        self._observation = Observation()
        self._writes = 0
        """Counts the observations after writes here: an older poll must not replace one."""
        self._events = EventLog()
        self._recorder = EventRecorder(self._events)
        self._recorded = self._observation
        self._problem = ""
        self._poll_began: float | None = None
        """When the poll under way began; None between two."""
        self._note = ""
        self._details_until = 0.0
        self._snapshot = domain.Snapshot(time.time(), trouble="The cluster has not answered yet.")
        self._thread = threading.Thread(target=self._keep_reconciling, name="cluster", daemon=True)

    @classmethod
    def start(cls, settings: Settings, *, interrupted_after: float = INTERRUPTED_SECONDS) -> KubernetesEngine:
        """Begin to poll the cluster; while it is unreachable, the snapshots say so, and it is tried again."""
        engine = cls(settings, interrupted_after=interrupted_after)
        engine._thread.start()
        engine._polled.wait(FIRST_POLL_SECONDS)
        return engine

    def check(self, base: str, progress: Progress | None = None) -> domain.ModelCheck:
        """Check a model in a bucket; the `unverified` of the result says why it could not be done here.

        Raises ModelError if the address is wrong, or the model is unfit.
        """
        location = location_of(base)
        if isinstance(location, FolderLocation):
            copy = f"gcloud storage cp -r {location}/model gs://BUCKET/PATH/"
            raise ModelError(
                f"A cluster reads models from Cloud Storage, not {location}.",
                f"Copy it to a bucket: {copy} and give gs://BUCKET/PATH.",
            )
        key = self._settings.google_app_creds
        try:
            return check_model_isolated(base, CHECK_SECONDS, credentials=key, progress=progress)
        except ModelError as error:
            if not error.unverified:
                raise
            warning = f"Deployed unchecked: {error.problem}"
            return domain.ModelCheck(
                str(location), None, (), None, warnings=(warning,), unverified=str(error)
            )

    def apply(self, change: domain.Change, context: domain.ChangeContext) -> None:
        try:
            with self._lock:
                api = self._connection()
                # Again on fresh state if the state changes between the poll and the write.
                retry_on_conflict(lambda: self._apply(api, change, context))
                self._publish_snapshot()
        finally:
            self._wake.set()

    def _apply(self, api: KubernetesClient, change: domain.Change, context: domain.ChangeContext) -> None:
        observation, site = self._observe_for(change, context.expected, api), self._site()
        if self._is_up_to_date(change, observation) and not preconditions.is_needed(
            self._snapshot, change, context.expected
        ):
            return
        if not observation.objects:
            api.ensure_namespace()
        by, take_over = context.by or api.user, context.take_over
        what = domain.describe(change, self._snapshot)
        writes = operations.operations_for(change, observation, site, by, what=what)
        later = operations.later_operations(change, observation, site)
        if change == domain.Remove(domain.Role.NEW) and observation.weight:
            operations.rehearse(api, writes, observation, take_over=take_over)
            self._drain_new(api, observation, take_over=take_over)
            observation = self._observe_for(change, context.expected, api)
            writes = operations.operations_for(change, observation, site, by, what=what)
        self._write(api, writes, observation, later, take_over=take_over)
        self._promoter.begin(self._observation, take_over=take_over)

    def _is_up_to_date(self, change: domain.Change, observation: Observation) -> bool:
        """Whether a deployed model runs in the image of this dashboard: else a deployment changes that."""
        workload = observation.workload(change.role) if isinstance(change, domain.Deploy) else None
        return workload is None or workload.image == self._settings.image

    def _observe_for(self, change: domain.Change, expected: str, api: KubernetesClient) -> Observation:
        """Observe the cluster before a change; raises EngineError if the change does not fit it."""
        shown, observation = self._snapshot, poll(api, self._routes, reasons=self._observation)
        self._replace_observation(observation)
        self._publish_snapshot()
        preconditions.check_expected(self._snapshot, change, expected)
        if preconditions.is_done(self._snapshot, change, expected):
            return observation
        if is_swapped(shown, observation):
            raise EngineError("The roles were swapped meanwhile.", "Check what is deployed now.")
        if observation.promotion and not self._snapshot.interrupted_promotion:
            raise EngineError("A promotion is under way.", "Wait until it is done.")
        if reason := preconditions.why_not(self._snapshot, change):
            raise EngineError(reason)
        return observation

    def _write(
        self,
        api: KubernetesClient,
        writes: Sequence[Operation],
        observation: Observation,
        later: Sequence[Operation] = (),
        *,
        take_over: bool = False,
    ) -> None:
        """Write, and take the API server's answers into the observation: no second poll is needed."""
        objects = operations.write(api, writes, observation, later, take_over=take_over)
        self._replace_observation(observe(objects, self._routes, reasons=observation))

    def _replace_observation(self, observation: Observation) -> None:
        self._observation = observation
        self._writes += 1

    def _drain_new(self, api: KubernetesClient, observation: Observation, *, take_over: bool) -> None:
        """Send all to Current, and wait until the gateway does: some still send requests to an ending New."""
        state = replace(observation.state, split=0)
        writes = operations.route_operations(observation, self._site(), state)
        self._write(api, writes, observation, take_over=take_over)
        deadline = time.monotonic() + STEP_SECONDS
        while self._monitor.probe(self._observation).pending:
            if time.monotonic() > deadline or self._closing.wait(PROMOTING_SECONDS):
                return
            self._replace_observation(poll(api, self._routes, reasons=self._observation))

    @property
    def user(self) -> str:
        return self._api.user if self._api else ""

    def preview(self, change: domain.Change) -> str:
        api = self._connection()
        observation, site = poll(api, self._routes, reasons=self._observation), self._site()
        writes = operations.operations_for(change, observation, site, api.user)
        later = operations.later_operations(change, observation, site)
        return operations.preview(api, (*writes, *later), observation)

    def snapshot(self) -> domain.Snapshot:
        if self._interval.note_viewer():
            self._wake.set()
        snapshot, began = self._snapshot, self._poll_began
        if snapshot.trouble or began is None or (waited := time.monotonic() - began) < STALE_SECONDS:
            return snapshot
        return replace(
            snapshot,
            trouble=f"The cluster has not answered for {waited:.0f} s. The page shows what was before.",
        )

    def objects(self) -> tuple[domain.EngineObject, ...]:
        """List the objects with events and logs, which are read only while a viewer shows them."""
        is_first = time.monotonic() > self._details_until
        self._details_until = time.monotonic() + DETAILS_SECONDS
        if is_first:
            self._detailed.clear()
            self._wake.set()
        self._detailed.wait(DETAILS_SECONDS)
        return engine_objects(self._observation, self.gateway)

    def manifests(self) -> str:
        return to_yaml(polling.applied_objects(self._observation, self._settings.namespace, self._routes))

    def history(self) -> tuple[domain.HistoryEntry, ...]:
        return self._observation.state.history[::-1]

    def events(self) -> tuple[domain.HistoryEntry, ...]:
        return self._events.entries()

    def diagnose_route(self, probes: Sequence[domain.Probe]) -> tuple[domain.Finding, ...]:
        api = self._connection()
        observation = poll(api, self._routes, reasons=self._observation)
        live = [*observation.routes, *polling.list_neighbours(api, self._settings)]
        return diagnose(probes, self._snapshot, self._routes, live)

    def note(self) -> str:
        return self._note

    def keep_note(self, text: str, expected: str) -> bool:
        with self._lock:
            api = self._connection()
            is_kept = retry_on_conflict(lambda: self._keep_note(api, text, expected))
            self._publish_snapshot()
            return is_kept

    def _keep_note(self, api: KubernetesClient, text: str, expected: str) -> bool:
        """Write the note on the route if it is as expected; what is read and written is observed, too."""
        live = api.get(self._routes.kinds[0], self._routes.state_name)
        if live is None:
            raise EngineError("There is no route to keep the rollout on.", "Deploy both models first.")
        is_expected = resources.note_of(live) == expected
        if is_expected:
            note = resources.with_note(live, text)
            live = api.apply(note, live=live, take_over=True, manager=resources.NOTE_MANAGER)
        others = [item for item in self._observation.objects if not resources.is_same(item, live)]
        observation = observe([live, *others], self._routes, reasons=self._observation)
        # All else is as old as before.
        self._replace_observation(replace(observation, taken_at=self._observation.taken_at))
        return is_expected

    def suggestions(self) -> tuple[domain.Suggestion, ...]:
        try:
            client = client_for(self._settings.google_app_creds)
        except SettingsError:  # a notice of the snapshot reports it
            return ()
        bases = bases_in_buckets(client, deadline=SUGGESTIONS_SECONDS)
        return tuple(domain.Suggestion(base, base) for base in bases)

    def close(self) -> None:
        self._closing.set()
        self._wake.set()
        self._checks.close()
        self._serving.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1)

    def _connection(self) -> KubernetesClient:
        """The connection, made again after a failure: the kubeconfig may have changed meanwhile."""
        with self._lock:
            if self._closing.is_set():
                raise EngineError("The dashboard has been closed.", "Start it again.")
            if self._api is None:
                self._api = self._connect(self._settings)
            return self._api

    def _site(self) -> Site:
        return Site(self._settings.namespace, self._settings.image, self._routes, self._key.read())

    def _keep_reconciling(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            self._reconcile()
            self._polled.set()
            snapshot = self._snapshot
            seconds = self._interval.seconds(
                promoting=self._promoter.under_way,
                driving=snapshot.split_desired != snapshot.split_observed,
                moving=not snapshot.settled,
            )
            self._wake.wait(seconds)
        if self._api:
            self._api.close()

    def _reconcile(self) -> None:
        """Poll, do the writes that are due, and publish a snapshot; failures are published and tried again.

        Neither the cluster nor the gateway is read under the lock: no click waits for a slow one.
        """
        try:
            api = self._connection()
            if self._poll(api):
                with self._lock:
                    self._write_what_is_due(api)
                    observation = self._observation
                self._monitor.probe(observation)
            with self._lock:
                self._publish_snapshot()
            self._interval.failures = 0
        except MnistDashError as error:
            self._report_failure(str(error))
        except Exception as error:  # without this thread the page would show the past for ever
            log.exception("the cluster engine continues after an unexpected error")
            self._report_failure(
                f"The dashboard failed: {error or type(error).__name__}. Its log has the details."
            )

    def _poll(self, api: KubernetesClient) -> bool:
        """Replace the observation; returns False, and drops the poll, if something was written meanwhile."""
        writes, details = self._writes, time.monotonic() < self._details_until
        self._poll_began = time.monotonic()
        try:
            observation = poll(api, self._routes, details=details)
        finally:
            self._poll_began = None
        with self._lock:
            if writes != self._writes:
                self._wake.set()
                return False
            self._observation = observation
        if details:
            self._detailed.set()
        return True

    def _report_failure(self, trouble: str) -> None:
        with self._lock:
            self._interval.failures += 1
            if self._api:
                self._api.close()
                self._api = None
            self._snapshot = replace(self._snapshot, trouble=trouble)

    def _write_what_is_due(self, api: KubernetesClient) -> None:
        """Write what the dashboard does by itself; a refusal is reported, and does not end the polling."""
        problems = []
        for write_due in (self._roll_to_new_key, self._write_next_step):
            try:
                write_due(api, self._observation)
            except EngineError as error:
                if not is_conflict(error):  # else the next poll shows the present state
                    problems.append(str(error))
        self._problem = " ".join(problems)

    def _roll_to_new_key(self, api: KubernetesClient, observation: Observation) -> None:
        if key := self._key.replacement(observation.key_hashes):
            site = replace(self._site(), key=key)
            self._write(api, operations.operations_for_new_key(observation, site), observation)
            self._key.deployed = key

    def _write_next_step(self, api: KubernetesClient, observation: Observation) -> None:
        writes: Sequence[Operation] = ()
        if observation.promotion:
            split_observed = self._monitor.record_applied(observation).split
            writes = self._promoter.due(observation, self._site(), split_observed)
        elif self._routes.is_weight_ours(observation.routes):
            writes = promotion.reconcile_split(observation, self._site())
        if writes:
            take_over = self._promoter.under_way and self._promoter.take_over
            self._write(api, writes, observation, take_over=take_over)

    def _publish_snapshot(self) -> None:
        """Make the snapshot of the last observation; sends no request."""
        observation = self._observation
        route = observation.live(self._routes.kinds[0], self._routes.state_name)
        self._note = resources.note_of(route)
        self._snapshot = snapshot_of(
            observation,
            self._monitor.record_applied(observation),
            self._promoter.status(observation),
            self._checks.find,
            drift=(*find_drift(observation.applied), *route_faults(observation, self._routes)),
            problem=self._problem,
            notices=tuple(filter(None, [self._key.problem])),
        )
        self._recorder.observe(self._snapshot, runs_of(self._recorded, observation))
        self._recorded = observation


def routes_for(settings: Settings) -> Routes:
    """Return the routes that the settings choose."""
    if settings.router is RouterKind.GATEWAY:
        return GatewayRoutes(settings.ingress_host, settings.gateway, settings.namespace)
    return IngressRoutes(settings.ingress_host, settings.ingress_class, settings.namespace, settings.scheme)
