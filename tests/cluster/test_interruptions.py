"""A dashboard that is killed between any two writes leaves a state that the next one can continue from."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

import pytest

from mnist_dash.cluster import traffic_probe
from mnist_dash.domain import Image, Role, Snapshot
from mnist_dash.errors import EngineError
from mnist_dash.service import Dashboard
from mnist_dash.settings import RouterKind
from tests.cluster.bed.bed import Bed, wait_until
from tests.cluster.bed.faults import FaultProxy
from tests.cluster.rollout import PATIENCE, Rollout, await_snapshot, end
from tests.load import constant_load

Verb = Callable[[Dashboard], object]


class Killer:
    """Kills dashboards between two writes: what they had not written by then never comes."""

    def __init__(self, rollout: Rollout, proxy: FaultProxy) -> None:
        self._rollout = rollout
        self._proxy = proxy
        self._kubeconfig = rollout.kubeconfig(proxy.url)

    def kill(self, verb: Verb, writes: int) -> bool:
        """Let a new dashboard begin with something; returns whether it was killed before it was done."""
        dash = self._rollout.open(kubeconfig=self._kubeconfig)
        await_snapshot(dash, lambda snapshot: not snapshot.trouble)
        last = len(self._proxy.writes()) + writes
        self._proxy.cut_after_writes(writes)
        try:
            verb(dash)
            wait_until(
                lambda: len(self._proxy.writes()) > last or dash.snapshot().settled, "it continues", PATIENCE
            )
        except EngineError:
            assert len(self._proxy.writes()) > last
        end(dash)
        self._proxy.reset()
        return len(self._proxy.writes()) > last


@pytest.fixture(autouse=True)
def quick_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be seen is waited for no longer than Traefik needs, which is a third of a second."""
    monkeypatch.setattr(traffic_probe, "BLIND_SECONDS", 0.7)


@pytest.fixture
def killer(rollout: Rollout, proxy: FaultProxy) -> Killer:
    """On the namespace of the test."""
    return Killer(rollout, proxy)


def bases(snapshot: Snapshot) -> tuple[str | None, str | None]:
    """Who is Current, and who is New."""
    current, new = (model.base if model else None for model in (snapshot.current, snapshot.new))
    return current, new


def swap(dash: Dashboard) -> None:
    """Promote or take that back, whichever is next."""
    if dash.snapshot().can_undo_promote:
        dash.undo_promote()
    else:
        dash.promote()


def test_a_promotion_killed_anywhere_is_finished(rollout: Rollout, killer: Killer, image: Image) -> None:
    """So is, every other time, its undoing; no request fails meanwhile."""
    observer = rollout.open_with_both()
    interrupted = []
    with constant_load(observer, image, threads=1) as load:
        before = bases(observer.snapshot())
        for writes in itertools.count():
            if not killer.kill(swap, writes):
                break
            dash = rollout.open(interrupted_after=0)
            found = await_snapshot(dash, lambda snapshot: snapshot.current)
            interrupted.append(found.interrupted_promotion)
            if found.interrupted_promotion:
                dash.promote()
            else:
                swap(dash)
            after = dash.wait_settled(PATIENCE)
            assert bases(after) == before[::-1]
            before = bases(after)
            dash.close()
    assert load.failures == []
    assert interrupted[:2] == ["", ""], "nothing has begun as long as the canary is not written"
    assert len(interrupted) == 8
    assert all("stopped half-way" in text for text in interrupted[2:])


def test_a_promotion_killed_anywhere_is_taken_back(
    bed: Bed, namespace: str, proxy: FaultProxy, image: Image
) -> None:
    """With the split that there was before; behind a Gateway as well."""
    rollout = Rollout(bed, namespace, RouterKind.GATEWAY)
    killer = Killer(rollout, proxy)
    observer = rollout.open_with_both()
    before = bases(observer.snapshot())
    observer.set_split(30)
    observer.wait_settled()
    with constant_load(observer, image, threads=1) as load:
        for writes in itertools.count(1):
            if not killer.kill(Dashboard.promote, writes):
                break
            dash = rollout.open(interrupted_after=0)
            assert "by user-" in await_snapshot(dash, lambda snapshot: snapshot.current).interrupted_promotion
            with pytest.raises(EngineError, match="Finish it or take it back first"):
                dash.set_split(50)
            dash.undo_promote()
            after = dash.wait_settled(PATIENCE)
            assert (bases(after), after.split_observed, after.can_undo_promote) == (before, 30, False)
            dash.close()
    rollout.close()
    assert load.failures == []
    assert writes == 5


def test_a_first_deployment_killed_anywhere_succeeds_when_it_is_repeated(
    bed: Bed, proxy: FaultProxy, image: Image
) -> None:
    """Until then nothing is deployed: the Deployment comes last."""
    with ExitStack() as stack:
        begun: list[Dashboard] = []
        for writes in itertools.count():
            rollout = Rollout(bed, stack.enter_context(bed.namespace()))
            stack.callback(rollout.close)
            model, _ = rollout.models
            deploy: Verb = partial(Dashboard.deploy, role=Role.CURRENT, base=model)
            if not Killer(rollout, proxy).kill(deploy, writes):
                break
            dash = rollout.open()
            assert await_snapshot(dash, lambda snapshot: not snapshot.trouble).current is None
            assert rollout.all_live("apps/v1", "Deployment") == []
            dash.deploy(Role.CURRENT, model)
            begun.append(dash)
        for dash in begun:
            dash.wait_settled(PATIENCE)
            assert dash.predict(image).role is Role.CURRENT
        assert len(begun) == 6


def test_other_changes_killed_anywhere_succeed_when_they_are_repeated(
    rollout: Rollout, killer: Killer, image: Image
) -> None:
    """Each kill leaves all that the one before it left; no request fails meanwhile."""
    linear, _ = rollout.models
    observer = rollout.open_with_both()
    verbs: tuple[tuple[Verb, Sequence[int]], ...] = (
        (lambda dash: dash.set_split(50), (0, 1)),
        (lambda dash: dash.deploy(Role.NEW, linear, 2), (0, 1, 2, 3, 4)),
        # Two of its writes send all to Current first, which is then done.
        (lambda dash: dash.remove(Role.NEW), (0, 1, 2, 1, 2)),
    )
    with constant_load(observer, image, threads=1) as load:
        for verb, kills in verbs:
            assert all(killer.kill(verb, writes) for writes in kills)
            dash = rollout.open()
            verb(dash)
            after = await_snapshot(dash, lambda snapshot: snapshot.new is None or snapshot.settled)
            dash.close()
    assert load.failures == []
    assert (bases(after), after.split_observed) == ((linear.base, None), 0)
    verbs_done = dict.fromkeys(entry.what.split()[0] for entry in rollout.open().history())
    assert list(verbs_done) == ["Remove", "Deploy", "Set"]
